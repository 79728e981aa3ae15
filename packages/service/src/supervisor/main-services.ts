/**
 * The services that run in the main thread of a generation.
 *
 * Those that listen end as those of the workers do. Those that don't (health checks, say) go on until nothing is served any more: what runs may need them.
 */
import { textOf } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { Service, ServiceCounts } from '../service.ts';
import { ServiceHost, type ServiceHostOptions } from '../worker/service-host.ts';
import type { ReloadParticipant } from './reload.ts';

/** For services without sockets to end by themselves, when nothing is served any more. */
export const BACKGROUND_GRACE_MS = 2_000;

/** What they are started with; `services` are all of the server. */
export type MainServicesOptions = Omit<ServiceHostOptions, 'worker' | 'environment'>;

/** Both kinds of them. */
export class MainServices {
  readonly #sockets: MainServicesOptions['sockets'];
  readonly #listening: ServiceHost;
  readonly #background: ServiceHost;

  constructor(options: MainServicesOptions) {
    this.#sockets = options.sockets;
    const ours = options.services.filter(({ placement }) => placement === 'main');
    const makeHost = (services: readonly Service<unknown>[]): ServiceHost => new ServiceHost({ ...options, services, worker: 0 });
    this.#listening = makeHost(ours.filter(({ name }) => this.#listens(name)));
    this.#background = makeHost(ours.filter(({ name }) => !this.#listens(name)));
  }

  get environment(): HttpEnvironment {
    return this.#listening.environment;
  }

  /** Both kinds, for reloads. */
  get participants(): readonly ReloadParticipant[] {
    return [participant(this.#listening), participant(this.#background)];
  }

  /** Of those that run, by the name of the service. */
  counts(): Record<string, ServiceCounts> {
    return { ...this.#background.counts(), ...this.#listening.counts() };
  }

  /** Starts one. @throws whatever it does */
  async start(name: string, waitedMs: number): Promise<void> {
    await (this.#listens(name) ? this.#listening : this.#background).start(name, waitedMs, null);
  }

  /** Ends what listens. @returns the connections that were cut */
  async drain(graceMs: number): Promise<number> {
    return await this.#listening.drain(graceMs);
  }

  /** Everything is drained: gives the others a moment to end in. Never rejects. */
  async end(): Promise<void> {
    await Promise.all([this.#listening.close(), this.#background.drain(BACKGROUND_GRACE_MS)]);
    await this.#background.close();
  }

  /** Ends all of them at once. Never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.#listening.close(), this.#background.close()]);
  }

  #listens(name: string): boolean {
    return (this.#sockets[name] ?? []).length > 0;
  }
}

function participant(host: ServiceHost): ReloadParticipant {
  return {
    label: 'the main thread',
    prepare: async (next) => {
      try {
        await host.prepare(next);
        return null;
      } catch (thrown) {
        return textOf(thrown);
      }
    },
    commit: async (version) => host.commit(version),
    discard: (version) => host.discard(version),
    // A commit in the main thread is one call, and over when it returns.
    replace: () => {},
  };
}

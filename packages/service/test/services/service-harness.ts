/** Services in the thread of the test: a host, its sockets on port 0 of loopback, and what it has told. */
import { strictEqual } from 'node:assert/strict';
import type { AddressLike } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import type { Notice, RunningService, Service, ServiceSocket } from '../../src/service.ts';
import type { Snapshot } from '../../src/snapshot.ts';
import { ServiceHost } from '../../src/worker/service-host.ts';

export const loopback = [{ address: '127.0.0.1:0' }] as const;

/** A host whose services have been started. */
export class TestHost<C> implements AsyncDisposable {
  readonly host: ServiceHost;
  readonly notices: Notice[] = [];
  readonly running = new Map<string, RunningService<unknown>>();
  #version = 1;

  private constructor(services: readonly Service<C>[], config: C, threads: number) {
    const recorded = services.map((service) => recording(service as Service<unknown>, this.running));
    this.host = new ServiceHost({
      services: recorded,
      snapshot: { version: 1, config },
      worker: 1,
      threads,
      sockets: Object.fromEntries(services.map((service) => [service.name, socketsOf(service, config)])),
      notify: (notice) => this.notices.push(notice),
    });
  }

  /** Starts all of the services, in their order. */
  static async start<C>(services: readonly Service<C>[], config: C, { threads = 1 } = {}): Promise<TestHost<C>> {
    const made = new TestHost(services, config, threads);
    for (const { name } of services) await made.host.start(name, 0);
    return made;
  }

  /** A host whose services have not been started. */
  static idle<C>(services: readonly Service<C>[], config: C): TestHost<C> {
    return new TestHost(services, config, 1);
  }

  /** The address of the only listener of a service. */
  address(name: string): AddressLike {
    const { addresses } = this.running.get(name) as unknown as { readonly addresses: readonly StreamAddress[] };
    const [address] = addresses;
    strictEqual(address?.kind, 'ip');
    return { host: address.host, port: address.port };
  }

  port(name: string): number {
    return (this.address(name) as { readonly port: number }).port;
  }

  snapshot(config: C): Snapshot<C> {
    return { version: ++this.#version, config };
  }

  /** A reload that is put in force. */
  async reload(config: C): Promise<void> {
    const next = this.snapshot(config);
    await this.host.prepare(next);
    this.host.commit(next.version);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.close();
  }
}

/** The same service, its running one being put into `running`. */
function recording(service: Service<unknown>, running: Map<string, RunningService<unknown>>): Service<unknown> {
  return {
    name: service.name,
    placement: service.placement,
    listeners: (config) => service.listeners(config),
    check: (config) => service.check?.(config),
    onStartupDelay: (waitedMs) => service.onStartupDelay?.(waitedMs),
    start: async (context) => {
      const started = await service.start(context);
      running.set(service.name, started);
      return started;
    },
  };
}

function socketsOf<C>(service: Service<C>, config: C): readonly ServiceSocket[] {
  return service.listeners(config).map((listen) => ({ listen, fd: null, address: { kind: 'unset' } }));
}

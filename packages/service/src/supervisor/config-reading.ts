/** Reads a configuration and has every service look at it, before anything is done with it. */
import type { Clock } from '@ferrata/clock';
import { textOf } from '@ferrata/error';
import type { ServerPlan } from '../server-plan.ts';
import { type ServerSockets, serverSockets } from '../socket-spec.ts';
import { deepFreeze } from './freeze.ts';
import type { PlacedListener } from './socket-allotment.ts';

/** A configuration that every service finds right, and what follows from it. */
export interface ConfigReading {
  /** Frozen in depth; nobody else holds it. */
  readonly config: unknown;
  readonly sockets: ServerSockets;
  /** By the name of the service. */
  readonly listeners: ReadonlyMap<string, readonly PlacedListener[]>;
}

/**
 * Reads the configuration.
 *
 * @param limitMs for the source and for all services together: either may never answer
 * @throws {Error} with a sentence that says what is wrong with it, and where
 */
export async function readConfig(plan: ServerPlan, clock: Clock, limitMs: number): Promise<ConfigReading> {
  const config = await within(clock, limitMs, 'loading the configuration', async () => {
    const loaded = await plan.options.config.load();
    // A copy of our own: the program may keep the one that it gave, and change it. What cannot be copied could not be told to the workers either.
    return deepFreeze(structuredClone(loaded));
  });
  await within(clock, limitMs, 'checking the configuration', async () => {
    for (const service of plan.services) {
      try {
        await service.check?.(config);
      } catch (thrown) {
        throw new Error(`service ${service.name}: ${textOf(thrown)}`, { cause: thrown });
      }
    }
  });
  const sockets = serverSockets(plan, config);
  const listeners = new Map(
    plan.services.map((service) => {
      const specs = sockets.byService.get(service.name) ?? [];
      const placed = service.listeners(config).flatMap((listen, index): PlacedListener[] => {
        const spec = specs[index];
        return spec === undefined ? [] : [{ listen: structuredClone(listen), spec }];
      });
      return [service.name, placed];
    }),
  );
  return { config, sockets, listeners };
}

async function within<T>(clock: Clock, limitMs: number, what: string, begin: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timeout = clock.schedule(limitMs, () => late.reject(new Error(`${what} took longer than ${limitMs} ms`)));
  try {
    return await Promise.race([begin(), late.promise]);
  } finally {
    timeout.cancel();
  }
}

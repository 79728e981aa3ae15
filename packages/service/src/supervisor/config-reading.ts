/** Reads a configuration and has every service look at it, before anything is done with it. */
import type { Clock } from '@ferrata/clock';
import { textOf } from '@ferrata/error';
import type { LastGood } from '../keeper/generation-messages.ts';
import { unpackConfig } from '../keeper/kept-config.ts';
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

/** How a configuration is read. */
export interface ReadingOptions {
  readonly clock: Clock;
  /** For the source and all services together, any of which may never answer: whoever has asked waits no longer. */
  readonly limitMs: number;
  /** Aborted, with why as its reason, when nobody wants it any more. */
  readonly givenUp: AbortSignal;
}

/** The configuration of a start, and what the operator has to know of where it comes from. */
export interface FirstReading {
  readonly reading: ConfigReading;
  readonly warning: string | null;
}

/**
 * Reads the configuration.
 *
 * @throws {Error} with a sentence that says what is wrong with it, and where; or why it was given up
 */
export async function readConfig(plan: ServerPlan, options: ReadingOptions): Promise<ConfigReading> {
  return await readFrom(() => plan.options.config.load(), plan, options);
}

/**
 * Reads the configuration of a generation that starts. One that takes the place of a dead one serves with the last good configuration rather than not at all.
 *
 * @param lastGood of a generation before this one; undefined: there is none, or what is on disk must be good
 * @throws {Error} what is wrong with the one on disk, if the last good one is of no use either
 */
export async function readFirstConfig(plan: ServerPlan, lastGood: LastGood | undefined, options: ReadingOptions): Promise<FirstReading> {
  let why = lastGood?.insteadBecause ?? null;
  if (why === null) {
    try {
      return { reading: await readConfig(plan, options), warning: null };
    } catch (thrown) {
      if (lastGood === undefined || options.givenUp.aborted) throw thrown;
      why = textOf(thrown);
    }
  }
  const { config, insteadBecause } = lastGood as LastGood;
  try {
    const reading = await readFrom(() => unpackConfig(config), plan, options);
    const what = insteadBecause === null ? 'the configuration is broken' : 'no generation could serve with the configuration on disk';
    return { reading, warning: `${what}, and the last good one is served until a reload succeeds: ${why}` };
  } catch {
    // What is to be mended is the other one.
    throw new Error(why);
  }
}

async function readFrom(load: () => unknown, plan: ServerPlan, options: ReadingOptions): Promise<ConfigReading> {
  const timed = { ...options, deadline: options.clock.now() + options.limitMs };
  const config = await within(timed, 'loading the configuration', async () => {
    const loaded = await load();
    // A copy of our own: the program may keep the one that it gave, and change it. What cannot be copied could not be told to the workers either.
    return deepFreeze(structuredClone(loaded));
  });
  await within(timed, 'loading and checking the configuration', async () => {
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

interface TimedReading extends ReadingOptions {
  /** When the limit is over. */
  readonly deadline: number;
}

async function within<T>({ clock, limitMs, deadline, givenUp }: TimedReading, what: string, begin: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const handleGivenUp = (): void => late.reject(new Error(textOf(givenUp.reason)));
  const timeout = clock.schedule(Math.max(0, deadline - clock.now()), () =>
    late.reject(new Error(`${what} took longer than ${limitMs} ms`)),
  );
  givenUp.addEventListener('abort', handleGivenUp);
  if (givenUp.aborted) handleGivenUp();
  try {
    return await Promise.race([begin(), late.promise]);
  } finally {
    timeout.cancel();
    givenUp.removeEventListener('abort', handleGivenUp);
  }
}

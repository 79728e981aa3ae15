/** What all services are made of: a name, where they listen, hooks; and the checks of these, made once, when the service is built. */
import { parseAddress, toNetAddress } from '@ferrata/net';
import { isThenable, watchAnswer } from '@ferrata/stream';
import type { ListenAddress, Placement } from '../service.ts';
import { checkOptionNames } from '../suggest.ts';

/** Options that every service has. */
export interface ServiceDefinition<C> {
  /** Unique in a server: letters, digits, `-`, `_`, `.`; 1 to 100 of them. */
  readonly name: string;
  /** Looks at a configuration before anything is done with it; throws or rejects with what is wrong. Default: every one will do. */
  readonly check?: (config: C) => void | Promise<void>;
  /** Called in each thread before the service starts there; see `Service.onStartupDelay`. Default: nothing. */
  readonly onStartupDelay?: (waitedMs: number) => void | Promise<void>;
}

/** Options that every service with sockets has. */
export interface ListeningDefinition<C> extends ServiceDefinition<C> {
  readonly listen: ListenPlaces<C>;
  /** Where it runs. Default `workers`. In `main` it shares the thread that answers for all others: for figures and health, not for traffic. */
  readonly placement?: Placement;
}

/** Where a service listens: always there, or where the configuration says. A function must give the same for the same configuration, and no promise. */
export type ListenPlaces<C> = readonly ListenAddress[] | ((config: C) => readonly ListenAddress[]);

const definitionNames: Readonly<Record<keyof ServiceDefinition<unknown>, true>> = { name: true, check: true, onStartupDelay: true };
const placeNames: Readonly<Record<keyof ListenAddress, true>> = {
  address: true,
  transport: true,
  backlog: true,
  ipv6Only: true,
  mode: true,
  label: true,
};

/**
 * Checks what all services have, and the names of all options.
 *
 * @param what the class, for messages
 * @param known names of the options that this kind of service has beside those of `ServiceDefinition`
 * @throws {TypeError} for an unknown option, or one of the wrong kind @throws {RangeError} for a name that is none
 */
export function checkDefinition<C>(what: string, options: ServiceDefinition<C>, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${what} needs options`);
  checkOptionNames(what, options, [...Object.keys(definitionNames), ...known]);
  const { name } = options;
  if (typeof name !== 'string') throw new TypeError(`${what} needs a name`);
  if (!/^[A-Za-z0-9._-]{1,100}$/.test(name)) {
    throw new RangeError(
      `the name of a service has 1 to 100 letters, digits, "-", "_" and ".", unlike ${JSON.stringify(name.slice(0, 120))}`,
    );
  }
  checkCallback(`check of ${name}`, options.check);
  checkCallback(`onStartupDelay of ${name}`, options.onStartupDelay);
}

/** @throws {TypeError} if a callback is given and is no function */
export function checkCallback(what: string, callback: unknown): void {
  if (callback !== undefined && typeof callback !== 'function') throw new TypeError(`${what} must be a function`);
}

/** @throws {TypeError} unless it is a function */
export function checkFunction(what: string, callback: unknown): void {
  if (typeof callback !== 'function') throw new TypeError(`${what} must be a function`);
}

/**
 * The options that a callback has given. A promise of them would pass for an object that says nothing: a listener without its TLS.
 *
 * @throws {TypeError} if they are none
 */
export function givenOptions<T>(what: string, given: T): T {
  if (typeof given === 'object' && given !== null && !isThenable(given)) return given;
  // Its rejection would be nobody's.
  watchAnswer(given);
  throw new TypeError(`${what} must give options${isThenable(given) ? ', and no promise of them' : ''}`);
}

/**
 * Checks where a service runs and listens, as far as that is known without a configuration.
 *
 * @returns where it runs @throws {TypeError} if a place is malformed @throws {RangeError} if there is no such placement
 */
export function checkListening<C>({ name, listen, placement = 'workers' }: ListeningDefinition<C>, transport: 'stream' | 'udp'): Placement {
  if (typeof listen !== 'function') checkPlaces(name, listen, transport);
  if (placement !== 'workers' && placement !== 'oneWorker' && placement !== 'main') {
    throw new RangeError(`placement of ${name} must be workers, oneWorker or main, not ${String(placement)}`);
  }
  return placement;
}

/** The places of one configuration, checked. @throws {TypeError} if they are malformed, and whatever the user's function throws */
export function placesOf<C>(service: string, listen: ListenPlaces<C>, config: C, transport: 'stream' | 'udp'): readonly ListenAddress[] {
  return typeof listen === 'function' ? checkPlaces(service, listen(config), transport) : listen;
}

function checkPlaces(service: string, places: unknown, transport: 'stream' | 'udp'): readonly ListenAddress[] {
  // Its rejection would be nobody's.
  watchAnswer(places);
  if (!Array.isArray(places)) throw new TypeError(`${service}: listen must be a list of { address, … }`);
  const list = places as readonly ListenAddress[];
  for (const place of list) checkPlace(service, place, transport);
  return list;
}

function checkPlace(service: string, place: ListenAddress, transport: 'stream' | 'udp'): void {
  if (typeof place !== 'object' || place === null) throw new TypeError(`${service}: listen must be a list of { address, … }`);
  checkOptionNames(`${service}: listen`, place, Object.keys(placeNames));
  if (place.transport !== undefined && place.transport !== 'udp') throw new TypeError(`${service}: transport is udp, or is not given`);
  if ((place.transport === 'udp') !== (transport === 'udp')) {
    throw new TypeError(`${service}: ${transport === 'udp' ? "it listens on UDP alone: say transport: 'udp'" : 'it cannot listen on UDP'}`);
  }
  const { address } = place;
  if (typeof address === 'string') parseAddress(address);
  else toNetAddress(address);
}

/**
 * Discoveries made of others: several as one, some of the backends only, backends with something changed.
 *
 * Rules: of backends with the same name the first counts, in the order of the list. What a function of the program throws is a failure: the set before holds on.
 */
import { toWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { toNetAddress } from '@ferrata/net';
import { nameOf, type PlainBackend } from '../backend.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { WatchedSink } from './watched-sink.ts';

/**
 * Several discoveries as one: all their backends, those of the first one first.
 *
 * It says a first set when each has said one, or has failed once, and at least one has said one: a set with holes in it would send everything to a few. From then on each set of
 * one of them makes a new one. Where one fails, that is told, and its last good set stays; if another one says a set meanwhile, whoever listens takes all to be well until the
 * failing one fails again.
 *
 * @throws {TypeError} when the list is empty
 */
export function mergeDiscoveries(discoveries: readonly Discovery[]): Discovery {
  if (!Array.isArray(discoveries) || discoveries.length === 0) throw new TypeError('at least one discovery is needed');
  const list = [...(discoveries as readonly Discovery[])];
  return {
    name: list.map(({ name }) => name).join(' + '),
    watch: (sink, environment) => new MergeWatch(list, sink, environment),
  };
}

/**
 * Those backends of a discovery of which `predicate` says so. It is asked for each whenever a set comes, and must say the same each time.
 *
 * @throws {TypeError} when `predicate` is no function
 */
export function filterDiscovery(discovery: Discovery, predicate: (backend: PlainBackend) => boolean): Discovery {
  if (typeof predicate !== 'function') throw new TypeError('predicate must be a function');
  return transformed(discovery, (backends) => backends.filter((backend) => predicate(backend)));
}

/**
 * The backends of a discovery, each as `map` makes it: with a zone, say, that its metadata tell.
 *
 * @throws {TypeError} when `map` is no function
 */
export function mapDiscovery(discovery: Discovery, map: (backend: PlainBackend) => PlainBackend): Discovery {
  if (typeof map !== 'function') throw new TypeError('map must be a function');
  return transformed(discovery, (backends) => eachNameOnce(backends.map((backend) => map(backend))));
}

function transformed(discovery: Discovery, transform: (backends: readonly PlainBackend[]) => readonly PlainBackend[]): Discovery {
  return {
    name: discovery.name,
    watch(sink: DiscoverySink, environment: HttpEnvironment): DiscoveryWatch {
      const watched = new WatchedSink(sink);
      const through: DiscoverySink = {
        onBackends(backends) {
          let made: readonly PlainBackend[];
          try {
            made = transform(backends);
          } catch (thrown) {
            watched.onFailed(toWireError(thrown, 'DISCOVERY_FUNCTION_THREW'));
            return;
          }
          watched.onBackends(made);
        },
        onFailed: (error) => watched.onFailed(error),
      };
      const watch = discovery.watch(through, environment);
      return closingBoth(watched, watch);
    },
  };
}

class MergeWatch implements DiscoveryWatch {
  readonly #sink: WatchedSink;
  readonly #watches: DiscoveryWatch[] = [];
  readonly #sets: (readonly PlainBackend[] | null)[];
  readonly #hasSpoken: boolean[];

  constructor(discoveries: readonly Discovery[], sink: DiscoverySink, environment: HttpEnvironment) {
    this.#sink = new WatchedSink(sink);
    this.#sets = discoveries.map(() => null);
    this.#hasSpoken = discoveries.map(() => false);
    try {
      for (const [index, discovery] of discoveries.entries()) {
        const part: DiscoverySink = {
          onBackends: (backends) => this.#take(index, backends),
          onFailed: (error) => this.#fail(index, error),
        };
        this.#watches.push(discovery.watch(part, environment));
      }
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  close(): void {
    this.#sink.close();
    for (const watch of this.#watches) watch.close();
  }

  #take(index: number, backends: readonly PlainBackend[]): void {
    this.#sets[index] = backends;
    this.#hasSpoken[index] = true;
    this.#say();
  }

  #fail(index: number, error: WireError): void {
    const isFirst = this.#hasSpoken[index] === false;
    this.#hasSpoken[index] = true;
    this.#sink.onFailed(error);
    // It may have been the last that the others waited for.
    if (isFirst) this.#say();
  }

  #say(): void {
    if (this.#hasSpoken.includes(false) || this.#sets.every((set) => set === null)) return;
    let merged: readonly PlainBackend[];
    try {
      merged = eachNameOnce(this.#sets.flatMap((set) => set ?? []));
    } catch (thrown) {
      // A discovery of the program's own has said what is no backend.
      this.#sink.onFailed(toWireError(thrown, 'DISCOVERY_BAD_BACKEND'));
      return;
    }
    this.#sink.onBackends(merged);
  }
}

/** @throws {TypeError} when an address cannot be read */
function eachNameOnce(backends: readonly PlainBackend[]): readonly PlainBackend[] {
  const byName = new Map<string, PlainBackend>();
  for (const backend of backends) {
    const name = backend.name ?? nameOf(toNetAddress(backend.address));
    if (!byName.has(name)) byName.set(name, backend);
  }
  return byName.size === backends.length ? backends : [...byName.values()];
}

function closingBoth(first: DiscoveryWatch, second: DiscoveryWatch): DiscoveryWatch {
  return {
    close() {
      first.close();
      second.close();
    },
  };
}

/** A discovery that knows its backends from the beginning: for tests, and to be merged with others. */
import type { HttpEnvironment } from '@ferrata/http';
import { type BackendInit, checkBackend, type PlainBackend, plainBackend } from '../backend.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { WatchedSink } from './watched-sink.ts';

/**
 * Makes a discovery of a list that does not change. It says it once.
 *
 * @throws {TypeError} for a backend that is none, that is virtual, or whose name another one has
 * @throws {RangeError} for a number out of its range
 */
export function staticDiscovery(backends: readonly BackendInit[]): Discovery {
  if (!Array.isArray(backends)) throw new TypeError('backends must be a list');
  const names = new Set<string>();
  const plain: readonly PlainBackend[] = (backends as readonly BackendInit[]).map((init) => {
    const { name } = checkBackend(init);
    if (names.has(name)) throw new TypeError(`two backends go by the name ${name}`);
    names.add(name);
    return plainBackend(init);
  });
  return {
    name: 'static',
    watch(sink: DiscoverySink, _environment: HttpEnvironment): DiscoveryWatch {
      const watched = new WatchedSink(sink);
      // Never from inside the call.
      queueMicrotask(() => watched.onBackends(plain));
      return watched;
    },
  };
}

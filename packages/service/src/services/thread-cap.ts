/** The connections that one thread may have: its part of the descriptors of the process. */
import type { HttpEnvironment } from '@ferrata/http';
import { ConnectionCap, descriptorLimit } from '@ferrata/net';

/** By the environment, which all services of a thread share: so they share the count, too. */
const caps = new WeakMap<HttpEnvironment, ConnectionCap>();

/**
 * The cap that all services of a thread share that have none of their own: the limit of descriptors, less a quarter of it (at least 256, at most 1 024, for listening
 * sockets, files and connections to elsewhere), divided by the number of threads.
 */
export function threadCap(environment: HttpEnvironment, threads: number): ConnectionCap {
  const found = caps.get(environment);
  if (found !== undefined) return found;
  const limit = descriptorLimit();
  const reserve = Math.floor(Math.min(1_024, Math.max(256, limit / 4), limit / 2));
  // With a tiny limit and many threads a share is less than one connection: one it is then.
  const cap =
    limit === Infinity ? new ConnectionCap(Infinity) : new ConnectionCap(Math.max(1, Math.floor((limit - reserve) / Math.max(1, threads))));
  caps.set(environment, cap);
  return cap;
}

/** The connections that one thread may have: its part of the descriptors of the process. */
import type { HttpEnvironment } from '@ferrata/http';
import { ConnectionCap, descriptorLimit } from '@ferrata/net';
import type { ServiceContext } from '../service.ts';

/** By the environment, which all services of a thread share: so they share the count, too. */
const caps = new WeakMap<HttpEnvironment, ConnectionCap>();

/**
 * The cap that all services of a thread share that have none of their own: the limit of descriptors, less a quarter of it (at least 256, at most 1 024, for listening
 * sockets, files and connections to elsewhere), divided by the number of workers. The main thread, which is not for traffic, has a quarter of that reserve.
 */
export function threadCap({ environment, threads, worker }: ServiceContext<unknown>): ConnectionCap {
  const found = caps.get(environment);
  if (found !== undefined) return found;
  const limit = descriptorLimit();
  const reserve = Math.floor(Math.min(1_024, Math.max(256, limit / 4), limit / 2));
  // With a tiny limit and many threads a share is less than one connection: one it is then.
  const share = worker === 0 ? reserve / 4 : (limit - reserve) / Math.max(1, threads);
  const cap = new ConnectionCap(limit === Infinity ? Infinity : Math.max(1, Math.floor(share)));
  caps.set(environment, cap);
  return cap;
}

/**
 * What a discovery is: something that knows which backends there are, and says so again when that changes.
 *
 * Rules:
 * - It says the whole set each time. The first thing it says is a set or a failure.
 * - A failure takes nothing away: the last good set holds on. It tries again by itself, with back-off, until it is closed.
 * - After `close` it says nothing more.
 * - Only what is plain data is discovered: what a program needs beside (a peer, say) is made of it by `extend` of the balancer, in each thread.
 */
import type { WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { PlainBackend } from '../backend.ts';

/** Who hears of sets. */
export interface DiscoverySink {
  /** These are the backends, all of them. An empty list is an answer: there are none. */
  onBackends(backends: readonly PlainBackend[]): void;
  /** It could not be found out; what was said last holds on. */
  onFailed(error: WireError): void;
}

/** A discovery that runs. */
export interface DiscoveryWatch {
  close(): void;
}

/** Knows which backends there are. */
export interface Discovery {
  /** What stands in notices: `dns://app.example:80`. No credentials. */
  readonly name: string;
  /** Begins to look. `sink` is never called from inside this call. */
  watch(sink: DiscoverySink, environment: HttpEnvironment): DiscoveryWatch;
}

/** The sets that are swapped among threads, and what the threads and `threads.ts` say to each other. */
import { setImmediate } from 'node:timers/promises';
import type { Discovery, DiscoverySink, PlainBackend } from '@ferrata/load-balancing';

/** Backends of a set. */
export const SIZE = 3_000;
/** Of them, those that are in every set: the first ones. */
export const LASTING = 2_000;

/** What a thread is asked. */
export type Question =
  | { readonly kind: 'run'; readonly forMs: number }
  | { readonly kind: 'hold'; readonly places: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'status' };

/** What it says. */
export interface ThreadWord {
  readonly leads: boolean;
  /** Requests under way in all threads, at the backends of both its balancers. */
  readonly inflight: number;
  /** Of the set in force that was published. */
  readonly marker: string;
  /** Sets that were in force, as far as it saw them. */
  readonly sets: number;
  readonly ownSets: number;
  readonly selections: number;
  readonly problems: readonly string[];
}

/** A set: its number is in the metadata of each backend. A third of the backends comes and goes. */
export function setOf(kind: string, number: number): readonly PlainBackend[] {
  const metadata = { set: String(number) };
  return Array.from({ length: SIZE }, (_, place) => {
    const generation = place < LASTING ? 0 : 1 + (number % 3);
    return { address: `10.${generation}.${place >>> 8}.${place & 0xff}:80`, name: `${kind}-${generation}-${place}`, metadata };
  });
}

/** A discovery that says another set whenever it is told to. */
export interface SetSource extends Discovery {
  /** Says one after another, as fast as it can. */
  swap(isOver: () => boolean): Promise<void>;
}

/** Makes one. */
export function swappedSets(): SetSource {
  let sink: DiscoverySink | null = null;
  let number = 0;
  return {
    name: 'sets of a test',
    watch(to) {
      queueMicrotask(() => {
        sink = to;
        to.onBackends(setOf('published', number));
      });
      return { close: () => void (sink = null) };
    },
    async swap(isOver) {
      while (!isOver()) {
        sink?.onBackends(setOf('published', ++number));
        await setImmediate();
      }
    },
  };
}

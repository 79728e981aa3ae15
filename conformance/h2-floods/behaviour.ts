/**
 * How every server under attack, and every origin behind one, answers: by path alone, so that one attack fits them all.
 *
 * | path | answer |
 * | --- | --- |
 * | `/` | 200 and two bytes, at once |
 * | `/wait` | none, ever |
 * | `/big` | 200 and 1 MiB (of an origin 256 KiB), as fast as the client takes it |
 * | `/read` | 200 when the body is whole |
 * | `/early` | 200 at once, the body is not looked at |
 * | `/stuck` | none, ever, and the body is not read |
 * | `/token` | 200 and the value of the request's `x-token` |
 */

/** Bytes of the answer to `/big`. */
export const BIG_BYTES = 1_048_576;

/**
 * The same of an origin: more than all that a proxy may hold of one response, but not so much that the kernel, which takes it from a thousand
 * HTTP/1 connections at once, is what everybody waits for.
 */
export const BIG_ORIGIN_BYTES = 262_144;

/** The pieces it is written in. */
export const BIG_PIECE_BYTES = 16_384;

/** What a server tells of itself. */
export interface Counts {
  /** Requests that a handler was begun for, since the start. */
  readonly begun: number;
  /** Those that have ended, whatever became of them. */
  readonly closed: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Bytes in use on the heap and beside it, after a collection if one was asked for. */
  readonly liveBytes: number;
}

/** What a server's process sends to the suite: that it listens, or its counts. */
export type Message = { readonly port: number } | { readonly counts: Counts };

/** Tells the suite what it asks for, and what this process has in use; ends the process when the suite is gone. */
export function reportTo(suite: NodeJS.Process, port: number, counts: () => Omit<Counts, 'liveBytes'>): void {
  suite.on('message', (wanted) => {
    // A collection would stop the server for a moment: only where it is asked for.
    if (wanted === 'collected counts') (globalThis as { readonly gc?: () => void }).gc?.();
    const { heapUsed, external } = suite.memoryUsage();
    tell(suite, { counts: { ...counts(), liveBytes: heapUsed + external } });
  });
  suite.on('disconnect', () => suite.exit(0));
  tell(suite, { port });
}

function tell(suite: NodeJS.Process, message: Message): void {
  suite.send?.(message, undefined, undefined, () => undefined);
}

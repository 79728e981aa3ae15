/**
 * Whose connection it was that failed: every worker that is told to (`TargetOptions.tellsAccepted`) notes the ports of each connection that it accepts, so that
 * one that breaks before any answer, or in the handshake of TLS, is known as well, and so are those of a proxy, whose answers are somebody else's.
 */
import type { FailureRecord } from './tally.ts';

/** A connection that a worker has accepted. */
export interface Accepted {
  /** As `ClientEnd` has them. */
  readonly ports: string;
  /** `PID.WORKER.THREAD`. */
  readonly by: string;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/**
 * Looks for failures that nobody's death explains.
 *
 * Some cannot be looked up: a Unix socket has no port, a datagram no connection, and of each listening socket a thread that dies may hold one more connection, which
 * libuv has accepted for it and JavaScript has not seen.
 *
 * @param diedAt when whoever is named so (`PID.WORKER.THREAD`) died, in monotonic milliseconds; null: has not died
 * @param mostUnseen how many of these there may be
 * @returns a sentence, or null: all were connections of the dead, and failed when those were dead
 */
export function unexplained(
  failures: readonly FailureRecord[],
  accepted: readonly Accepted[],
  diedAt: (by: string) => number | null,
  mostUnseen: number,
): string | null {
  const byPorts = new Map<string, Accepted[]>();
  for (const one of accepted) byPorts.set(one.ports, [...(byPorts.get(one.ports) ?? []), one]);
  const unseen: FailureRecord[] = [];
  for (const failure of failures) {
    // They are another connection's before and after: whoever accepted it since this one began to connect.
    const last = (failure.ports === null ? undefined : byPorts.get(failure.ports))?.findLast(
      ({ at }) => at >= failure.openedAt && at <= failure.at,
    )?.by;
    const text = JSON.stringify(failure);
    if (last === undefined) {
      unseen.push(failure);
      continue;
    }
    const died = diedAt(last);
    if (died === null) return `it was a connection of ${last}, who lives: ${text}`;
    if (failure.at < died) return `it was a connection of ${last}, ${(died - failure.at).toFixed(0)} ms before that died: ${text}`;
  }
  if (unseen.length <= mostUnseen) return null;
  return `of ${unseen.length} nobody knows whose they were, not ${mostUnseen} at most: ${JSON.stringify(unseen.slice(0, 8))}`;
}

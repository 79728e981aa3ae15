/** What must become of a case of faults of the client: a pure function of the case, and what is wrong with what was seen. */
import type { Outcome } from '@ferrata/proxy';
import type { Seen } from './client-end.ts';
import type { ClientCase } from './client-plan.ts';
import type { LogLine } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { bodyOf } from './scripts.ts';

/** What the rules say. */
export interface Expected {
  /** What the client is told; 0: nothing. Null: it has reset, and hears nothing any more. */
  readonly status: number | null;
  /** Null: no request has begun. */
  readonly outcome: Outcome | null;
  /** What of the request the origin may have: nothing, a part that visibly is none, all but given up, or all. */
  readonly origin: 'nothing' | 'cancelled' | 'answered';
}

/** What was seen of one case. */
export interface Observed {
  readonly client: Seen;
  readonly isClientOver: boolean;
  readonly logs: readonly LogLine[];
  readonly requests: readonly OriginRequest[];
}

/** The rules of the fault list. */
export function expectedOf({ cell, fault, position, script }: ClientCase): Expected {
  const isWhole = position === script.end;
  if (position < script.headEnd) {
    if (fault === 'reset') return { status: null, outcome: null, origin: 'nothing' };
    // C1: HTTP/1 has words for a head that has begun and takes too long, or ends too early (RFC 9110 §15.5.9, RFC 9112 §8); HTTP/2 closes its connection.
    const hasWords = cell.down.protocol === 'http1' && position > 0;
    return { status: hasWords ? (fault === 'stall' ? 408 : 400) : 0, outcome: null, origin: 'nothing' };
  }
  // C3: who has said all may end its side, or say no more, and is answered.
  if (isWhole && fault !== 'reset') return { status: 200, outcome: 'completed', origin: 'answered' };
  if (fault === 'reset') return { status: null, outcome: 'client_abort', origin: 'cancelled' };
  // C1: HTTP/2 closes the stream; or the connection, of who does not even acknowledge SETTINGS (RFC 9113 §6.5.3).
  if (fault === 'stall') return { status: cell.down.protocol === 'http1' ? 408 : 0, outcome: 'timeout', origin: 'cancelled' };
  // A message that ends too early is malformed (RFC 9112 §8); a connection of HTTP/2 that ends leaves its streams.
  return cell.down.protocol === 'http1'
    ? { status: 400, outcome: 'client_abort', origin: 'cancelled' }
    : { status: 0, outcome: 'client_abort', origin: 'cancelled' };
}

/** @returns what is wrong; nothing, if all is as it must be */
export function clientBreaches(it: ClientCase, { client, isClientOver, logs, requests }: Observed): string[] {
  const { status, outcome, origin } = expectedOf(it);
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  check(logs.length === (outcome === null ? 0 : 1), `logged ${logs.length} times`);
  const [log] = logs;
  if (log !== undefined && outcome !== null) {
    check(log.outcome === outcome, `logged as ${log.outcome} (${log.reason}), not ${outcome}`);
    check(log.source === (outcome === 'completed' ? '' : 'downstream'), `blamed on ${log.source}`);
  }
  if (status !== null) {
    check(client.status === status, `answered ${client.status}, not ${status}`);
    check(status === 0 || client.ending === 'whole', `the answer is ${client.ending}`);
    check(client.rest === '', `more behind the answer: ${JSON.stringify(client.rest)}`);
    check(status !== 0 || client.ending === 'cut', `nothing was said, and the answer is ${client.ending}`);
    const isReset = it.cell.down.protocol === 'http2' && it.isAlive && outcome === 'timeout';
    if (isReset) check(client.resetCode === 8, `RST_STREAM ${client.resetCode}, not CANCEL`);
    check(isReset !== isClientOver || origin === 'answered', `the connection of the client is ${isClientOver ? 'over' : 'still open'}`);
  }
  check(requests.length === (origin === 'nothing' ? 0 : 1), `${requests.length} requests have come to the origin`);
  const [request] = requests;
  if (request === undefined) return breaches;
  const body = bodyOf(it.request);
  check(body.startsWith(request.body), `the origin has a body of ${JSON.stringify(request.body)}`);
  const mustBeWhole = it.position === it.script.end;
  check(request.isWhole === mustBeWhole, mustBeWhole ? 'the origin has not all of it' : 'a part looks whole to the origin');
  if (mustBeWhole) check(request.body === body, `the origin has a whole body of ${JSON.stringify(request.body)}`);
  if (origin === 'cancelled') {
    check(request.isCancelled, 'the request to the origin goes on');
    check(request.resetCode === null || request.resetCode === 8, `RST_STREAM ${request.resetCode}, not CANCEL`);
  }
  return breaches;
}

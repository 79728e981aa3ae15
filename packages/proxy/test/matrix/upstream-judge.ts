/** What must become of a case of faults of the upstream: a pure function of the case, and what is wrong with what was seen. */
import type { Outcome } from '@ferrata/proxy';
import { type Ending, fieldLines, type Seen } from './client-end.ts';
import type { LogLine } from './matrix-world.ts';
import type { OriginEnd } from './origin-end.ts';
import { bodyOf } from './scripts.ts';
import { isSilence, type UpstreamCase } from './upstream-plan.ts';

/** What the rules say. */
export interface Expected {
  /** What the client has, unless it has left. */
  readonly answer: { readonly status: number; readonly ending: Ending; readonly body: string; readonly hasTrailers: boolean } | null;
  readonly outcome: Outcome;
  /** The status that is logged. */
  readonly status: number;
  readonly connections: number;
}

/** What was seen of one case. */
export interface Observed {
  readonly client: Seen;
  readonly logs: readonly LogLine[];
  readonly connections: readonly OriginEnd[];
  /** Another request beside it, on the same connection where the protocol has that; null: there was none. */
  readonly neighbour: Seen | null;
  /** One more on the same connection when all was over; HTTP/2 only. */
  readonly next: Seen | null;
}

const METHODS_SENT_TWICE: ReadonlySet<string> = new Set(['GET']);

/** The rules of the fault list, in their order. */
export function expectedOf(it: UpstreamCase): Expected {
  const { fault, position, script, scenario, isOnce } = it;
  const { answer } = scenario;
  const whole: Expected = {
    answer: { status: answer.status, ending: 'whole', body: bodyOf(answer), hasTrailers: answer.trailers.length > 0 },
    outcome: 'completed',
    status: answer.status,
    connections: 1,
  };
  const hasHead = position >= script.headEnd;
  // U7: what is delimited by the end of its connection is whole by it, wherever it comes.
  // Over TLS that holds without close_notify too: Node gives both as an end.
  if (script.isEndedByClose && hasHead && (fault === 'end' || fault === 'bare end')) {
    const body = bodyOf(answer).slice(0, position - script.headEnd);
    return { ...whole, answer: { status: answer.status, ending: 'whole', body, hasTrailers: false } };
  }
  if (position === script.end && !script.isEndedByClose) return whole;
  // C2: the client is gone, and what came until then is all that it was sent.
  if (fault === 'client leaves') return { answer: null, outcome: 'client_abort', status: hasHead ? answer.status : 0, connections: 1 };
  const outcome: Outcome = isSilence(fault) ? 'timeout' : 'upstream_error';
  // U6, U7, U8: after the head the answer is cut, visibly.
  if (hasHead) {
    const cut = { status: answer.status, ending: 'cut', body: bodyOf(answer), hasTrailers: false } as const;
    return { answer: cut, outcome, status: answer.status, connections: 1 };
  }
  // U3, U4: sent again, once; U5: nothing of an answer may have come.
  const isSentAgain = maySendAgain(it);
  if (isSentAgain && isOnce) return { ...whole, connections: 2 };
  const status = isSilence(fault) ? 504 : 502;
  return { answer: { status, ending: 'whole', body: '', hasTrailers: false }, outcome, status, connections: isSentAgain ? 2 : 1 };
}

/**
 * RFC 9110 §9.2.2: only what is idempotent, and only if nothing of an answer has come, which over HTTP/2 is a frame. Silence is waited for, and then
 * it is too late, unless it is that of a whole connection of HTTP/2: that one is asked by PING whether it lives (RFC 9113 §6.7).
 */
function maySendAgain({ cell, fault, position, script, scenario }: UpstreamCase): boolean {
  if (!METHODS_SENT_TWICE.has(scenario.request.method) || fault === 'stream stall') return false;
  if (cell.up.protocol === 'http1') return fault !== 'stall' && position === 0;
  return position < (script.frameEnds[0] ?? 0);
}

/** @returns what is wrong; nothing, if all is as it must be */
export function upstreamBreaches(it: UpstreamCase, seen: Observed): string[] {
  const expected = expectedOf(it);
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const [log] = seen.logs;
  check(seen.logs.length === 1, `logged ${seen.logs.length} times`);
  if (log !== undefined) {
    check(log.outcome === expected.outcome, `logged as ${log.outcome} (${log.reason}), not ${expected.outcome}`);
    check(log.status === expected.status, `logged with status ${log.status}, not ${expected.status}`);
    const source = { completed: '', client_abort: 'downstream' }[expected.outcome as string] ?? 'upstream';
    check(log.source === source, `blamed on ${log.source}, not ${source}`);
  }
  check(seen.connections.length === expected.connections, `${seen.connections.length} connections, not ${expected.connections}`);
  if (expected.answer !== null) checkAnswer(it, expected.answer, seen.client, check);
  checkConnections(it, seen.connections, check);
  if (seen.neighbour !== null) checkNeighbour('the request beside it', seen.neighbour, check);
  if (seen.next !== null) checkNeighbour('the next request on its connection', seen.next, check);
  return breaches;
}

type Check = (holds: boolean, what: string) => void;

function checkAnswer(
  { cell, scenario }: UpstreamCase,
  { status, ending, body, hasTrailers }: NonNullable<Expected['answer']>,
  { rest, resetCode, ...client }: Seen,
  check: Check,
): void {
  check(client.status === status, `answered ${client.status}, not ${status}`);
  check(client.ending === ending, `the answer is ${client.ending}, not ${ending}`);
  const isOwn = status >= 500;
  if (ending === 'whole' && !isOwn)
    check(client.body === body, `a whole body of ${JSON.stringify(client.body)}, not ${JSON.stringify(body)}`);
  if (ending === 'cut') check(body.startsWith(client.body), `a cut body of ${JSON.stringify(client.body)}`);
  const trailers = hasTrailers ? fieldLines(scenario.answer.trailers) : '';
  // To HTTP/1 they go only in chunks, which the answer to this request has.
  check(client.trailers === trailers, `trailers ${JSON.stringify(client.trailers)}, not ${JSON.stringify(trailers)}`);
  check(rest === '', `more behind the answer: ${JSON.stringify(rest)}`);
  // RFC 9113 §8.1: an answer that is whole before its request may be followed by NO_ERROR alone.
  if (cell.down.protocol === 'http2' && ending === 'cut') check(resetCode === 2, `reset with ${resetCode}, not INTERNAL_ERROR`);
  if (cell.down.protocol === 'http2' && ending === 'whole')
    check(resetCode === null || resetCode === 0, `whole, and reset with ${resetCode}`);
}

/** A connection on which something has gone wrong is gone, and has carried nothing else; HTTP/2 loses a stream only, where that is enough. */
function checkConnections(
  { fault, position, script, cell, scenario }: UpstreamCase,
  connections: readonly OriginEnd[],
  check: Check,
): void {
  const isShared = cell.up.protocol === 'http2';
  const isWhole = position === script.end && !script.isEndedByClose;
  const [faulty] = connections;
  if (fault === 'client leaves' && !isWhole) {
    // C2
    const [request] = faulty?.requests ?? [];
    check(request?.isCancelled === true, 'the request to the origin goes on');
    check(!isShared || request?.resetCode === 8, `RST_STREAM ${request?.resetCode} to the origin, not CANCEL`);
  }
  // U10: of a request that was not sent whole, the rest would be taken for the next one.
  const isEarly = scenario.sentPieces < scenario.request.pieces.length;
  const mayStay = isShared && (fault === 'rst' || fault === 'stream stall' || fault === 'client leaves');
  if (mayStay || (isWhole && (isShared || !isEarly))) return;
  check(faulty?.isOver === true, 'the connection to the origin is still open');
  check(faulty?.requests.length === 1, `${faulty?.requests.length} requests on the connection to the origin`);
}

function checkNeighbour(which: string, { status, body, ending, resetCode }: Seen, check: Check): void {
  check(
    status === 200 && body === 'beside' && ending === 'whole',
    `${which} got ${status}, ${ending}, ${JSON.stringify(body)}, RST ${resetCode}`,
  );
}

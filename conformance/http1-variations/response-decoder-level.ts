/** The decoder level of responses: a case's bytes through `ResponseDecoder`, cut as told, against what the case demands. */
import { isWireError } from '@ferrata/error';
import { MessageEvent, ResponseDecoder } from '@ferrata/http1';
import type { Cutter } from './decoder-level.ts';
import type { ExpectedResponse, ResponseCase } from './response-case.ts';

/** The part of a decoder that a case is judged by, so that a test can plant mistakes. */
export type ResponseReader = Pick<
  ResponseDecoder,
  | 'expect'
  | 'feed'
  | 'next'
  | 'end'
  | 'event'
  | 'head'
  | 'data'
  | 'trailers'
  | 'keepAlive'
  | 'isInterim'
  | 'isTunnel'
  | 'isFinished'
  | 'expectedCount'
>;

/** @returns what is wrong, or null */
export function judgeResponses(one: ResponseCase, cut: Cutter, decoder: ResponseReader = new ResponseDecoder()): string | null {
  const bytes = Buffer.from(one.raw, 'latin1');
  const seen: string[] = [];
  const interim: number[] = [];
  let body = '';
  let hasHead = false;
  let error: string | null = null;

  function drain(): void {
    while (decoder.next()) {
      if (decoder.event === MessageEvent.head) {
        body = '';
        if (decoder.isInterim) interim.push(decoder.head.status);
        else if (decoder.isTunnel) seen.push(tellSeen(decoder, body, one.finals[seen.length]));
        else hasHead = true;
      } else if (decoder.event === MessageEvent.data) {
        body += Buffer.from(decoder.data).toString('latin1');
      } else {
        seen.push(tellSeen(decoder, body, one.finals[seen.length]));
        hasHead = false;
      }
    }
  }

  try {
    for (const method of one.methods) decoder.expect(method);
    for (let at = 0; at < bytes.length; ) {
      const size = cut();
      decoder.feed(Uint8Array.from(bytes.subarray(at, at + size)));
      at += size;
      drain();
    }
    if (one.isEnded) {
      decoder.end();
      drain();
    }
  } catch (thrown) {
    if (!isWireError(thrown)) throw thrown;
    error = thrown.reason;
  }
  const ending = endingOf(decoder, error, hasHead);
  if (ending !== one.ending)
    return `it ends '${ending}'${error === null ? '' : ` (${error})`} instead of '${one.ending}', behind ${interim.length} interim and ${seen.length} final responses`;
  if (JSON.stringify(interim) !== JSON.stringify(one.interim))
    return `interim responses ${interim.join(', ')} instead of ${one.interim.join(', ')}`;
  const expected = one.finals.map(tellExpected);
  const different = expected.findIndex((text, index) => text !== seen[index]);
  if (different >= 0) return `read ${seen[different] ?? 'nothing'} instead of ${expected[different]}`;
  return seen.length > expected.length ? `read ${seen[expected.length]} too` : null;
}

function endingOf(decoder: ResponseReader, error: string | null, hasHead: boolean): string {
  if (error === 'H1_UNEXPECTED_BYTES') return 'stray';
  if (error !== null && hasHead) return 'cut';
  if (error === 'H1_TRUNCATED_HEAD' || error === 'H1_CLOSED_BEFORE_RESPONSE') return 'lost';
  if (error !== null) return 'refused';
  if (decoder.isTunnel) return 'tunnel';
  if (decoder.isFinished) return 'last';
  return hasHead || decoder.expectedCount > 0 ? 'waiting' : 'reusable';
}

function tellSeen(decoder: ResponseReader, body: string, expected: ExpectedResponse | undefined): string {
  const { status, reason, headers } = decoder.head;
  const names = new Set((expected?.fields ?? []).map(([name]) => name));
  return JSON.stringify({
    status,
    reason: (expected?.reason ?? null) === null ? null : reason,
    body,
    trailers: (expected?.trailers ?? null) === null ? null : [...(decoder.trailers ?? [])],
    fields: [...headers].filter(([name]) => names.has(name)),
  });
}

function tellExpected({ status, reason, body, trailers, fields }: ExpectedResponse): string {
  return JSON.stringify({ status, reason, body, trailers, fields });
}

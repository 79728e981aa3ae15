/** The decoder level of requests: a case's bytes through `RequestDecoder`, cut as told, against what the case demands. */
import { isWireError } from '@ferrata/error';
import { effectiveTarget, MessageEvent, RequestDecoder } from '@ferrata/http1';
import type { ExpectedRequest, RequestCase } from './request-case.ts';

/** Says how long the next piece of input is. */
export type Cutter = () => number;

/** The part of a decoder that a case is judged by, so that a test can plant mistakes. */
export type RequestReader = Pick<
  RequestDecoder,
  | 'feed'
  | 'next'
  | 'end'
  | 'event'
  | 'head'
  | 'data'
  | 'trailers'
  | 'keepAlive'
  | 'upgrade'
  | 'expectsContinue'
  | 'isConnect'
  | 'takeRemaining'
>;

/** @returns what is wrong, or null */
export function judgeRequests(one: RequestCase, cut: Cutter, decoder: RequestReader = new RequestDecoder()): string | null {
  const bytes = Buffer.from(one.raw, 'latin1');
  const seen: string[] = [];
  let body = '';
  let ending = 'open';
  let status = 0;
  let isMidMessage = false;

  /** @returns false when nothing more is to be read */
  function drain(): boolean {
    while (decoder.next()) {
      if (decoder.event === MessageEvent.head) {
        body = '';
        isMidMessage = true;
      } else if (decoder.event === MessageEvent.data) {
        body += Buffer.from(decoder.data).toString('latin1');
      } else if (decoder.event === MessageEvent.end) {
        isMidMessage = false;
        seen.push(tellSeen(decoder, body, one.serves[seen.length]));
        if (decoder.isConnect) ending = 'tunnel';
        else if (!decoder.keepAlive) ending = 'closed';
        if (ending !== 'open') return false;
      }
    }
    return true;
  }

  try {
    let isOpen = true;
    for (let at = 0; at < bytes.length && isOpen; ) {
      const size = cut();
      decoder.feed(Uint8Array.from(bytes.subarray(at, at + size)));
      at += size;
      isOpen = drain();
    }
    if (one.ending === 'truncated') {
      decoder.end();
      drain();
    }
  } catch (error) {
    if (!isWireError(error)) throw error;
    status = error.status;
    ending = error.reason.startsWith('H1_TRUNCATED') ? 'truncated' : 'refused';
  }
  if (ending === 'open' && isMidMessage) ending = 'in the middle of a message';
  if (ending !== one.ending)
    return `it ends ${ending}${status === 0 ? '' : ` with ${status}`} instead of ${one.ending}, behind ${seen.length} requests`;
  if (ending === 'refused' && !one.statuses.includes(status)) return `refused with ${status}, where ${one.statuses.join(' or ')} is due`;
  const expected = one.serves.map(tellExpected);
  const different = expected.findIndex((text, index) => text !== seen[index]);
  if (different >= 0) return `read ${seen[different] ?? 'nothing'} instead of ${expected[different]}`;
  return seen.length > expected.length ? `read ${seen[expected.length]} too` : null;
}

function tellSeen(decoder: RequestReader, body: string, expected: ExpectedRequest | undefined): string {
  const { method, target, headers } = decoder.head;
  const { path, authority } = effectiveTarget(decoder.head);
  const names = new Set((expected?.fields ?? []).map(([name]) => name));
  return JSON.stringify({
    method,
    target,
    path: decoder.isConnect ? target : path,
    host: authority,
    body,
    // JSON leaves out what is undefined.
    upgrade: expected?.upgrade === undefined ? undefined : decoder.upgrade,
    expectsContinue: decoder.expectsContinue,
    fields: [...headers].filter(([name]) => names.has(name)),
    trailers: (expected?.trailers ?? null) === null ? null : [...(decoder.trailers ?? [])],
  });
}

function tellExpected({ method, target, path, host, body, upgrade, expectsContinue, fields, trailers }: ExpectedRequest): string {
  return JSON.stringify({ method, target, path, host, body, upgrade, expectsContinue, fields, trailers });
}

/** The decoder level: a case's bytes through `RequestDecoder` as the smallest possible server would drive it. */
import { isWireError } from '@ferrata/error';
import { MessageEvent, RequestDecoder } from '@ferrata/http1';
import type { ObservedRequest } from '../rig/recording-origin.ts';
import type { SmugglingCase } from './cases.ts';
import type { Observation } from './verdict.ts';

/**
 * Decodes a case. A request that is decoded whole counts as served with 200, an error as refused with its status; after a request that ends
 * the connection nothing more is read (RFC 9112 §9.6).
 *
 * @param chunkSize the input is fed in pieces of so many bytes
 * @param decoder a new one, so that a test can plant mistakes
 */
export function observeDecoder(one: SmugglingCase, chunkSize: number, decoder = new RequestDecoder()): Observation {
  const requests: ObservedRequest[] = [];
  const targets: string[] = [];
  const statuses: number[] = [];
  let body = '';
  let isClosed = false;

  /** @returns false when nothing more is to be read */
  function drain(): boolean {
    while (decoder.next()) {
      if (decoder.event === MessageEvent.head) {
        body = '';
        targets.push(decoder.head.target);
      } else if (decoder.event === MessageEvent.data) {
        body += Buffer.from(decoder.data).toString('latin1');
      } else if (decoder.event === MessageEvent.end) {
        requests.push(observed(decoder, body));
        statuses.push(200);
        if (!decoder.keepAlive) {
          isClosed = true;
          return false;
        }
      }
    }
    return true;
  }

  try {
    let isOpen = true;
    for (let at = 0; at < one.raw.length && isOpen; at += chunkSize) {
      decoder.feed(Uint8Array.from(one.raw.subarray(at, at + chunkSize)));
      isOpen = drain();
    }
    if (one.halfClose && isOpen) {
      decoder.end();
      drain();
    }
  } catch (error) {
    if (!isWireError(error)) throw error;
    statuses.push(error.status);
    isClosed = true;
  }
  const isWaiting = !isClosed && statuses.length < (one.sees[0]?.length ?? 0) + 1;
  return { requests, targets, statuses, isClosed, isWaiting, malformed: [] };
}

function observed(decoder: RequestDecoder, body: string): ObservedRequest {
  const { method, target, headers } = decoder.head;
  return {
    method,
    target,
    body,
    host: effectiveHost(target, headers.get('host') ?? ''),
    fieldNames: [...headers].map(([name]) => name.toLowerCase()),
  };
}

/** A Host is ignored where the target names the authority itself (RFC 9112 §3.2.2); obeying that is the business of who reads the head. */
function effectiveHost(target: string, host: string): string {
  return /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(target)?.[1] ?? host;
}

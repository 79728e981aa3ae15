/**
 * Tells HTTP/2 from HTTP/1 by the first bytes of a connection.
 *
 * The client preface of HTTP/2 was chosen so that no HTTP/1 request can begin with it (RFC 9113 §3.4): its method `PRI` is reserved. It may come
 * in any pieces. No bytes are kept meanwhile: those that matched so far are known.
 */
import { CLIENT_PREFACE } from '@ferrata/http2-framing';

/** Bytes of the client preface. */
export const PREFACE_LENGTH: number = CLIENT_PREFACE.length;

/**
 * Goes on comparing.
 *
 * @param matched how many bytes of the preface came before `chunk`
 * @returns how many have come now (`PREFACE_LENGTH`: all), or -1: this is no HTTP/2
 */
export function matchPreface(matched: number, chunk: Uint8Array): number {
  const end = Math.min(chunk.length, PREFACE_LENGTH - matched);
  for (let at = 0; at < end; at++) {
    if (chunk[at] !== CLIENT_PREFACE[matched + at]) return -1;
  }
  return matched + end;
}

/** The preface's bytes of earlier chunks, and `chunk`, as one. */
export function withPreface(matched: number, chunk: Uint8Array): Uint8Array {
  if (matched === 0) return chunk;
  const whole = new Uint8Array(matched + chunk.length);
  whole.set(CLIENT_PREFACE.subarray(0, matched));
  whole.set(chunk, matched);
  return whole;
}

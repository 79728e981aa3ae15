/**
 * The payloads of ALTSVC and ORIGIN.
 *
 * ```text
 *   ALTSVC  | Origin-Len (16) | Origin … | Alt-Svc-Field-Value … |          RFC 7838 §4
 *   ORIGIN  | Origin-Len (16) | ASCII-Origin … |  any number of times       RFC 8336 §2
 * ```
 */
import { latin1Decode } from '@ferrata/bytes';

/** Flags that make a recipient ignore an ORIGIN frame (RFC 8336 §2.1). */
export const ORIGIN_RESERVED_FLAGS = 0x0f;

/** Bytes of a length in front of an origin. */
export const ORIGIN_LENGTH_BYTES = 2;

/** How many entries an ORIGIN payload has; -1 if the last one is longer than the payload. */
export function countOrigins(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  let at = start;
  while (at < end) {
    at = originEnd(bytes, at, end);
    if (at < 0) return -1;
    count++;
  }
  return count;
}

/** The entries of an ORIGIN payload that `countOrigins` has found sound. */
export function readOrigins(bytes: Uint8Array, start: number, end: number): string[] {
  const origins: string[] = [];
  let at = start;
  while (at < end) {
    const next = originEnd(bytes, at, end);
    origins.push(latin1Decode(bytes, at + ORIGIN_LENGTH_BYTES, next));
    at = next;
  }
  return origins;
}

/** Where the origin ends whose length stands at `at`; -1 if that lies beyond `end`. */
export function originEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < ORIGIN_LENGTH_BYTES) return -1;
  const length = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return at + ORIGIN_LENGTH_BYTES + length > end ? -1 : at + ORIGIN_LENGTH_BYTES + length;
}

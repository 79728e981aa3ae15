/**
 * Scans a request line byte by byte, across chunks; a line that is whole and usual in straight code.
 *
 * ```text
 *   method ── SP ──► target ── SP ──► version: "HTTP/" DIGIT "." DIGIT ── CR ── LF ──► done
 * ```
 * One SP each (RFC 9112 §3 lets a recipient be lenient about blanks; two readers that differ in it see two requests), CRLF at the end.
 *
 * @see RFC 9112 §2.3, §3
 */
import { HttpVersion, TARGET_BYTES, TOKEN_BYTES } from '@ferrata/headers';
import { type Http1Reason, http1Error } from '../errors.ts';
import { CR, DEL, DIGIT_0, DIGIT_1, DIGIT_9, HASH, isControl, LF, SLASH, SP } from './ascii.ts';
import type { StartLine } from './start-line.ts';
import { isVersionByte, VERSION_LENGTH } from './version.ts';

const State = { method: 0, target: 1, version: 2, carriageReturn: 3, lineFeed: 4, done: 5 } as const;
type State = (typeof State)[keyof typeof State];

/** Limits of a request line. */
export interface RequestLineLimits {
  readonly maxMethodBytes: number;
  readonly maxTargetBytes: number;
  /** Default: none. */
  readonly leniency?: RequestLineLeniency;
}

/** The leniencies of request lines; `options.ts` says what each opens. */
export interface RequestLineLeniency {
  readonly bareLineFeed: boolean;
  readonly nonAsciiTarget: boolean;
}

const STRICT: RequestLineLeniency = Object.freeze({ bareLineFeed: false, nonAsciiTarget: false });

/** ` HTTP/1.1` and CRLF; the minor version may be another digit. */
const PLAIN_TAIL: readonly number[] = [SP, 0x48, 0x54, 0x54, 0x50, 0x2f, DIGIT_1, 0x2e, DIGIT_1, CR, LF];
const PLAIN_TAIL_MINOR = 8;

export class RequestLineScanner implements StartLine {
  at = 0;
  methodEnd = 0;
  targetEnd = 0;
  version: HttpVersion = HttpVersion.http11;
  /** True if the target has bytes above 0x7F, which its reader must encode. */
  isTargetRaw = false;
  readonly #limits: RequestLineLimits;
  readonly #leniency: RequestLineLeniency;
  #state: State = State.method;
  #major = 0;
  #minor = 0;

  constructor(limits: RequestLineLimits) {
    this.#limits = limits;
    this.#leniency = limits.leniency ?? STRICT;
  }

  start(): void {
    this.at = 0;
    this.isTargetRaw = false;
    this.#state = State.method;
  }

  scan(bytes: Uint8Array, end: number): boolean {
    if (this.at === 0 && this.#scanPlainLine(bytes, end)) return true;
    let p = this.at;
    while (p < end) {
      switch (this.#state) {
        case State.method: {
          const limit = Math.min(end, this.#limits.maxMethodBytes);
          while (p < limit && TOKEN_BYTES[bytes[p] as number] !== 0) p++;
          if (p === end) break;
          if (bytes[p] !== SP || p === 0) throw methodError(bytes[p] as number, p === 0);
          this.methodEnd = p;
          p++;
          this.#state = State.target;
          break;
        }
        case State.target: {
          const start = this.methodEnd + 1;
          const limit = Math.min(end, start + this.#limits.maxTargetBytes);
          while (p < limit && TARGET_BYTES[bytes[p] as number] !== 0) p++;
          if (p === end) break;
          // Of origin-form only: in an authority such bytes would be a host that each reader spells in its own way.
          if ((bytes[p] as number) > DEL && this.#leniency.nonAsciiTarget && bytes[start] === SLASH) {
            if (p === limit) throw http1Error('H1_TARGET_TOO_LONG', 'request');
            this.isTargetRaw = true;
            p++;
            break;
          }
          if (bytes[p] !== SP || p === start) throw targetError(bytes[p] as number);
          this.targetEnd = p;
          p++;
          this.#state = State.version;
          break;
        }
        case State.version: {
          const start = this.targetEnd + 1;
          while (p < end && p - start < VERSION_LENGTH) {
            const byte = bytes[p] as number;
            if (!isVersionByte(byte, p - start)) throw versionError(byte);
            if (p - start === 5) this.#major = byte;
            else if (p - start === 7) this.#minor = byte;
            p++;
          }
          if (p - start === VERSION_LENGTH) this.#state = State.carriageReturn;
          break;
        }
        case State.carriageReturn: {
          if (bytes[p] !== CR) {
            if (bytes[p] !== LF || !this.#leniency.bareLineFeed) throw versionError(bytes[p] as number);
            return this.#finish(bytes, p);
          }
          p++;
          this.#state = State.lineFeed;
          break;
        }
        case State.lineFeed: {
          if (bytes[p] !== LF) throw http1Error('H1_BARE_CR', 'request');
          return this.#finish(bytes, p);
        }
        default:
          return true;
      }
    }
    this.at = p;
    return false;
  }

  /** Reads a whole line of version 1.x that breaks no rule; anything else is left to the states, which know the reasons. */
  #scanPlainLine(bytes: Uint8Array, end: number): boolean {
    const { maxMethodBytes, maxTargetBytes } = this.#limits;
    const tokenBytes = TOKEN_BYTES;
    const targetBytes = TARGET_BYTES;
    const methodLimit = Math.min(end, maxMethodBytes);
    let p = 0;
    while (p < methodLimit && tokenBytes[bytes[p] as number] !== 0) p++;
    if (p === 0 || p >= end || bytes[p] !== SP) return false;
    const methodEnd = p++;
    const targetLimit = Math.min(end, p + maxTargetBytes);
    while (p < targetLimit && targetBytes[bytes[p] as number] !== 0) p++;
    if (p === methodEnd + 1 || p + PLAIN_TAIL.length > end) return false;
    for (let i = 0; i < PLAIN_TAIL.length; i++) {
      if (bytes[p + i] !== PLAIN_TAIL[i] && i !== PLAIN_TAIL_MINOR) return false;
    }
    const minor = bytes[p + PLAIN_TAIL_MINOR] as number;
    if (minor < DIGIT_0 || minor > DIGIT_9) return false;
    this.methodEnd = methodEnd;
    this.targetEnd = p;
    this.version = minor === DIGIT_0 ? HttpVersion.http10 : HttpVersion.http11;
    this.at = p + PLAIN_TAIL.length;
    this.#state = State.done;
    return true;
  }

  /** The line is complete with its LF at `p`. */
  #finish(bytes: Uint8Array, p: number): true {
    this.#checkVersion(bytes);
    this.at = p + 1;
    this.#state = State.done;
    return true;
  }

  #checkVersion(bytes: Uint8Array): void {
    if (this.#major !== DIGIT_1) {
      // "PRI * HTTP/2.0" (RFC 9113 §3.4): a client with prior knowledge of HTTP/2 at the wrong door.
      const isPreface = this.methodEnd === 3 && bytes[0] === 0x50 && bytes[1] === 0x52 && bytes[2] === 0x49;
      throw http1Error(isPreface ? 'H1_HTTP2_PREFACE' : 'H1_VERSION_UNSUPPORTED', 'request');
    }
    // RFC 9110 §2.5: a higher minor version is read as the highest one known.
    this.version = this.#minor === DIGIT_0 ? HttpVersion.http10 : HttpVersion.http11;
  }
}

function methodError(byte: number, isFirst: boolean): Error {
  let reason: Http1Reason = 'H1_METHOD_INVALID';
  if (TOKEN_BYTES[byte] !== 0) reason = 'H1_METHOD_TOO_LONG';
  else if (byte === LF) reason = 'H1_BARE_LF';
  else if (byte === CR && !isFirst) reason = 'H1_REQUEST_LINE_INCOMPLETE';
  else if (isControl(byte)) reason = 'H1_CONTROL_BYTE';
  return http1Error(reason, 'request');
}

function targetError(byte: number): Error {
  let reason: Http1Reason = 'H1_TARGET_INVALID';
  if (TARGET_BYTES[byte] !== 0) reason = 'H1_TARGET_TOO_LONG';
  else if (byte === SP) reason = 'H1_TARGET_EMPTY';
  else if (byte === HASH) reason = 'H1_TARGET_FRAGMENT';
  else if (byte === LF) reason = 'H1_BARE_LF';
  // "GET /path" and no more is HTTP/0.9, whose answer has no head and whose request has no length: not spoken.
  else if (byte === CR) reason = 'H1_REQUEST_LINE_INCOMPLETE';
  else if (isControl(byte)) reason = 'H1_CONTROL_BYTE';
  return http1Error(reason, 'request');
}

function versionError(byte: number): Error {
  let reason: Http1Reason = 'H1_VERSION_INVALID';
  if (byte === LF) reason = 'H1_BARE_LF';
  else if (byte === CR) reason = 'H1_REQUEST_LINE_INCOMPLETE';
  else if (isControl(byte)) reason = 'H1_CONTROL_BYTE';
  return http1Error(reason, 'request');
}

/**
 * Scans a status line byte by byte, once, across chunks.
 *
 * ```text
 *   version: "HTTP/" DIGIT "." DIGIT ── SP ──► status: 3DIGIT ── SP ──► reason ── CR ── LF ──► done
 *                                                    └──── CR ────► (see below)
 * ```
 * The one leniency: the SP before an empty reason may be missing. RFC 9112 §4 obliges servers to send it, many do not, and no two readers
 * can disagree about what such a line means.
 *
 * @see RFC 9112 §4
 */
import { FIELD_VALUE_BYTES, HttpVersion } from '@ferrata/headers';
import { type Http1Reason, http1Error } from '../errors.ts';
import { CR, DIGIT_0, DIGIT_1, DIGIT_9, DOT, isControl, LF, SP } from './ascii.ts';
import type { StartLine } from './start-line.ts';
import { isVersionByte, VERSION_LENGTH } from './version.ts';

const State = { version: 0, versionEnd: 1, status: 2, statusEnd: 3, reason: 4, lineFeed: 5, done: 6 } as const;
type State = (typeof State)[keyof typeof State];

const STATUS_START = VERSION_LENGTH + 1;
const STATUS_END = STATUS_START + 3;

/** `HTTP/1.0 000 `: where it has a zero, any digit may stand. */
const PLAIN_START = Uint8Array.of(0x48, 0x54, 0x54, 0x50, 0x2f, DIGIT_1, DOT, DIGIT_0, SP, DIGIT_0, DIGIT_0, DIGIT_0, SP);
const MINOR_AT = VERSION_LENGTH - 1;

export class StatusLineScanner implements StartLine {
  at = 0;
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;
  version: HttpVersion = HttpVersion.http11;
  readonly #maxBytes: number;
  readonly #takesBareLineFeed: boolean;
  #state: State = State.version;
  #major = 0;
  #minor = 0;

  constructor(limits: { readonly maxStatusLineBytes: number; readonly leniency?: { readonly bareLineFeed: boolean } }) {
    this.#maxBytes = limits.maxStatusLineBytes;
    this.#takesBareLineFeed = limits.leniency?.bareLineFeed === true;
  }

  start(): void {
    this.at = 0;
    this.status = 0;
    this.#state = State.version;
  }

  scan(bytes: Uint8Array, end: number): boolean {
    if (this.at === 0 && this.#scanPlainLine(bytes, end)) return true;
    let p = this.at;
    while (p < end) {
      const byte = bytes[p] as number;
      switch (this.#state) {
        case State.version: {
          if (!isVersionByte(byte, p)) throw lineError(byte, 'H1_VERSION_INVALID');
          if (p === 5) this.#major = byte;
          else if (p === 7) this.#minor = byte;
          if (++p === VERSION_LENGTH) this.#state = State.versionEnd;
          break;
        }
        case State.versionEnd: {
          if (byte !== SP) throw lineError(byte, 'H1_VERSION_INVALID');
          if (this.#major !== DIGIT_1) throw http1Error('H1_VERSION_UNSUPPORTED', 'response');
          this.version = this.#minor === DIGIT_0 ? HttpVersion.http10 : HttpVersion.http11;
          p++;
          this.#state = State.status;
          break;
        }
        case State.status: {
          const isFirst = p === STATUS_START;
          if (byte < (isFirst ? DIGIT_1 : DIGIT_0) || byte > DIGIT_9) throw lineError(byte, 'H1_STATUS_INVALID');
          this.status = this.status * 10 + byte - DIGIT_0;
          if (++p === STATUS_END) this.#state = State.statusEnd;
          break;
        }
        case State.statusEnd: {
          if (byte !== SP && byte !== CR && (byte !== LF || !this.#takesBareLineFeed)) throw lineError(byte, 'H1_STATUS_INVALID');
          if (byte === SP) p++;
          this.reasonStart = p;
          this.#state = State.reason;
          break;
        }
        case State.reason: {
          const limit = Math.min(end, this.#maxBytes);
          while (p < limit && FIELD_VALUE_BYTES[bytes[p] as number] !== 0) p++;
          if (p === end) break;
          const last = bytes[p] as number;
          const isFeed = last === LF && this.#takesBareLineFeed;
          if (last !== CR && !isFeed) throw lineError(last, 'H1_STATUS_LINE_TOO_LONG');
          this.reasonEnd = p;
          p++;
          if (isFeed) return this.#finish(p);
          this.#state = State.lineFeed;
          break;
        }
        case State.lineFeed: {
          if (byte !== LF) throw http1Error('H1_BARE_CR', 'response');
          return this.#finish(p + 1);
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
    if (PLAIN_START.length + 3 > end) return false;
    for (let i = 0; i < PLAIN_START.length; i++) {
      const byte = bytes[i] as number;
      const plain = PLAIN_START[i] as number;
      if (plain === DIGIT_0 ? byte < DIGIT_0 || byte > DIGIT_9 : byte !== plain) return false;
    }
    const hundreds = (bytes[STATUS_START] as number) - DIGIT_0;
    if (hundreds === 0) return false;
    const start = PLAIN_START.length;
    const limit = Math.min(end, this.#maxBytes);
    let p = start;
    while (p < limit && FIELD_VALUE_BYTES[bytes[p] as number] !== 0) p++;
    if (p + 1 >= end || bytes[p] !== CR || bytes[p + 1] !== LF) return false;
    const tens = (bytes[STATUS_START + 1] as number) - DIGIT_0;
    const ones = (bytes[STATUS_START + 2] as number) - DIGIT_0;
    this.status = hundreds * 100 + tens * 10 + ones;
    this.version = bytes[MINOR_AT] === DIGIT_0 ? HttpVersion.http10 : HttpVersion.http11;
    this.reasonStart = start;
    this.reasonEnd = p;
    return this.#finish(p + 2);
  }

  /** @param at behind the LF of the line */
  #finish(at: number): true {
    this.at = at;
    this.#state = State.done;
    return true;
  }
}

/** A byte that ends a line wrongly has its own reason wherever it stands; any other gets `reason`. */
function lineError(byte: number, reason: Http1Reason): Error {
  if (byte === LF) return http1Error('H1_BARE_LF', 'response');
  if (byte !== CR && isControl(byte)) return http1Error('H1_CONTROL_BYTE', 'response');
  return http1Error(reason, 'response');
}

/**
 * Finds the field lines of a section (a head's or a trailer's) in one pass, and goes on where it stopped when more bytes come.
 *
 * Rules of this file:
 * - A byte is looked at once, the bytes of a line that is cut or unusual twice. A section that comes a byte at a time costs as many steps as
 *   one that comes whole.
 * - The first wrong byte decides: the reason of an error depends on the bytes up to it, so no cutting into chunks can change it. Limits are
 *   met at the first byte beyond them, before the line is complete.
 * - Nothing is decoded here, only offsets are kept: making strings at the end, from one decoded text, is three times faster than field by field.
 *
 * ```text
 *   lineStart ── tchar ──► name ── ":" ──► blanks ──► value ── CR ──► lineFeed ── LF ──► lineStart
 *       └────── CR ──► lastFeed ── LF ──► done
 * ```
 *
 * @see RFC 9112 §2.2, §5 · RFC 9110 §5.1, §5.5
 */
import { FIELD_VALUE_BYTES, TOKEN_BYTES } from '@ferrata/headers';
import { type Http1Reason, http1Error, type MessageSide } from '../errors.ts';
import { COLON, CR, HTAB, isBlank, isControl, LF, SP } from './ascii.ts';

/** Limits of one section. */
export interface FieldLimits {
  readonly maxFields: number;
  readonly maxFieldBytes: number;
  readonly maxFieldNameBytes: number;
  readonly tooManyReason: Http1Reason;
  /** Default: none. */
  readonly leniency?: FieldLeniency;
}

/** The leniencies of field lines; `options.ts` says what each opens. */
export interface FieldLeniency {
  readonly bareLineFeed: boolean;
  readonly foldedFields: boolean;
  readonly blankBeforeColon: boolean;
}

const STRICT: FieldLeniency = Object.freeze({ bareLineFeed: false, foldedFields: false, blankBeforeColon: false });

const State = { lineStart: 0, name: 1, blanks: 2, value: 3, lineFeed: 4, lastFeed: 5, done: 6, blanksBeforeColon: 7 } as const;
type State = (typeof State)[keyof typeof State];

/** Offsets kept for each line: where its name begins and ends, and where its value does. */
export const OFFSETS_PER_FIELD = 4;

const INITIAL_FIELDS = 16;

export class FieldScanner {
  /** Field lines found so far. */
  count = 0;
  /** Four offsets a line. */
  offsets: Int32Array = new Int32Array(INITIAL_FIELDS * OFFSETS_PER_FIELD);
  /** Where the next byte to be looked at lies. */
  at = 0;
  /** True if a value has line ends in it, which `unfoldFields` takes out. */
  hasFolds = false;
  readonly #limits: FieldLimits;
  readonly #leniency: FieldLeniency;
  readonly #side: MessageSide;
  #state: State = State.lineStart;
  #lineStart = 0;
  #nameEnd = 0;
  #valueStart = 0;

  constructor(side: MessageSide, limits: FieldLimits) {
    this.#side = side;
    // A name is part of its line, so it can never be longer.
    this.#limits = { ...limits, maxFieldNameBytes: Math.min(limits.maxFieldNameBytes, limits.maxFieldBytes) };
    this.#leniency = limits.leniency ?? STRICT;
  }

  /** Begins a section whose first line lies at `at`. */
  start(at: number): void {
    this.at = at;
    this.count = 0;
    this.hasFolds = false;
    this.#state = State.lineStart;
  }

  /**
   * Goes on from `at` to the end of the section, or to `end`.
   *
   * @param bytes the section from its first byte; those before `at` must be the same as in the last call, wherever they lie now
   * @param view of the same bytes as `bytes`
   * @returns true when the section is complete: `at` is behind its last LF
   * @throws {WireError} at the first byte that breaks a rule or a limit
   */
  scan(bytes: Uint8Array, end: number, view: DataView): boolean {
    const { maxFields, maxFieldBytes, maxFieldNameBytes } = this.#limits;
    let state = this.#state;
    let lineStart = this.#lineStart;
    let nameEnd = this.#nameEnd;
    let valueStart = this.#valueStart;
    let p = this.at;
    while (p < end) {
      switch (state) {
        case State.lineStart: {
          p = this.#scanPlainLines(bytes, view, p, end);
          if (p === end) break;
          if (bytes[p] === CR) {
            p++;
            state = State.lastFeed;
            break;
          }
          if (bytes[p] === LF && this.#leniency.bareLineFeed) {
            this.at = p + 1;
            this.#state = State.done;
            return true;
          }
          if (this.#leniency.foldedFields && this.count > 0 && isBlank(bytes[p] as number)) {
            // RFC 9112 §5.2: the last line goes on, and its limit with it: many short folds are one long line.
            const last = --this.count * OFFSETS_PER_FIELD;
            lineStart = this.offsets[last] as number;
            nameEnd = this.offsets[last + 1] as number;
            valueStart = this.offsets[last + 2] as number;
            this.hasFolds = true;
            state = State.value;
            break;
          }
          if (this.count === maxFields) throw http1Error(this.#limits.tooManyReason, this.#side);
          lineStart = p;
          state = State.name;
          break;
        }
        case State.name: {
          const limit = Math.min(end, lineStart + maxFieldNameBytes);
          while (p < limit && TOKEN_BYTES[bytes[p] as number] !== 0) p++;
          if (p === end) break;
          if (bytes[p] !== COLON || p === lineStart) {
            if (p === lineStart || !isBlank(bytes[p] as number) || !this.#leniency.blankBeforeColon) {
              throw this.#nameError(bytes[p] as number, p === lineStart);
            }
            nameEnd = p;
            state = State.blanksBeforeColon;
            break;
          }
          // A name may end at the limit of its line; the colon behind it is then the first byte beyond.
          if (p - lineStart === maxFieldBytes) throw http1Error('H1_FIELD_TOO_LONG', this.#side);
          nameEnd = p++;
          state = State.blanks;
          break;
        }
        case State.blanksBeforeColon: {
          const limit = Math.min(end, lineStart + maxFieldBytes);
          while (p < limit && isBlank(bytes[p] as number)) p++;
          if (p === end) break;
          if (bytes[p] !== COLON) throw this.#blankError(bytes[p] as number);
          if (p - lineStart === maxFieldBytes) throw http1Error('H1_FIELD_TOO_LONG', this.#side);
          p++;
          state = State.blanks;
          break;
        }
        case State.blanks: {
          const limit = Math.min(end, lineStart + maxFieldBytes);
          while (p < limit && isBlank(bytes[p] as number)) p++;
          if (p === end) break;
          valueStart = p;
          state = State.value;
          break;
        }
        case State.value: {
          const limit = Math.min(end, lineStart + maxFieldBytes);
          while (p < limit && FIELD_VALUE_BYTES[bytes[p] as number] !== 0) p++;
          if (p === end) break;
          const isFeed = bytes[p] !== CR;
          if (isFeed && (bytes[p] !== LF || !this.#leniency.bareLineFeed)) throw this.#valueError(bytes[p] as number);
          let valueEnd = p++;
          while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1] as number)) valueEnd--;
          this.#keep(lineStart, nameEnd, valueStart, valueEnd);
          state = isFeed ? State.lineStart : State.lineFeed;
          break;
        }
        case State.lineFeed: {
          // RFC 9112 §2.2: a bare CR is never a line end, and what follows it is never trusted.
          if (bytes[p] !== LF) throw http1Error('H1_BARE_CR', this.#side);
          p++;
          state = State.lineStart;
          break;
        }
        case State.lastFeed: {
          if (bytes[p] !== LF) throw http1Error('H1_BARE_CR', this.#side);
          this.at = p + 1;
          this.#state = State.done;
          return true;
        }
        default:
          return true;
      }
    }
    this.#state = state;
    this.#lineStart = lineStart;
    this.#nameEnd = nameEnd;
    this.#valueStart = valueStart;
    this.at = p;
    return false;
  }

  /**
   * Keeps whole lines of the form that nearly all have, `name: value`, in straight code and by words: a third of the time of going from state to
   * state. What ends a name or a value is found without a loop over the last bytes of it: branches that no history predicts cost most here.
   *
   * @param view of the same bytes as `bytes`
   * @param from where a line begins
   * @returns where the first line begins that is cut, unusual, wrong or empty; nothing of it has been kept
   */
  #scanPlainLines(bytes: Uint8Array, view: DataView, from: number, end: number): number {
    const { maxFields, maxFieldBytes, maxFieldNameBytes } = this.#limits;
    // Locals, as a load from a module's scope would be repeated for every byte.
    const tokenBytes = TOKEN_BYTES;
    const valueBytes = FIELD_VALUE_BYTES;
    if (this.offsets.length < (this.count + 1) * OFFSETS_PER_FIELD) this.#growOffsets();
    const offsets = this.offsets;
    let at = this.count * OFFSETS_PER_FIELD;
    const atMost = Math.min(maxFields * OFFSETS_PER_FIELD, offsets.length);
    let lineStart = from;
    while (at < atMost) {
      let p = lineStart;
      let found = false;
      for (const last = Math.min(end, lineStart + maxFieldNameBytes) - 4; p <= last; p += 4) {
        const word = view.getInt32(p, true);
        // 1 each, as long as all bytes up to it may stand in a name: their sum is where the name ends.
        const first = tokenBytes[word & 0xff] as number;
        const second = first & (tokenBytes[(word >>> 8) & 0xff] as number);
        const third = second & (tokenBytes[(word >>> 16) & 0xff] as number);
        if ((third & (tokenBytes[word >>> 24] as number)) !== 0) continue;
        p += first + second + third;
        found = true;
        break;
      }
      if (!found || p === lineStart || bytes[p] !== COLON) break;
      const nameEnd = p;
      p += bytes[p + 1] === SP ? 2 : 1;
      const valueStart = p;
      const valueLimit = Math.min(end, lineStart + maxFieldBytes);
      let marks = 0;
      // Two words a round: values are long.
      for (const last = valueLimit - 8; p <= last; p += 8) {
        marks = unusualBytes(view.getInt32(p, true));
        if (marks !== 0) break;
        marks = unusualBytes(view.getInt32(p + 4, true));
        if (marks === 0) continue;
        p += 4;
        break;
      }
      if (marks === 0 && p <= valueLimit - 4) marks = unusualBytes(view.getInt32(p, true));
      if (marks === 0) break;
      p += bytesBefore(marks);
      // HTAB and bytes above 0x7f are valid, but rare.
      if (bytes[p] !== CR) while (p < valueLimit && valueBytes[bytes[p] as number] !== 0) p++;
      if (p + 1 >= end || bytes[p] !== CR || bytes[p + 1] !== LF) break;
      if (p > valueStart && (isBlank(bytes[valueStart] as number) || isBlank(bytes[p - 1] as number))) break;
      offsets[at] = lineStart;
      offsets[at + 1] = nameEnd;
      offsets[at + 2] = valueStart;
      offsets[at + 3] = p;
      at += OFFSETS_PER_FIELD;
      lineStart = p + 2;
    }
    this.count = at / OFFSETS_PER_FIELD;
    return lineStart;
  }

  #keep(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const at = this.count++ * OFFSETS_PER_FIELD;
    if (at === this.offsets.length) this.#growOffsets();
    const offsets = this.offsets;
    offsets[at] = nameStart;
    offsets[at + 1] = nameEnd;
    offsets[at + 2] = valueStart;
    offsets[at + 3] = valueEnd;
  }

  #growOffsets(): void {
    const larger = new Int32Array(this.offsets.length * 2);
    larger.set(this.offsets);
    this.offsets = larger;
  }

  /** Why a name ended at a byte other than a colon, or at its first. */
  #nameError(byte: number, isFirst: boolean): Error {
    let reason: Http1Reason;
    if (TOKEN_BYTES[byte] !== 0) reason = 'H1_FIELD_NAME_TOO_LONG';
    else if (byte === COLON) reason = 'H1_FIELD_NAME_EMPTY';
    // RFC 9112 §5.2: a folded line is refused; joined to the line before, it could hide a framing field from one of two readers.
    else if (byte === SP || byte === HTAB) reason = isFirst ? 'H1_FIELD_FOLDED' : 'H1_FIELD_NAME_BLANK';
    else if (byte === CR) reason = 'H1_FIELD_COLON_MISSING';
    else if (byte === LF) reason = 'H1_BARE_LF';
    else if (isControl(byte)) reason = 'H1_CONTROL_BYTE';
    else reason = 'H1_FIELD_NAME_INVALID';
    return http1Error(reason, this.#side);
  }

  /** Why a byte behind a name and blanks is wrong. */
  #blankError(byte: number): Error {
    // Only a limit stops at a blank.
    return isBlank(byte) ? http1Error('H1_FIELD_TOO_LONG', this.#side) : this.#nameError(TOKEN_BYTES[byte] === 0 ? byte : SP, false);
  }

  /** Why a value ended at a byte other than CR. */
  #valueError(byte: number): Error {
    let reason: Http1Reason = 'H1_CONTROL_BYTE';
    if (FIELD_VALUE_BYTES[byte] !== 0) reason = 'H1_FIELD_TOO_LONG';
    else if (byte === LF) reason = 'H1_BARE_LF';
    return http1Error(reason, this.#side);
  }
}

const HIGH_BITS = 0x8080_8080 | 0;
const ONES = 0x0101_0101;
const BLANKS = 0x2020_2020;

/**
 * The high bit of each of four bytes that is a control, DEL or above 0x7f; 0 if all are visible or SP.
 *
 * Adding one lifts DEL, and taking SP away lets controls fall, over the high bit. A carry or borrow can change the next byte only behind one that
 * is marked itself, so the lowest mark is always true.
 */
function unusualBytes(word: number): number {
  return (word | (word + ONES) | (word - BLANKS)) & HIGH_BITS;
}

/** How many bytes lie below the lowest mark. */
function bytesBefore(marks: number): number {
  return (31 - Math.clz32(marks & -marks)) >>> 3;
}

/**
 * Priority signals: the field `Priority` and the value of PRIORITY_UPDATE frames.
 *
 * ```text
 *   packed:   bit 4: i is true     bit 3: explicit (u or i was given)     bits 0–2: urgency, 0 the most urgent
 * ```
 * A signal is a hint and never a reason to refuse anything: what is malformed, unknown or out of range counts as absent (RFC 9218 §4). The
 * value is a Structured Field dictionary and is read as a whole, since a member may hide in the quoted string of another: `x="u=0"` says
 * nothing about urgency.
 *
 * Sources: RFC 9218 §4 (parameters), §5 (field), §7 (frame); RFC 9651 §4.2.2 (dictionaries), §4.2.3 (items).
 */

/** Urgency 3, not incremental, and nobody has said so. @see RFC 9218 §4.1, §4.2 */
export const DEFAULT_PRIORITY = 3;

/** The urgencies are 0 (the most urgent) to 7 (background). @see RFC 9218 §4.1 */
export const URGENCY_COUNT = 8;

const URGENCY_MASK = 0x7;
const EXPLICIT = 0x8;
const INCREMENTAL = 0x10;

/** 0, the most urgent, to 7. */
export function urgencyOf(priority: number): number {
  return priority & URGENCY_MASK;
}

/** Whether the response is of use piece by piece, so that it should share with its like. @see RFC 9218 §4.2 */
export function isIncremental(priority: number): boolean {
  return (priority & INCREMENTAL) !== 0;
}

/**
 * Whether somebody asked for this response to come whole, one after the other. What is so by default only is not: most clients send no
 * signal, and one long response must not make all others wait (RFC 9218 §10 leaves the choice to the server).
 */
export function isSequential(priority: number): boolean {
  return (priority & (EXPLICIT | INCREMENTAL)) === EXPLICIT;
}

/**
 * A priority that somebody decided.
 *
 * @throws {RangeError} when `urgency` is not a whole number from 0 to 7
 */
export function packPriority(urgency: number, incremental: boolean): number {
  if (!(Number.isInteger(urgency) && urgency >= 0 && urgency < URGENCY_COUNT)) throw new RangeError(`no urgency from 0 to 7: ${urgency}`);
  return urgency | EXPLICIT | (incremental ? INCREMENTAL : 0);
}

/** The value of a `Priority` field; empty if it says nothing but the defaults. @see RFC 9218 §5 */
export function formatPriority(priority: number): string {
  const urgency = urgencyOf(priority);
  const i = isIncremental(priority) ? 'i' : '';
  if (urgency === DEFAULT_PRIORITY) return i;
  return i === '' ? `u=${urgency}` : `u=${urgency}, i`;
}

/**
 * Reads a signal.
 *
 * @param value one byte a character
 * @returns a packed priority; `DEFAULT_PRIORITY` if the value is malformed or says nothing
 */
export function parsePriority(value: string): number {
  switch (value) {
    // What browsers send; the rest of the traffic of a proxy has no signal at all.
    case 'u=0, i':
      return INCREMENTAL | EXPLICIT;
    case 'u=1, i':
      return INCREMENTAL | EXPLICIT | 1;
    case 'i':
    case 'u=3, i':
      return INCREMENTAL | EXPLICIT | 3;
    default:
      return new DictionaryReader(value).read();
  }
}

/** The most members that are looked at: a signal has two. More would let a field of 16 KiB cost more than its bytes. */
const MAX_MEMBERS = 64;

/** Items and inner lists by RFC 9651 §4.2; what is wrong is remembered and ends the walk. */
class DictionaryReader {
  readonly #text: string;
  #at: number;
  #isMalformed: boolean;

  constructor(text: string) {
    this.#text = text;
    this.#at = 0;
    this.#isMalformed = false;
  }

  read(): number {
    let urgency = -1;
    let incremental = -1;
    this.#skip(SP);
    for (let members = 0; this.#at < this.#text.length && members < MAX_MEMBERS; members++) {
      const key = this.#key();
      const start = this.#at + 1;
      const hasValue = this.#takes(EQUALS);
      if (hasValue) this.#memberValue();
      const item = hasValue ? this.#text.slice(start, this.#itemEnd) : '?1';
      this.#parameters();
      if (this.#isMalformed) return DEFAULT_PRIORITY;
      // RFC 9651 §4.2.2: of members with the same key the last one counts; RFC 9218 §4: one of another type or range counts as absent.
      if (key === 'u') urgency = /^-?0*[0-7]$/.test(item) && !/^-0*[1-7]/.test(item) ? Number(item.at(-1)) : -1;
      else if (key === 'i') incremental = item === '?1' ? 1 : item === '?0' ? 0 : -1;
      if (!this.#comma()) return DEFAULT_PRIORITY;
    }
    if (urgency < 0 && incremental < 0) return DEFAULT_PRIORITY;
    return packPriority(urgency < 0 ? DEFAULT_PRIORITY : urgency, incremental === 1);
  }

  /** Where the last item ended, its parameters not included. */
  #itemEnd = 0;

  /** @returns false if the dictionary cannot go on: no comma, or nothing behind it */
  #comma(): boolean {
    this.#skipBlanks();
    if (this.#at === this.#text.length) return true;
    if (!this.#takes(COMMA)) return false;
    this.#skipBlanks();
    return this.#at < this.#text.length;
  }

  #memberValue(): void {
    if (this.#peek() === OPEN) this.#innerList();
    else this.#bareItem();
    this.#itemEnd = this.#at;
  }

  #innerList(): void {
    this.#at++;
    for (;;) {
      this.#skip(SP);
      if (this.#takes(CLOSE)) return;
      this.#bareItem();
      this.#parameters();
      const next = this.#peek();
      if (this.#isMalformed || (next !== SP && next !== CLOSE)) {
        this.#isMalformed = true;
        return;
      }
    }
  }

  #parameters(): void {
    while (!this.#isMalformed && this.#takes(SEMICOLON)) {
      this.#skip(SP);
      this.#key();
      if (this.#takes(EQUALS)) this.#bareItem();
    }
  }

  #key(): string {
    return this.#match(KEY);
  }

  #bareItem(): void {
    this.#match(BARE_ITEM);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) {
      this.#isMalformed = true;
      return '';
    }
    this.#at = pattern.lastIndex;
    return found[0];
  }

  #peek(): number {
    return this.#text.charCodeAt(this.#at);
  }

  #takes(code: number): boolean {
    if (this.#peek() !== code) return false;
    this.#at++;
    return true;
  }

  #skip(code: number): void {
    while (this.#peek() === code) this.#at++;
  }

  #skipBlanks(): void {
    while (this.#peek() === SP || this.#peek() === HTAB) this.#at++;
  }
}

const HTAB = 0x09;
const SP = 0x20;
const OPEN = 0x28;
const CLOSE = 0x29;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;

/** Sticky, so that each begins where the last ended: no look is taken twice. */
const KEY = /[a-z*][a-z0-9_\-.*]*/y;
/** Decimal, integer, string, token, byte sequence, boolean, date, display string; none can match in two ways. */
const BARE_ITEM =
  /-?[0-9]{1,12}\.[0-9]{1,3}|-?[0-9]{1,15}|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*|:[A-Za-z0-9+/=]*:|\?[01]|@-?[0-9]{1,15}|%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"/y;

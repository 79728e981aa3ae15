/**
 * Checks and gathers the extensions of one chunk line, a byte at a time.
 *
 * ```text
 *   chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
 *
 *   nameStart ─► name ─► afterName ─ "=" ─► valueStart ─► token ──► afterValue ─ ";" ─► nameStart
 *                                               └─ DQUOTE ─► quoted ⇄ escaped ─ DQUOTE ─►─┘
 * ```
 * Nobody uses extensions but attackers, who hide line ends in them (CVE-2026-33870, CVE-2026-2332): CR, LF and other control bytes are
 * refused everywhere, inside quotes too, and a line may end only where the grammar lets it.
 *
 * @see RFC 9112 §7.1.1
 */
import { FIELD_VALUE_BYTES, TOKEN_BYTES } from '@ferrata/headers';
import { BACKSLASH, EQUALS, HTAB, QUOTE, SEMICOLON, SP } from './ascii.ts';

const State = {
  start: 0,
  nameStart: 1,
  name: 2,
  afterName: 3,
  valueStart: 4,
  token: 5,
  quoted: 6,
  escaped: 7,
  afterValue: 8,
  blankAfterValue: 9,
} as const;
type State = (typeof State)[keyof typeof State];

export class ChunkExtensionScanner {
  /** The extensions without the first ";" and without blanks outside quotes: `a=1;b="x y"`. */
  text = '';
  #state: State = State.start;

  /** Begins behind a chunk size. */
  start(): void {
    this.text = '';
    this.#state = State.start;
  }

  /** True where the line may end. A blank must be followed by something (RFC 9110 §5.6.3). */
  get mayEnd(): boolean {
    return this.#state === State.name || this.#state === State.token || this.#state === State.afterValue;
  }

  /** True if nothing but blanks has come. */
  get isEmpty(): boolean {
    return this.#state === State.start;
  }

  /** @returns false if `byte` may not stand here */
  take(byte: number): boolean {
    const next = nextState(this.#state, byte);
    if (next < 0) return false;
    const isBlank = byte === SP || byte === HTAB;
    const isInQuotes = this.#state === State.quoted || this.#state === State.escaped;
    if ((!isBlank || isInQuotes) && this.#state !== State.start) this.text += String.fromCharCode(byte);
    this.#state = next as State;
    return true;
  }
}

/** @returns the state behind `byte`, or -1 */
function nextState(state: State, byte: number): number {
  const isBlank = byte === SP || byte === HTAB;
  const isToken = TOKEN_BYTES[byte] !== 0;
  switch (state) {
    case State.start:
      if (isBlank) return State.start;
      return byte === SEMICOLON ? State.nameStart : -1;
    case State.nameStart:
      if (isBlank) return State.nameStart;
      return isToken ? State.name : -1;
    case State.name:
      if (isToken) return State.name;
      return afterToken(byte, isBlank);
    case State.afterName:
      return afterToken(byte, isBlank);
    case State.valueStart:
      if (isBlank) return State.valueStart;
      if (byte === QUOTE) return State.quoted;
      return isToken ? State.token : -1;
    case State.token:
      if (isToken) return State.token;
      return afterValue(byte, isBlank);
    case State.quoted:
      if (byte === QUOTE) return State.afterValue;
      if (byte === BACKSLASH) return State.escaped;
      return FIELD_VALUE_BYTES[byte] !== 0 ? State.quoted : -1;
    case State.escaped:
      return FIELD_VALUE_BYTES[byte] !== 0 ? State.quoted : -1;
    default:
      return afterValue(byte, isBlank);
  }
}

function afterToken(byte: number, isBlank: boolean): number {
  if (isBlank) return State.afterName;
  if (byte === EQUALS) return State.valueStart;
  return byte === SEMICOLON ? State.nameStart : -1;
}

function afterValue(byte: number, isBlank: boolean): number {
  if (isBlank) return State.blankAfterValue;
  return byte === SEMICOLON ? State.nameStart : -1;
}

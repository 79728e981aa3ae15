/**
 * What an independent HTTP/1 parser says of an input, in one shape for all of them, so that two can be compared with each other and with a codec.
 *
 * Text is latin1: one character a byte.
 */

/** What an oracle read of one message. */
export interface OracleMessage {
  /** Method, or status code. */
  readonly start: string;
  /** Request target, or reason phrase. */
  readonly rest: string;
  /** Such as `1.1`. */
  readonly version: string;
  /** `name: value` without optional whitespace, in order. */
  readonly fields: readonly string[];
  /** The same of the trailer section; of an incomplete message they may be missing. */
  readonly trailers: readonly string[];
  readonly body: string;
  /** Whether the connection may be used again after this message, as far as its head says. */
  readonly keepAlive: boolean;
  readonly isComplete: boolean;
}

/** What an oracle made of an input. */
export interface OracleResult {
  /** The messages whose heads were read whole. */
  readonly messages: readonly OracleMessage[];
  /** Name of the error that ended it, in llhttp's words without `HPE_`; null if there was none. */
  readonly error: string | null;
}

/** Options of `Http1Oracle.parse`. */
export interface OracleOptions {
  readonly kind: 'request' | 'response';
  /** Of responses: true if no body comes to the request with this index, counted by final responses (HEAD). */
  readonly isBodyless?: (index: number) => boolean;
  /** Whether the connection ends after the last byte. Default false. */
  readonly isEnded?: boolean;
}

/** An independent parser. Each `parse` begins anew; one object serves one call at a time. */
export interface Http1Oracle {
  /** Parses an input whole. Where it stops for another protocol (upgrade, CONNECT), it is told to go on with HTTP. */
  parse(data: Uint8Array, options: OracleOptions): OracleResult;
}

/** A message while it is read. */
export interface OracleDraft extends OracleMessage {
  trailers: readonly string[];
  body: string;
  isComplete: boolean;
}

/** @returns whether the message just begun, the last of `messages`, is one without a body by `options` */
export function isBodylessNow(messages: readonly OracleMessage[], options: OracleOptions): boolean {
  if (options.kind === 'request' || options.isBodyless === undefined) return false;
  return options.isBodyless(messages.filter(({ start }) => Number(start) >= 200).length - 1);
}

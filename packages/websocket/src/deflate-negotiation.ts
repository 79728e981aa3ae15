/**
 * How two ends agree on permessage-deflate: pure functions on values of Sec-WebSocket-Extensions.
 *
 * ```text
 *   client   offerDeflate(options)              "permessage-deflate; client_max_window_bits"
 *   server   acceptDeflate(value, options)      takes the first offer that it can keep to, or none
 *   client   readDeflateAnswer(value, options)  what was agreed, or an error if it was not offered
 * ```
 *
 * | parameter | in an offer | in an answer |
 * |---|---|---|
 * | `server_no_context_takeover` | the server shall forget after each message | it does |
 * | `client_no_context_takeover` | the client can do so | it must |
 * | `server_max_window_bits=8…15` | the server's window at most | is |
 * | `client_max_window_bits[=8…15]` | the client can be bounded (and is anyway) | must not be more |
 *
 * @see RFC 6455 §9.1 · RFC 7692 §5, §7.1
 */
import { checkWholeNumber, type WireError } from '@ferrata/error';
import { badHandshake } from './errors.ts';
import { type Extension, parseExtensions } from './extension-list.ts';

/** The name of the extension. */
export const PERMESSAGE_DEFLATE = 'permessage-deflate';

/** What both ends have agreed on. */
export interface DeflateParameters {
  /** The server forgets its window after each message. */
  readonly serverNoContextTakeover: boolean;
  /** The client forgets its window after each message. */
  readonly clientNoContextTakeover: boolean;
  /** Binary logarithm of the server's window, 8 to 15. */
  readonly serverMaxWindowBits: number;
  /** Binary logarithm of the client's window, 8 to 15. */
  readonly clientMaxWindowBits: number;
}

/** What this end wants; each wish is one of the parameters. */
export interface DeflateOptions {
  /** A client asks for it; a server does it. Default false. It spares the server's memory and costs ratio. */
  readonly serverNoContextTakeover?: boolean;
  /** A client does it; a server asks for it. Default false. */
  readonly clientNoContextTakeover?: boolean;
  /** 9 to 15, default 15. (8 can be agreed on, but zlib cannot compress with it, so messages go out as they are.) */
  readonly serverMaxWindowBits?: number;
  /** 9 to 15, default 15. A server can bound only a client that offers it. */
  readonly clientMaxWindowBits?: number;
}

/** More elements than this are no offer in good faith. */
const MAX_EXTENSIONS = 32;
const MIN_BITS = 8;
const MAX_BITS = 15;

interface Wishes extends DeflateParameters {
  readonly isBounded: boolean;
}

/** Checks options once. @throws {RangeError} when window bits are not 9 to 15 */
export function resolveDeflateOptions(options: DeflateOptions = {}): DeflateParameters {
  const bits = { min: MIN_BITS + 1, max: MAX_BITS };
  return Object.freeze({
    serverNoContextTakeover: options.serverNoContextTakeover ?? false,
    clientNoContextTakeover: options.clientNoContextTakeover ?? false,
    serverMaxWindowBits: checkWholeNumber('serverMaxWindowBits', options.serverMaxWindowBits ?? MAX_BITS, bits),
    clientMaxWindowBits: checkWholeNumber('clientMaxWindowBits', options.clientMaxWindowBits ?? MAX_BITS, bits),
  });
}

/** A client's offer: the value of Sec-WebSocket-Extensions. @throws {RangeError} when window bits are not 9 to 15 */
export function offerDeflate(options: DeflateOptions = {}): string {
  const { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits } = resolveDeflateOptions(options);
  let offer = PERMESSAGE_DEFLATE;
  if (serverNoContextTakeover) offer += '; server_no_context_takeover';
  if (clientNoContextTakeover) offer += '; client_no_context_takeover';
  if (serverMaxWindowBits < MAX_BITS) offer += `; server_max_window_bits=${serverMaxWindowBits}`;
  return `${offer}; client_max_window_bits${clientMaxWindowBits < MAX_BITS ? `=${clientMaxWindowBits}` : ''}`;
}

/** What a server answers. */
export interface DeflateAnswer {
  readonly parameters: DeflateParameters;
  /** The value of Sec-WebSocket-Extensions. */
  readonly value: string;
}

/**
 * Takes the first offer of a client that this server can keep to. Offers with unknown or malformed parameters are declined (RFC 7692 §7).
 *
 * @param value of Sec-WebSocket-Extensions, several fields joined by commas
 * @returns null if there is none: the connection goes without compression
 * @throws {WireError} WS_EXTENSIONS_INVALID when the value is not a list of extensions (RFC 6455 §9.1)
 */
export function acceptDeflate(value: string, options: DeflateOptions = {}): DeflateAnswer | null {
  const own = resolveDeflateOptions(options);
  for (const extension of parseExtensions(value, MAX_EXTENSIONS)) {
    if (extension.name !== PERMESSAGE_DEFLATE) continue;
    const offer = readParameters(extension, 'offer');
    if (offer !== null) return answerTo(offer, own);
  }
  return null;
}

function answerTo(offer: Wishes, own: DeflateParameters): DeflateAnswer {
  const parameters: DeflateParameters = Object.freeze({
    serverNoContextTakeover: offer.serverNoContextTakeover || own.serverNoContextTakeover,
    clientNoContextTakeover: offer.clientNoContextTakeover || own.clientNoContextTakeover,
    serverMaxWindowBits: Math.min(offer.serverMaxWindowBits, own.serverMaxWindowBits),
    // RFC 7692 §7.1.2.2: only a client that has offered it can be told.
    clientMaxWindowBits: offer.isBounded ? Math.min(offer.clientMaxWindowBits, own.clientMaxWindowBits) : MAX_BITS,
  });
  let value = PERMESSAGE_DEFLATE;
  if (parameters.serverNoContextTakeover) value += '; server_no_context_takeover';
  if (parameters.clientNoContextTakeover) value += '; client_no_context_takeover';
  if (parameters.serverMaxWindowBits < MAX_BITS) value += `; server_max_window_bits=${parameters.serverMaxWindowBits}`;
  if (parameters.clientMaxWindowBits < MAX_BITS) value += `; client_max_window_bits=${parameters.clientMaxWindowBits}`;
  return { parameters, value };
}

/**
 * Reads a server's answer to `offerDeflate(options)`.
 *
 * @param value of Sec-WebSocket-Extensions; empty if the answer has none
 * @param options those of the offer, or null if nothing was offered
 * @returns null if the connection goes without compression
 * @throws {WireError} WS_EXTENSIONS_INVALID, or WS_EXTENSION_UNOFFERED when it has agreed to what was not offered (RFC 6455 §4.1, RFC 7692 §7.1)
 */
export function readDeflateAnswer(value: string, options: DeflateOptions | null): DeflateParameters | null {
  const extensions = parseExtensions(value, MAX_EXTENSIONS);
  const [first] = extensions;
  if (first === undefined) return null;
  if (options === null || first.name !== PERMESSAGE_DEFLATE || extensions.length > 1) throw unoffered(value);
  const own = resolveDeflateOptions(options);
  const answer = readParameters(first, 'answer');
  if (answer === null) throw unoffered(value);
  // RFC 7692 §7.1.1.1, §7.1.2.1: what the offer demands of the server must be in the answer.
  if (own.serverNoContextTakeover && !answer.serverNoContextTakeover) throw unoffered(value);
  if (answer.serverMaxWindowBits > own.serverMaxWindowBits) throw unoffered(value);
  return Object.freeze({
    serverNoContextTakeover: answer.serverNoContextTakeover,
    clientNoContextTakeover: answer.clientNoContextTakeover || own.clientNoContextTakeover,
    serverMaxWindowBits: answer.serverMaxWindowBits,
    clientMaxWindowBits: Math.min(answer.clientMaxWindowBits, own.clientMaxWindowBits),
  });
}

function unoffered(value: string): WireError {
  return badHandshake(
    'WS_EXTENSION_UNOFFERED',
    `the server has agreed to what was not offered: ${JSON.stringify(value.slice(0, 200))}`,
    502,
  );
}

/** @returns null if a parameter is unknown, repeated or has no value that it may have (RFC 7692 §7.1) */
function readParameters(extension: Extension, place: 'offer' | 'answer'): Wishes | null {
  let serverNoContextTakeover = false;
  let clientNoContextTakeover = false;
  let serverMaxWindowBits = MAX_BITS;
  let clientMaxWindowBits = MAX_BITS;
  let isBounded = false;
  const seen = new Set<string>();
  for (const { name, value } of extension.parameters) {
    if (seen.has(name)) return null;
    seen.add(name);
    if (name === 'server_no_context_takeover' && value === null) {
      serverNoContextTakeover = true;
    } else if (name === 'client_no_context_takeover' && value === null) {
      clientNoContextTakeover = true;
    } else if (name === 'server_max_window_bits' && isBits(value)) {
      serverMaxWindowBits = Number(value);
    } else if (name === 'client_max_window_bits' && (isBits(value) || (value === null && place === 'offer'))) {
      // Without a value, in an offer: the client can be bounded.
      isBounded = true;
      clientMaxWindowBits = value === null ? MAX_BITS : Number(value);
    } else {
      return null;
    }
  }
  return { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits, isBounded };
}

/** RFC 7692 §7.1.2.1: a decimal number from 8 to 15 without leading zeroes. */
function isBits(value: string | null): boolean {
  return value !== null && /^(?:[89]|1[0-5])$/.test(value);
}

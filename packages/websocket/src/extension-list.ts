/**
 * Sec-WebSocket-Extensions, read strictly: an endpoint that cannot read an offer or an answer must fail the handshake, not guess (RFC 6455 §9.1).
 *
 * ```text
 *   extension-list = 1#extension
 *   extension      = token *( ";" param )
 *   param          = token [ "=" ( token | quoted-string ) ]     the quoted string holds a token
 * ```
 */
import { isToken } from '@ferrata/headers';
import { badHandshake } from './errors.ts';
import { splitList, trimBlanks } from './internal/list.ts';

/** One extension of a list. */
export interface Extension {
  /** In lower case. */
  readonly name: string;
  readonly parameters: readonly ExtensionParameter[];
}

/** A parameter of an extension. */
export interface ExtensionParameter {
  /** In lower case. */
  readonly name: string;
  /** Without quotes; null if there is none. */
  readonly value: string | null;
}

/** Parameters of one extension beyond which nobody means well. */
const MAX_PARAMETERS = 16;

/**
 * Reads a list of extensions; empty elements are passed over (RFC 9110 §5.6.1).
 *
 * @throws {WireError} WS_EXTENSIONS_INVALID when it is malformed, or has more than `maxExtensions` elements, or as many empty ones
 */
export function parseExtensions(value: string, maxExtensions: number): Extension[] {
  // A quoted string may hold only a token, so a comma or semicolon inside quotes is malformed, and splitting there refuses it.
  const elements = splitList(value, maxExtensions);
  if (elements === null) throw invalid('too many extensions');
  return elements.map(parseExtension);
}

function parseExtension(text: string): Extension {
  const [name = '', ...rest] = text.split(';', MAX_PARAMETERS + 2).map(trimBlanks);
  if (!isToken(name)) throw invalid('the name of an extension is no token');
  if (rest.length > MAX_PARAMETERS) throw invalid('too many parameters');
  return { name: name.toLowerCase(), parameters: rest.map(parseParameter) };
}

function parseParameter(text: string): ExtensionParameter {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : trimBlanks(text.slice(0, equals));
  if (!isToken(name)) throw invalid('the name of a parameter is no token');
  if (equals < 0) return { name: name.toLowerCase(), value: null };
  let value = trimBlanks(text.slice(equals + 1));
  if (value.length >= 2 && value.startsWith('"') && value.endsWith('"')) value = unescaped(value.slice(1, -1));
  if (!isToken(value)) throw invalid('the value of a parameter is no token');
  return { name: name.toLowerCase(), value };
}

function unescaped(quoted: string): string {
  return quoted.includes('\\') ? quoted.replace(/\\(.)/g, '$1') : quoted;
}

function invalid(message: string): Error {
  return badHandshake('WS_EXTENSIONS_INVALID', message);
}

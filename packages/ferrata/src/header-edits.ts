/**
 * Fields that are set, added and removed on their way: `Name: value` takes the place of all lines of that name, `+Name: value` is one line more, `-Name` takes all away. In the order
 * in which they were given.
 *
 * What belongs to a connection or to the framing of a message is the proxy's own (RFC 9110 §7.6.1, RFC 9112 §6): said wrongly there, two readers see two messages.
 */
import {
  type HeaderMap,
  HOP_BY_HOP,
  isFieldName,
  isFieldValue,
  isInKnownHeaderSet,
  isValidHost,
  KnownHeader,
  knownHeaderSet,
  wellKnownId,
} from '@ferrata/headers';

/** One change. */
export interface HeaderEdit {
  readonly kind: 'set' | 'append' | 'remove';
  readonly name: string;
  /** Empty where the field is removed. */
  readonly value: string;
}

/** Of requests, or of responses. */
export type HeaderDirection = 'up' | 'down';

const FRAMING = knownHeaderSet(KnownHeader.contentLength, KnownHeader.transferEncoding, KnownHeader.trailer, KnownHeader.expect);

/**
 * Reads one change.
 *
 * @throws {TypeError} whose message is a sentence that says what to write
 */
export function parseHeaderEdit(text: string, direction: HeaderDirection): HeaderEdit {
  const sign = text.charAt(0);
  const kind = sign === '-' ? 'remove' : sign === '+' ? 'append' : 'set';
  const rest = kind === 'set' ? text : text.slice(1);
  const colon = rest.indexOf(':');
  if (kind === 'remove' && colon > 0) throw new TypeError(`a field is removed by its name alone; write '-${rest.slice(0, colon)}'`);
  if (kind !== 'remove' && colon < 0)
    throw new TypeError(`there is no colon in it; write 'Name: value', or '-${isFieldName(rest) ? rest : 'Name'}' to remove a field`);
  const name = colon < 0 ? rest : rest.slice(0, colon);
  if (!isFieldName(name))
    throw new TypeError(`${JSON.stringify(name)} is no name of a field; write it without blanks, as in 'X-Name: value'`);
  const value = colon < 0 ? '' : rest.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
  checkName(kind, name, direction);
  checkValue(name, value);
  return { kind, name, value };
}

/** How a change is called where something is wrong with it: by its name, or its first word where it has none, as what follows may be a secret. */
export function labelOf(text: string): string {
  const colon = text.indexOf(':');
  const [word = ''] = text.trimStart().split(/\s/);
  return JSON.stringify(colon > 0 ? text.slice(0, colon) : word);
}

/** Reads several. @throws {TypeError} that begins with the one that is wrong */
export function parseHeaderEdits(texts: readonly string[], direction: HeaderDirection): readonly HeaderEdit[] {
  return texts.map((text) => {
    try {
      return parseHeaderEdit(text, direction);
    } catch (error) {
      throw new TypeError(`${labelOf(text)}: ${(error as Error).message}`, { cause: error });
    }
  });
}

/** Makes the changes. */
export function applyHeaderEdits(headers: HeaderMap, edits: readonly HeaderEdit[]): void {
  for (const { kind, name, value } of edits) {
    if (kind === 'set') headers.set(name, value);
    else if (kind === 'append') headers.append(name, value);
    else headers.delete(name);
  }
}

function checkName(kind: HeaderEdit['kind'], name: string, direction: HeaderDirection): void {
  const id = wellKnownId(name);
  if (isInKnownHeaderSet(HOP_BY_HOP, id))
    throw new TypeError(`${name} belongs to one connection, and each has its own; it cannot be set or removed`);
  if (isInKnownHeaderSet(FRAMING, id))
    throw new TypeError(`${name} says how a message is framed, which the proxy itself does; it cannot be set or removed`);
  if (direction === 'up' && id === KnownHeader.host && kind !== 'set')
    throw new TypeError("a request has one Host (RFC 9112 §3.2); write 'Host: name' to put another in its place");
}

function checkValue(name: string, value: string): void {
  const at = value.search(/[^\t -~]/);
  if (at >= 0)
    throw new TypeError(
      `the value of ${name} has a character that no field may have, or that readers take for different ones (U+${codeOf(value, at)}); write ASCII without line ends`,
    );
  if (!isFieldValue(value)) throw new TypeError(`the value of ${name} cannot be sent`);
  if (wellKnownId(name) === KnownHeader.host && (value === '' || !isValidHost(value)))
    throw new TypeError(`${JSON.stringify(value)} is no host; write 'Host: name', or 'Host: name:port'`);
}

function codeOf(text: string, at: number): string {
  return (text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0');
}

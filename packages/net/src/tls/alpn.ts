/** The protocols that ALPN offers (RFC 7301), checked. */
import { textOf } from '@ferrata/error';

/**
 * What to offer, in words: `h1` HTTP/1 only, `h2` HTTP/2 only, `h2h1` HTTP/2 or else HTTP/1, `custom` a protocol of one's own.
 *
 * @see alpnProtocols
 */
export type AlpnChoice = 'h1' | 'h2' | 'h2h1' | { readonly custom: string };

/** RFC 7301 §3.1: the length of a name is one byte, that of the whole list two, of which OpenSSL takes one name and all within 65 535 bytes. */
const maxNameBytes = 255;
const maxListBytes = 65_535;

/**
 * The names that a choice stands for, as `alpn` takes them.
 *
 * @throws {RangeError} if the choice is none of these, or a custom name is empty, longer than 255 bytes, or that of an HTTP version: those have words of
 *   their own, and a session of a custom protocol would not understand them
 */
export function alpnProtocols(choice: AlpnChoice): readonly string[] {
  switch (choice) {
    case 'h1':
      return ['http/1.1'];
    case 'h2':
      return ['h2'];
    case 'h2h1':
      return ['h2', 'http/1.1'];
    default:
      return [customName(choice)];
  }
}

/**
 * Checks a list of protocol names.
 *
 * @param option the name of the option, for the message
 * @returns a frozen copy
 * @throws {RangeError} if a name is empty or longer than 255 bytes, stands twice, or all of them are longer than 65 535 bytes
 */
export function checkAlpn(option: string, protocols: readonly string[]): readonly string[] {
  if (!isList(protocols)) throw new TypeError(`${option} must be a list of protocol names`);
  let total = 0;
  for (const name of protocols) total += 1 + checkName(option, name);
  if (total > maxListBytes) throw new RangeError(`${option} must fit into ${maxListBytes} bytes, not ${total}`);
  if (new Set(protocols).size < protocols.length) throw new RangeError(`${option} names a protocol twice`);
  return Object.freeze([...protocols]);
}

/** `Array.isArray` alone would make the elements `any`. */
export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function customName(choice: { readonly custom: string }): string {
  const name: unknown = (choice as Partial<typeof choice> | null)?.custom;
  if (typeof name !== 'string') throw new RangeError(`an ALPN choice is h1, h2, h2h1 or { custom }, not ${textOf(choice)}`);
  checkName('a custom protocol', name);
  if (name === 'h2' || name === 'http/1.1') throw new RangeError(`${name} is no custom protocol: choose h1, h2 or h2h1`);
  return name;
}

function checkName(option: string, name: unknown): number {
  const bytes = typeof name === 'string' ? Buffer.byteLength(name) : 0;
  if (bytes === 0 || bytes > maxNameBytes)
    throw new RangeError(`${option} must be named with 1 to ${maxNameBytes} bytes, not ${typeof name === 'string' ? bytes : textOf(name)}`);
  return bytes;
}

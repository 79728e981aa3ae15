/**
 * JSON of others, read without believing it: what is missing or of another kind is `null`, and never a throw.
 *
 * Only own members are read: a key called `constructor` is a key as any other.
 */
import { protocolError, type WireError } from '@ferrata/error';

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
 * Parses a JSON text.
 *
 * @param who sent it, for the message; nothing of the text itself gets there
 * @throws {WireError} `protocol DISCOVERY_MALFORMED` when it is neither UTF-8 nor JSON
 */
export function parseJson(who: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    // The engine's message quotes what it read, which may be a secret.
    throw malformed(`${who} sent something that is not JSON`);
  }
}

/** An error for an answer that is not what it should be. */
export function malformed(message: string): WireError {
  return protocolError('DISCOVERY_MALFORMED', message, { source: 'upstream', wire: { status: 502 } });
}

/** The value, if it is an object and no list. */
export function objectOf(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
}

/** A member that is an object. */
export function objectIn(object: JsonObject | null, name: string): JsonObject | null {
  return objectOf(memberOf(object, name));
}

/** A member that is a list; an empty one where there is none, as Go writes `null` for it. */
export function listIn(object: JsonObject | null, name: string): readonly unknown[] {
  const value = memberOf(object, name);
  return Array.isArray(value) ? value : [];
}

/** A member that is text. */
export function textIn(object: JsonObject | null, name: string): string | null {
  const value = memberOf(object, name);
  return typeof value === 'string' ? value : null;
}

/** A member that is text, and not empty. */
export function filledIn(object: JsonObject | null, name: string): string | null {
  const text = textIn(object, name);
  return text === '' ? null : text;
}

/** A member that is a number. */
export function numberIn(object: JsonObject | null, name: string): number | null {
  const value = memberOf(object, name);
  return typeof value === 'number' ? value : null;
}

/** A member that is true or false. */
export function booleanIn(object: JsonObject | null, name: string): boolean | null {
  const value = memberOf(object, name);
  return typeof value === 'boolean' ? value : null;
}

/** The members of an object that are text. */
export function textsOf(object: JsonObject | null): Readonly<Record<string, string>> {
  const texts = Object.entries(object ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  // Unlike assignments, this makes a member of `__proto__` too.
  return Object.fromEntries(texts);
}

function memberOf(object: JsonObject | null, name: string): unknown {
  return object !== null && Object.hasOwn(object, name) ? object[name] : undefined;
}

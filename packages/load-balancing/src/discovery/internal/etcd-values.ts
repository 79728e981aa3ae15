/** What stands in etcd: 64-bit numbers as text, bytes as base64, and values that are backends. */
import { textOf } from '@ferrata/error';
import { checkBackend, type PlainBackend } from '../../backend.ts';
import { type JsonObject, objectOf, textIn } from './json.ts';

/** A value that was read: a backend, or why it is none. */
export type EtcdValue = { readonly backend: PlainBackend } | { readonly why: string };

/** The members that a backend may have beside its address. */
const MEMBERS = ['name', 'weight', 'priority', 'zone', 'metadata', 'isEnabled', 'healthPort'] as const;

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Reads a value: `host:port`, or JSON of a backend. Nothing of a value that is neither gets into a message: it may be a secret that stands in the wrong place. */
export function decodeEtcdValue(base64: string): EtcdValue {
  let text: string;
  try {
    text = decoder.decode(Buffer.from(base64, 'base64')).trim();
  } catch {
    return { why: 'its value is not UTF-8' };
  }
  if (!text.startsWith('{')) return checked({ address: text }, 'its value is neither host:port nor JSON of a backend');
  let object: JsonObject | null;
  try {
    object = objectOf(JSON.parse(text));
  } catch {
    return { why: 'its value is not JSON' };
  }
  // `Addr` is what the gRPC naming of etcd's own client writes.
  const address = textIn(object, 'address') ?? textIn(object, 'Addr');
  if (object === null || address === null) return { why: 'its value has no address' };
  const found = object;
  const members = MEMBERS.filter((name) => Object.hasOwn(found, name)).map((name) => [name, found[name]] as const);
  return checked({ ...Object.fromEntries(members), address }, null);
}

/** @param why null: what the check says */
function checked(backend: PlainBackend, why: string | null): EtcdValue {
  try {
    checkBackend(backend);
    return { backend };
  } catch (thrown) {
    return { why: why ?? textOf(thrown) };
  }
}

/** A 64-bit number of protobuf's JSON: text, and left out where it is zero. @returns null for anything else */
export function revisionIn(object: JsonObject | null, name: string): bigint | null {
  if (object === null || !Object.hasOwn(object, name)) return 0n;
  const text = textIn(object, name);
  return text !== null && /^\d{1,19}$/.test(text) ? BigInt(text) : null;
}

/** The key behind all keys of a prefix: the prefix with its last byte one higher. */
export function endOfPrefix(prefix: Uint8Array): Uint8Array {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  // There is none behind a prefix of 0xff; a single NUL stands for the end of all keys.
  if (last === -1) return new Uint8Array(1);
  const end = prefix.slice(0, last + 1);
  end[last] = (end[last] as number) + 1;
  return end;
}

/** The first key behind a key. */
export function keyBehind(key: Uint8Array): Uint8Array {
  const behind = new Uint8Array(key.length + 1);
  behind.set(key);
  return behind;
}

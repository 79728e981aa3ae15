/**
 * A key-value store that speaks a subset of RESP, the protocol of Redis: `*2\r\n$3\r\nGET\r\n$4\r\nname\r\n` asks, `$5\r\nvalue\r\n` answers.
 *
 * It knows nothing but a stream: the same function serves TCP, TLS, Unix sockets and pairs in memory. Keys and values are bytes, whatever they mean.
 */
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { type L4Stream, StreamReader } from '@ferrata/stream';

const MAX_WORDS = 8;
const MAX_WORD_BYTES = 65_536;
/** What strangers can make the store hold, each key with 128 bytes for itself. */
const MAX_STORE_BYTES = 16 * 1024 * 1024;
const PAIR_BYTES = 128;

/** Keys with their values, and their bytes. */
export class Store {
  readonly values = new Map<string, string>();
  byteLength = 0;
}

/** Answers commands until the peer ends its side. One that breaks the rules is cut off; one that reads no answers is asked no more. */
export async function serveKeyValue(stream: L4Stream, store: Store): Promise<void> {
  const reader = new StreamReader(stream);
  try {
    for (let words = await readCommand(reader); words !== null; words = await readCommand(reader)) {
      if (!stream.write(latin1Encode(answer(words, store)))) await reader.drained();
    }
    stream.end();
  } catch {
    stream.abort();
  }
}

/** @returns null at the peer's end */
async function readCommand(reader: StreamReader): Promise<readonly string[] | null> {
  const count = await readNumber(reader, '*', MAX_WORDS);
  if (count === null) return null;
  const words: string[] = [];
  while (words.length < count) {
    const length = await readNumber(reader, '$', MAX_WORD_BYTES);
    if (length === null) throw new Error('the peer ended in the middle of a command');
    const word = latin1Decode(await reader.readExactly(length + 2));
    if (!word.endsWith('\r\n')) throw new Error('a word of another length than announced');
    words.push(word.slice(0, length));
  }
  return words;
}

/** A line such as `*2` or `$14`. A number above its limit is refused before anything is held for it. */
async function readNumber(reader: StreamReader, mark: string, max: number): Promise<number | null> {
  const line = await reader.readUntil(0x0a, { maxBytes: 16 });
  if (line === null) return null;
  const found = new RegExp(`^\\${mark}(\\d{1,6})\\r\\n$`).exec(latin1Decode(line));
  const number = Number(found?.[1]);
  if (!(number <= max)) throw new Error(`not a number up to ${max} behind ${mark}`);
  return number;
}

function answer([command = '', key = '', value = '']: readonly string[], store: Store): string {
  switch (command.toUpperCase()) {
    case 'PING':
      return '+PONG\r\n';
    case 'SET':
      return set(store, key, value) ? '+OK\r\n' : '-ERR full\r\n';
    case 'GET': {
      const found = store.values.get(key);
      return found === undefined ? '$-1\r\n' : `$${found.length}\r\n${found}\r\n`;
    }
    case 'DEL':
      store.byteLength -= sizeOf(store, key);
      return `:${store.values.delete(key) ? 1 : 0}\r\n`;
    default:
      return '-ERR the commands are PING, SET, GET and DEL\r\n';
  }
}

/** @returns false, and changes nothing, if there is no room */
function set(store: Store, key: string, value: string): boolean {
  const byteLength = store.byteLength - sizeOf(store, key) + PAIR_BYTES + key.length + value.length;
  if (byteLength > MAX_STORE_BYTES) return false;
  store.byteLength = byteLength;
  store.values.set(key, value);
  return true;
}

function sizeOf({ values }: Store, key: string): number {
  const value = values.get(key);
  return value === undefined ? 0 : PAIR_BYTES + key.length + value.length;
}

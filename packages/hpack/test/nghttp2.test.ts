/** nghttp2, which node:http2 stands on, as the other end: its encoder's blocks into our decoder, ours into its. Within the process, no sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import { HpackDecoder, HpackEncoder } from '@ferrata/hpack';
import { decodeBlock, encodeBlock, type Field } from './fixtures/blocks.ts';

const preface = latin1Encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEADERS = 1;
const SETTINGS = 4;

function frame(type: number, flags: number, streamId: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const { length } = payload;
  return concatBytes([Uint8Array.of(length >> 16, length >> 8, length, type, flags, 0, 0, streamId >> 8, streamId), payload]);
}

/** Gives the payload of each HEADERS frame that a peer sends; these tests have no block of two frames and no padding. */
class HeadersReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #skip: number;

  constructor(skip: number) {
    this.#skip = skip;
  }

  read(chunk: Uint8Array): Uint8Array[] {
    this.#bytes = concatBytes([this.#bytes, chunk]);
    const payloads: Uint8Array[] = [];
    if (this.#bytes.length < this.#skip) return payloads;
    this.#bytes = this.#bytes.subarray(this.#skip);
    this.#skip = 0;
    for (;;) {
      const [a = 0, b = 0, c = 0, type = 0, flags = 0] = this.#bytes;
      const length = (a << 16) | (b << 8) | c;
      if (this.#bytes.length < 9 + length) return payloads;
      // Behind the priority fields, if there are any.
      if (type === HEADERS) payloads.push(this.#bytes.slice(9 + ((flags & 0x20) === 0 ? 0 : 5), 9 + length));
      this.#bytes = this.#bytes.subarray(9 + length);
    }
  }
}

const requests: readonly (readonly Field[])[] = Array.from({ length: 40 }, (_, i) => [
  [':method', i % 3 === 0 ? 'POST' : 'GET'],
  [':scheme', 'http'],
  [':authority', 'www.example.com'],
  [':path', `/item/${i % 7}?q=${i}`],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/115.0'],
  ['accept', '*/*'],
  ['cookie', `id=${i}`],
  ['cookie', `session=0123456789abcdef0123456789abcdef; n=${i % 3}`],
  ['authorization', 'Basic dXNlcjpwYXNz'],
  ['x-number', String(i % 11)],
  ['x-obs-text', 'caf\u00e9 \u00ff'],
  ['constructor', 'toString'],
  [`x-name-${i % 13}`, 'a value that is long enough to be worth its place in the table'.repeat((i % 4) + 1)],
]);

test('nghttp2 reads what we write, through sizes that change (RFC 7541 §4.2)', { timeout: 20_000 }, async () => {
  const [near, far] = duplexPair();
  const server = createServer({ settings: { headerTableSize: 1_000 } });
  const seen: IncomingHttpHeaders[] = [];
  const raw: string[][] = [];
  let session: ServerHttp2Session | undefined;
  server.on('session', (opened) => (session = opened));
  const arrived = new Promise<void>((resolve, reject) => {
    server.on('sessionError', reject);
    server.on('stream', (stream, headers, _flags, rawHeaders) => {
      seen.push(headers);
      raw.push(rawHeaders);
      stream.respond({ ':status': 204 }, { endStream: true });
      if (seen.length === requests.length) resolve();
    });
  });
  server.emit('connection', far);
  near.resume();
  const encoder = new HpackEncoder();
  encoder.setPeerTableBytes(1_000);
  near.write(concatBytes([preface, frame(SETTINGS, 0, 0), frame(SETTINGS, 1, 0)]));
  requests.forEach((fields, i) => near.write(frame(HEADERS, 5, 1 + 2 * i, encodeBlock(encoder, fields))));
  await arrived;
  session?.destroy();
  near.destroy();

  raw.forEach((list, i) => {
    const fields = Array.from({ length: list.length / 2 }, (_, at): Field => [list[2 * at] ?? '', list[2 * at + 1] ?? '']);
    assert.deepEqual(fields, requests[i]);
  });
});

test('we read what nghttp2 writes', { timeout: 20_000 }, async () => {
  const [near, far] = duplexPair();
  const client = connect('http://www.example.com', { createConnection: (): Duplex => far });
  const decoder = new HpackDecoder();
  const reader = new HeadersReader(preface.length);
  const blocks: Uint8Array[] = [];
  const arrived = new Promise<void>((resolve) => {
    near.on('data', (chunk: Uint8Array) => {
      blocks.push(...reader.read(chunk));
      if (blocks.length === requests.length) resolve();
    });
  });
  near.write(concatBytes([frame(SETTINGS, 0, 0), frame(SETTINGS, 1, 0)]));
  await once(client, 'connect');
  for (const fields of requests) {
    // It writes a field of the same name twice if it is given an array.
    const headers: Record<string, string | string[]> = {};
    for (const [name, value] of fields) {
      const before = Object.hasOwn(headers, name) ? headers[name] : undefined;
      headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
    }
    client.request(headers, { endStream: true }).on('error', () => {});
  }
  await arrived;
  client.destroy();
  near.destroy();

  const sorted = (fields: readonly Field[]): string[] => fields.map(([name, value]) => `${name}: ${value}`).toSorted();
  blocks.forEach((block, i) => assert.deepEqual(sorted(decodeBlock(decoder, block)), sorted(requests[i] ?? [])));
});

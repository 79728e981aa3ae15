/** One handler, four kinds of streams: the same conversation over TCP, TLS, a Unix socket and a pair in memory. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { utf8Decode, utf8Encode } from '@ferrata/bytes';
import { createAuthority } from '@ferrata/dev-certificates';
import { isWireError } from '@ferrata/error';
import { connect, type Listener, listen, MemoryListener } from '@ferrata/net';
import { type L4Stream, StreamReader } from '@ferrata/stream';
import { Store, serveKeyValue } from '../custom-protocol/key-value.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-key-value-'));
const authority = await createAuthority();
const { chain, key } = await authority.issue({ names: ['localhost', '127.0.0.1'] });
const store = new Store();
const serve = (stream: L4Stream): void => void serveKeyValue(stream, store);

const tcp = await listen('127.0.0.1:0', serve);
const tls = await listen({ address: '127.0.0.1:0', tls: { certificates: [{ certificate: chain, key }] } }, serve);
const unix = await listen(`unix:${join(folder, 'store.sock')}`, serve);
const memory = new MemoryListener(serve);
after(async () => {
  for (const listener of [tcp, tls, unix, memory] as readonly Listener[]) await listener.close();
  rmSync(folder, { recursive: true, force: true });
});

const ways: Readonly<Record<string, () => L4Stream | Promise<L4Stream>>> = {
  TCP: () => connect(tcp.address),
  TLS: () => connect(tls.address, { tls: { ca: authority.certificate, serverName: 'localhost' } }),
  'a Unix socket': () => connect(unix.address),
  memory: () => memory.connect(),
};

for (const [way, open] of Object.entries(ways)) {
  describe(`the key-value store over ${way}`, () => {
    test('answers commands, whole, in pieces and several in one', async () => {
      const stream = await open();
      const reader = new StreamReader(stream);
      const say = async (text: string, answer: string): Promise<void> => {
        stream.write(utf8Encode(text));
        assert.equal(utf8Decode(await reader.readExactly(utf8Encode(answer).length)), answer);
      };
      const value = `value over ${way} ü`;
      await say('*1\r\n$4\r\nPING\r\n', '+PONG\r\n');
      await say(command('SET', 'a', value) + command('GET', 'a'), `+OK\r\n$${utf8Encode(value).length}\r\n${value}\r\n`);
      for (const byte of utf8Encode('*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n')) stream.write(Uint8Array.of(byte));
      await say('', '$-1\r\n');
      await say(command('DEL', 'a') + command('FLUSHALL'), ':1\r\n-ERR the commands are PING, SET, GET and DEL\r\n');
      stream.end();
      assert.equal(await reader.read(), null);
    });

    test('keeps bytes that are no text, and waits for a peer that reads slowly', async () => {
      const stream = await open();
      const reader = new StreamReader(stream);
      const value = Buffer.alloc(65_536, Uint8Array.of(0xff, 0x00, 0x0d, 0x0a));
      const set = Buffer.concat([utf8Encode('*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$65536\r\n'), value, utf8Encode('\r\n')]);
      stream.write(set);
      assert.equal(utf8Decode(await reader.readExactly(5)), '+OK\r\n');
      // A hundred answers of 64 KiB, of which none is read before all are asked for.
      stream.write(utf8Encode(command('GET', 'b').repeat(100)));
      for (let answer = 0; answer < 100; answer++) {
        assert.equal(utf8Decode(await reader.readExactly(8)), '$65536\r\n');
        assert.ok(value.equals(await reader.readExactly(65_536)));
        await reader.readExactly(2);
      }
      stream.end();
      assert.equal(await reader.read(), null);
    });

    test('drops a peer that says what is no command, or too much', async () => {
      for (const wrong of ['GET a\r\n', '*9\r\n', '*1\r\n$65537\r\n', '*1\r\n$-1\r\n', '*1\n', '*'.repeat(64), '*1\r\n$4\r\nPINGXX']) {
        const stream = await open();
        const reader = new StreamReader(stream);
        stream.write(utf8Encode(wrong));
        await assert.rejects(reader.readExactly(1), isWireError, wrong);
      }
    });
  });
}

test('the key-value store holds no more bytes than it may, and gives back those of what is deleted or replaced', async () => {
  const stream = memory.connect();
  const reader = new StreamReader(stream);
  const say = async (...words: readonly string[]): Promise<string> => {
    stream.write(utf8Encode(command(...words)));
    return utf8Decode((await reader.readUntil(0x0a)) as Uint8Array);
  };
  const value = 'v'.repeat(65_536);
  let count = 0;
  while ((await say('SET', `many ${count}`, value)) === '+OK\r\n') count++;
  assert.ok(count > 200 && count <= 256, `${count} of 64 KiB`);
  assert.equal(await say('SET', 'many 0', 'short'), '+OK\r\n');
  assert.equal(await say('SET', 'another', value.slice(0, 65_000)), '+OK\r\n');
  assert.equal(await say('SET', 'one more', value), '-ERR full\r\n');
  for (let key = 0; key < count; key++) assert.equal(await say('DEL', `many ${key}`), ':1\r\n');
  assert.equal(await say('DEL', 'another'), ':1\r\n');
  for (const key of ['a', 'b']) await say('DEL', key);
  assert.equal(store.byteLength, 0);
  stream.end();
});

function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${utf8Encode(word).length}\r\n${word}\r\n`).join('')}`;
}

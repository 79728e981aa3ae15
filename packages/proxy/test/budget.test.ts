/** What the budget of retries is for, and what it is not for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { connectError, ioError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { HttpProxy } from '@ferrata/proxy';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';

const dead = peer('127.0.0.1:1');
const alive = peer('127.0.0.1:2');

/** An origin end that answers every request. */
function answeringStream(): L4Stream {
  const { a, b } = memoryPair();
  b.attach({
    onData: () => void b.write(latin1Encode('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')),
    onDrain() {},
    onEnd() {},
    onClose() {},
  });
  return a;
}

/** An origin end that resets at the first byte. */
function resettingStream(): L4Stream {
  const { a, b } = memoryPair();
  b.attach({ onData: () => b.abort(ioError('TEST_RESET')), onDrain() {}, onEnd() {}, onClose() {} });
  return a;
}

/** Sends `count` requests at once, each on a connection of its own, first to `dead`, then to `alive`. @returns how many got each status */
async function statuses(count: number, connect: (to: Peer) => Promise<L4Stream>): Promise<Record<string, number>> {
  const environment = new HttpEnvironment();
  const proxy = new HttpProxy<null>(
    { newContext: () => null, upstreamPeer: ({ attempt }) => (attempt === 1 ? dead : alive) },
    { environment, upstream: { connect } },
  );
  const server = new HttpServer(proxy, { environment });
  const found: Record<string, number> = {};
  const answers = Array.from({ length: count }, () => {
    const { a, b } = memoryPair();
    server.accept(b);
    const { promise, resolve } = Promise.withResolvers<string>();
    a.attach({ onData: (chunk) => resolve(latin1Decode(chunk, 9, 12)), onDrain() {}, onEnd() {}, onClose() {} });
    a.write(latin1Encode('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    return promise;
  });
  for (const status of await Promise.all(answers)) found[status] = (found[status] ?? 0) + 1;
  server.close();
  proxy.close();
  return found;
}

test('connections that fail spend no budget: however many fail at once, each goes to the next peer', async () => {
  const connect = async (to: Peer): Promise<L4Stream> => {
    if (to === alive) return answeringStream();
    throw connectError('CONNECT_REFUSED');
  };
  assert.deepEqual(await statuses(50, connect), { 200: 50 });
});

test('requests that were sent and lost may be a fifth of the active ones when they are sent again', async () => {
  const found = await statuses(50, async (to) => (to === alive ? answeringStream() : resettingStream()));
  assert.ok((found['200'] ?? 0) >= 3, 'a few are always allowed');
  assert.ok((found['502'] ?? 0) > 0, 'not all');
  assert.equal((found['200'] ?? 0) + (found['502'] ?? 0), 50);
});

/** Response chunks that nobody else holds are given away, so that sockets free them; those that a filter has seen are not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { HttpProxy, type ProxyHooks } from '@ferrata/proxy';
import { isGivenAway, type L4Stream, memoryPair } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

/** Proxies one response of a head and a chunk of 32 KiB. @returns how many of the large chunks written to the client were given away, and how many not */
async function largeWrites(hooks: Partial<ProxyHooks<null>>): Promise<{ given: number; kept: number }> {
  const environment = new HttpEnvironment();
  const counts = { given: 0, kept: 0 };
  const toOrigin = peer('127.0.0.1:9000');
  const connect = (): Promise<L4Stream> => {
    const { a, b } = memoryPair();
    b.attach({
      onData() {
        b.write(latin1Encode('HTTP/1.1 200 OK\r\nContent-Length: 32768\r\n\r\n'));
        b.write(new Uint8Array(32_768));
      },
      onDrain() {},
      onEnd() {},
      onClose() {},
    });
    return Promise.resolve(a);
  };
  const proxy = new HttpProxy<null>(
    { newContext: () => null, upstreamPeer: () => toOrigin, ...hooks },
    { environment, upstream: { connect } },
  );
  const server = new HttpServer(proxy, { environment });
  const { a: client, b: accepted } = memoryPair();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.accept(
    lookingAt(accepted, (chunk) => {
      if (chunk.length < 16_384) return;
      if (isGivenAway(chunk)) counts.given++;
      else counts.kept++;
    }),
  );
  let received = 0;
  client.attach({
    onData(chunk) {
      received += chunk.length;
      if (received > 32_768) resolve();
    },
    onDrain() {},
    onEnd() {},
    onClose() {},
  });
  client.write(latin1Encode('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
  await promise;
  server.close();
  proxy.close();
  return counts;
}

/** `stream`, with `look` called for each chunk before it is written. */
function lookingAt(stream: L4Stream, look: (chunk: Uint8Array) => void): L4Stream {
  return {
    id: stream.id,
    info: stream.info,
    get state() {
      return stream.state;
    },
    get bufferedBytes() {
      return stream.bufferedBytes;
    },
    attach: (sink, head) => stream.attach(sink, head),
    write: (chunk) => {
      look(chunk);
      return stream.write(chunk);
    },
    writev: (chunks) => {
      chunks.forEach(look);
      return stream.writev(chunks);
    },
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    end: () => stream.end(),
    abort: (error) => stream.abort(error),
  };
}

test('a chunk of a response that no filter has seen is given away', async () => {
  assert.deepEqual(await largeWrites({}), { given: 1, kept: 0 });
});

test('a chunk that a body filter has seen is not: the filter may have kept it', async () => {
  assert.deepEqual(await largeWrites({ responseBodyFilter: (_session, chunk) => chunk }), { given: 0, kept: 1 });
});

/** Clients that are slow to take a body which comes fast: whoever sends it is stopped, and memory stays bounded. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { concatBytes } from '@ferrata/bytes';
import { requestHead, responseHead } from '@ferrata/headers';
import {
  type ClientExchange,
  Http1ClientSession,
  Http2ClientSession,
  type HttpApplication,
  HttpServer,
  resolveHttp1ClientOptions,
  resolveHttp2ClientOptions,
} from '@ferrata/http';
import { compression, type HttpModuleKind, replaceBytes, rewriteBody, withModules } from '@ferrata/http-modules';
import { memoryPair } from '@ferrata/stream';
import { firstMisplacedByte, positionalBytes } from '@ferrata/testkit';
import { noiseOf } from './compression/texts.ts';
import { clocked, FakeExchange, Follower, kind, moduleOptions, serve, settle } from './rig.ts';

const TOTAL = 2 * 1_048_576;
const PIECE = 16_384;
/** Of one body: what the machine, the stream, the window and the modules may hold. */
const MOST_HELD = 512 * 1024;

/** Sends a body as fast as it is taken. */
class Source implements HttpApplication {
  produced = 0;

  onRequest(exchange: Parameters<HttpApplication['onRequest']>[0]): ReturnType<HttpApplication['onRequest']> {
    const pump = (): void => {
      while (this.produced < TOTAL) {
        const piece = positionalBytes(PIECE, 0, this.produced);
        this.produced += PIECE;
        if (!exchange.sendData(piece)) return;
      }
      exchange.sendEnd();
    };
    exchange.sendHead(responseHead(200), TOTAL);
    pump();
    return { onRequestData() {}, onRequestEnd() {}, onResponseDrain: pump, onExchangeClose() {} };
  }
}

const unchanged: readonly HttpModuleKind[] = [
  kind('sync', { responseBodyFilter: (chunk) => chunk }),
  kind('async', { responseFilter: () => Promise.resolve(), responseBodyFilter: (chunk) => Promise.resolve(chunk) }),
  rewriteBody({ direction: 'response', transform: replaceBytes('not in there', '') }),
];

describe('a client that stops reading, behind modules', () => {
  for (const version of ['http1', 'http2'] as const) {
    it(`holds a bounded part of the body, and gets all of it when it goes on: ${version}`, async () => {
      const { environment } = clocked();
      const source = new Source();
      const server = new HttpServer(withModules(source, unchanged, moduleOptions()), { environment });
      const { a, b } = memoryPair();
      server.accept(b);
      const owner = { onSessionIdle() {}, onSessionClose() {} };
      const session =
        version === 'http1'
          ? new Http1ClientSession(a, environment, resolveHttp1ClientOptions(), owner)
          : new Http2ClientSession(a, environment, resolveHttp2ClientOptions(), owner);
      session.start();
      const ended = Promise.withResolvers<unknown>();
      let received = 0;
      let most = 0;
      let misplaced = -1;
      const request = requestHead('GET', '/', { headers: { Host: 'a' } });
      const exchange: ClientExchange = session.request(
        request,
        { bodyLength: 0, upgrade: null },
        {
          onInterim() {},
          onResponse() {},
          onTunnel() {},
          onResponseData(chunk) {
            if (misplaced < 0) misplaced = firstMisplacedByte(chunk, 0, received);
            received += chunk.length;
            most = Math.max(most, source.produced - received);
            // Every so often it reads nothing for a while.
            if (received % 7 !== 0) return;
            exchange.pauseResponse();
            void settle().then(() => {
              most = Math.max(most, source.produced - received);
              exchange.resumeResponse();
            });
          },
          onResponseEnd() {},
          onRequestDrain() {},
          onClientClose: ended.resolve,
        },
      );
      exchange.pauseResponse();
      for (let turn = 0; turn < 50; turn++) await settle();
      assert.ok(source.produced > 0 && source.produced <= MOST_HELD, `${source.produced} bytes`);
      exchange.resumeResponse();
      assert.equal(await ended.promise, null);
      assert.deepEqual([received, misplaced], [TOTAL, -1]);
      assert.ok(most <= MOST_HELD, `${most} bytes`);
    });
  }
});

describe('a client that takes nothing, of a body that modules edit', () => {
  it('costs no memory: the sender is stopped at once', async () => {
    const exchange = new FakeExchange();
    const modular = serve(exchange, [kind('a', { responseBodyFilter: (chunk) => Promise.resolve(chunk) })]);
    const follower = new Follower();
    modular.follow(follower);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), -1);
    exchange.hasRoom = false;
    let sent = 0;
    for (let turn = 0; turn < 50; turn++) {
      if (sent === follower.heard.length) {
        sent++;
        assert.equal(modular.sendData(new Uint8Array(16_384)), false);
      }
      await settle();
    }
    // One piece went to the network, and no other was asked for.
    assert.deepEqual([sent, concatBytes(exchange.sent).length, follower.heard], [1, 16_384, []]);
  });
});

describe('a client that takes one piece at a time, of a body that is compressed in the thread pool', () => {
  const page = noiseOf(2_000_000);
  // A coder of br keeps what it has been given for itself, up to its block, where nothing asks it to flush.
  for (const [coding, decode, mostHeld] of [
    ['gzip', gunzipSync, MOST_HELD],
    ['br', brotliDecompressSync, MOST_HELD + 1_048_576],
    ['zstd', zstdDecompressSync, MOST_HELD],
  ] as const) {
    for (const bodyLength of [-1, page.length]) {
      it(`has its sender wait for each, and gets all: ${coding}, ${bodyLength < 0 ? 'of a length that is not known' : 'of a known length'}`, async () => {
        const exchange = new FakeExchange(requestHead('GET', '/', { headers: { 'Accept-Encoding': coding } }));
        const modular = serve(exchange, [compression()]);
        let offered = 0;
        let most = 0;
        const pump = (): void => {
          let goesOn = true;
          while (goesOn && offered < page.length) {
            const piece = page.subarray(offered, offered + PIECE);
            offered += piece.length;
            goesOn = modular.sendData(piece);
          }
          if (goesOn) modular.sendEnd();
        };
        modular.follow({ onRequestData() {}, onRequestEnd() {}, onResponseDrain: pump, onExchangeClose() {} });
        await modular.filterRequest();
        exchange.hasRoom = false;
        modular.sendHead(responseHead(200, { headers: { 'Content-Type': 'text/plain' } }), bodyLength);
        pump();
        for (let turn = 0; turn < 100_000 && !exchange.isClosed; turn++) {
          const before = exchange.sent.length;
          await new Promise((resolve) => setImmediate(resolve));
          most = Math.max(most, offered - exchange.responseBytes);
          if (exchange.sent.length === before) continue;
          // Nothing more comes, however long the client takes nothing.
          const sent = exchange.sent.length;
          for (let wait = 0; wait < 3; wait++) await new Promise((resolve) => setImmediate(resolve));
          assert.ok(exchange.sent.length - sent <= 1 || exchange.isClosed);
          modular.onResponseDrain();
        }
        assert.equal(exchange.isClosed, true);
        assert.ok(most <= mostHeld, `${most} bytes`);
        assert.equal(Buffer.compare(decode(concatBytes(exchange.sent)), page), 0);
      });
    }
  }
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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
import { type HttpModuleKind, replaceBytes, rewriteBody, withModules } from '@ferrata/http-modules';
import { memoryPair } from '@ferrata/stream';
import { firstMisplacedByte, positionalBytes } from '@ferrata/testkit';
import { clocked, kind, moduleOptions, settle } from './rig.ts';

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

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { type HttpApplication, respond, type ServerExchange } from '@ferrata/http';
import { type HttpModuleKind, withModules } from '@ferrata/http-modules';
import { ask, bytes, kind, moduleOptions, speak } from './rig.ts';

/** Modules that see everything and change nothing; the first two leave bodies alone, the last two have them pass through. */
const looking: readonly HttpModuleKind[] = [
  kind('a', { requestFilter() {}, responseFilter() {} }),
  kind('b', { requestFilter: () => Promise.resolve(), responseFilter: () => Promise.resolve() }),
];
const passing: readonly HttpModuleKind[] = [
  kind('c', { requestBodyFilter: (chunk) => chunk, responseBodyFilter: (chunk) => chunk, responseTrailerFilter: (trailers) => trailers }),
  kind('d', { requestBodyFilter: (chunk) => Promise.resolve(chunk), responseBodyFilter: (chunk) => Promise.resolve(chunk) }),
];

/** Answers with what it was sent, piece by piece, with an interim response, trailers and a few fields. */
const echo: HttpApplication = {
  onRequest(exchange: ServerExchange) {
    const pieces: Uint8Array[] = [];
    return {
      onRequestData: (chunk) => void pieces.push(chunk),
      onRequestEnd(trailers) {
        exchange.sendInterim(responseHead(103, { headers: { Link: '</a.css>' } }));
        const headers = HeaderMap.from([
          ['ETag', '"1"'],
          ['set-cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
          ['X-Of', exchange.request.target],
        ]);
        exchange.sendHead(responseHead(200, { headers }), -1);
        for (const piece of pieces) exchange.sendData(piece);
        exchange.sendEnd(trailers ?? HeaderMap.from({ 'X-Sum': '1' }));
      },
      onResponseDrain() {},
      onExchangeClose() {},
    };
  },
};
const fixed: HttpApplication = {
  onRequest(exchange) {
    const headers = { 'Content-Type': 'text/plain', 'Content-Length': '5' };
    const onRequestEnd = (): void => respond(exchange, 200, { headers, body: bytes('hello') });
    return { onRequestData() {}, onRequestEnd, onResponseDrain() {}, onExchangeClose() {} };
  },
};

const requests: readonly (readonly [string, string])[] = [
  ['a POST in chunks', 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n'],
  ['a POST with a length', 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde'],
  ['GETs in a row', 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  ['HEAD', 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'],
];

describe('modules that do nothing', () => {
  for (const [name, input] of requests) {
    it(`change no byte of an HTTP/1 exchange: ${name}`, async () => {
      for (const application of [echo, fixed]) {
        const plain = await speak(application, input);
        assert.match(plain, /^HTTP\/1.1 /);
        assert.equal(await speak(withModules(application, looking, moduleOptions()), input), plain);
        // A body that goes through filters is of unknown length; that of `echo` always is.
        if (application === echo)
          assert.equal(await speak(withModules(application, [...looking, ...passing], moduleOptions()), input), plain);
      }
    });
  }
  it('change nothing in an HTTP/2 exchange', async () => {
    const asked = { method: 'POST', body: ['abc', 'de'] };
    for (const application of [echo, fixed]) {
      const plain = await ask(application, 'http2', asked);
      const { error, status } = plain;
      assert.deepEqual([error, status], [null, 200]);
      assert.deepEqual(await ask(withModules(application, looking, moduleOptions()), 'http2', asked), plain);
      if (application === echo)
        assert.deepEqual(await ask(withModules(application, [...looking, ...passing], moduleOptions()), 'http2', asked), plain);
    }
  });
});

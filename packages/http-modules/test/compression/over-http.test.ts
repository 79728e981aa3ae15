import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { latin1Encode } from '@ferrata/bytes';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { type HttpApplication, respond } from '@ferrata/http';
import { compression, grpcWeb, requestDecompression, withModules } from '../../src/index.ts';
import { frameOf, readFrames } from '../grpc-web/naive-grpc-web.ts';
import { answering, ask, clocked } from '../rig.ts';
import { decoded, jsonOf } from './texts.ts';

const page = jsonOf(5_000);
const { environment } = clocked();

/** Answers with a page, of known length or in pieces. */
function pages(inPieces: boolean, more: Record<string, string> = {}): HttpApplication {
  const headers = { 'Content-Type': 'application/json', ETag: '"v1"', ...more };
  return answering((exchange) => {
    if (!inPieces) return respond(exchange, 200, { headers, body: page });
    exchange.sendHead(responseHead(200, { headers: HeaderMap.from(headers) }), -1);
    for (let at = 0; at < page.length; at += 1_000) exchange.sendData(page.subarray(at, at + 1_000));
    exchange.sendEnd();
  });
}

for (const version of ['http1', 'http2'] as const)
  describe(`over ${version}`, () => {
    for (const inPieces of [false, true])
      for (const coding of ['gzip', 'br', 'zstd'] as const)
        test(`a page ${inPieces ? 'in pieces' : 'of known length'} arrives in ${coding}`, async () => {
          const application = withModules(pages(inPieces), [compression()], { environment });
          const answer = await ask(application, version, { fields: { 'Accept-Encoding': coding } });
          assert.equal(answer.error, null);
          assert.equal(answer.headers.get('content-encoding'), coding);
          assert.equal(answer.headers.get('content-length'), undefined);
          assert.deepEqual(decoded(coding, latin1Encode(answer.body)), page);
        });

    test('an answer to HEAD has the head of the one to GET, without a length', async () => {
      const application = withModules(pages(false), [compression()], { environment });
      const fields = { 'Accept-Encoding': 'gzip' };
      const names = (headers: HeaderMap): string[] =>
        headers
          .toJSON()
          .flatMap(([name, value]) => (/^(?:date|transfer-encoding)$/i.test(name) ? [] : [`${name.toLowerCase()}: ${value}`]));
      const head = await ask(application, version, { method: 'HEAD', fields });
      assert.deepEqual(names(head.headers), names((await ask(application, version, { fields })).headers));
      assert.deepEqual([head.headers.has('content-length'), head.body], [false, '']);
    });

    test('a malformed body is cut so that the client sees it', async () => {
      const application = withModules(pages(true, { 'Content-Encoding': 'gzip' }), [compression({ decompress: true })], { environment });
      const answer = await ask(application, version);
      assert.notEqual(answer.error, null);
      assert.equal(answer.body, '');
    });

    test('the body of a request reaches the application in plain', async () => {
      const heard: number[] = [];
      const application: HttpApplication = {
        onRequest: (exchange) => ({
          onRequestData: (chunk) => void heard.push(chunk.length),
          onRequestEnd: () => respond(exchange, 200, { body: String(heard.reduce((sum, length) => sum + length, 0)) }),
          onResponseDrain() {},
          onExchangeClose() {},
        }),
      };
      const body = [Buffer.from(gzipSync(page)).toString('latin1')];
      const modular = withModules(application, [requestDecompression()], { environment });
      const answer = await ask(modular, version, { method: 'POST', fields: { 'Content-Encoding': 'gzip' }, body });
      assert.equal(answer.body, String(page.length));
    });

    test('gRPC-Web gets its trailers in the body, uncompressed, also beside compression', async () => {
      const application = answering((exchange) => {
        exchange.sendHead(responseHead(200, { headers: { 'Content-Type': 'application/grpc' } }), -1);
        exchange.sendData(frameOf(0, page));
        exchange.sendEnd(HeaderMap.from({ 'grpc-status': '0' }));
      });
      const modular = withModules(application, [compression(), grpcWeb()], { environment });
      const fields = { 'Content-Type': 'application/grpc-web+proto', 'Accept-Encoding': 'gzip' };
      const answer = await ask(modular, version, { method: 'POST', fields, body: [''] });
      assert.equal(answer.headers.get('content-type'), 'application/grpc-web');
      assert.equal(answer.headers.get('content-encoding'), undefined);
      assert.equal(answer.trailers?.size ?? 0, 0);
      assert.deepEqual(
        readFrames(latin1Encode(answer.body)).map(({ flags, text }) => [flags, text.length]),
        [
          [0, page.length],
          [0x80, 'grpc-status: 0\r\n'.length],
        ],
      );
    });
  });

/** Checks by the gRPC health checking protocol: its bytes, and a server made of node:http2 that speaks them. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { describe, test } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import { HttpEnvironment } from '@ferrata/http';
import fc from 'fast-check';
import { type GrpcCheckOptions, grpcCheck } from '../../src/health/grpc-check.ts';
import { decodeHealthResponse, encodeHealthRequest } from '../../src/health/grpc-message.ts';
import { listening, rejection } from '../internal/http-rig.ts';
import { backendOf } from './rig.ts';

const authority = await createAuthority();
const served = await authority.issue({ names: ['127.0.0.1'] });
const environment = new HttpEnvironment();

function frame(message: readonly number[]): Buffer {
  return Buffer.from([0, 0, 0, 0, message.length, ...message]);
}

function look(options: GrpcCheckOptions, { port }: { readonly port: number }): Promise<void> {
  return grpcCheck(options).check(backendOf({ address: `127.0.0.1:${port}` }), { environment, signal: new AbortController().signal });
}

/** What a server of gRPC says: a message and trailers, or trailers alone. */
type Answer =
  | { readonly message: Buffer; readonly trailers: Record<string, string> }
  | { readonly alone: Record<string, string>; readonly status?: number };

/** Answers each question, whose bytes and fields are kept. */
function speaking(server: Http2Server | Http2SecureServer, answerOf: (service: string) => Answer, seen: IncomingHttpHeaders[] = []) {
  const answerTo = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    seen.push(headers);
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
    stream.on('end', () => {
      const question = Buffer.concat(chunks);
      const answer = answerOf(question.subarray(7).toString());
      if ('alone' in answer) {
        stream.respond({ ':status': answer.status ?? 200, 'content-type': 'application/grpc', ...answer.alone }, { endStream: true });
        return;
      }
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers(answer.trailers));
      stream.end(answer.message);
    });
  };
  server.on('stream', answerTo);
  return server;
}

const OK = { 'grpc-status': '0' };

describe('the messages', () => {
  test('have the bytes that protocol buffers and gRPC give them', () => {
    assert.deepEqual([...encodeHealthRequest('')], [0, 0, 0, 0, 0]);
    assert.deepEqual([...encodeHealthRequest('ab')], [0, 0, 0, 0, 4, 0x0a, 2, 0x61, 0x62]);
    const long = encodeHealthRequest('x'.repeat(300));
    assert.deepEqual([...long.subarray(0, 8)], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    assert.equal(long.length, 5 + 303);
    assert.deepEqual(
      [[], [8, 0], [8, 1], [8, 2], [8, 3], [8, 0xac, 0x02]].map((message) => decodeHealthResponse(frame(message))),
      [0, 0, 1, 2, 3, 300],
    );
  });

  test('may have fields of later versions, of every kind, and the last status counts', () => {
    const others = [0x10, 0x96, 1, 0x1a, 2, 8, 9, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x2d, 1, 2, 3, 4];
    assert.equal(decodeHealthResponse(frame([...others, 8, 2, 8, 1, ...others])), 1);
  });

  test('that are cut off, compressed or of no known kind are told apart from any status', () => {
    const wrong = [
      [8],
      [0x80],
      [0],
      [0x0b],
      [0x1a, 9, 1],
      [0x21, 1],
      [0x2d, 1],
      [8, ...Array.from({ length: 11 }, () => 0x80)],
      [0x1a, 0xff, 0xff, 0xff, 0xff, 0x7f],
    ];
    for (const message of wrong) assert.equal(typeof decodeHealthResponse(frame(message)), 'string', message.join());
    for (const body of [[], [0, 0, 0, 0], [1, 0, 0, 0, 2, 8, 1], [0, 0, 0, 0, 2, 8, 1, 0], [0, 0, 0, 0, 3, 8, 1]])
      assert.equal(typeof decodeHealthResponse(Uint8Array.from(body)), 'string', body.join());
  });

  test('of any bytes are read without a throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (message) => {
        const read = decodeHealthResponse(frame([...message]));
        assert.ok(typeof read === 'string' || Number.isInteger(read));
        decodeHealthResponse(message);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a server of gRPC', () => {
  test('that serves is well, and is asked as gRPC asks', async (t) => {
    const seen: IncomingHttpHeaders[] = [];
    const server = await listening(
      t,
      speaking(createHttp2Server(), (service) => ({ message: frame([8, service === 'app.Users' ? 1 : 2]), trailers: OK }), seen),
    );
    await look({ service: 'app.Users', host: 'app.test' }, server);
    const [asked] = seen;
    assert.deepEqual(
      [asked?.[':method'], asked?.[':path'], asked?.[':authority'], asked?.['content-type'], asked?.['te'], asked?.['grpc-timeout']],
      ['POST', '/grpc.health.v1.Health/Check', 'app.test', 'application/grpc', 'trailers', '1000m'],
    );
    await server.allGone();
  });

  test('that does not serve, or does not know, is not well', async (t) => {
    for (const [message, state] of [
      [[], 'UNKNOWN'],
      [[8, 2], 'NOT_SERVING'],
      [[8, 3], 'SERVICE_UNKNOWN'],
      [[8, 77], '77'],
    ] as const) {
      const server = await listening(
        t,
        speaking(createHttp2Server(), () => ({ message: frame([...message]), trailers: OK })),
      );
      const error = await rejection(look({}, server));
      assert.equal(error.reason, 'HEALTH_GRPC_NOT_SERVING');
      assert.ok(error.message.includes(state), error.message);
      await server.allGone();
    }
  });

  test('that refuses, by trailers alone or behind a message, is told by its status', async (t) => {
    const answers: readonly (readonly [Answer, string, RegExp])[] = [
      [{ alone: { 'grpc-status': '12' } }, 'HEALTH_GRPC_UNIMPLEMENTED', /health checking protocol/],
      [{ alone: { 'grpc-status': '5' } }, 'HEALTH_GRPC_SERVICE_UNKNOWN', /"app"/],
      [{ alone: { 'grpc-status': '14', 'grpc-message': 'going%20down' } }, 'HEALTH_GRPC_STATUS', /14.*going down/],
      [{ alone: { 'grpc-status': '14', 'grpc-message': '%zz' } }, 'HEALTH_GRPC_STATUS', /%zz/],
      [{ alone: { 'grpc-status': '14', 'grpc-message': 'a%0d%0ab%1b%5b2Jc' } }, 'HEALTH_GRPC_STATUS', /gRPC: a b \[2Jc/],
      [{ message: frame([8, 1]), trailers: { 'grpc-status': '13' } }, 'HEALTH_GRPC_STATUS', /13/],
      [{ alone: { 'grpc-status': 'ok' } }, 'HEALTH_GRPC_MALFORMED', /no number/],
      [{ alone: OK }, 'HEALTH_GRPC_MALFORMED', /no frame/],
      [{ message: Buffer.from([1, 0, 0, 0, 2, 8, 1]), trailers: OK }, 'HEALTH_GRPC_MALFORMED', /compressed/],
      [{ alone: {}, status: 404 }, 'HEALTH_STATUS_WRONG', /404/],
      [{ alone: {} }, 'HEALTH_GRPC_MALFORMED', /without a status/],
      [{ message: Buffer.alloc(10_000), trailers: OK }, 'HTTP_BODY_TOO_LARGE', /4096/],
    ];
    for (const [answer, reason, message] of answers) {
      const server = await listening(
        t,
        speaking(createHttp2Server(), () => answer),
      );
      const error = await rejection(look({ service: 'app' }, server));
      assert.equal(error.reason, reason);
      assert.match(error.message, message);
      await server.allGone();
    }
  });

  test('is asked over TLS, and on one connection where it is to be kept', async (t) => {
    const secure = speaking(createSecureServer({ cert: served.chain, key: served.key }), () => ({ message: frame([8, 1]), trailers: OK }));
    const server = await listening(t, secure);
    const check = grpcCheck({ tls: { ca: authority.certificate }, keepConnection: true });
    for (let round = 0; round < 3; round++)
      await check.check(backendOf({ address: `127.0.0.1:${server.port}` }), { environment, signal: new AbortController().signal });
    assert.equal(server.accepted(), 1);
    check.close?.();
    await server.allGone();
  });

  test('that is none, but speaks HTTP/1, or says nothing, fails', async (t) => {
    const web = await listening(
      t,
      createHttpServer((_request, response) => void response.end()),
    );
    await rejection(look({}, web));
    const silent = createHttp2Server();
    silent.on('stream', (stream) => void stream.on('error', () => {}));
    const server = await listening(t, silent);
    assert.equal((await rejection(look({ timeoutMs: 60 }, server))).reason, 'HTTP_ANSWER_TIMEOUT');
    await Promise.all([web.allGone(), server.allGone()]);
  });

  test('is not asked with options that cannot work', () => {
    assert.throws(() => grpcCheck({ service: 1 as never }), TypeError);
    assert.throws(() => grpcCheck({ service: 'x'.repeat(1_025) }), TypeError);
    assert.throws(() => grpcCheck({ host: 'a\nb' }), TypeError);
    assert.throws(() => grpcCheck({ timeoutMs: -1 }), RangeError);
  });
});

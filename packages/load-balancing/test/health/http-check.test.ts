/** Checks by a request, and everything that may be wrong with an answer. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttp2Server, createSecureServer, type ServerHttp2Session } from 'node:http2';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import { connectError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import type { Backend } from '../../src/backend.ts';
import { type HttpCheckOptions, httpCheck } from '../../src/health/http-check.ts';
import { type Listening, listening, rejection } from '../internal/http-rig.ts';
import { backendOf } from './rig.ts';

const authority = await createAuthority();
const [served, elsewhere] = await Promise.all([authority.issue({ names: ['127.0.0.1'] }), authority.issue({ names: ['elsewhere.test'] })]);
const ca = authority.certificate;
const environment = new HttpEnvironment();

function look(options: HttpCheckOptions, { port }: { readonly port: number }): Promise<void> {
  const backend: Backend = backendOf({ address: `127.0.0.1:${port}` });
  return httpCheck(options).check(backend, { environment, signal: new AbortController().signal });
}

async function reasonOf(options: HttpCheckOptions, server: { readonly port: number }): Promise<string> {
  return (await rejection(look(options, server))).reason;
}

function raw(answer: (socket: Socket) => void) {
  return createTcpServer((socket) => socket.once('data', () => answer(socket)));
}

type After = Parameters<typeof listening>[0];

function web(t: After, listener: RequestListener): Promise<Listening> {
  return listening(t, createHttpServer(listener));
}

describe('the question', () => {
  test('is GET / with the name of the backend, unless it is told otherwise, and comes on a connection of its own', async (t) => {
    const seen: unknown[] = [];
    const server = await web(t, (request, response) => {
      seen.push([request.method, request.url, request.headers.host, request.headers['x-probe']]);
      response.end();
    });
    await look({}, server);
    await look({ path: '/ready?x', method: 'HEAD', host: 'app.test', headers: [['x-probe', '1']] }, server);
    await look({ servername: 'app.test' }, server);
    assert.deepEqual(seen, [
      ['GET', '/', `127.0.0.1:${server.port}`, undefined],
      ['HEAD', '/ready?x', 'app.test', '1'],
      ['GET', '/', `app.test:${server.port}`, undefined],
    ]);
    assert.equal(server.accepted(), 3);
    await server.allGone();
  });

  test('comes on one connection where it is to be kept, until the check is let go of', async (t) => {
    const server = await web(t, (_request, response) => void response.end('ok'));
    const check = httpCheck({ keepConnection: true });
    const backend = backendOf({ address: `127.0.0.1:${server.port}` });
    for (let round = 0; round < 3; round++) await check.check(backend, { environment, signal: new AbortController().signal });
    assert.equal(server.accepted(), 1);
    check.close?.();
    await server.allGone();
    await check.check(backend, { environment, signal: new AbortController().signal });
    assert.equal(server.accepted(), 2);
    check.close?.();
    await server.allGone();
  });

  test('that could not be sent, and answers that could not be, are refused at once', () => {
    for (const wrong of [
      { path: 'a b' },
      { method: 'G T' },
      { method: 'CONNECT' },
      { host: 'a\r\nb' },
      { headers: [['x y', '1']] as const },
      { protocol: 'http3' as never },
      { validate: 1 as never },
      { expectBody: 1 as never },
    ])
      assert.throws(() => httpCheck(wrong), TypeError, JSON.stringify(wrong));
    for (const statuses of [[], [20], ['2xx'], ['300-200'], ['200-'], [1_000], [Number.NaN]])
      assert.throws(() => httpCheck({ statuses }), RangeError, JSON.stringify(statuses));
    assert.throws(() => httpCheck({ maxBodyBytes: -1 }), RangeError);
  });
});

describe('the answer', () => {
  test('must have the status 200, or one of those that are named', async (t) => {
    const server = await web(t, (request, response) => {
      response.statusCode = Number(request.url?.slice(1));
      response.end();
    });
    const isWell = async (status: number, statuses?: readonly (number | string)[]): Promise<boolean> => {
      const options = { path: `/${status}`, ...(statuses === undefined ? {} : { statuses }) };
      return look(options, server).then(
        () => true,
        () => false,
      );
    };
    const found: boolean[] = [];
    for (const status of [200, 204, 301, 404, 500]) found.push(await isWell(status));
    assert.deepEqual(found, [true, false, false, false, false]);
    found.length = 0;
    for (const status of [200, 204, 301, 399, 404, 418, 500]) found.push(await isWell(status, ['200-399', 418]));
    assert.deepEqual(found, [true, true, true, true, false, true, false]);
    const error = await rejection(look({ path: '/503' }, server));
    assert.deepEqual([error.type, error.reason, error.source], ['protocol', 'HEALTH_STATUS_WRONG', 'upstream']);
    assert.match(error.message, /503/);
  });

  test('must have the fields that are expected, on any of their lines', async (t) => {
    const server = await web(t, (_request, response) => void response.setHeader('X-Role', ['reader', 'Writer-7']).end());
    await look({ expectHeaders: [['x-role', 'reader']] }, server);
    await look({ expectHeaders: [['X-ROLE', /^writer-\d$/i]] }, server);
    for (const value of ['writer', /^eader/])
      assert.equal(await reasonOf({ expectHeaders: [['x-role', value]] }, server), 'HEALTH_HEADER_WRONG');
    assert.equal(await reasonOf({ expectHeaders: [['x-other', /(?:)/]] }, server), 'HEALTH_HEADER_WRONG');
  });

  test('must have the body that is expected, within its bound, and a longer one is cut', async (t) => {
    const server = await web(t, (_request, response) => void response.end(`${'x'.repeat(1_000)} ready größe ${'y'.repeat(200_000)}`));
    await look({ expectBody: 'ready größe' }, server);
    await look({ expectBody: /\bready\b/u }, server);
    await look({ maxBodyBytes: 0 }, server);
    assert.equal(await reasonOf({ expectBody: 'ready', maxBodyBytes: 1_000 }, server), 'HEALTH_BODY_WRONG');
    assert.equal(await reasonOf({ expectBody: 'gone' }, server), 'HEALTH_BODY_WRONG');
    await server.allGone();
  });

  test('is matched from its beginning each time, whatever flags a pattern has, which stays as it was', async (t) => {
    const server = await web(t, (_request, response) => void response.setHeader('x-a', 'ok').end('ok'));
    for (const flags of ['g', 'y', 'gy']) {
      const pattern = new RegExp('ok', flags);
      pattern.lastIndex = 1;
      const check = httpCheck({ expectBody: pattern, expectHeaders: [['x-a', pattern]] });
      for (let round = 0; round < 3; round++)
        await check.check(backendOf({ address: `127.0.0.1:${server.port}` }), { environment, signal: new AbortController().signal });
      assert.equal(pattern.lastIndex, 1);
    }
  });

  test('without end is cut too, and costs no more than its bound', async (t) => {
    const server = await web(t, (_request, response) => {
      const timer = setInterval(() => response.write('z'.repeat(8_192)), 1);
      response.once('close', () => clearInterval(timer));
    });
    await look({ expectBody: 'zzz' }, server);
    await server.allGone();
  });

  test('is looked at by the program, which has the last word', async (t) => {
    const server = await web(t, (_request, response) => {
      response.statusCode = 301;
      response.setHeader('location', '/elsewhere').end('moved');
    });
    const seen: unknown[] = [];
    await look(
      {
        validate: ({ status, headers, body, isWhole }) => {
          seen.push(status, headers.get('location'), Buffer.from(body).toString(), isWhole);
        },
      },
      server,
    );
    assert.deepEqual(seen, [301, '/elsewhere', 'moved', true]);
    await look({ validate: () => Promise.resolve(true) }, server);
    assert.equal(await reasonOf({ validate: () => false }, server), 'HEALTH_REFUSED');
    assert.equal(await reasonOf({ validate: () => Promise.reject(new Error('no')) }, server), 'HEALTH_REFUSED');
    assert.equal(await reasonOf({ validate: () => true, statuses: [200] }, server), 'HEALTH_STATUS_WRONG');
    const own = connectError('OWN_REASON', 'of the program');
    assert.equal(
      await reasonOf(
        {
          validate: () => {
            throw own;
          },
        },
        server,
      ),
      'OWN_REASON',
    );
  });
});

describe('what goes wrong on the way', () => {
  test('is told by its own name: refused, garbage, closed, a reset anywhere', async (t) => {
    const closed = createTcpServer();
    const { port } = await listening(t, closed);
    await new Promise((resolve) => closed.close(resolve));
    assert.equal(await reasonOf({}, { port }), 'CONNECT_REFUSED');

    const garbage = await listening(
      t,
      raw((socket) => void socket.end('SSH-2.0-OpenSSH_9.6\r\n')),
    );
    assert.equal((await rejection(look({}, garbage))).type, 'protocol');
    const silent = await listening(
      t,
      raw((socket) => void socket.end()),
    );
    assert.ok(['io', 'protocol'].includes((await rejection(look({}, silent))).type));

    const whole = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody';
    for (let length = 0; length < whole.length; length += 5) {
      const server = await listening(
        t,
        raw((socket) => void socket.write(whole.slice(0, length) || ' ', () => socket.resetAndDestroy())),
      );
      assert.ok(['io', 'protocol'].includes((await rejection(look({}, server))).type), String(length));
      await server.allGone();
    }
    await Promise.all([garbage.allGone(), silent.allGone()]);
  });

  test('a server that stalls before its answer, in its head or in its body is out of time', async (t) => {
    const whole = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody';
    for (const length of [0, 20, whole.length - 1]) {
      const server = await listening(
        t,
        raw((socket) => void (length > 0 && socket.write(whole.slice(0, length)))),
      );
      assert.equal(await reasonOf({ timeoutMs: 60 }, server), 'HTTP_ANSWER_TIMEOUT', String(length));
      await server.allGone();
    }
  });

  test('a server in the clear where TLS is asked for, TLS where it is not, and the wrong certificate', async (t) => {
    const plain = await web(t, (_request, response) => void response.end());
    assert.equal((await rejection(look({ tls: { ca } }, plain))).type, 'tls');
    const secure = createSecureServer(
      { allowHTTP1: true, cert: served.chain, key: served.key },
      (_request, response) => void response.end(),
    );
    secure.on('sessionError', () => {});
    const server = await listening(t, secure);
    await assert.rejects(look({}, server));
    await look({ tls: { ca } }, server);
    assert.equal(await reasonOf({ tls: true }, server), 'TLS_CERT_UNTRUSTED');
    const wrong = await listening(t, createSecureServer({ cert: elsewhere.chain, key: elsewhere.key }));
    assert.equal(await reasonOf({ tls: { ca } }, wrong), 'TLS_HOSTNAME_MISMATCH');
    await Promise.all([plain.allGone(), server.allGone(), wrong.allGone()]);
  });

  test('a server of HTTP/2 that says GOAWAY, or resets the stream, instead of answering', async (t) => {
    const sessions = new Set<ServerHttp2Session>();
    const going = createHttp2Server();
    going.on('session', (session) => void sessions.add(session));
    going.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.session?.goaway(2, 0);
      stream.session?.destroy();
    });
    const resetting = createHttp2Server();
    resetting.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.close(2);
    });
    for (const one of [going, resetting]) {
      const server = await listening(t, one);
      const error = await rejection(look({ protocol: 'http2' }, server));
      assert.ok(['io', 'protocol'].includes(error.type), error.message);
      await server.allGone();
    }
    assert.equal(sessions.size, 1);
  });
});

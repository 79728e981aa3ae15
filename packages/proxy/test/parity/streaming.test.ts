/** Behaviours S1 to S16 of Pingora's tests: uploads that are answered early, origins that die meanwhile, WebSockets and other upgrades, and clients that are slow. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Agent, createServer as createHttp1, type IncomingMessage } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import type { HttpModule } from '@ferrata/http-modules';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import type { RequestSession } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { Rig, type RigOptions, readResponse, settle } from '../rig.ts';
import { ask, exchangeRaw, type Origin, type ProxyAt, runOrigin, runProxy } from './socket-rig.ts';

const MEBIBYTE = 1_048_576;
const upload = Buffer.alloc(15 * MEBIBYTE, 'x');

describe('addresses', () => {
  test('#S1 connections come from the address that was asked for', async () => {
    // Linux has all of 127.0.0.0/8.
    const localAddress = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1';
    await using origin = await runOrigin(createHttp1((request, response) => void response.end(request.socket.remoteAddress)));
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`, { localAddress }) });
    assert.equal((await ask({ port: proxy.port })).body.toString(), localAddress);
  });
});

describe('uploads', () => {
  test('#S2 the origin answers before it reads 1 MB: the response is whole, the upload is drained, and the connection of the client goes on', async () => {
    const page = 'p'.repeat(320);
    await using origin = await runOrigin(createHttp1((_request, response) => void response.end(page)));
    // More than 64 KiB that nobody waits for would end the connection, unless it is told otherwise.
    const hooks = { earlyRequestFilter: (session: RequestSession): void => session.adjust({ maxDrainBytes: MEBIBYTE }) };
    const server = { connection: { sayKeepAlive: true } };
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`), hooks, server });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const body = Buffer.alloc(1_000_000, 'x');
    const first = await ask({ port: proxy.port, method: 'POST', agent, headers: { 'content-length': body.length } }, body);
    assert.deepEqual([first.status, first.body.toString(), first.isCut], [200, page, false]);
    assert.equal(first.headers.connection, 'keep-alive');
    const second = await ask({ port: proxy.port, agent });
    assert.deepEqual([second.status, second.isReused], [200, true]);
    agent.destroy();
    for (const version of ['1.0', '1.1']) {
      const asked = `POST / HTTP/${version}\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: ${body.length}\r\n\r\n${body.toString()}`;
      const text = await exchangeRaw(proxy.port, `${asked}GET / HTTP/1.0\r\n\r\n`);
      const told = readResponse(text);
      assert.deepEqual([told.status, told.body, readResponse(told.rest).status], [200, page, 200]);
      assert.match(told.head, /^connection: keep-alive\r$/im);
    }
  });

  test('#S3 the origin dies within a body of known length: the client has the head, and then a cut', async () => {
    await using origin = await runOrigin(
      createTcp((socket) => void socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'))),
    );
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    const answer = await ask({ port: proxy.port });
    assert.deepEqual([answer.status, answer.body.toString(), answer.isCut], [200, 'hello', true]);
  });

  test('#S4 an HTTP/1 origin answers, and resets within an upload of 15 MB: the client has the answer, each time', async () => {
    for (let round = 0; round < 5; round++) {
      const answered = 'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world';
      await using origin = await runOrigin(
        createTcp((socket) => void socket.once('data', () => socket.write(answered, () => setImmediate(() => socket.resetAndDestroy())))),
      );
      await assertAnswered(origin, 'http1');
    }
  });

  test('#S4 the same with an HTTP/2 origin', async () => {
    for (let round = 0; round < 5; round++) {
      const server = createHttp2();
      const answered = Promise.withResolvers<void>();
      // HTTP/2 of Node writes when it likes: the reset waits until the proxy has read the head.
      server.on('connection', (socket: Socket) => void answered.promise.then(() => socket.resetAndDestroy()));
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.on('error', () => {});
        stream.respond({ ':status': 200, 'content-length': 11 });
        stream.end('hello world');
      });
      await using origin = await runOrigin(server);
      await assertAnswered(origin, 'http2', { responseFilter: () => answered.resolve() });
    }
  });

  async function assertAnswered(origin: Origin, protocol: 'http1' | 'http2', hooks: ProxyAt['hooks'] = {}): Promise<void> {
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`, { protocol }), hooks });
    const head = `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${upload.length}\r\n\r\n`;
    const response = readResponse(await exchangeRaw(proxy.port, Buffer.concat([Buffer.from(head), upload])));
    assert.deepEqual([response.status, response.body, response.isComplete], [200, 'hello world', true]);
  }

  test('#S5 15 MB that are read before the answer: 200, whole, and soon', async () => {
    await using origin = await runOrigin(
      createHttp1((request, response) => {
        let bytes = 0;
        request.on('data', (piece: Buffer) => (bytes += piece.length));
        request.on('end', () => response.end(`${bytes}`));
      }),
    );
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    const signal = AbortSignal.timeout(5_000);
    const answer = await ask({ port: proxy.port, method: 'POST', headers: { 'content-length': upload.length }, signal }, upload);
    assert.deepEqual([answer.status, answer.body.toString()], [200, String(upload.length)]);
  });

  test('#S6 with closeOnEarlyResponse the answer to 15 MB that nobody reads says Connection: close, and is whole', async () => {
    await using origin = await runOrigin(
      createTcp((socket) => {
        socket.once('data', () => {
          socket.pause();
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world');
        });
      }),
    );
    await using proxy = await runProxy({
      to: peer(`127.0.0.1:${origin.port}`),
      hooks: { earlyRequestFilter: (session) => session.adjust({ closeOnEarlyResponse: true }) },
    });
    const head = `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${upload.length}\r\n\r\n`;
    const response = readResponse(await exchangeRaw(proxy.port, Buffer.concat([Buffer.from(head), upload])));
    assert.deepEqual([response.status, response.body, response.isComplete], [200, 'hello world', true]);
    assert.match(response.head, /^connection: close\r$/im);
  });
});

/** A server of RFC 6455, as far as this needs one: short text frames of clients go to `onText`, their Close is answered. */
function runWebSocketOrigin(onText: (socket: Duplex, text: string) => void): Promise<Origin> {
  const server = createHttp1();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.on('error', () => {});
    let bytes = Buffer.alloc(0);
    socket.on('data', (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      for (let length = frameLength(bytes); length > 0 && length <= bytes.length; length = frameLength(bytes)) {
        const opcode = (bytes[0] ?? 0) & 0x0f;
        const mask = bytes.subarray(2, 6);
        const payload = bytes.subarray(6, length).map((byte, index) => byte ^ (mask[index & 3] ?? 0));
        bytes = bytes.subarray(length);
        if (opcode === 8) socket.end(frame(8, payload));
        else onText(socket, Buffer.from(payload).toString());
      }
    });
  });
  return runOrigin(server);
}

/** Of a masked frame of fewer than 126 bytes; 0 if nothing can be said. */
function frameLength(bytes: Buffer): number {
  return bytes.length < 2 ? 0 : 6 + ((bytes[1] ?? 0) & 0x7f);
}

function frame(opcode: number, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0x80 | opcode, payload.length), payload]);
}

/** What a WebSocket of Node saw: its messages, and how it ended. */
async function talk(port: number, script: (socket: WebSocket, message: string | null) => void) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  const messages: string[] = [];
  socket.addEventListener('open', () => script(socket, null));
  socket.addEventListener('message', ({ data }) => {
    messages.push(String(data));
    script(socket, String(data));
  });
  const { code, wasClean } = await new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
  return { messages, code, wasClean };
}

describe('WebSockets and other upgrades', () => {
  test('#S7 the server closes in order: the client has its Close, and the end', async () => {
    await using origin = await runWebSocketOrigin((socket) => void socket.end(frame(8, Uint8Array.of(0x03, 0xe8))));
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    const { code, wasClean } = await talk(proxy.port, (socket) => socket.send('go'));
    assert.deepEqual([code, wasClean], [1000, true]);
  });

  test('#S8 the server drops the connection: the client has an end that is none of the protocol', async () => {
    await using origin = await runWebSocketOrigin((socket) => void socket.destroy());
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    const { code, wasClean } = await talk(proxy.port, (socket) => socket.send('go'));
    assert.deepEqual([code, wasClean], [1006, false]);
  });

  test('#S9 the client closes: it has the echo of its message, a Close, and the end', async () => {
    await using origin = await runWebSocketOrigin((socket, text) => void socket.write(frame(1, Buffer.from(text))));
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    const { messages, code, wasClean } = await talk(proxy.port, (socket, message) =>
      message === null ? socket.send('echo') : socket.close(1000),
    );
    assert.deepEqual([messages, code, wasClean], [['echo'], 1000, true]);
  });

  test('#S10 any upgrade: 101 keeps Upgrade and Connection, and six bytes follow it', async () => {
    await using origin = await runOrigin(
      createTcp((socket) => {
        socket.once('data', () =>
          socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhello\n'),
        );
      }),
    );
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    const asked = 'GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n';
    const text = await exchangeRaw(proxy.port, asked, (got) => got.endsWith('hello\n'));
    assert.match(text, /^HTTP\/1\.1 101 /);
    assert.match(text, /^upgrade: websocket\r$/im);
    assert.match(text, /^connection: upgrade\r$/im);
    assert.ok(text.endsWith('\r\n\r\nhello\n'));
  });

  test('#S11 #S12 an upgrade with a body is no upgrade: the origin hears of none, and the request is answered as any other', async () => {
    let head = '';
    await using origin = await runOrigin(
      createHttp1((request, response) => {
        head = JSON.stringify(request.headers);
        request.pipe(response);
      }),
    );
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    for (const length of [1_024, 5_120]) {
      const body = 'x'.repeat(length);
      const headers = { 'content-length': length, upgrade: 'websocket', connection: 'upgrade' };
      const answer = await ask({ port: proxy.port, method: 'POST', headers }, body);
      assert.deepEqual([answer.status, answer.body.toString()], [200, body]);
      assert.doesNotMatch(head, /websocket/i);
    }
  });
});

describe('clients that are slow', () => {
  /** Lets a client be slow, whose request has these settings. @returns what it has in the end */
  async function slowly(bytes: number, settings: { readonly writeTimeoutMs: number; readonly minSendBytesPerSecond?: number }) {
    const options: RigOptions = {
      origin: (wire) => {
        wire.onText = () => void wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`);
      },
      hooks: { earlyRequestFilter: (session) => session.adjust(settings) },
    };
    const rig = new Rig(options);
    const client = rig.connect().send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    client.stream.pause();
    await settle();
    await rig.pass(2_000);
    client.stream.resume();
    await settle();
    for (let round = 0; round < 200 && client.text.length < bytes; round++) await settle();
    const { outcome } = rig.logged[0] ?? {};
    const response = readResponse(client.text);
    await rig.finish(client);
    return { response, outcome };
  }

  test('#S13 with 1 s for a write, who reads nothing for 2 s is cut', async () => {
    const { response, outcome } = await slowly(8 * MEBIBYTE, { writeTimeoutMs: 1_000 });
    assert.deepEqual([response.isComplete, outcome], [false, 'timeout']);
  });

  test('#S14 with a least rate of 10 000 bytes a second in its place, the same client has all of 4 MiB', async () => {
    const { response, outcome } = await slowly(4 * MEBIBYTE, { writeTimeoutMs: 1_000, minSendBytesPerSecond: 10_000 });
    assert.deepEqual([response.isComplete, response.body.length, outcome], [true, 4 * MEBIBYTE, 'completed']);
  });
});

/** Gives all of a length, and never ends its stream. */
const unending =
  (body: string): NonNullable<RigOptions['h2Origin']> =>
  (wire) => {
    wire.onMessage = ({ id }) => {
      const fields: readonly (readonly [string, string])[] = [
        [':status', '200'],
        ['content-length', String(body.length)],
      ];
      wire.headers(id, fields, { isEnd: false }).data(id, body);
    };
  };

describe('ends that do not come', () => {
  test('#S15 an HTTP/2 origin gives all of a length, and never ends its stream: the response is whole at once, and the next request is answered within a second', async () => {
    const rig = new Rig({ h2Origin: unending('hello') });
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const first = readResponse(client.text);
    assert.deepEqual([first.status, first.body, first.isComplete], [200, 'hello', true]);
    client.text = '';
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await rig.pass(1_000);
    const second = readResponse(client.text);
    assert.deepEqual([second.status, second.body, second.isComplete], [200, 'hello', true]);
    // The stream that did not end is given up, and its connection goes on.
    assert.equal(rig.h2Origins.length, 1);
    assert.equal(rig.h2Origins[0]?.messages[0]?.resetCode, Http2ErrorCode.cancel);
    assert.deepEqual([rig.last.outcome, rig.last.session.responseBytes], ['completed', 5]);
    await rig.finish(client);
  });

  test('#S15 an end that comes too late, to a client that is slow, is none', async () => {
    const body = 'x'.repeat(10_000);
    const rig = new Rig({
      highWaterBytes: 1_000,
      h2Origin: unending(body),
    });
    const client = rig.connect();
    client.stream.pause();
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await settle();
    await rig.pass(2_000);
    rig.h2Origins[0]?.data(1, '', true);
    client.stream.resume();
    for (let round = 0; round < 200 && !readResponse(client.text).isComplete; round++) await settle();
    await rig.pass(1_000);
    assert.equal(readResponse(client.text).body.length, body.length);
    assert.equal(rig.last.outcome, 'completed');
    assert.deepEqual([client.isOver, rig.hookFailures], [false, []]);
    await rig.finish(client);
  });

  test('#S15 nor to a module that takes its time', async () => {
    const late = Promise.withResolvers<Uint8Array>();
    const module: HttpModule = { responseBodyFilter: (chunk) => (chunk === null ? null : late.promise) };
    const rig = new Rig({
      proxy: { modules: [{ name: 'slow', order: 0, create: () => module }] },
      h2Origin: unending('hello'),
    });
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await rig.pass(1_000);
    rig.h2Origins[0]?.data(1, '', true);
    await settle();
    late.resolve(new TextEncoder().encode('later'));
    await rig.pass(1_000);
    const response = readResponse(client.text);
    assert.deepEqual([response.status, response.body, response.isComplete, response.rest], [200, 'later', true, '']);
    assert.deepEqual([rig.last.outcome, rig.hookFailures], ['completed', []]);
    await rig.finish(client);
  });

  test('#S16 100 (Continue), and then an answer to HEAD that names a length: the client has 200 without a body', async () => {
    await using origin = await runOrigin(
      createTcp((socket) => {
        socket.once('data', () => socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n'));
      }),
    );
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`) });
    const answer = await ask({ port: proxy.port, method: 'HEAD' });
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length, answer.isCut], [200, '42', 0, false]);
  });
});

/** Against `ws`, the WebSocket implementation of most of Node's programs: it as the client of our server, and as the server of our client. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { type ConnectWebSocketOptions, connectWebSocket, type WebSocketHandler, type WebSocketSession } from '@ferrata/tunnel';
import { type ServerOptions, WebSocket, WebSocketServer } from 'ws';
import { http1Session, Log, WebSocketServerRig } from './websocket-rig.ts';

const variants = [
  { name: 'without compression', ours: null, theirs: false },
  {
    name: 'with compression, windows kept',
    ours: {},
    theirs: { threshold: 0, serverNoContextTakeover: false, clientNoContextTakeover: false },
  },
  {
    name: 'with compression, windows forgotten',
    ours: { serverNoContextTakeover: true, clientNoContextTakeover: true },
    theirs: { threshold: 0 },
  },
  {
    name: 'with compression and small windows',
    ours: { serverMaxWindowBits: 12, clientMaxWindowBits: 13 },
    theirs: { threshold: 0, serverMaxWindowBits: 11, clientMaxWindowBits: 9 },
  },
] as const;

/** Texts of all sizes of length field, that compress well, badly and across messages. */
function messages(): (string | Uint8Array)[] {
  const noise = new Uint8Array(70_000);
  const random = seededRandom(7);
  for (let i = 0; i < noise.length; i++) noise[i] = random.uint32();
  return [
    '',
    'a',
    'Grüße, κόσμε 🏔',
    'x'.repeat(125),
    'y'.repeat(126),
    'via ferrata '.repeat(1_000),
    noise,
    'via ferrata '.repeat(1_000),
    noise.subarray(0, 300),
    new Uint8Array(0),
    'z'.repeat(65_536),
    Array.from({ length: 100_000 }, (_, i) => `№ ${i}`).join(),
  ];
}

function show(message: string | Uint8Array): string {
  return typeof message === 'string' ? `text ${message.length > 100 ? message.length : message}` : `binary ${message.length}`;
}

/** A server of ws. */
async function theirServer(options: ServerOptions): Promise<{ readonly ws: WebSocketServer; readonly port: number } & AsyncDisposable> {
  const ws = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
  await once(ws, 'listening');
  return {
    ws,
    port: (ws.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const client of ws.clients) client.terminate();
      ws.close();
      await once(ws, 'close');
    },
  };
}

async function connectTo(port: number, log: WebSocketHandler, options: Partial<ConnectWebSocketOptions> = {}): Promise<WebSocketSession> {
  const environment = new HttpEnvironment();
  const session = await connectWebSocket(await http1Session(port, environment), log, {
    environment,
    authority: `127.0.0.1:${port}`,
    ...options,
  });
  session.start();
  return session;
}

for (const { name, ours, theirs } of variants) {
  describe(`ws ${name}`, () => {
    test('as a client gets back what it sends to our echo', async () => {
      const log = new Log();
      await using server = await WebSocketServerRig.echo(log, { deflate: ours, session: { compressFromBytes: 0 } });
      const client = new WebSocket(`ws://127.0.0.1:${server.port}/`, { perMessageDeflate: theirs });
      await once(client, 'open');
      assert.equal(client.extensions, ours === null ? '' : 'permessage-deflate');
      const sent = messages();
      const received: (string | Uint8Array)[] = [];
      const all = new Promise<void>((resolve, reject) => {
        client.on('close', (code: number) =>
          reject(new Error(`closed with ${code} after ${received.length} messages; ${log.lines.join(', ')}`)),
        );
        client.on('message', (data: Buffer, isBinary: boolean) => {
          received.push(isBinary ? new Uint8Array(data) : data.toString());
          if (received.length === sent.length) resolve();
        });
      });
      for (const message of sent) client.send(message);
      await all;
      assert.deepEqual(received.map(show), sent.map(show));
      received.forEach((message, i) => {
        const original = sent[i] as string | Uint8Array;
        assert.ok(Buffer.from(message as string).equals(Buffer.from(original as string)), `message ${i} is the same`);
      });
      client.close(4_001, 'done');
      const [code] = (await once(client, 'close')) as [number];
      assert.equal(code, 4_001);
      assert.deepEqual(await log.closed, { code: 4_001, reason: 'done', error: null });
    });

    test('as a server echoes what our client sends', async () => {
      await using server = await theirServer({ perMessageDeflate: theirs });
      server.ws.on('connection', (socket) =>
        socket.on('message', (data: Buffer, isBinary: boolean) => socket.send(data, { binary: isBinary })),
      );
      const log = new Log();
      const session = await connectTo(server.port, log, { deflate: ours, session: { compressFromBytes: 0 } });
      assert.equal(session.isDeflateAgreed, ours !== null);
      const sent = messages();
      for (const message of sent) {
        if (typeof message === 'string') session.sendText(message);
        else session.sendBinary(message);
      }
      while (log.lines.filter((line) => line !== 'drain').length < sent.length) {
        assert.equal(session.isOpen, true, log.lines.join());
        await log.has(log.lines.length + 1);
      }
      assert.deepEqual(
        log.lines.filter((line) => line !== 'drain'),
        sent.map(show),
      );
      session.close(1_000, 'bye');
      assert.deepEqual(await log.closed, { code: 1_000, reason: 'bye', error: null });
    });
  });
}

describe('ws and the end of connections', () => {
  test('a server of ws that closes first: our client hears its Close, then the end', async () => {
    await using server = await theirServer({});
    server.ws.on('connection', (socket) => socket.close(1_001, 'going'));
    const log = new Log();
    await connectTo(server.port, log);
    assert.deepEqual(await log.closed, { code: 1_001, reason: 'going', error: null });
  });

  test('a server of ws that drops the connection: our client hears of an error, and does not hang', async () => {
    await using server = await theirServer({});
    server.ws.on('connection', (socket) => socket.terminate());
    const log = new Log();
    await connectTo(server.port, log);
    const { code, error } = await log.closed;
    assert.equal(code, 1_006);
    assert.notEqual(error, null);
  });

  test('our server that closes first: a client of ws hears its code and reason', async () => {
    const log = new Log();
    await using server = await WebSocketServerRig.echo(log);
    const client = new WebSocket(`ws://127.0.0.1:${server.port}/`);
    await once(client, 'open');
    client.send('hello');
    await once(client, 'message');
    client.ping('p');
    await once(client, 'pong');
    client.terminate();
    const { error } = await log.closed;
    assert.equal(error?.reason, 'WS_CLOSED_EARLY');
    assert.deepEqual(log.lines, ['text hello', 'ping 1', 'close 1006 WS_CLOSED_EARLY']);
  });

  test('a subprotocol is chosen by the server in both directions', async () => {
    const log = new Log();
    await using rig = await WebSocketServerRig.echo(log, { chooseSubprotocol: (offered) => offered.at(-1) ?? null });
    const client = new WebSocket(`ws://127.0.0.1:${rig.port}/`, ['one', 'two']);
    await once(client, 'open');
    assert.equal(client.protocol, 'two');
    client.close();
    await once(client, 'close');

    await using server = await theirServer({ handleProtocols: () => 'b' });
    const ours = new Log();
    const session = await connectTo(server.port, ours, { subprotocols: ['a', 'b'] });
    assert.equal(session.subprotocol, 'b');
    session.close();
    await ours.closed;
  });
});

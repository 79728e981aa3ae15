/** CONNECT over loopback sockets, with node:http and node:http2 at the other end: implementations that are not ours. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, describe, it } from 'node:test';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { connect, type Listener, listen } from '@ferrata/net';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '@ferrata/testkit';
import { ConnectServer, connectRequestOf, connectThrough } from '@ferrata/tunnel';
import { clientOn, type Version } from './rig.ts';

const SIZE = 500_000;
const environment = new HttpEnvironment();
const closers: (() => void | Promise<void>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

/** A proxy of ours that gives back what each tunnel is told. */
async function echoingProxy(): Promise<number> {
  const proxy = new ConnectServer({
    environment,
    decide: ({ authority }) => authority.host !== 'forbidden.example',
    onTunnel: (stream) => {
      assert.notEqual(connectRequestOf(stream.info), null);
      const sink = new RecordingSink({
        onData: (chunk) => {
          if (!stream.write(chunk)) stream.pause();
        },
        onDrain: () => stream.resume(),
        onEnd: () => stream.end(),
      });
      stream.attach(sink);
    },
  });
  const server = new HttpServer(proxy, { environment });
  const listener: Listener = await listen({ address: '127.0.0.1:0' }, (stream) => server.accept(stream));
  closers.push(async () => {
    await server.drain(100);
    await listener.close();
  });
  assert.equal(listener.address.kind, 'ip');
  return listener.address.kind === 'ip' ? listener.address.port : 0;
}

/** Sends a body and its end, and gives what comes back. */
async function echo(duplex: Duplex): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  duplex.on('data', (chunk: Uint8Array) => chunks.push(chunk));
  const ended = once(duplex, 'end');
  duplex.end(positionalBytes(SIZE));
  await ended;
  return Buffer.concat(chunks);
}

function assertWhole(bytes: Uint8Array): void {
  assert.equal(bytes.byteLength, SIZE);
  assert.equal(firstMisplacedByte(bytes), -1);
}

describe('ConnectServer and clients of Node', () => {
  it('node:http makes a tunnel, and is refused one', async () => {
    const port = await echoingProxy();
    const asked = httpRequest({ host: '127.0.0.1', port, method: 'CONNECT', path: 'example.org:443', agent: false });
    asked.end();
    const [response, socket] = (await once(asked, 'connect')) as [{ statusCode: number }, Duplex];
    assert.equal(response.statusCode, 200);
    assertWhole(await echo(socket));
    const refused = httpRequest({ host: '127.0.0.1', port, method: 'CONNECT', path: 'forbidden.example:443', agent: false });
    refused.end();
    const [answer, rest] = (await once(refused, 'connect')) as [{ statusCode: number }, Duplex];
    assert.equal(answer.statusCode, 403);
    rest.destroy();
  });

  it('node:http2 makes several tunnels on one connection, and is refused one', async () => {
    const session = connectHttp2(`http://127.0.0.1:${await echoingProxy()}`);
    closers.push(() => session.destroy());
    const tunnels = [1, 2, 3].map(() => session.request({ ':method': 'CONNECT', ':authority': 'example.org:443' }));
    for (const bytes of await Promise.all(tunnels.map(echo))) assertWhole(bytes);
    const refused = session.request({ ':method': 'CONNECT', ':authority': 'forbidden.example:443' });
    const [headers] = (await once(refused, 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 403);
    refused.close();
  });
});

/** Sends a body through a tunnel of ours, and gives what comes back. */
async function echoThrough(port: number, version: Version): Promise<Uint8Array> {
  const below = await connect({ host: '127.0.0.1', port });
  const session = clientOn(below, version, environment);
  const stream = await connectThrough(session, 'example.org:443', { environment, headers: { 'X-Extra': 'kept' } });
  const sink = new RecordingSink();
  stream.attach(sink);
  stream.write(positionalBytes(SIZE));
  stream.end();
  await sink.untilClose();
  assert.equal(sink.closeError, null);
  session.close();
  return sink.bytes();
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('connectThrough and servers of Node', () => {
  it('gets a tunnel from node:http', async () => {
    const server = createHttpServer();
    server.on('connect', ({ url, headers }, socket: Duplex) => {
      assert.deepEqual([url, headers.host, headers['x-extra']], ['example.org:443', 'example.org:443', 'kept']);
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(socket);
    });
    assertWhole(await echoThrough(await listening(server), 'http1'));
  });

  it('gets a tunnel from node:http2', async () => {
    const server = createHttp2Server();
    server.on('stream', (stream, headers) => {
      assert.deepEqual([headers[':method'], headers[':authority'], headers['x-extra']], ['CONNECT', 'example.org:443', 'kept']);
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    assertWhole(await echoThrough(await listening(server), 'http2'));
  });
});

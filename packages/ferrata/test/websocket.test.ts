/** WebSocket through the command, by HTTP/1 and by HTTP/2 (RFC 8441), with clients and an origin of Node and of sockets. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:http2';
import { after, test } from 'node:test';
import { startFerrata, within } from './support/command.ts';
import { httpOrigin, RawClient } from './support/peers.ts';

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const acceptOf = (text: string): string => createHash('sha1').update(`${text}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

/** Switches, and sends back whatever comes. */
async function echoOrigin(): Promise<{ readonly port: number; readonly asked: string[] }> {
  const asked: string[] = [];
  const origin = await httpOrigin((_request, response) => response.end('no WebSocket'));
  origin.server.on('upgrade', (request, socket) => {
    socket.on('error', () => {});
    asked.push(`${request.method} ${request.url} ${request.headers.upgrade} ${request.headers['x-up'] ?? '-'}`);
    const accept = acceptOf(String(request.headers['sec-websocket-key']));
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  return { port: origin.port, asked };
}

test('over HTTP/2 a WebSocket is an extended CONNECT, and goes where its path goes (RFC 8441 §4, §5)', async () => {
  const [rest, chat] = [await echoOrigin(), await echoOrigin()];
  const ferrata = await startFerrata(
    [rest.port],
    ['--route', '/chat', '--to', `http://127.0.0.1:${chat.port}`, '--access-log', '--compress', '--header-up', 'X-Up: 1'],
  );
  const session = connect(`http://127.0.0.1:${ferrata.port}`);
  session.on('error', () => {});
  after(() => session.destroy());
  await within('the settings', new Promise<void>((resolve) => void session.once('remoteSettings', () => resolve())));
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':path': '/chat?room=1',
    ':scheme': 'http',
    'sec-websocket-version': '13',
  });
  stream.on('error', () => {});
  const response = await within(
    'an answer',
    new Promise<Record<string, unknown>>((resolve) => void stream.once('response', (fields) => resolve(fields))),
  );
  assert.equal(response[':status'], 200);
  const echoed = new Promise<string>((resolve) => void stream.once('data', (chunk: Buffer) => resolve(chunk.toString('hex'))));
  stream.write(Buffer.from('818100000000', 'hex'));
  assert.equal(await within('the echo', echoed), '818100000000');
  stream.end();
  stream.resume();
  await within('the end', new Promise<void>((resolve) => void stream.once('close', resolve)));
  assert.deepEqual([chat.asked, rest.asked], [['GET /chat?room=1 websocket 1'], []]);
  const line = await ferrata.logged(({ target }) => target === '/chat?room=1');
  assert.deepEqual([line.protocol, line.status, line.upstreamProtocol, line.bytesIn, line.bytesOut], ['HTTP/2', 200, 'HTTP/1.1', 6, 6]);
});

test('over HTTP/1 it is an upgrade, and nothing of it is compressed', async () => {
  const origin = await echoOrigin();
  const ferrata = await startFerrata([origin.port], ['--compress', '--header-up', 'X-Up: 1', '--header-down', 'X-Down: 1']);
  const client = new RawClient(ferrata.port).send(
    `GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAccept-Encoding: gzip\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const head = await client.until('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 101 /);
  assert.ok(head.includes(`Sec-WebSocket-Accept: ${acceptOf(key)}`));
  assert.deepEqual([origin.asked, /x-down/i.test(head)], [['GET /ws websocket 1'], false], 'fields go up, and 101 is left alone');
  client.send('frames');
  await client.until('frames');
  client.socket.destroy();
});

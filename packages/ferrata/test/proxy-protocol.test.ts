/** PROXY headers on both sides of the command: who is believed, who is told of, and which connections may be shared. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { parseAddress } from '@ferrata/net';
import { startReverseProxy } from '../src/index.ts';
import { startFerrata, within } from './support/command.ts';
import { exchange, httpOrigin, type Mirrored, mirror, RawClient, rawOrigin, statusOf } from './support/peers.ts';
import { file } from './support/tls.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-proxy-protocol-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const get = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const header = 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n';
const signature = '\r\n\r\n\0\r\nQUIT\n';
const believed = ['--proxy-protocol', 'in', '--proxy-protocol-from', '127.0.0.0/8'];

function forwardedFor(answer: string): string | undefined {
  return (JSON.parse(answer.slice(answer.indexOf('\r\n\r\n{') + 4)) as Mirrored).headers['x-forwarded-for'];
}

test('in: the client is the one that a trusted source tells of, in the log and for the origin; without a header nobody is served', async () => {
  const origin = await httpOrigin((request, response) => {
    response.setHeader('Connection', 'close');
    response.end(JSON.stringify({ headers: request.headers }));
  });
  const ferrata = await startFerrata([origin.port], [...believed, '--access-log']);
  const answer = await exchange(ferrata.port, header + get);
  assert.equal(statusOf(answer), 200);
  assert.match(answer, /"x-forwarded-for":"192\.0\.2\.7"/);
  assert.equal((await ferrata.logged(({ status }) => status === 200)).client, '192.0.2.7:4711');

  assert.equal(await exchange(ferrata.port, get), '', 'closed without a word');
  const line = await ferrata.logged(({ status }) => status === 0);
  assert.match(line.client, /^127\.0\.0\.1:\d+$/);
  assert.deepEqual([line.method, line.outcome, line.error], [null, 'rejected', 'PROXY_SIGNATURE']);
});

test('in: a source that is not trusted is not even read', async () => {
  const origin = await httpOrigin(mirror);
  const ferrata = await startFerrata([origin.port], ['--proxy-protocol', 'in', '--proxy-protocol-from', '10.0.0.0/8', '--access-log']);
  assert.equal(await exchange(ferrata.port, header + get), '');
  assert.equal((await ferrata.logged(() => true)).error, 'PROXY_UNTRUSTED_SOURCE');
});

test('in: the header stands before TLS, and all may send one over a Unix socket where that is said', async () => {
  const origin = await httpOrigin(mirror);
  const { args } = await file('proxy-protocol', ['localhost']);
  const secure = await startFerrata([origin.port], [...believed, '--listen', 'https://127.0.0.1:0', ...args]);
  const raw = new RawClient(secure.port);
  raw.send(header);
  const socket: TLSSocket = tlsConnect({ socket: raw.socket, rejectUnauthorized: false });
  socket.on('error', () => {});
  after(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.write(get);
  await within('an answer', new Promise<void>((resolve) => void socket.once('end', () => resolve())));
  assert.match(text, /"x-forwarded-for":"192\.0\.2\.7","x-forwarded-proto":"https"/);

  const path = join(folder, 'in.sock');
  const local = await startFerrata(
    [origin.port],
    ['--proxy-protocol', 'in', '--proxy-protocol-from', 'all', '--listen', `http://unix:${path}`],
  );
  assert.equal(local.urls.length, 1);
  const client = new RawClient({ path }).send(header + get);
  const answer = await client.untilEnd();
  client.socket.destroy();
  assert.equal(forwardedFor(answer.replace(/[\r\n]+[0-9a-f]+\r\n(?=\{)/, '\r\n\r\n').replace(/\}\r\n0\r\n\r\n$/, '}')), '192.0.2.7');
});

/** Reads what precedes each request of a connection, and answers every request. */
async function headedOrigin(): Promise<{ readonly port: number; readonly seen: string[] }> {
  const seen: string[] = [];
  const { port } = await rawOrigin((socket, connection) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.endsWith('\r\n\r\n') || !text.includes('HTTP/1.1')) return;
      const [before = ''] = text.split(/(?:GET|POST) /);
      seen.push(`${connection} ${before}`);
      text = '';
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  return { port, seen };
}

/** A header of version 2 for TCP over IPv4. */
function v2(source: readonly number[], destination: readonly number[], ports: readonly [number, number]): string {
  const bytes = Buffer.alloc(16);
  bytes.set([0x21, 0x11, 0, 12, ...source, ...destination]);
  bytes.writeUInt16BE(ports[0], 12);
  bytes.writeUInt16BE(ports[1], 14);
  return signature + bytes.toString('latin1');
}

test('out: a connection to an origin begins with its client, and no other client gets it', async () => {
  const { port, seen } = await headedOrigin();
  const ferrata = await startFerrata([port], ['--proxy-protocol', 'out']);
  const [first, second] = [new RawClient(ferrata.port), new RawClient(ferrata.port)];
  const ask = async (client: RawClient, count: number): Promise<void> => {
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(new RegExp(`(?:HTTP/1\\.1 200 [^]*?\\r\\n\\r\\nok){${count}}`));
  };
  await ask(first, 1);
  await ask(second, 1);
  await ask(first, 2);
  const of = ({ socket }: RawClient): string => v2([127, 0, 0, 1], [127, 0, 0, 1], [socket.localPort ?? 0, ferrata.port]);
  assert.deepEqual(seen, [`0 ${of(first)}`, `1 ${of(second)}`, '0 ']);
  first.socket.destroy();
  second.socket.destroy();
});

test('out: a client on a Unix socket has no address, and its connection says that it is the own one of the proxy (LOCAL)', async () => {
  const { port, seen } = await headedOrigin();
  const path = join(folder, 'out.sock');
  await startFerrata([port], ['--proxy-protocol', 'out', '--listen', `http://unix:${path}`]);
  const client = new RawClient({ path }).send(get);
  assert.equal(statusOf(await client.untilEnd()), 200);
  client.socket.destroy();
  assert.equal(seen.length, 1);
  assert.ok(seen[0]?.startsWith(`0 ${signature}`), JSON.stringify(seen[0]));
});

for (const [scheme, begins] of [
  ['h2c', 'PRI * HTTP/2.0\r\n'],
  ['https', '\x16\x03'],
] as const) {
  test(`out: the header stands before what ${scheme}:// origins are told first`, async () => {
    const { promise: told, resolve: tell } = Promise.withResolvers<string>();
    const wanted = v2([192, 0, 2, 7], [198, 51, 100, 1], [4711, 443]) + begins;
    const { port } = await rawOrigin((socket) => {
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (text.length < wanted.length) return;
        tell(text);
        socket.destroy();
      });
    });
    const sides = ['--proxy-protocol', 'both', '--proxy-protocol-from', '127.0.0.1'];
    const ferrata = await startFerrata([`${scheme}://127.0.0.1:${port}`], [...sides, ...(scheme === 'https' ? ['--no-verify'] : [])]);
    const client = new RawClient(ferrata.port).send(header + get);
    const text = await within('the beginning of a connection', told);
    assert.equal(text.slice(0, wanted.length), wanted);
    assert.equal(statusOf(await client.untilEnd()), 502);
    client.socket.destroy();
  });
}

test('both: who is told of by the one in front is told of to the origin', async () => {
  const { port, seen } = await headedOrigin();
  const ferrata = await startFerrata([port], ['--proxy-protocol', 'both', '--proxy-protocol-from', '127.0.0.1']);
  assert.equal(statusOf(await exchange(ferrata.port, header + get)), 200);
  assert.deepEqual(seen, [`0 ${v2([192, 0, 2, 7], [198, 51, 100, 1], [4711, 443])}`]);
});

test('the function reads and writes them, too, and tells of those that fail', async () => {
  const { port, seen } = await headedOrigin();
  const failed: string[] = [];
  const proxy = await startReverseProxy({
    listen: [parseAddress('127.0.0.1:0')],
    to: [parseAddress(`127.0.0.1:${port}`)],
    acceptProxy: { trusted: ['127.0.0.1'] },
    sendProxyHeader: 'v1',
    onProxyHeaderFailed: ({ reason }) => failed.push(reason),
  });
  after(() => proxy.stop(0));
  const address = proxy.listeners[0]?.address;
  assert.ok(address?.kind === 'ip');
  assert.equal(statusOf(await exchange(address.port, header + get)), 200);
  assert.deepEqual(seen, [`0 ${header}`]);
  assert.equal(await exchange(address.port, get), '');
  assert.deepEqual(failed, ['PROXY_SIGNATURE']);
});

/** TLS behind a PROXY header and through proxies, over real sockets: to node:https, by servers of node:net and node:tls that stand in front. */
import assert from 'node:assert/strict';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect as connectSocket, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { createAuthority } from '@ferrata/dev-certificates';
import { requestHead } from '@ferrata/headers';
import { HttpEnvironment } from '@ferrata/http';
import { memoryPair } from '@ferrata/stream';
import { type Peer, peer, peerForClient, proxyDigestOf, UpstreamConnector } from '@ferrata/upstream';

const authority = await createAuthority();
const served = await authority.issue({ names: ['127.0.0.1'] });
const certificate = { cert: served.chain, key: served.key };
const ca = authority.certificate;

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  for (const event of ['connection', 'secureConnection'])
    server.on(event, (socket: Socket) => {
      socket.on('error', () => {});
      sockets.add(socket);
    });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** Reads a head that ends with `end`, answers it, and passes on what follows. */
function passOn(socket: Socket, port: number, { end, answer }: { readonly end: string; readonly answer: string }): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const at = text.indexOf(end);
      if (at === -1) return;
      socket.off('data', read);
      const behind = connectSocket(port, '127.0.0.1');
      behind.on('error', () => {});
      behind.write(Buffer.from(text.slice(at + end.length), 'latin1'));
      if (answer !== '') socket.write(answer);
      socket.pipe(behind).pipe(socket);
      resolve(text.slice(0, at));
    };
    socket.on('data', read);
  });
}

async function statusOf(
  from: UpstreamConnector,
  to: Peer,
): Promise<{ readonly status: number; readonly digest: ReturnType<typeof proxyDigestOf> }> {
  const session = from.take(to) ?? (await from.connect(to));
  const digest = proxyDigestOf(session.stream.info);
  let status = 0;
  const error = await new Promise((resolve) => {
    session.request(
      requestHead('GET', '/', { headers: { Host: to.authority } }),
      { bodyLength: 0, upgrade: null },
      {
        onInterim: () => {},
        onResponse: (head) => (status = head.status),
        onTunnel: () => {},
        onResponseData: () => {},
        onResponseEnd: () => {},
        onRequestDrain: () => {},
        onClientClose: resolve,
      },
    );
  });
  assert.equal(error, null);
  return { status, digest };
}

const origin = await listening(createHttpsServer(certificate, (_request, response) => void response.writeHead(204).end()));

function connector(): UpstreamConnector {
  const made = new UpstreamConnector({ environment: new HttpEnvironment() });
  after(() => made.close());
  return made;
}

test('a PROXY header goes in front of the handshake, and the connection is used again for its client', async () => {
  const heads: string[] = [];
  const front = await listening(
    createTcpServer((socket) => void passOn(socket, origin, { end: '\r\n', answer: '' }).then((head) => heads.push(head))),
  );
  const from = connector();
  const { info } = memoryPair().a;
  const client = {
    ...info,
    remoteAddress: { kind: 'ip', host: '203.0.113.9', port: 1 },
    localAddress: { kind: 'ip', host: '192.0.2.1', port: 2 },
  } as const;
  const to = peerForClient(peer(`127.0.0.1:${front}`, { tls: { ca }, sendProxyHeader: 'v1' }), client);
  for (let round = 0; round < 3; round++) assert.equal((await statusOf(from, to)).status, 204);
  assert.deepEqual(heads, ['PROXY TCP4 203.0.113.9 192.0.2.1 1 2']);
  assert.equal(from.counts.connected, 1);
});

test('TLS through a proxy that is reached by TLS itself, and through two of them', async () => {
  const heads: string[] = [];
  const answer = 'HTTP/1.1 200 OK\r\nVia: x\r\n\r\n';
  const inner = await listening(
    createTcpServer((socket) => void passOn(socket, origin, { end: '\r\n\r\n', answer }).then((head) => heads.push(head))),
  );
  const direct = await listening(
    createTlsServer(certificate, (socket) => void passOn(socket, origin, { end: '\r\n\r\n', answer }).then((head) => heads.push(head))),
  );
  const outer = await listening(
    createTlsServer(certificate, (socket) => void passOn(socket, inner, { end: '\r\n\r\n', answer }).then((head) => heads.push(head))),
  );
  const from = connector();
  const one = peer(`127.0.0.1:${origin}`, { tls: { ca }, via: { proxy: peer(`127.0.0.1:${direct}`, { tls: { ca } }) } });
  for (let round = 0; round < 2; round++) {
    const { status, digest } = await statusOf(from, one);
    assert.deepEqual([status, digest?.response.headers.get('Via')], [204, 'x']);
  }
  assert.equal(from.counts.connected, 1, 'and used again');
  const second = peer(`127.0.0.1:${inner}`, { via: { proxy: peer(`127.0.0.1:${outer}`, { tls: { ca } }) } });
  const two = peer(`127.0.0.1:${origin}`, { tls: { ca }, via: { proxy: second } });
  assert.equal((await statusOf(from, two)).status, 204);
  assert.deepEqual(
    heads.map((head) => head.split('\r\n')[0]),
    [origin, inner, origin].map((port) => `CONNECT 127.0.0.1:${port} HTTP/1.1`),
  );
});

/** TLS to servers of node:https, node:http2 and node:tls, over real sockets and over streams that are none. */
import assert from 'node:assert/strict';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { type ResponseHead, requestHead } from '@ferrata/headers';
import { type ClientSession, HttpEnvironment } from '@ferrata/http';
import { connect, TlsClient } from '@ferrata/net';
import { memoryPair, relay } from '@ferrata/stream';
import { type Peer, type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { rejection } from './rig.ts';

const authority = await createAuthority();
const [served, elsewhere, expired, alice, bob] = await Promise.all([
  authority.issue({ names: ['localhost', '127.0.0.1'] }),
  authority.issue({ names: ['elsewhere.test'] }),
  authority.issue({ names: ['127.0.0.1'], validFrom: new Date(Date.now() - 7_200_000), validTo: new Date(Date.now() - 3_600_000) }),
  authority.issue({ names: [], commonName: 'alice', use: 'client' }),
  authority.issue({ names: [], commonName: 'bob', use: 'client' }),
]);
const ca = authority.certificate;

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
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

/** A server that says who asked, by what, and for whom. */
function answer(request: Http2ServerRequest, response: Http2ServerResponse): void {
  const socket = request.socket as TLSSocket;
  const { ':scheme': scheme, ':authority': authorityField, host } = request.headers;
  const name = (socket.getPeerCertificate() as { subject?: { CN?: string } } | undefined)?.subject?.CN ?? null;
  response.setHeader(
    'x-seen',
    JSON.stringify({ version: request.httpVersion, scheme, host: authorityField ?? host, name, port: socket.remotePort }),
  );
  response.end();
}

function pair({ chain, key }: IssuedCertificate): TlsOptions {
  return { cert: chain, key };
}

/** Speaks both versions. */
function bothVersions(certificate: IssuedCertificate, options: TlsOptions = {}): Promise<number> {
  return listening(createSecureServer({ allowHTTP1: true, ...pair(certificate), ...options }, answer));
}

function http1Only(certificate: IssuedCertificate, options: TlsOptions = {}): Promise<number> {
  return listening(createHttpsServer({ ...pair(certificate), ...options }, answer as never));
}

function connector(): UpstreamConnector {
  const made = new UpstreamConnector({ environment: new HttpEnvironment() });
  after(() => made.close());
  return made;
}

interface Seen {
  readonly version: string;
  readonly scheme?: string;
  readonly host: string;
  readonly name: string | null;
  readonly port: number;
}

/** One request, to the end of its exchange. */
async function ask(
  from: UpstreamConnector,
  to: Peer,
): Promise<{ readonly seen: Seen; readonly session: ClientSession; readonly isReused: boolean }> {
  const session = from.take(to) ?? (await from.connect(to));
  const isReused = session.requestCount > 0;
  const head = await new Promise<ResponseHead>((resolve, reject) => {
    let got: ResponseHead;
    session.request(
      requestHead('GET', '/', { headers: { Host: to.authority } }),
      { bodyLength: 0, upgrade: null },
      {
        onInterim: () => {},
        onResponse: (response) => (got = response),
        onTunnel: () => {},
        onResponseData: () => {},
        onResponseEnd: () => {},
        onRequestDrain: () => {},
        onClientClose: (error) => (error === null ? resolve(got) : reject(error)),
      },
    );
  });
  return { seen: JSON.parse(head.headers.get('x-seen') ?? '{}') as Seen, session, isReused };
}

describe('https peers', () => {
  test('auto: HTTP/2 where the server has it, :scheme and all, and HTTP/1.1 where it has not', async () => {
    const from = connector();
    const port2 = await bothVersions(served);
    const two = peer(`127.0.0.1:${port2}`, { tls: { ca }, protocol: 'auto' });
    const first = await ask(from, two);
    assert.deepEqual(
      [first.seen.version, first.seen.scheme, first.seen.host, first.session.stream.info.tls?.alpn],
      ['2.0', 'https', `127.0.0.1:${port2}`, 'h2'],
    );
    assert.equal((await ask(from, two)).isReused, true);
    assert.equal((await ask(from, two.forUpgrade as Peer)).seen.version, '1.1');

    const one = peer(`localhost:${await http1Only(served)}`, { tls: { ca }, protocol: 'auto' });
    const old = await ask(from, one);
    assert.equal(old.seen.version, '1.1');
    assert.equal(old.session.stream.info.tls?.isPeerVerified, true);
    assert.equal((await ask(from, one)).isReused, true);
  });

  test('http1 to a server that has both stays with HTTP/1.1; http2 to one that has only HTTP/1 fails', async () => {
    const from = connector();
    const both = await bothVersions(served);
    assert.equal((await ask(from, peer(`127.0.0.1:${both}`, { tls: { ca } }))).seen.version, '1.1');
    assert.equal((await ask(from, peer(`127.0.0.1:${both}`, { tls: { ca }, protocol: 'http2' }))).seen.version, '2.0');
    const error = await rejection(from.connect(peer(`127.0.0.1:${await http1Only(served)}`, { tls: { ca }, protocol: 'http2' })));
    assert.equal(error.type, 'tls');
    assert.equal(error.retry, 'never');
  });

  test('whoever cannot prove who it is gets no request: 502, never tried again; unless it need not', async () => {
    for (const [certificate, options, reason] of [
      [served, {}, /^TLS_CERT_UNTRUSTED$/],
      [elsewhere, { ca }, /^TLS_HOSTNAME_MISMATCH$/],
      [expired, { ca }, /^TLS_CERT_EXPIRED$/],
    ] as const) {
      const port = await bothVersions(certificate);
      const from = connector();
      const error = await rejection(from.connect(peer(`127.0.0.1:${port}`, { tls: options, protocol: 'auto' })));
      assert.match(error.reason, reason);
      assert.deepEqual([error.source, error.retry, error.wire.status], ['upstream', 'never', 502]);
      const trusting = peer(`127.0.0.1:${port}`, { tls: { verifyCert: false }, protocol: 'auto' });
      assert.equal((await ask(from, trusting)).seen.version, '2.0');
    }
  });

  test('a connection is used again only by who shows the same certificate', async () => {
    const port = await http1Only(served, { requestCert: true, ca, rejectUnauthorized: true });
    const from = connector();
    const as = ({ chain, key }: IssuedCertificate): Peer => peer(`127.0.0.1:${port}`, { tls: { ca, certificate: chain, key } });
    const first = await ask(from, as(alice));
    const second = await ask(from, as(bob));
    const third = await ask(from, as(alice));
    assert.deepEqual([first.seen.name, second.seen.name, third.seen.name], ['alice', 'bob', 'alice']);
    assert.equal(first.seen.port, third.seen.port);
    assert.notEqual(first.seen.port, second.seen.port);
  });

  test('with one TlsClient the second connection resumes the session of the first (RFC 8446 §2.2)', async () => {
    const from = connector();
    const tls = new TlsClient({ ca });
    const port = await http1Only(served);
    const origin = peer(`127.0.0.1:${port}`, { tls });
    const first = await ask(from, origin);
    assert.equal(first.session.stream.info.tls?.isResumed, false);
    const second = peer(`127.0.0.1:${port}`, { tls, group: 'apart' });
    const again = await ask(from, second);
    assert.equal(again.isReused, false);
    assert.equal(again.session.stream.info.tls?.isResumed, true);
  });

  test('a server that speaks no TLS, one that cuts, and one that is silent', async () => {
    const plain = await listening(createTcpServer((socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const cutting = await listening(createTcpServer((socket) => void socket.once('data', () => socket.destroy())));
    const silent = await listening(createTcpServer(() => {}));
    const from = connector();
    const options: PeerOptions = { tls: { ca }, protocol: 'auto' };
    const error = await rejection(from.connect(peer(`127.0.0.1:${plain}`, options)));
    assert.deepEqual([error.type, error.source], ['tls', 'upstream']);
    const cut = await rejection(from.connect(peer(`127.0.0.1:${cutting}`, options)));
    assert.equal(cut.source, 'upstream');
    const late = await rejection(from.connect(peer(`127.0.0.1:${silent}`, { ...options, tlsTimeoutMs: 50 })));
    assert.deepEqual([late.type, late.reason, late.wire.status], ['timeout', 'TLS_HANDSHAKE_TIMEOUT', 504]);
    assert.equal(from.connectionCount, 0);
  });

  test('TLS runs over a stream that is no socket, HTTP/2 and HTTP/1.1 on top of it', async () => {
    const from = connector();
    for (const [port, version] of [
      [await bothVersions(served), '2.0'],
      [await http1Only(served), '1.1'],
    ] as const) {
      const virtual = peer('localhost:443', {
        tls: { ca },
        protocol: 'auto',
        connect: async () => {
          const { a, b } = memoryPair();
          relay(b, await connect(`127.0.0.1:${port}`));
          return a;
        },
      });
      const { seen, session } = await ask(from, virtual);
      assert.deepEqual([seen.version, seen.host, session.stream.info.below?.kind], [version, 'localhost', 'memory']);
    }
  });
});

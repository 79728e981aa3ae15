/** Behaviours B17 to B34 of Pingora's tests: whom an upstream's certificate must name, certificates of clients, and who may share a connection. */
import assert from 'node:assert/strict';
import { createServer as createHttps } from 'node:https';
import { connect as connectSocket } from 'node:net';
import { describe, test } from 'node:test';
import { createServer as createTls, connect as nodeTls, type TLSSocket, type TlsOptions } from 'node:tls';
import { createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { tlsError } from '@ferrata/error';
import { fromDuplex, type TlsClientOptions } from '@ferrata/net';
import type { L4Stream } from '@ferrata/stream';
import { type Peer, type PeerOptions, peer } from '@ferrata/upstream';
import { type Answer, ask, exchangeRaw, type Origin, runOrigin, runProxy } from './socket-rig.ts';

const authority = await createAuthority();
const intermediate = await authority.createIntermediate();
const [served, addressed, alice, bob] = await Promise.all([
  authority.issue({ names: ['origin.test', '*.origin.test'] }),
  authority.issue({ names: ['127.0.0.1'] }),
  intermediate.issue({ names: [], commonName: 'alice', use: 'client' }),
  authority.issue({ names: [], commonName: 'bob', use: 'client' }),
]);
const ca = authority.certificate;

/** Says to whom it spoke: the port tells connections apart. */
function runTlsOrigin(certificate: IssuedCertificate, options: TlsOptions = {}): Promise<Origin> {
  return runOrigin(
    createHttps({ cert: certificate.chain, key: certificate.key, ...options }, (request, response) => {
      const socket = request.socket as TLSSocket;
      const isKnown = options.requestCert !== true || socket.authorized;
      response.writeHead(isKnown ? 200 : 400, { 'x-port': socket.remotePort, 'x-sni': String(socket.servername) }).end();
    }),
  );
}

/** One request through a proxy whose peer has this TLS. */
async function askOver(certificate: IssuedCertificate, tls: TlsClientOptions, origin: TlsOptions = {}): Promise<Answer> {
  await using server = await runTlsOrigin(certificate, origin);
  await using proxy = await runProxy({ to: peer(`127.0.0.1:${server.port}`, { tls: { ca, ...tls } }) });
  return await ask({ port: proxy.port });
}

async function statusOver(certificate: IssuedCertificate, tls: TlsClientOptions, origin: TlsOptions = {}): Promise<number> {
  return (await askOver(certificate, tls, origin)).status;
}

describe('whom the certificate of an origin must name', () => {
  test('#B17 without SNI, verification switched off: 200', async () => {
    const answer = await askOver(served, { serverName: null, verifyCert: false });
    assert.deepEqual([answer.status, answer.headers['x-sni']], [200, 'false']);
  });

  test('#B18 the chain alone is verified, for any name: 200', async () => {
    const answer = await askOver(served, { serverName: 'elsewhere.test', verifyHostname: false });
    assert.deepEqual([answer.status, answer.headers['x-sni']], [200, 'elsewhere.test']);
    assert.equal(await statusOver(served, { serverName: 'elsewhere.test', verifyHostname: false, ca: alice.certificate }), 502);
  });

  test('#B19 without SNI the certificate must be for the address connected to: what is to be verified is never passed over', async () => {
    assert.equal(await statusOver(addressed, { serverName: null }), 200);
    assert.equal(await statusOver(served, { serverName: null }), 502);
    assert.equal(await statusOver(served, { serverName: null, verifyHostname: false }), 200);
  });

  test('#B20 the name that is asked for is that of the certificate: 200', async () => {
    const answer = await askOver(served, { serverName: 'origin.test' });
    assert.deepEqual([answer.status, answer.headers['x-sni']], [200, 'origin.test']);
  });

  test('#B21 an underscore in the first label, below the wildcard: 200', async () => {
    assert.equal(await statusOver(served, { serverName: 'd_g.origin.test' }), 200);
  });

  test('#B22 an underscore in the name of the domain: 502, and the end of the connection where failToProxy says so', async () => {
    await using server = await runTlsOrigin(served);
    const to = peer(`127.0.0.1:${server.port}`, { tls: { ca, serverName: 'ori_gin.test' } });
    await using proxy = await runProxy({ to, hooks: { failToProxy: () => ({ keepAlive: false }) } });
    const text = await exchangeRaw(proxy.port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 502 .*^Connection: close\r$/ims);
    assert.equal(proxy.seen[0]?.error?.reason, 'TLS_HOSTNAME_MISMATCH');
  });

  test('#B23 another name is asked for, the further one is that of the certificate: 200', async () => {
    assert.equal(await statusOver(served, { serverName: 'ori_gin.test', alternativeCn: 'origin.test' }), 200);
  });

  test('#B24 the further name has an underscore below the wildcard: 200', async () => {
    assert.equal(await statusOver(served, { serverName: 'ori_gin.test', alternativeCn: 'd_g.origin.test' }), 200);
  });

  test('#B25 neither name is that of the certificate: 502', async () => {
    assert.equal(await statusOver(served, { serverName: 'ori_gin.test', alternativeCn: 'elsewhere.test' }), 502);
  });
});

describe('certificates of clients', () => {
  const asking = { requestCert: true, rejectUnauthorized: false, ca };

  test('#B26 none where one is wanted: the answer of the origin passes, 400', async () => {
    assert.equal(await statusOver(served, { serverName: 'origin.test' }, asking), 400);
  });

  test('#B27 one without its intermediate certificate: 400', async () => {
    assert.equal(await statusOver(served, { serverName: 'origin.test', certificate: alice.certificate, key: alice.key }, asking), 400);
  });

  test('#B28 one with its intermediate certificate: 200', async () => {
    assert.equal(await statusOver(served, { serverName: 'origin.test', certificate: alice.chain, key: alice.key }, asking), 200);
  });
});

describe('who may share a connection', () => {
  /** The ports of four requests: two by one peer, two by the other. */
  async function portsOf(first: TlsClientOptions, other: TlsClientOptions): Promise<readonly unknown[]> {
    await using server = await runTlsOrigin(served, { requestCert: true, rejectUnauthorized: false });
    const at = (tls: TlsClientOptions): Peer => peer(`127.0.0.1:${server.port}`, { tls: { ca, serverName: 'origin.test', ...tls } });
    const [one, two] = [at(first), at(other)];
    await using proxy = await runProxy({ to: ({ request }) => (request.target === '/other' ? two : one) });
    const ports: unknown[] = [];
    for (const path of ['/', '/', '/other', '/other']) ports.push((await ask({ port: proxy.port, path })).headers['x-port']);
    return ports;
  }

  async function assertApart(first: TlsClientOptions, other: TlsClientOptions): Promise<void> {
    const ports = await portsOf(first, other);
    assert.equal(ports[0], ports[1]);
    assert.equal(ports[2], ports[3]);
    assert.notEqual(ports[1], ports[2]);
  }

  test('#B29 not who shows another certificate', async () => {
    await assertApart({ certificate: alice.chain, key: alice.key }, { certificate: bob.chain, key: bob.key });
  });

  test('#B30 not who verifies, or does not', async () => {
    await assertApart({}, { verifyCert: false });
  });

  test('#B31 not who verifies the name, or does not', async () => {
    await assertApart({}, { verifyHostname: false });
  });

  test('#B32 not who takes another further name; who is the same in all shares', async () => {
    await assertApart({ alternativeCn: 'a.origin.test' }, { alternativeCn: 'b.origin.test' });
    assert.equal(new Set(await portsOf({ alternativeCn: 'a.origin.test' }, { alternativeCn: 'a.origin.test' })).size, 1);
  });
});

describe('keys that both sides know before', () => {
  const psk = Buffer.from('an agreed key of some length', 'latin1');

  /** An origin that speaks HTTP to whoever has the key, and what its clients know. */
  async function statusWith(identity: string): Promise<number> {
    const ciphers = 'PSK-AES128-GCM-SHA256';
    const server = createTls(
      { ciphers, maxVersion: 'TLSv1.2', pskCallback: (_socket, asked) => (asked === 'ferrata' ? psk : null) },
      (socket) => void socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')),
    );
    server.on('tlsClientError', () => {});
    await using origin = await runOrigin(server);
    const connect: PeerOptions['connect'] = () =>
      new Promise<L4Stream>((resolve, reject) => {
        const socket = nodeTls({
          socket: connectSocket(origin.port, '127.0.0.1'),
          ciphers,
          maxVersion: 'TLSv1.2',
          minVersion: 'TLSv1.2',
          pskCallback: () => ({ psk, identity }),
          checkServerIdentity: () => undefined,
        });
        socket.once('secureConnect', () => resolve(fromDuplex(socket)));
        socket.once('error', (cause: Error) => reject(tlsError('TLS_PSK_REFUSED', cause.message, { cause, retry: 'never' })));
      });
    await using proxy = await runProxy({ to: peer(`127.0.0.1:${origin.port}`, { connect }) });
    return (await ask({ port: proxy.port })).status;
  }

  test('#B33 the origin knows the identity, over a TLS socket of Node with the key: 200', async () => {
    assert.equal(await statusWith('ferrata'), 200);
  });

  test('#B34 the origin knows it not: 502', async () => {
    assert.equal(await statusWith('somebody'), 502);
  });
});

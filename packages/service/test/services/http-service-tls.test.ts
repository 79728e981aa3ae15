import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { createAuthority } from '@ferrata/dev-certificates';
import { type HttpApplication, respond } from '@ferrata/http';
import { type CertificateReload, type TicketKeys, TlsServer } from '@ferrata/net';
import { HttpService } from '../../src/services/http-service.ts';
import { sharedTicketKeys } from '../../src/services/shared-ticket-keys.ts';
import { SharedRegistry } from '../../src/supervisor/shared-registry.ts';
import { RawClient, until } from './raw-client.ts';
import { loopback, TestHost } from './service-harness.ts';

const authority = await createAuthority();
const { chain, key } = await authority.issue({ names: ['a.test'] });

const application = (): HttpApplication => ({
  onRequest(exchange) {
    respond(exchange, 200, { body: exchange.info.tls?.alpn ?? 'none' });
    return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
  },
});

/** As a thread has it. */
function secure(tickets?: TicketKeys): HttpService {
  return new HttpService({
    name: 'web',
    listen: loopback,
    application,
    http: { drainIdleMs: 0 },
    accept: () => ({
      tls: {
        certificates: [{ certificate: chain, key }],
        alpn: ['h2', 'http/1.1'],
        ...(tickets === undefined ? {} : { tickets }),
      },
    }),
  });
}

async function request(port: number, session?: Buffer): Promise<{ body: string; session: Buffer | undefined; isReused: boolean }> {
  const socket: TLSSocket = connect({
    host: '127.0.0.1',
    port,
    servername: 'a.test',
    ca: authority.certificate,
    ALPNProtocols: ['http/1.1'],
    ...(session === undefined ? {} : { session }),
  });
  let given: Buffer | undefined;
  socket.on('session', (newSession: Buffer) => (given = newSession));
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  await once(socket, 'end');
  const isReused = socket.isSessionReused();
  socket.destroy();
  return { body: text.split('\r\n\r\n')[1] ?? '', session: given, isReused };
}

test('threads that share ticket keys resume each other’s TLS sessions, and those that do not, do not', async () => {
  for (const shares of [true, false]) {
    const main = new SharedRegistry(null);
    main.use('tickets', sharedTicketKeys());
    // Each worker opens what the main thread has made.
    const keysOfThread = (): TicketKeys | undefined =>
      shares ? new SharedRegistry(main.memories).use('tickets', sharedTicketKeys()) : undefined;
    await using one = await TestHost.start([secure(keysOfThread())], undefined);
    await using another = await TestHost.start([secure(keysOfThread())], undefined);
    const { body, session, isReused } = await request(one.port('web'));
    assert.equal(body, 'http/1.1');
    assert.equal(isReused, false);
    assert.equal((await request(another.port('web'), session)).isReused, shares);
  }
});

test('an expired certificate is told of, unless somebody else is', async () => {
  const expired = await authority.issue({ names: ['a.test'], validFrom: new Date(1e12), validTo: new Date(1.1e12) });
  const certificates = [{ certificate: expired.chain, key: expired.key }];
  const told: unknown[] = [];
  for (const tls of [{ certificates }, { certificates, onReload: ({ concern }: CertificateReload) => told.push(concern?.reason) }]) {
    await using host = await TestHost.start(
      [new HttpService({ name: 'web', listen: loopback, application, accept: () => ({ tls }) })],
      undefined,
    );
    await until(() => host.notices.length + told.length > 0);
    if ('onReload' in tls) assert.deepEqual({ told, notices: host.notices }, { told: ['TLS_CERTIFICATE_EXPIRED'], notices: [] });
    else assert.match(host.notices[0]?.text ?? '', /TLS_CERTIFICATE_EXPIRED.*the certificate has expired at 2004/);
  }
});

test('options of TLS whose members are those of a class, and a server from another copy of the package, are taken as they are', async () => {
  const asked: (string | null)[] = [];
  class Settings {
    certificates = [{ certificate: chain, key }];
    certificateFor(name: string | null): null {
      asked.push(name);
      return null;
    }
  }
  const server = new TlsServer(new Settings());
  class Foreign implements Pick<TlsServer, 'accept' | 'close'> {
    accept(...args: Parameters<TlsServer['accept']>): void {
      server.accept(...args);
    }
    async close(): Promise<void> {}
  }
  for (const tls of [Object.freeze(new Settings()), new Foreign() as TlsServer]) {
    await using host = await TestHost.start(
      [new HttpService({ name: 'web', listen: loopback, application, accept: () => ({ tls }) })],
      undefined,
    );
    const socket = connect({ port: host.port('web'), host: '127.0.0.1', servername: 'a.test', ca: authority.certificate });
    await once(socket, 'secureConnect');
    socket.destroy();
  }
  assert.deepEqual(asked, ['a.test', 'a.test']);
  await server.close();
});

test('a client that never shakes hands is not counted as cut', async () => {
  await using host = await TestHost.start([secure()], undefined);
  using silent = await RawClient.connect(host.port('web'));
  await until(() => host.host.counts()['web']?.connections === 1);
  assert.equal(await host.host.drain(30), 0);
  silent.socket.destroy();
});

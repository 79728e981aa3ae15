import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { createAuthority } from '@ferrata/dev-certificates';
import {
  type PassthroughReport,
  TlsPassthroughService,
  type TlsPassthroughServiceOptions,
} from '../../src/services/tls-passthrough-service.ts';
import { Gate, RawClient, until } from './raw-client.ts';
import { loopback, TestHost } from './service-harness.ts';

const authority = await createAuthority();
const leaf = await authority.issue({ names: ['a.test', 'b.test'] });

/** A server with a certificate of its own, which says its name and then what it hears. */
async function upstream(name: string): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createTlsServer({ cert: leaf.chain, key: leaf.key, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.write(`${name}:`);
    socket.pipe(socket);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.asyncDispose]: async () => void server.close() };
}

/** Node's types do not know that `connect` takes it. */
const halfOpen: object = { allowHalfOpen: true };

function client(port: number, servername: string): TLSSocket {
  return connectTls({ host: '127.0.0.1', port, servername, ca: authority.certificate, ...halfOpen });
}

async function heard(socket: TLSSocket): Promise<string> {
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
  return text;
}

function passing(
  route: TlsPassthroughServiceOptions<undefined>['route'],
  options: Partial<TlsPassthroughServiceOptions<undefined>> = {},
): { service: TlsPassthroughService; reports: PassthroughReport[] } {
  const reports: PassthroughReport[] = [];
  const service = new TlsPassthroughService({
    name: 'sni',
    listen: loopback,
    route,
    onDone: (report) => void reports.push(report),
    ...options,
  });
  return { service, reports };
}

test('each name goes to its own server, which ends TLS itself; half-closes go through', async () => {
  await using a = await upstream('a');
  await using b = await upstream('b');
  const ports: Record<string, number> = { 'a.test': a.port, 'b.test': b.port };
  const { service, reports } = passing(async ({ serverName }) => ({ host: '127.0.0.1', port: ports[serverName ?? ''] as number }));
  await using host = await TestHost.start([service], undefined);
  for (const name of ['a', 'b']) {
    const socket = client(host.port('sni'), `${name}.test`);
    socket.end('hello');
    assert.equal(await heard(socket), `${name}:hello`);
  }
  await until(() => reports.length === 2);
  assert.deepEqual(
    reports.map(({ outcome, hello, error }) => [outcome, hello?.serverName, error]),
    [
      ['relayed', 'a.test', null],
      ['relayed', 'b.test', null],
    ],
  );
  assert.ok(reports.every(({ bytesFromClient, bytesToClient }) => bytesFromClient > 200 && bytesToClient > 200));
});

test('a name that nobody has is refused with the alert unrecognized_name', async () => {
  const { service, reports } = passing(() => null);
  await using host = await TestHost.start([service], undefined);
  const [error] = (await once(client(host.port('sni'), 'c.test'), 'error').catch((thrown: unknown) => [thrown])) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME');
  await until(() => reports.length === 1);
  assert.deepEqual([reports[0]?.outcome, reports[0]?.error], ['refused', null]);
});

test('whatever route does, it ends that connection alone, with an alert', async () => {
  const never = new Gate<never>();
  const answers: readonly TlsPassthroughServiceOptions<undefined>['route'][] = [
    () => {
      throw new Error('a bug');
    },
    () => Promise.reject(new Error('a bug')),
    () => never.promise,
    () => 7 as never,
    () => 'nowhere',
    () => undefined as never,
    // Nobody listens there.
    () => '127.0.0.1:1',
  ];
  let answer = 0;
  const { service, reports } = passing((hello, connection) => answers[answer]?.(hello, connection) ?? (undefined as never), {
    routeTimeoutMs: 30,
    onDone: (report) => {
      reports.push(report);
      throw new Error('a bug, too');
    },
  });
  await using host = await TestHost.start([service], undefined);
  for (answer = 0; answer < answers.length; answer++) {
    const [error] = (await once(client(host.port('sni'), 'a.test'), 'error').catch((thrown: unknown) => [thrown])) as [
      NodeJS.ErrnoException,
    ];
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', `answer ${answer}`);
  }
  await until(() => reports.length === answers.length);
  assert.deepEqual(
    reports.map(({ outcome }) => outcome),
    [...Array.from({ length: 6 }, () => 'routeFailed'), 'connectFailed'],
  );
  assert.equal(reports[2]?.error?.reason, 'ROUTE_TIMEOUT');
});

test('what is no TLS is dropped, and so is who says nothing', async () => {
  for (const [helloTimeoutMs, says, reason] of [
    [600_000, 'GET / HTTP/1.1\r\n\r\n', 'TLS_NOT_TLS'],
    [30, '', 'TLS_HELLO_TIMEOUT'],
  ] as const) {
    const { service, reports } = passing(() => null, { helloTimeoutMs });
    await using host = await TestHost.start([service], undefined);
    using client = await RawClient.connect(host.port('sni'));
    if (says !== '') client.write(says);
    await client.closed();
    await until(() => reports.length === 1);
    assert.deepEqual([reports[0]?.outcome, reports[0]?.error?.reason], ['helloFailed', reason]);
  }
});

test('a relay on which nothing moves is dropped, and one that is left at the deadline is cut and counted', async () => {
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => void socket.on('error', () => {}).resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    for (const idleTimeoutMs of [40, 600_000]) {
      const { service, reports } = passing(() => `127.0.0.1:${port}`, { idleTimeoutMs });
      await using host = await TestHost.start([service], undefined);
      const socket = client(host.port('sni'), 'a.test');
      socket.on('error', () => {});
      if (idleTimeoutMs === 600_000) {
        const arrived = once(server, 'connection');
        await arrived;
        assert.equal(await host.host.drain(20), 1);
      }
      await until(() => reports.length === 1);
      assert.equal(reports[0]?.error?.reason, idleTimeoutMs === 40 ? 'STREAM_IDLE_TIMEOUT' : 'SERVER_CLOSED');
      socket.destroy();
    }
  } finally {
    server.close();
  }
});

test('TLS cannot be ended and passed through at once', async () => {
  const { service } = passing(() => null, { accept: () => ({ tls: { certificates: [] } }) });
  await using host = TestHost.idle([service], undefined);
  await assert.rejects(host.host.start('sni', 0), /^TypeError: accept of sni must not say tls/);
  assert.throws(() => passing(() => null, { connect: { tls: {} } as never }), TypeError);
});

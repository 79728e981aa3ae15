import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { createAuthority } from '@ferrata/dev-certificates';
import { descriptorLimit } from '@ferrata/net';
import type { ServiceCounts } from '../../src/service.ts';
import {
  type PassthroughReport,
  type RunningTlsPassthroughService,
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

test('options by which nobody can be connected to are told to the operator, and a server that is not there is not', async () => {
  for (const [connect, notices] of [
    [{}, []],
    [{ connectTimeoutMs: -1 }, [/^connecting failed: .*connectTimeoutMs/]],
  ] as const) {
    const { service, reports } = passing(() => '127.0.0.1:1', { connect });
    await using host = await TestHost.start([service], undefined);
    await once(client(host.port('sni'), 'a.test'), 'error').catch((thrown: unknown) => [thrown]);
    await until(() => reports.length === 1);
    assert.equal(reports[0]?.outcome, 'connectFailed');
    assert.equal(host.notices.length, notices.length);
    for (const [index, notice] of notices.entries()) assert.match(host.notices[index]?.text ?? '', notice);
  }
});

test('no more clients are accepted than servers can be connected to for them, however many listeners there are', async () => {
  await using a = await upstream('a');
  for (const listen of [loopback, [...loopback, ...loopback]]) {
    const { service, reports } = passing(() => `127.0.0.1:${a.port}`, { listen });
    // So many threads that the share of each is small.
    const threads = Math.ceil(Math.min(descriptorLimit(), 2 ** 30) / 20);
    await using host = await TestHost.start([service], undefined, { threads });
    const { addresses } = host.running.get('sni') as RunningTlsPassthroughService<undefined>;
    const clients = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const socket = connectTcp({
          ...(addresses[index % listen.length] as { readonly host: string; readonly port: number }),
          allowHalfOpen: true,
        });
        socket.on('error', () => {});
        await once(socket, 'connect');
        return socket;
      }),
    );
    const counts = (): ServiceCounts => host.host.counts()['sni'] as ServiceCounts;
    await until(() => counts().accepted + counts().shed === 40);
    const { accepted } = counts();
    assert.ok(accepted > 0 && accepted < 20, `${accepted} accepted`);
    for (const tcp of clients) {
      const socket = connectTls({ socket: tcp, servername: 'a.test', ca: authority.certificate, ...halfOpen });
      socket.on('error', () => {});
      socket.end('hello').resume();
    }
    try {
      await until(() => reports.length === accepted);
      assert.deepEqual(new Set(reports.map(({ outcome }) => outcome)), new Set(['relayed']));
    } finally {
      for (const tcp of clients) tcp.destroy();
    }
  }
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

test('who has sent no hello is not counted as cut, and is passed through if it sends one in the drain', async () => {
  await using a = await upstream('a');
  const { service, reports } = passing(() => `127.0.0.1:${a.port}`, { helloTimeoutMs: 600_000 });
  {
    await using host = await TestHost.start([service], undefined);
    using silent = await RawClient.connect(host.port('sni'));
    await until(() => host.host.counts()['sni']?.accepted === 1);
    assert.equal(await host.host.drain(30), 0);
    await silent.closed();
    await until(() => reports.length === 1);
    assert.equal(reports[0]?.outcome, 'helloFailed');
  }
  await using host = await TestHost.start([service], undefined);
  const tcp = connectTcp({ host: '127.0.0.1', port: host.port('sni'), allowHalfOpen: true });
  await until(() => host.host.counts()['sni']?.accepted === 1);
  const drained = host.host.drain(600_000);
  const socket = connectTls({ socket: tcp, servername: 'a.test', ca: authority.certificate, ...halfOpen });
  socket.end('hello');
  assert.equal(await heard(socket), 'a:hello');
  assert.equal(await drained, 0);
  assert.equal(reports[1]?.outcome, 'relayed');
});

test('TLS cannot be ended and passed through at once', async () => {
  const { service } = passing(() => null, { accept: () => ({ tls: { certificates: [] } }) });
  await using host = TestHost.idle([service], undefined);
  await assert.rejects(host.host.start('sni', 0), /^TypeError: accept of sni must not say tls/);
  assert.throws(() => passing(() => null, { connect: { tls: {} } as never }), TypeError);
});

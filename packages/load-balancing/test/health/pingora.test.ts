/**
 * What the tests of Pingora's load balancing show of health checks, by the numbers that the project gives these behaviours: over sockets, from check to target.
 *
 * Source: pingora-load-balancing, `health_check.rs` and `lib.rs`, their tests, retold.
 */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { createAuthority } from '@ferrata/dev-certificates';
import { HttpEnvironment } from '@ferrata/http';
import type { Backend } from '../../src/backend.ts';
import { grpcCheck } from '../../src/health/grpc-check.ts';
import type { HealthCheck } from '../../src/health/health-check.ts';
import { HealthChecker, type HealthCheckerOptions } from '../../src/health/health-checker.ts';
import { httpCheck } from '../../src/health/http-check.ts';
import { tcpCheck } from '../../src/health/tcp-check.ts';
import { type Listening, listening } from '../internal/http-rig.ts';
import { backendOf, RecordingTarget } from './rig.ts';

const authority = await createAuthority();
const { chain: cert, key } = await authority.issue({ names: ['127.0.0.1', 'app.test'] });
const tls = { ca: authority.certificate };

type After = Parameters<typeof listening>[0];

/** A port at which nobody listens. */
async function closedPort(t: After): Promise<number> {
  const server = createTcpServer();
  const { port } = await listening(t, server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function rig(check: HealthCheck, ports: readonly number[], options: Partial<HealthCheckerOptions> = {}) {
  const target = new RecordingTarget(ports.map((port, slot) => backendOf({ address: `127.0.0.1:${port}` }, slot)));
  const checker = new HealthChecker(target, new HttpEnvironment(), { check, ...options });
  const ready = (): boolean[] => target.backends.map((backend: Backend) => target.isHealthy(backend));
  return { target, checker, ready };
}

async function ready(check: HealthCheck, ports: readonly number[], options: Partial<HealthCheckerOptions> = {}): Promise<boolean[]> {
  const made = rig(check, ports, options);
  await made.checker.checkNow();
  made.checker.close();
  return made.ready();
}

async function gone(...servers: readonly Listening[]): Promise<void> {
  for (const server of servers) await server.allGone();
}

describe('Pingora', () => {
  for (const [words, maxParallel] of [
    ['one after another', 1],
    ['in parallel', 16],
  ] as const)
    test(`295: a TCP check marks the closed port not ready, and the others ready, ${words}`, async (t) => {
      const [first, last] = [await listening(t, createTcpServer()), await listening(t, createTcpServer())];
      const ports = [first.port, await closedPort(t), last.port];
      assert.deepEqual(await ready(tcpCheck(), ports, { maxParallel }), [true, false, true]);
      await gone(first, last);
    });

  test('300: a TCP check tells an open port from a closed one', async (t) => {
    const server = await listening(t, createTcpServer());
    assert.deepEqual(await ready(tcpCheck(), [server.port]), [true]);
    assert.deepEqual(await ready(tcpCheck(), [await closedPort(t)]), [false]);
    await gone(server);
  });

  test('300: a TLS check shakes hands', async (t) => {
    const secure = await listening(
      t,
      createTlsServer({ cert, key }, (socket) => void socket.resume().on('error', () => {})),
    );
    const plain = await listening(
      t,
      createTcpServer((socket) => void socket.resume().end('no TLS')),
    );
    assert.deepEqual(await ready(tcpCheck({ tls, servername: 'app.test' }), [secure.port, plain.port]), [true, false]);
    await gone(secure, plain);
  });

  test('300: an HTTPS check wants 200', async (t) => {
    const servers = await Promise.all(
      [200, 500].map((status) =>
        listening(
          t,
          createHttpsServer({ cert, key }, (_request, response) => void response.writeHead(status).end('body')),
        ),
      ),
    );
    const ports = servers.map(({ port }) => port);
    assert.deepEqual(await ready(httpCheck({ host: 'app.test', servername: 'app.test', tls }), ports), [true, false]);
    await gone(...servers);
  });

  test('300: a validator of the program accepts 301', async (t) => {
    const server = await listening(
      t,
      createHttpServer((_request, response) => void response.writeHead(301, { location: '/' }).end()),
    );
    const validate = ({ status }: { readonly status: number }): boolean => status === 301;
    assert.deepEqual(await ready(httpCheck({ host: 'app.test' }), [server.port]), [false]);
    assert.deepEqual(await ready(httpCheck({ host: 'app.test', validate }), [server.port]), [true]);
    await gone(server);
  });

  test('301: the observer is called exactly once when the health of a backend flips, for TCP and for HTTPS', async (t) => {
    let status = 200;
    const secure = await listening(
      t,
      createHttpsServer({ cert, key }, (_request, response) => void response.writeHead(status).end()),
    );
    const flips: unknown[] = [];
    const onChange = (_backend: Backend, isHealthy: boolean): void => void flips.push(isHealthy);
    const https = rig(httpCheck({ tls }), [secure.port], { onChange });
    for (const next of [200, 200, 500, 500, 500, 200, 200]) {
      status = next;
      await https.checker.checkNow();
    }
    assert.deepEqual(flips, [false, true]);
    flips.length = 0;
    const tcp = rig(tcpCheck(), [await closedPort(t)], { onChange });
    for (let round = 0; round < 3; round++) await tcp.checker.checkNow();
    assert.deepEqual(flips, [false]);
    assert.equal(tcp.target.told.length, 1);
    await gone(secure);
  });

  test('every kind of check leaves nothing open behind a whole round of failures', async (t) => {
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
    const silent = await listening(
      t,
      createTcpServer((socket) => void socket.resume()),
    );
    const checks = [
      httpCheck({ timeoutMs: 60 }),
      httpCheck({ protocol: 'http2', timeoutMs: 60 }),
      grpcCheck({ timeoutMs: 60 }),
      tcpCheck({ tls, timeoutMs: 60 }),
    ];
    for (const check of checks) assert.deepEqual(await ready(check, [silent.port]), [false], check.name);
    await gone(silent);
    assert.equal(process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length, before);
  });
});

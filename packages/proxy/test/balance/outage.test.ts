/** A backend dies under load and comes back, on real sockets and with real checks. */
import assert from 'node:assert/strict';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type BalancerObserver, httpCheck, LoadBalancer } from '@ferrata/load-balancing';
import { listen } from '@ferrata/net';
import { balance, HttpProxy } from '@ferrata/proxy';

const CLIENTS = 8;

function startBackend(name: string, port = 0): Promise<Server> {
  const server = createServer((_request, response) => void response.end(name));
  return new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server)));
}

function kill(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk));
      response.on('end', () => resolve(`${response.statusCode} ${text}`)).on('error', reject);
    });
    asked.on('error', reject).end();
  });
}

test('one of three backends is killed under load: no request fails, and it has its share again when a check has found it', async () => {
  const servers = [await startBackend('a'), await startBackend('b'), await startBackend('c')];
  const environment = new HttpEnvironment();
  let told: ((isHealthy: boolean) => void) | null = null;
  const observer: BalancerObserver = { onHealthChange: (_backend, isHealthy) => told?.(isHealthy) };
  const until = (wanted: boolean): Promise<void> =>
    new Promise((resolve) => {
      told = (isHealthy) => {
        if (isHealthy === wanted) resolve();
      };
    });
  const balancer = new LoadBalancer<unknown>({
    environment,
    observer,
    backends: servers.map((server) => ({ address: `127.0.0.1:${portOf(server)}` })),
    health: { check: httpCheck(), intervalMs: 50, timeoutMs: 1_000 },
  });
  balancer.start();
  const proxy = new HttpProxy(balance<unknown>(balancer), { environment, maxRetries: 1, retryShare: 1 });
  const front = new HttpServer(proxy, { environment });
  const listener = await listen('127.0.0.1:0', (stream) => front.accept(stream));
  assert.equal(listener.address.kind, 'ip');
  const port = listener.address.kind === 'ip' ? listener.address.port : 0;

  const answers = new Map<string, number>();
  let isRunning = true;
  const client = async (): Promise<void> => {
    while (isRunning) {
      const answer = await ask(port);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);

  const isUnwell = until(false);
  const [, dying] = servers;
  assert.ok(dying !== undefined);
  const deadPort = portOf(dying);
  await kill(dying);
  await isUnwell;
  const dead = balancer.find(`127.0.0.1:${deadPort}`);
  assert.ok(dead !== null);
  assert.equal(balancer.isReady(dead), false);

  const isWell = until(true);
  const back = await startBackend('again', deadPort);
  await isWell;
  assert.equal(balancer.isReady(dead), true);
  // Three are ready, and take turns.
  const last = await Promise.all([ask(port), ask(port), ask(port), ask(port), ask(port), ask(port)]);
  isRunning = false;
  await Promise.all(clients);
  assert.ok(last.includes('200 again') || answers.has('200 again'));
  assert.deepEqual(
    [...answers.keys()].filter((answer) => !answer.startsWith('200 ')),
    [],
    'no request has failed',
  );
  await front.drain(1_000);
  for (const backend of balancer.backends) assert.equal(balancer.stateOf(backend).inflight, 0);
  await listener.close();
  proxy.close();
  balancer.close();
  await Promise.all([servers[0] as Server, servers[2] as Server, back].map(kill));
});

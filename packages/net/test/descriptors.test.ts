/** What happens when descriptors run out, in a process whose limit is 64. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { listen } from '../src/index.ts';
import { until } from './pairs.ts';

interface Report {
  readonly outcome: string;
  readonly connectionCount: number;
  readonly shedCount: number;
}

interface Crowd {
  readonly sockets: readonly Socket[];
  closedCount: number;
}

const skip = spawnSync('prlimit', ['--version']).status === 0 ? false : 'needs prlimit (util-linux)';

/** Opens connections, some of which the server will close at once. */
async function crowd(target: { host: string; port: number }, size: number): Promise<Crowd> {
  const sockets = Array.from({ length: size }, () => connectSocket(target));
  const result: Crowd = { sockets, closedCount: 0 };
  for (const socket of sockets) {
    socket.on('error', () => {});
    socket.on('close', () => result.closedCount++);
    socket.resume();
  }
  return result;
}

async function withServer(
  maxConnections: string,
  body: (target: { host: string; port: number }, probe: () => Promise<Report>) => Promise<void>,
): Promise<void> {
  const server = new URL('fixtures/descriptor-server.ts', import.meta.url).pathname;
  const child: ChildProcess = spawn('prlimit', ['--nofile=64:64', process.execPath, server, maxConnections], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await using elsewhere = await listen('127.0.0.1:0', (stream) => stream.abort());
  try {
    const [target] = (await once(child, 'message')) as [{ host: string; port: number }];
    await body(target, async () => {
      child.send(elsewhere.address);
      const [report] = (await once(child, 'message')) as [Report];
      return report;
    });
  } finally {
    child.kill('SIGKILL');
  }
}

describe('descriptor exhaustion', { skip }, () => {
  test('without a cap: connections are closed silently, connecting says DESCRIPTORS_EXHAUSTED, and all recovers by itself', () =>
    withServer('Infinity', async (target, probe) => {
      const clients = await crowd(target, 100);
      await until(() => clients.closedCount > 0);
      const during = await probe();
      assert.equal(during.outcome, 'DESCRIPTORS_EXHAUSTED');
      assert.equal(during.shedCount, 0);
      for (const socket of clients.sockets) socket.destroy();
      let after = await probe();
      while (after.connectionCount > 0) after = await probe();
      assert.equal((await probe()).outcome, 'connected');
    }));

  test('with a cap below the limit: connections above it are shed and counted, and connecting goes on working', () =>
    withServer('20', async (target, probe) => {
      const clients = await crowd(target, 100);
      await until(() => clients.closedCount === 80);
      assert.deepEqual(await probe(), { outcome: 'connected', connectionCount: 20, shedCount: 80 });
      for (const socket of clients.sockets) socket.destroy();
    }));
});

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
  readonly acceptedCount: number;
  readonly waitingCount: number;
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
  caps: readonly string[],
  body: (target: { host: string; port: number }, probe: () => Promise<Report>) => Promise<void>,
): Promise<void> {
  const server = new URL('fixtures/descriptor-server.ts', import.meta.url).pathname;
  const child: ChildProcess = spawn('prlimit', ['--nofile=64:64', process.execPath, server, ...caps], {
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
    withServer(['Infinity'], async (target, probe) => {
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
    withServer(['20'], async (target, probe) => {
      const clients = await crowd(target, 100);
      await until(() => clients.closedCount === 80);
      assert.deepEqual(await probe(), {
        outcome: 'connected',
        connectionCount: 20,
        shedCount: 80,
        acceptedCount: 20,
        waitingCount: 0,
      });
      for (const socket of clients.sockets) socket.destroy();
    }));

  test('with a waiting room: accepting pauses at the cap, resumes with every place that is free, and whoever is closed was told of it', () =>
    withServer(['descriptors', '10'], async (target, probe) => {
      let served = 0;
      let resets = 0;
      let silent = 0;
      const finish: (() => void)[] = [];
      const clients = Array.from({ length: 100 }, () => {
        const socket = connectSocket(target);
        let isServed = false;
        let isReset = false;
        socket.write('hello');
        socket.on('data', () => {
          isServed = true;
          served++;
          finish.push(() => socket.end());
        });
        socket.on('error', () => {
          isReset = true;
        });
        socket.on('close', () => {
          if (isReset) resets++;
          else if (!isServed) silent++;
        });
        return socket;
      });
      await until(() => served === 20 && resets === 70);
      assert.deepEqual(await probe(), { outcome: 'connected', connectionCount: 20, shedCount: 70, acceptedCount: 20, waitingCount: 10 });
      for (const end of finish.splice(0, 5)) end();
      await until(() => served === 25);
      assert.equal((await probe()).waitingCount, 5);
      while (served < 30 || finish.length > 0) {
        for (const end of finish.splice(0)) end();
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      let after = await probe();
      while (after.connectionCount > 0) after = await probe();
      assert.deepEqual(after, { outcome: 'connected', connectionCount: 0, shedCount: 70, acceptedCount: 30, waitingCount: 0 });
      assert.equal(silent, 0);
      for (const socket of clients) socket.destroy();
    }));
});

/** Several descriptors of one listening socket, each with a thread of its own: they share the queue, and none takes another along. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { StreamAddress } from '@ferrata/stream';
import { type HeldSocket, holdSockets, type SocketToHold } from '../src/index.ts';
import { answerFrom, type Inheritor, inheritor } from './inheritors.ts';
import { temporaryDirectory } from './pairs.ts';

const skip = process.platform === 'win32' ? 'Windows has no descriptors to hand on' : false;

async function withHeir(wanted: SocketToHold, body: (child: Inheritor, address: StreamAddress) => Promise<void>): Promise<void> {
  const [socket] = (await holdSockets([wanted])) as [HeldSocket];
  try {
    const [fd] = socket.descriptors as [number];
    await using child = await inheritor([fd, fd, fd, fd]);
    await body(child, socket.address);
  } finally {
    await socket.release();
  }
}

/** The names that answer, until each of those expected has done so. */
async function answers(address: StreamAddress, expected: readonly string[]): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let tries = 0; tries < 2_000 && seen.size < expected.length; tries++) seen.add(await answerFrom(address));
  return seen;
}

/** The names that answer a number of connections at once. */
async function burst(address: StreamAddress): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: 40 }, () => answerFrom(address))));
}

async function checkSharing(child: Inheritor, address: StreamAddress): Promise<void> {
  for (const [at, name] of ['a', 'b', 'c'].entries()) assert.deepEqual(await child.ask({ do: 'listen', fd: 3 + at, name }), address);
  assert.deepEqual(await answers(address, ['a', 'b', 'c']), new Set(['a', 'b', 'c']));
  await child.ask({ do: 'close', name: 'a' });
  assert.deepEqual(await child.ask({ do: 'describe', fd: 3 }), null);
  assert.ok(!(await burst(address)).has('a'));
  await child.ask({ do: 'terminate', name: 'b' });
  assert.deepEqual(await burst(address), new Set(['c']));
  await child.ask({ do: 'terminate', name: 'c' });
  // Nobody accepts: connections wait for the next one.
  const waiting = burst(address);
  await child.ask({ do: 'listen', fd: 6, name: 'd' });
  assert.deepEqual(await waiting, new Set(['d']));
}

describe('threads that listen on descriptors of one socket', { skip }, () => {
  test('share its connections; closing one, or ending its thread, leaves the others (TCP)', () =>
    withHeir({ transport: 'tcp', host: '127.0.0.1', port: 0 }, checkSharing));

  test('the same on a Unix socket, whose file stays', {
    skip: process.platform === 'linux' ? false : 'only Linux tells the path',
  }, async () => {
    using directory = temporaryDirectory();
    const path = directory.file('a.sock');
    await withHeir({ transport: 'unix', path }, async (child, address) => {
      await checkSharing(child, address);
      await child.ask({ do: 'keepFile', name: 'd' });
      assert.ok(existsSync(path));
    });
    assert.ok(!existsSync(path));
  });

  test(
    'the queue is as long as backlog says, 4 096 by default',
    { skip: spawnSync('ss', ['-V']).status === 0 ? false : 'needs ss (iproute2)' },
    () =>
      withHeir({ transport: 'tcp', host: '127.0.0.1', port: 0, backlog: 11 }, async (child, address) => {
        const port = address.kind === 'ip' ? address.port : 0;
        // Of a listening socket Send-Q is the length of its queue, which the kernel cuts.
        const length = (): number => Number(execFileSync('ss', ['-Hltn', `sport = :${port}`], { encoding: 'utf8' }).split(/ +/)[2]);
        const most = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
        assert.equal(length(), Math.min(11, most));
        await child.ask({ do: 'listen', fd: 3, name: 'a' });
        assert.equal(length(), Math.min(4_096, most));
        await child.ask({ do: 'listen', fd: 4, name: 'b', backlog: 13 });
        assert.equal(length(), Math.min(13, most));
      }),
  );
});

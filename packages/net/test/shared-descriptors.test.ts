/** Several descriptors of one listening socket, each with a thread of its own: they share the queue, and none takes another along. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { StreamAddress } from '@ferrata/stream';
import { type HeldSocket, holdSockets } from '../src/index.ts';
import { answerFrom, type Inheritor, inheritor } from './inheritors.ts';
import { temporaryDirectory } from './pairs.ts';

const skip = process.platform === 'linux' ? false : 'only Linux tells the path of a Unix socket by its descriptor';

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

/** Of a listening socket Send-Q is the length of its queue, which the kernel cuts. */
function queueLength(address: StreamAddress | undefined): number {
  const port = address?.kind === 'ip' ? address.port : 0;
  return Number(execFileSync('ss', ['-Hltn', `sport = :${port}`], { encoding: 'utf8' }).split(/ +/)[2]);
}

const hasSs = spawnSync('ss', ['-V']).status === 0;

describe('threads that listen on descriptors of one socket', { skip }, () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let held: readonly HeldSocket[];
  let addresses: readonly StreamAddress[];
  let child: Inheritor;

  /** Of a TCP and of a Unix socket the process has four descriptors each: 3 to 6, and 7 to 10. */
  before(async () => {
    directory = temporaryDirectory();
    held = await holdSockets([
      { transport: 'tcp', host: '127.0.0.1', port: 0, backlog: 11 },
      { transport: 'unix', path: directory.file('a.sock') },
    ]);
    addresses = held.map(({ address }) => address);
    child = await inheritor(held.flatMap(({ descriptors: [fd = -1] }) => [fd, fd, fd, fd]));
  });
  after(async () => {
    await child[Symbol.asyncDispose]();
    await Promise.all(held.map((each) => each.release()));
    directory[Symbol.dispose]();
  });

  test('share its connections; closing one, or ending its thread, leaves the others', async () => {
    for (const [at, name] of ['a', 'b', 'c'].entries())
      assert.deepEqual(await child.ask({ do: 'listen', fds: [3 + at, 7 + at], name }), addresses);
    for (const address of addresses) assert.deepEqual(await answers(address, ['a', 'b', 'c']), new Set(['a', 'b', 'c']));
    await child.ask({ do: 'close', name: 'a' });
    for (const fd of [3, 7]) assert.deepEqual(await child.ask({ do: 'describe', fd }), null);
    for (const address of addresses) assert.ok(!(await burst(address)).has('a'));
    await child.ask({ do: 'terminate', name: 'b' });
    for (const address of addresses) assert.deepEqual(await burst(address), new Set(['c']));
    await child.ask({ do: 'terminate', name: 'c' });
  });

  test('find what has connected while nobody listened; its queue is as long as backlog says, 4 096 by default', async () => {
    const [tcp] = addresses;
    const most = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
    if (hasSs) assert.equal(queueLength(tcp), Math.min(4_096, most));
    const waiting = addresses.map(burst);
    await child.ask({ do: 'listen', fds: [6, 10], name: 'd', backlog: 13 });
    for (const names of waiting) assert.deepEqual(await names, new Set(['d']));
    if (hasSs) assert.equal(queueLength(tcp), Math.min(13, most));
  });

  test('leave the file of a Unix socket to its owner', async () => {
    await child.ask({ do: 'keepFile', name: 'd' });
    assert.deepEqual(readdirSync(directory.path), ['a.sock']);
    await held[1]?.release();
    assert.deepEqual(readdirSync(directory.path), []);
  });
});

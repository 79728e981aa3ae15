/** What a suite leaves behind when it is killed, by a suite in small that is. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { TemporaryFolder } from '../rig/clean-up.ts';

const rig = (name: string): string => JSON.stringify(new URL(`../rig/${name}`, import.meta.url).href);

/** A folder with a file in it, and a process that holds our pipe; it ends by itself should nobody end it. */
const SMALL_SUITE = `
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { killOnExit, TemporaryFolder } from ${rig('clean-up.ts')};
const folder = new TemporaryFolder('ferrata-clean-up-');
writeFileSync(folder.path + '/file', 'x');
const child = spawn(process.execPath, ['-e', 'setTimeout(() => undefined, 30_000)'], { stdio: ['ignore', 'inherit', 'ignore'] });
killOnExit(child);
child.on('spawn', () => console.log(folder.path));
`;

const PROXY_SUITE = `
import { startFerrata } from ${rig('ferrata-command.ts')};
const { port } = await startFerrata(9);
console.log(port);
`;

async function start(
  program: string,
  stderr: 'inherit' | 'ignore' = 'inherit',
): Promise<readonly [child: ChildProcess, firstLine: string]> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', stderr] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return [child, line];
}

/** Comes when the process has ended and nobody holds its pipe any more. */
async function closeOf(child: ChildProcess): Promise<readonly [code: number | null, signal: string | null]> {
  return (await once(child, 'close')) as [number | null, string | null];
}

describe('a suite that is killed', () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    test(`by ${signal} takes its processes and folders with it, and ends by that signal`, { timeout: 20_000 }, async () => {
      const [child, folder] = await start(SMALL_SUITE);
      assert.ok(statSync(folder).isDirectory());
      const closed = closeOf(child);
      child.kill(signal);
      assert.deepEqual(await closed, [null, signal]);
      assert.equal(existsSync(folder), false);
    });
  }

  test('takes the proxy that it runs with it', { timeout: 20_000 }, async () => {
    const [child, port] = await start(PROXY_SUITE);
    const socket = connect({ port: Number(port), host: '127.0.0.1' });
    const lost = new Promise<void>((resolve) => {
      // A reset, which is no more than that the other side is gone.
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
    });
    await once(socket, 'connect');
    const closed = closeOf(child);
    child.kill('SIGTERM');
    assert.deepEqual(await closed, [null, 'SIGTERM']);
    await lost;
  });

  test('does so when it throws, or exits', { timeout: 20_000 }, async () => {
    for (const [end, code] of [
      ["throw new Error('expected by the test')", 1],
      ['process.exit(7)', 7],
    ] as const) {
      const [child, folder] = await start(`${SMALL_SUITE}\nchild.on('spawn', () => setImmediate(() => { ${end}; }));`, 'ignore');
      assert.deepEqual(await closeOf(child), [code, null]);
      assert.equal(existsSync(folder), false);
    }
  });
});

describe('a suite that ends in order', () => {
  test('leaves no handler behind once its folders are removed', () => {
    const before = process.listenerCount('SIGTERM');
    const [one, other] = [new TemporaryFolder('ferrata-clean-up-'), new TemporaryFolder('ferrata-clean-up-')];
    assert.equal(process.listenerCount('SIGTERM'), before + 1);
    one.remove();
    one.remove();
    assert.equal(process.listenerCount('SIGTERM'), before + 1);
    other.remove();
    assert.equal(process.listenerCount('SIGTERM'), before);
    assert.deepEqual(
      [one, other].map(({ path }) => existsSync(path)),
      [false, false],
    );
  });
});

/** The suite `worlds`: that a fault of the proxy is found, and its world run again; that it ends with all that it has started; its command line. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isRunning, processTree } from '@ferrata/tools/process-tree';

const suite = fileURLToPath(new URL('../worlds/run.ts', import.meta.url));
/** Kills what hangs: each run takes some seconds. */
const LIMIT_MS = 50_000;

interface Ran {
  readonly status: number | null;
  readonly output: string;
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const options = { encoding: 'utf8', timeout: LIMIT_MS, env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [suite, ...args], options);
  return { status, output: stdout + stderr };
}

/** Options of Node by which every process of a run has a proxy that writes two lines for each request. */
function loggingTwice(): Readonly<Record<string, string>> {
  const plant = new URL('../../fuzz/test/fixtures/plant.ts', import.meta.url);
  plant.search = String(
    new URLSearchParams({
      file: 'packages/proxy/src/end-hooks.ts',
      find: 'hooks\\.logging\\?\\.\\(([^)]*)\\)',
      put: '(hooks.logging?.($1), hooks.logging?.($1))',
    }),
  );
  return { NODE_OPTIONS: `--import=${plant.href}` };
}

test('a fault that is planted into the proxy is found, in worlds of every kind, and the line that is printed runs such a world again', () => {
  const fault = loggingTwice();
  const { status, output } = run(['--worlds', '100', '--seed', '3', '--as-found'], fault);
  assert.equal(status, 1, `nothing was found, or the call of the hook stands elsewhere now: give its place\n${output}`);
  for (const family of ['http1', 'http1-kind', 'mixed', 'mixed-kind', 'phases', 'phases-kind', 'tunnels', 'tunnels-kind'])
    assert.match(output, new RegExp(`^FAILED worlds ${family}: I1[25]: .*(?:logged 2 times|logging twice)`, 'm'));
  const [, failed] = /^(?:\d+) passed, (\d+) failed$/m.exec(output) ?? [];
  assert.ok(Number(failed) >= 8, output);
  const [, world = ''] = /--replay (\S+)/.exec(output) ?? [];
  const again = run(['--as-found', '--replay', world], fault);
  assert.equal(again.status, 1, again.output);
  assert.match(again.output, /^FAILED worlds [^]*I1[25]: [^]*^0 passed, 1 failed$/m);
  const mended = run(['--as-found', '--replay', world]);
  assert.equal(mended.status, 0, mended.output);
  assert.match(mended.output, /^1 passed, 0 failed$/m);
});

test('a run says its seed, how many worlds there were, and how often each thing has come to pass', () => {
  const { status, output } = run(['--worlds', '100', '--seed', '3']);
  assert.equal(status, 0, output);
  assert.match(output, /^worlds: --seed 3, 100 short worlds, in 2 processes$/m);
  assert.match(output, /^worlds: 36 of http1, \d+ different ones, \d+ requests: \d+ × whole, .*× origin reset, .*× network stall/m);
  // Each of two processes rounds its share up.
  assert.match(output, /^1\d\d passed, 0 failed$/m);
});

test('who ends it ends its processes', { skip: process.platform === 'linux' ? false : 'reads /proc, which only Linux has' }, async () => {
  const child = spawn(process.execPath, [suite, '--worlds', '1000000'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const until = async (isSo: () => boolean, what: string): Promise<void> => {
    for (const latest = performance.now() + 20_000; !isSo(); await delay(20)) assert.ok(performance.now() < latest, what);
  };
  try {
    // The suite behind its door, and two processes of its own.
    await until(() => processTree(child.pid ?? 0).length === 4, 'they are there');
    const tree = processTree(child.pid ?? 0);
    child.kill('SIGTERM');
    await ended;
    await until(() => !tree.some(isRunning), 'they have gone');
  } finally {
    child.kill('SIGKILL');
  }
});

test('a wrong command line ends with 2 and one sentence', () => {
  for (const [args, sentence] of [
    [['--seed', 'x'], /^--seed must be a whole number/],
    [['--worlds', '99'], /^--worlds must be a whole number from 100/],
    [['--replay', 'nothing:1:2'], /^--replay takes FAMILY:SEED:WORLD/],
    [['--nonsense'], /nonsense/],
  ] as const) {
    const { status, output } = run(args);
    assert.equal(status, 2, output);
    assert.match(output, sentence);
  }
});

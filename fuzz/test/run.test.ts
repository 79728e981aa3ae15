/** The command: what it ends with, that a signal loses nothing that was found, and that it leaves no process behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readSeeds } from '../src/corpus.ts';

const command = fileURLToPath(new URL('../run.ts', import.meta.url));
const throughTools = fileURLToPath(new URL('../../tools/fuzz.ts', import.meta.url));
const fault = new URL('fixtures/chunk-end-fault.ts', import.meta.url).href;
/** What the command says when a target is loaded and it listens to signals. */
const BEGUN = 'inputs to begin with';
/** What V8 would report of instrumented sources is about other lines than those of the files. Left out, Node would hand it on by itself. */
const withoutCoverage = { ...process.env, NODE_V8_COVERAGE: undefined };

interface Running {
  readonly child: ChildProcess;
  /** What has been written so far, of both streams. */
  output(): string;
  readonly ended: Promise<number | null>;
}

function start(script: string, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...withoutCoverage, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, output: () => output, ended };
}

/** Processes by their parent; /proc is Linux's. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent ? [Number(name)] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

function descendantsOf(parent: number): number[] {
  return childrenOf(parent).flatMap((child) => [child, ...descendantsOf(child)]);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until(condition: () => boolean, what: () => string): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    assert.ok(turns < 1000, what());
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}

describe('the command', () => {
  for (const limit of ['--seconds', '--executions']) {
    test(`${limit} 0 runs the committed corpus and nothing else`, async () => {
      const { ended, output } = start(command, ['http1-chunked', limit, '0']);
      assert.equal(await ended, 0, output());
      const seeds = readSeeds(fileURLToPath(new URL('../corpora/http1-chunked/', import.meta.url)));
      assert.match(output(), new RegExp(`^http1-chunked: ${seeds.length} executions `, 'm'));
    });
  }

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`${signal} ends it with a summary, and with ${code} if nothing was found`, async () => {
      const { child, ended, output } = start(command, ['http1-chunked', '--seconds', '60']);
      await until(() => output().includes(BEGUN), output);
      child.kill(signal);
      assert.equal(await ended, code, output());
      assert.match(output(), /^http1-chunked: \d+ executions .* 0 found$/m);
    });
  }

  test('what was found is printed and written at once, and a signal then ends it with 1', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'found-'));
    let running: Pick<Running, 'child' | 'ended'> | null = null;
    try {
      const args = ['http1-chunked', '--seconds', '60', '--findings', '100', '--corpus', folder];
      writeFileSync(join(folder, 'seed'), '1\r\na\r\n0\r\n\r\n');
      const { child, ended, output } = start(command, args, { NODE_OPTIONS: `--import=${fault}` });
      running = { child, ended };
      await until(() => /^found by execution \d+ of http1-chunked/m.test(output()), output);
      assert.ok(readdirSync(folder).some((name) => /^found-[0-9a-f]{12}$/.test(name)));
      assert.equal(child.exitCode, null, 'it goes on');
      child.kill('SIGTERM');
      assert.equal(await ended, 1, output());
      assert.match(output(), /^http1-chunked: \d+ executions .* [1-9]\d* found$/m);
    } finally {
      // It would write into the folder for as long as it lives.
      running?.child.kill('SIGKILL');
      await running?.ended;
      rmSync(folder, { recursive: true });
    }
  });

  test('a signal reaches all targets that run, through every process on the way', { skip: process.platform !== 'linux' }, async () => {
    const { child, ended, output } = start(throughTools, ['all', '--seconds', '60', '--parallel', '2']);
    await until(() => output().split(BEGUN).length > 2, output);
    const processes = descendantsOf(child.pid ?? 0);
    assert.ok(processes.length >= 3, `${processes.length} processes`);
    child.kill('SIGTERM');
    assert.equal(await ended, 143, output());
    await until(
      () => !processes.some(isRunning),
      () => `left over: ${processes.filter(isRunning).join(' ')}`,
    );
    assert.equal(output().match(/0 found$/gm)?.length, 2, output());
  });
});

/**
 * Running other programs: with their output collected, or handed through to the terminal.
 *
 * A program whose output is collected leads a process group of its own, so that whatever it started ends with it: when its
 * time is up, when it is aborted, and when this process ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { root } from './workspace.ts';

/** How a program ended, and what it said. */
export interface Ran {
  /** 0 for success; 128 + the signal's number if a signal ended it, 127 if it could not be started. */
  readonly code: number;
  /** Standard output and standard error in the order they came. */
  readonly output: string;
}

/** Options of `run`. */
export interface RunOptions {
  /** Default: the repository's folder. */
  readonly cwd?: string;
  /** Added to this process's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called with each line of standard output as it comes, without its end. */
  readonly onLine?: (line: string) => void;
  /** Kills the program after this time; default 15 minutes. */
  readonly timeoutMs?: number;
  /** Kills the program when it is aborted. */
  readonly signal?: AbortSignal;
}

/** The programs that are running now, to be ended with this process. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) killGroup(child);
});

/** The repository's own tools come first, also for a script that was not started by tools/run.mjs. */
const path = `${join(root, 'node_modules', '.bin')}${delimiter}${process.env['PATH'] ?? ''}`;

/** Runs a program without a shell and without input, and collects what it says. Never rejects. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return await new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, PATH: path, NO_COLOR: '1', FORCE_COLOR: undefined, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
    });
    running.add(child);
    const kill = (): void => killGroup(child);
    const timer = setTimeout(kill, options.timeoutMs ?? 900_000);
    options.signal?.addEventListener('abort', kill);
    let output = '';
    let line = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (options.onLine === undefined) return;
      const lines = (line + text).split('\n');
      line = lines.pop() ?? '';
      for (const complete of lines) options.onLine(complete);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const finish = (ran: Ran): void => {
      running.delete(child);
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', kill);
      resolve(ran);
    };
    child.on('error', (error) => finish({ code: 127, output: `${output}cannot start ${command}: ${error.message}\n` }));
    child.on('close', (code, signal) => finish({ code: exitCode(code, signal), output }));
  });
}

/** Runs a program on this terminal. @returns its exit code */
export async function runOnTerminal(command: string, args: readonly string[]): Promise<number> {
  return await new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: path } });
    const forward = (signal: NodeJS.Signals): void => {
      // A terminal sends Ctrl-C to the whole foreground group: handed on, it would reach the child twice.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    for (const signal of signals) process.on(signal, forward);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(exitCode(code, signal));
    });
  });
}

function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/**
 * The processes and temporary folders of one run, and the promise that none of them outlives it: not after a failure, not after Ctrl-C.
 *
 * Processes are ended by their pid, and those they started themselves (a server's workers) with them; nothing is ever looked up by name.
 * A pid is signalled only while its start time is still the one seen, so a number that the kernel has given away meanwhile is safe.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, type ProcessIdentity, processTree } from '@ferrata/tools/process-tree';

/** How long a process may take to end after SIGTERM before it is killed. */
const STOP_GRACE_MS = 3000;
/** Lines of its standard error that are kept of each process, to be shown when it fails. */
const KEPT_ERROR_LINES = 20;

/** What to start, and where. */
export interface StartOptions {
  /** What messages call it. */
  readonly name: string;
  /** The command, looked up on PATH. */
  readonly command: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** CPUs that it may use, as `taskset -c` takes them; null: any. */
  readonly cores: string | null;
  /** Takes each line of its standard output. Default: they are dropped. */
  readonly onLine?: (line: string) => void;
  /** The file that its standard output is, for what writes much of it; then no line comes to `onLine`. */
  readonly outputFile?: string;
}

/** A process that this run started. */
export class RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** Settles when the process has ended, with its exit code or the name of the signal. Never rejects. */
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  readonly #errorLines: string[] = [];
  #exitStatus: number | string | null = null;

  constructor(name: string, child: ChildProcess, pid: number, onLine: (line: string) => void) {
    this.name = name;
    this.pid = pid;
    this.#child = child;
    eachLine(child.stdout, onLine);
    eachLine(child.stderr, (line) => {
      this.#errorLines.push(line);
      if (this.#errorLines.length > KEPT_ERROR_LINES) this.#errorLines.shift();
    });
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exitStatus = code ?? signal ?? 'unknown';
        resolve(this.#exitStatus);
      });
    });
    this.#closed = new Promise((resolve) => {
      child.once('close', () => resolve());
    });
  }

  /** Waits until the process has ended and all its output is read, and returns its exit code or signal. */
  async finished(): Promise<number | string> {
    await this.#closed;
    return this.exited;
  }

  /** The exit code or signal, or null while it runs. */
  get exitStatus(): number | string | null {
    return this.#exitStatus;
  }

  /** The last lines that it wrote to its standard error. */
  get errorOutput(): string {
    return this.#errorLines.join('\n');
  }

  /** Ends the process and those it started: politely, then, after a grace, not. Resolves when they are gone. */
  async stop(): Promise<void> {
    const tree = processTree(this.pid);
    if (this.#exitStatus === null) this.#child.kill('SIGTERM');
    await Promise.race([this.exited, delay(STOP_GRACE_MS, undefined, { ref: false })]);
    killAll(tree);
    await this.exited;
    await untilGone(tree);
  }

  /** Kills the process and those it started, at once. */
  async kill(): Promise<void> {
    const tree = processTree(this.pid);
    killAll(tree);
    await this.exited;
    await untilGone(tree);
  }

  /** As `kill`, without waiting: for signal handlers. */
  killNow(): void {
    if (this.#exitStatus === null) killAll(processTree(this.pid));
  }
}

/** Everything that one run started. Made by `withProcesses`. */
export class ProcessGroup {
  readonly #running = new Set<RunningProcess>();
  readonly #folders = new Set<string>();

  /**
   * Starts a process.
   *
   * @throws {Error} when the command cannot be run at all.
   */
  async start(options: StartOptions): Promise<RunningProcess> {
    // taskset and prlimit end in exec, so the pid stays the one of the command itself.
    const prefix = options.cores === null ? [] : ['taskset', '-c', options.cores];
    const [command = '', ...args] = [...prefix, options.command, ...options.args];
    const output = options.outputFile === undefined ? 'pipe' : openSync(options.outputFile, 'a');
    const child = spawn(command, args, { stdio: ['ignore', output, 'pipe'] });
    // The child has its own.
    if (typeof output === 'number') closeSync(output);
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw new Error(`${options.name} could not be started: ${error.message}`);
    }
    const running = new RunningProcess(options.name, child, child.pid, options.onLine ?? ((): void => {}));
    this.#running.add(running);
    void running.exited.then(() => this.#running.delete(running));
    return running;
  }

  /** Makes a temporary folder, which goes when the run ends. */
  makeFolder(name: string): string {
    const folder = mkdtempSync(join(tmpdir(), `ferrata-bench-${name}-`));
    this.#folders.add(folder);
    return folder;
  }

  /** Ends everything, politely first. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map((running) => running.stop()));
    this.#removeFolders();
  }

  /** Ends everything at once; for signal handlers and the very end of the process. */
  closeNow(): void {
    for (const running of this.#running) running.killNow();
    this.#removeFolders();
  }

  #removeFolders(): void {
    // Whoever wrote there may have been killed a moment ago.
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    this.#folders.clear();
  }
}

/**
 * Runs a bench with a group of processes that is empty again when this returns, throws, or the bench is interrupted.
 *
 * @returns what the bench returned.
 */
export async function withProcesses<Result>(run: (processes: ProcessGroup) => Promise<Result>): Promise<Result> {
  const processes = new ProcessGroup();
  const onExit = (): void => processes.closeNow();
  const onSignal = (signal: NodeJS.Signals): void => {
    processes.closeNow();
    process.stderr.write(`\n${signal}: all processes of the bench are ended\n`);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  process.once('exit', onExit);
  for (const signal of signals) process.once(signal, onSignal);
  try {
    return await run(processes);
  } finally {
    await processes.close();
    process.off('exit', onExit);
    for (const signal of signals) process.off(signal, onSignal);
  }
}

function killAll(tree: readonly ProcessIdentity[]): void {
  for (const member of tree) {
    if (!isRunning(member)) continue;
    try {
      process.kill(member.pid, 'SIGKILL');
    } catch {
      // It ended between the look and the signal, which is what was wanted.
    }
  }
}

/** A signal is delivered some time after it was sent, and only children can be waited for: the rest is looked at. */
async function untilGone(tree: readonly ProcessIdentity[]): Promise<void> {
  const deadline = performance.now() + STOP_GRACE_MS;
  while (tree.some(isRunning) && performance.now() < deadline) await delay(5);
}

function eachLine(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  if (stream === null) return;
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

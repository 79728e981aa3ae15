/**
 * A server under test as a process: started, watched, signalled, asked through its admin endpoint, and ended by its pid at the latest when the suite ends.
 *
 * The process that is started (the keeper) starts others. Their pids are read from `/proc`, so that what a server leaves behind is seen, and ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { type ProcessStat, processGroup } from '@ferrata/tools/process-tree';
import { cleanUpOnExit } from '../rig/clean-up.ts';
import { Http1Connection } from './http1-connection.ts';

/** From sources, on a machine that is busy. */
const START_MS = 60_000;
const KEPT_OUTPUT = 2_000_000;

/** How to start one. */
export interface ServerStart {
  /** The program and its arguments, as `spawn` takes them. Default of the program: this Node. */
  readonly command?: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** The path of the admin endpoint's socket. */
  readonly admin: string;
  /** Descriptors 3 and up. */
  readonly descriptors?: readonly number[];
  /** Standard output goes there instead of to us: a descriptor. */
  readonly stdout?: number;
  /** What is said on standard output when it is ready; null: do not wait. */
  readonly readyLine?: RegExp | null;
}

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Since it was started, in ms. */
  readonly afterMs: number;
}

/** An answer of the admin endpoint. */
export interface AdminAnswer {
  readonly status: number;
  readonly value: Readonly<Record<string, unknown>>;
}

/** A server that was started. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #admin: string;
  readonly #since = performance.now();
  #output = '';
  #ending: Ending | null = null;
  readonly #ended: Promise<Ending>;
  readonly #watchers = new Set<() => void>();
  readonly #release: () => void;

  private constructor(child: ChildProcess, admin: string) {
    this.#child = child;
    this.#admin = admin;
    const hear = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-KEPT_OUTPUT);
      this.#wake();
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    this.#release = cleanUpOnExit(() => this.#killAll());
    this.#ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#ending = { code, signal, afterMs: performance.now() - this.#since };
        this.#wake();
        resolve(this.#ending);
      };
      child.once('exit', end);
      child.once('error', (error) => {
        this.#output += error.message;
        end(null, null);
      });
    });
  }

  /** Starts a server and waits until it says that it is ready. @throws {Error} with what it said, if it does not */
  static async start(start: ServerStart): Promise<ServerProcess> {
    const { command = process.execPath, args, env = {}, cwd, admin, descriptors = [], stdout = 'pipe', readyLine = /^ready /m } = start;
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
      stdio: ['ignore', stdout, 'pipe', ...descriptors],
      // A group of its own: a signal to the terminal of the suite is ours to deal with.
      detached: true,
    });
    const server = new ServerProcess(child, admin);
    if (readyLine === null) return server;
    const isReady = await server.until(() => readyLine.test(server.#output) || server.#ending !== null, START_MS);
    if (isReady && server.#ending === null) return server;
    const why = isReady ? `ended with ${endingText(server.#ending)}` : `did not say that it is ready in ${START_MS / 1000} s`;
    await server.kill();
    throw new Error(`the server ${why}:\n${server.#output.trim().slice(-2_000)}`);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** All that it has said, both streams. */
  get output(): string {
    return this.#output;
  }

  /** Null while it runs. */
  get ending(): Ending | null {
    return this.#ending;
  }

  /** Waits until something is so, looking whenever it says something, and every 20 ms. @returns whether it became so in time */
  async until(isSo: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
    const end = performance.now() + ms;
    while (!(await isSo())) {
      if (performance.now() > end) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, 20);
        const watchers = this.#watchers;
        watchers.add(done);
        function done(): void {
          clearTimeout(timer);
          watchers.delete(done);
          resolve();
        }
      });
    }
    return true;
  }

  /** Waits for words that it has not said before `from`. */
  async says(words: RegExp, ms: number, from = 0): Promise<boolean> {
    return await this.until(() => words.test(this.#output.slice(from)), ms);
  }

  /** Nobody reads any more what it says, and it hears that when it writes. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  /** Nobody reads what it says, and it does not hear of that. */
  holdOutput(): void {
    this.#child.stdout?.pause();
    this.#child.stderr?.pause();
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#ending === null) process.kill(this.pid, signal);
  }

  /** @returns null: it has not ended in time */
  async exit(ms: number): Promise<Ending | null> {
    const timer = new AbortController();
    const ending = await Promise.race([this.#ended, delay(ms, null, { signal: timer.signal }).catch(() => null)]);
    timer.abort();
    return ending;
  }

  /** Ends it in order; by force if that takes longer. @returns what was wrong with the end, or null */
  async stop(ms = 60_000): Promise<string | null> {
    this.signal('SIGTERM');
    const ending = await this.exit(ms);
    const left = ending === null ? [] : this.descendants();
    await this.kill();
    if (ending === null) return `did not end within ${ms / 1000} s of SIGTERM: ${this.#output.trim().slice(-600)}`;
    if (ending.code !== 0) return `ended with ${endingText(ending)} on SIGTERM: ${this.#output.trim().slice(-600)}`;
    return left.length === 0 ? null : `left ${left.length} processes behind`;
  }

  /** Ends it and all that it has started, at once. */
  async kill(): Promise<void> {
    this.#killAll();
    this.#release();
    await this.#ended;
  }

  /** The processes of the server that are left, without the first: those of its own process group. */
  descendants(): readonly number[] {
    return this.#others().map(({ pid }) => pid);
  }

  /** Those that the first one has started itself. */
  children(): readonly number[] {
    return this.#others()
      .filter(({ parentPid }) => parentPid === this.pid)
      .map(({ pid }) => pid);
  }

  /** Asks the admin endpoint. @throws when it does not answer */
  async admin(method: 'GET' | 'POST', path: string, timeoutMs = 30_000): Promise<AdminAnswer> {
    const connection = await Http1Connection.open({ path: this.#admin });
    try {
      const type = method === 'POST' ? 'Content-Type: application/json\r\nContent-Length: 0\r\n' : '';
      const bytes = Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${type}\r\n`, 'latin1');
      const answer = await connection.exchange({ bytes, timeoutMs });
      return { status: answer.status, value: JSON.parse(answer.body.toString()) as AdminAnswer['value'] };
    } finally {
      connection.close();
    }
  }

  #others(): readonly ProcessStat[] {
    return this.#group().filter(({ pid }) => pid !== this.pid);
  }

  /** One that could not be started has none. */
  #group(): readonly ProcessStat[] {
    return this.#child.pid === undefined ? [] : processGroup(this.pid);
  }

  #killAll(): void {
    for (const { pid } of this.#group().toReversed()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

/** `code 0`, `SIGKILL`. */
export function endingText(ending: Ending | null): string {
  if (ending === null) return 'nothing yet';
  return ending.signal ?? `code ${String(ending.code)}`;
}

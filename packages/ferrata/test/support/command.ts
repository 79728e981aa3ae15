/** Runs the `ferrata` command as a child process, and ends it whatever becomes of the test. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

/** How long a test waits for what has to happen before it gives up: far beyond what a busy machine needs. */
export const DEADLINE_MS = 30_000;

/** The command. */
export const main: string = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const demo = fileURLToPath(new URL('../../../../tools/start.ts', import.meta.url));

/**
 * More than half of the time of a process that starts goes into reading the sources: Node keeps what it has compiled of them here. It is one folder for all test
 * files and runs, as a program that is killed writes nothing into it: it lives by those that end in order. Node checks each entry against its source, so it is
 * never stale.
 */
const compileCache = fileURLToPath(new URL('../../../../.cache/compiled', import.meta.url));

/** Whatever becomes of the tests, a time-out of the whole file among it, their programs end with them. */
const running = new Set<Program>();
process.on('exit', () => {
  for (const program of running) program.killAll();
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

/** How a program ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One line of the access log. */
export interface LogLine {
  readonly time: string;
  readonly client: string;
  readonly protocol: string | null;
  readonly method: string | null;
  readonly target: string | null;
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly upstream: string | null;
  readonly upstreamProtocol: string | null;
  readonly reused: boolean;
  readonly attempts: number;
  readonly refusals: number;
  readonly upstreamBytesOut: number;
  readonly upstreamBytesIn: number;
  readonly durationMs: number | null;
  readonly connectMs: number | null;
  readonly firstByteMs: number | null;
  readonly clientPendingMs: number;
  readonly upstreamPendingMs: number;
  readonly outcome: string;
  readonly error: string | null;
}

/** Threads that other work on the machine has held up for seconds. */
const slowness = /^ferrata: worker \d+ (?:does not turn its event loop since|runs again, after its event loop had stood still).*\n/gm;

/** A program that runs. */
export class Program {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly ended: Promise<Ended>;
  stdout = '';
  #stderr = '';
  readonly #wake: (() => void)[] = [];

  constructor(file: string, args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}) {
    this.child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined, NODE_COMPILE_CACHE: compileCache, ...env },
    });
    const { child } = this;
    running.add(this);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#tell();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#tell();
    });
    this.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        running.delete(this);
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
        this.#tell();
      });
    });
  }

  /** What it has said, but for what only a busy machine makes it say. */
  get stderr(): string {
    return this.#stderr.replaceAll(slowness, '');
  }

  /** Waits until `find` returns something, asking after each piece of output. */
  async until<T>(what: string, find: () => T | undefined | false): Promise<T> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const found = find();
      if (found !== undefined && found !== false) return found;
      const hasEnded = this.child.exitCode !== null || this.child.signalCode !== null;
      if (hasEnded || Date.now() >= deadline) throw new Error(`waited for ${what}; output so far:\n${this.stdout}\n${this.stderr}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now());
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Ends it if it still runs. */
  async kill(): Promise<void> {
    this.killAll();
    await this.ended;
  }

  /** Does the same to the processes that it has started. */
  killAll(): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const children = this.children;
    this.child.kill('SIGKILL');
    for (const pid of children) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  }

  /** The processes that it has started; none where there is no /proc. */
  get children(): readonly number[] {
    const { pid = 0 } = this.child;
    try {
      return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** A running `ferrata reverse`. */
export class Ferrata extends Program {
  /** The addresses of its `ready` lines. */
  get urls(): readonly string[] {
    return this.stdout.split('\n').flatMap((line) => (line.startsWith('ready ') ? [line.slice('ready '.length)] : []));
  }
  /** The first of them. */
  get url(): string {
    return this.urls[0] as string;
  }
  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** The access log so far. */
  get log(): readonly LogLine[] {
    return this.stdout.split('\n').flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line) as LogLine] : []));
  }

  /** The first line of the log that fits, now or later. */
  async logged(fits: (line: LogLine) => boolean): Promise<LogLine> {
    return await this.until('a line of the access log', () => this.log.find(fits));
  }
}

/** Starts `ferrata reverse` on a free port of 127.0.0.1 in front of `origins`, and ends it after the tests of this file, or of this suite. */
export async function startFerrata(origins: readonly (number | string)[], rest: readonly string[] = []): Promise<Ferrata> {
  const to = origins.flatMap((origin) => ['--to', typeof origin === 'number' ? `http://127.0.0.1:${origin}` : origin]);
  const listen = rest.includes('--listen') ? [] : ['--listen', 'http://127.0.0.1:0'];
  const ferrata = new Ferrata(main, ['reverse', ...listen, ...to, ...rest]);
  after(() => ferrata.kill());
  const count = [...listen, ...rest].filter((argument) => argument === '--listen').length;
  await ferrata.until('ready', () => ferrata.urls.length === count);
  return ferrata;
}

/** Runs the command to its end. */
export async function runFerrata(...args: string[]): Promise<Ended> {
  const program = new Program(main, args);
  after(() => program.kill());
  return await within('the end of the command', program.ended);
}

/** Starts what `npm start` starts. */
export function startDemo(args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}): Program {
  const program = new Program(demo, args, { NO_COLOR: undefined, FORCE_COLOR: undefined, ...env });
  after(() => program.kill());
  return program;
}

/** Fails when `promise` takes longer than any machine needs. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited for ${what}`)), DEADLINE_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A program of the fixtures as a process, with what it has told, and an end that no test can miss. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Line, Script } from '../fixtures/keeper-program.ts';
import { compileCache, endWithTests, PATIENCE_MS, removeWithTests } from '../fixtures/test-processes.ts';

/** How to start it. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>> | ((directory: string) => Readonly<Record<string, string>>);
  readonly execArgv?: readonly string[];
  /** A program in front of Node's: `systemd-socket-activate`, `prlimit`. */
  readonly wrapper?: (directory: string) => readonly string[];
  readonly detached?: boolean;
}

/** A keeper with scripted generations. */
export class ProgramRun implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'ferrata-keeper-'));
  readonly lines: Line[] = [];
  readonly #remove = removeWithTests(this.directory);
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  readonly #exit: Promise<number | string | null>;
  #stderr = '';
  #text = '';
  /** By event: lines before this one have been waited for. Lines of several processes come in any order. */
  readonly #next = new Map<string, number>();

  private constructor(
    script: Script | ((directory: string) => Script),
    { env = {}, execArgv = [], wrapper = () => [], detached = false }: RunOptions,
  ) {
    this.write(typeof script === 'function' ? script(this.directory) : script);
    const program = fileURLToPath(new URL('../fixtures/keeper-program.ts', import.meta.url));
    const [command, ...args] = [...wrapper(this.directory), process.execPath, ...execArgv, program, this.scriptPath] as unknown as [
      string,
      ...string[],
    ];
    this.#child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache, ...(typeof env === 'function' ? env(this.directory) : env) },
      detached,
    });
    endWithTests(this.#child);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#exit = new Promise((resolve) => this.#child.on('close', (code, signal) => resolve(code ?? signal)));
  }

  static start(script: Script | ((directory: string) => Script), options: RunOptions = {}): ProgramRun {
    return new ProgramRun(script, options);
  }

  /** Started, and its first generation serves. */
  static async ready(script: Script | ((directory: string) => Script), options: RunOptions = {}): Promise<ProgramRun> {
    const run = new ProgramRun(script, options);
    try {
      await run.line('ready');
      return run;
    } catch (error) {
      await run[Symbol.asyncDispose]();
      throw error;
    }
  }

  get scriptPath(): string {
    return join(this.directory, 'script.json');
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** For the processes that start from now on. */
  write(script: Script): void {
    writeFileSync(this.scriptPath, JSON.stringify(script));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The next line of an event, behind the last one that was waited for. */
  async line(event: string, isIt: (line: Line) => boolean = () => true): Promise<Line> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const index = this.lines.findIndex((line, at) => at >= (this.#next.get(event) ?? 0) && line.event === event && isIt(line));
      if (index >= 0) {
        this.#next.set(event, index + 1);
        return this.lines[index] as Line;
      }
      await this.#more(event, end);
    }
  }

  notice(pattern: RegExp): Promise<Line> {
    return this.line('notice', ({ text }) => pattern.test(String(text)));
  }

  /** All of an event so far. */
  all(event: string): Line[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Where its only listener is. */
  get port(): number {
    const { addresses } = this.lines.find(({ event }) => event === 'ready') as unknown as { addresses: { port: number }[] };
    return addresses[0]?.port as number;
  }

  /** The exit code, or the signal that ended it. */
  exit(): Promise<number | string | null> {
    return within(this.#exit, () => `the program has not ended: ${this.#report()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its generations lose their channel, and end by that.
    this.#child.kill('SIGKILL');
    try {
      await this.exit();
    } finally {
      this.#remove();
    }
  }

  #read(text: string): void {
    this.#text += text;
    const lines = this.#text.split('\n');
    this.#text = lines.pop() as string;
    for (const line of lines) this.lines.push(JSON.parse(line) as Line);
    for (const wake of this.#waiting) wake();
  }

  async #more(event: string, end: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`no ${event} came: ${this.#report()}`)), end - Date.now());
    this.#waiting.add(resolve);
    void this.#exit.then(() => reject(new Error(`the program has ended, and no ${event} came: ${this.#report()}`)));
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    }
  }

  #report(): string {
    return `${this.lines.map((line) => JSON.stringify(line)).join('\n')}\n${this.#stderr}`;
  }
}

/** The number of the generation that answers at a port or path. @throws if the connection is refused or reset */
export function ask(where: number | string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = typeof where === 'number' ? connect(where, '127.0.0.1') : connect(where);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', reject).on('end', () => resolve(text));
  return within(promise, () => 'nobody has answered').finally(() => socket.destroy());
}

/** Waits until a process has gone. */
export async function gone(pid: number): Promise<void> {
  await until(`the end of process ${pid}`, () => !isAlive(pid));
}

/** Waits for what nothing tells of: a file, a process of somebody else's. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function within<T>(promise: Promise<T>, why: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(why())), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

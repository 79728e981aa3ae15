/** The command `ferrata reverse` as a suite runs it: processes of its own in front of an origin. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { killOnExit } from './clean-up.ts';
import { MemoryReports } from './memory-reports.ts';

/** How long the command may take to start and to stop. */
const START_MS = 60_000;
const STOP_MS = 10_000;

/** A proxy in front of an origin. */
export interface RunningProxy {
  readonly port: number;
  /** Of the process that was started; those that serve are its children (`processTree`). */
  readonly pid: number;
  /** Null while it runs; else how it ended. */
  exit(): string | null;
  /** @returns how it failed to stop, or null */
  stop(): Promise<string | null>;
}

/** One that was started by us. */
export interface StartedProxy extends RunningProxy {
  /** @returns what it has in use, on the heap and beside it, after a collection; null if it was not started to tell, or is gone */
  liveBytes(): Promise<number | null>;
}

/**
 * Starts `ferrata reverse` in front of an origin; it ends with this process at the latest.
 *
 * @param origin the port of an HTTP/1 origin on this machine, or the URL of any
 * @param tellsMemory the process can be asked for `liveBytes`
 * @param more where it listens instead of `http://127.0.0.1:0`, and further arguments
 * @throws {Error} that says why it did not start
 */
export async function startFerrata(
  origin: number | string,
  tellsMemory = false,
  more: { readonly listen?: string; readonly args?: readonly string[] } = {},
): Promise<StartedProxy> {
  const command = fileURLToPath(new URL('../../packages/ferrata/src/main.ts', import.meta.url));
  const reports = tellsMemory ? await MemoryReports.open() : null;
  const args = [
    ...(reports?.nodeArguments ?? []),
    command,
    'reverse',
    '--listen',
    more.listen ?? 'http://127.0.0.1:0',
    '--to',
    typeof origin === 'string' ? origin : `http://127.0.0.1:${origin}`,
    ...(more.args ?? []),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...reports?.environment } });
  killOnExit(child);
  child.once('close', () => reports?.close());
  child.once('error', () => reports?.close());
  let output = '';
  let ended: string | null = null;
  const port = await new Promise<number>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`'ferrata reverse' ${why}:\n${output.trim() || '(no output)'}`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`did not say 'ready' within ${START_MS / 1000} s`);
    }, START_MS);
    const onOutput = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
      const ready = /^ready https?:\/\/127\.0\.0\.1:(\d+)\s*$/m.exec(output)?.[1];
      if (ready === undefined) return;
      clearTimeout(timer);
      resolve(Number(ready));
    };
    child.stdout?.on('data', onOutput);
    child.stderr?.on('data', onOutput);
    child.on('error', (error) => fail(`cannot be started, ${error.message}`));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      ended = `${endingOf(code, signal)}:\n${output.trim()}`;
      fail(ended);
    });
  });
  return {
    port,
    pid: child.pid ?? 0,
    exit: () => ended,
    liveBytes: async () => (await reports?.liveBytes()) ?? null,
    stop: () => stop(child, () => ended),
  };
}

async function stop(child: ChildProcess, ended: () => string | null): Promise<string | null> {
  const before = ended();
  if (before !== null) return before;
  const closed = new Promise<string | null>((resolve) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve(`did not stop within ${STOP_MS / 1000} s of SIGTERM`);
    }, STOP_MS);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve(code === 0 ? null : `${endingOf(code, signal)} on SIGTERM`);
    });
  });
  child.kill('SIGTERM');
  return await closed;
}

function endingOf(code: number | null, signal: string | null): string {
  return `ended with ${signal ?? `code ${String(code)}`}`;
}

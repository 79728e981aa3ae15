/** The proxy level: the same cases over raw sockets through a running proxy, to an origin that records. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SmugglingCase } from './cases.ts';
import { exchange } from './raw-client.ts';
import type { RecordingOrigin } from './recording-origin.ts';
import type { Observation } from './verdict.ts';

/** How long a proxy may stay silent where it must answer, and where waiting is right as well. */
const QUIET_MS = 3000;
const QUIET_WHERE_HANGING_IS_RIGHT_MS = 300;
/** How long the command may take to start and to stop. */
const START_MS = 15_000;
const STOP_MS = 10_000;

/** A proxy in front of the recording origin. */
export interface RunningProxy {
  readonly port: number;
  /** Null while it runs; else how it ended. */
  exit(): string | null;
  /** @returns how it failed to stop, or null */
  stop(): Promise<string | null>;
}

/** Starts `ferrata reverse` in front of an origin. @throws {Error} that says why it did not start */
export async function startFerrata(originPort: number): Promise<RunningProxy> {
  const command = fileURLToPath(new URL('../../packages/ferrata/src/main.ts', import.meta.url));
  const args = [command, 'reverse', '--listen', 'http://127.0.0.1:0', '--to', `http://127.0.0.1:${originPort}`];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
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
      const ready = /^ready http:\/\/127\.0\.0\.1:(\d+)\s*$/m.exec(output)?.[1];
      if (ready === undefined) return;
      clearTimeout(timer);
      resolve(Number(ready));
    };
    child.stdout.on('data', onOutput);
    child.stderr.on('data', onOutput);
    child.on('error', (error) => fail(`cannot be started, ${error.message}`));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      ended = `${endingOf(code, signal)}:\n${output.trim()}`;
      fail(ended);
    });
  });
  return { port, exit: () => ended, stop: () => stop(child, () => ended) };
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

let barriers = 0;

/** Sends a case through the proxy and records both ends. */
export async function observeProxy(one: SmugglingCase, proxyPort: number, origin: RecordingOrigin): Promise<Observation> {
  origin.take();
  const isReject = one.verdict === 'reject';
  const answer = await exchange({
    port: proxyPort,
    raw: one.raw,
    halfClose: one.halfClose,
    responses: isReject ? Number.POSITIVE_INFINITY : (one.sees[0]?.length ?? 0),
    untilClose: isReject || one.mustClose,
    quietMs: one.hangOk ? QUIET_WHERE_HANGING_IS_RIGHT_MS : QUIET_MS,
    closeMs: QUIET_MS,
  });
  // What the proxy forwarded before may still be on its way to the origin; a request of ours that has come back was behind it.
  const barrier = `/barrier-${++barriers}`;
  await exchange({
    port: proxyPort,
    raw: Buffer.from(`GET ${barrier} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 'latin1'),
    halfClose: false,
    responses: 1,
    untilClose: true,
    quietMs: QUIET_MS,
    closeMs: QUIET_MS,
  });
  const { requests, targets, malformed } = origin.take();
  if (!targets.includes(barrier)) malformed.push('(the proxy no longer serves: a plain request after this case did not arrive)');
  return {
    requests: requests.filter((request) => !isBarrier(request.target)),
    targets: targets.filter((target) => !isBarrier(target)),
    malformed,
    ...answer,
  };
}

function isBarrier(target: string): boolean {
  return target.startsWith('/barrier-');
}

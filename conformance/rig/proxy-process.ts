/** Starts and asks `proxy-program.ts`: our proxy in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { PeerOptions } from '@ferrata/upstream';
import { killOnExit } from './clean-up.ts';
import { askProcess, endProcess } from './peer-process.ts';

const START_MS = 30_000;
const END_MS = 10_000;
const SETTLE_STEP_MS = 50;

/** One way through the proxy: a listener and a peer. */
export interface ProxyRoute {
  readonly name: string;
  /** PEM of what it listens with, offering `h2` and `http/1.1`; null: without TLS, both versions. */
  readonly front: { readonly certificate: string; readonly key: string } | null;
  readonly peer: {
    readonly address: string;
    readonly protocol: 'http1' | 'http2' | 'auto';
    /** PEM of the authority that is trusted; null: without TLS. */
    readonly ca: string | null;
  };
}

/** What the process is told. */
export interface ProxyProcessOptions {
  readonly routes: readonly ProxyRoute[];
  /** What can be sent as a message. */
  readonly peerOptions?: PeerOptions;
  readonly maxRetries?: number;
  /** Streams over the life of a client's HTTP/2 connection. */
  readonly maxStreams?: number;
}

/** What the process can be asked. */
export type ProxyQuestion = 'figures' | 'collected figures' | 'close';

/** What a proxy holds, and what it has done. */
export interface ProxyFigures {
  readonly residentBytes: number;
  /** On the heap and beside it. */
  readonly liveBytes: number;
  readonly descriptors: number;
  /** What keeps the event loop alive, by the names that Node gives it. */
  readonly resources: Readonly<Record<string, number>>;
  /** Deadlines that are set. */
  readonly deadlines: number;
  readonly clientConnections: number;
  /** Since the start. */
  readonly acceptedConnections: number;
  readonly upstreamConnections: number;
  readonly idleUpstream: number;
  /** Requests that `newContext` was called for. */
  readonly begun: number;
  /** Calls of `logging`. */
  readonly logged: number;
  /** Calls of `logging` for a request that had one. */
  readonly loggedTwice: number;
  readonly refused: number;
  readonly hookFailures: number;
  /** How many log lines said what: outcome, status, reason. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** @returns what the books of a proxy say against it once all is over, or null: a request without a line or with two, one that was refused, a hook that failed */
export function booksProblem({
  begun,
  logged,
  loggedTwice,
  refused,
  hookFailures,
}: Pick<ProxyFigures, 'begun' | 'logged' | 'loggedTwice' | 'refused' | 'hookFailures'>): string | null {
  if (logged !== begun) return `${begun} requests were begun, and ${logged} lines logged`;
  if (loggedTwice > 0) return `${loggedTwice} lines were logged for requests that had one`;
  if (refused > 0) return `${refused} requests were refused`;
  return hookFailures === 0 ? null : `${hookFailures} hooks failed`;
}

/** A proxy that runs. */
export class ProxyProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ports: ReadonlyMap<string, number>;
  #errors = '';

  private constructor(child: ChildProcess, ports: ReadonlyMap<string, number>) {
    this.#child = child;
    this.#ports = ports;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-4_000);
    });
  }

  /** @throws {Error} when it does not start */
  static async start(options: ProxyProcessOptions): Promise<ProxyProcess> {
    const child = fork(fileURLToPath(new URL('proxy-program.ts', import.meta.url)), {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    });
    killOnExit(child);
    let said = '';
    const hear = (text: string): void => void (said += text);
    child.stderr?.setEncoding('utf8').on('data', hear);
    const patience = new AbortController();
    child.send(options, () => undefined);
    const answer = await Promise.race([
      once(child, 'message').then(([message]) => message as readonly number[]),
      once(child, 'exit').then(() => null),
      delay(START_MS, null, { signal: patience.signal }).catch(() => null),
    ]);
    patience.abort();
    child.stderr?.off('data', hear);
    if (answer === null) {
      await endProcess(child);
      throw new Error(`the proxy did not start: ${said.trim()}`);
    }
    return new ProxyProcess(child, new Map(options.routes.map(({ name }, index) => [name, answer[index] ?? 0])));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The port of a way through. @throws {RangeError} when there is none of this name */
  port(route: string): number {
    const port = this.#ports.get(route);
    if (port === undefined) throw new RangeError(`there is no route ${route}`);
    return port;
  }

  /** @throws {Error} with its last words, when it has ended or says nothing for 5 s */
  async figures(): Promise<ProxyFigures> {
    return await this.#ask('figures');
  }

  /** The same after a collection of what is garbage. */
  async collected(): Promise<ProxyFigures> {
    return await this.#ask('collected figures');
  }

  /** Asks until the figures are as they are to be, 10 s at most. @returns the last ones, whatever they are */
  async settled(isSettled: (figures: ProxyFigures) => boolean, patienceMs = 10_000): Promise<ProxyFigures> {
    for (const latest = performance.now() + patienceMs; ; await delay(SETTLE_STEP_MS)) {
      const figures = await this.collected();
      if (isSettled(figures) || performance.now() > latest) return figures;
    }
  }

  /** Closes all it has; then it must end by itself. @returns how it did not, or null */
  async close(): Promise<string | null> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return this.#ended();
    const ended = once(child, 'exit').then(() => true);
    child.send('close' satisfies ProxyQuestion, () => undefined);
    const patience = new AbortController();
    const hasEnded = await Promise.race([ended, delay(END_MS, false, { signal: patience.signal }).catch(() => false)]);
    patience.abort();
    if (!hasEnded) {
      await endProcess(child);
      return `something kept the proxy alive for ${END_MS / 1000} s after it was closed`;
    }
    return child.exitCode === 0 && this.#errors === '' ? null : this.#ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endProcess(this.#child);
  }

  async #ask(question: ProxyQuestion): Promise<ProxyFigures> {
    const figures = await askProcess(this.#child, question);
    if (figures === null) throw new Error(`the proxy says nothing: ${this.#ended()}`);
    return figures as ProxyFigures;
  }

  #ended(): string {
    const { exitCode, signalCode } = this.#child;
    return `the proxy ended with ${signalCode ?? `code ${String(exitCode)}`}: ${this.#errors.trim()}`;
  }
}

/** Who hears of sets in tests, and the fakes' common ground: an HTTP server that a test plays. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { after } from 'node:test';
import type { WireError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import type { PlainBackend } from '../../../src/backend.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from '../../../src/discovery/discovery.ts';

/** How long anything in these tests may take. */
export const DEADLINE_MS = 10_000;

/** Options of discoveries that make them quick. */
export const QUICK = { minRetryMs: 1, maxRetryMs: 20, minIntervalMs: 0, settleMs: 0 } as const;

type Told = { readonly set: readonly PlainBackend[] } | { readonly error: WireError };

/** A sink that keeps what it is told until it is asked for. */
export class Recorder implements DiscoverySink {
  readonly watch: DiscoveryWatch;
  readonly #told: Told[] = [];
  #wake: (() => void) | null = null;
  #isClosed = false;

  /** Watches until the test is over. */
  constructor(discovery: Discovery, environment: HttpEnvironment = new HttpEnvironment()) {
    this.watch = discovery.watch(this, environment);
    assert.equal(this.#told.length, 0, 'told something from inside watch');
    after(() => this.close());
  }

  close(): void {
    this.#isClosed = true;
    this.watch.close();
  }

  /** What was told and not asked for. */
  get pending(): number {
    return this.#told.length;
  }

  onBackends(set: readonly PlainBackend[]): void {
    this.#push({ set });
  }

  onFailed(error: WireError): void {
    this.#push({ error });
  }

  /** The next thing told, which must be a set. */
  async set(): Promise<readonly PlainBackend[]> {
    const told = await this.#next();
    if ('error' in told) throw new Error(`a set was awaited, and a failure came: ${told.error.message}`);
    return told.set;
  }

  /** The next thing told, which must be a set, as addresses. */
  async addresses(): Promise<readonly string[]> {
    return (await this.set()).map(({ address }) => address);
  }

  /** The next set, as addresses, whatever failures come before it. */
  async addressesAfterFailures(): Promise<readonly string[]> {
    for (;;) {
      const told = await this.#next();
      if ('set' in told) return told.set.map(({ address }) => address);
    }
  }

  /** The next thing told, which must be a failure. */
  async failure(): Promise<WireError> {
    const told = await this.#next();
    if ('set' in told) throw new Error(`a failure was awaited, and a set came: ${JSON.stringify(told.set)}`);
    return told.error;
  }

  async #next(): Promise<Told> {
    const until = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const told = this.#told.shift();
      if (told !== undefined) return told;
      await new Promise<void>((resolve, reject) => {
        this.#wake = resolve;
        until.addEventListener('abort', () => reject(new Error('nothing was told in time')), { once: true });
      });
    }
  }

  #push(told: Told): void {
    assert.equal(this.#isClosed, false, 'told something after close');
    this.#told.push(told);
    this.#wake?.();
  }
}

/** A server that is there until the test is over. */
export class FakeServer {
  readonly server: Server;
  /** The requests that came, as `METHOD path`. */
  readonly requests: string[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  readonly #sockets = new Set<Socket>();
  readonly #waiting: (() => void)[] = [];

  constructor(listener: RequestListener) {
    this.server = createServer((request, response) => {
      this.requests.push(`${request.method} ${request.url}`);
      this.headers.push(request.headers);
      for (const wake of this.#waiting.splice(0)) wake();
      listener(request, response);
    });
    this.server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens at any free port, or the one it had, or a path. @returns the address */
  async listen(at: number | string = 0): Promise<string> {
    if (typeof at === 'string') this.server.listen(at);
    else this.server.listen(at, '127.0.0.1');
    await once(this.server, 'listening');
    after(() => this.stop());
    return typeof at === 'string' ? at : `127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Waits until as many requests have come. */
  async requested(count: number): Promise<void> {
    const until = AbortSignal.timeout(DEADLINE_MS);
    while (this.requests.length < count) {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve);
        until.addEventListener('abort', () => reject(new Error(`${this.requests.length} of ${count} requests came in time`)), {
          once: true,
        });
      });
    }
  }

  /** Breaks all connections, without a word. */
  breakAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Waits until no connection is open. */
  async idle(): Promise<void> {
    const until = AbortSignal.timeout(DEADLINE_MS);
    for (const socket of this.#sockets) await once(socket, 'close', { signal: until });
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.breakAll();
    await closed;
  }
}

/** Answers with JSON, as a whole. */
export function sendJson(response: ServerResponse, value: unknown, { status = 200, headers = {} } = {}): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** The body of a request, as JSON. */
export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
}

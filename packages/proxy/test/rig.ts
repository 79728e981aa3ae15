/** A proxy between scripted ends, all in memory and on a clock that the test moves. */
import assert from 'node:assert/strict';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer, type HttpServerOptions, type Refusal } from '@ferrata/http';
import { HttpProxy, type HttpProxyOptions, type Outcome, outcomeOf, type ProxyHooks, type ProxySession } from '@ferrata/proxy';
import { type L4Sink, type L4Stream, memoryPair } from '@ferrata/stream';
import { type Peer, peer, type UpstreamConnectorOptions } from '@ferrata/upstream';
import { H2Wire, type H2WireOptions } from './h2-wire.ts';

/** One end of a connection, in the hands of the test. */
export class Wire implements L4Sink {
  readonly stream: L4Stream;
  text = '';
  hasEnded = false;
  isClosed = false;
  /** Closed by a reset, not in order. */
  wasReset = false;
  /** Called after each piece that came. */
  onText: (wire: Wire) => void = () => {};

  constructor(stream: L4Stream) {
    this.stream = stream;
    stream.attach(this);
  }

  /** The peer's end or reset has come: what came until then is all that there will be. */
  get isOver(): boolean {
    return this.hasEnded || this.isClosed;
  }

  send(text: string): this {
    if (text !== '') this.stream.write(latin1Encode(text));
    return this;
  }
  end(): this {
    this.stream.end();
    return this;
  }
  reset(): this {
    this.stream.abort();
    return this;
  }

  onData(chunk: Uint8Array): void {
    this.text += latin1Decode(chunk, 0, chunk.length);
    this.onText(this);
  }
  onDrain(): void {}
  onEnd(): void {
    this.hasEnded = true;
  }
  onClose(error: WireError | null): void {
    this.isClosed = true;
    this.wasReset = error !== null;
  }
}

/** One call of `logging`. */
export interface Logged {
  readonly session: ProxySession;
  readonly error: WireError | null;
  readonly outcome: Outcome;
  readonly status: number;
}

export interface RigOptions {
  /** What an origin does with each connection, by the number of the connection. Default: answers each request with `ok`. */
  readonly origin?: (wire: Wire, index: number) => void;
  /** What an origin does that speaks HTTP/2; requests go to it if `peer` says so. */
  readonly h2Origin?: (wire: H2Wire, index: number) => void;
  /** How such an origin begins. */
  readonly h2OriginWire?: H2WireOptions;
  /** Where requests go. Default: an HTTP/1 origin, or an HTTP/2 one if there is `h2Origin`. */
  readonly peer?: Peer;
  readonly hooks?: Partial<ProxyHooks<string[]>>;
  readonly proxy?: Omit<HttpProxyOptions, 'environment' | 'upstream'>;
  readonly upstream?: Omit<UpstreamConnectorOptions, 'environment'>;
  readonly server?: HttpServerOptions;
  readonly highWaterBytes?: number;
  /** A peer that refuses connections. */
  readonly unreachable?: Peer;
}

export const origin: Peer = peer('10.0.0.1:80');
export const h2Origin: Peer = peer('10.0.0.1:80', { protocol: 'http2' });
export const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** An origin that gives `answer` to each request without a body. */
export function answering(answer: string): (wire: Wire) => void {
  return (wire) => {
    let answered = 0;
    wire.onText = () => {
      const heads = wire.text.split('\r\n\r\n').length - 1;
      for (; answered < heads; answered++) wire.send(answer);
    };
  };
}

/** Calls `action` once, when what came holds `what`. */
export function when(wire: Wire, what: string, action: (wire: Wire) => void): void {
  const before = wire.onText;
  let isDone = false;
  wire.onText = (it) => {
    before(it);
    if (isDone || !it.text.includes(what)) return;
    isDone = true;
    action(it);
  };
}

/** Lets everything happen that can happen now. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

export class Rig {
  readonly clock = new ManualClock();
  readonly environment = new HttpEnvironment({ clock: this.clock });
  readonly logged: Logged[] = [];
  readonly refused: Refusal[] = [];
  readonly hookFailures: WireError[] = [];
  /** Origin ends of all upstream connections, in the order of connecting. */
  readonly origins: Wire[] = [];
  /** The same of those that speak HTTP/2. */
  readonly h2Origins: H2Wire[] = [];
  readonly proxy: HttpProxy<string[]>;
  readonly server: HttpServer;
  readonly contexts: string[][] = [];
  begun = 0;

  constructor(options: RigOptions = {}) {
    const serve = options.origin ?? answering(ok);
    const pair = options.highWaterBytes === undefined ? {} : { highWaterBytes: options.highWaterBytes };
    const hooks = options.hooks ?? {};
    this.proxy = new HttpProxy<string[]>(
      {
        upstreamPeer: () => options.peer ?? (options.h2Origin === undefined ? origin : h2Origin),
        ...hooks,
        newContext: (session) => {
          const context = hooks.newContext?.(session) ?? [];
          if (!Array.isArray(context)) return context;
          this.begun++;
          this.contexts.push(context);
          return context;
        },
        logging: (session, error, context) => {
          this.logged.push({ session, error, outcome: outcomeOf(error), status: session.status });
          return hooks.logging?.(session, error, context);
        },
      },
      {
        onRefused: (refusal) => void this.refused.push(refusal),
        onHookFailed: (error) => void this.hookFailures.push(error),
        ...options.proxy,
        environment: this.environment,
        upstream: {
          connect: async (to) => {
            if (to === options.unreachable) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
            const { a, b } = memoryPair({ ...pair, clock: this.clock, addressA: ip(5), addressB: ip(1) });
            if (to.protocol === 'http2') {
              const h2Wire = new H2Wire('origin', b, options.h2OriginWire);
              this.h2Origins.push(h2Wire);
              options.h2Origin?.(h2Wire, this.h2Origins.length - 1);
              return a;
            }
            const wire = new Wire(b);
            this.origins.push(wire);
            serve(wire, this.origins.length - 1);
            return a;
          },
          ...options.upstream,
        },
      },
    );
    this.server = new HttpServer(this.proxy, { ...options.server, environment: this.environment });
    this.#pair = pair;
  }
  readonly #pair: { readonly highWaterBytes?: number };

  /** A client's connection. */
  connect(): Wire {
    const { a, b } = memoryPair({ ...this.#pair, clock: this.clock, addressA: ip(9), addressB: ip(2) });
    this.server.accept(b);
    return new Wire(a);
  }

  /** A client's connection that speaks HTTP/2. */
  connectH2(options: H2WireOptions = {}): H2Wire {
    const { a, b } = memoryPair({ ...this.#pair, clock: this.clock, addressA: ip(9), addressB: ip(2) });
    this.server.accept(b);
    return new H2Wire('client', a, options);
  }

  /** Sends a request on a new connection and lets everything happen. */
  async ask(text: string): Promise<Wire> {
    const client = this.connect().send(text);
    await settle();
    return client;
  }

  /** Lets time pass, in steps, so that whatever is armed meanwhile comes too. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      this.clock.advance(Math.min(left, 1_000));
      await settle();
    }
  }

  /** The last call of `logging`. */
  get last(): Logged {
    const last = this.logged.at(-1);
    assert.ok(last, 'nothing was logged');
    return last;
  }

  /** What must hold when all clients are gone: each request logged once, nothing left open but idle connections, no retry held. */
  async finish(...clients: { reset(): unknown }[]): Promise<void> {
    for (const client of clients) client.reset();
    await settle();
    assert.equal(this.logged.length, this.begun, 'each request is logged once');
    assert.equal(new Set(this.logged.map((entry) => entry.session)).size, this.logged.length);
    assert.equal(this.server.connectionCount, 0, 'no client connection is left');
    assert.equal(this.proxy.connector.connectionCount, this.proxy.connector.idleCount, 'no busy upstream connection is left');
    this.proxy.close();
    await settle();
    assert.equal(this.proxy.connector.connectionCount, 0);
    for (const wire of [...this.origins, ...this.h2Origins]) assert.ok(wire.isOver, 'the origin sees the end of each connection');
    this.clock.advance(400_000);
    assert.equal(this.environment.deadlines.size, 0, 'no deadline is left armed');
  }
}

export const get = 'GET / HTTP/1.1\r\nHost: example.org\r\n\r\n';

function ip(last: number): { kind: 'ip'; host: string; port: number } {
  return { kind: 'ip', host: `10.0.0.${last}`, port: 80 };
}

/** A response as it came, taken apart by a plain reader that knows when it is incomplete. */
export interface ReadResponse {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** Trailer lines. */
  readonly trailers: string;
  readonly isComplete: boolean;
  /** What came behind it. */
  readonly rest: string;
}

/** @param wasReset whether the connection was reset, which makes a close-delimited body incomplete */
export function readResponse(text: string, how: { method?: string; isOver?: boolean; wasReset?: boolean } = {}): ReadResponse {
  const { method = 'GET', isOver = false, wasReset = false } = how;
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return { status: 0, head: text, body: '', trailers: '', isComplete: false, rest: '' };
  const head = text.slice(0, end + 2);
  const rest = text.slice(end + 4);
  const status = Number(head.slice(9, 12));
  const found = (isComplete: boolean, body: string, after: string, trailers = ''): ReadResponse => ({
    status,
    head,
    body,
    trailers,
    isComplete,
    rest: after,
  });
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return found(true, '', rest);
  if (/^transfer-encoding: chunked/im.test(head)) return readChunks(rest, found);
  const length = /^content-length: (\d+)/im.exec(head);
  if (length === null) return found(isOver && !wasReset, rest, '');
  const wanted = Number(length[1]);
  return found(rest.length >= wanted, rest.slice(0, wanted), rest.slice(wanted));
}

function readChunks(
  text: string,
  found: (isComplete: boolean, body: string, after: string, trailers?: string) => ReadResponse,
): ReadResponse {
  let body = '';
  for (let at = 0; ; ) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return found(false, body, '');
    const size = Number.parseInt(text.slice(at, line), 16);
    if (size === 0) {
      const end = text.indexOf('\r\n\r\n', line);
      return end < 0 ? found(false, body, '') : found(true, body, text.slice(end + 4), text.slice(line + 2, end + 2));
    }
    body += text.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
    if (at > text.length) return found(false, body, '');
  }
}

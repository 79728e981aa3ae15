/** What the tests of sessions share: a memory pair on a manual clock, and handlers that write down what they hear. */
import assert from 'node:assert/strict';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { HeaderMap, HttpVersion, type RequestHead, type ResponseHead, responseHead } from '@ferrata/headers';
import {
  type ClientExchange,
  type ClientExchangeHandler,
  type Http1ClientOptions,
  Http1ClientSession,
  type HttpApplication,
  HttpEnvironment,
  HttpServer,
  type HttpServerOptions,
  type Refusal,
  resolveHttp1ClientOptions,
  respond,
  type ServerExchange,
  type ServerExchangeHandler,
  type Tunnel,
} from '@ferrata/http';
import { type L4Stream, type MemoryPairOptions, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';

export const bytes = (text: string): Uint8Array => latin1Encode(text);
export const text = (chunk: Uint8Array): string => latin1Decode(chunk, 0, chunk.length);
export const get = (target = '/'): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Lets everything that is deferred happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

export function response(status: number, fields: Record<string, string> = {}): ResponseHead {
  return responseHead(status, { headers: HeaderMap.from(fields) });
}

export function request(method = 'GET', target = '/', fields: Record<string, string> = { Host: 'a' }): RequestHead {
  return { method, target, version: HttpVersion.http11, headers: HeaderMap.from(fields) };
}

/** Follows one server exchange; `react` may answer. */
export class ServerFollower implements ServerExchangeHandler {
  readonly exchange: ServerExchange;
  readonly heard: string[] = [];
  readonly closes: (WireError | null)[] = [];
  readonly #react: Partial<ServerExchangeHandler>;
  constructor(exchange: ServerExchange, react: Partial<ServerExchangeHandler> = {}) {
    this.exchange = exchange;
    this.#react = react;
  }
  onRequestData(chunk: Uint8Array): void {
    this.heard.push(`data ${text(chunk)}`);
    this.#react.onRequestData?.(chunk);
  }
  onRequestEnd(trailers: HeaderMap | null): void {
    this.heard.push('end');
    this.#react.onRequestEnd?.(trailers);
  }
  onResponseDrain(): void {
    this.heard.push('drain');
    this.#react.onResponseDrain?.();
  }
  onExchangeClose(error: WireError | null): void {
    this.closes.push(error);
    this.heard.push(error === null ? 'close' : `close ${error.reason}`);
    this.#react.onExchangeClose?.(error);
  }
}

/** A server, and a client that speaks bytes. */
export class ServerRig {
  readonly clock = new ManualClock();
  readonly environment = new HttpEnvironment({ clock: this.clock, random: { next: () => 0.5, uint32: () => 0, below: () => 0 } });
  readonly followers: ServerFollower[] = [];
  readonly refusals: Refusal[] = [];
  readonly server: HttpServer;
  /** Called with each new exchange; default: nothing, the test answers. */
  onRequest: (exchange: ServerExchange, follower: ServerFollower) => void = () => {};
  react: Partial<ServerExchangeHandler> = {};

  constructor(options: HttpServerOptions = {}, application?: HttpApplication) {
    this.server = new HttpServer(
      application ?? {
        onRequest: (exchange) => {
          const follower = new ServerFollower(exchange, this.react);
          this.followers.push(follower);
          this.onRequest(exchange, follower);
          return follower;
        },
        onRefused: (refusal) => this.refusals.push(refusal),
      },
      { ...options, environment: this.environment },
    );
  }

  get armed(): number {
    return this.environment.deadlines.size;
  }
  get last(): ServerFollower {
    return this.followers.at(-1) as ServerFollower;
  }
  /** Nothing is left: no connection, and no deadline. */
  assertEmpty(): void {
    assert.equal(this.server.connectionCount, 0);
    assert.equal(this.armed, 0);
  }

  connect(options: MemoryPairOptions = {}): RawClient {
    const { a, b } = memoryPair({ clock: this.clock, ...options });
    this.server.accept(b);
    return new RawClient(a, b);
  }

  async advance(ms: number): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }
}

/** An application that answers every request at once with its target. */
export const echoTarget = (exchange: ServerExchange): void => respond(exchange, 200, { body: exchange.request.target });

/** The far end of a server's connection. */
export class RawClient {
  readonly stream: L4Stream;
  readonly serverEnd: L4Stream;
  readonly sink = new RecordingSink();
  constructor(stream: L4Stream, serverEnd: L4Stream) {
    this.stream = stream;
    this.serverEnd = serverEnd;
    stream.attach(this.sink);
  }
  async send(input: string): Promise<string> {
    this.stream.write(bytes(input));
    await settle();
    return this.sink.text();
  }
  async end(): Promise<string> {
    this.stream.end();
    await settle();
    return this.sink.text();
  }
  get received(): string {
    return this.sink.text();
  }
}

/** Follows one client exchange. */
export class ClientFollower implements ClientExchangeHandler {
  readonly heard: string[] = [];
  readonly closes: (WireError | null)[] = [];
  tunnel: Tunnel | null = null;
  react: Partial<ClientExchangeHandler> = {};
  onInterim(head: ResponseHead): void {
    this.heard.push(`interim ${head.status}`);
    this.react.onInterim?.(head);
  }
  onResponse(head: ResponseHead, bodyLength: number): void {
    this.heard.push(`${head.status} ${bodyLength}`);
    this.react.onResponse?.(head, bodyLength);
  }
  onTunnel(head: ResponseHead, tunnel: Tunnel): void {
    this.heard.push(`tunnel ${head.status}`);
    this.tunnel = tunnel;
    this.react.onTunnel?.(head, tunnel);
  }
  onResponseData(chunk: Uint8Array): void {
    this.heard.push(`data ${text(chunk)}`);
    this.react.onResponseData?.(chunk);
  }
  onResponseEnd(trailers: HeaderMap | null): void {
    this.heard.push('end');
    this.react.onResponseEnd?.(trailers);
  }
  onRequestDrain(): void {
    this.heard.push('drain');
    this.react.onRequestDrain?.();
  }
  onClientClose(error: WireError | null): void {
    this.closes.push(error);
    this.heard.push(error === null ? 'close' : `close ${error.reason}`);
    this.react.onClientClose?.(error);
  }
}

/** A client session, and a server that speaks bytes. */
export class ClientRig {
  readonly clock = new ManualClock();
  readonly environment = new HttpEnvironment({ clock: this.clock });
  readonly sink = new RecordingSink();
  readonly told: string[] = [];
  readonly session: Http1ClientSession;
  readonly server: L4Stream;
  readonly stream: L4Stream;
  constructor(options: Http1ClientOptions = {}, pair: MemoryPairOptions = {}) {
    const { a, b } = memoryPair({ clock: this.clock, ...pair });
    this.stream = a;
    this.server = b;
    b.attach(this.sink);
    this.session = new Http1ClientSession(a, this.environment, resolveHttp1ClientOptions(options), {
      onSessionIdle: () => this.told.push('idle'),
      onSessionClose: (_session, error, isDirty) => this.told.push(`close ${error?.reason ?? 'null'}${isDirty ? ' dirty' : ''}`),
    });
    this.session.start();
  }
  get armed(): number {
    return this.environment.deadlines.size;
  }
  request(follower: ClientFollower, options: { method?: string; bodyLength?: number; upgrade?: string | null } = {}): ClientExchange {
    const { method = 'GET', bodyLength = 0, upgrade = null } = options;
    return this.session.request(request(method), { bodyLength, upgrade }, follower);
  }
  async answer(input: string): Promise<void> {
    await settle();
    this.server.write(bytes(input));
    await settle();
  }
  async advance(ms: number): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }
}

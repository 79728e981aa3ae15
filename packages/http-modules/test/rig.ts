/** What the tests of this package share: an exchange that writes down what it is told, servers of both versions in memory, and modules in a few words. */
import assert from 'node:assert/strict';
import { concatBytes, latin1Decode, latin1Encode } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import { HeaderMap, type RequestHead, type ResponseHead, requestHead, responseHead } from '@ferrata/headers';
import {
  type ClientExchange,
  type ClientExchangeHandler,
  type ExchangeSettings,
  Http1ClientSession,
  Http2ClientSession,
  type HttpApplication,
  HttpEnvironment,
  HttpServer,
  resolveHttp1ClientOptions,
  resolveHttp2ClientOptions,
  respond,
  type ServerExchange,
  type ServerExchangeHandler,
  type Tunnel,
} from '@ferrata/http';
import {
  type HttpModule,
  type HttpModuleKind,
  ModuleChain,
  type ModuleClientHandler,
  type ModuleOptions,
  type ModuleOverrides,
  type ModuleServerExchange,
  withModules,
} from '@ferrata/http-modules';
import { type MemoryPairOptions, memoryPair, type StreamInfo } from '@ferrata/stream';
import { RecordingSink, World } from '@ferrata/testkit';

export const bytes = (text: string): Uint8Array => latin1Encode(text);
export const text = (chunk: Uint8Array): string => latin1Decode(chunk, 0, chunk.length);

export async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
}

export function clocked(): { readonly environment: HttpEnvironment; readonly clock: World['clock'] } {
  const { clock } = new World(1);
  return { environment: new HttpEnvironment({ clock }), clock };
}

export function kind(name: string, module: HttpModule | (() => HttpModule | null), order = 0): HttpModuleKind {
  return { name, order, create: () => (typeof module === 'function' ? module() : module) };
}

/** An exchange that does nothing but write down what is done with it. */
export class FakeExchange implements ServerExchange {
  readonly request: RequestHead;
  readonly requestBodyLength: number;
  readonly upgrade = null;
  readonly protocol = null;
  readonly expectsContinue = false;
  readonly info = { kind: 'fake' } as StreamInfo;
  readonly startedAt = 0;
  readonly requestBytes = 0;
  responseBytes = 0;
  readonly connection = { requestCount: 1, hasClientEnded: false, context: undefined };
  readonly isConnectionReusable = false;
  readonly writePendingMs = 0;
  status = 0;
  isClosed = false;
  isPaused = false;
  /** What `sendData` returns. */
  hasRoom = true;
  head: ResponseHead | null = null;
  bodyLength: number | null = null;
  trailers: HeaderMap | null | undefined = undefined;
  error: WireError | null = null;
  readonly sent: Uint8Array[] = [];
  readonly log: string[] = [];
  handler: ServerExchangeHandler | null = null;

  constructor(request: RequestHead = requestHead('GET', '/'), requestBodyLength = 0) {
    this.request = request;
    this.requestBodyLength = requestBodyLength;
  }
  get hasResponded(): boolean {
    return this.status !== 0;
  }
  get body(): string {
    return text(concatBytes(this.sent));
  }
  pauseRequest(): void {
    this.isPaused = true;
  }
  resumeRequest(): void {
    this.isPaused = false;
  }
  sendInterim(head: ResponseHead): void {
    this.log.push(`interim ${head.status}`);
  }
  sendHead(head: ResponseHead, bodyLength: number): void {
    this.head = head;
    this.status = head.status;
    this.bodyLength = bodyLength;
  }
  sendData(chunk: Uint8Array): boolean {
    this.sent.push(chunk);
    this.responseBytes += chunk.length;
    return this.hasRoom;
  }
  sendEnd(trailers: HeaderMap | null = null): void {
    this.trailers = trailers;
    this.close(null);
  }
  openTunnel(head: ResponseHead): Tunnel {
    this.log.push(`tunnel ${head.status}`);
    return { stream: memoryPair().a, remaining: bytes('') };
  }
  closeTunnel(): void {
    this.log.push('closeTunnel');
  }
  adjust(settings: ExchangeSettings): void {
    this.log.push(`adjust ${JSON.stringify(settings)}`);
  }
  abort(error: WireError): void {
    if (this.isClosed) return;
    if (this.status === 0) this.status = error.status;
    this.close(error);
  }
  close(error: WireError | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.error = error;
    this.handler?.onExchangeClose(error);
  }
}

/** A handler that writes down what it hears. */
export class Follower implements ServerExchangeHandler {
  readonly heard: string[] = [];
  onRequestData(chunk: Uint8Array): void {
    this.heard.push(`data ${text(chunk)}`);
  }
  onRequestEnd(): void {
    this.heard.push('end');
  }
  onResponseDrain(): void {
    this.heard.push('drain');
  }
  onExchangeClose(error: WireError | null): void {
    this.heard.push(error === null ? 'close' : `close ${error.reason}`);
  }
}

/** Modules in front of an exchange, as a proxy would have them. */
export function serve(exchange: FakeExchange, kinds: readonly HttpModuleKind[], overrides: ModuleOverrides = {}): ModuleServerExchange {
  const modular = new ModuleChain(kinds, moduleOptions()).serve(exchange, overrides);
  assert.ok(modular !== null);
  exchange.handler = modular;
  return modular;
}

/** An exchange in the client's role that writes down what is done with it, and does nothing else. */
export class FakeClientExchange implements ClientExchange {
  readonly isReused = true;
  readonly info = { kind: 'fake' } as StreamInfo;
  readonly isUnsent = true;
  readonly requestBytes = 1;
  readonly responseBytes = 2;
  readonly writePendingMs = 3;
  isClosed = false;
  isPaused = false;
  readonly log: string[] = [];

  sendData(): boolean {
    this.log.push('data');
    return true;
  }
  sendEnd(): void {
    this.log.push('end');
  }
  pauseResponse(): void {
    this.isPaused = true;
  }
  resumeResponse(): void {
    this.isPaused = false;
  }
  cancel(error: WireError): void {
    this.log.push(`cancel ${error.reason}`);
  }
}

/** Modules behind an upstream exchange, and what their handler hears. */
export interface Followed {
  readonly modular: ModuleClientHandler;
  readonly inner: FakeClientExchange;
  readonly heard: string[];
}

/** @param part in place of what writes down what the handler hears */
export function follow(
  kinds: readonly HttpModuleKind[],
  overrides: ModuleOverrides = {},
  part: Partial<ClientExchangeHandler> = {},
): Followed {
  const heard: string[] = [];
  const handler: ClientExchangeHandler = {
    onInterim: (head) => void heard.push(`interim ${head.status}`),
    onTunnel: (head) => void heard.push(`tunnel ${head.status}`),
    onRequestDrain: () => void heard.push('drain'),
    onResponse: (head, bodyLength) => void heard.push(`${head.status} ${bodyLength}`),
    onResponseData: (chunk) => void heard.push(text(chunk)),
    onResponseEnd: () => void heard.push('end'),
    onClientClose: (error) => void heard.push(error === null ? 'close' : `close ${error.reason}`),
    ...part,
  };
  const inner = new FakeClientExchange();
  const upstream = { request: requestHead('GET', '/'), client: inner.info, hasRequestBody: false };
  const modular = new ModuleChain(kinds, moduleOptions()).follow(upstream, handler, overrides);
  assert.ok(modular !== null);
  return { modular, inner, heard };
}

export const ignoring: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** An application that answers at once. */
export function answering(make: (exchange: ServerExchange) => void): HttpApplication {
  return {
    onRequest: (exchange) => {
      make(exchange);
      return ignoring;
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: string;
  readonly trailers: HeaderMap | null;
  readonly error: WireError | null;
}

export interface Asked {
  readonly method?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: readonly string[];
}

/** Asks an application over one of both versions, in memory. */
export function ask(application: HttpApplication, version: 'http1' | 'http2', asked: Asked = {}): Promise<Answer> {
  const { method = 'GET', fields = {}, body } = asked;
  const { environment } = clocked();
  const server = new HttpServer(application, { environment });
  const { a, b } = memoryPair();
  server.accept(b);
  const owner = { onSessionIdle() {}, onSessionClose() {} };
  const session =
    version === 'http1'
      ? new Http1ClientSession(a, environment, resolveHttp1ClientOptions(), owner)
      : new Http2ClientSession(a, environment, resolveHttp2ClientOptions(), owner);
  session.start();
  return new Promise((resolve) => {
    let head = responseHead(599);
    let trailers: HeaderMap | null = null;
    const pieces: Uint8Array[] = [];
    const request = requestHead(method, '/', { headers: HeaderMap.from({ Host: 'a', ...fields }) });
    const exchange = session.request(
      request,
      { bodyLength: body === undefined ? 0 : -1, upgrade: null },
      {
        onInterim() {},
        onResponse: (response) => void (head = response),
        onTunnel() {},
        onResponseData: (chunk) => void pieces.push(chunk),
        onResponseEnd: (fields) => void (trailers = fields),
        onRequestDrain() {},
        onClientClose(error) {
          resolve({ status: head.status, headers: head.headers, body: text(concatBytes(pieces)), trailers, error });
        },
      },
    );
    for (const piece of body ?? []) exchange.sendData(bytes(piece));
    if (body !== undefined) exchange.sendEnd();
  });
}

/** What a fixed answer becomes behind modules, over HTTP/1. */
export function through(
  kinds: readonly HttpModuleKind[],
  asked: Asked,
  answer: { readonly status?: number; readonly fields?: Readonly<Record<string, string>>; readonly body?: string },
): Promise<Answer> {
  const { status = 200, fields = {}, body = '' } = answer;
  const application = answering((exchange) => respond(exchange, status, { headers: fields, body: bytes(body) }));
  return ask(withModules(application, kinds, { environment: clocked().environment }), 'http1', asked);
}

/** A raw HTTP/1 client of an application. */
export async function speak(application: HttpApplication, input: string, options: MemoryPairOptions = {}): Promise<string> {
  const { environment, clock } = clocked();
  const server = new HttpServer(application, { environment });
  const { a, b } = memoryPair({ clock, ...options });
  server.accept(b);
  const sink = new RecordingSink();
  a.attach(sink);
  a.write(bytes(input));
  await settle();
  return sink.text();
}

export const moduleOptions = (more: Partial<ModuleOptions> = {}): ModuleOptions => ({ environment: clocked().environment, ...more });

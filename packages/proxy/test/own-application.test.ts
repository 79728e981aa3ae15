/** What a program outside this package can put together of its parts: others in the place of four of them, and a proxy of its own of the two sides. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { WireError } from '@ferrata/error';
import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';
import { type HttpApplication, HttpEnvironment, HttpServer, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import {
  type AnswerableSession,
  joinTunnel,
  leaveConnection,
  maySendAgain,
  openConnection,
  type ProxyCore,
  type ProxyHooks,
  proxyCore,
  RequestBody,
  type ResponseHost,
  ResponseSide,
  type SessionTiming,
  type UpstreamHost,
  UpstreamSide,
  upstreamRequest,
} from '@ferrata/proxy';
import { memoryPair, type StreamInfo } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';
import { answering, get, ok, Rig, readResponse, settle, Wire, when } from './rig.ts';

const reset = (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.reset());

describe('another part in the place of', () => {
  test('mayRetry: what it says is done, within the tries that are left', async () => {
    const asked: string[] = [];
    const rig = new Rig({
      origin: reset,
      proxy: {
        maxRetries: 2,
        parts: {
          mayRetry: (error, session) => {
            asked.push(`${session.request.method} ${error.reason} ${maySendAgain(error, session.request.method)}`);
            return true;
          },
        },
      },
    });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n');
    assert.equal(readResponse(client.text).status, 502);
    assert.deepEqual(
      asked,
      Array.from({ length: 3 }, () => 'POST CONNECTION_RESET false'),
    );
    assert.equal(rig.origins.length, 3);
    await rig.finish(client);
  });

  test('upstreamRequest: hooks edit what it has made', async () => {
    const rig = new Rig({
      proxy: {
        parts: {
          upstreamRequest: (request, hop) => {
            const copy = upstreamRequest(request, hop);
            copy.target = `/prefix${copy.target}`;
            return copy;
          },
        },
      },
      hooks: { upstreamRequestFilter: (_session, request) => void request.headers.set('X-Target', request.target) },
    });
    const client = await rig.ask(get);
    assert.match(rig.origins[0]?.text ?? '', /^GET \/prefix\/ HTTP\/1\.1\r\n[^]*X-Target: \/prefix\/\r\n/);
    await rig.finish(client);
  });

  test('openConnection: it hears of each that was made', async () => {
    const made: string[] = [];
    const rig = new Rig({
      proxy: {
        parts: {
          openConnection: (source, wanted, onConnection) =>
            openConnection(source, wanted, (session, error) => {
              made.push(`${wanted.peer.key} ${session?.protocol}`);
              onConnection(session, error);
            }),
        },
      },
    });
    const client = await rig.ask(get);
    client.send(get);
    await settle();
    assert.deepEqual(made, ['tcp://10.0.0.1:80 http1'], 'the second request found it idle');
    await rig.finish(client);
  });

  test('openConnection that throws ends the request', async () => {
    const rig = new Rig({
      proxy: {
        parts: {
          openConnection: () => {
            throw new Error('no');
          },
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 500);
    await rig.finish(client);
  });

  test('joinTunnel: the head that is sent, and how long it may be silent', async () => {
    const rig = new Rig({
      proxy: {
        parts: {
          joinTunnel: (exchange, head, upstream, settings) => {
            head.headers.set('X-Joined', '1');
            return joinTunnel(exchange, head, upstream, { ...settings, tunnelIdleTimeoutMs: 1_000 });
          },
        },
      },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n')),
    });
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
    assert.match(client.text, /^HTTP\/1\.1 101 [^]*X-Joined: 1\r\n/);
    await rig.pass(2_000);
    assert.ok(client.isOver);
    await rig.finish(client);
  });

  test('none of them, where undefined is given', async () => {
    const rig = new Rig({ origin: reset, proxy: { parts: { mayRetry: undefined, joinTunnel: undefined } as never } });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 502);
    await rig.finish(client);
  });
});

/** A relay without phases: every request goes to one peer, with its retries, and the answer comes back. */
class Relayed implements ServerExchangeHandler, UpstreamHost<null>, ResponseHost<null>, AnswerableSession {
  readonly core: ProxyCore<null>;
  readonly exchange: ServerExchange;
  readonly context = null;
  readonly body: RequestBody | null;
  readonly isBodyFiltered = false;
  readonly isResponseShared = false;
  readonly isSubrequest = false;
  readonly subrequestContext = undefined;
  readonly subrequests = null;
  readonly timing: SessionTiming = { startedAt: 0, connectedAt: Number.NaN, respondedAt: Number.NaN, endedAt: Number.NaN };
  response: ResponseHead | null = null;
  readonly #upstream: UpstreamSide<null>;
  readonly #response: ResponseSide<null>;
  readonly #onEnd: (error: WireError | null) => void;

  constructor(core: ProxyCore<null>, exchange: ServerExchange, onEnd: (error: WireError | null) => void) {
    this.core = core;
    this.exchange = exchange;
    this.body = exchange.requestBodyLength === 0 ? null : new RequestBody(exchange, core.maxReplayBytes);
    this.#upstream = new UpstreamSide(this);
    this.#response = new ResponseSide(this);
    this.#onEnd = onEnd;
  }

  begin(): void {
    this.core.retryBudget.begin();
    this.guard(() => this.#upstream.begin());
  }

  // What both sides ask of their host.
  get hooks(): ProxyHooks<null> {
    return this.core.hooks;
  }
  get session(): this {
    return this;
  }
  isOver(): boolean {
    return this.exchange.isClosed;
  }
  waitFor<T>(promise: PromiseLike<T>, next: (value: T) => void, isWanted?: () => boolean): void {
    this.body?.hold();
    promise.then(
      (value) => {
        if (!this.isOver()) this.guard(() => next(value));
      },
      (thrown: unknown) => {
        if (isWanted?.() !== false) this.fail(thrown as WireError);
      },
    );
  }
  after(delayMs: number, next: () => void): ReturnType<ResponseHost<null>['after']> {
    return this.core.environment.deadlines.after(delayMs, next);
  }
  guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.fail(thrown as WireError);
    }
  }
  onConnected(): void {}
  onInterim(head: ResponseHead): void {
    leaveConnection(head);
    this.exchange.sendInterim(head);
  }
  onAnswer(head: ResponseHead, bodyLength: number): void {
    this.response = head;
    this.#response.takeHead(head, bodyLength, this.#upstream);
  }
  onAnswerData(chunk: Uint8Array): void {
    this.#response.takeData(chunk);
  }
  onAnswerEnd(trailers: HeaderMap | null): void {
    this.#response.takeEnd(trailers);
  }
  onSwitch(): void {
    throw new TypeError('no switch was asked for');
  }
  fail(error: WireError): void {
    this.#upstream.drop(error);
    this.exchange.abort(error);
  }

  // What `http` tells of the client.
  onRequestData(chunk: Uint8Array): void {
    this.body?.pass(chunk);
  }
  onRequestEnd(trailers: HeaderMap | null): void {
    this.body?.end(trailers);
  }
  onResponseDrain(): void {
    this.#response.handleDrain();
  }
  onExchangeClose(error: WireError | null): void {
    this.#upstream.drop(error);
    this.#response.stop();
    this.core.retryBudget.end(this.#upstream.isRetrying);
    this.#onEnd(error);
  }

  // What the one hook sees.
  get request(): RequestHead {
    return this.exchange.request;
  }
  get client(): StreamInfo {
    return this.exchange.info;
  }
  get upstream(): StreamInfo | null {
    return this.#upstream.info;
  }
  get peer(): Peer | null {
    return this.#upstream.peer;
  }
  get attempt(): number {
    return this.#upstream.attempt;
  }
  get refusedCount(): number {
    return this.#upstream.refusedCount;
  }
  get isUpstreamReused(): boolean {
    return this.#upstream.isReused;
  }
  get hasResponded(): boolean {
    return this.exchange.hasResponded;
  }
  get status(): number {
    return this.exchange.status;
  }
  get requestBytes(): number {
    return this.exchange.requestBytes;
  }
  get responseBytes(): number {
    return this.exchange.responseBytes;
  }
  get upstreamRequestBytes(): number {
    return this.#upstream.current?.requestBytes ?? 0;
  }
  get upstreamResponseBytes(): number {
    return this.#upstream.current?.responseBytes ?? 0;
  }
  get clientWritePendingMs(): number {
    return this.exchange.writePendingMs;
  }
  get upstreamWritePendingMs(): number {
    return this.#upstream.current?.writePendingMs ?? 0;
  }
  module(): null {
    return null;
  }
  upstreamModule(): null {
    return null;
  }
  adjust(settings: Parameters<ServerExchange['adjust']>[0]): void {
    this.exchange.adjust(settings);
  }
  respond(status: number, init?: Parameters<typeof respond>[2]): void {
    respond(this.exchange, status, init);
  }
  respondBy(): Promise<never> {
    throw new TypeError('there are no subrequests here');
  }
}

test('an application of one’s own, of both sides: bodies, retries and failures as ever', async () => {
  const environment = new HttpEnvironment();
  const origins: Wire[] = [];
  const ends: (string | undefined)[] = [];
  const to = peer('10.0.0.1:80');
  const application: HttpApplication = {
    onRequest: (exchange) => {
      const relayed = new Relayed(core, exchange, (error) => void ends.push(error?.reason));
      relayed.begin();
      return relayed;
    },
  };
  const core = proxyCore<null>(
    application,
    { newContext: () => null, upstreamPeer: () => to },
    {
      environment,
      upstream: {
        connect: async () => {
          const { a, b } = memoryPair();
          const wire = new Wire(b);
          origins.push(wire);
          if (origins.length === 1) reset(wire);
          else if (origins.length === 2) when(wire, 'abc', () => wire.send(ok));
          else answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nno')(wire);
          return a;
        },
      },
    },
  );
  const server = new HttpServer(application, { environment });
  const { a, b } = memoryPair();
  server.accept(b);
  const client = new Wire(a).send('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc');
  await settle();
  assert.equal(readResponse(client.text).body, 'ok');
  assert.equal(origins.length, 2, 'sent again with its body');
  client.text = '';
  core.connector.close();
  client.send(get);
  await settle();
  origins[2]?.reset();
  await settle();
  assert.match(client.text, /\r\n\r\nno$/);
  assert.ok(client.isOver, 'visibly cut');
  assert.deepEqual(ends, [undefined, 'CONNECTION_RESET']);
  assert.equal(core.retryBudget.activeCount, 0);
  assert.equal(core.retryBudget.retryingCount, 0);
  client.reset();
  server.close();
});

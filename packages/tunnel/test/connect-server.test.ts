/** CONNECT from the server's side: who decides, what is refused, and what becomes of the streams. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { WireError } from '@ferrata/error';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import {
  type ClientSession,
  Http2ClientSession,
  HttpEnvironment,
  HttpServer,
  resolveHttp2ClientOptions,
  respond,
  type ServerExchange,
} from '@ferrata/http';
import { listenTo } from '@ferrata/net';
import { type L4Stream, memoryPair, relay } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import {
  acceptConnect,
  type ConnectAnswer,
  ConnectRefusal,
  ConnectRequest,
  ConnectServer,
  connectRequestOf,
  connectThrough,
  resolveConnectServerOptions,
} from '@ferrata/tunnel';
import { bytes, HttpRig, ProxyRig, reasonOf, settle, VERSIONS } from './rig.ts';

/** The status with which a proxy has refused. */
async function refusalOf(promise: Promise<unknown>): Promise<number> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(
    error instanceof WireError && error.cause instanceof ConnectRefusal,
    `not refused: ${error instanceof Error ? error.message : 'a tunnel'}`,
  );
  return error.cause.response.status;
}

/** Sends a request and gives the status of its answer. */
function ask(session: ClientSession, method: string, target: string): Promise<{ status: number; allow: string | undefined }> {
  return new Promise((resolve, reject) => {
    const head = requestHead(method, target, { headers: HeaderMap.from({ Host: 'a' }) });
    const ignore = (): void => {};
    session.request(
      head,
      { bodyLength: 0, upgrade: null },
      {
        onInterim: ignore,
        onTunnel: () => reject(new Error('a tunnel')),
        onResponse: ({ status, headers }) => resolve({ status, allow: headers.combined('allow') }),
        onResponseData: ignore,
        onResponseEnd: ignore,
        onRequestDrain: ignore,
        onClientClose: (error) => error !== null && reject(error),
      },
    );
  });
}

for (const version of VERSIONS) {
  describe(`ConnectServer over ${version}`, () => {
    it('makes a stream of each CONNECT, which knows where to', async () => {
      const rig = new ProxyRig(version);
      await rig.open('example.org:8080');
      const stream = rig.accepted[0] as L4Stream;
      const { info } = stream;
      assert.equal(info.kind, 'connect');
      assert.equal(info.tls, null);
      const request = connectRequestOf(info);
      assert.ok(request instanceof ConnectRequest);
      assert.deepEqual(request.authority, { host: 'example.org', port: 8080 });
      assert.equal(request.info, rig.serverEnd.info);
      assert.equal(connectRequestOf({ ...info, extension: undefined, below: info }), request);
      assert.equal(connectRequestOf(rig.serverEnd.info), null);
      rig.close();
    });

    it('decides later as well, and answers what it is told', async () => {
      const answers: [ConnectAnswer, number][] = [
        [false, 403],
        [responseHead(451), 451],
        [responseHead(302, { headers: HeaderMap.from({ Location: '/' }) }), 302],
      ];
      for (const [answer, status] of answers) {
        assert.equal(await refusalOf(new ProxyRig(version, { decide: () => answer }).open()), status);
        assert.equal(await refusalOf(new ProxyRig(version, { decide: () => Promise.resolve(answer) }).open()), status);
      }
      const rig = new ProxyRig(version, { decide: async () => responseHead(200, { headers: HeaderMap.from({ Via: 'x' }) }) });
      let via: string | undefined;
      await rig.open('a:1', { onResponse: ({ headers }) => (via = headers.combined('via')) });
      assert.equal(via, 'x');
      assert.equal(rig.proxy.pendingCount, 0);
      rig.close();
    });

    it('answers 500 when who decides throws, rejects or talks nonsense, and tells', async () => {
      const broken: (() => ConnectAnswer | Promise<ConnectAnswer>)[] = [
        () => {
          throw new Error('a bug');
        },
        () => Promise.reject(new Error('a bug')),
        () => undefined as never,
        () => Promise.resolve({} as never),
        () => ({ status: 101, headers: new HeaderMap() }) as never,
      ];
      for (const decide of broken) {
        const errors: string[] = [];
        const onError = (error: WireError): never => {
          errors.push(error.reason);
          throw new Error('a bug in the teller');
        };
        const rig = new ProxyRig(version, { decide, onError });
        assert.equal(await refusalOf(rig.open()), 500);
        assert.deepEqual(errors, ['TUNNEL_DECISION_FAILED']);
        assert.equal(rig.proxy.pendingCount, 0);
      }
    });

    it('answers 503 when who decides takes too long, and does not hear him any more', async () => {
      const clock = new ManualClock();
      let decide: (answer: boolean) => void = () => {};
      const options = { decide: () => new Promise<boolean>((resolve) => (decide = resolve)), decideTimeoutMs: 3_000 };
      const rig = new ProxyRig(version, options, new HttpEnvironment({ clock }));
      const promise = refusalOf(rig.open('a:1', { timeoutMs: 60_000 }));
      await settle();
      assert.equal(rig.proxy.pendingCount, 1);
      clock.advance(3_100);
      assert.equal(await promise, 503);
      assert.equal(rig.proxy.pendingCount, 1, 'what it waits for goes on');
      decide(true);
      await settle();
      assert.equal(rig.proxy.pendingCount, 0);
      assert.deepEqual(rig.accepted, []);
    });

    it('forgets a decision whose client has gone, but counts it until it has settled', async () => {
      let decide: (answer: boolean) => void = () => {};
      const rig = new ProxyRig(version, { decide: () => new Promise<boolean>((resolve) => (decide = resolve)) });
      const promise = rig.open();
      await settle();
      rig.clientEnd.abort();
      assert.equal(await reasonOf(promise), 'TUNNEL_CLOSED');
      await settle();
      assert.equal(rig.proxy.pendingCount, 1);
      decide(true);
      await settle();
      assert.equal(rig.proxy.pendingCount, 0);
      assert.deepEqual(rig.accepted, []);
      assert.equal(rig.server.connectionCount, 0);
    });

    it('has no more decisions under way than maxPending, also where clients ask and go', async () => {
      let asked = 0;
      const environment = new HttpEnvironment();
      const decides: ((answer: boolean) => void)[] = [];
      const proxy = new ConnectServer({
        environment,
        maxPending: 4,
        decide: () => {
          asked++;
          return new Promise<boolean>((resolve) => void decides.push(resolve));
        },
      });
      for (let i = 0; i < 20; i++) {
        const rig = new HttpRig(version, proxy, environment);
        const gone = reasonOf(rig.open());
        await settle();
        rig.close();
        await gone;
      }
      assert.deepEqual([asked, proxy.pendingCount], [4, 4]);
      for (const decide of decides) decide(false);
      await settle();
      assert.equal(proxy.pendingCount, 0);
      const refused = refusalOf(new HttpRig(version, proxy, environment).open());
      await settle();
      decides[4]?.(false);
      assert.equal(await refused, 403);
    });

    it('takes a decision for one that never comes after ten times its time', async () => {
      const clock = new ManualClock();
      let asked = 0;
      const decide = (): Promise<boolean> => {
        asked++;
        return new Promise(() => {});
      };
      const environment = new HttpEnvironment({ clock });
      const proxy = new ConnectServer({ environment, decide, decideTimeoutMs: 1_000, maxPending: 1 });
      const ask = async (): Promise<void> => {
        const rig = new HttpRig(version, proxy, environment);
        const gone = reasonOf(rig.open());
        await settle();
        rig.close();
        await gone;
      };
      await ask();
      clock.advance(8_900);
      await ask();
      assert.equal(asked, 1);
      clock.advance(200);
      await ask();
      assert.equal(asked, 2);
    });

    it('leaves no deadline behind a decision, nor behind a client that goes while it is asked or later', async () => {
      // The HTTP server has deadlines of its own, in its own environment.
      const environment = new HttpEnvironment();
      let decide: (answer: boolean) => void = () => {};
      const rig = new ProxyRig(version, { environment, decide: () => new Promise<boolean>((resolve) => (decide = resolve)) });
      const promise = refusalOf(rig.open());
      await settle();
      assert.equal(environment.deadlines.size, 1);
      decide(false);
      assert.equal(await promise, 403);
      assert.equal(environment.deadlines.size, 0);
      const left: ProxyRig = new ProxyRig(version, {
        environment,
        decide: () => {
          left.server.close();
          left.serverEnd.abort();
          return new Promise((resolve) => (decide = resolve));
        },
      });
      assert.equal(await reasonOf(left.open()), 'TUNNEL_CLOSED');
      await settle();
      assert.deepEqual([environment.deadlines.size, left.proxy.pendingCount], [0, 1]);
      decide(true);
      await settle();
      assert.deepEqual([left.proxy.pendingCount, left.accepted], [0, []]);
      const last = new ProxyRig(version, { environment, decide: () => new Promise(() => {}) });
      const gone = reasonOf(last.open());
      await settle();
      last.close();
      await gone;
      await settle();
      assert.deepEqual([environment.deadlines.size, last.proxy.pendingCount], [0, 1]);
    });

    it('resets a tunnel that its taker throws at', async () => {
      const errors: string[] = [];
      const onTunnel = (): never => {
        throw new Error('a bug');
      };
      const rig = new ProxyRig(version, { onTunnel, onError: ({ reason }) => errors.push(reason) });
      const promise = rig.open();
      const stream = await promise.catch(() => null);
      if (stream !== null) {
        const sink = new RecordingSink();
        stream.attach(sink);
        await sink.untilClose();
        assert.notEqual(sink.closeError, null);
      }
      assert.deepEqual(errors, ['TUNNEL_CALLBACK_THREW']);
    });

    it('resets a tunnel whose taker rejects, and outlives a teller that rejects', async () => {
      const errors: WireError[] = [];
      const cause = new Error('the origin is not there');
      const onTunnel = (() => Promise.reject(cause)) as () => void;
      const onError = ((error: WireError) => {
        errors.push(error);
        return Promise.reject(new Error('a bug in the teller'));
      }) as (error: WireError) => void;
      const rig = new ProxyRig(version, { onTunnel, onError });
      const stream = await rig.open().catch(() => null);
      if (stream !== null) {
        const sink = new RecordingSink();
        stream.attach(sink);
        await sink.untilClose();
        assert.notEqual(sink.closeError, null);
      }
      await settle();
      assert.deepEqual(
        errors.map((error) => [error.reason, error.cause]),
        [['TUNNEL_CALLBACK_THREW', cause]],
      );
      if (version === 'http2') assert.equal(rig.session.isReusable, true);
      rig.close();
    });

    it('waits for what can be waited for, and takes all else for an answer', async () => {
      const unfit = new ProxyRig(version, { decide: () => JSON.parse('{"then":5}') as never });
      assert.equal(await refusalOf(unfit.open()), 500);
      assert.equal(unfit.proxy.pendingCount, 0);
      // Of somebody's own making, without `catch`, and settled twice.
      const settleTwice = (resolve: (answer: boolean) => void): void => {
        resolve(false);
        resolve(true);
      };
      const strange: object = new Proxy({}, { has: () => true, get: (_, name) => (name === 'then' ? settleTwice : undefined) });
      const rig = new ProxyRig(version, { decide: () => strange as never });
      assert.equal(await refusalOf(rig.open()), 403);
      assert.equal(rig.proxy.pendingCount, 0);
    });

    it('leaves all but CONNECT to another application, or answers 405', async () => {
      assert.deepEqual(await ask(new ProxyRig(version).session, 'GET', '/'), { status: 405, allow: 'CONNECT' });
      const fallback = {
        onRequest: (exchange: ServerExchange) => {
          respond(exchange, 418);
          return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
        },
      };
      assert.equal((await ask(new ProxyRig(version, { fallback }).session, 'GET', '/')).status, 418);
    });

    it('closes the exchange when its stream has closed, attached to or not', async () => {
      for (const isAttached of [true, false]) {
        const rig = new ProxyRig(version);
        const { a, b } = await rig.pair();
        const sink = new RecordingSink();
        if (isAttached) b.attach(sink);
        a.attach(new RecordingSink());
        assert.equal(rig.server.connectionCount, 1);
        a.abort();
        await settle();
        assert.equal(sink.isClosed, isAttached);
        if (version === 'http1') assert.equal(rig.server.connectionCount, 0);
        assert.equal(await rig.server.drain(1_000), 0);
      }
    });

    it('ends in order when both sides have, and the exchange with it', async () => {
      const rig = new ProxyRig(version);
      const { a, b } = await rig.pair();
      const sinks = [new RecordingSink(), new RecordingSink()];
      a.attach(sinks[0] as RecordingSink);
      b.attach(sinks[1] as RecordingSink);
      a.write(bytes('ping'));
      a.end();
      await sinks[1]?.untilEnd();
      b.write(bytes('pong'));
      b.end();
      for (const sink of sinks) await sink.untilClose();
      assert.deepEqual(
        sinks.map((sink) => [sink.text(), sink.closeError]),
        [
          ['pong', null],
          ['ping', null],
        ],
      );
      assert.equal(await rig.server.drain(1_000), 0);
    });

    it('gives its streams to whoever iterates, as a source of listenTo', async () => {
      const environment = new HttpEnvironment();
      const proxy = new ConnectServer({ environment, decide: () => true, maxWaiting: 1 });
      const rig = new HttpRig(version, proxy, environment);
      const first = await rig.open();
      assert.equal(proxy.waitingCount, 1);
      const heard: string[] = [];
      const listener = listenTo(proxy, (stream) => {
        heard.push(connectRequestOf(stream.info)?.authority.host ?? 'none');
        relay(stream, memoryPair().a);
      });
      await settle();
      assert.deepEqual(heard, ['example.org']);
      first.abort();
      await listener.close();
      proxy.close();
      rig.close();
    });

    it('takes no more than may wait, and none after its close; those that wait are reset then', async () => {
      const environment = new HttpEnvironment();
      const proxy = new ConnectServer({ environment, decide: () => true, maxWaiting: 1 });
      const waiting = await new HttpRig(version, proxy, environment).open();
      assert.equal(await refusalOf(new HttpRig(version, proxy, environment).open()), 503);
      const sink = new RecordingSink();
      waiting.attach(sink);
      const iterator = proxy[Symbol.asyncIterator]();
      proxy.close();
      await sink.untilClose();
      assert.notEqual(sink.closeError, null);
      assert.deepEqual(await iterator.next(), { done: true, value: undefined });
      assert.equal(await refusalOf(new HttpRig(version, proxy, environment).open()), 503);
    });

    it('forgets a tunnel that closes while it waits: its place is free, and nobody is given it', async () => {
      const errors: string[] = [];
      const environment = new HttpEnvironment();
      const proxy = new ConnectServer({ environment, decide: () => true, maxWaiting: 1, onError: ({ reason }) => errors.push(reason) });
      const dead = await new HttpRig(version, proxy, environment).open();
      assert.equal(await refusalOf(new HttpRig(version, proxy, environment).open()), 503);
      assert.deepEqual(errors, ['TUNNEL_TOO_MANY_WAITING']);
      dead.abort();
      await settle();
      assert.equal(proxy.waitingCount, 0);
      await new HttpRig(version, proxy, environment).open('alive.example:1');
      const iterator = proxy[Symbol.asyncIterator]();
      const { value } = await iterator.next();
      assert.ok(value !== undefined);
      assert.equal(connectRequestOf(value.info)?.authority.host, 'alive.example');
      proxy.close();
    });

    it('gives nothing to an iteration that was left', async () => {
      const environment = new HttpEnvironment();
      const proxy = new ConnectServer({ environment, decide: () => true });
      const heard: string[] = [];
      const hear = (who: string) => (stream: L4Stream) => {
        heard.push(who);
        stream.attach(new RecordingSink());
      };
      const former = listenTo(proxy, hear('former'));
      const left = proxy[Symbol.asyncIterator]();
      const waiting = left.next();
      const stays = proxy[Symbol.asyncIterator]();
      const stayed = stays.next();
      await settle();
      await former.close();
      assert.deepEqual(await left.return?.(), { done: true, value: undefined });
      assert.deepEqual(await waiting, { done: true, value: undefined });
      assert.deepEqual(await left.next(), { done: true, value: undefined });
      await new HttpRig(version, proxy, environment).open('first:1');
      assert.equal((await stayed).done, false);
      await new HttpRig(version, proxy, environment).open('second:1');
      const next = listenTo(proxy, hear('next'));
      await settle();
      assert.deepEqual(heard, ['next']);
      await next.close();
      proxy.close();
    });

    it('is closed by `await using`, and says so to whoever comes later, also to one who was being decided about', async () => {
      const environment = new HttpEnvironment();
      const errors: string[] = [];
      let decide: (answer: boolean) => void = () => {};
      const proxy = new ConnectServer({
        environment,
        decide: () => new Promise<boolean>((resolve) => (decide = resolve)),
        onError: ({ reason }) => errors.push(reason),
      });
      const undecided = new HttpRig(version, proxy, environment).open();
      await settle();
      {
        await using held = proxy;
        assert.equal(held.pendingCount, 1);
      }
      decide(true);
      assert.equal(await refusalOf(undecided), 503);
      assert.equal(await refusalOf(new HttpRig(version, proxy, environment).open()), 503);
      assert.deepEqual(errors, []);
    });

    it('ends an iteration that waits, at its close', async () => {
      const proxy = new ConnectServer({ environment: new HttpEnvironment(), decide: () => true });
      const next = proxy[Symbol.asyncIterator]().next();
      proxy.close();
      assert.equal((await next).done, true);
    });

    it('has no more than so many decisions pending', async () => {
      const errors: string[] = [];
      const rig = new ProxyRig(version, {
        decide: () => new Promise(() => {}),
        maxPending: 1,
        onError: ({ reason }) => errors.push(reason),
      });
      const first = rig.open();
      await settle();
      const { environment } = rig;
      assert.equal(await refusalOf(new HttpRig(version, rig.proxy, environment).open()), 503);
      assert.deepEqual(errors, ['TUNNEL_TOO_MANY_PENDING']);
      rig.close();
      assert.equal(await reasonOf(first), 'TUNNEL_CLOSED');
    });
  });
}

describe('a client that takes no head of the size of an answer', () => {
  it('is told of as such, and not as a failure of who decides (RFC 9113 §6.5.2)', async () => {
    const errors: WireError[] = [];
    const environment = new HttpEnvironment();
    const head = responseHead(200, { headers: HeaderMap.from({ 'X-Long': 'x'.repeat(2_000) }) });
    const proxy = new ConnectServer({ environment, decide: () => head, onError: (error) => errors.push(error) });
    const server = new HttpServer(proxy, { environment });
    const { a, b } = memoryPair();
    server.accept(b);
    const options = resolveHttp2ClientOptions({ connection: { maxHeaderListBytes: 1_024 } });
    const session = new Http2ClientSession(a, environment, options, { onSessionIdle() {}, onSessionClose() {} });
    session.start();
    await settle();
    assert.equal(await refusalOf(connectThrough(session, 'a:1', { environment })), 502);
    assert.deepEqual(
      errors.map(({ reason, fault }) => [reason, fault]),
      [['H2_PEER_HEADER_LIST', 'remote']],
    );
    session.close();
  });
});

describe('the fallback of a ConnectServer', () => {
  it('hears of what was refused before it was a request', async () => {
    const refused: string[] = [];
    const onRequest = (): never => {
      throw new Error('there is no request');
    };
    const rig = new ProxyRig('http1', { fallback: { onRequest, onRefused: ({ error }) => refused.push(error.reason) } });
    rig.clientEnd.write(bytes('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'));
    await settle();
    assert.deepEqual(refused, ['H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING']);
    rig.close();
    const deaf = new ProxyRig('http1');
    deaf.clientEnd.write(bytes('GET\r\n\r\n'));
    await settle();
    assert.equal(deaf.server.connectionCount, 0);
  });
});

describe('acceptConnect', () => {
  it('is for CONNECT to a host and port', async () => {
    const thrown: unknown[] = [];
    const rig = new HttpRig('http1', {
      onRequest: (exchange) => {
        try {
          acceptConnect(exchange);
        } catch (error) {
          thrown.push(error);
        }
        respond(exchange, 200);
        return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
      },
    });
    assert.equal((await ask(rig.session, 'GET', '/')).status, 200);
    assert.ok(thrown[0] instanceof TypeError);
  });
});

describe('options of a ConnectServer', () => {
  it('are checked', () => {
    const environment = new HttpEnvironment();
    const decide = (): boolean => true;
    assert.throws(() => resolveConnectServerOptions({ environment } as never), TypeError);
    assert.throws(() => new ConnectServer({ environment, decide, decideTimeoutMs: 0 }), RangeError);
    assert.throws(() => new ConnectServer({ environment, decide, maxPending: 0 }), RangeError);
    assert.throws(() => new ConnectServer({ environment, decide, maxWaiting: 0.5 }), RangeError);
    assert.equal(resolveConnectServerOptions({ environment, decide }).decideTimeoutMs, 10_000);
  });
});

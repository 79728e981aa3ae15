/** CONNECT from the server's side: who decides, what is refused, and what becomes of the streams. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { WireError } from '@ferrata/error';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { type ClientSession, HttpEnvironment, respond, type ServerExchange } from '@ferrata/http';
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
      assert.equal(rig.proxy.pendingCount, 0);
      decide(true);
      await settle();
      assert.deepEqual(rig.accepted, []);
    });

    it('forgets a decision whose client has gone', async () => {
      let decide: (answer: boolean) => void = () => {};
      const rig = new ProxyRig(version, { decide: () => new Promise<boolean>((resolve) => (decide = resolve)) });
      const promise = rig.open();
      await settle();
      rig.clientEnd.abort();
      assert.equal(await reasonOf(promise), 'TUNNEL_CLOSED');
      await settle();
      assert.equal(rig.proxy.pendingCount, 0);
      decide(true);
      await settle();
      assert.deepEqual(rig.accepted, []);
      assert.equal(rig.server.connectionCount, 0);
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

    it('ends an iteration that waits, at its close', async () => {
      const proxy = new ConnectServer({ environment: new HttpEnvironment(), decide: () => true });
      const next = proxy[Symbol.asyncIterator]().next();
      proxy.close();
      assert.equal((await next).done, true);
    });

    it('has no more than so many decisions pending', async () => {
      const rig = new ProxyRig(version, { decide: () => new Promise(() => {}), maxPending: 1 });
      const first = rig.open();
      await settle();
      const { environment } = rig;
      assert.equal(await refusalOf(new HttpRig(version, rig.proxy, environment).open()), 503);
      rig.close();
      assert.equal(await reasonOf(first), 'TUNNEL_CLOSED');
    });
  });
}

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

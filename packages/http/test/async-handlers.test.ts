/** Callbacks that are `async`, though nothing waits for them: what they reject with ends their own exchange, as a throw does, and nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, type WireError } from '@ferrata/error';
import { type HttpApplication, type Refusal, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { connectFrames, Http2ClientRig, requestFields } from './http2-rig.ts';
import { bytes, ClientFollower, ClientRig, get, response, ServerRig, settle } from './rig.ts';

/** What a callback may return that should return nothing: nobody is to hear of it but its exchange. */
const lateBugs: Readonly<Record<string, () => unknown>> = {
  'rejects later': async () => {
    await settle();
    throw new Error('late bug');
  },
  'rejects at once': () => Promise.reject(new Error('bug')),
  'returns a thenable that throws': () => ({
    // oxlint-disable-next-line unicorn/no-thenable -- that is what is tested
    then: (): never => {
      throw new Error('bug');
    },
  }),
};
const late = lateBugs['rejects later'] as (...args: unknown[]) => unknown;

/** An application of which some callbacks are replaced, whatever they return. */
class Application implements HttpApplication {
  readonly exchanges: ServerExchange[] = [];
  readonly closes: (WireError | null)[] = [];
  readonly refusals: Refusal[] = [];
  readonly #callbacks: Readonly<Record<string, (exchange: ServerExchange) => unknown>>;

  constructor(callbacks: Readonly<Record<string, (exchange: ServerExchange) => unknown>>) {
    this.#callbacks = callbacks;
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    this.exchanges.push(exchange);
    const replaced = this.#callbacks['onRequest']?.(exchange);
    if (replaced !== undefined) return replaced as ServerExchangeHandler;
    const call = (name: string): unknown => this.#callbacks[name]?.(exchange);
    const handler: { readonly [name in keyof ServerExchangeHandler]: (...args: never[]) => unknown } = {
      onRequestData: () => call('onRequestData'),
      onRequestEnd: () => call('onRequestEnd'),
      onResponseDrain: () => call('onResponseDrain'),
      onExchangeClose: (error: WireError | null) => {
        this.closes.push(error);
        return call('onExchangeClose');
      },
    };
    return handler;
  }

  onRefused(refusal: Refusal): void {
    this.refusals.push(refusal);
    return this.#callbacks['onRefused']?.(this.exchanges[0] as ServerExchange) as undefined;
  }

  get reasons(): (string | null)[] {
    return this.closes.map((error) => (error === null ? null : error.reason));
  }
}

const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';

describe('an async callback over HTTP/1', () => {
  for (const name of ['onRequestData', 'onRequestEnd']) {
    for (const [how, callback] of Object.entries(lateBugs)) {
      it(`${name} that ${how} ends its exchange with a 500`, async () => {
        const application = new Application({ [name]: callback });
        const rig = new ServerRig({}, application);
        const client = rig.connect();
        await client.send(post);
        await settle();
        assert.match(client.received, /^HTTP\/1\.1 500 /);
        assert.deepEqual(application.reasons, ['HANDLER_THREW']);
        assert.equal(application.closes[0]?.type, 'internal');
        client.stream.end();
        await settle();
        rig.assertEmpty();
      });
    }
  }

  it('that rejects with an error of ours gives it its status', async () => {
    const application = new Application({
      onRequestEnd: () => Promise.reject(applicationError('BUSY', 'not now', { wire: { status: 503 } })),
    });
    const client = new ServerRig({}, application).connect();
    assert.match(await client.send(get()), /^HTTP\/1\.1 503 /);
    assert.deepEqual(application.reasons, ['BUSY']);
  });

  it('that rejects in the middle of a response has it cut short', async () => {
    const application = new Application({
      onRequestEnd: (exchange) => {
        exchange.sendHead(response(200), BodyLength.chunked);
        exchange.sendData(bytes('half'));
        return late();
      },
    });
    const client = new ServerRig({}, application).connect();
    await client.send(get());
    await settle();
    assert.match(client.received, /\r\n4\r\nhalf\r\n$/);
    assert.deepEqual(application.reasons, ['HANDLER_THREW']);
    assert.equal(client.stream.state, 'peerEnded');
  });

  it('that rejects when a client reads again has the response cut short', async () => {
    const application = new Application({
      onRequest: (exchange) => {
        exchange.sendHead(response(200), BodyLength.chunked);
        while (exchange.sendData(new Uint8Array(16_384)));
        return undefined;
      },
      onResponseDrain: late,
    });
    const client = new ServerRig({}, application).connect();
    client.stream.pause();
    await client.send(get());
    client.stream.resume();
    for (let turn = 0; turn < 20; turn++) await settle();
    assert.deepEqual(application.reasons, ['HANDLER_THREW']);
  });

  it('that rejects when its exchange is over leaves the next one of its connection alone', async () => {
    for (const name of ['onRequestEnd', 'onExchangeClose']) {
      let bugs = 0;
      const application = new Application({
        onRequestEnd: (exchange) => {
          if (exchange.request.target !== '/1') return undefined;
          respond(exchange, 200, { body: '1' });
          return name === 'onRequestEnd' ? late(bugs++) : undefined;
        },
        onExchangeClose: (exchange) => (name === 'onExchangeClose' && exchange.request.target === '/1' ? late(bugs++) : undefined),
      });
      const rig = new ServerRig({}, application);
      const client = rig.connect();
      await client.send(get('/1') + get('/2'));
      await settle();
      respond(application.exchanges[1] as ServerExchange, 200, { body: '2' });
      await settle();
      assert.match(client.received, /\r\n\r\n1HTTP[^]*\r\n\r\n2$/);
      assert.deepEqual(application.reasons, [null, null]);
      assert.deepEqual([rig.server.connectionCount, bugs], [1, 1]);
    }
  });

  it('onRequest returns no handler but a promise: the request is refused, and the promise watched', async () => {
    for (const promise of [Promise.reject(new Error('bug')), Promise.resolve({}), new Promise(() => {})]) {
      const application = new Application({ onRequest: () => promise });
      const client = new ServerRig({}, application).connect();
      assert.match(await client.send(get()), /^HTTP\/1\.1 500 /);
      assert.deepEqual(
        application.refusals.map(({ error, status }) => [error.reason, status]),
        [['HANDLER_THREW', 500]],
      );
    }
  });

  it('onRefused may be async', async () => {
    const application = new Application({ onRefused: late });
    const rig = new ServerRig({}, application);
    const client = rig.connect();
    assert.match(await client.send('nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /);
    await settle();
    assert.equal(application.refusals.length, 1);
  });

  it('that rejects after it has opened a tunnel closes the tunnel', async () => {
    const application = new Application({
      onRequestEnd: (exchange) => {
        exchange.openTunnel(response(200));
        return late();
      },
    });
    const rig = new ServerRig({}, application);
    const client = rig.connect();
    await client.send('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
    await settle();
    assert.deepEqual(application.reasons, ['HANDLER_THREW']);
    assert.equal(client.stream.state, 'closed');
    rig.assertEmpty();
  });
});

describe('an async callback over HTTP/2', () => {
  for (const name of ['onRequestData', 'onRequestEnd']) {
    it(`${name} that rejects ends its exchange with a 500, and no neighbour`, async () => {
      const application = new Application({ [name]: (exchange) => (exchange.request.target === '/bug' ? late() : undefined) });
      const rig = new ServerRig({}, application);
      const peer = await connectFrames(rig).hello();
      await peer.post(1, '/neighbour');
      await peer.post(3, '/bug');
      await peer.data(3, 'hi', true);
      await settle();
      assert.equal(peer.status(3), '500');
      assert.deepEqual(application.reasons, ['HANDLER_THREW']);
      respond(application.exchanges[0] as ServerExchange, 200);
      await settle();
      assert.equal(peer.status(1), '200');
      assert.equal(rig.server.connectionCount, 1);
    });
  }

  it('that rejects in the middle of a response resets its stream', async () => {
    const application = new Application({
      onRequestEnd: (exchange) => {
        exchange.sendHead(response(200), BodyLength.chunked);
        exchange.sendData(bytes('half'));
        return late();
      },
    });
    const peer = await connectFrames(new ServerRig({}, application)).hello();
    await peer.get(1);
    await settle();
    assert.deepEqual([peer.heard(1).text, peer.heard(1).reset], ['half', 'INTERNAL_ERROR']);
    assert.deepEqual(application.reasons, ['HANDLER_THREW']);
  });

  it('of CONNECT rejects: its exchange ends with a 500', async () => {
    const application = new Application({ onRequestEnd: late });
    const peer = await connectFrames(new ServerRig({}, application)).hello();
    await peer.headers(1, { ':method': 'CONNECT', ':authority': 'a:1' }, false);
    await settle();
    assert.equal(peer.status(1), '500');
    assert.deepEqual(application.reasons, ['HANDLER_THREW']);
  });

  it('that rejects when the client gives credit again resets its stream', async () => {
    const application = new Application({
      onRequest: (exchange) => {
        exchange.sendHead(response(200), BodyLength.chunked);
        while (exchange.sendData(new Uint8Array(16_384)));
        return undefined;
      },
      onResponseDrain: late,
    });
    const peer = await connectFrames(new ServerRig({}, application)).hello();
    await peer.get(1);
    for (let turn = 0; turn < 20; turn++) await settle();
    assert.equal(peer.heard(1).reset, 'INTERNAL_ERROR');
    assert.deepEqual(application.reasons, ['HANDLER_THREW']);
  });

  it('that rejects at the end of its exchange ends nothing more', async () => {
    const application = new Application({ onRequest: (exchange) => respond(exchange, 200), onExchangeClose: late });
    const rig = new ServerRig({}, application);
    const peer = await connectFrames(rig).hello();
    await peer.get(1);
    await settle();
    await peer.headers(3, requestFields('GET', '/'));
    assert.deepEqual([peer.status(1), peer.status(3), rig.server.connectionCount], ['200', '200', 1]);
  });
});

/** `react` of a follower, of which the rig returns nothing: the callbacks themselves are replaced. */
function replace(follower: ClientFollower, name: keyof ClientFollower, callback: () => unknown): void {
  const original = (follower[name] as (...args: unknown[]) => void).bind(follower);
  Object.assign(follower, {
    [name]: (...args: unknown[]) => {
      original(...args);
      return callback();
    },
  });
}

describe('an async callback of a client', () => {
  for (const name of ['onInterim', 'onResponse', 'onResponseData'] as const) {
    it(`${name} that rejects cancels its exchange`, async () => {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      replace(follower, name, late);
      rig.request(follower);
      await rig.answer('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha');
      await settle();
      assert.deepEqual([follower.closes.length, follower.closes[0]?.reason, follower.closes[0]?.source], [1, 'HANDLER_THREW', 'internal']);
      assert.deepEqual(rig.told, ['close HANDLER_THREW']);
    });

    it(`${name} that rejects over HTTP/2 resets its stream alone`, async () => {
      const rig = await new Http2ClientRig().hello();
      const neighbour = new ClientFollower();
      const follower = new ClientFollower();
      replace(follower, name, late);
      rig.ask(neighbour);
      rig.ask(follower);
      await settle();
      await rig.server.headers(3, { ':status': '103' }, false);
      await rig.server.headers(3, { ':status': '200' }, false);
      await rig.server.data(3, 'ha');
      await settle();
      assert.equal(follower.closes[0]?.reason, 'HANDLER_THREW');
      assert.equal(rig.server.heard(3).reset, 'CANCEL');
      await rig.server.headers(1, { ':status': '200' }, true);
      assert.deepEqual(neighbour.closes, [null]);
    });
  }

  for (const name of ['onResponseEnd', 'onClientClose'] as const) {
    it(`${name} that rejects, when all is over, ends nothing: the connection is used again`, async () => {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      replace(follower, name, late);
      rig.request(follower);
      await rig.answer('HTTP/1.1 204 No Content\r\n\r\n');
      const next = new ClientFollower();
      rig.request(next);
      await settle();
      await rig.answer('HTTP/1.1 204 No Content\r\n\r\n');
      assert.deepEqual([follower.closes, next.closes, rig.told], [[null], [null], ['idle', 'idle']]);

      const shared = await new Http2ClientRig().hello();
      const second = new ClientFollower();
      replace(second, name, late);
      shared.ask(second);
      await settle();
      await shared.server.headers(1, { ':status': '204' }, true);
      await settle();
      assert.deepEqual([second.closes, shared.session.isReusable], [[null], true]);
    });
  }

  it('onTunnel that rejects has the tunnel closed', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    replace(follower, 'onTunnel', late);
    rig.request(follower, { upgrade: 'echo' });
    await rig.answer('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    await settle();
    assert.equal(rig.stream.state, 'closed');

    const shared = await new Http2ClientRig().hello();
    const second = new ClientFollower();
    replace(second, 'onTunnel', late);
    shared.ask(second, { method: 'CONNECT', target: 'a:1' });
    await settle();
    await shared.server.headers(1, { ':status': '200' }, false);
    await settle();
    assert.equal(shared.server.heard(1).reset, 'CANCEL');
  });
});

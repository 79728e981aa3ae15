/** The check of `ExchangeSettings`, and what holds for it whatever carries the exchange. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkExchangeSettings, type ExchangeSettings } from '@ferrata/http';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import { connectFrames } from './http2-rig.ts';
import { echoTarget, get, ServerRig, settle } from './rig.ts';

const good: ExchangeSettings = {
  keepAlive: false,
  idleTimeoutMs: Number.POSITIVE_INFINITY,
  bodyTimeoutMs: 1,
  writeTimeoutMs: 2.5,
  minSendBytesPerSecond: 0,
  maxDrainBytes: 0,
  drainTimeoutMs: 3,
  closeOnEarlyResponse: true,
  abortOnHalfClose: false,
  dropInterim: true,
};

describe('the settings of an exchange', () => {
  it('are taken as they are, and joined to those from before', () => {
    assert.deepEqual(checkExchangeSettings(good), good);
    assert.deepEqual(checkExchangeSettings({}), {});
    const before = Object.freeze({ keepAlive: false, bodyTimeoutMs: 5 });
    assert.deepEqual(checkExchangeSettings({ bodyTimeoutMs: 6, dropInterim: true }, before), {
      keepAlive: false,
      bodyTimeoutMs: 6,
      dropInterim: true,
    });
  });

  it('leave what is undefined as it was, as callers without exact types give it', () => {
    const settings = JSON.parse('{"bodyTimeoutMs":7}') as { bodyTimeoutMs?: number };
    assert.deepEqual(checkExchangeSettings({ ...settings, ...({ writeTimeoutMs: undefined } as object) }, { writeTimeoutMs: 9 }), {
      bodyTimeoutMs: 7,
      writeTimeoutMs: 9,
    });
  });

  it('are refused when a number makes no sense', () => {
    const times = ['idleTimeoutMs', 'bodyTimeoutMs', 'writeTimeoutMs', 'drainTimeoutMs'];
    for (const name of times)
      for (const value of [0, -1, Number.NaN]) assert.throws(() => checkExchangeSettings({ [name]: value }), RangeError);
    for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => checkExchangeSettings({ minSendBytesPerSecond: value }), /^RangeError: minSendBytesPerSecond/);
    }
    for (const value of [-1, Number.NaN])
      assert.throws(() => checkExchangeSettings({ maxDrainBytes: value }), /^RangeError: maxDrainBytes/);
    assert.throws(() => checkExchangeSettings({ idleTimeoutMs: '5' as unknown as number }), RangeError);
    // REFUSED_STREAM would say that nothing was done, NO_ERROR that the response was whole.
    for (const resetCode of [Http2ErrorCode.noError, Http2ErrorCode.refusedStream, '8' as never])
      assert.throws(() => checkExchangeSettings({ resetCode }), /^RangeError: resetCode must be INTERNAL_ERROR or CANCEL/);
  });

  it('are refused when a name is unknown, or a flag is none', () => {
    assert.throws(
      () => checkExchangeSettings({ idleTimeout: 5 } as ExchangeSettings),
      /^TypeError: unknown setting of an exchange: idleTimeout$/,
    );
    assert.throws(() => checkExchangeSettings({ toString: 5 } as unknown as ExchangeSettings), TypeError);
    for (const name of ['keepAlive', 'closeOnEarlyResponse', 'abortOnHalfClose', 'dropInterim']) {
      assert.throws(() => checkExchangeSettings({ [name]: 1 }), new RegExp(`^TypeError: ${name} must be true or false, not 1$`));
    }
    assert.throws(() => checkExchangeSettings(null as unknown as ExchangeSettings), TypeError);
  });

  for (const [protocol, begin] of [
    ['HTTP/1', (rig: ServerRig): Promise<unknown> => rig.connect().send(get())],
    ['HTTP/2', async (rig: ServerRig): Promise<unknown> => (await connectFrames(rig).hello()).get(1)],
  ] as const) {
    it(`${protocol}: misuse is told at once, changes nothing, and does no harm to the exchange`, async () => {
      const rig = new ServerRig();
      await begin(rig);
      const { exchange } = rig.last;
      assert.throws(() => exchange.adjust({ keepAlive: false, bodyTimeoutMs: -1 }), RangeError);
      assert.throws(() => exchange.adjust({ keepAlive: false, nothing: 1 } as ExchangeSettings), TypeError);
      echoTarget(exchange);
      await settle();
      assert.deepEqual(rig.last.closes, [null]);
      assert.equal(exchange.isConnectionReusable, protocol === 'HTTP/1');
      assert.equal(rig.server.connectionCount, 1);
    });

    it(`${protocol}: does nothing behind the end of the exchange, where misuse is told all the same`, async () => {
      const rig = new ServerRig();
      await begin(rig);
      const { exchange } = rig.last;
      echoTarget(exchange);
      await settle();
      exchange.adjust({ ...good, idleTimeoutMs: 1 });
      assert.throws(() => exchange.adjust({ bodyTimeoutMs: 0 }), RangeError);
      await rig.advance(1_000);
      assert.equal(rig.server.connectionCount, 1);
    });

    it(`${protocol}: the state of the connection is one object for all its exchanges, and another connection has another`, async () => {
      const rig = new ServerRig();
      rig.onRequest = (exchange) => {
        exchange.connection.context = [exchange.connection.context, exchange.connection.requestCount];
        echoTarget(exchange);
      };
      if (protocol === 'HTTP/1') {
        const client = rig.connect();
        await client.send(get() + get());
        await client.send(get());
      } else {
        const peer = await connectFrames(rig).hello();
        for (const id of [1, 3, 5]) await peer.get(id);
      }
      const [first, second, third] = rig.followers;
      assert.equal(first?.exchange.connection, third?.exchange.connection);
      assert.equal(second?.exchange.connection.requestCount, 3);
      assert.deepEqual(first?.exchange.connection.context, [[[undefined, 1], 2], 3]);
      await begin(rig);
      assert.deepEqual(rig.last.exchange.connection.context, [undefined, 1]);
    });
  }
});

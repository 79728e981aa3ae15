/** What may be made on behalf of a request: in the background, collected, streamed; and the bounds of all of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError } from '@ferrata/error';
import { HeaderMap } from '@ferrata/headers';
import { type HttpApplication, HttpEnvironment, respond, type ServerExchange } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { subrequestOf } from '../../src/subrequest/subrequest-exchange.ts';
import { Subrequests } from '../../src/subrequest/subrequests.ts';
import { bytes, clientInfo, Rig, request, response, settle, text } from './rig.ts';

describe('background', () => {
  it('drops the output and tells what became of it', async () => {
    const rig = new Rig();
    rig.onRequest = (exchange) => respond(exchange, 203, { body: 'dropped' });
    assert.deepEqual(await rig.subrequests.background(), { status: 203, error: null, responseBytes: 7 });
    assert.equal(rig.subrequests.size, 0);
  });

  it('is never rejected: a failure is in the result, and an unawaited one is nobody’s problem', async () => {
    const rig = new Rig();
    rig.onRequest = () => {
      throw new Error('bug');
    };
    void rig.subrequests.background();
    const result = await rig.subrequests.background();
    assert.equal(result.status, 500);
    assert.equal(result.error?.reason, 'HANDLER_THREW');
  });

  it('goes on when the parent has ended, and may begin then; its own time bounds it', async () => {
    const rig = new Rig();
    const before = rig.subrequests.background();
    await settle();
    rig.subrequests.handleParentEnd(null);
    const after = rig.subrequests.background({ timeoutMs: 5000 });
    await settle();
    assert.equal(rig.followers.length, 2);
    respond(rig.followers[0]?.exchange as ServerExchange, 200, { body: 'x' });
    assert.equal((await before).status, 200);
    await rig.advance(5010);
    const { error, status } = await after;
    assert.deepEqual([error?.reason, status], ['SUBREQUEST_TIMEOUT', 0]);
  });

  it('takes a minute at most unless told otherwise', async () => {
    const rig = new Rig();
    const result = rig.subrequests.background();
    await rig.advance(60_020);
    assert.equal((await result).error?.reason, 'SUBREQUEST_TIMEOUT');
  });

  it('takes an endless response at any speed without keeping it', async () => {
    const rig = new Rig();
    const chunk = new Uint8Array(65_536);
    let left = 1000;
    const send = (): void => {
      while (left > 0 && rig.exchange.sendData(chunk)) left--;
      if (left-- > 0) return;
      rig.exchange.sendEnd();
    };
    rig.react = { onResponseDrain: send };
    rig.onRequest = (exchange) => exchange.sendHead(response(200), BodyLength.chunked);
    const result = rig.subrequests.background();
    await settle();
    send();
    assert.deepEqual(await result, { status: 200, error: null, responseBytes: 65_536_000 });
  });
});

describe('collect', () => {
  it('gives status, fields, body and trailers', async () => {
    const rig = new Rig();
    rig.onRequest = (exchange) => {
      exchange.sendHead(response(201, { 'X-A': '1' }), BodyLength.chunked);
      exchange.sendData(bytes('ab'));
      exchange.sendData(bytes('cd'));
      exchange.sendEnd(HeaderMap.from({ 'X-Sum': '9' }));
    };
    const { status, headers, body, trailers, error } = await rig.subrequests.collect({ maxBodyBytes: 4 });
    assert.deepEqual([status, headers.get('x-a'), text(body), trailers?.get('x-sum'), error], [201, '1', 'abcd', '9', null]);
  });

  it('gives up a body that is too large: one that is announced at the head, another when it is', async () => {
    for (const length of [5, BodyLength.chunked]) {
      const rig = new Rig();
      rig.onRequest = (exchange) => {
        exchange.sendHead(response(200), length);
        exchange.sendData(bytes('abc'));
        exchange.sendData(bytes('de'));
      };
      const { status, body, error } = await rig.subrequests.collect({ maxBodyBytes: 4 });
      assert.equal(error?.reason, 'SUBREQUEST_BODY_TOO_LARGE');
      assert.equal(status, 200);
      assert.equal(text(body), length === 5 ? '' : 'abc');
      assert.deepEqual(rig.last.heard, ['end', 'close SUBREQUEST_BODY_TOO_LARGE']);
    }
  });

  it('without a response there is a status 0, no fields and an error', async () => {
    const rig = new Rig();
    const collecting = rig.subrequests.collect({ maxBodyBytes: 4, timeoutMs: 100 });
    await rig.advance(120);
    const { status, headers, body, trailers, error } = await collecting;
    assert.deepEqual([status, headers.size, body.length, trailers, error?.reason], [0, 0, 0, null, 'SUBREQUEST_TIMEOUT']);
  });

  it('sends a body along, to another application if one is named', async () => {
    const rig = new Rig();
    const echo: HttpApplication = {
      onRequest: (exchange) => ({
        onRequestData: (chunk) => respond(exchange, 200, { body: `${exchange.request.method} ${text(chunk)}` }),
        onRequestEnd() {},
        onResponseDrain() {},
        onExchangeClose() {},
      }),
    };
    const { body } = await rig.subrequests.collect({ application: echo, request: { method: 'POST' }, body: bytes('hi'), maxBodyBytes: 99 });
    assert.equal(text(body), 'POST hi');
    assert.equal(rig.followers.length, 0);
  });

  it('a bound that makes none is a RangeError at once', () => {
    for (const maxBodyBytes of [-1, 1.5, Number.POSITIVE_INFINITY, Number.NaN])
      assert.throws(() => new Rig().subrequests.collect({ maxBodyBytes }), RangeError);
  });
});

describe('what the application knows', () => {
  it('its context and depth; null of an exchange that is no subrequest', async () => {
    const rig = new Rig();
    const context = { why: 'auth' };
    await rig.open({ context });
    const facts = subrequestOf(rig.exchange);
    assert.deepEqual([facts?.context, facts?.depth, facts?.peer], [context, 1, null]);
    assert.equal(subrequestOf({} as ServerExchange), null);
  });
});

describe('bounds', () => {
  /** Each request makes another one, as deep as it may. */
  async function nest(
    options: { readonly maxDepth?: number },
    perRequest: number | undefined,
  ): Promise<{ readonly depths: number[]; readonly reason: string | undefined }> {
    const depths: number[] = [];
    let reason: string | undefined;
    const environment = new Rig().environment;
    const make = (depth: number, application: HttpApplication): Promise<void> => {
      const subrequests = new Subrequests({
        application,
        environment,
        parent: { request: request(), client: clientInfo, depth },
        ...options,
      });
      const init = perRequest === undefined ? {} : { maxDepth: perRequest };
      return subrequests.collect({ maxBodyBytes: 99, ...init }).then(({ error }) => void (reason ??= error?.reason));
    };
    const application: HttpApplication = {
      onRequest(exchange) {
        const depth = subrequestOf(exchange)?.depth ?? Number.NaN;
        depths.push(depth);
        void make(depth, application).then(() => respond(exchange, 200, {}));
        return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
      },
    };
    await make(0, application);
    return { depths, reason };
  }

  it('nesting ends at 8, or as the options or the request say: SUBREQUEST_DEPTH, and the application is not called', async () => {
    assert.deepEqual(await nest({}, undefined), { depths: [1, 2, 3, 4, 5, 6, 7, 8], reason: 'SUBREQUEST_DEPTH' });
    assert.deepEqual(await nest({ maxDepth: 2 }, undefined), { depths: [1, 2], reason: 'SUBREQUEST_DEPTH' });
    assert.deepEqual(await nest({ maxDepth: 5 }, 1), { depths: [1], reason: 'SUBREQUEST_DEPTH' });
  });

  it('depth 0 allows none', async () => {
    const { error, status } = await new Rig({ maxDepth: 0 }).subrequests.background();
    assert.deepEqual([error?.reason, error?.status, status], ['SUBREQUEST_DEPTH', 508, 0]);
  });

  it('16 run at once, or as many as the options say: one more is SUBREQUEST_COUNT, told later, until one has ended', async () => {
    const rig = new Rig();
    const opened = await Promise.all(Array.from({ length: 15 }, () => rig.open()));
    void rig.subrequests.background();
    const refused = await rig.open();
    assert.deepEqual(refused.sink.heard, ['close SUBREQUEST_COUNT']);
    assert.equal(refused.sink.closes[0]?.status, 503);
    assert.equal(refused.sub.isClosed, true);
    assert.equal(rig.followers.length, 16);
    opened[3]?.sub.cancel();
    await settle();
    const again = await rig.open();
    assert.deepEqual(again.sink.heard, []);
    assert.equal(rig.subrequests.size, 16);
  });

  it('a place is free when the sink hears of the end', async () => {
    const rig = new Rig({ maxConcurrent: 1 });
    const chain: string[] = [];
    const next = (name: string, then: () => void): void =>
      void rig.subrequests.open(
        {},
        {
          onResponse: () => void chain.push(name),
          onData() {},
          onEnd() {},
          onClose: (error) => (error === null ? then() : void chain.push(error.reason)),
        },
      );
    rig.onRequest = (exchange) => respond(exchange, 200, {});
    next('first', () => next('second', () => chain.push('done')));
    await settle();
    assert.deepEqual(chain, ['first', 'second', 'done']);
  });

  it('options that make no sense are a RangeError', () => {
    for (const options of [{ maxDepth: -1 }, { maxDepth: 1.5 }, { maxConcurrent: -1 }]) assert.throws(() => new Rig(options), RangeError);
    assert.throws(() => new Rig().subrequests.background({ maxDepth: Number.NaN }), RangeError);
  });
});

describe('the end of the parent', () => {
  it('gives up what runs for its answer, and lets nothing of the kind begin', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    const collecting = rig.subrequests.collect({ maxBodyBytes: 9 });
    await settle();
    const cause = applicationError('CLIENT_GONE');
    rig.subrequests.handleParentEnd(cause);
    rig.subrequests.handleParentEnd(null);
    await settle();
    assert.deepEqual(sink.heard, ['close SUBREQUEST_PARENT_ENDED']);
    assert.equal(sink.closes[0]?.cause, cause);
    assert.equal(sub.isClosed, true);
    assert.equal((await collecting).error?.reason, 'SUBREQUEST_PARENT_ENDED');
    assert.deepEqual(rig.last.heard, ['end', 'close SUBREQUEST_PARENT_ENDED']);
    assert.deepEqual((await rig.open()).sink.heard, ['close SUBREQUEST_PARENT_ENDED']);
    assert.equal(rig.followers.length, 2);
    assert.equal(rig.subrequests.size, 0);
  });

  it('a paused sink hears of it, too', async () => {
    const rig = new Rig();
    const { sub, sink } = await rig.open();
    sub.pause();
    respond(rig.exchange, 200, { body: 'x' });
    await settle();
    rig.subrequests.handleParentEnd(null);
    await settle();
    assert.deepEqual(sink.heard, ['close SUBREQUEST_PARENT_ENDED']);
  });
});

describe('on the system’s clock', () => {
  it('an application and a sink that never stop leave the event loop to others', { timeout: 20_000 }, async () => {
    const environment = new HttpEnvironment();
    const chunk = new Uint8Array(32_768);
    let exchange: ServerExchange | null = null;
    const fill = (): void => {
      while (exchange?.sendData(chunk) === true);
    };
    const endless: HttpApplication = {
      onRequest(made) {
        exchange = made;
        made.sendHead(response(200), BodyLength.chunked);
        return { onRequestData() {}, onRequestEnd: fill, onResponseDrain: fill, onExchangeClose() {} };
      },
    };
    const subrequests = new Subrequests({
      application: endless,
      environment,
      parent: { request: request(), client: clientInfo, depth: 0 },
    });
    let bytesTaken = 0;
    const closed = Promise.withResolvers<string | undefined>();
    const sub = subrequests.open(
      {},
      {
        onResponse() {},
        onData: (data) => void (bytesTaken += data.length),
        onEnd() {},
        onClose: (error) => closed.resolve(error?.reason),
      },
    );
    // Timers of the loop itself come in between.
    const look = (): unknown => (bytesTaken > 1_000_000 ? sub.cancel() : setTimeout(look, 1));
    look();
    assert.equal(await closed.promise, 'SUBREQUEST_CANCELLED');
  });
});

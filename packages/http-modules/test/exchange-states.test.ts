/** Exchanges behind modules in odd states: handlers and modules that are `async`, failures at odd moments, ends that cross each other. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WireError } from '@ferrata/error';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { type ClientExchange, type ClientExchangeHandler, respond, type ServerExchange } from '@ferrata/http';
import { compression, type HttpModule, type HttpModuleKind, ModuleChain, type ModuleOverrides, withModules } from '@ferrata/http-modules';
import { ask, bytes, FakeExchange, Follower, kind, moduleOptions, settle, text, through } from './rig.ts';

const ignore = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
const passing = kind('passing', { requestFilter() {} });
const editing = kind('editing', { responseBodyFilter: (chunk) => chunk });

/** As an `async` callback where none is meant: what it rejects with, nobody hears of. */
const rejecting = (() => Promise.reject(new Error('broken'))) as () => void;

/** An exchange behind modules, as a proxy would have it. */
function serve(exchange: FakeExchange, kinds: readonly HttpModuleKind[], overrides: ModuleOverrides = {}) {
  const modular = new ModuleChain(kinds, moduleOptions()).serve(exchange, overrides);
  assert.ok(modular !== null);
  exchange.handler = modular;
  return modular;
}

/** What node tells of rejections that nobody has heard of, while some work is done. */
async function unheard(work: () => unknown): Promise<unknown[]> {
  const heard: unknown[] = [];
  const listen = (reason: unknown): void => void heard.push(reason);
  process.on('unhandledRejection', listen);
  try {
    await work();
    await settle();
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('unhandledRejection', listen);
  }
  return heard;
}

describe('a handler behind modules that is async, and rejects', () => {
  for (const version of ['http1', 'http2'] as const) {
    for (const callback of ['onRequestData', 'onRequestEnd'] as const) {
      it(`ends its exchange, and not the process: ${callback}, ${version}`, async () => {
        const application = { onRequest: () => ({ ...ignore, [callback]: rejecting }) };
        const heard = await unheard(async () => {
          const answer = await ask(withModules(application, [passing], moduleOptions()), version, { method: 'POST', body: ['ab'] });
          assert.equal(answer.status, 500);
        });
        assert.deepEqual(heard, []);
      });
    }
  }
  it('ends its exchange, and not the process: onResponseDrain', async () => {
    const exchange = new FakeExchange();
    const heard = await unheard(async () => {
      const modular = serve(exchange, [passing]);
      modular.follow({ ...ignore, onResponseDrain: rejecting });
      await modular.filterRequest();
      modular.sendHead(responseHead(200), -1);
      modular.onResponseDrain();
    });
    assert.deepEqual([heard, exchange.error?.reason], [[], 'HANDLER_THREW']);
  });
  it('has nothing left to end when it hears of the close', async () => {
    const heard = await unheard(async () => {
      const exchange = new FakeExchange();
      const modular = serve(exchange, [passing]);
      modular.follow({ ...ignore, onExchangeClose: rejecting });
      await modular.filterRequest();
      exchange.close(null);
    });
    assert.deepEqual(heard, []);
  });
});

describe('a module that is async where it may not', () => {
  it('ends nobody by its close', async () => {
    const heard = await unheard(() => serve(new FakeExchange(), [kind('a', { close: rejecting })]).close());
    assert.deepEqual(heard, []);
  });
  for (const [what, give] of [
    ['a promise', rejecting],
    ['a text', () => 'no trailers'],
  ] as const) {
    it(`returns garbage when it gives ${what} for trailers`, async () => {
      const exchange = new FakeExchange();
      const heard = await unheard(async () => {
        const modular = serve(exchange, [kind('a', { responseTrailerFilter: give as unknown as () => HeaderMap })]);
        await modular.filterRequest();
        modular.follow(new Follower());
        modular.sendHead(responseHead(200), -1);
        modular.sendEnd();
      });
      assert.deepEqual([heard, exchange.error?.reason], [[], 'MODULE_RETURNED_GARBAGE']);
    });
  }
  it('has trailers edited by one that returns nothing lost, not undefined', async () => {
    const exchange = new FakeExchange();
    const modular = serve(exchange, [kind('a', { responseTrailerFilter: (() => {}) as unknown as () => null })]);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), -1);
    modular.sendEnd(HeaderMap.from({ A: 'b' }));
    assert.equal(exchange.trailers, null);
  });
  it('takes no part where its kind creates nothing, and is refused where it creates garbage', () => {
    const creating = (made: unknown): ModuleChain => new ModuleChain([{ name: 'a', create: () => made as HttpModule }], moduleOptions());
    assert.equal(creating(undefined).serve(new FakeExchange()), null);
    for (const garbage of [Promise.resolve({}), 'module'])
      assert.throws(() => creating(garbage).serve(new FakeExchange()), { reason: 'MODULE_RETURNED_GARBAGE' });
  });
});

describe('fields that many answers share', () => {
  it('are as they were behind modules that edit', async () => {
    const headers = HeaderMap.from({ 'Content-Type': 'text/html', ETag: '"1"' });
    const body = 'hello '.repeat(100);
    const application = {
      onRequest: (exchange: ServerExchange) => {
        respond(exchange, 200, { headers, body });
        return ignore;
      },
    };
    for (let turn = 0; turn < 2; turn++) {
      const modular = withModules(application, [compression()], moduleOptions());
      const answer = await ask(modular, 'http1', { fields: { 'Accept-Encoding': 'gzip' } });
      assert.ok(answer.body.startsWith('\x1f\x8b'), `answer ${turn} is not in its coding`);
      assert.equal(answer.headers.get('etag'), 'W/"1"');
    }
    assert.deepEqual([...headers], [...HeaderMap.from({ 'Content-Type': 'text/html', ETag: '"1"' })]);
  });
});

describe('lengths that were announced', () => {
  for (const [what, send] of [
    ['more', (exchange: ServerExchange) => exchange.sendData(bytes('abcdef'))],
    ['fewer', (exchange: ServerExchange) => exchange.sendEnd()],
  ] as const) {
    it(`bind an application whose body is edited: ${what} bytes end the exchange`, async () => {
      const exchange = new FakeExchange();
      const modular = serve(exchange, [editing]);
      modular.follow(new Follower());
      await modular.filterRequest();
      modular.sendHead(responseHead(200), 6);
      modular.sendData(bytes('a'));
      assert.throws(() => send(modular), RangeError);
      assert.deepEqual([exchange.error?.reason, exchange.body], ['BODY_LENGTH_WRONG', 'a']);
    });
  }
  it('do not where there is no body (RFC 9110 §6.4.1)', async () => {
    const exchange = new FakeExchange(requestHead('HEAD', '/'));
    const slow = kind('slow', { responseFilter: () => Promise.resolve(), responseBodyFilter: (chunk) => chunk });
    const modular = serve(exchange, [slow]);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), 6);
    modular.sendEnd();
    await settle();
    assert.deepEqual([exchange.isClosed, exchange.error], [true, null]);
  });
  it('bind the modules in front of compression, too: a body cut short is never taken for whole', async () => {
    const lying = kind('lying', { responseBodyLength: 1000, responseBodyFilter: (chunk) => chunk }, 1);
    const { error } = await through(
      [lying, compression()],
      { fields: { 'Accept-Encoding': 'gzip' } },
      { fields: { 'Content-Type': 'text/html' }, body: 'short' },
    );
    assert.notEqual(error, null);
  });
});

describe('ends that cross', () => {
  it('keep the modules behind from being called by the head, when one in front ends the exchange', async () => {
    const log: string[] = [];
    const exchange = new FakeExchange();
    const ending = kind('ending', { responseFilter: () => exchange.close(null) });
    const behind = kind('behind', { responseFilter: () => void log.push('filter'), close: () => void log.push('close') });
    const modular = serve(exchange, [ending, behind]);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), 0);
    assert.deepEqual(log, ['close']);
  });
  it('drop the body of a response whose head has failed, until its owner answers', async () => {
    const exchange = new FakeExchange();
    const failing = kind('failing', {
      responseFilter: () => {
        throw new Error('broken');
      },
    });
    const failed: WireError[] = [];
    const modular = serve(exchange, [failing], { onModuleFailed: (error) => void failed.push(error) });
    await modular.filterRequest();
    respond(modular, 200, { body: 'secret' });
    assert.deepEqual([failed.length, exchange.body, exchange.isClosed], [1, '', false]);
    respond(modular, 500, { body: 'sorry' });
    assert.deepEqual([exchange.status, exchange.body, exchange.isClosed], [500, 'sorry', true]);
  });
  it('keep a drain for the handler that comes later', async () => {
    const exchange = new FakeExchange();
    const work = Promise.withResolvers<Uint8Array>();
    const modular = serve(exchange, [kind('a', { responseBodyFilter: (chunk) => (chunk === null ? null : work.promise) })]);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), -1);
    assert.equal(modular.sendData(bytes('ab')), false);
    work.resolve(bytes('AB'));
    await settle();
    const follower = new Follower();
    modular.follow(follower);
    assert.deepEqual(follower.heard, ['drain']);
  });
  it('and one of the client, too', async () => {
    const exchange = new FakeExchange();
    exchange.hasRoom = false;
    const modular = serve(exchange, [passing]);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), -1);
    assert.equal(modular.sendData(bytes('ab')), false);
    modular.onResponseDrain();
    const follower = new Follower();
    modular.follow(follower);
    assert.deepEqual(follower.heard, ['drain']);
  });
});

/** An exchange in the client's role that does nothing. */
function fakeClientExchange(): ClientExchange & { isClosed: boolean } {
  return {
    isReused: false,
    info: { kind: 'fake' } as ClientExchange['info'],
    isUnsent: false,
    requestBytes: 0,
    responseBytes: 0,
    writePendingMs: 0,
    isClosed: false,
    sendData: () => true,
    sendEnd() {},
    pauseResponse() {},
    resumeResponse() {},
    cancel() {},
  };
}

describe('a response from upstream whose last piece a module fails on', () => {
  for (const isClosedFirst of [true, false]) {
    it(`is closed, and so are the modules, where the owner hears of it: the connection's end ${isClosedFirst ? 'came before' : 'comes later'}`, async () => {
      const heard: string[] = [];
      const work = Promise.withResolvers<Uint8Array>();
      const handler: ClientExchangeHandler = {
        onInterim() {},
        onResponse() {},
        onTunnel() {},
        onResponseData: (chunk) => void heard.push(text(chunk)),
        onResponseEnd: () => void heard.push('end'),
        onRequestDrain() {},
        onClientClose: (error) => void heard.push(`close ${error?.reason}`),
      };
      const module: HttpModule = {
        responseBodyFilter: (chunk) => (chunk === null ? null : work.promise),
        close: () => void heard.push('module close'),
      };
      const chain = new ModuleChain([kind('a', module)], moduleOptions());
      const upstream = { request: requestHead('GET', '/'), client: fakeClientExchange().info, hasRequestBody: false };
      const behind = chain.follow(upstream, handler, { onModuleFailed: (error) => void heard.push(`failed ${error.reason}`) });
      assert.ok(behind !== null);
      const inner = fakeClientExchange();
      behind.attach(inner);
      behind.onResponse(responseHead(200), -1);
      behind.onResponseData(bytes('ab'));
      behind.onResponseEnd(null);
      const close = (): void => {
        inner.isClosed = true;
        behind.onClientClose(null);
      };
      if (isClosedFirst) close();
      work.reject(new Error('broken'));
      await settle();
      if (!isClosedFirst) close();
      assert.deepEqual(heard, ['failed MODULE_THREW', 'module close', 'close MODULE_THREW']);
    });
  }
});

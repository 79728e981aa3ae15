/** Exchanges behind modules in odd states: handlers and modules that are `async`, failures at odd moments, ends that cross each other. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, type WireError } from '@ferrata/error';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { respond, type ServerExchange } from '@ferrata/http';
import { compression, type HttpModule, ModuleChain, withModules } from '@ferrata/http-modules';
import {
  answering,
  ask,
  bytes,
  clocked,
  FakeExchange,
  Follower,
  follow,
  ignoring,
  kind,
  moduleOptions,
  serve,
  settle,
  through,
} from './rig.ts';

const passing = kind('passing', { requestFilter() {} });
const editing = kind('editing', { responseBodyFilter: (chunk) => chunk });

/** As an `async` callback where none is meant: what it rejects with, nobody hears of. */
const rejecting = (() => Promise.reject(new Error('broken'))) as () => void;

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
        const application = { onRequest: () => ({ ...ignoring, [callback]: rejecting }) };
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
      modular.follow({ ...ignoring, onResponseDrain: rejecting });
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
      modular.follow({ ...ignoring, onExchangeClose: rejecting });
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
        return ignoring;
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

describe('trailers that many answers share', () => {
  it('are as they were behind modules that edit', async () => {
    const trailers = HeaderMap.from({ 'Repr-Digest': 'sha-256=:AA==:', 'X-Sum': '1' });
    const application = answering((exchange) => {
      exchange.sendHead(responseHead(200, { headers: { 'Content-Type': 'text/html' } }), -1);
      exchange.sendData(bytes('hello '.repeat(100)));
      exchange.sendEnd(trailers);
    });
    const modular = withModules(application, [compression()], moduleOptions());
    const answer = await ask(modular, 'http2', { fields: { 'Accept-Encoding': 'gzip' } });
    assert.deepEqual(answer.trailers?.toJSON(), [['x-sum', '1']]);
    assert.equal(trailers.get('repr-digest'), 'sha-256=:AA==:');
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
  it('are met with the end: what is sent behind it is dropped, as where no module stands between', async () => {
    const exchange = new FakeExchange();
    const work = Promise.withResolvers<null>();
    const modular = serve(exchange, [kind('slow', { responseBodyFilter: (chunk) => chunk ?? work.promise })]);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), 2);
    modular.sendData(bytes('ab'));
    modular.sendEnd();
    assert.equal(modular.sendData(bytes('c')), false);
    work.resolve(null);
    await settle();
    assert.deepEqual([exchange.body, exchange.isClosed, exchange.error], ['ab', true, null]);
  });
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
  it('keep a module that is closed from being asked what it edits, when a promise of its own comes later', async () => {
    const log: string[] = [];
    const exchange = new FakeExchange();
    const gate = Promise.withResolvers<void>();
    const slow = kind('slow', {
      responseFilter: () => gate.promise,
      get editsResponseBody(): boolean {
        log.push('asked');
        return true;
      },
      responseBodyFilter: (chunk) => chunk,
      close: () => void log.push('close'),
    });
    const modular = serve(exchange, [slow]);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), 0);
    exchange.close(null);
    gate.resolve();
    await settle();
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
  for (const [what, finish] of [
    ['lets it go', (gate: PromiseWithResolvers<void>) => gate.resolve()],
    ['fails, too', (gate: PromiseWithResolvers<void>) => gate.reject(new Error('late'))],
  ] as const) {
    it(`send no head behind a failure, nor tell of another: a module that worked on it meanwhile ${what}`, async () => {
      const exchange = new FakeExchange(requestHead('POST', '/'), -1);
      const gate = Promise.withResolvers<void>();
      const failed: string[] = [];
      const breaking = kind('breaking', { requestBodyFilter: () => assert.fail('broken') });
      const modular = serve(exchange, [breaking, kind('slow', { responseFilter: () => gate.promise })], {
        onModuleFailed: ({ reason }) => void failed.push(reason),
      });
      modular.follow(ignoring);
      await modular.filterRequest();
      modular.sendHead(responseHead(200), -1);
      modular.onRequestData(bytes('x'));
      finish(gate);
      await settle();
      assert.deepEqual([exchange.hasResponded, failed], [false, ['MODULE_THREW']]);
      respond(modular, 500, { body: 'sorry' });
      assert.deepEqual([exchange.status, exchange.body, exchange.error], [500, 'sorry', null]);
    });
  }
  it('let no request through whose body has failed meanwhile, nor have a module answer it', async () => {
    for (const answers of [false, true]) {
      const exchange = new FakeExchange(requestHead('POST', '/'), -1);
      const gate = Promise.withResolvers<void>();
      const failed: string[] = [];
      const asking = kind('asking', {
        async requestFilter(_, given) {
          await gate.promise;
          if (answers) given.respond(403);
        },
      });
      const modular = serve(exchange, [asking], { maxQueuedBytes: 10, onModuleFailed: ({ reason }) => void failed.push(reason) });
      const passed = modular.filterRequest();
      for (let piece = 0; piece < 3; piece++) modular.onRequestData(bytes('more than ten'));
      gate.resolve();
      assert.deepEqual([await passed, failed, exchange.hasResponded], [false, ['MODULE_QUEUE_OVERFLOW'], false]);
    }
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

describe('an exchange that ends while a module hangs', () => {
  const never = (): Promise<never> => new Promise(() => {});
  const hanging: readonly (readonly [name: string, module: HttpModule])[] = [
    ['requestFilter', { requestFilter: never }],
    ['requestBodyFilter', { requestBodyFilter: never }],
    ['requestBodyFlush', { requestBodyFilter: (chunk) => chunk, requestBodyFlush: never }],
    ['responseFilter', { responseFilter: never }],
    ['responseBodyFilter', { responseBodyFilter: never }],
    ['responseBodyFlush', { responseBodyFilter: (chunk) => chunk, responseBodyFlush: never }],
  ];
  for (const [name, module] of hanging) {
    it(`leaves no time-out behind, and whoever waits for the request hears of it: ${name}`, async () => {
      const { environment } = clocked();
      const exchange = new FakeExchange(requestHead('POST', '/'), -1);
      const modular = serve(exchange, [kind('hanging', module)], { environment });
      modular.follow(new Follower());
      const passed = modular.filterRequest();
      modular.onRequestData(bytes('a'));
      if (name !== 'requestFilter') modular.sendHead(responseHead(200), -1);
      if (name !== 'requestFilter') modular.sendData(bytes('a'));
      await settle();
      assert.equal(environment.deadlines.size, 1);
      exchange.close(applicationError('GONE'));
      assert.equal(environment.deadlines.size, 0);
      assert.equal(await passed, name !== 'requestFilter');
    });
  }
  it('leaves none behind it as a client either', async () => {
    const { environment } = clocked();
    for (const module of [{ responseFilter: never }, { responseBodyFilter: never }]) {
      const { modular, inner, heard } = follow([kind('hanging', module)], { environment });
      modular.attach(inner);
      modular.onResponse(responseHead(200), -1);
      modular.onResponseData(bytes('a'));
      assert.equal(environment.deadlines.size, 1);
      modular.onClientClose(applicationError('GONE'));
      assert.deepEqual([environment.deadlines.size, heard.at(-1)], [0, 'close GONE']);
    }
  });
});

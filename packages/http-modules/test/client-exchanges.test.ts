/** Modules between a client exchange and its handler: what passes, what is held, and what becomes of failures. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError } from '@ferrata/error';
import { requestHead, responseHead } from '@ferrata/headers';
import { ModuleChain } from '@ferrata/http-modules';
import { memoryPair } from '@ferrata/stream';
import { bytes, FakeClientExchange, follow, kind, moduleOptions, settle } from './rig.ts';

const broken = (): never => assert.fail('broken');

describe('an exchange behind a client', () => {
  it('says of itself what the one behind it says, once there is one', () => {
    const { modular, inner } = follow([kind('a', {})]);
    assert.throws(() => modular.info, TypeError);
    assert.deepEqual([modular.hasResponded, modular.isClosed], [false, false]);
    const attached = modular.attach(inner);
    for (const fact of ['isReused', 'info', 'isUnsent', 'requestBytes', 'responseBytes', 'writePendingMs'] as const)
      assert.equal(attached[fact], inner[fact], fact);
    attached.sendData(bytes('a'));
    attached.sendEnd();
    attached.cancel(applicationError('OVER'));
    assert.deepEqual(inner.log, ['data', 'end', 'cancel OVER']);
  });
  it('is over without one that could be cancelled', () => {
    const { modular, heard } = follow([kind('a', {})]);
    modular.cancel(applicationError('OVER'));
    modular.cancel(applicationError('AGAIN'));
    assert.deepEqual([heard, modular.isClosed], [['close OVER'], true]);
  });
  it('costs nothing where no module takes part', () => {
    const upstream = { request: requestHead('GET', '/'), client: new FakeClientExchange().info, hasRequestBody: false };
    assert.equal(new ModuleChain([kind('a', () => null)], moduleOptions()).follow(upstream, {} as never), null);
  });
  it('lets interim responses, tunnels and drains pass', () => {
    const { modular, heard } = follow([kind('a', { responseFilter: broken })]);
    modular.onInterim(responseHead(103));
    modular.onRequestDrain();
    modular.onTunnel(responseHead(101), { stream: memoryPair().a, remaining: bytes('') });
    modular.onClientClose(null);
    assert.deepEqual(heard, ['interim 103', 'drain', 'tunnel 101', 'close']);
  });
  it('keeps a body straight, with its length, that no module edits', () => {
    const { modular, heard } = follow([kind('a', { responseFilter: (head) => void (head.status = 203) })]);
    modular.onResponse(responseHead(200), -2);
    modular.onResponseData(bytes('x'));
    modular.onResponseEnd(null);
    modular.onClientClose(null);
    assert.deepEqual(heard, ['203 -2', 'x', 'end', 'close']);
  });
  it('pauses the server while modules work on the head, whatever the handler says meanwhile', async () => {
    const gate = Promise.withResolvers<void>();
    const { modular, inner, heard } = follow([kind('a', { responseFilter: () => gate.promise })]);
    modular.attach(inner);
    modular.onResponse(responseHead(200), 1);
    assert.equal(inner.isPaused, true);
    modular.pauseResponse();
    modular.resumeResponse();
    assert.equal(inner.isPaused, true);
    modular.onResponseData(bytes('x'));
    gate.resolve();
    await settle();
    assert.deepEqual([inner.isPaused, heard], [false, ['200 1', 'x']]);
  });
});

describe('an exchange behind a client that fails', () => {
  it('does so where a module would answer in its place', () => {
    const answering = kind('a', {
      responseFilter: (_head, _body, exchange) => {
        assert.deepEqual([exchange.hasResponded, exchange.hasRequestBody], [true, false]);
        exchange.respond(200);
      },
    });
    const { modular, inner } = follow([answering]);
    modular.attach(inner);
    modular.onResponse(responseHead(200), 0);
    assert.deepEqual(inner.log, ['cancel MODULE_THREW']);
  });
  for (const [name, filter] of [
    ['throw', broken],
    ['reject', () => Promise.reject(new Error('broken'))],
  ] as const) {
    it(`is cancelled when modules ${name}, and nothing more comes to the handler`, async () => {
      let closed = 0;
      const { modular, inner, heard } = follow([kind('a', { responseFilter: filter, close: () => void closed++ })]);
      modular.attach(inner);
      modular.onResponse(responseHead(200), 1);
      await settle();
      assert.deepEqual(inner.log, ['cancel MODULE_THREW']);
      modular.onResponseData(bytes('x'));
      modular.onResponseEnd(null);
      modular.onClientClose(null);
      modular.onClientClose(null);
      assert.deepEqual([heard, closed], [['close MODULE_THREW'], 1]);
    });
  }
  for (const callback of ['onResponse', 'onResponseData', 'onResponseEnd'] as const) {
    it(`is cancelled when its handler throws from ${callback}`, async () => {
      const editing = kind('a', { responseBodyFilter: async (chunk) => chunk });
      const { modular, inner } = follow([editing], {}, { [callback]: broken });
      modular.attach(inner);
      modular.onResponse(responseHead(200), -1);
      modular.onResponseData(bytes('a'));
      modular.onResponseEnd(null);
      await settle();
      assert.deepEqual(inner.log, ['cancel HANDLER_THREW']);
    });
  }
  it('tells its owner, where that wants to hear', () => {
    const failed: string[] = [];
    const { modular, inner } = follow([kind('a', { responseFilter: broken })], {
      onModuleFailed: ({ reason }) => void failed.push(reason),
    });
    modular.attach(inner);
    modular.onResponse(responseHead(200), 1);
    assert.deepEqual([failed, inner.log], [['MODULE_THREW'], []]);
  });
  for (const finish of ['resolve', 'reject'] as const) {
    it(`gives no head to its handler behind that, and tells of no other failure: what worked on the head ${finish}s later`, async () => {
      const failed: string[] = [];
      const gate = Promise.withResolvers<void>();
      const { modular, inner, heard } = follow([kind('a', { responseFilter: () => gate.promise })], {
        maxQueuedBytes: 10,
        onModuleFailed: ({ reason }) => void failed.push(reason),
      });
      modular.attach(inner);
      modular.onResponse(responseHead(200), -1);
      for (let piece = 0; piece < 3; piece++) modular.onResponseData(bytes('more than ten'));
      gate[finish]();
      await settle();
      assert.deepEqual([heard, failed], [[], ['MODULE_QUEUE_OVERFLOW']]);
    });
  }
  it('does so when a module still works on a response that is whole already', async () => {
    const work = Promise.withResolvers<null>();
    const { modular, inner, heard } = follow([kind('a', { responseBodyFilter: () => work.promise })]);
    modular.attach(inner);
    modular.onResponse(responseHead(200), 1);
    modular.onResponseData(bytes('x'));
    inner.isClosed = true;
    modular.onResponseEnd(null);
    modular.onClientClose(null);
    assert.equal(modular.isClosed, false);
    work.reject(new Error('broken'));
    await settle();
    assert.deepEqual([heard, modular.isClosed], [['200 -1', 'close MODULE_THREW'], true]);
  });
  it('survives a handler that throws at the very end, behind a promise', async () => {
    let closed = 0;
    const slow = kind('a', { responseBodyFilter: (chunk) => Promise.resolve(chunk), close: () => void closed++ });
    const { modular, inner } = follow([slow], {}, { onClientClose: broken });
    modular.attach(inner);
    modular.onResponse(responseHead(200), 1);
    modular.onResponseData(bytes('x'));
    inner.isClosed = true;
    modular.onResponseEnd(null);
    modular.onClientClose(null);
    await settle();
    assert.deepEqual([modular.isClosed, closed], [true, 1]);
  });
  for (const isClosedFirst of [true, false]) {
    it(`is closed, and so are the modules, where its owner hears of it and the end of the connection comes ${isClosedFirst ? 'before' : 'later'}`, async () => {
      const work = Promise.withResolvers<Uint8Array>();
      const log: string[] = [];
      const module = kind('a', {
        responseBodyFilter: (chunk) => (chunk === null ? null : work.promise),
        close: () => void log.push('module close'),
      });
      const { modular, inner } = follow(
        [module],
        { onModuleFailed: (error) => void log.push(`failed ${error.reason}`) },
        { onResponseData: broken, onResponseEnd: broken, onClientClose: (error) => void log.push(`close ${error?.reason}`) },
      );
      modular.attach(inner);
      modular.onResponse(responseHead(200), -1);
      modular.onResponseData(bytes('ab'));
      modular.onResponseEnd(null);
      const close = (): void => {
        inner.isClosed = true;
        modular.onClientClose(null);
      };
      if (isClosedFirst) close();
      work.reject(new Error('broken'));
      await settle();
      if (!isClosedFirst) close();
      assert.deepEqual(log, ['failed MODULE_THREW', 'module close', 'close MODULE_THREW']);
    });
  }
});

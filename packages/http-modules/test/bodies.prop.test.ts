import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { requestHead, responseHead } from '@ferrata/headers';
import { type Awaitable, type HttpModuleKind, ModuleChain, type ModulePiece } from '@ferrata/http-modules';
import { memoryPair, type StreamInfo } from '@ferrata/stream';
import fc from 'fast-check';
import { bytes, FakeExchange, Follower, kind, moduleOptions, settle, text } from './rig.ts';

/** A transform of bodies whose result does not depend on how they are cut: each byte becomes some, and some come last. */
interface Transform {
  readonly name: string;
  readonly whole: (body: string) => string;
  readonly make: () => (chunk: string | null) => string | null;
}
const transforms: readonly Transform[] = [
  { name: 'nothing', whole: (body) => body, make: () => (chunk) => chunk },
  { name: 'upper', whole: (body) => body.toUpperCase(), make: () => (chunk) => chunk?.toUpperCase() ?? null },
  { name: 'double', whole: (body) => body.replaceAll(/./gs, '$&$&'), make: () => (chunk) => chunk?.replaceAll(/./gs, '$&$&') ?? null },
  { name: 'drop a', whole: (body) => body.replaceAll('a', ''), make: () => (chunk) => chunk?.replaceAll('a', '') ?? null },
  { name: 'add', whole: (body) => `${body}<end>`, make: () => (chunk) => chunk ?? '<end>' },
  {
    name: 'reverse',
    whole: (body) => body.split('').toReversed().join(''),
    make: () => {
      let kept = '';
      return (chunk) => {
        if (chunk === null) return kept.split('').toReversed().join('');
        kept += chunk;
        return null;
      };
    },
  },
];

type Pace = 'sync' | 'soon' | 'late';
interface Drawn {
  readonly transform: Transform;
  readonly pace: Pace;
}
const drawn: fc.Arbitrary<readonly Drawn[]> = fc.array(
  fc.record({ transform: fc.constantFrom(...transforms), pace: fc.constantFrom<Pace>('sync', 'soon', 'late') }),
  { minLength: 1, maxLength: 4 },
);
const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 }), { maxLength: 8 });
const runs = { numRuns: 150 };

function paced<T>(value: T, pace: Pace): Awaitable<T> {
  if (pace === 'sync') return value;
  let promise = Promise.resolve(value);
  for (let turn = 0; turn < (pace === 'soon' ? 1 : 5); turn++) promise = promise.then((settled) => settled);
  return promise;
}

function modules(kinds: readonly Drawn[], direction: 'request' | 'response'): HttpModuleKind[] {
  return kinds.map(({ transform, pace }) =>
    kind(transform.name, () => {
      const step = transform.make();
      const filter = (chunk: Uint8Array | null): Awaitable<ModulePiece> => {
        const made = step(chunk === null ? null : text(chunk));
        return paced(made === null ? null : bytes(made), pace);
      };
      return direction === 'request'
        ? { requestFilter: () => paced(undefined, pace), requestBodyFilter: filter }
        : { responseFilter: () => paced(undefined, pace), responseBodyFilter: filter };
    }),
  );
}

const expected = (kinds: readonly Drawn[], body: string): string => kinds.reduce((whole, { transform }) => transform.whole(whole), body);

/** The next of a stream that has no end. */
function drawnFrom<T>(stream: fc.Stream<T>): T {
  return stream.next().value as T;
}

/** Some turns of the loop, fewer or more. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

describe('a body that goes through modules', () => {
  it("comes out as the whole would, in responses, whatever the pieces, the promises and the client's pace", async () => {
    await fc.assert(
      fc.asyncProperty(
        drawn,
        pieces,
        fc.infiniteStream(fc.boolean()),
        fc.infiniteStream(fc.nat({ max: 7 })),
        async (kinds, body, rooms, waits) => {
          const exchange = new FakeExchange();
          const modular = new ModuleChain(modules(kinds, 'response'), moduleOptions()).serve(exchange);
          assert.ok(modular !== null);
          exchange.handler = modular;
          const drains = { count: 0 };
          modular.follow({ onRequestData() {}, onRequestEnd() {}, onExchangeClose() {}, onResponseDrain: () => void drains.count++ });
          assert.equal(await modular.filterRequest(), true);
          modular.sendHead(responseHead(200), body.join('').length);
          for (const piece of body) {
            exchange.hasRoom = drawnFrom(rooms);
            const before = drains.count;
            const goesOn = modular.sendData(bytes(piece));
            await turns(drawnFrom(waits));
            // A client that was slow takes bytes again, and a sender that was stopped hears of it, once.
            if (goesOn) continue;
            await settle();
            exchange.hasRoom = true;
            modular.onResponseDrain();
            await settle();
            assert.equal(drains.count, before + 1);
          }
          modular.sendEnd();
          await settle();
          assert.equal(exchange.body, expected(kinds, body.join('')));
          assert.deepEqual([exchange.isClosed, exchange.error, exchange.bodyLength], [true, null, -1]);
        },
      ),
      runs,
    );
  });

  it("comes out as the whole would, in requests, whatever the pieces, the promises and the handler's pauses; never while it is paused", async () => {
    await fc.assert(
      fc.asyncProperty(
        drawn,
        pieces,
        fc.infiniteStream(fc.boolean()),
        fc.infiniteStream(fc.nat({ max: 7 })),
        async (kinds, body, pauses, waits) => {
          const exchange = new FakeExchange(requestHead('POST', '/'), -1);
          const modular = new ModuleChain(modules(kinds, 'request'), moduleOptions()).serve(exchange);
          assert.ok(modular !== null);
          let isPaused = false;
          let received = '';
          let hasEnded = false;
          modular.follow({
            onRequestData(chunk) {
              assert.ok(!isPaused && !hasEnded);
              received += text(chunk);
              if (!drawnFrom(pauses)) return;
              isPaused = true;
              modular.pauseRequest();
            },
            onRequestEnd() {
              assert.ok(!isPaused && !hasEnded);
              hasEnded = true;
            },
            onResponseDrain() {},
            onExchangeClose() {},
          });
          const passed = modular.filterRequest();
          const resume = (): void => {
            if (!isPaused) return;
            isPaused = false;
            modular.resumeRequest();
          };
          for (const piece of body) {
            for (let turn = 0; turn < 200 && exchange.isPaused; turn++) {
              await turns(1 + drawnFrom(waits));
              resume();
            }
            assert.equal(exchange.isPaused, false);
            modular.onRequestData(bytes(piece));
            await turns(drawnFrom(waits));
          }
          modular.onRequestEnd(null);
          for (let turn = 0; turn < 100 && !hasEnded; turn++) {
            await settle();
            resume();
          }
          assert.equal(await passed, true);
          assert.deepEqual([received, hasEnded, exchange.error], [expected(kinds, body.join('')), true, null]);
        },
      ),
      runs,
    );
  });

  it('comes out as the whole would behind a client exchange, and its close comes last', async () => {
    await fc.assert(
      fc.asyncProperty(drawn, pieces, fc.infiniteStream(fc.nat({ max: 7 })), async (kinds, body, waits) => {
        const upstream = { request: requestHead('GET', '/'), client: { kind: 'fake' } as StreamInfo, hasRequestBody: false };
        const heard: string[] = [];
        let received = '';
        const handler = {
          onInterim() {},
          onTunnel() {},
          onRequestDrain() {},
          onResponse: (_head: unknown, bodyLength: number) => void heard.push(`head ${bodyLength}`),
          onResponseData: (chunk: Uint8Array) => void (received += text(chunk)),
          onResponseEnd: () => void heard.push('end'),
          onClientClose: (error: unknown) => void heard.push(`close ${String(error)}`),
        };
        const modular = new ModuleChain(modules(kinds, 'response'), moduleOptions()).follow(upstream, handler);
        assert.ok(modular !== null);
        const inner = new FakeClientExchange();
        modular.attach(inner);
        modular.onResponse(responseHead(200), -2);
        for (const piece of body) {
          for (let turn = 0; turn < 200 && inner.isPaused; turn++) await turns(1);
          assert.equal(inner.isPaused, false);
          modular.onResponseData(bytes(piece));
          await turns(drawnFrom(waits));
        }
        inner.isClosed = true;
        modular.onResponseEnd(null);
        modular.onClientClose(null);
        await settle();
        assert.deepEqual([received, heard], [expected(kinds, body.join('')), ['head -1', 'end', 'close null']]);
      }),
      runs,
    );
  });
});

class FakeClientExchange {
  readonly isReused = false;
  readonly isUnsent = false;
  readonly info = { kind: 'fake' } as StreamInfo;
  readonly requestBytes = 0;
  readonly responseBytes = 0;
  readonly writePendingMs = 0;
  isClosed = false;
  isPaused = false;
  cancelled: string | null = null;
  sendData(): boolean {
    return true;
  }
  sendEnd(): void {}
  pauseResponse(): void {
    this.isPaused = true;
  }
  resumeResponse(): void {
    this.isPaused = false;
  }
  cancel(error: { reason: string }): void {
    this.cancelled = error.reason;
  }
}

describe('modules between a client exchange and its handler', () => {
  const upstream = { request: requestHead('GET', '/'), client: { kind: 'fake' } as StreamInfo, hasRequestBody: false };
  const handler = (heard: string[]): Parameters<ModuleChain['follow']>[1] => ({
    onInterim: (head) => void heard.push(`interim ${head.status}`),
    onTunnel: (head) => void heard.push(`tunnel ${head.status}`),
    onRequestDrain: () => void heard.push('drain'),
    onResponse: (head, bodyLength) => void heard.push(`${head.status} ${bodyLength}`),
    onResponseData: (chunk) => void heard.push(text(chunk)),
    onResponseEnd: () => void heard.push('end'),
    onClientClose: (error) => void heard.push(error === null ? 'close' : `close ${error.reason}`),
  });

  it('let interim responses, tunnels and drains pass, and cost nothing where none takes part', () => {
    const heard: string[] = [];
    assert.equal(new ModuleChain([kind('a', () => null)], moduleOptions()).follow(upstream, handler(heard)), null);
    const modular = new ModuleChain([kind('a', { responseFilter: () => assert.fail() })], moduleOptions()).follow(upstream, handler(heard));
    assert.ok(modular !== null);
    modular.onInterim(responseHead(103));
    modular.onRequestDrain();
    modular.onTunnel(responseHead(101), { stream: memoryPair().a, remaining: bytes('') });
    modular.onClientClose(null);
    assert.deepEqual(heard, ['interim 103', 'drain', 'tunnel 101', 'close']);
  });
  it('keep a body straight, with its length, that none of them edits', () => {
    const heard: string[] = [];
    const modular = new ModuleChain([kind('a', { responseFilter: (head) => void (head.status = 203) })], moduleOptions()).follow(
      upstream,
      handler(heard),
    );
    assert.ok(modular !== null);
    modular.onResponse(responseHead(200), -2);
    modular.onResponseData(bytes('x'));
    modular.onResponseEnd(null);
    modular.onClientClose(null);
    assert.deepEqual(heard, ['203 -2', 'x', 'end', 'close']);
  });
  for (const [name, filter] of [
    ['throw', () => assert.fail('broken')],
    ['reject', () => Promise.reject(new Error('broken'))],
  ] as const) {
    it(`cancel the exchange when they ${name}, and nothing more comes to the handler`, async () => {
      const heard: string[] = [];
      let closed = 0;
      const modular = new ModuleChain([kind('a', { responseFilter: filter, close: () => void closed++ })], moduleOptions()).follow(
        upstream,
        handler(heard),
      );
      assert.ok(modular !== null);
      const inner = new FakeClientExchange();
      modular.attach(inner);
      modular.onResponse(responseHead(200), 1);
      await settle();
      assert.equal(inner.cancelled, 'MODULE_THREW');
      modular.onResponseData(bytes('x'));
      modular.onResponseEnd(null);
      modular.onClientClose(null);
      modular.onClientClose(null);
      assert.deepEqual([heard, closed], [['close MODULE_THREW'], 1]);
    });
  }
  it('pause the server while they work on the head, whatever the handler says meanwhile', async () => {
    const heard: string[] = [];
    const gate = Promise.withResolvers<void>();
    const modular = new ModuleChain([kind('a', { responseFilter: () => gate.promise })], moduleOptions()).follow(upstream, handler(heard));
    assert.ok(modular !== null);
    const inner = new FakeClientExchange();
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
  it('survive a handler that throws at the very end, behind a promise', async () => {
    let closed = 0;
    const throwing = { ...handler([]), onClientClose: () => assert.fail('broken') };
    const slow = kind('a', { responseBodyFilter: (chunk) => Promise.resolve(chunk), close: () => void closed++ });
    const modular = new ModuleChain([slow], moduleOptions()).follow(upstream, throwing);
    assert.ok(modular !== null);
    const inner = new FakeClientExchange();
    modular.attach(inner);
    modular.onResponse(responseHead(200), 1);
    modular.onResponseData(bytes('x'));
    inner.isClosed = true;
    modular.onResponseEnd(null);
    modular.onClientClose(null);
    await settle();
    assert.deepEqual([modular.isClosed, closed], [true, 1]);
  });
  it('tell their owner of a failure, where it wants to hear', () => {
    const told: string[] = [];
    const modular = new ModuleChain([kind('a', { responseFilter: () => assert.fail('broken') })], moduleOptions()).follow(
      upstream,
      handler([]),
      {
        onModuleFailed: (error) => void told.push(error.reason),
      },
    );
    const inner = new FakeClientExchange();
    modular?.attach(inner);
    modular?.onResponse(responseHead(200), 1);
    assert.deepEqual([told, inner.cancelled], [['MODULE_THREW'], null]);
  });
  it('fail a response that is whole already, when a module still works on it', async () => {
    const heard: string[] = [];
    const work = Promise.withResolvers<null>();
    const modular = new ModuleChain([kind('a', { responseBodyFilter: () => work.promise })], moduleOptions()).follow(
      upstream,
      handler(heard),
    );
    assert.ok(modular !== null);
    const inner = new FakeClientExchange();
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
});

describe('a slow client of a body that modules edit', () => {
  it('costs no memory: the sender is stopped at once', async () => {
    const exchange = new FakeExchange();
    const modular = new ModuleChain([kind('a', { responseBodyFilter: (chunk) => paced(chunk, 'soon') })], moduleOptions()).serve(exchange);
    assert.ok(modular !== null);
    const follower = new Follower();
    modular.follow(follower);
    await modular.filterRequest();
    modular.sendHead(responseHead(200), -1);
    exchange.hasRoom = false;
    let sent = 0;
    for (let turn = 0; turn < 50; turn++) {
      const drains = follower.heard.length;
      if (sent === drains) {
        sent++;
        assert.equal(modular.sendData(new Uint8Array(16_384)), false);
      }
      await settle();
    }
    // One piece went to the network, and no other was asked for.
    assert.deepEqual([sent, concatBytes(exchange.sent).length, follower.heard], [1, 16_384, []]);
  });
});

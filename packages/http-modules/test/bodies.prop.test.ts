/** Bodies behind modules in general: what comes out is what the whole would give, whatever the pieces, the promises and the pauses. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestHead, responseHead } from '@ferrata/headers';
import type { Awaitable, HttpModuleKind, ModulePiece } from '@ferrata/http-modules';
import fc from 'fast-check';
import { bytes, FakeExchange, follow, kind, serve, settle, text } from './rig.ts';

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
          const modular = serve(exchange, modules(kinds, 'response'));
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
          const modular = serve(exchange, modules(kinds, 'request'));
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
        let received = '';
        const { modular, inner, heard } = follow(
          modules(kinds, 'response'),
          {},
          { onResponseData: (chunk) => void (received += text(chunk)) },
        );
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
        assert.deepEqual([received, heard], [expected(kinds, body.join('')), ['200 -1', 'end', 'close']]);
      }),
      runs,
    );
  });
});

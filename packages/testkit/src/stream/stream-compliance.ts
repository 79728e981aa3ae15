/**
 * The stream contract as tests: `streamCompliance` registers one `node:test` test for each sentence of it, for any implementation.
 *
 * Both ends of the pair run under `CheckedStream`, so each test also proves the lines that always hold (order of events, nothing from inside a
 * method, nothing while paused, nothing for a replaced sink). Nothing here sleeps: a test waits for an event, and where nothing may happen it
 * lets the event loop turn a few times (`settle`).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WireError, applicationError } from '@ferrata/error';
import type { L4Stream, StreamState } from '@ferrata/stream';
import fc from 'fast-check';
import { CheckedStream } from './checked-stream.ts';
import { firstMisplacedByte, positionalBytes } from './positional-bytes.ts';
import { RecordingSink } from './recording-sink.ts';

/** Two joined streams; at least `a` is of the implementation under test. */
export interface CompliancePair {
  readonly a: L4Stream;
  readonly b: L4Stream;
  /** Frees what the pair needed besides the streams (a listener). */
  close?(): void | Promise<void>;
}

/** What is special about an implementation. */
export interface StreamComplianceOptions {
  /** Lets everything happen that is going to happen; default: 12 turns of the event loop. */
  readonly settle?: () => Promise<void>;
  /** False if the layer below cannot tell a peer of an abort (Unix sockets): the peer then sees an end. Default true. */
  readonly abortIsVisible?: boolean;
  /** At most so many bytes fill the stream while its peer is paused; default 64 MiB. */
  readonly fillBytes?: number;
  /** Runs of each property; default 25. */
  readonly runs?: number;
  /** Time limit of one test in milliseconds; default 20_000. */
  readonly testTimeoutMs?: number;
  /** Tests not to be run, by key (`6b`), each with its reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

/** What one test works with. */
interface Rig {
  readonly a: CheckedStream;
  readonly b: CheckedStream;
  readonly sinkA: RecordingSink;
  readonly sinkB: RecordingSink;
  readonly settle: () => Promise<void>;
  readonly options: StreamComplianceOptions;
}

/**
 * Registers the tests of the stream contract.
 *
 * @param name the implementation, as it shall show in the test report
 * @param makePair makes a fresh pair; called once a test, and once a run of a property
 */
export function streamCompliance(name: string, makePair: () => CompliancePair | Promise<CompliancePair>, options: StreamComplianceOptions = {}): void {
  const settle = options.settle ?? turnEventLoop;

  async function withRig(signal: AbortSignal, body: (rig: Rig) => Promise<void>): Promise<void> {
    const pair = await makePair();
    const a = new CheckedStream(pair.a);
    const b = new CheckedStream(pair.b);
    const release = async (): Promise<void> => {
      pair.a.abort();
      pair.b.abort();
      await pair.close?.();
    };
    // A test that waits in vain is given up by its time limit; what it holds open must not keep the others waiting.
    const giveUp = (): void => void release();
    signal.addEventListener('abort', giveUp);
    try {
      await body({ a, b, sinkA: new RecordingSink(), sinkB: new RecordingSink(), settle, options });
      await settle();
      assert.deepEqual(a.violations, [], 'violations of a');
      assert.deepEqual(b.violations, [], 'violations of b');
    } finally {
      signal.removeEventListener('abort', giveUp);
      if (!signal.aborted) await release();
    }
  }

  describe(`${name}: the stream contract`, () => {
    for (const { key, title, body } of contractTests) {
      const reason = options.skip?.[key];
      const settings = reason === undefined ? { timeout: options.testTimeoutMs ?? 20_000 } : { skip: reason };
      test(`${key} ${title}`, settings, ({ signal }) => withRig(signal, body));
    }
    for (const { key, title, property } of contractProperties) {
      const reason = options.skip?.[key];
      const settings = reason === undefined ? { timeout: options.testTimeoutMs ?? 20_000 } : { skip: reason };
      test(`${key} ${title}`, settings, ({ signal }) =>
        fc.assert(
          property((body) => withRig(signal, body)),
          { numRuns: options.runs ?? 25 },
        ),
      );
    }
  });
}

async function turnEventLoop(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

interface ContractTest {
  readonly key: string;
  readonly title: string;
  readonly body: (rig: Rig) => Promise<void>;
}

const contractTests: readonly ContractTest[] = [
  ...linesOneToFour(),
  ...linesFiveToSeven(),
  ...stateTransitions(),
  ...calledFromCallbacks(),
];

function linesOneToFour(): ContractTest[] {
  return [
    {
      key: '1a',
      title: 'data, then one end, then one close, then nothing (line 1)',
      body: async ({ a, b, sinkA, sinkB, settle }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        a.write(ascii('one'));
        a.write(ascii('two'));
        a.end();
        await sinkB.untilEnd();
        b.end();
        await Promise.all([sinkA.untilClose(), sinkB.untilClose()]);
        await settle();
        assert.equal(sinkB.text(), 'onetwo');
        assert.deepEqual(kindsButDrain(sinkB), ['data', 'end', 'close']);
        assert.deepEqual(kindsButDrain(sinkA), ['end', 'close']);
        assert.equal(sinkA.closeError, null);
        assert.equal(sinkB.closeError, null);
      },
    },
    {
      key: '1b',
      title: 'after the peer has ended, data may still be written and arrives (line 1)',
      body: async ({ a, b, sinkA, sinkB }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        b.end();
        await sinkA.untilEnd();
        a.write(ascii('late but welcome'));
        await sinkB.untilBytes(16);
        a.end();
        await Promise.all([sinkA.untilClose(), sinkB.untilClose()]);
        assert.equal(sinkB.text(), 'late but welcome');
      },
    },
    {
      key: '1c',
      title: 'a sink attached after the end is told of the end, after its head (line 1)',
      body: async ({ a, b, sinkA, settle }) => {
        a.attach(sinkA);
        b.write(ascii('left over'));
        b.end();
        await sinkA.untilEnd();
        const next = new RecordingSink();
        a.attach(next, sinkA.bytes());
        await next.untilEnd();
        await settle();
        assert.equal(next.text(), 'left over');
        assert.deepEqual(kindsButDrain(next), ['data', 'end']);
        assert.deepEqual(kindsButDrain(sinkA), ['data', 'end']);
      },
    },
    {
      key: '1d',
      title: 'a sink attached after the close is told of the close (line 1)',
      body: async ({ a, sinkA }) => {
        a.attach(sinkA);
        const error = applicationError('TEST_ABORT');
        a.abort(error);
        await sinkA.untilClose();
        const next = new RecordingSink();
        a.attach(next);
        await next.untilClose();
        assert.deepEqual(kindsButDrain(next), ['close']);
        assert.equal(next.closeError, error);
      },
    },
    {
      key: '1e',
      title: 'what a paused sink has left, the end too, does not come after a close (line 1)',
      body: async ({ a, b, sinkA, settle }) => {
        a.attach(sinkA);
        a.pause();
        b.write(ascii('unread'));
        b.end();
        await settle();
        b.abort();
        await settle();
        if (!sinkA.isClosed) a.abort();
        await sinkA.untilClose();
        a.resume();
        await settle();
        assert.deepEqual(kindsButDrain(sinkA), ['close']);
      },
    },
    {
      key: '2a',
      title: 'no method calls the sink, whatever is waiting to be told (line 2)',
      body: async ({ a, b, sinkA, sinkB }) => {
        b.attach(sinkB);
        b.write(ascii('waiting'));
        a.attach(sinkA);
        a.pause();
        a.resume();
        await sinkA.untilBytes(7);
        a.pause();
        b.write(ascii('more'));
        b.end();
        await new Promise<void>((resolve) => setImmediate(resolve));
        a.resume();
        a.write(ascii('x'));
        a.writev([ascii('y'), ascii('z')]);
        a.end();
        a.end();
        await Promise.all([sinkA.untilClose(), sinkB.untilClose()]);
        a.abort();
        assert.equal(sinkA.text(), 'waitingmore');
        assert.equal(sinkB.text(), 'xyz');
      },
    },
    {
      key: '2b',
      title: 'the head given to attach arrives first, also on the first attach (line 2)',
      body: async ({ a, b, sinkA }) => {
        b.write(ascii(' and newer'));
        a.attach(sinkA, ascii('head'));
        await sinkA.untilBytes(14);
        assert.equal(sinkA.text(), 'head and newer');
      },
    },
    {
      key: '2c',
      title: 'a stream moves to another sink between two bytes (line 2)',
      body: async ({ a, b, settle }) => {
        const second = new RecordingSink();
        let used = '';
        const first: RecordingSink = new RecordingSink({
          onData: (chunk) => {
            const half = Math.ceil(chunk.byteLength / 2);
            used = first.text().slice(0, half);
            a.attach(second, chunk.subarray(half));
          },
        });
        a.attach(first);
        b.write(ascii('abcdef'));
        await second.until(() => used.length + second.byteLength === 6);
        b.write(ascii('ghi'));
        await second.until(() => used.length + second.byteLength === 9);
        await settle();
        assert.equal(first.chunks().length, 1);
        assert.equal(used + second.text(), 'abcdefghi');
      },
    },
    {
      key: '2d',
      title: 'attach with a head of no bytes delivers no empty chunk (line 2)',
      body: async ({ a, sinkA, settle }) => {
        a.attach(sinkA, new Uint8Array(0));
        await settle();
        assert.deepEqual(sinkA.events, []);
      },
    },
    {
      key: '3a',
      title: 'chunks handed out are never rewritten, chunks written are left as they were (line 3)',
      body: async ({ a, b, sinkB }) => {
        const copies: Uint8Array[] = [];
        const keeper = new RecordingSink({ onData: (chunk) => copies.push(chunk.slice()) });
        a.attach(keeper);
        b.attach(sinkB);
        const written: Uint8Array[] = [];
        for (let i = 0; i < 20; i++) written.push(positionalBytes(1_500 + i, i));
        for (const chunk of written) {
          b.write(chunk);
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        await keeper.untilBytes(written.reduce((sum, chunk) => sum + chunk.byteLength, 0));
        assert.deepEqual(keeper.chunks(), copies);
        written.forEach((chunk, i) => assert.equal(firstMisplacedByte(chunk, i), -1));
      },
    },
    {
      key: '4a',
      title: 'after pause there is neither data nor end until resume (line 4)',
      body: async ({ a, b, sinkA, sinkB, settle }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        b.write(ascii('first'));
        await sinkA.untilBytes(5);
        a.pause();
        b.write(ascii('second'));
        b.end();
        await settle();
        assert.deepEqual(kindsButDrain(sinkA), ['data']);
        assert.equal(sinkA.byteLength, 5);
        a.resume();
        await sinkA.untilEnd();
        assert.equal(sinkA.text(), 'firstsecond');
      },
    },
    {
      key: '4b',
      title: 'pause from inside onData holds already the next chunk (line 4)',
      body: async ({ a, b, settle }) => {
        const sink = new RecordingSink({ onData: () => a.pause() });
        a.attach(sink);
        for (let i = 0; i < 8; i++) {
          b.write(ascii(`chunk ${i};`));
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        b.end();
        await settle();
        assert.equal(sink.chunks().length, 1);
        while (!sink.hasEnded) {
          const before = sink.events.length;
          a.resume();
          await sink.until(() => sink.events.length > before);
        }
        assert.equal(sink.text(), Array.from({ length: 8 }, (_, i) => `chunk ${i};`).join(''));
      },
    },
    {
      key: '4c',
      title: 'a paused stream holds its head back too, and a new attach resumes (line 4)',
      body: async ({ a, b, sinkA, settle }) => {
        a.attach(sinkA, ascii('head'));
        a.pause();
        b.write(ascii('body'));
        await settle();
        assert.deepEqual(sinkA.events, []);
        const next = new RecordingSink();
        a.attach(next);
        await next.untilBytes(8);
        assert.equal(next.text(), 'headbody');
        assert.deepEqual(sinkA.events, []);
      },
    },
    {
      key: '4d',
      title: 'a paused stream can still write, be drained and be aborted (line 4)',
      body: async (rig) => {
        const { a, b, sinkA, sinkB } = rig;
        a.attach(sinkA);
        a.pause();
        b.attach(sinkB);
        b.pause();
        await fill(rig, sinkA);
        const drains = sinkA.drainCount;
        b.resume();
        await sinkA.until(() => sinkA.drainCount > drains);
        a.abort();
        await sinkA.untilClose();
        assert.equal(sinkA.closeError, null);
      },
    },
  ];
}

function linesFiveToSeven(): ContractTest[] {
  return [
    {
      key: '5a',
      title: 'write answers false when the peer does not read, and onDrain follows when it does (line 5)',
      body: async (rig) => {
        const { a, b, sinkA, sinkB } = rig;
        a.attach(sinkA);
        b.attach(sinkB);
        b.pause();
        const written = await fill(rig, sinkA);
        assert.ok(a.bufferedBytes > 0, 'a full stream has buffered bytes');
        const drains = sinkA.drainCount;
        b.resume();
        await sinkA.until(() => sinkA.drainCount > drains);
        await sinkB.untilBytes(written);
        assert.equal(firstMisplacedByte(sinkB.bytes()), -1);
        await until(() => a.bufferedBytes === 0);
      },
    },
    {
      key: '5b',
      title: 'writev writes the same bytes as so many writes; empty chunks leave no trace (line 5)',
      body: async ({ a, b, sinkB }) => {
        b.attach(sinkB);
        a.writev([ascii('a'), new Uint8Array(0), ascii('bc')]);
        a.writev([]);
        a.write(new Uint8Array(0));
        a.write(ascii('d'));
        a.writev([positionalBytes(10_000), positionalBytes(10_000, 0, 10_000)]);
        await sinkB.untilBytes(20_004);
        assert.equal(sinkB.text().slice(0, 4), 'abcd');
        assert.equal(firstMisplacedByte(sinkB.bytes().subarray(4)), -1);
      },
    },
    {
      key: '5c',
      title: 'bytes written after end are dropped and the answer is false (line 5)',
      body: async ({ a, b, sinkA, sinkB, settle }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        a.write(ascii('kept'));
        a.end();
        assert.equal(a.write(ascii('dropped')), false);
        assert.equal(a.writev([ascii('dropped')]), false);
        await sinkB.untilEnd();
        await settle();
        assert.equal(sinkB.text(), 'kept');
      },
    },
    {
      key: '5d',
      title: 'bytes written after a close are dropped and the answer is false (line 5)',
      body: async ({ a, b, sinkA, sinkB }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        a.abort();
        assert.equal(a.write(ascii('dropped')), false);
        await sinkA.untilClose();
        assert.equal(a.write(ascii('dropped')), false);
        assert.equal(a.writev([ascii('dropped')]), false);
        a.end();
        a.pause();
        a.resume();
      },
    },
    {
      key: '5e',
      title: 'writing to a peer that has gone does not throw, and onClose says why (line 5)',
      body: async ({ a, b, sinkA, sinkB, options }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        b.abort();
        for (let i = 0; i < 50 && !sinkA.isClosed; i++) {
          a.write(positionalBytes(1_000));
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        // A peer whose abort looks like an end leaves the stream half open until a write fails or our own end.
        if (options.abortIsVisible === false) a.end();
        await sinkA.untilClose();
        if (options.abortIsVisible !== false) assert.ok(sinkA.closeError instanceof WireError);
      },
    },
    ...(['onData', 'onDrain', 'onEnd'] as const).map(
      (callback): ContractTest => ({
        key: `6${callback}`,
        title: `a sink that throws from ${callback} aborts the stream with an internal error (line 6)`,
        body: async (rig) => {
          const { a, b, sinkB, options } = rig;
          const cause = new Error('a bug of the sink');
          const sink = new RecordingSink({
            [callback]: () => {
              throw cause;
            },
          });
          a.attach(sink);
          b.attach(sinkB);
          if (callback === 'onData') b.write(ascii('boo'));
          if (callback === 'onEnd') b.end();
          if (callback === 'onDrain') {
            b.pause();
            await fill(rig, sink);
            b.resume();
          }
          await sink.untilClose();
          const error = sink.closeError;
          assert.ok(error instanceof WireError);
          assert.equal(error.type, 'internal');
          assert.equal(error.reason, 'SINK_THREW');
          assert.equal(error.cause, cause);
          if (options.abortIsVisible !== false) {
            await sinkB.untilClose();
            assert.ok(sinkB.closeError instanceof WireError, 'the peer sees a failure');
          }
        },
      }),
    ),
    {
      key: '6onClose',
      title: 'a throw from onClose harms nobody (line 6)',
      body: async ({ a, b, sinkB, settle }) => {
        const sink = new RecordingSink({
          onClose: () => {
            throw new Error('a bug of the sink');
          },
        });
        a.attach(sink);
        b.attach(sinkB);
        a.end();
        b.end();
        await Promise.all([sink.untilClose(), sinkB.untilClose()]);
        await settle();
        assert.deepEqual(kindsButDrain(sink), ['end', 'close']);
      },
    },
    {
      key: '7a',
      title: 'a stream starts paused, the first attach starts the flow (line 7)',
      body: async ({ a, b, sinkA, sinkB, settle }) => {
        b.attach(sinkB);
        b.write(ascii('early'));
        await settle();
        a.resume();
        await settle();
        a.attach(sinkA);
        await sinkA.untilBytes(5);
        assert.equal(sinkA.text(), 'early');
      },
    },
    {
      key: '7b',
      title: 'an end before the first attach is told after it (line 7)',
      body: async ({ a, b, sinkA, settle }) => {
        b.write(ascii('early'));
        b.end();
        await settle();
        assert.equal(a.state, 'open');
        a.attach(sinkA);
        await sinkA.untilEnd();
        assert.deepEqual(kindsButDrain(sinkA), ['data', 'end']);
      },
    },
  ];
}

function stateTransitions(): ContractTest[] {
  return [
    {
      key: 'S1',
      title: 'open → ended → closed: we end, then the peer',
      body: async ({ a, b, sinkA, sinkB }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        expectState(a, 'open');
        a.end();
        expectState(a, 'ended');
        b.write(ascii('reading goes on'));
        await sinkA.untilBytes(15);
        expectState(a, 'ended');
        b.end();
        await sinkA.untilClose();
        expectState(a, 'closed');
      },
    },
    {
      key: 'S2',
      title: 'open → peerEnded → closed: the peer ends, then we',
      body: async ({ a, b, sinkA, sinkB }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        b.end();
        await sinkA.untilEnd();
        expectState(a, 'peerEnded');
        a.write(ascii('writing goes on'));
        await sinkB.untilBytes(15);
        a.end();
        expectState(a, 'closed');
        await sinkA.untilClose();
        assert.equal(sinkA.closeError, null);
        await sinkB.untilClose();
        assert.equal(sinkB.closeError, null);
      },
    },
    {
      key: 'S3',
      title: 'written bytes all arrive before the close when both sides end at once',
      body: async ({ a, b, sinkA, sinkB }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        a.write(positionalBytes(100_000, 1));
        b.write(positionalBytes(100_000, 2));
        a.end();
        b.end();
        await Promise.all([sinkA.untilClose(), sinkB.untilClose()]);
        assert.deepEqual([sinkA.byteLength, sinkB.byteLength], [100_000, 100_000]);
        assert.equal(firstMisplacedByte(sinkB.bytes(), 1), -1);
        assert.equal(firstMisplacedByte(sinkA.bytes(), 2), -1);
      },
    },
    ...(['open', 'ended', 'peerEnded'] as const).map(
      (state): ContractTest => ({
        key: `S4${state}`,
        title: `${state} → closed: abort closes at once with the error given, and the peer is told of a failure`,
        body: async ({ a, b, sinkA, sinkB, options }) => {
          a.attach(sinkA);
          b.attach(sinkB);
          if (state === 'ended') {
            a.end();
            await sinkB.untilEnd();
          }
          if (state === 'peerEnded') {
            b.end();
            await sinkA.untilEnd();
          }
          expectState(a, state);
          const error = applicationError('TEST_ABORT');
          a.abort(error);
          expectState(a, 'closed');
          a.abort(applicationError('TOO_LATE'));
          await sinkA.untilClose();
          assert.equal(sinkA.closeError, error);
          assert.equal(a.bufferedBytes, 0);
          if (options.abortIsVisible === false) return;
          await noticeAbort(b, sinkB);
          assert.ok(sinkB.closeError instanceof WireError, 'an abort must not look like an orderly end');
          expectState(b, 'closed');
        },
      }),
    ),
    {
      key: 'S5',
      title: 'abort without an error closes with null and drops what was not read',
      body: async ({ a, b, sinkA, sinkB, settle }) => {
        a.attach(sinkA);
        b.attach(sinkB);
        a.pause();
        b.write(ascii('never read'));
        await settle();
        a.resume();
        a.abort();
        await sinkA.untilClose();
        await settle();
        assert.equal(sinkA.closeError, null);
        assert.deepEqual(kindsButDrain(sinkA), ['close']);
      },
    },
    {
      key: 'S6',
      title: 'abort before the first attach is told by the first attach',
      body: async ({ a, sinkA, settle }) => {
        a.abort();
        expectState(a, 'closed');
        await settle();
        a.attach(sinkA);
        await sinkA.untilClose();
        assert.deepEqual(kindsButDrain(sinkA), ['close']);
      },
    },
    {
      key: 'S7',
      title: 'end waits until all written bytes are out, however slow the peer',
      body: async (rig) => {
        const { a, b, sinkA, sinkB, settle } = rig;
        a.attach(sinkA);
        b.attach(sinkB);
        b.pause();
        const written = await fill(rig, sinkA);
        a.end();
        await settle();
        assert.equal(sinkA.isClosed, false);
        b.resume();
        await sinkB.untilEnd();
        assert.equal(sinkB.byteLength, written);
        assert.equal(firstMisplacedByte(sinkB.bytes()), -1);
      },
    },
    {
      key: 'S8',
      title: 'streams have different ids, and room for an extension',
      body: async ({ a, b }) => {
        assert.notEqual(a.id, b.id);
        a.info.extension = 'left by a filter';
        assert.equal(a.info.extension, 'left by a filter');
        assert.notEqual(b.info.extension, 'left by a filter');
        assert.notEqual(a.info.kind, '');
      },
    },
  ];
}

function calledFromCallbacks(): ContractTest[] {
  return [
    {
      key: 'C1',
      title: 'a sink may write, end and abort from inside its callbacks',
      body: async ({ a, b }) => {
        const echo: RecordingSink = new RecordingSink({
          onData: (chunk) => void a.write(chunk.slice()),
          onEnd: () => a.end(),
        });
        const caller = new RecordingSink();
        a.attach(echo);
        b.attach(caller);
        b.write(ascii('echo me'));
        b.end();
        await Promise.all([echo.untilClose(), caller.untilClose()]);
        assert.equal(caller.text(), 'echo me');
        assert.equal(echo.closeError, null);
        assert.equal(caller.closeError, null);
      },
    },
    {
      key: 'C2',
      title: 'abort from inside onData is the last thing but onClose',
      body: async ({ a, b, settle }) => {
        const sink = new RecordingSink({ onData: () => a.abort() });
        a.attach(sink);
        b.write(ascii('one'));
        b.write(ascii('two'));
        b.end();
        await sink.untilClose();
        await settle();
        assert.deepEqual(kindsButDrain(sink), ['data', 'close']);
        assert.equal(sink.chunks().length, 1);
      },
    },
    {
      key: 'C3',
      title: 'methods called from inside onClose do nothing',
      body: async ({ a, b, sinkB, settle }) => {
        const sink = new RecordingSink({
          onClose: () => {
            a.write(ascii('x'));
            a.end();
            a.pause();
            a.resume();
            a.abort();
          },
        });
        a.attach(sink);
        b.attach(sinkB);
        a.abort(applicationError('TEST_ABORT'));
        await sink.untilClose();
        await settle();
        assert.deepEqual(kindsButDrain(sink), ['close']);
      },
    },
    {
      key: 'C4',
      title: 'a ping-pong of many small messages keeps its order',
      body: async ({ a, b }) => {
        const rounds = 200;
        const pong = new RecordingSink({ onData: (chunk) => void b.write(chunk.slice()) });
        const ping: RecordingSink = new RecordingSink({
          onData: () => {
            if (ping.byteLength < rounds) a.write(positionalBytes(1, 0, ping.byteLength));
          },
        });
        a.attach(ping);
        b.attach(pong);
        a.write(positionalBytes(1));
        await ping.untilBytes(rounds);
        assert.equal(firstMisplacedByte(ping.bytes()), -1);
      },
    },
  ];
}

type Step =
  | { readonly op: 'write'; readonly side: 'a' | 'b'; readonly sizes: readonly number[] }
  | { readonly op: 'pause' | 'resume' | 'end'; readonly side: 'a' | 'b' }
  | { readonly op: 'turn' };

const side = fc.constantFrom<'a' | 'b'>('a', 'b');
const size = fc.oneof(fc.nat(20), fc.nat(2_000), fc.nat(20_000));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('write' as const), side, sizes: fc.array(size, { minLength: 1, maxLength: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('pause' as const, 'resume' as const), side }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('end' as const), side }) },
  { weight: 3, arbitrary: fc.constant({ op: 'turn' as const }) },
);

/** How much each side has written, and whether it has ended: the model. */
interface Sent {
  byteLength: number;
  isEnded: boolean;
}

async function play(rig: Rig, steps: readonly Step[]): Promise<{ a: Sent; b: Sent }> {
  const sent = { a: { byteLength: 0, isEnded: false }, b: { byteLength: 0, isEnded: false } };
  for (const step of steps) {
    if (step.op === 'turn') {
      await new Promise<void>((resolve) => setImmediate(resolve));
      continue;
    }
    const stream = rig[step.side];
    const mine = sent[step.side];
    switch (step.op) {
      case 'write': {
        const chunks = step.sizes.map((byteLength) => {
          const chunk = positionalBytes(byteLength, step.side === 'a' ? 1 : 2, mine.byteLength);
          if (!mine.isEnded) mine.byteLength += byteLength;
          return chunk;
        });
        if (chunks.length === 1) stream.write(chunks[0] ?? new Uint8Array(0));
        else stream.writev(chunks);
        break;
      }
      case 'end':
        mine.isEnded = true;
        stream.end();
        break;
      case 'pause':
        stream.pause();
        break;
      case 'resume':
        stream.resume();
        break;
    }
  }
  return sent;
}

interface ContractProperty {
  readonly key: string;
  readonly title: string;
  readonly property: (withRig: (body: (rig: Rig) => Promise<void>) => Promise<void>) => fc.IAsyncPropertyWithHooks<[Step[]]>;
}

const contractProperties: readonly ContractProperty[] = [
  {
    key: 'P1',
    title: 'any script of writes, pauses and ends loses, doubles and reorders nothing',
    property: (withRig) =>
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) =>
        withRig(async (rig) => {
          const { a, b, sinkA, sinkB } = rig;
          a.attach(sinkA);
          b.attach(sinkB);
          const sent = await play(rig, steps);
          a.resume();
          b.resume();
          a.end();
          b.end();
          await Promise.all([sinkA.untilClose(), sinkB.untilClose()]);
          assert.deepEqual([sinkA.closeError, sinkB.closeError], [null, null]);
          assert.deepEqual([sinkB.byteLength, sinkA.byteLength], [sent.a.byteLength, sent.b.byteLength]);
          assert.equal(firstMisplacedByte(sinkB.bytes(), 1), -1);
          assert.equal(firstMisplacedByte(sinkA.bytes(), 2), -1);
        }),
      ),
  },
  {
    key: 'P2',
    title: 'an abort after any script leaves each side a prefix of what was sent, and one close',
    property: (withRig) =>
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) =>
        withRig(async (rig) => {
          const { a, b, sinkA, sinkB, options } = rig;
          a.attach(sinkA);
          b.attach(sinkB);
          const sent = await play(rig, steps);
          const wasOpen = !sinkA.isClosed && !(sent.a.isEnded && sent.b.isEnded);
          a.abort(applicationError('TEST_ABORT'));
          b.resume();
          if (options.abortIsVisible === false) b.end();
          await Promise.all([sinkA.untilClose(), noticeAbort(b, sinkB)]);
          assert.ok(sinkB.byteLength <= sent.a.byteLength && sinkA.byteLength <= sent.b.byteLength);
          assert.equal(firstMisplacedByte(sinkB.bytes(), 1), -1);
          assert.equal(firstMisplacedByte(sinkA.bytes(), 2), -1);
          if (wasOpen && options.abortIsVisible !== false) assert.ok(sinkB.closeError instanceof WireError);
        }),
      ),
  },
];

/** Writes until the stream is full and stays so. @returns how many bytes of the sequence of seed 0 were written */
async function fill({ a: stream, settle, options }: Rig, sink: RecordingSink): Promise<number> {
  const { fillBytes = 64 * 1_048_576 } = options;
  const chunkBytes = 16_384;
  let written = 0;
  while (written < fillBytes) {
    const hasRoom = stream.write(positionalBytes(chunkBytes, 0, written));
    written += chunkBytes;
    if (hasRoom) continue;
    // The layers below may still have room, and report it only after a while.
    const drains = sink.drainCount;
    await settle();
    if (sink.drainCount === drains || stream.state === 'closed') return written;
  }
  throw new Error(`the stream took ${written} bytes from a writer without a reader and was never full`);
}

/** A stream that the peer has ended may notice the peer's abort only when it writes (a socket is no longer watched for reading then). */
async function noticeAbort(stream: L4Stream, sink: RecordingSink): Promise<void> {
  while (!sink.isClosed) {
    if (stream.state === 'peerEnded') stream.write(positionalBytes(1));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** A stream may be full at any time, hence report room at any time. */
function kindsButDrain(sink: RecordingSink): string[] {
  return sink.kinds().filter((kind) => kind !== 'drain');
}

/** Waits by turns of the event loop for a condition that no event reports. */
async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await new Promise<void>((resolve) => setImmediate(resolve));
}

function expectState(stream: L4Stream, state: StreamState): void {
  assert.equal(stream.state, state);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

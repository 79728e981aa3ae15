/** The states of a stream, each transition, and what a sink may do from inside its callbacks. */
import assert from 'node:assert/strict';
import { applicationError, WireError } from '@ferrata/error';
import { firstMisplacedByte, positionalBytes } from '../positional-bytes.ts';
import { RecordingSink } from '../recording-sink.ts';
import { ascii, type ContractTest, expectState, fill, kindsButDrain, noticeAbort } from './compliance-rig.ts';

/** Tests of the state transitions. */
export function stateTransitions(): ContractTest[] {
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
    {
      key: 'S9',
      title: 'abort after end, with bytes still unsent, never looks like an orderly end of fewer bytes',
      body: async (rig) => {
        const { a, b, sinkA, sinkB, options } = rig;
        a.attach(sinkA);
        b.attach(sinkB);
        b.pause();
        const written = await fill(rig, sinkA);
        a.end();
        a.abort(applicationError('TEST_ABORT'));
        b.resume();
        await sinkA.untilClose();
        if (options.abortIsVisible === false) return;
        await sinkB.until(() => sinkB.hasEnded || sinkB.isClosed);
        if (sinkB.hasEnded) assert.equal(sinkB.byteLength, written, 'a silent short body');
      },
    },
  ];
}

/** Tests of methods called from inside callbacks. */
export function calledFromCallbacks(): ContractTest[] {
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

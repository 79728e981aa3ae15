/** Lines 5 to 7 of the stream contract: writing, sinks that throw, the start. */
import assert from 'node:assert/strict';
import { WireError } from '@ferrata/error';
import { firstMisplacedByte, positionalBytes } from '../positional-bytes.ts';
import { RecordingSink } from '../recording-sink.ts';
import { ascii, type ContractTest, fill, fillAndDrain, kindsButDrain, nextTurn, until } from './compliance-rig.ts';

/** Tests of lines 5 to 7. */
export function linesFiveToSeven(): ContractTest[] {
  return [
    {
      key: '5a',
      title: 'write answers false when the peer does not read, and onDrain follows when it does (line 5)',
      body: async (rig) => {
        const { a, sinkB } = rig;
        await fillAndDrain(rig);
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
          await nextTurn();
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

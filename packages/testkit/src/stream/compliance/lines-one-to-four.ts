/** Lines 1 to 4 of the stream contract: order of events, nothing from inside, ownership, pause. */
import assert from 'node:assert/strict';
import { applicationError } from '@ferrata/error';
import { firstMisplacedByte, positionalBytes } from '../positional-bytes.ts';
import { RecordingSink } from '../recording-sink.ts';
import { ascii, type ContractTest, fill, fillAndDrain, kindsButDrain, nextTurn } from './compliance-rig.ts';

/** Tests of lines 1 to 4. */
export function linesOneToFour(): ContractTest[] {
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
      key: '1f',
      title: 'a sink attached after a drain is told of it, unless the stream is full again (line 1)',
      body: async (rig) => {
        const { a, b, settle } = rig;
        await fillAndDrain(rig);
        await settle();
        const next = new RecordingSink();
        a.attach(next);
        await next.until(() => next.drainCount > 0);
        b.pause();
        await fill(rig, next);
        const { bufferedBytes } = a;
        const last = new RecordingSink();
        a.attach(last);
        await settle();
        // A layer below may find room after all, and then it is right to say so.
        if (a.bufferedBytes === bufferedBytes) assert.equal(last.drainCount, 0);
      },
    },
    {
      key: '1g',
      title: 'a stream that is filled up as soon as another sink is attached tells of no drain (line 1)',
      body: async (rig) => {
        const { a, b, settle } = rig;
        const written = await fillAndDrain(rig);
        b.pause();
        const next = new RecordingSink();
        a.attach(next);
        let last = a.bufferedBytes;
        for (let i = 0; i <= written && a.write(positionalBytes(16_384)); i += 16_384) last = a.bufferedBytes;
        const { bufferedBytes } = a;
        await settle();
        if (a.bufferedBytes === bufferedBytes && bufferedBytes > last) assert.equal(next.drainCount, 0);
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
        await nextTurn();
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
          await nextTurn();
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
          await nextTurn();
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

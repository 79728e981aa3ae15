import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applicationError, type WireError } from '@ferrata/error';
import { StreamInbox } from '@ferrata/stream';
import { RecordingSink } from '../../src/index.ts';

/** An inbox whose deferred runs the test runs itself. */
function makeInbox(): { inbox: StreamInbox; run: () => void; runs: () => number; faults: WireError[]; freed: number[] } {
  const tasks: (() => void)[] = [];
  const faults: WireError[] = [];
  const freed: number[] = [];
  let count = 0;
  const inbox: StreamInbox = new StreamInbox(
    {
      handleSinkFault: (error) => {
        faults.push(error);
        inbox.abort(error);
      },
      handleFreed: (byteLength) => freed.push(byteLength),
    },
    (task) => {
      count += 1;
      tasks.push(task);
    },
  );
  const run = (): void => {
    for (const task of tasks.splice(0)) task();
  };
  return { inbox, run, runs: () => count, faults, freed };
}

describe('StreamInbox', () => {
  test('asks for one run, however much has happened', () => {
    const { inbox, run, runs, freed } = makeInbox();
    const sink = new RecordingSink();
    inbox.data(Uint8Array.of(1));
    assert.equal(runs(), 0, 'without a sink there is nobody to tell');
    inbox.attach(sink);
    inbox.data(Uint8Array.of(2, 3));
    inbox.drain();
    inbox.end();
    inbox.close(null);
    assert.equal(runs(), 1);
    assert.equal(inbox.byteLength, 3);
    assert.deepEqual(sink.events, []);
    run();
    assert.deepEqual(sink.kinds(), ['drain', 'data', 'end', 'close']);
    assert.deepEqual(freed, [1, 2]);
    assert.equal(inbox.isClosed, true);
    assert.equal(inbox.isEndTold, true);
  });

  test('after a close, inputs do nothing', () => {
    const { inbox, run } = makeInbox();
    const sink = new RecordingSink();
    inbox.attach(sink);
    const error = applicationError('FIRST');
    inbox.close(error);
    inbox.close(applicationError('SECOND'));
    inbox.data(Uint8Array.of(1));
    inbox.drain();
    inbox.end();
    run();
    inbox.abort(applicationError('THIRD'));
    run();
    assert.deepEqual(sink.kinds(), ['close']);
    assert.equal(sink.closeError, error);
  });

  test('a clean close waits for a paused sink, a failure does not', () => {
    for (const error of [null, applicationError('FAILED')]) {
      const { inbox, run } = makeInbox();
      const sink = new RecordingSink();
      inbox.attach(sink);
      inbox.pause();
      assert.equal(inbox.isPaused, true);
      inbox.data(Uint8Array.of(1));
      inbox.end();
      inbox.close(error);
      run();
      assert.deepEqual(sink.kinds(), error === null ? [] : ['close']);
      inbox.resume();
      run();
      assert.deepEqual(sink.kinds(), error === null ? ['data', 'end', 'close'] : ['close']);
    }
  });

  test('an abort overrides a close that was not told yet, once', () => {
    const { inbox, run } = makeInbox();
    const sink = new RecordingSink();
    inbox.attach(sink);
    inbox.data(Uint8Array.of(1));
    inbox.close(null);
    const error = applicationError('ABORTED');
    inbox.abort(error);
    inbox.abort(null);
    inbox.attach(sink, Uint8Array.of(9));
    run();
    assert.deepEqual(sink.kinds(), ['close']);
    assert.equal(sink.closeError, error);
  });

  test('after a failure a new sink still gets its head, then the close', () => {
    const { inbox, run } = makeInbox();
    inbox.attach(new RecordingSink());
    inbox.close(applicationError('FAILED'));
    run();
    const next = new RecordingSink();
    inbox.attach(next, Uint8Array.of(1));
    run();
    assert.deepEqual(next.kinds(), ['data', 'close']);
  });

  test('a sink that throws something else than an error is reported too', () => {
    const { inbox, run, faults } = makeInbox();
    const sink = new RecordingSink({
      onData: () => {
        // oxlint-disable-next-line typescript/only-throw-error -- user code may throw anything
        throw 'a string';
      },
    });
    inbox.attach(sink);
    inbox.data(Uint8Array.of(1));
    run();
    assert.equal(faults[0]?.reason, 'SINK_THREW');
    assert.match(faults[0]?.message ?? '', /a string/);
    assert.deepEqual(sink.kinds(), ['data', 'close']);
  });

  test('flush tells at once, and never from within itself', () => {
    const { inbox } = makeInbox();
    let depth = 0;
    const sink: RecordingSink = new RecordingSink({
      onData: () => {
        depth += 1;
        assert.equal(depth, 1);
        if (sink.byteLength < 3) inbox.data(Uint8Array.of(2));
        inbox.flush();
        depth -= 1;
      },
    });
    inbox.attach(sink);
    inbox.data(Uint8Array.of(1));
    inbox.flush();
    assert.equal(sink.byteLength, 3);
  });

  test('resume before the first attach does nothing', () => {
    const { inbox, runs } = makeInbox();
    inbox.data(Uint8Array.of(1));
    inbox.resume();
    assert.equal(inbox.isPaused, true);
    assert.equal(runs(), 0);
  });
});

/** The watch over streams sees each kind of breach: without this, a green suite would prove nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { L4Sink, L4Stream, StreamState } from '@ferrata/stream';
import { memoryPair } from '@ferrata/stream';
import { CheckedStream, firstMisplacedByte, positionalBytes, RecordingSink } from '../../src/index.ts';

/** A stream that tells its sink whatever the test wants, whenever it wants. */
class Puppet implements L4Stream {
  readonly id = 1;
  readonly info = memoryPair().a.info;
  state: StreamState = 'open';
  bufferedBytes = 0;
  sink: L4Sink | null = null;
  inside: (sink: L4Sink) => void = () => {};

  attach(sink: L4Sink): void {
    this.sink = sink;
    this.inside(sink);
  }
  write(): boolean {
    if (this.sink !== null) this.inside(this.sink);
    return true;
  }
  writev(): boolean {
    return this.write();
  }
  pause(): void {
    this.write();
  }
  resume(): void {
    this.write();
  }
  end(): void {
    this.write();
  }
  abort(): void {
    this.write();
  }
}

const one = Uint8Array.of(1);

describe('CheckedStream', () => {
  const breaches: readonly (readonly [
    title: string,
    pattern: RegExp,
    act: (puppet: Puppet, checked: CheckedStream, sink: L4Sink) => void,
  ])[] = [
    [
      'data from inside attach',
      /inside a method/,
      (puppet, checked) => {
        puppet.inside = (sink) => sink.onData(one);
        checked.attach(new RecordingSink());
      },
    ],
    [
      'a drain from inside write',
      /onDrain came from inside/,
      (puppet, checked) => {
        puppet.inside = (sink) => sink.onDrain();
        checked.write(one);
      },
    ],
    [
      'a close from inside abort',
      /onClose came from inside/,
      (puppet, checked) => {
        puppet.inside = (sink) => sink.onClose(null);
        checked.abort();
      },
    ],
    ['an empty chunk', /empty chunk/, (_puppet, _checked, sink) => sink.onData(new Uint8Array(0))],
    [
      'data while paused',
      /while paused/,
      (_puppet, checked, sink) => {
        checked.pause();
        sink.onData(one);
      },
    ],
    [
      'an end while paused',
      /onEnd came while paused/,
      (puppet, checked, sink) => {
        checked.pause();
        puppet.state = 'peerEnded';
        sink.onEnd();
      },
    ],
    [
      'data after the end',
      /after onEnd/,
      (puppet, _checked, sink) => {
        puppet.state = 'peerEnded';
        sink.onEnd();
        sink.onData(one);
      },
    ],
    [
      'a second end',
      /onEnd came twice/,
      (puppet, _checked, sink) => {
        puppet.state = 'peerEnded';
        sink.onEnd();
        sink.onEnd();
      },
    ],
    ['an end in the wrong state', /onEnd came in state open/, (_puppet, _checked, sink) => sink.onEnd()],
    ['a close in the wrong state', /onClose came in state open/, (_puppet, _checked, sink) => sink.onClose(null)],
    [
      'anything after the close',
      /onDrain came after onClose/,
      (puppet, _checked, sink) => {
        puppet.state = 'closed';
        sink.onClose(null);
        sink.onDrain();
      },
    ],
    [
      'anything to a replaced sink',
      /replaced/,
      (_puppet, checked, sink) => {
        checked.attach(new RecordingSink());
        sink.onData(one);
      },
    ],
    [
      'a negative count of buffered bytes',
      /bufferedBytes is -1/,
      (puppet, checked) => {
        puppet.bufferedBytes = -1;
        void checked.bufferedBytes;
      },
    ],
  ];
  for (const [title, pattern, act] of breaches) {
    test(`sees ${title}`, () => {
      const puppet = new Puppet();
      const checked = new CheckedStream(puppet);
      checked.attach(new RecordingSink());
      act(puppet, checked, puppet.sink as L4Sink);
      assert.ok(
        checked.violations.some((violation) => pattern.test(violation)),
        checked.violations.join('; '),
      );
    });
  }

  test('sees nothing wrong in what is right', async () => {
    const { a, b } = memoryPair();
    const checked = new CheckedStream(a);
    const sink = new RecordingSink();
    checked.resume();
    checked.attach(sink);
    b.write(one);
    b.end();
    await sink.untilEnd();
    checked.end();
    await sink.untilClose();
    assert.deepEqual([checked.id, checked.info, checked.state], [a.id, a.info, 'closed']);
    assert.deepEqual(checked.violations, []);
  });
});

describe('positional bytes', () => {
  test('show a lost, a doubled and a swapped byte, and continue at any offset', () => {
    const bytes = positionalBytes(1_000, 3);
    assert.equal(firstMisplacedByte(bytes, 3), -1);
    assert.equal(firstMisplacedByte(positionalBytes(100, 3, 900), 3, 900), -1);
    assert.deepEqual(bytes.slice(900), positionalBytes(100, 3, 900));
    for (const spoilt of [
      [...bytes.slice(0, 500), ...bytes.slice(501)],
      [...bytes.slice(0, 500), ...bytes.slice(499)],
    ]) {
      const at = firstMisplacedByte(Uint8Array.from(spoilt), 3);
      assert.ok(at >= 499 && at < 510, `seen at ${at}`);
    }
    assert.notEqual(firstMisplacedByte(bytes, 4), -1);
  });
});

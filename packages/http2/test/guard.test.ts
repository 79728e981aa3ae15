/** What the flood guard stops, and what it must never stop (RFC 9113 §10.5). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FrameFlag, FrameType } from '@ferrata/http2-framing';
import { FLOOD_REASONS, FloodGuard, type FloodReason } from '../src/flood-guard.ts';
import { Bucket, type FloodGuardOptions, resolveFloodGuardOptions } from '../src/flood-guard-options.ts';

const SERVER = { isServer: true, maxConcurrentStreams: 100 };
const CLIENT = { isServer: false, maxConcurrentStreams: 100 };

function makeGuard(setup = SERVER, options: FloodGuardOptions = {}): FloodGuard {
  return new FloodGuard(resolveFloodGuardOptions(options), setup, 0);
}

/** Repeats an event until the guard stops it. @returns how often it passed, and the reason; at most 1 000 000 times */
function flood(event: (turn: number) => FloodReason | null): readonly [passed: number, reason: FloodReason | null] {
  for (let passed = 0; passed < 1_000_000; passed++) {
    const reason = event(passed);
    if (reason !== null) return [passed, reason];
  }
  return [1_000_000, null];
}

const frame = (guard: FloodGuard, type: number, length: number, flags = 0): FloodReason | null => guard.onFrame(type, flags, length);

describe('attacks, as fast as they come', () => {
  const attacks: Record<
    string,
    readonly [FloodReason, number, (guard: FloodGuard) => (turn: number) => FloodReason | null, FloodGuardOptions?]
  > = {
    'PING (CVE-2019-9512)': ['H2_FLOOD_PING', 200, (guard) => () => frame(guard, FrameType.ping, 8)],
    'SETTINGS (CVE-2019-9515)': ['H2_FLOOD_SETTINGS', 32, (guard) => () => frame(guard, FrameType.settings, 0)],
    'large SETTINGS': ['H2_FLOOD_CONTROL_BYTES', 16, (guard) => () => frame(guard, FrameType.settings, 16_380)],
    'PRIORITY (CVE-2019-9513)': ['H2_FLOOD_PRIORITY', 200, (guard) => () => frame(guard, FrameType.priority, 5)],
    PRIORITY_UPDATE: ['H2_FLOOD_PRIORITY', 200, (guard) => () => frame(guard, FrameType.priorityUpdate, 8)],
    'unknown frames': ['H2_FLOOD_UNKNOWN', 100, (guard) => () => frame(guard, 0xfa, 10)],
    'large unknown frames': ['H2_FLOOD_CONTROL_BYTES', 16, (guard) => () => frame(guard, 0xfa, 16_384)],
    WINDOW_UPDATE: ['H2_FLOOD_WINDOW_UPDATE', 2_000, (guard) => () => guard.onWindowUpdate(70_000)],
    'WINDOW_UPDATE by crumbs (CVE-2019-9511, CVE-2019-9517)': ['H2_FLOOD_TINY_WINDOW', 1_000, (guard) => () => guard.onWindowUpdate(1)],
    'crumbs squeezed out of us (CVE-2019-9511)': ['H2_FLOOD_TINY_WINDOW', 1_000, (guard) => () => guard.onDataSent(1, true)],
    'empty DATA (CVE-2019-9518)': ['H2_FLOOD_EMPTY_FRAMES', 16, (guard) => () => guard.onData(0, 0, false)],
    'empty DATA, all padding': ['H2_FLOOD_EMPTY_FRAMES', 16, (guard) => () => guard.onData(0, 255, false)],
    'empty HEADERS': ['H2_FLOOD_EMPTY_FRAMES', 16, (guard) => () => frame(guard, FrameType.headers, 0)],
    'empty CONTINUATION (CVE-2026-33870 class)': ['H2_FLOOD_EMPTY_FRAMES', 16, (guard) => () => frame(guard, FrameType.continuation, 0)],
    'empty DATA with other frames between': [
      'H2_FLOOD_EMPTY_FRAMES',
      32,
      (guard) => (turn) => (turn % 2 === 0 ? guard.onData(0, 0, false) : frame(guard, FrameType.ping, 8)),
    ],
    'empty DATA with content between': ['H2_FLOOD_EMPTY_FRAMES', 400, (guard) => (turn) => guard.onData(turn % 2, 0, false)],
    'bodies byte by byte': ['H2_FLOOD_TINY_DATA', 10_158, (guard) => () => guard.onData(1, 0, false)],
    'bodies of five bytes': ['H2_FLOOD_OVERHEAD', Math.floor(0x40_0000 / 59), (guard) => () => guard.onData(5, 0, false)],
    padding: ['H2_FLOOD_OVERHEAD', Math.floor(0x40_0000 / (64 + 255 - 10)), (guard) => () => guard.onData(10, 255, false)],
    'small CONTINUATION': ['H2_FLOOD_OVERHEAD', 0x1_0000, (guard) => () => frame(guard, FrameType.continuation, 1)],
    'PING ACK without a PING': ['H2_FLOOD_OVERHEAD', 0x1_0000, (guard) => () => frame(guard, FrameType.ping, 8, FrameFlag.ack)],
    'SETTINGS ACK without SETTINGS': ['H2_FLOOD_OVERHEAD', 0x1_0000, (guard) => () => frame(guard, FrameType.settings, 0, FrameFlag.ack)],
    'RST_STREAM for streams that are over': ['H2_FLOOD_GLITCHES', 1_000, (guard) => () => guard.onPeerReset(false)],
    'frames for streams that are over': ['H2_FLOOD_GLITCHES', 1_000, (guard) => () => guard.onGlitch()],
    'streams beyond the limit': ['H2_FLOOD_REFUSED', 100, (guard) => () => guard.onStreamRefused()],
    'streams in one chunk': ['H2_FLOOD_STREAMS', 200, (guard) => () => guard.onStreamOpened()],
    'HPACK size updates': ['H2_FLOOD_TABLE', 50, (guard) => () => guard.onTableChange(2, 0)],
    'HPACK evictions': ['H2_FLOOD_TABLE', 136, (guard) => () => guard.onTableChange(0, 60)],
    'interim responses': ['H2_FLOOD_INTERIM', 200, (guard) => () => guard.onInterim()],
    'answers not taken (CVE-2019-9517)': ['H2_FLOOD_REPLIES', 256, (guard) => () => guard.onReply()],
  };
  for (const [what, [reason, passed, makeEvent]] of Object.entries(attacks)) {
    test(`${what} end with ${reason}`, () => {
      const guard = makeGuard();
      const event = makeEvent(guard);
      assert.deepEqual(flood(event), [passed, reason]);
      assert.equal(guard.reason, reason);
      // The first reason is final, whatever else comes.
      assert.equal(guard.onGlitch(), reason);
      assert.equal(guard.onReply(), reason);
    });
  }

  test('rapid reset ends after a burst of 200, however many streams there were before (CVE-2023-44487)', () => {
    const guard = makeGuard();
    for (let i = 0; i < 1_000; i++) {
      guard.beginInput(0);
      guard.onStreamOpened();
      guard.onStreamComplete();
    }
    const [passed, reason] = flood((turn) => {
      if (turn % 50 === 0) guard.beginInput(0);
      return guard.onStreamOpened() ?? guard.onPeerReset(true);
    });
    assert.deepEqual([passed, reason], [200, 'H2_FLOOD_RESETS']);
  });

  test('resets that we send because of the peer come out of the same bucket (CVE-2025-8671)', () => {
    const guard = makeGuard();
    const [passed, reason] = flood((turn) => (turn % 2 === 0 ? guard.onLocalReset() : guard.onPeerReset(true)));
    assert.deepEqual([passed, reason], [200, 'H2_FLOOD_RESETS']);
  });

  test('below the rate limit, half of 200 requests given up are too many', () => {
    const guard = makeGuard();
    const [passed, reason] = flood((turn) => {
      guard.beginInput(turn * 50);
      return guard.onStreamOpened() ?? (turn % 2 === 0 ? guard.onPeerReset(true) : null);
    });
    assert.equal(reason, 'H2_FLOOD_PREMATURE');
    assert.ok(passed >= 200 && passed < 500, `${passed}`);
  });

  test('an attack at just above its rate is found in the end, one just below it never (PING, SETTINGS)', () => {
    for (const [type, perSecond] of [
      [FrameType.ping, 20],
      [FrameType.settings, 2],
    ] as const) {
      for (const factor of [0.95, 1.1]) {
        const guard = makeGuard();
        let reason: FloodReason | null = null;
        for (let i = 0; i < 20_000 && reason === null; i++) {
          guard.beginInput((i * 1000) / (perSecond * factor));
          reason = frame(guard, type, 0);
        }
        assert.equal(reason === null, factor < 1);
      }
    }
  });

  test('a dribble cannot pay for itself: crumbs earn nothing (CVE-2019-9511)', () => {
    const guard = makeGuard();
    const [passed, reason] = flood(() => guard.onWindowUpdate(1) ?? guard.onDataSent(1, true));
    assert.deepEqual([passed, reason], [500, 'H2_FLOOD_TINY_WINDOW']);
  });
});

describe('traffic that must pass', () => {
  /** A response of so many bytes in frames of 16 KiB; the client acknowledges each on the stream and on the connection. */
  function download(guard: FloodGuard, bytes: number): void {
    for (let rest = bytes; rest > 0; rest -= 16_384) {
      const length = Math.min(rest, 16_384);
      assert.equal(guard.onDataSent(length, false), null);
      for (let i = 0; i < 2; i++) assert.equal(frame(guard, FrameType.windowUpdate, 4) ?? guard.onWindowUpdate(length), null);
    }
  }

  function request(guard: FloodGuard): void {
    assert.equal(frame(guard, FrameType.headers, 12, FrameFlag.endStream) ?? guard.onStreamOpened(), null);
  }

  test('100 000 small requests, 32 at a time, within a second (h2load)', () => {
    const guard = makeGuard();
    for (let batch = 0; batch < 100_000 / 32; batch++) {
      guard.beginInput(batch * 0.32);
      for (let i = 0; i < 32; i++) request(guard);
      for (let i = 0; i < 32; i++) {
        assert.equal(guard.onDataSent(100, false), null);
        guard.onStreamComplete();
      }
      assert.equal(frame(guard, FrameType.windowUpdate, 4) ?? guard.onWindowUpdate(32 * 100), null);
      guard.onOutputTaken();
    }
  });

  test('1000 downloads of 1 MiB, with WINDOW_UPDATE for each frame on stream and connection, in no time at all', () => {
    const guard = makeGuard();
    for (let i = 0; i < 1_000; i++) {
      guard.beginInput(0);
      request(guard);
      download(guard, 0x10_0000);
      guard.onStreamComplete();
    }
  });

  test('a download acknowledged by the kilobyte on stream and connection (the least that a reader would)', () => {
    const guard = makeGuard();
    request(guard);
    for (let i = 0; i < 100_000; i++) {
      assert.equal(guard.onDataSent(16_384, false), null);
      for (let k = 0; k < 32; k++) assert.equal(frame(guard, FrameType.windowUpdate, 4) ?? guard.onWindowUpdate(1024), null);
    }
  });

  test('16 MiB that leave at once, acknowledged a round trip later by the kilobyte; small messages in the same way', () => {
    const guard = makeGuard();
    for (let round = 0; round < 50; round++) {
      guard.beginInput(round * 100);
      for (let i = 0; i < 1_024; i++) assert.equal(guard.onDataSent(16_384, false), null);
      guard.beginInput(round * 100 + 50);
      for (let i = 0; i < 32_768; i++) assert.equal(frame(guard, FrameType.windowUpdate, 4) ?? guard.onWindowUpdate(1024), null);
      for (let i = 0; i < 4_000; i++) assert.equal(guard.onDataSent(16, false), null);
      for (let i = 0; i < 8_000; i++) assert.equal(frame(guard, FrameType.windowUpdate, 4) ?? guard.onWindowUpdate(16), null);
    }
  });

  test('an upload of 1 GiB in frames of 16 KiB, with the last frame empty', () => {
    const guard = makeGuard();
    request(guard);
    for (let i = 0; i < 65_536; i++) assert.equal(frame(guard, FrameType.data, 16_384) ?? guard.onData(16_384, 0, false), null);
    assert.equal(guard.onData(0, 0, true), null);
  });

  test('gRPC both ways: 1 000 000 small messages answered one by one, acknowledged one by one, PINGs for the bandwidth all along', () => {
    const guard = makeGuard();
    request(guard);
    for (let i = 0; i < 1_000_000; i++) {
      guard.beginInput(i / 200);
      const reason =
        frame(guard, FrameType.data, 12) ??
        guard.onData(12, 0, false) ??
        guard.onDataSent(12, false) ??
        guard.onWindowUpdate(12) ??
        guard.onWindowUpdate(12) ??
        frame(guard, FrameType.ping, 8) ??
        guard.onReply();
      assert.equal(reason, null, `message ${i}`);
      guard.onOutputTaken();
    }
  });

  test('gRPC one way: 60 000 messages of 20 bytes a second for 10 s, PING every 100 ms', () => {
    const guard = makeGuard();
    request(guard);
    for (let ms = 0; ms < 10_000; ms++) {
      guard.beginInput(ms);
      for (let i = 0; i < 60; i++) assert.equal(guard.onData(20, 0, false), null);
      if (ms % 100 === 0) assert.equal(frame(guard, FrameType.ping, 8), null);
    }
  });

  test('gRPC calls: HEADERS, one small message with END_STREAM, an empty END_STREAM now and then, at 100 000 a second', () => {
    const guard = makeGuard();
    for (let i = 0; i < 300_000; i++) {
      guard.beginInput(i / 100);
      request(guard);
      assert.equal(guard.onData(5, 0, i % 2 === 0) ?? (i % 2 === 0 ? null : guard.onData(0, 0, true)), null);
      assert.equal(guard.onDataSent(5, false), null);
      guard.onStreamComplete();
    }
  });

  test('answers of two bytes to requests without a body, 300 000 a second', () => {
    const guard = makeGuard(CLIENT);
    for (let i = 0; i < 900_000; i++) {
      guard.beginInput(i / 300);
      request(guard);
      assert.equal(guard.onData(2, 0, true), null, `answer ${i}`);
      guard.onStreamComplete();
    }
  });

  test('a keep-alive PING every 100 ms for an hour without a request', () => {
    const guard = makeGuard();
    for (let i = 0; i < 36_000; i++) {
      guard.beginInput(i * 100);
      assert.equal(frame(guard, FrameType.ping, 8), null);
      guard.onOutputTaken();
    }
  });

  test('a browser: pages of 60 requests, of which 30 are given up at the next click 2 s later; priorities change; GREASE frames', () => {
    const guard = makeGuard();
    for (let page = 0; page < 500; page++) {
      guard.beginInput(page * 2_000);
      for (let i = 0; i < 60; i++) {
        request(guard);
        assert.equal(frame(guard, FrameType.priorityUpdate, 8) ?? frame(guard, 0x2a, 30), null);
      }
      for (let i = 0; i < 30; i++) {
        download(guard, 50_000);
        guard.onStreamComplete();
      }
      guard.beginInput(page * 2_000 + 1_000);
      for (let i = 0; i < 30 && page % 4 === 0; i++) assert.equal(guard.onPeerReset(true), null, `page ${page}`);
      guard.onOutputTaken();
    }
  });

  test('a proxy in front that gives up one request in ten, at 5000 requests a second', () => {
    const guard = makeGuard();
    for (let i = 0; i < 200_000; i++) {
      guard.beginInput(i / 5);
      request(guard);
      if (i % 10 === 0) assert.equal(guard.onPeerReset(true), null, `request ${i}`);
      else guard.onStreamComplete();
    }
  });

  test('curl: SETTINGS, WINDOW_UPDATE, a request, and the end', () => {
    const guard = makeGuard();
    const frames = [
      frame(guard, FrameType.settings, 18),
      guard.onWindowUpdate(33_488_897),
      frame(guard, FrameType.settings, 0, FrameFlag.ack),
      frame(guard, FrameType.ping, 8, FrameFlag.ack),
    ];
    assert.deepEqual(frames, [null, null, null, null]);
    request(guard);
    download(guard, 0x10_0000);
  });

  test('a client that did not know our limit yet, and opened its hundreds of streams at once', () => {
    const guard = makeGuard({ isServer: true, maxConcurrentStreams: 250 });
    for (let i = 0; i < 500; i++) request(guard);
    for (let i = 0; i < 250; i++) assert.equal(guard.onStreamRefused(), null);
  });

  test('a server that resets our streams, and one that sends many small pieces (client)', () => {
    const guard = makeGuard(CLIENT);
    for (let i = 0; i < 10_000; i++) {
      assert.equal(guard.onStreamOpened() ?? guard.onPeerReset(true), null);
      assert.equal(guard.onInterim() ?? guard.onInterim(), null);
    }
    assert.deepEqual(
      flood(() => guard.onLocalReset()),
      [1_000, 'H2_FLOOD_GLITCHES'],
    );
  });
});

describe('options', () => {
  test('each budget can be changed and switched off alone', () => {
    const open = makeGuard(SERVER, {
      pings: { burst: Infinity },
      settings: { burst: 1, perSecond: 0 },
      maxConsecutiveEmptyFrames: Infinity,
    });
    for (let i = 0; i < 100_000; i++) assert.equal(frame(open, FrameType.ping, 8), null);
    open.beginInput(1e9);
    assert.equal(frame(open, FrameType.ping, 8), null);
    assert.equal(frame(open, FrameType.settings, 0), null);
    assert.equal(frame(open, FrameType.settings, 0), 'H2_FLOOD_SETTINGS');
  });

  test('the table of limits has every budget in its bucket', () => {
    const options = resolveFloodGuardOptions();
    for (const [name, bucket] of Object.entries(Bucket)) {
      const { burst, perSecond } = options[name as keyof typeof Bucket];
      assert.equal(options.limits.bursts[bucket], burst);
      assert.equal(options.limits.perMs[bucket], perSecond / 1000);
      assert.ok((options.limits.caps[bucket] as number) >= burst);
    }
  });

  test('what makes no sense is refused by name', () => {
    assert.throws(() => resolveFloodGuardOptions({ pings: { burst: -1 } }), /pings\.burst/);
    assert.throws(() => resolveFloodGuardOptions({ resets: { perSecond: Number.NaN } }), /resets\.perSecond/);
    assert.throws(() => resolveFloodGuardOptions({ resets: { perSecond: Infinity } }), /resets\.perSecond/);
    assert.throws(() => resolveFloodGuardOptions({ maxNewStreamsFactor: 0.5 }), /maxNewStreamsFactor/);
    assert.throws(() => resolveFloodGuardOptions({ maxQueuedReplies: 0 }), /maxQueuedReplies/);
    assert.throws(() => resolveFloodGuardOptions({ prematureResetMinStreams: 1.5 }), /prematureResetMinStreams/);
  });

  test('every bucket has its reason, and no reason is named twice', () => {
    assert.equal(new Set(FLOOD_REASONS).size, FLOOD_REASONS.length);
    // Both budgets of the HPACK table have the same reason; three are no buckets.
    assert.equal(FLOOD_REASONS.length, Object.keys(Bucket).length - 1 + 3);
    for (const reason of FLOOD_REASONS) assert.match(reason, /^H2_FLOOD_[A-Z_]+$/);
  });
});

/** What the writers of `@ferrata/http2-framing` write is what the oracle and the decoder read, for every type of frame (RFC 9113 §6). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter, latin1Decode } from '@ferrata/bytes';
import {
  FrameFlag,
  FrameType,
  writeAltsvc,
  writeData,
  writeGoaway,
  writeHeaders,
  writeOrigin,
  writePing,
  writePriority,
  writePriorityUpdate,
  writePushPromise,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeUnknownFrame,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import fc from 'fast-check';
import { chunkings, cut, http2FrameCodec, http2FrameSequences, type NaiveFrame, naiveHttp2Frames, transcribe } from '../../src/index.ts';

/** Writes a frame again from what it means; a type without a writer of its own, or one that must be ignored, as it is. */
function rewrite(writer: ByteWriter, frame: NaiveFrame): void {
  const { type, flags, streamId, payload, details } = frame;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const padding = has(FrameFlag.padded) ? frame.length - payload.length - fieldBytesOf(frame) - 1 : undefined;
  const padded = padding === undefined ? {} : { padding };
  if (frame.isIgnorable) return writeUnknownFrame(writer, { type: 0xfe, flags, streamId, payload });
  switch (type) {
    case FrameType.data:
      return writeData(writer, streamId, payload, { isEndStream: has(FrameFlag.endStream), ...padded });
    case FrameType.headers: {
      const { priority } = details;
      const isEndStream = has(FrameFlag.endStream);
      return writeHeaders(writer, streamId, payload, { isEndStream, ...padded, ...(priority === undefined ? {} : { priority }) });
    }
    case FrameType.priority:
      assert.ok(details.priority !== undefined);
      return writePriority(writer, streamId, details.priority);
    case FrameType.rstStream:
      return writeRstStream(writer, streamId, details.errorCode ?? -1);
    case FrameType.settings:
      return has(FrameFlag.ack) ? writeSettingsAck(writer) : writeSettings(writer, details.settings ?? []);
    case FrameType.pushPromise:
      return writePushPromise(writer, streamId, details.promisedStreamId ?? -1, payload, padded);
    case FrameType.ping:
      return writePing(writer, payload, { isAck: has(FrameFlag.ack) });
    case FrameType.goaway:
      return writeGoaway(writer, details.lastStreamId ?? -1, details.errorCode ?? -1, latin1Decode(payload));
    case FrameType.windowUpdate:
      return writeWindowUpdate(writer, streamId, details.increment ?? -1);
    case FrameType.altsvc:
      return writeAltsvc(writer, streamId, details.origin ?? '', latin1Decode(payload));
    case FrameType.origin:
      return writeOrigin(writer, details.origins ?? []);
    case FrameType.priorityUpdate:
      return writePriorityUpdate(writer, details.prioritizedStreamId ?? -1, latin1Decode(payload).replace(/[^ -~]/g, '~'));
    default:
      return writeUnknownFrame(writer, { type, flags, streamId, payload });
  }
}

function fieldBytesOf({ type, details }: NaiveFrame): number {
  if (type === FrameType.pushPromise) return 4;
  return details.priority === undefined ? 0 : 5;
}

/** What a rewritten frame cannot keep: stray flags, payloads that are no text, and how a field block was cut. */
function essence(frames: readonly NaiveFrame[]): unknown[] {
  const result: { type: number; flags: number; payload: string; rest: unknown }[] = [];
  for (const { type, flags, streamId, payload, details, isIgnorable } of frames) {
    const text = Buffer.from(payload).toString('latin1');
    const last = result.at(-1);
    if (type === FrameType.continuation && last !== undefined) {
      last.payload += text;
      last.flags |= flags & FrameFlag.endHeaders;
      continue;
    }
    const isText = type === FrameType.priorityUpdate;
    const own = isIgnorable || type === FrameType.origin || type === FrameType.altsvc || isText ? 0 : flags & 0x2d;
    result.push({
      type: isIgnorable ? 0xfe : type,
      flags: own & meaningfulFlags(type),
      payload: isText ? text.replace(/[^ -~]/g, '~') : text,
      rest: { streamId, details: isIgnorable ? {} : details },
    });
  }
  return result;
}

function meaningfulFlags(type: number): number {
  if (type === FrameType.data || type === FrameType.settings || type === FrameType.ping) return 0x09;
  if (type === FrameType.headers) return 0x2d;
  return type === FrameType.pushPromise ? 0x0c : 0;
}

describe('writers and decoder', () => {
  test('any frames that are written again mean the same, in any cut (RFC 9113 §4.1, §6)', () => {
    const inputs = http2FrameSequences().chain((drawn) =>
      fc.record({ frames: fc.constant(drawn.meaning), sizes: chunkings(drawn.bytes.byteLength) }),
    );
    fc.assert(
      fc.property(inputs, ({ frames, sizes }) => {
        const blocks = frames.filter(({ type }) => type !== FrameType.continuation);
        const writer = new ByteWriter({ initialCapacity: 16 });
        for (const frame of blocks) rewrite(writer, withWholeBlock(frame, frames));
        const written = writer.take();
        const naive = naiveHttp2Frames(written);
        assert.equal(naive.verdict, 'whole');
        assert.deepEqual(essence(naive.frames), essence(frames));
        const { events } = transcribe(http2FrameCodec(), cut(written, sizes));
        assert.deepEqual(
          events.map(({ isStart: _start, isEnd: _end, ...frame }) => frame),
          naive.frames,
        );
      }),
      { numRuns: 400 },
    );
  });

  test('a block of any size and padding makes HEADERS and CONTINUATIONs of at most maxFrameBytes (RFC 9113 §6.10)', () => {
    const maxFrameBytes = 16_384;
    const edges = fc.constantFrom(0, 1, 16_122, 16_123, 16_124, 16_128, 16_378, 16_379, 16_383, 16_384, 16_385, 32_768, 50_000);
    const paddings = fc.option(fc.constantFrom(0, 1, 255), { nil: undefined });
    fc.assert(
      fc.property(edges, paddings, fc.boolean(), (size, padding, isPush) => {
        const block = Uint8Array.from({ length: size }, (_, i) => i * 7);
        const writer = new ByteWriter();
        const options = padding === undefined ? {} : { padding };
        if (isPush) writePushPromise(writer, 1, 2, block, options);
        else writeHeaders(writer, 1, block, { ...options, priority: { dependsOn: 0, weight: 7 } });
        const { verdict, frames } = naiveHttp2Frames(writer.take(), { maxFrameBytes, maxHeaderBlockBytes: 100_000 });
        assert.equal(verdict, 'whole');
        assert.equal(Buffer.compare(Buffer.concat(frames.map(({ payload }) => payload)), block), 0);
        assert.ok(frames.slice(0, -1).every(({ length }) => length === maxFrameBytes));
      }),
      { numRuns: 60 },
    );
  });
});

/** The frame with the payloads of its CONTINUATIONs. */
function withWholeBlock(frame: NaiveFrame, frames: readonly NaiveFrame[]): NaiveFrame {
  const from = frames.indexOf(frame) + 1;
  const end = frames.findIndex(({ type }, i) => i >= from && type !== FrameType.continuation);
  const rest = frames.slice(from, end < 0 ? undefined : end);
  const payload = Buffer.concat([frame.payload, ...rest.map((one) => one.payload)]);
  return { ...frame, payload, length: frame.length + payload.length - frame.payload.length };
}

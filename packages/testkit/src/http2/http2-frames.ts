/**
 * HTTP/2 frames with what they mean, for round trips and as the seeds of near misses.
 *
 * Drawn are all types of RFC 9113, those of its extensions and unknown ones; padding, reserved bits and flags without a meaning; lengths and numbers at
 * their edges. What is drawn obeys the rules of frames and of field blocks, not those of streams and connections.
 */
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import fc from 'fast-check';
import { type Drawn, inSequence, numberBytes, payloads } from '../arbitrary/frames.ts';
import { type NaiveFrame, type NaiveFrameDetails, naiveHttp2Frame } from './naive-frames.ts';

/** One frame, or a field block in as many frames as it takes: HEADERS or PUSH_PROMISE with its CONTINUATIONs. */
export function http2Frames(): fc.Arbitrary<Drawn<readonly NaiveFrame[]>> {
  return fc.oneof(
    { weight: 3, arbitrary: dataFrames() },
    { weight: 3, arbitrary: fieldBlocks() },
    { weight: 6, arbitrary: fixedFrames() },
    { weight: 2, arbitrary: extensionFrames() },
  );
}

/** The frames of one direction of a connection, up to `maxLength` of `http2Frames`, perhaps none. The client preface is not among them. */
export function http2FrameSequences(maxLength = 6): fc.Arbitrary<Drawn<readonly NaiveFrame[]>> {
  return inSequence(http2Frames(), maxLength).map(({ bytes, meaning }) => ({ bytes, meaning: meaning.flat() }));
}

/** Words for `nearMisses` of frames: headers and values that decide something. */
export const HTTP2_FRAME_WORDS: readonly Uint8Array[] = [
  naiveHttp2Frame(0, 8, 1, Uint8Array.of(0xff)),
  naiveHttp2Frame(0, 1, 1, new Uint8Array(0)),
  naiveHttp2Frame(1, 0, 1, new Uint8Array(0)),
  naiveHttp2Frame(1, 0x2d, 1, new Uint8Array(6)),
  naiveHttp2Frame(9, 0, 1, new Uint8Array(0)),
  naiveHttp2Frame(9, 4, 1, new Uint8Array(0)),
  naiveHttp2Frame(4, 0, 0, Uint8Array.of(0, 4, 0x80, 0, 0, 0)),
  naiveHttp2Frame(4, 1, 0, new Uint8Array(0)),
  naiveHttp2Frame(8, 0, 0, new Uint8Array(4)),
  naiveHttp2Frame(8, 0, 1, new Uint8Array(4)),
  Uint8Array.of(0, 0x40, 0, 0),
  Uint8Array.of(0, 0x40, 1, 0),
];

const streamIds = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(0x7fff_ffff, 0x100, 0x1_0000));
const uint32 = fc.oneof(fc.nat(16), fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff), fc.nat(0xffff_ffff));
const paddings = fc.option(fc.oneof(fc.nat(8), fc.constantFrom(0, 1, 255)), { nil: undefined, freq: 2 });
/** Bits that no type gives a meaning. */
const strayFlags = fc.constantFrom(0, 0, 0, 0x40, 0x80, 0xc2);
const reservedBits = fc.constantFrom(0, 0, 0, 0x8000_0000);
const priorities = fc.record(
  {
    dependsOn: fc.oneof(fc.constant(0), fc.integer({ min: 10, max: 20 })),
    weight: fc.integer({ min: 1, max: 256 }),
    isExclusive: fc.boolean(),
  },
  { noNullPrototype: true },
);

interface Parts {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  /** Fields before the payload, and what they mean. */
  readonly fields?: Uint8Array;
  readonly payload: Uint8Array;
  readonly details?: NaiveFrameDetails;
  readonly padding?: number | undefined;
  readonly isIgnorable?: boolean;
}

/** @param reserved a bit to set where one is reserved, in front of the stream identifier */
function drawn(parts: Parts, reserved: number): Drawn<readonly NaiveFrame[]> {
  const { type, streamId, fields = new Uint8Array(0), payload, details = {}, padding, isIgnorable = false } = parts;
  const flags = parts.flags | (padding === undefined ? 0 : 8);
  const padLength = padding === undefined ? [] : [Uint8Array.of(padding)];
  const whole = concatBytes([...padLength, fields, payload, new Uint8Array(padding ?? 0)]);
  const frame = { type, flags, streamId, length: whole.length, payload: payload.slice(), details, streamError: 0, isIgnorable };
  return { bytes: naiveHttp2Frame(type, flags, streamId + reserved, whole), meaning: [frame] };
}

function dataFrames(): fc.Arbitrary<Drawn<readonly NaiveFrame[]>> {
  return fc
    .tuple(streamIds, payloads(), paddings, fc.constantFrom(0, 1), strayFlags, reservedBits)
    .map(([streamId, payload, padding, end, stray, reserved]) =>
      drawn({ type: 0, flags: end | stray, streamId, payload, padding }, reserved),
    );
}

function fieldBlocks(): fc.Arbitrary<Drawn<readonly NaiveFrame[]>> {
  const fragments = fc.array(payloads(60), { maxLength: 4 });
  return fc
    .record({ streamId: streamIds, first: payloads(), padding: paddings, fragments, reserved: reservedBits, kind: blockKinds() })
    .map(({ streamId, first, padding, fragments: rest, reserved, kind }) => {
      const flags = kind.flags | (rest.length === 0 ? 4 : 0);
      const head = drawn({ ...kind, flags, streamId, payload: first, padding }, reserved);
      const others = rest.map((payload, i) => drawn({ type: 9, flags: i === rest.length - 1 ? 4 : 0, streamId, payload }, reserved));
      const all = [head, ...others];
      return { bytes: concatBytes(all.map(({ bytes }) => bytes)), meaning: all.flatMap(({ meaning }) => meaning) };
    });
}

function blockKinds(): fc.Arbitrary<Pick<Parts, 'type' | 'flags' | 'fields' | 'details'> & { readonly flags: number }> {
  return fc.oneof(
    fc.constantFrom(0, 1).map((flags) => ({ type: 1, flags })),
    priorities.map((priority) => ({ type: 1, flags: 0x20, fields: priorityBytes(priority), details: { priority } })),
    streamIds.map((promisedStreamId) => ({
      type: 5,
      flags: 0,
      fields: numberBytes(promisedStreamId, { byteLength: 4 }),
      details: { promisedStreamId },
    })),
  );
}

function fixedFrames(): fc.Arbitrary<Drawn<readonly NaiveFrame[]>> {
  const word = (value: number): Uint8Array => numberBytes(value, { byteLength: 4 });
  const parts = fc.oneof<fc.Arbitrary<Parts>[]>(
    fc.tuple(streamIds, priorities).map(([streamId, priority]) => ({
      type: 2,
      flags: 0,
      streamId,
      fields: priorityBytes(priority),
      payload: new Uint8Array(0),
      details: { priority },
    })),
    fc
      .tuple(streamIds, uint32)
      .map(([streamId, errorCode]) => ({ type: 3, flags: 0, streamId, payload: word(errorCode), details: { errorCode } })),
    fc.array(settings(), { maxLength: 8 }).map((entries) => ({
      type: 4,
      flags: 0,
      streamId: 0,
      payload: concatBytes(entries.flatMap(([id, value]) => [numberBytes(id), word(value)])).slice(),
      details: { settings: entries },
    })),
    fc.constant({ type: 4, flags: 1, streamId: 0, payload: new Uint8Array(0), details: { settings: [] } }),
    fc
      .tuple(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.constantFrom(0, 1))
      .map(([payload, flags]) => ({ type: 6, flags, streamId: 0, payload })),
    fc.tuple(fc.nat(0x7fff_ffff), uint32, payloads(40)).map(([lastStreamId, errorCode, payload]) => ({
      type: 7,
      flags: 0,
      streamId: 0,
      fields: concatBytes([word(lastStreamId), word(errorCode)]),
      payload,
      details: { lastStreamId, errorCode },
    })),
    fc
      .tuple(fc.oneof(fc.constant(0), streamIds), fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(0x7fff_ffff)))
      .map(([streamId, increment]) => ({ type: 8, flags: 0, streamId, payload: word(increment), details: { increment } })),
  );
  return fc.tuple(parts, strayFlags, reservedBits).map(([one, stray, reserved]) => drawn({ ...one, flags: one.flags | stray }, reserved));
}

/** Valid by RFC 9113 §6.5.2, RFC 8441 §3 and RFC 9218 §2.1, or unknown. */
function settings(): fc.Arbitrary<readonly [number, number]> {
  return fc.oneof(
    fc.tuple(fc.constantFrom(2, 8, 9), fc.constantFrom(0, 1)),
    fc.tuple(fc.constant(4), fc.constantFrom(0, 65_535, 0x7fff_ffff)),
    fc.tuple(fc.constant(5), fc.constantFrom(0x4000, 0xff_ffff)),
    fc.tuple(fc.constantFrom(1, 3, 6, 0, 7, 0x0a, 0xffff), uint32),
  );
}

function extensionFrames(): fc.Arbitrary<Drawn<readonly NaiveFrame[]>> {
  const origins = fc.constantFrom('https://a', 'https://example.org:8443', 'x'.repeat(256));
  const text = (value: string): Uint8Array => concatBytes([numberBytes(value.length), latin1Encode(value)]);
  const parts = fc.oneof<fc.Arbitrary<Parts>[]>(
    fc.tuple(origins, payloads(20)).map(([origin, payload]) => ({
      type: 10,
      flags: 0,
      streamId: 0,
      fields: text(origin),
      payload,
      details: { origin },
    })),
    fc.tuple(streamIds, payloads(20)).map(([streamId, payload]) => ({
      type: 10,
      flags: 0,
      streamId,
      fields: text(''),
      payload,
      details: { origin: '' },
    })),
    // To be ignored: the origin is missing, or one too many.
    payloads(20).map((payload) => ({ type: 10, flags: 0, streamId: 0, fields: text(''), payload, isIgnorable: true })),
    fc.tuple(streamIds, origins).map(([streamId, origin]) => ({
      type: 10,
      flags: 0,
      streamId,
      fields: text(origin),
      payload: new Uint8Array(0),
      isIgnorable: true,
    })),
    fc.array(origins, { maxLength: 3 }).map((list) => ({
      type: 12,
      flags: 0,
      streamId: 0,
      payload: concatBytes(list.map(text)).slice(),
      details: { origins: list },
    })),
    fc.tuple(streamIds, payloads(20)).map(([streamId, payload]) => ({ type: 12, flags: 0, streamId, payload, isIgnorable: true })),
    fc.tuple(streamIds, payloads(20)).map(([prioritizedStreamId, payload]) => ({
      type: 16,
      flags: 0,
      streamId: 0,
      fields: numberBytes(prioritizedStreamId, { byteLength: 4 }),
      payload,
      details: { prioritizedStreamId },
    })),
    fc
      .tuple(fc.constantFrom(0x0b, 0x0d, 0x0f, 0x11, 0x20, 0xff), fc.nat(255), fc.oneof(fc.constant(0), streamIds), payloads())
      .map(([type, flags, streamId, payload]) => ({ type, flags, streamId, payload, isIgnorable: true })),
  );
  return fc.tuple(parts, reservedBits).map(([one, reserved]) => drawn(one, reserved));
}

function priorityBytes({ dependsOn, weight, isExclusive }: NonNullable<NaiveFrameDetails['priority']>): Uint8Array {
  return concatBytes([numberBytes(dependsOn + (isExclusive ? 0x8000_0000 : 0), { byteLength: 4 }), Uint8Array.of(weight - 1)]);
}

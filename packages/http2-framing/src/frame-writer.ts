/**
 * Writes HTTP/2 frames into a `ByteWriter`: one function a type.
 *
 * Rules of this file:
 * - Arguments are checked before the first byte is written. What a function refuses leaves the writer as it was; only a program can cause it.
 * - What the peer allows is the caller's to know: windows, settings, `maxFrameBytes` (its SETTINGS_MAX_FRAME_SIZE).
 * - `padding` counts the bytes behind the payload: 0 to 255, and 0 writes the flag and the length 0. Left out, there is no flag (RFC 9113 §6.1).
 *
 * @see RFC 9113 §4.1, §6 · RFC 7838 §4 · RFC 8336 §2 · RFC 9218 §7.1
 */
import { type ByteWriter, EMPTY_BYTES } from '@ferrata/bytes';
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, MAX_MAX_FRAME_BYTES, MAX_STREAM_ID, MIN_MAX_FRAME_BYTES } from './frame-type.ts';
import { checkMaxFrameBytes, checkPadding, checkStreamId, checkText, checkUint } from './internal/argument-checks.ts';
import { PRIORITY_FIELDS_BYTES, STREAM_ID_BYTES } from './internal/frame-header-rules.ts';
import {
  continuationHeaderBytes,
  putContinuations,
  putHeader,
  putPadding,
  putPadLength,
  putPriority,
  putText,
  putUint16,
  putUint32,
} from './internal/put.ts';
import { SETTING_BYTES, settingRefusal } from './internal/setting-rules.ts';

/** The priority fields of RFC 7540 §5.3, which RFC 9113 keeps on the wire and deprecates. */
export interface PriorityFields {
  /** The stream depended on; 0 for none. Another one than the frame's own. */
  readonly dependsOn: number;
  /** 1 to 256. */
  readonly weight: number;
  /** Default false. */
  readonly isExclusive?: boolean;
}

/** Options of `writeData`. */
export interface DataOptions {
  /** END_STREAM. Default false. */
  readonly isEndStream?: boolean;
  /** Bytes of padding, 0 to 255; default no padding and no flag. */
  readonly padding?: number;
}

/** Options of `writePushPromise`. */
export interface FieldBlockOptions {
  /** Bytes of padding of the first frame, 0 to 255; default no padding and no flag. */
  readonly padding?: number;
  /** Longest payload of a frame: the peer's SETTINGS_MAX_FRAME_SIZE, at least 16 384, which is the default. What is over goes into CONTINUATIONs. */
  readonly maxFrameBytes?: number;
}

/** Options of `writeHeaders`. */
export interface HeadersOptions extends FieldBlockOptions {
  /** END_STREAM. Default false. */
  readonly isEndStream?: boolean;
  /** Default none and no flag. */
  readonly priority?: PriorityFields;
}

/**
 * Writes the nine bytes in front of any payload (RFC 9113 §4.1), which the caller writes: all other functions of this file write whole frames.
 *
 * @param streamId 0 to 2^31 - 1
 * @throws {RangeError} when an argument does not fit into its field
 */
export function writeFrameHeader(writer: ByteWriter, length: number, type: number, flags: number, streamId: number): void {
  checkUint('length', length, MAX_MAX_FRAME_BYTES);
  checkUint('type', type, 0xff);
  checkUint('flags', flags, 0xff);
  checkUint('streamId', streamId, MAX_STREAM_ID);
  const at = writer.makeRoom(FRAME_HEADER_BYTES);
  writer.commit(putHeader(writer.slab, at, length, type, flags, streamId));
}

/** Writes DATA (RFC 9113 §6.1) with a copy of `data`. @throws {RangeError} for a stream that is none, padding out of range, more than 2^24 - 1 bytes */
export function writeData(writer: ByteWriter, streamId: number, data: Uint8Array, options: DataOptions = {}): void {
  const { isEndStream = false, padding } = options;
  checkStreamId('streamId', streamId);
  checkPadding(padding);
  const flags = (isEndStream ? FrameFlag.endStream : 0) | paddingFlag(padding);
  const length = data.length + paddingLength(padding);
  checkUint('length', length, MAX_MAX_FRAME_BYTES);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + length);
  const { slab } = writer;
  let end = putHeader(slab, at, length, FrameType.data, flags, streamId);
  end = putPadLength(slab, end, padding);
  slab.set(data, end);
  writer.commit(putPadding(slab, end + data.length, padding));
}

/**
 * Writes HEADERS (RFC 9113 §6.2) with a copy of a field block, and as many CONTINUATIONs (§6.10) as it needs.
 *
 * @param block what HPACK made of the field lines
 * @throws {RangeError} for a stream that is none, one that depends on itself, a weight, padding or `maxFrameBytes` out of range
 */
export function writeHeaders(writer: ByteWriter, streamId: number, block: Uint8Array, options: HeadersOptions = {}): void {
  const { isEndStream = false, priority, padding, maxFrameBytes = MIN_MAX_FRAME_BYTES } = options;
  checkStreamId('streamId', streamId);
  checkPadding(padding);
  checkMaxFrameBytes(maxFrameBytes);
  let flags = (isEndStream ? FrameFlag.endStream : 0) | paddingFlag(padding);
  let fixed = paddingLength(padding);
  if (priority !== undefined) {
    checkPriority(streamId, priority);
    flags |= FrameFlag.priority;
    fixed += PRIORITY_FIELDS_BYTES;
  }
  const first = Math.min(block.length, maxFrameBytes - fixed);
  if (first === block.length) flags |= FrameFlag.endHeaders;
  const at = writer.makeRoom(FRAME_HEADER_BYTES + fixed + block.length + continuationHeaderBytes(block.length - first, maxFrameBytes));
  const { slab } = writer;
  let end = putHeader(slab, at, fixed + first, FrameType.headers, flags, streamId);
  end = putPadLength(slab, end, padding);
  if (priority !== undefined) end = putPriorityFields(slab, end, priority);
  slab.set(first === block.length ? block : block.subarray(0, first), end);
  end = putPadding(slab, end + first, padding);
  writer.commit(putContinuations(slab, end, streamId, block, first, maxFrameBytes));
}

/** Writes PRIORITY (RFC 9113 §6.3). @throws {RangeError} for a stream that is none or depends on itself, or a weight out of range */
export function writePriority(writer: ByteWriter, streamId: number, priority: PriorityFields): void {
  checkStreamId('streamId', streamId);
  checkPriority(streamId, priority);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + PRIORITY_FIELDS_BYTES);
  const { slab } = writer;
  const end = putHeader(slab, at, PRIORITY_FIELDS_BYTES, FrameType.priority, 0, streamId);
  writer.commit(putPriorityFields(slab, end, priority));
}

/** Writes RST_STREAM (RFC 9113 §6.4). @throws {RangeError} for a stream that is none, or a code beyond 32 bits */
export function writeRstStream(writer: ByteWriter, streamId: number, errorCode: number): void {
  checkStreamId('streamId', streamId);
  checkUint('errorCode', errorCode, 0xffff_ffff);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + 4);
  const { slab } = writer;
  writer.commit(putUint32(slab, putHeader(slab, at, 4, FrameType.rstStream, 0, streamId), errorCode));
}

/**
 * Writes SETTINGS (RFC 9113 §6.5), perhaps empty.
 *
 * @param settings identifiers and values in the order in which the peer applies them
 * @throws {RangeError} when a setting has a value outside of the range that RFC 9113 §6.5.2, RFC 8441 §3 or RFC 9218 §2.1 gives it
 */
export function writeSettings(writer: ByteWriter, settings: Iterable<readonly [id: number, value: number]>): void {
  const entries = [...settings];
  for (const [id, value] of entries) {
    checkUint('id', id, 0xffff);
    checkUint('value', value, 0xffff_ffff);
    if (settingRefusal(id, value) !== null) throw new RangeError(`setting ${id} cannot have the value ${value}`);
  }
  const length = entries.length * SETTING_BYTES;
  checkUint('length', length, MIN_MAX_FRAME_BYTES);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + length);
  const { slab } = writer;
  let end = putHeader(slab, at, length, FrameType.settings, 0, 0);
  for (const [id, value] of entries) end = putUint32(slab, putUint16(slab, end, id), value);
  writer.commit(end);
}

/** Writes the acknowledgement of the peer's SETTINGS (RFC 9113 §6.5.3). */
export function writeSettingsAck(writer: ByteWriter): void {
  const at = writer.makeRoom(FRAME_HEADER_BYTES);
  writer.commit(putHeader(writer.slab, at, 0, FrameType.settings, FrameFlag.ack, 0));
}

/**
 * Writes PUSH_PROMISE (RFC 9113 §6.6) with a copy of a field block, and as many CONTINUATIONs as it needs.
 *
 * @throws {RangeError} for a stream that is none, padding or `maxFrameBytes` out of range
 */
export function writePushPromise(
  writer: ByteWriter,
  streamId: number,
  promisedStreamId: number,
  block: Uint8Array,
  options: FieldBlockOptions = {},
): void {
  const { padding, maxFrameBytes = MIN_MAX_FRAME_BYTES } = options;
  checkStreamId('streamId', streamId);
  checkStreamId('promisedStreamId', promisedStreamId);
  checkPadding(padding);
  checkMaxFrameBytes(maxFrameBytes);
  const fixed = paddingLength(padding) + STREAM_ID_BYTES;
  const first = Math.min(block.length, maxFrameBytes - fixed);
  const flags = paddingFlag(padding) | (first === block.length ? FrameFlag.endHeaders : 0);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + fixed + block.length + continuationHeaderBytes(block.length - first, maxFrameBytes));
  const { slab } = writer;
  let end = putHeader(slab, at, fixed + first, FrameType.pushPromise, flags, streamId);
  end = putPadLength(slab, end, padding);
  end = putUint32(slab, end, promisedStreamId);
  slab.set(block.subarray(0, first), end);
  end = putPadding(slab, end + first, padding);
  writer.commit(putContinuations(slab, end, streamId, block, first, maxFrameBytes));
}

/** Options of `writePing`. */
export interface PingOptions {
  /** ACK: the answer to the peer's PING with the same payload. Default false. */
  readonly isAck?: boolean;
}

/** Writes PING (RFC 9113 §6.7). @param payload eight bytes, copied @throws {RangeError} for any other number of bytes */
export function writePing(writer: ByteWriter, payload: Uint8Array, { isAck = false }: PingOptions = {}): void {
  if (payload.length !== 8) throw new RangeError(`a PING has 8 bytes, not ${payload.length}`);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + 8);
  const { slab } = writer;
  const start = putHeader(slab, at, 8, FrameType.ping, isAck ? FrameFlag.ack : 0, 0);
  slab.set(payload, start);
  writer.commit(start + 8);
}

/**
 * Writes GOAWAY (RFC 9113 §6.8).
 *
 * @param lastStreamId the highest stream of the peer's that was or may be processed; 0 to 2^31 - 1
 * @param debugText for people at the other end, one byte a character; default none
 * @throws {RangeError} when a number does not fit, a character lies above U+00FF, or the frame would be longer than 16 384 bytes
 */
export function writeGoaway(writer: ByteWriter, lastStreamId: number, errorCode: number, debugText = ''): void {
  checkUint('lastStreamId', lastStreamId, MAX_STREAM_ID);
  checkUint('errorCode', errorCode, 0xffff_ffff);
  checkText('debugText', debugText);
  const length = 8 + debugText.length;
  checkUint('length', length, MIN_MAX_FRAME_BYTES);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + length);
  const { slab } = writer;
  let end = putHeader(slab, at, length, FrameType.goaway, 0, 0);
  end = putUint32(slab, end, lastStreamId);
  end = putUint32(slab, end, errorCode);
  writer.commit(putText(slab, end, debugText));
}

/** Writes WINDOW_UPDATE (RFC 9113 §6.9). @param streamId 0 for the connection's window @param increment 1 to 2^31 - 1 @throws {RangeError} */
export function writeWindowUpdate(writer: ByteWriter, streamId: number, increment: number): void {
  checkUint('streamId', streamId, MAX_STREAM_ID);
  if (increment === 0) throw new RangeError('a window update of 0 is an error of protocol');
  checkUint('increment', increment, MAX_STREAM_ID);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + 4);
  const { slab } = writer;
  writer.commit(putUint32(slab, putHeader(slab, at, 4, FrameType.windowUpdate, 0, streamId), increment));
}

/** Writes ORIGIN (RFC 8336 §2): a server's. @param origins `https://example.org`, ASCII @throws {RangeError} for other characters, or more than 16 384 bytes */
export function writeOrigin(writer: ByteWriter, origins: Iterable<string>): void {
  const entries = [...origins];
  let length = 0;
  for (const origin of entries) {
    checkText('origin', origin, 0x7f);
    length += 2 + origin.length;
  }
  checkUint('length', length, MIN_MAX_FRAME_BYTES);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + length);
  const { slab } = writer;
  let end = putHeader(slab, at, length, FrameType.origin, 0, 0);
  for (const origin of entries) end = putText(slab, putUint16(slab, end, origin.length), origin);
  writer.commit(end);
}

/**
 * Writes ALTSVC (RFC 7838 §4): a server's.
 *
 * @param origin on stream 0 the origin meant, ASCII; on a stream empty, as it has one
 * @param value an Alt-Svc field value, one byte a character
 * @throws {RangeError} for an origin that is missing or too many, characters that don't fit, or more than 16 384 bytes
 */
export function writeAltsvc(writer: ByteWriter, streamId: number, origin: string, value: string): void {
  checkUint('streamId', streamId, MAX_STREAM_ID);
  checkText('origin', origin, 0x7f);
  checkText('value', value);
  // A recipient ignores both.
  if ((streamId === 0) === (origin === '')) throw new RangeError('ALTSVC names its origin on stream 0, and only there');
  const length = 2 + origin.length + value.length;
  checkUint('length', length, MIN_MAX_FRAME_BYTES);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + length);
  const { slab } = writer;
  let end = putHeader(slab, at, length, FrameType.altsvc, 0, streamId);
  end = putText(slab, putUint16(slab, end, origin.length), origin);
  writer.commit(putText(slab, end, value));
}

/** Writes PRIORITY_UPDATE (RFC 9218 §7.1): a client's. @param value a Priority field value: `u=1, i` @throws {RangeError} for a stream that is none, or other characters than ASCII */
export function writePriorityUpdate(writer: ByteWriter, prioritizedStreamId: number, value: string): void {
  checkStreamId('prioritizedStreamId', prioritizedStreamId);
  checkText('value', value, 0x7f);
  const length = STREAM_ID_BYTES + value.length;
  checkUint('length', length, MIN_MAX_FRAME_BYTES);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + length);
  const { slab } = writer;
  const end = putHeader(slab, at, length, FrameType.priorityUpdate, 0, 0);
  writer.commit(putText(slab, putUint32(slab, end, prioritizedStreamId), value));
}

/** A frame of any type for `writeUnknownFrame`. */
export interface UnknownFrame {
  /** 0 to 255. */
  readonly type: number;
  /** 0 to 255; default 0. */
  readonly flags?: number;
  /** 0 to 2^31 - 1; default 0. */
  readonly streamId?: number;
  /** Default empty. */
  readonly payload?: Uint8Array;
}

/** Writes a frame as it is told, whatever its type: extensions, and what no honest peer sends. @throws {RangeError} when a number does not fit into its field */
export function writeUnknownFrame(writer: ByteWriter, { type, flags = 0, streamId = 0, payload = EMPTY_BYTES }: UnknownFrame): void {
  checkUint('length', payload.length, MAX_MAX_FRAME_BYTES);
  checkUint('type', type, 0xff);
  checkUint('flags', flags, 0xff);
  checkUint('streamId', streamId, MAX_STREAM_ID);
  const at = writer.makeRoom(FRAME_HEADER_BYTES + payload.length);
  const { slab } = writer;
  const start = putHeader(slab, at, payload.length, type, flags, streamId);
  slab.set(payload, start);
  writer.commit(start + payload.length);
}

function checkPriority(streamId: number, { dependsOn, weight }: PriorityFields): void {
  checkUint('dependsOn', dependsOn, MAX_STREAM_ID);
  if (dependsOn === streamId) throw new RangeError(`stream ${streamId} cannot depend on itself`);
  if (!(Number.isInteger(weight) && weight >= 1 && weight <= 256)) {
    throw new RangeError(`weight must be a whole number from 1 to 256, not ${String(weight)}`);
  }
}

function putPriorityFields(slab: Uint8Array, at: number, { dependsOn, weight, isExclusive = false }: PriorityFields): number {
  return putPriority(slab, at, dependsOn, weight, isExclusive);
}

function paddingFlag(padding: number | undefined): number {
  return padding === undefined ? 0 : FrameFlag.padded;
}

/** Bytes of Pad Length and padding. */
function paddingLength(padding: number | undefined): number {
  return padding === undefined ? 0 : 1 + padding;
}

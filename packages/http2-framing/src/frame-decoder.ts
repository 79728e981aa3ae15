/**
 * Decodes HTTP/2 frames from chunks of bytes, in any cut.
 *
 * ```text
 *   | Length (24) | Type (8) | Flags (8) | R (1) Stream Identifier (31) | Payload (Length bytes) |      RFC 9113 §4.1
 *
 *   header ─┬─ DATA, cut ───► data ──── pieces as they come, until the last byte of padding ────► header
 *           ├─ other, cut ──► payload ── gathered, given whole ────────────────────────────────► header
 *           └─ whole in the chunk: read in place ──────────────────────────────────────────────► header
 * ```
 * Rules of this file:
 * - A frame that lies whole in a chunk is read where it is: no copy, no view, no object. Its fields stand in the decoder until the next `next`.
 * - What a header alone makes wrong is refused before a byte of the payload is looked at or kept; the payload of a cut frame other than DATA is
 *   gathered in memory of its own, which grows with what has come, not with what was announced.
 * - It knows sequences of frames within a field block and nothing else of connections: states, windows, and who may send what are the machine's.
 * - Reserved bits, and flags that a type doesn't have, are ignored (RFC 9113 §4.1). Padding is not looked at (§6.1 leaves that open).
 *
 * @see RFC 9113 §4, §6 · RFC 7838 §4 · RFC 8336 §2 · RFC 9218 §7.1
 */
import { ByteQueue, EMPTY_BYTES, latin1Decode } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import { type FramingReason, framingError } from './errors.ts';
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, frameTypeName, Http2ErrorCode } from './frame-type.ts';
import { countOrigins, ORIGIN_LENGTH_BYTES, ORIGIN_RESERVED_FLAGS, originEnd, readOrigins } from './internal/extension-frames.ts';
import { FieldBlock } from './internal/field-block.ts';
import {
  fieldBytes,
  HEADER_RULES,
  HeaderRule,
  headerRefusal,
  lengthRefusal,
  PRIORITY_FIELDS_BYTES,
  STREAM_ID_BYTES,
} from './internal/frame-header-rules.ts';
import { Gathering } from './internal/gathering.ts';
import { SETTING_BYTES, settingRefusal } from './internal/setting-rules.ts';
import { uint31At, uint32At } from './internal/uint.ts';
import { type FrameDecoderOptions, type ResolvedFrameDecoderOptions, resolveFrameDecoderOptions } from './options.ts';

const Phase = { header: 0, data: 1, payload: 2 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/**
 * A cursor over the frames of one direction of a connection: `feed` bytes, call `next` until it returns false.
 *
 * All fields tell of the frame at hand, and only those that its type has: the others keep what an earlier frame left there. They are plain
 * fields because an accessor costs as much as a small frame. Read them, never write them. The client preface is no frame: cut it off before.
 */
export class FrameDecoder {
  // All are set here, and always hold numbers of one kind, so that one hidden class serves every decoder.

  /** A `FrameType`, or another number. */
  type = 0;
  /** As they came: bits that the type doesn't have may be set. */
  flags = 0;
  /** 0 for the connection. */
  streamId = 0;
  /** Bytes of the payload on the wire, padding included: what flow control counts for DATA, once for all pieces. */
  length = 0;
  /** Where the payload lies. A chunk that was fed, or memory of its own; never rewritten. Empty after `next` has returned false. */
  bytes: Uint8Array = EMPTY_BYTES;
  /**
   * The payload in `bytes`, without padding and without the fields that have a place here: of DATA the piece, of HEADERS, PUSH_PROMISE and
   * CONTINUATION the fragment, of GOAWAY the debug data, of ALTSVC and PRIORITY_UPDATE the field value, of all others what came.
   */
  payloadStart = 0;
  /** The first byte behind it. */
  payloadEnd = 0;
  /** DATA comes in pieces: whether this is the first one. True for every other frame. */
  isFrameStart = true;
  /** Whether this is the last piece of DATA: END_STREAM counts from here on. True for every other frame. */
  isFrameEnd = true;
  /** A `Http2ErrorCode` if this frame is an error of its stream and not of the connection (RFC 9113 §5.4.2), else 0. A field block counts all the same. */
  streamError = 0;
  /** True for frames of unknown types, and for ALTSVC and ORIGIN that their RFCs tell to ignore. */
  isIgnorable = false;
  /** RST_STREAM and GOAWAY: a `Http2ErrorCode`, or another number. */
  errorCode = 0;
  /** GOAWAY. */
  lastStreamId = 0;
  /** WINDOW_UPDATE: 1 to 2^31 - 1; 0 with a `streamError`. */
  increment = 0;
  /** HEADERS and PRIORITY: whether the next three mean something. */
  hasPriority = false;
  /** HEADERS and PRIORITY: the stream depended on. */
  dependsOn = 0;
  /** HEADERS and PRIORITY: 1 to 256. */
  weight = 16;
  isExclusive = false;
  /** PUSH_PROMISE; never 0. */
  promisedStreamId = 0;
  /** PRIORITY_UPDATE; never 0. */
  prioritizedStreamId = 0;
  /** SETTINGS. */
  settingCount = 0;
  /** ORIGIN; 0 if it is ignorable. */
  originCount = 0;

  readonly #maxFrameBytes: number;
  readonly #maxSettings: number;
  /** The chunk at hand, of which the bytes from `#at` on are unread. */
  #chunk: Uint8Array = EMPTY_BYTES;
  #at = 0;
  readonly #waiting = new ByteQueue();
  /** Bytes of the chunks before the one at hand. */
  #bytesBefore = 0;
  #hasEnded = false;
  #error: WireError | null = null;
  #phase: Phase = Phase.header;
  /** A header that is cut, or a payload that is: never both at once. */
  readonly #gathering = new Gathering();
  /** DATA: bytes of the payload that have not come, padding included. */
  #leftBytes = 0;
  /** DATA: bytes of padding at its end; -1 until the field that says so has come. */
  #padding = 0;
  #hasGivenPiece = false;
  readonly #block: FieldBlock;

  /** @throws {RangeError} when an option makes no sense */
  constructor(options: FrameDecoderOptions | ResolvedFrameDecoderOptions = {}) {
    const resolved = resolveFrameDecoderOptions(options);
    this.#maxFrameBytes = resolved.maxFrameBytes;
    this.#maxSettings = resolved.maxSettings;
    this.#block = new FieldBlock(resolved.maxContinuations, resolved.maxHeaderBlockBytes);
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** Bytes fed and not consumed. A frame other than DATA is consumed when it is whole, its header with the last byte of that. */
  get bufferedBytes(): number {
    return this.#chunk.length - this.#at + this.#waiting.byteLength + this.#gathering.length;
  }

  /** Bytes consumed since the beginning; with `bufferedBytes` it makes all that were fed. */
  get consumedBytes(): number {
    return this.#bytesBefore + this.#at - this.#gathering.length;
  }

  /** True from the first byte of a frame that `next` has looked at to its last one. */
  get isMidFrame(): boolean {
    return this.#phase !== Phase.header || this.#gathering.length > 0;
  }

  /** True from HEADERS or PUSH_PROMISE without END_HEADERS to the CONTINUATION that has it. */
  get isMidFieldBlock(): boolean {
    return this.#block.streamId !== 0;
  }

  /** The identifier of a setting of this frame, the first is 0: a `SettingId`, or another number. @param index below `settingCount` */
  settingIdAt(index: number): number {
    const at = this.#settingAt(index);
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  /** The value of a setting of this frame: 32 bits, in its range if `SettingId` lists it. @param index below `settingCount` */
  settingValueAt(index: number): number {
    return uint32At(this.bytes, this.#settingAt(index) + 2);
  }

  /** The entries of this ORIGIN frame, a character a byte, not checked for being origins; empty if it is ignorable. */
  origins(): string[] {
    return this.originCount === 0 ? [] : readOrigins(this.bytes, this.payloadStart, this.payloadEnd);
  }

  /** The Origin field of this ALTSVC frame, a character a byte: empty on a stream (RFC 7838 §4), and if the frame is ignorable. */
  altsvcOrigin(): string {
    if (this.isIgnorable) return '';
    const { bytes, payloadStart: end, payloadEnd, length } = this;
    return latin1Decode(bytes, payloadEnd - length + ORIGIN_LENGTH_BYTES, end);
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  /**
   * Adds a chunk, which belongs to the decoder from now on. After an error chunks are dropped.
   *
   * @throws {TypeError} after `end`
   */
  feed(chunk: Uint8Array): void {
    if (this.#hasEnded) throw new TypeError('the decoder has been given its last byte');
    if (this.#at === this.#chunk.length && this.#waiting.byteLength === 0) this.#begin(chunk);
    else this.#waiting.push(chunk);
    if (this.#error !== null) this.#discard();
  }

  /** The peer has ended its side: if that was inside a frame or a field block, `next` throws when it gets there. */
  end(): void {
    this.#hasEnded = true;
  }

  /**
   * Moves on to the next frame, or to the next piece of DATA.
   *
   * @returns false if more bytes are needed
   * @throws {WireError} a reason of this package when the peer broke a rule or a limit; the first error is final and thrown again
   */
  next(): boolean {
    if (this.#error !== null) throw this.#error;
    const chunk = this.#chunk;
    const at = this.#at;
    if (this.#phase === Phase.header && this.#gathering.length === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
      this.#readHeader(chunk, at);
      const start = at + FRAME_HEADER_BYTES;
      const end = start + this.length;
      if (end <= chunk.length) {
        this.#at = end;
        this.#readPayload(chunk, start, end);
        return true;
      }
      this.#at = start;
      this.#beginPayload();
    }
    return this.#nextInPieces();
  }

  // ---- frames ------------------------------------------------------------------------------------------------------------------

  #readHeader(bytes: Uint8Array, at: number): void {
    const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    const type = bytes[at + 3] as number;
    const flags = bytes[at + 4] as number;
    const streamId = uint31At(bytes, at + 5);
    this.length = length;
    this.type = type;
    this.flags = flags;
    this.streamId = streamId;
    this.streamError = 0;
    this.isIgnorable = false;
    const rule = HEADER_RULES[type] as number;
    // One test for all that can be wrong, and what it was is found out after: this runs for every frame.
    const fixedLength = rule >> HeaderRule.fixedLengthShift;
    if (
      length > this.#maxFrameBytes ||
      (rule & (streamId === 0 ? HeaderRule.needsStream : HeaderRule.needsConnection)) !== 0 ||
      (fixedLength !== length && fixedLength !== 0)
    ) {
      this.#fail(headerRefusal(rule, streamId, length, this.#maxFrameBytes));
    }
    if ((rule & HeaderRule.isSpecial) !== 0 || this.#block.streamId !== 0) this.#checkSpecial();
  }

  #checkSpecial(): void {
    const { type, flags, streamId, length } = this;
    const refusal = lengthRefusal(type, flags, length, this.#maxSettings) ?? this.#block.refusal(type, flags, streamId, length);
    if (refusal !== null) this.#fail(refusal);
  }

  /** Reads a payload that is whole. */
  #readPayload(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.payloadStart = start;
    this.payloadEnd = end;
    this.isFrameStart = true;
    this.isFrameEnd = true;
    // Kept small, so that it is inlined: these two are most frames.
    if (this.type === FrameType.windowUpdate) {
      this.increment = uint31At(bytes, start);
      if (this.increment === 0) this.#refuseIncrement();
    } else if (this.type !== FrameType.data) this.#readFields(bytes, start);
    else if ((this.flags & FrameFlag.padded) !== 0) this.#removePadding();
  }

  #readFields(bytes: Uint8Array, start: number): void {
    switch (this.type) {
      case FrameType.headers:
        if ((this.flags & FrameFlag.padded) !== 0) this.#removePadding();
        this.hasPriority = (this.flags & FrameFlag.priority) !== 0;
        if (this.hasPriority) this.#readPriority();
        break;
      case FrameType.priority:
        // RFC 9113 §6.3: a stream error, as no state of the connection hangs on it.
        this.hasPriority = this.length === PRIORITY_FIELDS_BYTES;
        if (this.hasPriority) this.#readPriority();
        else this.streamError = Http2ErrorCode.frameSizeError;
        break;
      case FrameType.rstStream:
        this.errorCode = uint32At(bytes, start);
        break;
      case FrameType.settings:
        this.settingCount = this.length / SETTING_BYTES;
        for (let i = 0; i < this.settingCount; i++) {
          const refusal = settingRefusal(this.settingIdAt(i), this.settingValueAt(i));
          if (refusal !== null) this.#fail(refusal);
        }
        break;
      case FrameType.pushPromise:
        if ((this.flags & FrameFlag.padded) !== 0) this.#removePadding();
        this.promisedStreamId = this.#takeStreamId('H2_PROMISED_STREAM_ID');
        break;
      case FrameType.goaway:
        this.lastStreamId = uint31At(bytes, start);
        this.errorCode = uint32At(bytes, start + 4);
        this.payloadStart = start + 8;
        break;
      case FrameType.ping:
      case FrameType.continuation:
        break;
      case FrameType.altsvc:
        this.#readAltsvc();
        break;
      case FrameType.origin:
        this.#readOrigin();
        break;
      case FrameType.priorityUpdate:
        this.prioritizedStreamId = this.#takeStreamId('H2_PRIORITIZED_STREAM_ID');
        return;
      default:
        this.isIgnorable = true;
    }
  }

  /** RFC 9113 §6.9: an error of the connection if it is the connection's window, else of the stream. */
  #refuseIncrement(): void {
    if (this.streamId === 0) this.#fail('H2_WINDOW_INCREMENT_ZERO');
    this.streamError = Http2ErrorCode.protocolError;
  }

  /** RFC 9113 §6.1: padding must leave room for its own length, and here for the fields that were announced. */
  #removePadding(): void {
    if (this.length === 0) this.#fail('H2_FRAME_SIZE');
    const padding = this.bytes[this.payloadStart] as number;
    this.payloadStart += 1;
    this.payloadEnd -= padding;
    if (this.payloadEnd - this.payloadStart < fieldBytes(this.type, this.flags)) this.#fail('H2_PADDING_TOO_LONG');
  }

  #readPriority(): void {
    const { bytes, payloadStart: at } = this;
    this.isExclusive = (bytes[at] as number) >= 0x80;
    this.dependsOn = uint31At(bytes, at);
    this.weight = (bytes[at + 4] as number) + 1;
    this.payloadStart = at + PRIORITY_FIELDS_BYTES;
    // RFC 9113 §5.3.2 leaves what these fields mean to RFC 7540, where §5.3.1 forbids this.
    if (this.dependsOn === this.streamId) this.streamError = Http2ErrorCode.protocolError;
  }

  #takeStreamId(reasonForZero: FramingReason): number {
    const streamId = uint31At(this.bytes, this.payloadStart);
    if (streamId === 0) this.#fail(reasonForZero);
    this.payloadStart += STREAM_ID_BYTES;
    return streamId;
  }

  #readAltsvc(): void {
    const { bytes, payloadStart: start, payloadEnd: end } = this;
    const valueStart = originEnd(bytes, start, end);
    if (valueStart < 0) {
      // RFC 9113 §4.2: the size of a frame on stream 0 is a matter of the connection, of this one elsewhere of its stream.
      if (this.streamId === 0) this.#fail('H2_ALTSVC_LENGTH');
      this.streamError = Http2ErrorCode.frameSizeError;
      this.isIgnorable = true;
      return;
    }
    this.payloadStart = valueStart;
    // RFC 7838 §4: on stream 0 it names its origin, on a stream it may not.
    this.isIgnorable = (this.streamId === 0) === (valueStart === start + ORIGIN_LENGTH_BYTES);
  }

  #readOrigin(): void {
    // RFC 8336 §2.1, §2.2: not on a stream, and not with flags that a later document may give a meaning.
    this.isIgnorable = this.streamId !== 0 || (this.flags & ORIGIN_RESERVED_FLAGS) !== 0;
    this.originCount = this.isIgnorable ? 0 : countOrigins(this.bytes, this.payloadStart, this.payloadEnd);
    if (this.originCount < 0) this.#fail('H2_ORIGIN_LENGTH');
  }

  // ---- frames in pieces ----------------------------------------------------------------------------------------------------------

  /** Behind a header whose payload is not whole in the chunk at hand. */
  #beginPayload(): void {
    this.#phase = this.type === FrameType.data ? Phase.data : Phase.payload;
    if (this.#phase === Phase.data) {
      this.#leftBytes = this.length;
      this.#padding = (this.flags & FrameFlag.padded) === 0 ? 0 : -1;
      if (this.#padding < 0 && this.length === 0) this.#fail('H2_FRAME_SIZE');
      this.#hasGivenPiece = false;
    }
  }

  /** Apart from `next`, so that the engine inlines the path that most frames take. */
  #nextInPieces(): boolean {
    for (;;) {
      if (this.#advance()) return true;
      if (this.#at < this.#chunk.length) continue;
      // A chunk that is read is let go at once: an idle connection must not keep 64 KiB alive.
      this.#begin(this.#waiting.takeChunk() ?? EMPTY_BYTES);
      if (this.#chunk.length === 0) return this.#needsMore();
    }
  }

  /** Takes what the chunk at hand has for the phase at hand. @returns true if that made an event */
  #advance(): boolean {
    if (this.#phase === Phase.header) return this.#gatherHeader();
    return this.#phase === Phase.data ? this.#takeData() : this.#gatherPayload();
  }

  #gatherHeader(): boolean {
    const gathering = this.#gathering;
    const count = Math.min(FRAME_HEADER_BYTES - gathering.length, this.#chunk.length - this.#at);
    gathering.add(this.#chunk, this.#at, count, FRAME_HEADER_BYTES);
    this.#at += count;
    if (gathering.length < FRAME_HEADER_BYTES) return false;
    this.#readHeader(gathering.take(), 0);
    this.#beginPayload();
    // A frame without payload needs no further byte.
    return this.length === 0 && this.#advance();
  }

  #gatherPayload(): boolean {
    const gathering = this.#gathering;
    const chunk = this.#chunk;
    const start = this.#at;
    const wanted = this.length - gathering.length;
    const count = Math.min(wanted, chunk.length - start);
    this.#at = start + count;
    // Only its header was cut: the payload is read in place.
    if (count === this.length) {
      this.#phase = Phase.header;
      this.#readPayload(chunk, start, start + count);
      return true;
    }
    if (count > 0) gathering.add(chunk, start, count, this.length);
    if (count < wanted) return false;
    this.#phase = Phase.header;
    this.#readPayload(gathering.take(), 0, this.length);
    return true;
  }

  #takeData(): boolean {
    const chunk = this.#chunk;
    if (this.#padding < 0) {
      if (this.#at === chunk.length) return false;
      this.#padding = chunk[this.#at++] as number;
      this.#leftBytes -= 1;
      if (this.#padding > this.#leftBytes) this.#fail('H2_PADDING_TOO_LONG');
    }
    const at = this.#at;
    const left = this.#leftBytes;
    const count = Math.min(left, chunk.length - at);
    const dataCount = Math.min(count, Math.max(0, left - this.#padding));
    this.#at = at + count;
    this.#leftBytes = left - count;
    const isEnd = count === left;
    // Padding alone is no piece, unless the frame ends with it.
    if (dataCount === 0 && !isEnd) return false;
    this.bytes = chunk;
    this.payloadStart = at;
    this.payloadEnd = at + dataCount;
    this.isFrameStart = !this.#hasGivenPiece;
    this.isFrameEnd = isEnd;
    this.#hasGivenPiece = true;
    if (isEnd) this.#phase = Phase.header;
    return true;
  }

  // ---- ends --------------------------------------------------------------------------------------------------------------------

  #begin(chunk: Uint8Array): void {
    this.#bytesBefore += this.#chunk.length;
    this.#chunk = chunk;
    this.#at = 0;
  }

  #needsMore(): false {
    this.#letGo();
    if (!this.#hasEnded) return false;
    if (this.isMidFrame) this.#fail('H2_TRUNCATED_FRAME');
    if (this.isMidFieldBlock) this.#fail('H2_TRUNCATED_FIELD_BLOCK');
    return false;
  }

  /** Of the frame at hand, and of a chunk that was read to its end, so that it isn't kept alive. */
  #letGo(): void {
    if (this.#at === this.#chunk.length) this.#begin(EMPTY_BYTES);
    this.bytes = EMPTY_BYTES;
    this.payloadStart = 0;
    this.payloadEnd = 0;
  }

  #fail(reason: FramingReason): never {
    const isFrame = reason !== 'H2_TRUNCATED_FRAME' && reason !== 'H2_TRUNCATED_FIELD_BLOCK';
    const error = framingError(reason, isFrame ? `${frameTypeName(this.type)} on stream ${this.streamId}` : undefined);
    this.#error = error;
    this.#discard();
    throw error;
  }

  /** Throws away all that is unread or kept. */
  #discard(): void {
    this.#bytesBefore += this.#waiting.byteLength;
    this.#waiting.clear();
    this.#begin(EMPTY_BYTES);
    this.#gathering.clear();
    this.#letGo();
  }

  #settingAt(index: number): number {
    if (!(index >= 0 && index < this.settingCount)) throw new RangeError(`there is no setting ${index}, but ${this.settingCount}`);
    return this.payloadStart + index * SETTING_BYTES;
  }
}

/**
 * Our direction of a connection: heads into the writer at once, bodies into the queues of their streams, and frames of DATA when output is taken.
 *
 * ```text
 *   sendHead ──► HEADERS ──────────────────────────────► writer ─┐
 *   reset, acknowledgements, credit ───────────────────► writer ─┤ order of making
 *   sendData ──► queue of the stream ──► scheduler ──► DATA ─────┴─► takeOutput
 *   sendEnd  ──► END_STREAM on the last DATA, or HEADERS of trailers behind it
 * ```
 * Rules of this file:
 * - DATA is framed as late as possible, so that streams share the connection fairly, and END_STREAM needs no frame of its own.
 * - A frame takes no more than 16 384 bytes, even where the peer allows more: a turn must be short for turns to be fair.
 * - Pieces below 4 KiB are copied between the frame headers, larger ones go by reference (two writes cost more than a copy, and a copy of more
 *   costs more than a second vector).
 * - A body that differs from its announced length is an error of the program: RangeError, and the stream is reset (INTERNAL_ERROR), so that the
 *   peer does not take it for whole.
 *
 * @see RFC 9113 §5.2, §6.1, §6.2, §8.1
 */

import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';
import { HpackEncoder } from '@ferrata/hpack';
import { FrameFlag, FrameType, Http2ErrorCode, writeFrameHeader } from '@ferrata/http2-framing';
import { HeadWriter } from '../head-writer.ts';
import { SendSlot } from '../send-scheduler.ts';
import type { Http2Stream } from '../stream.ts';
import { stateAfterSentEnd } from '../stream-state.ts';
import type { Core } from './core.ts';
import { beginBlock, cancelBlock, endBlock } from './field-block.ts';

/** The longest payload of DATA that we send. */
const MAX_DATA_BYTES = 16_384;
/** Pieces from this size on go by reference; the same figure as in HTTP/1, where it was measured. */
const COPY_BELOW_BYTES = 4_096;

export class Sender {
  readonly encoder: HpackEncoder;
  readonly #core: Core;
  readonly #heads: HeadWriter;
  /** Options of a head, filled anew for each: no object a response. */
  readonly #response = { bodyLength: 0, isBodyless: false, isTunnel: false, date: '' };

  constructor(core: Core) {
    this.#core = core;
    this.encoder = new HpackEncoder({ maxTableBytes: core.options.encoderTableBytes });
    this.#heads = new HeadWriter(this.encoder, core.options.scheme, core.options.sensitiveNames);
  }

  // ---- heads ---------------------------------------------------------------------------------------------------------------------

  /** @throws {TypeError | RangeError} for a head that cannot be sent; nothing has changed then */
  requestHead(id: number, head: RequestHead, bodyLength: number, protocol: string | null): void {
    const { writer, peer } = this.#core;
    const before = beginBlock(writer);
    try {
      this.#heads.writeRequest(writer, head, { bodyLength, protocol });
    } catch (thrown) {
      cancelBlock(writer);
      throw thrown;
    }
    endBlock(writer, before, id, bodyLength === 0 ? FrameFlag.endStream : 0, peer.maxFrameSize);
  }

  /** @throws {TypeError | RangeError} for a head that cannot be sent; nothing has changed then */
  responseHead(stream: Http2Stream, head: ResponseHead, bodyLength: number, isBodyless: boolean, date: string): void {
    const isTunnel = head.status >= 200 && head.status < 300 && stream.method === 'CONNECT';
    this.#writeResponse(stream.id, head, bodyLength, isBodyless, isTunnel, date, bodyLength === 0 || isBodyless ? FrameFlag.endStream : 0);
  }

  /** @throws {TypeError | RangeError} for a head that cannot be sent; nothing has changed then */
  interimHead(stream: Http2Stream, head: ResponseHead): void {
    this.#writeResponse(stream.id, head, -1, false, false, '', 0);
  }

  /** Answers a request that never became a stream of ours, with a status and nothing else. */
  refusal(id: number, head: ResponseHead): void {
    this.#writeResponse(id, head, 0, false, false, '', FrameFlag.endStream);
  }

  #writeResponse(
    id: number,
    head: ResponseHead,
    length: number,
    isBodyless: boolean,
    isTunnel: boolean,
    date: string,
    flags: number,
  ): void {
    const { writer, peer } = this.#core;
    const response = this.#response;
    response.bodyLength = length;
    response.isBodyless = isBodyless;
    response.isTunnel = isTunnel;
    response.date = date;
    const before = beginBlock(writer);
    try {
      this.#heads.writeResponse(writer, head, response);
    } catch (thrown) {
      cancelBlock(writer);
      throw thrown;
    }
    endBlock(writer, before, id, flags, peer.maxFrameSize);
  }

  // ---- bodies --------------------------------------------------------------------------------------------------------------------

  /** Begins the body of our message. END_STREAM is on its HEADERS if it has none. */
  beginBody(stream: Http2Stream, bodyLength: number, isBodyless: boolean): void {
    stream.isHeadSent = true;
    stream.activeAt = this.#core.now;
    stream.sendLeft = bodyLength;
    stream.isBodyless = isBodyless;
    if (bodyLength === 0 || isBodyless) {
      stream.isEndQueued = true;
      this.#finish(stream);
    }
  }

  /** @returns false if the queue is at its high-water mark. @throws {RangeError} for more than announced; the stream is reset */
  data(stream: Http2Stream, chunk: Uint8Array): boolean {
    const core = this.#core;
    // Nothing follows the last GOAWAY.
    if (stream.isClosed || core.isOver) return false;
    // A response that has no body: dropped, as for HTTP/1.
    if (stream.isBodyless) return true;
    const { length } = chunk;
    if (stream.sendLeft >= 0) {
      if (length > stream.sendLeft) {
        core.reset(stream, Http2ErrorCode.internalError);
        throw new RangeError('the body is longer than announced');
      }
      stream.sendLeft -= length;
    }
    if (stream.isEndQueued) {
      if (length === 0) return true;
      throw new TypeError('the message has ended');
    }
    if (length > 0) {
      stream.pushChunk(chunk);
      core.table.queuedBytes += length;
      if (stream.sendWindow > 0) this.#ready(stream);
    }
    const { sendHighWaterBytes, sendLowWaterBytes, maxSendQueueBytes } = core.options;
    // What no window lets out is not gathered: a thousand streams that their clients do not read would hold as many full queues.
    const highWaterBytes = stream.sendWindow > 0 && core.sendWindow > 0 ? sendHighWaterBytes : sendLowWaterBytes;
    if (stream.queuedBytes < highWaterBytes && core.table.queuedBytes < maxSendQueueBytes) return true;
    if (stream.queuedBytes === 0) return true;
    stream.isWritableAwaited = true;
    return false;
  }

  /** @throws {RangeError} for less than announced; the stream is reset */
  end(stream: Http2Stream, trailers: HeaderMap | null): void {
    if (stream.isClosed || stream.isEndQueued || this.#core.isOver) return;
    if (stream.sendLeft > 0) {
      this.#core.reset(stream, Http2ErrorCode.internalError);
      throw new RangeError('the body is shorter than announced');
    }
    stream.isEndQueued = true;
    stream.trailers = trailers;
    stream.isWritableAwaited = false;
    // Neither needs a window: an empty DATA is not flow-controlled (RFC 9113 §6.9.1).
    if (stream.queuedBytes === 0) this.#writeEnd(stream);
  }

  /** The window of a stream has opened. */
  windowOpened(stream: Http2Stream): void {
    if (stream.queuedBytes > 0 && stream.sendWindow > 0) this.#ready(stream);
  }

  /** The window of a stream has moved by SETTINGS, either way (RFC 9113 §6.9.2). */
  windowChanged(stream: Http2Stream): void {
    if (stream.sendWindow > 0) this.windowOpened(stream);
    else if (stream.slot !== null) this.#core.scheduler.remove(stream.slot);
  }

  /** The peer wants no more of our message: the rest is dropped, and our side counts as ended. */
  stop(stream: Http2Stream): void {
    const core = this.#core;
    if (stream.slot !== null) core.scheduler.remove(stream.slot);
    core.table.queuedBytes -= stream.queuedBytes;
    stream.dropSending();
    stream.isBodyless = true;
    stream.isEndQueued = true;
    this.#finish(stream);
  }

  setPriority(stream: Http2Stream, priority: number): void {
    stream.priority = priority;
    if (stream.slot !== null) this.#core.scheduler.setPriority(stream.slot, priority);
  }

  #ready(stream: Http2Stream): void {
    stream.slot ??= new SendSlot<Http2Stream>(stream, stream.id, stream.priority);
    this.#core.scheduler.add(stream.slot);
  }

  // ---- output --------------------------------------------------------------------------------------------------------------------

  /** Frames DATA until `maxBytes` are passed or no stream may send. */
  take(maxBytes: number): Uint8Array[] {
    const core = this.#core;
    const chunks: Uint8Array[] = [];
    let left = maxBytes - core.writer.length;
    // A frame may exhaust a budget of the guard: GOAWAY is the last one then.
    while (left > 0 && core.sendWindow > 0 && !core.isOver) {
      const slot = core.scheduler.next();
      if (slot === null) break;
      left -= this.#frame(slot.owner, slot, chunks);
    }
    const { writer } = core;
    if (writer.length > 0) chunks.push(writer.take());
    core.pings.outputTaken(core.sendWindow > 0 && !core.scheduler.isEmpty(), core.now);
    core.outputTaken();
    return chunks;
  }

  /** @returns bytes of the frame */
  #frame(stream: Http2Stream, slot: SendSlot<Http2Stream>, chunks: Uint8Array[]): number {
    const core = this.#core;
    const wanted = Math.min(stream.queuedBytes, MAX_DATA_BYTES);
    const window = Math.min(stream.sendWindow, core.sendWindow);
    const length = Math.min(wanted, window);
    const isLast = length === stream.queuedBytes && stream.isEndQueued;
    const endsStream = isLast && stream.trailers === null;
    writeFrameHeader(core.writer, length, FrameType.data, endsStream ? FrameFlag.endStream : 0, stream.id);
    this.#copy(stream, length, chunks);
    stream.queuedBytes -= length;
    stream.framedBytes += length;
    core.pings.framedBytes += length;
    stream.sendWindow -= length;
    stream.activeAt = core.now;
    core.sendWindow -= length;
    core.table.queuedBytes -= length;
    const tripped = core.guard?.onDataSent(length, window < wanted) ?? null;
    if (tripped !== null) core.trip(tripped);
    if (stream.queuedBytes === 0 || stream.sendWindow <= 0) core.scheduler.remove(slot);
    if (stream.isWritableAwaited) this.#tellWritable(stream);
    if (endsStream) this.#finish(stream);
    else if (isLast && !core.isOver) this.#writeEnd(stream);
    return length + 9;
  }

  /** While all streams together hold too much, one goes on when it has nothing left, so that no stream that is stuck stops another. */
  #tellWritable(stream: Http2Stream): void {
    const { options, table, writable } = this.#core;
    const isRoomy = table.queuedBytes < options.maxSendQueueBytes && stream.queuedBytes < options.sendLowWaterBytes;
    if (!isRoomy && stream.queuedBytes > 0) return;
    stream.isWritableAwaited = false;
    writable.push(stream);
  }

  /** Moves `length` bytes of the queue behind the frame header. */
  #copy(stream: Http2Stream, length: number, chunks: Uint8Array[]): void {
    const { writer } = this.#core;
    let left = length;
    while (left > 0) {
      const chunk = stream.firstChunk as Uint8Array;
      const offset = stream.firstOffset;
      const count = Math.min(chunk.length - offset, left);
      const piece = count === chunk.length ? chunk : chunk.subarray(offset, offset + count);
      if (count < COPY_BELOW_BYTES) {
        writer.writeBytes(piece);
      } else {
        if (writer.length > 0) chunks.push(writer.take());
        chunks.push(piece);
      }
      left -= count;
      if (offset + count === chunk.length) stream.shiftChunk();
      else stream.firstOffset = offset + count;
    }
  }

  /** END_STREAM behind all DATA: with the trailers, or in an empty DATA. */
  #writeEnd(stream: Http2Stream): void {
    const { writer, peer } = this.#core;
    const { trailers } = stream;
    let fields = 0;
    if (trailers !== null) {
      const before = beginBlock(writer);
      try {
        fields = this.#heads.writeTrailers(writer, trailers);
      } catch (thrown) {
        cancelBlock(writer);
        this.#core.reset(stream, Http2ErrorCode.internalError);
        throw thrown;
      }
      if (fields > 0) endBlock(writer, before, stream.id, FrameFlag.endStream, peer.maxFrameSize);
      else cancelBlock(writer);
    }
    if (fields === 0) writeFrameHeader(writer, 0, FrameType.data, FrameFlag.endStream, stream.id);
    this.#finish(stream);
  }

  #finish(stream: Http2Stream): void {
    stream.isSendEnded = true;
    stream.trailers = null;
    stream.state = stateAfterSentEnd(stream.state);
    stream.activeAt = this.#core.now;
    stream.sendEndedAt = stream.activeAt;
    this.#core.closeIfOver(stream);
  }
}

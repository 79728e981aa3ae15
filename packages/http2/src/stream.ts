/**
 * One stream: a request and its response, as the connection keeps them.
 *
 * One object a stream, with all fields set in the constructor (hot class); windows and places in the scheduler are made only for streams that have
 * a body. What programs may read comes first; they write `attachment` only.
 */
import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';
import type { ReceiveWindow } from './flow-window.ts';
import { isIncremental, urgencyOf } from './priority.ts';
import type { SendSlot } from './send-scheduler.ts';
import { StreamState } from './stream-state.ts';

/** Bounds of one stream in place of the connection's options of the same names. Times in milliseconds. */
export interface StreamBounds {
  readonly bodyTimeoutMs: number;
  /** `Infinity`: whoever uses the connection looks after that stream itself, and `minSendBytesPerSecond` does not hold for it either. */
  readonly stallTimeoutMs: number;
}

/** A stream of a connection. Its fields are for reading; commands go to the connection. */
export class Http2Stream {
  readonly id: number;
  /** For whoever uses the connection. */
  attachment: unknown = null;

  /** The request; on the server's side set with its `head` event. */
  request: RequestHead | null = null;
  /** The method of the request as it was sent, whatever a program makes of the head later: what may answer it hangs on that. */
  method = '';
  /** The final response: received (client, with its `head` event) or sent (server). */
  response: ResponseHead | null = null;
  /** The latest interim response (client). */
  interim: ResponseHead | null = null;
  /** Length of the body that comes: its Content-Length, 0 if HEADERS ended the stream, −1 if unknown. */
  receiveLength = -1;
  /** `:protocol` of an extended CONNECT (RFC 8441 §4), else null. */
  protocol: string | null = null;
  /** `:scheme` of the request; empty for CONNECT. */
  scheme = '';
  /** The message of the peer has a head (a request, or a final response). */
  isHeadReceived = false;
  /** The `end` event was taken: nothing more of the peer's message comes. */
  isReceiveEnded = false;
  /** HEADERS of our message were made. */
  isHeadSent = false;
  /** END_STREAM was framed: our message is whole. */
  isSendEnded = false;
  /** Nothing more comes or goes; commands on the stream do nothing. */
  isClosed = false;
  /** Bytes accepted by `sendData` and not framed yet. */
  queuedBytes = 0;
  /** Something of a response has come (client): it is not safe to send the request again. */
  hasResponseBegun = false;

  // ---- what follows belongs to the connection ------------------------------------------------------------------------------------

  /** State on the wire (RFC 9113 §5.1). @internal */
  state: StreamState = StreamState.open;
  /** Packed urgency and incremental flag. @internal */
  priority: number;

  // Receiving.
  /** @internal */ receiveWindow: ReceiveWindow | null = null;
  /** Bytes of DATA without padding. @internal */
  receivedBytes = 0;
  /** @internal */ interimCount = 0;
  /** @internal */ isReadingPaused = false;
  /** Pieces that wait because reading is paused; the last may have room left. @internal */
  held: Uint8Array[] | null = null;
  /** Bytes in the last piece of `held`. @internal */
  heldTail = 0;
  /** END_STREAM was received, its event was not taken yet. @internal */
  isEndHeld = false;
  /** @internal */ heldTrailers: HeaderMap | null = null;
  /** In the list of streams whose held pieces are to be given out. @internal */
  isResumed = false;

  // Sending.
  /** What the peer lets us send; may be negative (RFC 9113 §6.9.2). @internal */
  sendWindow: number;
  /** @internal */ slot: SendSlot<Http2Stream> | null = null;
  /** @internal */ firstChunk: Uint8Array | null = null;
  /** Bytes of `firstChunk` that were framed. @internal */
  firstOffset = 0;
  /** Chunks behind the first; from `moreAt` on. @internal */
  more: Uint8Array[] | null = null;
  /** @internal */ moreAt = 0;
  /** What is left of the announced length, −1 if none was announced. @internal */
  sendLeft = -1;
  /** The message has no body whatever its fields say: `sendData` is ignored. @internal */
  isBodyless = false;
  /** `sendEnd` was called. @internal */
  isEndQueued = false;
  /** @internal */ trailers: HeaderMap | null = null;
  /** `sendData` said false, and `takeWritable` has not given the stream yet. @internal */
  isWritableAwaited = false;
  /** @internal */ interimSent = 0;

  // Times.
  /** Of the last piece of a body in either direction, or the head. @internal */
  activeAt: number;
  /** When our message was whole, or, for CONNECT, its head was made; −1 before. @internal */
  sendEndedAt = -1;
  /** From when on the rate of a request body counts; while reading is paused, less the time of the pause's beginning. @internal */
  bodySince: number;
  /** Bytes of DATA framed. @internal */
  framedBytes = 0;
  /** Since when the stream has data and no window; −1: it has not. @internal */
  stalledSince = -1;
  /** `framedBytes` then. @internal */
  stalledBytes = 0;
  /** What holds for this stream alone; null: the options. @internal */
  bounds: StreamBounds | null = null;

  /** @internal */
  constructor(id: number, sendWindow: number, priority: number, now: number) {
    this.id = id;
    this.sendWindow = sendWindow;
    this.priority = priority;
    this.activeAt = now;
    this.bodySince = now;
  }

  /** Urgency of the answer, 0 (first) to 7 (RFC 9218 §4.1). */
  get urgency(): number {
    return urgencyOf(this.priority);
  }

  /** Whether parts of the answer are of use (RFC 9218 §4.2). */
  get isIncremental(): boolean {
    return isIncremental(this.priority);
  }

  /** A 2xx has answered CONNECT: what comes and goes from then on is a tunnel's (RFC 9110 §9.3.6). */
  get isTunnel(): boolean {
    return this.response !== null && this.response.status < 300 && this.method === 'CONNECT';
  }

  /** Bytes of body that came and were not taken, as reading is paused. */
  get heldBytes(): number {
    return this.receiveWindow === null ? 0 : this.receiveWindow.heldBytes;
  }

  /** Takes a chunk behind those that wait. @internal */
  pushChunk(chunk: Uint8Array): void {
    this.queuedBytes += chunk.length;
    if (this.firstChunk === null) this.firstChunk = chunk;
    else if (this.more === null) this.more = [chunk];
    else this.more.push(chunk);
  }

  /** Goes on to the next chunk that waits. @internal */
  shiftChunk(): void {
    this.firstOffset = 0;
    const { more } = this;
    if (more === null) {
      this.firstChunk = null;
      return;
    }
    this.firstChunk = more[this.moreAt] as Uint8Array;
    this.moreAt++;
    if (this.moreAt === more.length) {
      this.more = null;
      this.moreAt = 0;
    } else if (this.moreAt >= 64) {
      // Chunks that are gone must not be kept, and a copy for each 64 stays linear.
      more.splice(0, this.moreAt);
      this.moreAt = 0;
    }
  }

  /** Forgets what waits to be sent. @internal */
  dropSending(): void {
    this.queuedBytes = 0;
    this.firstChunk = null;
    this.firstOffset = 0;
    this.more = null;
    this.moreAt = 0;
    this.trailers = null;
  }

  /** Forgets what waits in both directions. @internal */
  dropQueues(): void {
    this.dropSending();
    this.held = null;
    this.heldTail = 0;
    this.isEndHeld = false;
    this.heldTrailers = null;
  }
}

/**
 * HEADERS and CONTINUATION of the peer: requests, responses, trailers, and blocks that are read for the header table's sake alone.
 *
 * Rules of this file:
 * - Every block is decoded to its end, whatever becomes of its stream: both header tables must stay equal (RFC 9113 §4.3).
 * - What a block is for is decided when it begins, what becomes of it when it ends; in between nothing else comes (§6.10, the frame decoder sees to it).
 * - A new stream costs something even if it is refused: it is counted before anything else.
 *
 * @see RFC 9113 §5.1.1, §5.1.2, §6.2, §8.1, §8.3
 */

import { responseHead } from '@ferrata/headers';
import { HpackDecoder } from '@ferrata/hpack';
import { type FrameDecoder, FrameFlag, Http2ErrorCode } from '@ferrata/http2-framing';
import { refusedStream, violation } from '../errors.ts';
import { FIELD_TAGGER } from '../field-tags.ts';
import { Http2Event } from '../http2-event.ts';
import { messageError } from '../message-reason.ts';
import { RequestReader } from '../request-reader.ts';
import { ResponseReader } from '../response-reader.ts';
import { Http2Stream } from '../stream.ts';
import { StreamFrame, StreamState, stateAfterReceivedEnd, Verdict, verdictOn } from '../stream-state.ts';
import { TrailersReader } from '../trailers-reader.ts';
import type { BodyIn } from './body-in.ts';
import type { Core } from './core.ts';
import type { Drain } from './drain.ts';
import type { FoundEvent } from './found-event.ts';
import type { Sender } from './sender.ts';
import { countLocalReset, refuseFrame, streamError } from './stream-errors.ts';

/** What the block at hand is. */
const Block = { skipped: 0, request: 1, response: 2, trailers: 3 } as const;
type Block = (typeof Block)[keyof typeof Block];

/** Priorities that came before their streams are kept for so many (RFC 9218 §7.1 leaves the number open). */
const MAX_EARLY_PRIORITIES = 32;

export class HeadsIn {
  readonly hpack: HpackDecoder;
  readonly #core: Core;
  readonly #found: FoundEvent;
  readonly #bodies: BodyIn;
  readonly #sender: Sender;
  readonly #drain: Drain;
  readonly #requests: RequestReader;
  readonly #responses: ResponseReader;
  readonly #trailers: TrailersReader;
  /** PRIORITY_UPDATE for streams that are not open yet. */
  readonly #earlyPriorities: Map<number, number> = new Map();
  /** Streams opened by the peer, refused ones too. */
  #openedCount = 0;
  /** What the decoder had counted after the block before. */
  #tableUpdates = 0;
  #evictions = 0;
  #block: Block = Block.skipped;
  #stream: Http2Stream | null = null;
  #id = 0;
  #endsStream = false;
  /** The frame was wrong for its stream by itself (a stream that depends on itself). */
  #frameError = 0;

  constructor(core: Core, found: FoundEvent, bodies: BodyIn, sender: Sender, drain: Drain) {
    const { options } = core;
    this.#core = core;
    this.#found = found;
    this.#bodies = bodies;
    this.#sender = sender;
    this.#drain = drain;
    this.hpack = new HpackDecoder({
      maxListBytes: options.maxHeaderListBytes,
      maxFieldCount: options.maxHeaderCount,
      // A string cannot be longer than its block; one limit less to think about.
      maxStringBytes: Math.max(1, options.maxHeaderBlockBytes),
      tagger: FIELD_TAGGER,
    });
    this.#requests = new RequestReader({ isConnectProtocolEnabled: core.isServer && options.isExtendedConnectEnabled });
    this.#responses = new ResponseReader();
    this.#trailers = new TrailersReader();
  }

  /** HEADERS. @returns true if there is an event */
  onHeaders(frame: FrameDecoder): boolean {
    const { streamId } = frame;
    this.#id = streamId;
    this.#endsStream = (frame.flags & FrameFlag.endStream) !== 0;
    this.#frameError = frame.streamError;
    const stream = this.#core.table.find(streamId);
    this.#stream = stream;
    this.#block = stream === null ? this.#kindOfNew(streamId) : this.#kindOn(stream);
    switch (this.#block) {
      case Block.request:
        this.#requests.begin();
        break;
      case Block.response:
        this.#responses.begin();
        break;
      case Block.trailers:
        this.#trailers.begin();
        break;
      default:
    }
    return this.onFragment(frame);
  }

  /** No block is at hand. */
  letGo(): void {
    this.#stream = null;
  }

  /** A fragment of the block at hand. @returns true if there is an event */
  onFragment(frame: FrameDecoder): boolean {
    const { hpack } = this;
    hpack.feed(frame.bytes, frame.payloadStart, frame.payloadEnd);
    switch (this.#block) {
      case Block.request:
        this.#requests.read(hpack);
        break;
      case Block.response:
        this.#responses.read(hpack);
        break;
      case Block.trailers:
        this.#trailers.read(hpack);
        break;
      default:
        while (hpack.next());
    }
    if ((frame.flags & FrameFlag.endHeaders) === 0) return false;
    hpack.end();
    if (!this.#countTableChange()) return false;
    if (this.#stream?.isClosed === true) {
      // Given up by the program, or by time, since its block began: this is late, as on any stream that was reset.
      this.#stream = null;
      this.#block = Block.skipped;
    }
    switch (this.#block) {
      case Block.request:
        return this.#endRequest();
      case Block.response:
        return this.#endResponse(this.#stream as Http2Stream);
      case Block.trailers:
        return this.#endTrailers(this.#stream as Http2Stream);
      default:
        return this.#endSkipped();
    }
  }

  /** Shows the guard how the block has changed the header table. @returns false if that was too much */
  #countTableChange(): boolean {
    const { hpack } = this;
    const updates = hpack.tableUpdateCount - this.#tableUpdates;
    const evictions = hpack.evictionCount - this.#evictions;
    if (updates === 0 && evictions === 0) return true;
    this.#tableUpdates = hpack.tableUpdateCount;
    this.#evictions = hpack.evictionCount;
    const tripped = this.#core.guard?.onTableChange(updates, evictions) ?? null;
    if (tripped !== null) this.#core.trip(tripped);
    return tripped === null;
  }

  /** PRIORITY_UPDATE (RFC 9218 §7.1) for a stream that is not open: kept if it may open soon. */
  keepPriority(id: number, priority: number): void {
    const { table, options } = this.#core;
    if (id <= table.highestId || id > table.highestId + 2 * options.maxConcurrentStreams) return;
    if (this.#earlyPriorities.size < MAX_EARLY_PRIORITIES || this.#earlyPriorities.has(id)) this.#earlyPriorities.set(id, priority);
  }

  // ---- beginnings ------------------------------------------------------------------------------------------------------------------

  #kindOfNew(id: number): Block {
    const { isServer, table, goingAway } = this.#core;
    if (!isServer || id % 2 === 0 || id <= table.highestId) return Block.skipped;
    // RFC 9113 §6.8: streams above the last one of our GOAWAY are ignored.
    return goingAway.isFinal ? Block.skipped : Block.request;
  }

  #kindOn(stream: Http2Stream): Block {
    if (verdictOn(stream.state, StreamFrame.headers) !== Verdict.fine) return Block.skipped;
    return this.#core.isServer || stream.isHeadReceived ? Block.trailers : Block.response;
  }

  // ---- ends ------------------------------------------------------------------------------------------------------------------------

  #endSkipped(): boolean {
    const core = this.#core;
    const stream = this.#stream;
    if (stream !== null) {
      return this.#fail(stream, violation('H2_STREAM_CLOSED', Http2ErrorCode.streamClosed, 'HEADERS behind END_STREAM', this.#status()));
    }
    const { isServer, table, goingAway } = core;
    if (isServer && goingAway.isFinal && this.#id % 2 === 1 && this.#id > goingAway.sentLastId) {
      // A stream that is passed over costs a decoded head, and earns nothing. What follows on it counts as on one that we have reset.
      if (this.#id > table.highestId) return this.#passOver(this.#id);
    }
    refuseFrame(core, this.#id, StreamFrame.headers);
    return false;
  }

  #passOver(id: number): false {
    const core = this.#core;
    core.table.highestId = id;
    core.table.remember(id, StreamState.closedByUs);
    core.strayBytes += core.firstWindow();
    const tripped = core.guard?.onStreamRefused() ?? null;
    if (tripped !== null) core.trip(tripped);
    return false;
  }

  #endRequest(): boolean {
    const core = this.#core;
    const { table, options } = core;
    const id = this.#id;
    table.highestId = id;
    core.openedSinceOutput++;
    const tripped = core.guard?.onStreamOpened() ?? null;
    if (tripped !== null) {
      core.trip(tripped);
      return false;
    }
    if (++this.#openedCount >= options.maxStreams) this.#drain.begin();
    // A client that hears nothing cannot know that streams are free again: more than twice the limit in one turn is opened and reset.
    if (table.openCount >= options.maxConcurrentStreams || core.openedSinceOutput > 2 * options.maxConcurrentStreams)
      return this.#refuse(id);
    const head = this.#requests.finish(this.#endsStream);
    if (head === null) return this.#refuseMalformed(id);
    if (this.#frameError !== 0) {
      core.resetUnknown(id, this.#frameError);
      countLocalReset(core);
      this.#found.set(Http2Event.refused, null, violation('H2_SELF_DEPENDENCY', this.#frameError, 'a stream depends on itself'));
      return true;
    }
    const requests = this.#requests;
    const stream = new Http2Stream(id, core.peer.initialWindowSize, this.#priorityOf(id, requests.priority), core.now);
    stream.request = head;
    stream.method = head.method;
    stream.scheme = requests.scheme;
    stream.protocol = requests.protocol;
    stream.receiveLength = requests.contentLength;
    stream.isHeadReceived = true;
    table.add(stream);
    this.#found.set(Http2Event.head, stream, null);
    this.#endOrOpen(stream);
    return true;
  }

  /** RFC 9113 §8.7: nothing was done, so the client may try again. */
  #refuse(id: number): boolean {
    const core = this.#core;
    core.resetUnknown(id, Http2ErrorCode.refusedStream);
    const tripped = core.guard?.onStreamRefused() ?? null;
    if (tripped !== null) core.trip(tripped);
    this.#found.set(Http2Event.refused, null, refusedStream());
    return true;
  }

  /** A malformed request is reset (RFC 9113 §8.1.1); one that is over a limit is told which, as it is not wrong (RFC 6585 §5). */
  #refuseMalformed(id: number): boolean {
    const core = this.#core;
    const error = messageError(this.#requests.fault ?? 'H2_PSEUDO_MISSING', 'request');
    if (error.type === 'limit') {
      this.#sender.refusal(id, responseHead(error.status));
      // RFC 9113 §8.1: a response that is whole before its request may ask the client to stop.
      if (this.#endsStream) core.table.remember(id, StreamState.closedByEnd);
      else core.resetUnknown(id, Http2ErrorCode.noError);
    } else {
      core.resetUnknown(id, error.wire.http2Code ?? Http2ErrorCode.protocolError);
    }
    countLocalReset(core);
    this.#found.set(Http2Event.refused, null, error);
    return true;
  }

  #priorityOf(id: number, ofField: number): number {
    const early = this.#earlyPriorities;
    if (early.size === 0) return ofField;
    // The frame is newer than the field, whichever comes first (RFC 9218 §7).
    const priority = early.get(id) ?? ofField;
    for (const other of early.keys()) if (other <= id) early.delete(other);
    return priority;
  }

  #endResponse(stream: Http2Stream): boolean {
    const core = this.#core;
    const responses = this.#responses;
    stream.hasResponseBegun = true;
    stream.activeAt = core.now;
    const head = responses.finish(stream.method, this.#endsStream);
    if (head === null) return this.#fail(stream, messageError(responses.fault ?? 'H2_PSEUDO_MISSING', 'response'));
    if (this.#frameError !== 0)
      return this.#fail(stream, violation('H2_SELF_DEPENDENCY', this.#frameError, 'a stream depends on itself', 502));
    if (responses.isInterim) {
      stream.interim = head;
      return this.#interim(stream);
    }
    stream.response = head;
    stream.isHeadReceived = true;
    stream.receiveLength = responses.contentLength;
    this.#found.set(Http2Event.head, stream, null);
    this.#endOrOpen(stream);
    return true;
  }

  #interim(stream: Http2Stream): boolean {
    const core = this.#core;
    const tripped = core.guard?.onInterim() ?? null;
    if (tripped !== null) {
      core.trip(tripped);
      return false;
    }
    if (++stream.interimCount > core.options.maxInterimResponses) {
      return this.#fail(stream, violation('H2_INTERIM_TOO_MANY', Http2ErrorCode.enhanceYourCalm, 'too many interim responses', 502));
    }
    this.#found.set(Http2Event.interim, stream, null);
    return true;
  }

  #endTrailers(stream: Http2Stream): boolean {
    const trailers = this.#trailers.finish();
    stream.activeAt = this.#core.now;
    // RFC 9113 §8.1: what is behind the body ends the message.
    if (!this.#endsStream) {
      return this.#fail(
        stream,
        violation('H2_TRAILERS_NOT_LAST', Http2ErrorCode.protocolError, 'trailers without END_STREAM', this.#status()),
      );
    }
    if (trailers === null) {
      return this.#fail(
        stream,
        messageError(this.#trailers.fault ?? 'H2_TRAILERS_TOO_LARGE', this.#core.isServer ? 'request' : 'response'),
      );
    }
    if (!this.#bodies.endMessage(stream)) return true;
    const kept = trailers.size > 0 ? trailers : null;
    if (stream.isReadingPaused || stream.held !== null) {
      stream.isEndHeld = true;
      stream.heldTrailers = kept;
      return false;
    }
    this.#bodies.giveEnd(stream, kept);
    return true;
  }

  /** The head of a message is there: its body begins, or nothing follows. */
  #endOrOpen(stream: Http2Stream): void {
    if (!this.#endsStream) {
      this.#bodies.open(stream);
      return;
    }
    stream.state = stateAfterReceivedEnd(stream.state);
    this.#found.endsNext = stream;
  }

  #fail(stream: Http2Stream, error: ReturnType<typeof violation>): true {
    streamError(this.#core, this.#found, stream, error);
    return true;
  }

  #status(): number {
    return this.#core.isServer ? 400 : 502;
  }
}

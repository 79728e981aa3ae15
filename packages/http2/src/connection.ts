/**
 * One HTTP/2 connection in either role, without I/O: bytes and time go in, events come out; commands go in, bytes come out.
 *
 * ```text
 *              receive ──► Receiver ──┬─ HeadsIn ─┐
 *                                     ├─ BodyIn ──┼──► nextEvent: head, data, end, reset, …
 *                                     └─ settings, pings, goodbyes
 *   request, sendHead, sendData … ──► Sender ─────┴──► takeOutput: control frames and HEADERS, then DATA by turns
 *   handleTimeout ──► Deadlines          all of them share Core: streams, windows, the first error
 * ```
 * Rules of this file:
 * - Everything that a caller sees is here, in four groups; what it does is in `internal/`, by concept.
 * - Commands on a stream that is closed do nothing: its end may not have been heard of yet. Commands in a wrong order are a TypeError.
 * - Errors of streams are events; the first error of the connection is thrown by `nextEvent`, again and again, and GOAWAY waits to be taken.
 *
 * @see RFC 9113 · RFC 8441 · RFC 9218
 */
import type { WireError } from '@ferrata/error';
import { type HeaderMap, KnownHeader, type RequestHead, type ResponseHead } from '@ferrata/headers';
import { CLIENT_PREFACE, writePriorityUpdate, writeSettings } from '@ferrata/http2-framing';
import { checkBodyLength } from './head-writer.ts';
import type { Http2Event } from './http2-event.ts';
import type { BodyIn } from './internal/body-in.ts';
import { Core } from './internal/core.ts';
import { Deadlines } from './internal/deadlines.ts';
import { Drain } from './internal/drain.ts';
import type { FoundEvent } from './internal/found-event.ts';
import { Receiver } from './internal/receiver.ts';
import { Sender } from './internal/sender.ts';
import { type Http2Options, type ResolvedHttp2Options, resolveHttp2Options } from './options.ts';
import { DEFAULT_PRIORITY, formatPriority, packPriority, parsePriority } from './priority.ts';
import { Role } from './role.ts';
import { localSettings, type PeerSettings } from './settings.ts';
import { Http2Stream, type StreamBounds } from './stream.ts';

/** What a request brings besides its head. */
export interface Http2RequestInit {
  /** Bytes of the body; 0 ends the stream with HEADERS, −1 if unknown. Default 0. */
  readonly bodyLength?: number;
  /** `:protocol` of an extended CONNECT (RFC 8441); the peer must have offered it. Default none. */
  readonly protocol?: string | null;
}

/** The highest number of a client's stream. */
const MAX_CLIENT_ID = 0x7fff_ffff;

/** One end of an HTTP/2 connection. */
export class Http2Connection {
  readonly #core: Core;
  readonly #sender: Sender;
  readonly #drain: Drain;
  readonly #receiver: Receiver;
  readonly #bodies: BodyIn;
  readonly #deadlines: Deadlines;
  readonly #found: FoundEvent;
  /** Number of the next request (client). */
  #nextId = 1;

  /**
   * The preface of our side waits to be taken at once.
   *
   * @param now time of the beginning
   * @throws {RangeError} when an option makes no sense
   */
  constructor(role: Role, now: number, options: Http2Options | ResolvedHttp2Options = {}) {
    const resolved = resolveHttp2Options(role, options);
    const core = new Core(resolved, now);
    this.#core = core;
    this.#sender = new Sender(core);
    this.#drain = new Drain(core);
    this.#receiver = new Receiver(core, this.#sender, this.#drain);
    this.#bodies = this.#receiver.bodies;
    this.#found = this.#receiver.found;
    this.#deadlines = new Deadlines(core, this.#receiver, this.#drain);
    if (role === Role.client) core.writer.writeBytes(CLIENT_PREFACE);
    writeSettings(core.writer, localSettings(resolved));
    this.#bodies.openConnectionWindow();
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** What `nextEvent` found. */
  get event(): Http2Event {
    return this.#found.event;
  }
  /** Whose event it is; null for `refused`, `goaway` and `settings`. */
  get stream(): Http2Stream | null {
    return this.#found.stream;
  }
  /** A piece of a body, valid after `data`: a view of a chunk given to `receive`, or memory of its own. Yours, never rewritten. */
  get data(): Uint8Array {
    return this.#found.data;
  }
  /** Trailer fields, valid after `end`; null if there were none. */
  get trailers(): HeaderMap | null {
    return this.#found.trailers;
  }
  /** Valid after `reset`, `refused` and `goaway`. */
  get error(): WireError | null {
    return this.#found.error;
  }
  /** No stream is open and no frame is incomplete. */
  get isIdle(): boolean {
    return this.#core.table.openCount === 0 && this.#receiver.isBetweenFrames;
  }
  /** Streams that count against the limit. */
  get openStreamCount(): number {
    return this.#core.table.openCount;
  }
  /** Requests that may begin now (client). For good 0 once the connection drains. */
  get availableStreams(): number {
    const { isServer, isOver, hasPeerEnded, goingAway, options, peer, table } = this.#core;
    if (isServer || isOver || hasPeerEnded || goingAway.isDraining) return 0;
    const free = Math.min(options.maxConcurrentStreams, peer.maxConcurrentStreams) - table.openCount;
    return Math.max(0, Math.min(free, options.maxStreams - ((this.#nextId - 1) >>> 1)));
  }
  /** No further stream will be opened. */
  get isDraining(): boolean {
    const { goingAway, isOver, hasPeerEnded } = this.#core;
    return goingAway.isDraining || isOver || hasPeerEnded;
  }
  /** Nothing more will be said or heard: write what `takeOutput` gives, then end the stream below. */
  get shouldClose(): boolean {
    const { isOver, table, goingAway, hasPeerEnded, isServer } = this.#core;
    if (isOver) return true;
    if (table.openCount > 0) return false;
    return hasPeerEnded || goingAway.isFinal || goingAway.receivedLastId >= 0 || (goingAway.isDraining && !isServer);
  }
  /** `takeOutput` has something to give. */
  get hasOutput(): boolean {
    const { writer, scheduler, sendWindow, isOver } = this.#core;
    return writer.length > 0 || (!isOver && sendWindow > 0 && !scheduler.isEmpty());
  }
  /** Bytes that `takeOutput` could give, about: of DATA no more than the window of the connection lets through. */
  get outputBytes(): number {
    const { writer, scheduler, sendWindow, table, isOver } = this.#core;
    if (isOver || scheduler.isEmpty()) return writer.length;
    return writer.length + Math.min(Math.max(0, sendWindow), table.queuedBytes);
  }
  /** Bytes of bodies that were accepted and not framed yet, of all streams. */
  get queuedBytes(): number {
    return this.#core.table.queuedBytes;
  }
  /** Bytes given to `receive`. */
  get receivedBytes(): number {
    return this.#receiver.receivedBytes;
  }
  /** What the peer has set; the defaults of the RFC before `hasPeerSettings`. */
  get peerSettings(): Readonly<PeerSettings> {
    return this.#core.peer;
  }
  get hasPeerSettings(): boolean {
    return this.#core.hasPeerSettings;
  }
  /** The latest measured round trip in milliseconds; −1 before the first. */
  get rttMs(): number {
    return this.#core.pings.rttMs;
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  /** Takes bytes of the peer; the chunk belongs to the machine from now on. */
  receive(chunk: Uint8Array, now: number): void {
    this.#core.now = now;
    this.#receiver.receive(chunk);
  }

  /**
   * The peer has ended its side, perhaps in the middle of a frame. Requests that came whole are still answered; what is not whole ends with `reset`
   * events.
   */
  receiveEnd(now: number): void {
    this.#core.now = now;
    this.#receiver.receiveEnd();
  }

  /**
   * Moves on to the next event; false if more bytes are needed.
   *
   * @throws {WireError} when the peer broke a rule of the connection or a limit; the first one is final, GOAWAY waits to be taken
   */
  nextEvent(now: number): boolean {
    this.#core.now = now;
    return this.#receiver.next();
  }

  /** When to call `handleTimeout` next; `Infinity` if nothing is waited for. */
  nextTimeout(): number {
    return this.#deadlines.next();
  }

  /**
   * Does what is due. Streams that took too long are reset, and `nextEvent` tells.
   *
   * @returns the error that ended the connection, or null: nothing was due, or an idle connection came to its end in order (`shouldClose`)
   */
  handleTimeout(now: number): WireError | null {
    this.#core.now = now;
    return this.#deadlines.handle(now);
  }

  // ---- commands ----------------------------------------------------------------------------------------------------------------

  /**
   * Begins a request (client).
   *
   * @throws {RangeError} when no stream is available: ask `availableStreams` first
   * @throws {TypeError} when the head cannot be sent; nothing has changed then
   */
  request(head: RequestHead, init: Http2RequestInit, now: number): Http2Stream {
    const core = this.#core;
    if (core.isServer) throw new TypeError('a server makes no requests');
    if (this.availableStreams === 0) throw new RangeError('no stream is available');
    const { bodyLength = 0, protocol = null } = init;
    core.now = now;
    if (protocol !== null && !core.peer.isExtendedConnectEnabled) throw new TypeError('the peer does not offer extended CONNECT');
    const id = this.#nextId;
    this.#sender.requestHead(id, head, bodyLength, protocol);
    this.#nextId = id + 2;
    const wish = head.headers.getKnown(KnownHeader.priority);
    const stream = new Http2Stream(id, core.peer.initialWindowSize, wish === undefined ? DEFAULT_PRIORITY : parsePriority(wish), now);
    stream.request = head;
    stream.method = head.method;
    stream.protocol = protocol;
    stream.scheme = core.options.scheme;
    core.table.highestId = id;
    core.table.add(stream);
    // It earns what the peer may send along with a response.
    core.guard?.onStreamOpened();
    this.#sender.beginBody(stream, bodyLength, false);
    // Nothing more of it comes before the answer: the time for that runs.
    if (head.method === 'CONNECT') stream.sendEndedAt = now;
    // RFC 9113 §5.1.1: numbers are not used again. This one was the last.
    if (this.#nextId > MAX_CLIENT_ID || (id + 1) >>> 1 >= core.options.maxStreams) core.goingAway.isDraining = true;
    return stream;
  }

  /**
   * Sends an interim response, 100 to 199 but 101 (server; RFC 9110 §15.2). More than `maxInterimResponses` are dropped.
   *
   * @throws {TypeError} when the response has begun, or the head cannot be sent
   * @throws {RangeError} when the status is not an interim one
   */
  sendInterim(stream: Http2Stream, head: ResponseHead, now: number): void {
    // RFC 9113 §8.6: HTTP/2 has no 101.
    if (!(head.status >= 100 && head.status <= 199) || head.status === 101) throw new RangeError(`not an interim status: ${head.status}`);
    this.#core.now = now;
    if (!this.#mayAnswer(stream) || stream.interimSent >= this.#core.options.maxInterimResponses) return;
    this.#sender.interimHead(stream, head);
    stream.interimSent++;
  }

  /**
   * Begins the response (server). HEADERS end the stream if `bodyLength` is 0 or the response has no body (to HEAD, 204, 304); `sendData` is then
   * ignored, and trailers are.
   *
   * @param bodyLength ≥ 0, or −1 if unknown
   * @param date value of Date for a head without one; empty for none
   * @throws {TypeError} when the response has begun, or the head cannot be sent; nothing has changed then
   * @throws {RangeError} when the status is not a final one, or `bodyLength` is no length
   */
  sendHead(stream: Http2Stream, head: ResponseHead, bodyLength: number, date: string, now: number): void {
    const { status } = head;
    if (!(status >= 200)) throw new RangeError(`not a final status: ${status}`);
    checkBodyLength(bodyLength);
    this.#core.now = now;
    if (!this.#mayAnswer(stream)) return;
    const { method } = stream;
    // RFC 9110 §9.3.6: any 2xx to CONNECT makes a tunnel, 204 too.
    const isBodyless = method === 'HEAD' || (status === 204 && method !== 'CONNECT') || status === 304;
    this.#sender.responseHead(stream, head, bodyLength, isBodyless, date);
    stream.response = head;
    this.#sender.beginBody(stream, bodyLength, isBodyless);
  }

  /**
   * Sends a piece of the body; the chunk belongs to the machine from now on.
   *
   * @returns false: the queue of the stream is at its high-water mark (the chunk was accepted: wait for `takeWritable`), or the stream is closed
   * @throws {RangeError} when it is more than announced; the stream is reset
   * @throws {TypeError} before the head, or after the end
   */
  sendData(stream: Http2Stream, chunk: Uint8Array, now: number): boolean {
    this.#core.now = now;
    if (!stream.isHeadSent && !stream.isClosed && !this.#core.isOver) throw new TypeError('a body before its head');
    return this.#sender.data(stream, chunk);
  }

  /**
   * Ends our message.
   *
   * @throws {RangeError} when less was sent than announced; the stream is reset
   * @throws {TypeError} before the head
   */
  sendEnd(stream: Http2Stream, trailers: HeaderMap | null, now: number): void {
    this.#core.now = now;
    if (!stream.isHeadSent && !stream.isClosed && !this.#core.isOver) throw new TypeError('an end before its head');
    this.#sender.end(stream, trailers);
  }

  /** Gives a stream up; no event of it follows. @param code for RST_STREAM: an `Http2ErrorCode` */
  reset(stream: Http2Stream, code: number, now: number): void {
    this.#core.now = now;
    this.#core.reset(stream, code);
  }

  /**
   * Stops (`true`) or resumes (`false`) the reading of a body. Meanwhile pieces wait here, no more than the window of the stream, and no time-out
   * of the body runs. A piece found before may still be in the caller's hands.
   */
  setReadingPaused(stream: Http2Stream, isPaused: boolean, now: number): void {
    this.#core.now = now;
    this.#bodies.setPaused(stream, isPaused);
  }

  /** Bounds of one stream in place of the options; what is not named stays. They are looked at once a second, as all times of streams. */
  setBounds(stream: Http2Stream, bounds: Partial<StreamBounds>): void {
    const { bodyTimeoutMs, stallTimeoutMs } = stream.bounds ?? this.#core.options;
    stream.bounds = { bodyTimeoutMs, stallTimeoutMs, ...bounds };
  }

  /** No new streams; those that are open go on. GOAWAY in two steps, so that no request is lost (server), or in one. */
  drain(now: number): void {
    this.#core.now = now;
    this.#drain.begin();
  }

  /** Ends the connection at once: GOAWAY, and nothing more. Streams that are open get no further event. */
  goaway(code: number, text: string, now: number): void {
    const core = this.#core;
    core.now = now;
    core.goodbye(code, text);
    core.isOver = true;
  }

  /** Measures a round trip: `rttMs` has it later. An answer that does not come ends nothing; `pingIntervalMs` finds out who lives. */
  ping(now: number): void {
    const core = this.#core;
    core.now = now;
    if (!core.isOver) core.pings.send(core.writer, now);
  }

  /**
   * Changes the priority of a stream: the order of what we send, and for a client also the server's (PRIORITY_UPDATE, RFC 9218 §7.1).
   *
   * @param urgency 0 (first) to 7
   * @throws {RangeError} when the urgency is no such number
   */
  setPriority(stream: Http2Stream, urgency: number, isIncremental: boolean): void {
    const core = this.#core;
    const priority = packPriority(urgency, isIncremental);
    if (stream.isClosed || core.isOver) return;
    this.#sender.setPriority(stream, priority);
    if (!core.isServer) writePriorityUpdate(core.writer, stream.id, formatPriority(priority));
  }

  /** @returns false if the stream or the connection is gone. @throws {TypeError} if its response has begun */
  #mayAnswer(stream: Http2Stream): boolean {
    if (!this.#core.isServer) throw new TypeError('a client sends no responses');
    if (stream.isClosed || this.#core.isOver) return false;
    if (stream.isHeadSent) throw new TypeError('the response to this request has begun');
    return true;
  }

  // ---- outputs -----------------------------------------------------------------------------------------------------------------

  /**
   * Moves out what is to be written, in order: control frames and HEADERS, then DATA as turns and windows allow.
   *
   * @param maxBytes no frame of DATA begins beyond it, so it is passed by one at most
   */
  takeOutput(maxBytes: number): readonly Uint8Array[] {
    return this.#sender.take(maxBytes);
  }

  /** A stream that may be written again, after `sendData` has said false; null if there is none. */
  takeWritable(): Http2Stream | null {
    const { writable } = this.#core;
    for (;;) {
      const stream = writable.shift();
      if (stream === undefined) return null;
      if (!stream.isClosed && !stream.isEndQueued) return stream;
    }
  }
}

/**
 * One WebSocket connection in either role, after its handshake and without I/O: bytes and time go in, events come out; commands go in, bytes come out.
 *
 * Rules of this file:
 * - Messages are told as they come: `messageStart`, pieces, `messageEnd`. (Compressed ones are one piece, as they expand at their end.)
 * - A ping is answered by the machine; so is the peer's Close, unless `isCloseAnswered` is false.
 * - The first error is final: the peer hears its close code, `shouldClose` becomes true, and every later `nextEvent` throws it again.
 * - After the peer's Close nothing that it sends is looked at; after ours no frame of ours follows (RFC 6455 §1.4, §5.5.1).
 *
 * ```text
 *            close()                      peer's Close
 *      ┌───────────────► closing ──────────────────────┐
 *    open                   │ closeTimeoutMs: error     ├──► closed: server `shouldClose` at once, client at the peer's end or endTimeoutMs
 *      └───────────────► peerClosed ────────────────────┘
 *        peer's Close            answered at once, or close()
 *      any state: broken rule, silence, end without Close ──► failed: `shouldClose`
 * ```
 *
 * @see RFC 6455 §5, §7 · RFC 7692
 */
import { ByteWriter, EMPTY_BYTES, utf8Decode, utf8Encode } from '@ferrata/bytes';
import { toWireError, type WireError } from '@ferrata/error';
import { CloseCode, isCloseCode } from './close-code.ts';
import { closedEarly, overLimit, tooSlow, violation } from './errors.ts';
import { FrameDecoder, FrameEvent } from './frame-decoder.ts';
import { ControlBudget } from './internal/control-budget.ts';
import { FrameOutput } from './internal/frame-output.ts';
import { MessageIn } from './internal/message-in.ts';
import { MessageOut } from './internal/message-out.ts';
import { FIRST_CONTROL_OPCODE, MAX_CONTROL_BYTES, type MessageKind, Opcode } from './opcode.ts';
import { type ResolvedWebSocketOptions, resolveWebSocketOptions, type WebSocketOptions } from './options.ts';
import { Role } from './role.ts';
import { Utf8Validator } from './utf8-validator.ts';
import { WebSocketEvent } from './websocket-event.ts';

const MAX_REASON_BYTES = 123;
const NEVER = -1;

/** One end of a WebSocket connection. */
export class WebSocketConnection {
  readonly role: Role;
  readonly #options: ResolvedWebSocketOptions;
  readonly #decoder: FrameDecoder;
  readonly #output: FrameOutput;
  readonly #incoming: MessageIn;
  readonly #outgoing: MessageOut;
  readonly #budget: ControlBudget;
  readonly #control = new Uint8Array(MAX_CONTROL_BYTES);
  #controlLength = 0;
  #event: WebSocketEvent = WebSocketEvent.none;
  #data: Uint8Array = EMPTY_BYTES;
  /** A message that was expanded: its only piece has been told, its end has not. */
  #isEndDue = false;
  /** The latest ping that was not answered because too much waits to be taken. */
  #duePong: Uint8Array | null = null;
  /** Pings of ours that no pong has come for: that many cost the peer nothing of its budget. */
  #awaitedPongs = 0;
  #closeCode: number = CloseCode.abnormal;
  #closeReason = '';
  #hasSentClose = false;
  #hasReceivedClose = false;
  #hasEnded = false;
  #shouldClose = false;
  #isReadingPaused = false;
  #error: WireError | null = null;
  // Times, in milliseconds of the caller's clock.
  #heardAt: number;
  #pingedAt = NEVER;
  #closeSentAt = NEVER;
  #closedAt = NEVER;

  /**
   * @param now when the handshake was done
   * @param writer a writer that joins output; pass one for all connections of a thread to spare memory
   * @throws {RangeError} when an option makes no sense
   */
  constructor(role: Role, now: number, options: WebSocketOptions | ResolvedWebSocketOptions = {}, writer: ByteWriter = new ByteWriter()) {
    const resolved = resolveWebSocketOptions(options);
    const { deflate, compression } = resolved;
    const codec = deflate === null || compression === null ? null : compression(deflate, role);
    this.role = role;
    this.#options = resolved;
    this.#decoder = new FrameDecoder(role, { isDeflateAllowed: codec !== null });
    this.#output = new FrameOutput(writer);
    this.#incoming = new MessageIn(resolved, codec);
    this.#outgoing = new MessageOut(role, resolved, this.#output, codec);
    this.#budget = new ControlBudget(resolved, now);
    this.#heardAt = now;
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** What `nextEvent` found. */
  get event(): WebSocketEvent {
    return this.#event;
  }
  /** Of the message at hand, from `messageStart` on. */
  get messageKind(): MessageKind {
    return this.#incoming.kind();
  }
  /** After `data`: a piece of the message, yours. After `ping` and `pong`: their payload, yours too. */
  get data(): Uint8Array {
    return this.#data;
  }
  /** Code of the peer's Close; 1005 if it had none, 1006 if none came (RFC 6455 §7.1.5). */
  get closeCode(): number {
    return this.#closeCode;
  }
  /** Reason of the peer's Close; empty if it gave none (RFC 6455 §7.1.6). */
  get closeReason(): string {
    return this.#closeReason;
  }
  /** Messages can be sent: we have sent no Close, and nothing has failed. */
  get isOpen(): boolean {
    return !this.#hasSentClose && !this.#shouldClose;
  }
  get hasSentClose(): boolean {
    return this.#hasSentClose;
  }
  get hasReceivedClose(): boolean {
    return this.#hasReceivedClose;
  }
  /** All is said: write what `takeOutput` gives, then end the stream. */
  get shouldClose(): boolean {
    return this.#shouldClose;
  }
  /** What ended the connection, or null. */
  get error(): WireError | null {
    return this.#error;
  }
  /** Bytes received and not told: unread ones, and those of a compressed message that is not whole. */
  get bufferedBytes(): number {
    return this.#decoder.bufferedBytes + this.#incoming.bufferedBytes();
  }
  /** Bytes that wait to be taken. */
  get outputBytes(): number {
    return this.#output.byteLength();
  }

  // ---- inputs ------------------------------------------------------------------------------------------------------------------

  /** Takes bytes of the peer; the chunk belongs to the machine from now on, and is unmasked where it lies. */
  receive(chunk: Uint8Array, now: number): void {
    this.#heardAt = now;
    this.#pingedAt = NEVER;
    if (this.#hasReceivedClose || this.#error !== null) return;
    this.#decoder.feed(chunk);
  }

  /** The peer has ended the connection. What it has sent before is still told. */
  receiveEnd(): void {
    this.#hasEnded = true;
    // Nothing more can be waited for once both have said goodbye.
    if (this.#hasReceivedClose && this.#hasSentClose) this.#shouldClose = true;
  }

  /** The caller has stopped (`true`) or again begun (`false`) to read: meanwhile silence is not the peer's. After our Close its time runs on all the same. */
  setReadingPaused(paused: boolean, now: number): void {
    if (this.#isReadingPaused === paused) return;
    this.#isReadingPaused = paused;
    if (paused) return;
    this.#heardAt = now;
    this.#pingedAt = NEVER;
    if (this.#closeSentAt >= 0) this.#closeSentAt = now;
  }

  /**
   * The caller has seen that the peer lives, though no byte came: it takes bytes that are in front of our ping or Close. What is waited for begins anew.
   */
  noteLife(now: number): void {
    this.#heardAt = now;
    if (this.#pingedAt >= 0) this.#pingedAt = now;
    if (this.#closeSentAt >= 0) this.#closeSentAt = now;
  }

  /** When to call `handleTimeout` next; `Infinity` if nothing is waited for. */
  nextTimeout(): number {
    const options = this.#options;
    if (this.#shouldClose) return Number.POSITIVE_INFINITY;
    if (this.#hasReceivedClose) return this.#hasSentClose ? this.#closedAt + options.endTimeoutMs : Number.POSITIVE_INFINITY;
    // Nothing of ours follows our Close, so nobody can be asked whether it lives (RFC 6455 §1.4). Also while reading is paused: who has said goodbye
    // and never reads again must not hold the connection.
    if (this.#hasSentClose) return this.#closeSentAt + options.closeTimeoutMs;
    if (this.#isReadingPaused) return Number.POSITIVE_INFINITY;
    if (options.pingIntervalMs === 0) return Number.POSITIVE_INFINITY;
    return this.#pingedAt >= 0 ? this.#pingedAt + options.pongTimeoutMs : this.#heardAt + options.pingIntervalMs;
  }

  /**
   * Does what is due: asks a silent peer whether it lives, or ends the connection.
   * @returns the error that ended it, or null
   */
  handleTimeout(now: number): WireError | null {
    if (now < this.nextTimeout()) return null;
    if (this.#hasReceivedClose) {
      // RFC 6455 §7.1.1: the server should have ended the connection; both Closes have gone, so nothing is lost.
      this.#shouldClose = true;
      return null;
    }
    if (this.#hasSentClose) return this.#fail(tooSlow('WS_CLOSE_TIMEOUT', 'the peer has not answered the Close'));
    if (this.#pingedAt >= 0) return this.#fail(tooSlow('WS_PING_TIMEOUT', 'the peer has not answered a ping'));
    this.#pingedAt = now;
    this.#awaitedPongs++;
    this.#outgoing.control(Opcode.ping, EMPTY_BYTES);
    return null;
  }

  // ---- events ------------------------------------------------------------------------------------------------------------------

  /**
   * Moves on to the next event; false if more bytes are needed first, or nothing more will come.
   *
   * @throws {WireError} when the peer broke a rule or a limit, or left without a Close; the first one is final and thrown again by every later call
   */
  nextEvent(now: number): boolean {
    if (this.#error !== null) throw this.#error;
    if (this.#hasReceivedClose) return false;
    try {
      return this.#readEvent(now);
    } catch (error) {
      throw this.#fail(toWireError(error));
    }
  }

  // ---- commands ----------------------------------------------------------------------------------------------------------------

  /**
   * Sends a text message; a lone surrogate becomes U+FFFD.
   *
   * @returns false if the connection takes no messages any more
   * @throws {TypeError} when a message is being sent in fragments
   */
  sendText(text: string): boolean {
    return this.isOpen && this.#outgoing.message(Opcode.text, utf8Encode(text));
  }

  /** Sends a binary message, which from now on must not be changed; else like `sendText`. */
  sendBinary(bytes: Uint8Array): boolean {
    return this.isOpen && this.#outgoing.message(Opcode.binary, bytes);
  }

  /**
   * Sends a message piece by piece: each a frame of its own, never compressed. Control frames may go between them, other messages may not.
   *
   * @param place `more` if another fragment follows, `last` if the message is whole
   * @returns false if the connection takes no messages any more
   * @throws {TypeError} when the kind changes within a message, or text is not UTF-8
   * @see RFC 6455 §5.4
   */
  sendFragment(kind: MessageKind, fragment: Uint8Array, place: 'more' | 'last'): boolean {
    return this.isOpen && this.#outgoing.fragment(kind, fragment, place === 'last');
  }

  /**
   * Asks the peer to answer with the same bytes.
   *
   * @returns false if the connection sends nothing any more
   * @throws {RangeError} when there are more than 125
   */
  ping(payload: Uint8Array = EMPTY_BYTES): boolean {
    if (!this.#sendControl(Opcode.ping, payload)) return false;
    this.#awaitedPongs++;
    return true;
  }

  /** Says that we live, without having been asked (RFC 6455 §5.5.3); else like `ping`. */
  pong(payload: Uint8Array = EMPTY_BYTES): boolean {
    return this.#sendControl(Opcode.pong, payload);
  }

  /**
   * Sends a Close, once; a message that is being sent in fragments is given up.
   *
   * @param code 1005 for none
   * @throws {RangeError} when the code may not be sent, or the reason has more than 123 bytes
   * @see RFC 6455 §5.5.1, §7.1.2
   */
  close(code: number, reason: string, now: number): void {
    if (code !== CloseCode.none && !isCloseCode(code)) throw new RangeError(`${code} is no code of a Close frame`);
    const text = reason === '' ? EMPTY_BYTES : utf8Encode(reason);
    if (text.length > MAX_REASON_BYTES)
      throw new RangeError(`the reason of a Close has at most ${MAX_REASON_BYTES} bytes, not ${text.length}`);
    if (code === CloseCode.none && text.length > 0) throw new RangeError('a Close without a code has no reason');
    if (this.isOpen) this.#sendClose(code, text, now);
  }

  /**
   * Ends the connection for an error of the caller's: the peer hears `error.wire.closeCode`, 1011 if it has none.
   *
   * @see RFC 6455 §7.1.7
   */
  refuse(error: WireError): void {
    if (this.#error === null && !this.#shouldClose) this.#fail(error);
  }

  // ---- outputs -----------------------------------------------------------------------------------------------------------------

  /** Moves out what is to be written, in order; empty if nothing is. */
  takeOutput(): Uint8Array[] {
    const pong = this.#duePong;
    if (pong !== null) {
      this.#duePong = null;
      this.#outgoing.control(Opcode.pong, pong);
    }
    return this.#output.take();
  }

  // ---- within ------------------------------------------------------------------------------------------------------------------

  #readEvent(now: number): boolean {
    if (this.#isEndDue) {
      this.#isEndDue = false;
      return this.#found(WebSocketEvent.messageEnd, EMPTY_BYTES);
    }
    const decoder = this.#decoder;
    while (decoder.next()) {
      const isControl = decoder.opcode >= FIRST_CONTROL_OPCODE;
      if (isControl ? this.#readControl(now) : this.#readMessage()) return true;
    }
    if (!this.#hasEnded) return false;
    // RFC 6455 §7.1.5: an end without a Close says nothing about what is missing.
    throw closedEarly();
  }

  #readMessage(): boolean {
    const decoder = this.#decoder;
    const incoming = this.#incoming;
    switch (decoder.event) {
      case FrameEvent.header:
        return (
          incoming.handleHeader(decoder.opcode, decoder.isCompressed, decoder.payloadLength) &&
          this.#found(WebSocketEvent.messageStart, EMPTY_BYTES)
        );
      case FrameEvent.payload:
        return incoming.handlePayload(decoder.payload) && this.#found(WebSocketEvent.data, decoder.payload);
      default: {
        if (!decoder.isFinal) return false;
        const expanded = incoming.handleEnd();
        if (expanded === null || expanded.length === 0) return this.#found(WebSocketEvent.messageEnd, EMPTY_BYTES);
        this.#isEndDue = true;
        return this.#found(WebSocketEvent.data, expanded);
      }
    }
  }

  #readControl(now: number): boolean {
    const decoder = this.#decoder;
    if (decoder.event === FrameEvent.header) {
      this.#controlLength = 0;
      return false;
    }
    if (decoder.event === FrameEvent.payload) {
      this.#control.set(decoder.payload, this.#controlLength);
      this.#controlLength += decoder.payload.length;
      return false;
    }
    const payload = this.#control.slice(0, this.#controlLength);
    if (decoder.opcode === Opcode.close) return this.#handleClose(payload, now);
    const isPong = decoder.opcode === Opcode.pong;
    if (isPong && this.#awaitedPongs > 0) this.#awaitedPongs--;
    else if (!this.#budget.take(now)) {
      throw overLimit('WS_CONTROL_FLOOD', 'the peer sends too many control frames', CloseCode.policyViolation);
    }
    if (isPong) return this.#found(WebSocketEvent.pong, payload);
    this.#answerPing(payload);
    return this.#found(WebSocketEvent.ping, payload);
  }

  #answerPing(payload: Uint8Array): void {
    if (!this.isOpen) return;
    // RFC 6455 §5.5.3: if several pings wait for their answer, the latest may stand for all.
    if (this.#output.byteLength() >= this.#options.maxQueuedPongBytes || this.#duePong !== null) this.#duePong = payload;
    else this.#outgoing.control(Opcode.pong, payload);
  }

  #handleClose(payload: Uint8Array, now: number): boolean {
    let code: number = CloseCode.none;
    if (payload.length > 0) {
      // RFC 6455 §5.5.1: if there is a body, it begins with a code of two bytes.
      if (payload.length === 1) throw violation('WS_CLOSE_PAYLOAD_INVALID', 'a Close has half a code');
      code = ((payload[0] as number) << 8) | (payload[1] as number);
      if (!isCloseCode(code)) throw violation('WS_CLOSE_CODE_INVALID', `${code} may not stand in a Close frame`);
      this.#closeReason = readReason(payload.subarray(2));
    }
    this.#closeCode = code;
    this.#hasReceivedClose = true;
    this.#closedAt = now;
    this.#decoder.discard();
    this.#incoming.discard();
    if (this.#hasSentClose) this.#finish();
    // RFC 6455 §5.5.1: the answer echoes the code.
    else if (this.#options.isCloseAnswered) this.#sendClose(code, EMPTY_BYTES, now);
    return this.#found(WebSocketEvent.close, EMPTY_BYTES);
  }

  #sendControl(opcode: Opcode, payload: Uint8Array): boolean {
    if (payload.length > MAX_CONTROL_BYTES)
      throw new RangeError(`a control frame has at most ${MAX_CONTROL_BYTES} bytes, not ${payload.length}`);
    if (!this.isOpen) return false;
    this.#outgoing.control(opcode, payload);
    return true;
  }

  #sendClose(code: number, reason: Uint8Array, now: number): void {
    this.#writeClose(code, reason);
    this.#closeSentAt = now;
    if (this.#hasReceivedClose) {
      this.#closedAt = now;
      this.#finish();
    }
  }

  #writeClose(code: number, reason: Uint8Array): void {
    this.#hasSentClose = true;
    this.#duePong = null;
    this.#outgoing.discard();
    if (code === CloseCode.none) {
      this.#outgoing.control(Opcode.close, EMPTY_BYTES);
      return;
    }
    const payload = new Uint8Array(2 + reason.length);
    payload[0] = code >>> 8;
    payload[1] = code;
    payload.set(reason, 2);
    this.#outgoing.control(Opcode.close, payload);
  }

  /** Both Closes have gone. RFC 6455 §7.1.1: the server ends the connection first, so that the client keeps no TIME_WAIT. */
  #finish(): void {
    if (this.role === Role.server || this.#hasEnded) this.#shouldClose = true;
  }

  /** RFC 6455 §7.1.7. */
  #fail(error: WireError): WireError {
    const code = error.wire.closeCode ?? CloseCode.internalError;
    if (!this.#hasSentClose && !this.#hasEnded && isCloseCode(code)) this.#writeClose(code, EMPTY_BYTES);
    this.#shouldClose = true;
    this.#decoder.discard();
    this.#incoming.discard();
    this.#outgoing.discard();
    this.#data = EMPTY_BYTES;
    this.#event = WebSocketEvent.none;
    return (this.#error = error);
  }

  #found(event: WebSocketEvent, data: Uint8Array): true {
    this.#event = event;
    this.#data = data;
    return true;
  }
}

function readReason(bytes: Uint8Array): string {
  const validator = new Utf8Validator();
  // RFC 6455 §8.1 holds for the reason, too.
  if (!validator.push(bytes) || !validator.isComplete()) {
    throw violation('WS_CLOSE_REASON_INVALID', 'the reason of a Close is not UTF-8', CloseCode.invalidData);
  }
  return bytes.length === 0 ? '' : utf8Decode(bytes);
}

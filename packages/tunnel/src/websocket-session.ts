/**
 * WebSocket messages on a stream.
 *
 * ```ts
 * const session = new WebSocketSession(Role.server, stream, {
 *   onText: (text) => session.sendText(text),
 *   onBinary: (bytes) => session.sendBinary(bytes),
 *   onClose: ({ code, error }) => console.log(code, error),
 * });
 * session.start();
 * ```
 *
 * Rules of this file:
 * - Handlers are never called from inside a method of the session.
 * - A handler that throws ends the connection: the peer hears 1011, `onClose` has the error (`internal HANDLER_THREW`). So does one that is `async` and
 *   rejects; nobody waits for it.
 *
 * @see RFC 6455
 */
import { toWireError, type WireError } from '@ferrata/error';
import { callUser, type L4Stream, type StreamInfo, watchAnswer } from '@ferrata/stream';
import { CloseCode, MessageCollector, MessageKind, type Role, WebSocketConnection, WebSocketEvent } from '@ferrata/websocket';
import { WebSocketCarrier, type WebSocketCarrierOwner } from './websocket-carrier.ts';
import { unsupportedKind } from './websocket-errors.ts';
import type { WebSocketAgreement } from './websocket-handshake.ts';
import { resolveWebSocketSessionOptions, type WebSocketSessionOptions } from './websocket-options.ts';

/** How a session ended. */
export interface WebSocketClose {
  /** Of the peer's Close; 1005 if it had none, 1006 if none came. */
  readonly code: number;
  readonly reason: string;
  /** Null if both sides have said goodbye. */
  readonly error: WireError | null;
}

/** Who gets the messages: at once, as nobody waits for a promise. All but `onClose` are optional; a kind of message that nobody takes is refused (1003). */
export interface WebSocketHandler {
  /** A text message, whole. */
  onText?(text: string): void;
  /** A binary message, whole; it is yours. */
  onBinary?(bytes: Uint8Array): void;
  /** Instead of the two above: a message begins, */
  onMessageStart?(kind: MessageKind): void;
  /** comes in pieces, each yours, */
  onMessageData?(piece: Uint8Array): void;
  /** and is whole. */
  onMessageEnd?(): void;
  /** A ping came, and was answered. */
  onPing?(payload: Uint8Array): void;
  onPong?(payload: Uint8Array): void;
  /** The peer takes bytes again after a method that returned false. */
  onDrain?(): void;
  /** Once and last, but never before `start`. */
  onClose(close: WebSocketClose): void;
}

/** One end of a WebSocket connection. */
export class WebSocketSession implements WebSocketCarrierOwner {
  readonly #carrier: WebSocketCarrier;
  readonly #machine: WebSocketConnection;
  readonly #handler: WebSocketHandler;
  readonly #collector = new MessageCollector();
  readonly #agreement: WebSocketAgreement;
  readonly #isStreaming: boolean;
  #isStarted = false;
  readonly #onRejected = (thrown: unknown): void => this.#carrier.failLate(toWireError(thrown, 'HANDLER_THREW'));

  /**
   * @param stream after the handshake; the session attaches itself with `start`
   * @param agreement what the handshake has settled; default: no subprotocol, no compression
   * @throws {RangeError} when an option makes no sense
   */
  constructor(
    role: Role,
    stream: L4Stream,
    handler: WebSocketHandler,
    options: WebSocketSessionOptions = {},
    agreement: WebSocketAgreement = { subprotocol: null, deflate: null },
  ) {
    const { machine, environment, hardLimitBytes, onStreamClosed } = resolveWebSocketSessionOptions(options, agreement.deflate);
    this.#machine = new WebSocketConnection(role, environment.now(), machine, environment.writer);
    this.#carrier = new WebSocketCarrier(stream, this.#machine, environment, this, {
      hardLimitBytes,
      isHalfClosable: false,
      onStreamClosed,
    });
    this.#handler = handler;
    this.#agreement = agreement;
    this.#isStreaming = handler.onMessageData !== undefined;
  }

  /** Facts about the stream below. */
  get info(): StreamInfo {
    return this.#carrier.stream.info;
  }
  /** The subprotocol that the handshake has settled, or null. */
  get subprotocol(): string | null {
    return this.#agreement.subprotocol;
  }
  /** Whether messages may be compressed. */
  get isDeflateAgreed(): boolean {
    return this.#agreement.deflate !== null;
  }
  /** Messages can be sent. */
  get isOpen(): boolean {
    return this.#machine.isOpen && !this.#carrier.isOver();
  }
  /** Bytes that were sent here and not yet taken by the layer below the stream. */
  get bufferedBytes(): number {
    return this.#carrier.bufferedBytes();
  }

  /**
   * Begins to read, once.
   *
   * @param head bytes that were read behind the handshake
   * @throws {TypeError} when it has been called before
   */
  start(head?: Uint8Array): void {
    if (this.#isStarted) throw new TypeError('the session has been started');
    this.#isStarted = true;
    this.#carrier.start(head);
  }

  /**
   * Sends a text message; a lone surrogate becomes U+FFFD.
   *
   * @returns false: accepted, but wait for `onDrain`; also when no messages are taken any more (`isOpen` is false)
   * @throws {TypeError} when a message is being sent in fragments
   */
  sendText(text: string): boolean {
    return this.#canSend() && this.#machine.sendText(text) && this.#flush();
  }

  /** Sends a binary message, which from now on must not be changed; else like `sendText`. */
  sendBinary(bytes: Uint8Array): boolean {
    return this.#canSend() && this.#machine.sendBinary(bytes) && this.#flush();
  }

  /** Sends a piece of a message; see `WebSocketConnection.sendFragment`. */
  sendFragment(kind: MessageKind, fragment: Uint8Array, place: 'more' | 'last'): boolean {
    return this.#canSend() && this.#machine.sendFragment(kind, fragment, place) && this.#flush();
  }

  /**
   * Asks the peer to answer with the same bytes, at most 125.
   *
   * @returns as `sendText`; but from `hardLimitBytes` of unsent bytes on nothing is asked, and the connection lives
   * @throws {RangeError} when there are more
   */
  ping(payload?: Uint8Array): boolean {
    return this.isOpen && !this.#carrier.isAtLimit() && this.#machine.ping(payload) && this.#flush();
  }

  /**
   * Says goodbye; messages of the peer still come until it answers.
   *
   * @throws {RangeError} when the code may not be sent, or the reason has more than 123 bytes
   */
  close(code: number = CloseCode.normal, reason = ''): void {
    this.#machine.close(code, reason, this.#carrier.environment.now());
    this.#carrier.flush();
  }

  /** Drops the connection at once, without a word. */
  abort(error?: WireError): void {
    this.#carrier.abort(error);
  }

  /** No message until `resume`; the peer feels it as back-pressure. */
  pause(): void {
    this.#carrier.pause();
  }

  resume(): void {
    this.#carrier.resume();
  }

  // The carrier's calls.

  handleEvent(): void {
    const machine = this.#machine;
    switch (machine.event) {
      case WebSocketEvent.messageStart:
        this.#begin(machine.messageKind);
        break;
      case WebSocketEvent.data:
        if (this.#isStreaming) this.#watch(this.#handler.onMessageData?.(machine.data));
        else this.#collector.add(machine.data);
        break;
      case WebSocketEvent.messageEnd:
        this.#end();
        break;
      case WebSocketEvent.ping:
        this.#watch(this.#handler.onPing?.(machine.data));
        break;
      case WebSocketEvent.pong:
        this.#watch(this.#handler.onPong?.(machine.data));
        break;
      default:
        break;
    }
  }

  handleDrain(): void {
    this.#watch(this.#handler.onDrain?.());
  }

  handleClosed(error: WireError | null): void {
    const close = { code: this.#machine.closeCode, reason: this.#machine.closeReason, error };
    callUser(() => this.#handler.onClose(close));
  }

  #begin(kind: MessageKind): void {
    if (this.#isStreaming) {
      this.#watch(this.#handler.onMessageStart?.(kind));
      return;
    }
    const word = kind === MessageKind.text ? 'text' : 'binary';
    if (typeof this.#handler[word === 'text' ? 'onText' : 'onBinary'] !== 'function') throw unsupportedKind(word);
    this.#collector.begin(kind);
  }

  #end(): void {
    if (this.#isStreaming) this.#watch(this.#handler.onMessageEnd?.());
    else if (this.#collector.kind === MessageKind.text) this.#watch(this.#handler.onText?.(this.#collector.takeText()));
    else this.#watch(this.#handler.onBinary?.(this.#collector.takeBytes()));
  }

  /** A handler may be an `async` function, though its type promises nothing: its rejection must not end the process. */
  #watch(answer: unknown): void {
    if (answer !== undefined) watchAnswer(answer, this.#onRejected);
  }

  /** Whoever has said goodbye adds nothing, so its waiting bytes are no ground to abort. */
  #canSend(): boolean {
    return this.isOpen && !this.#carrier.isOverfull();
  }

  #flush(): boolean {
    this.#carrier.flush();
    return !this.#carrier.isFull();
  }
}

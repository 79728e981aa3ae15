/**
 * A stream of bytes in the binary messages of a WebSocket connection.
 *
 * | stream | WebSocket |
 * |---|---|
 * | `write`, `writev` | one binary message, or several of at most 1 MiB; many small chunks are one message |
 * | `onData` | a piece of a message as it came; where messages begin means nothing |
 * | `end()` | Close 1000: RFC 6455 §1.4 forbids data of ours behind it, but not that of the peer before its own |
 * | `onEnd` | the peer's Close with 1000, 1001 or no code. It is answered only by our own `end()` (RFC 6455 §5.5.1 allows to finish what is being sent first) |
 * | `abort()` | the stream below is aborted without a Close: the peer sees `WS_CLOSED_EARLY`, or what the layer below can say |
 *
 * So two ends of this kind can half-close. Any other peer answers our Close at once, as it should, and ends both directions by it; what it still had to
 * say is lost, so end last. While half-closed nobody asks by pings whether the peer lives, as none may follow a Close: see `idleTimeout` of @ferrata/stream.
 *
 * Text messages end the connection with 1003, other close codes are errors (`WS_CLOSED`).
 */
import { concatBytes } from '@ferrata/bytes';
import { ioError, type WireError } from '@ferrata/error';
import {
  type L4Sink,
  type L4Stream,
  nextStreamId,
  StreamInbox,
  type StreamInboxOwner,
  type StreamInfo,
  type StreamState,
} from '@ferrata/stream';
import { CloseCode, MessageKind, type Role, WebSocketConnection, WebSocketEvent } from '@ferrata/websocket';
import { WebSocketCarrier, type WebSocketCarrierOwner } from './websocket-carrier.ts';
import { unsupportedKind } from './websocket-errors.ts';
import type { WebSocketAgreement } from './websocket-handshake.ts';
import { resolveWebSocketSessionOptions, type WebSocketSessionOptions } from './websocket-options.ts';

/** Up to here the chunks of one `writev` become one message; above, one each. */
const JOINED_BYTES = 16_384;
/** A peer with usual limits takes messages of so many bytes, however well they compress; a larger write becomes several. */
const MESSAGE_BYTES = 0x10_0000;
const HALF_CLOSABLE: WebSocketSessionOptions = { closeTimeoutMs: Number.POSITIVE_INFINITY };
/** Compressed messages are gathered, so they keep their limit. */
const UNGATHERED: WebSocketSessionOptions = { ...HALF_CLOSABLE, maxMessageBytes: Number.POSITIVE_INFINITY };
/** Codes of a Close that says no more than that its sender is done. */
const ORDERLY: ReadonlySet<number> = new Set([CloseCode.normal, CloseCode.goingAway, CloseCode.none]);

/**
 * Makes a stream of a WebSocket connection.
 *
 * @param stream after the handshake; from now on only the result may be used
 * @param options as of a session; by default `closeTimeoutMs` is `Infinity` here, as a half-closed stream may live long, and so is `maxMessageBytes` where
 *   no compression is agreed on, as nothing is gathered then
 * @param head bytes that were read behind the handshake
 */
export function webSocketStream(
  role: Role,
  stream: L4Stream,
  options: WebSocketSessionOptions = {},
  head?: Uint8Array,
  agreement: WebSocketAgreement = { subprotocol: null, deflate: null },
): L4Stream {
  return new WebSocketStream(role, stream, options, head, agreement);
}

class WebSocketStream implements L4Stream, StreamInboxOwner, WebSocketCarrierOwner {
  readonly id: number;
  readonly info: StreamInfo;
  readonly #carrier: WebSocketCarrier;
  readonly #machine: WebSocketConnection;
  readonly #inbox: StreamInbox;
  readonly #head: Uint8Array | undefined;
  #isStarted = false;
  #isEnded = false;
  #isPeerEnded = false;
  #isClosed = false;

  constructor(role: Role, stream: L4Stream, options: WebSocketSessionOptions, head: Uint8Array | undefined, agreement: WebSocketAgreement) {
    const { machine, environment, hardLimitBytes, onStreamClosed } = resolveWebSocketSessionOptions(
      { ...(agreement.deflate === null ? UNGATHERED : HALF_CLOSABLE), ...options, isCloseAnswered: false },
      agreement.deflate,
    );
    const now = environment.now();
    this.id = nextStreamId();
    this.#machine = new WebSocketConnection(role, now, machine, environment.writer);
    this.#carrier = new WebSocketCarrier(stream, this.#machine, environment, this, {
      hardLimitBytes,
      isHalfClosable: true,
      onStreamClosed,
    });
    this.#inbox = new StreamInbox(this);
    this.#head = head;
    const below = stream.info;
    this.info = {
      kind: 'websocket',
      localAddress: below.localAddress,
      remoteAddress: below.remoteAddress,
      // The bytes of this layer are nobody's TLS, whatever lies below.
      tls: null,
      timing: { startedAt: below.timing.startedAt, establishedAt: now },
      below,
      extension: undefined,
    };
  }

  get state(): StreamState {
    if (this.#isClosed || (this.#isEnded && this.#isPeerEnded)) return 'closed';
    if (this.#isEnded) return 'ended';
    return this.#isPeerEnded ? 'peerEnded' : 'open';
  }

  get bufferedBytes(): number {
    return this.#isClosed ? 0 : this.#carrier.bufferedBytes();
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#inbox.attach(sink, head);
    if (this.#isStarted) {
      this.#carrier.resume();
      return;
    }
    this.#isStarted = true;
    this.#carrier.start(this.#head);
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    if (chunk.length === 0) return this.#hasRoom();
    if (this.#carrier.isOverfull()) return false;
    this.#send(chunk);
    return this.#flush();
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    let total = 0;
    for (const chunk of chunks) total += chunk.length;
    if (total <= JOINED_BYTES) return this.write(concatBytes(chunks));
    if (this.#carrier.isOverfull()) return false;
    for (const chunk of chunks) if (chunk.length > 0) this.#send(chunk);
    return this.#flush();
  }

  pause(): void {
    this.#inbox.pause();
    if (this.#isStarted) this.#carrier.pause();
  }

  resume(): void {
    this.#inbox.resume();
    if (this.#isStarted) this.#carrier.resume();
  }

  end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#isEnded = true;
    this.#machine.close(CloseCode.normal, '', this.#carrier.environment.now());
    this.#carrier.flush();
  }

  abort(error?: WireError): void {
    if (this.#inbox.isClosed) return;
    this.#isClosed = true;
    this.#inbox.abort(error ?? null);
    this.#carrier.abort(error);
  }

  // The inbox's calls.

  handleSinkFault(error: WireError): void {
    this.abort(error);
  }

  handleEndTold(): void {
    this.#isPeerEnded = true;
  }

  // The carrier's calls.

  handleEvent(): void {
    const machine = this.#machine;
    switch (machine.event) {
      case WebSocketEvent.messageStart:
        if (machine.messageKind === MessageKind.text) throw unsupportedKind('text');
        break;
      case WebSocketEvent.data:
        this.#inbox.data(machine.data);
        this.#inbox.flush();
        break;
      case WebSocketEvent.close:
        if (!ORDERLY.has(machine.closeCode)) throw closedWith(machine.closeCode, machine.closeReason);
        this.#inbox.end();
        this.#inbox.flush();
        break;
      default:
        break;
    }
  }

  handleDrain(): void {
    this.#inbox.drain();
    this.#inbox.flush();
  }

  handleClosed(error: WireError | null): void {
    this.#isClosed = true;
    this.#inbox.close(error);
    this.#inbox.flush();
  }

  #send(chunk: Uint8Array): void {
    if (chunk.length <= MESSAGE_BYTES) {
      this.#machine.sendBinary(chunk);
      return;
    }
    for (let at = 0; at < chunk.length; at += MESSAGE_BYTES) this.#machine.sendBinary(chunk.subarray(at, at + MESSAGE_BYTES));
  }

  #flush(): boolean {
    this.#carrier.flush();
    return this.#hasRoom();
  }

  #hasRoom(): boolean {
    const hasRoom = !this.#isClosed && !this.#carrier.isFull();
    if (!hasRoom) this.#inbox.full();
    return hasRoom;
  }
}

function closedWith(code: number, reason: string): WireError {
  const text = reason === '' ? '' : `, ${JSON.stringify(reason)}`;
  return ioError('WS_CLOSED', `the peer has closed with ${code}${text}`, { wire: { closeCode: CloseCode.normal, status: 502 } });
}

/**
 * A socket of `node:net` as an L4 stream, in the plainest way.
 *
 * The kit can't use `@ferrata/net` (which is tested with the kit), and a second implementation of the contract over sockets checks the
 * suite itself. Slow where `net` is fast; equal in behaviour.
 */
import type { Socket } from 'node:net';
import { fromNodeError, type WireError } from '@ferrata/error';
import {
  type L4Sink,
  type L4Stream,
  nextStreamId,
  type StreamAddress,
  StreamInbox,
  type StreamInfo,
  type StreamState,
} from '@ferrata/stream';

/** Makes a stream of a connected socket that was made with `allowHalfOpen`. */
export function socketStream(socket: Socket): L4Stream {
  return new SocketStream(socket);
}

class SocketStream implements L4Stream {
  readonly id = nextStreamId();
  readonly info: StreamInfo;
  readonly #socket: Socket;
  readonly #inbox: StreamInbox;
  #isEnded = false;
  #isPeerEnded = false;
  #isClosed = false;
  #error: WireError | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.info = {
      kind: 'tcp',
      localAddress: addressOf(socket.localAddress, socket.localPort),
      remoteAddress: addressOf(socket.remoteAddress, socket.remotePort),
      tls: null,
      timing: { startedAt: 0, establishedAt: 0 },
      below: null,
      extension: undefined,
    };
    this.#inbox = new StreamInbox({
      handleSinkFault: (error) => this.abort(error),
      handleEndTold: () => {
        this.#isPeerEnded = true;
      },
    });
    socket.pause();
    socket.on('data', (chunk: Uint8Array) => this.#inbox.data(new Uint8Array(chunk)));
    socket.on('end', () => this.#inbox.end());
    socket.on('drain', () => this.#inbox.drain());
    socket.on('error', (error) => {
      this.#error ??= fromNodeError(error);
    });
    socket.on('close', () => {
      this.#isClosed ||= this.#error !== null;
      this.#inbox.close(this.#error);
    });
  }

  get state(): StreamState {
    if (this.#isClosed || (this.#isEnded && this.#isPeerEnded)) return 'closed';
    if (this.#isEnded) return 'ended';
    return this.#isPeerEnded ? 'peerEnded' : 'open';
  }

  get bufferedBytes(): number {
    return this.#isClosed ? 0 : this.#socket.writableLength;
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#inbox.attach(sink, head);
    this.#socket.resume();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isEnded || this.#isClosed || this.#socket.destroyed) return false;
    const hasRoom = chunk.byteLength === 0 ? !this.#socket.writableNeedDrain : this.#socket.write(chunk);
    if (!hasRoom) this.#inbox.full();
    return hasRoom;
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    this.#socket.cork();
    let hasRoom = this.write(new Uint8Array(0));
    for (const chunk of chunks) hasRoom = this.write(chunk);
    this.#socket.uncork();
    return hasRoom;
  }

  pause(): void {
    this.#inbox.pause();
    this.#socket.pause();
  }

  resume(): void {
    this.#inbox.resume();
    if (!this.#inbox.isPaused) this.#socket.resume();
  }

  end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#isEnded = true;
    // Asked to end only when all bytes are with the kernel: a socket that is about to end can't be reset (see `abort`).
    this.#socket.write(new Uint8Array(0), () => this.#socket.end());
  }

  abort(error?: WireError): void {
    if (this.#inbox.isClosed) return;
    this.#isClosed = true;
    this.#inbox.abort(error ?? null);
    // libuv refuses to reset a socket whose end is under way, and Node then leaves it open for ever. Everything was written by then, so
    // that nothing is cut short if the peer sees an end; what it writes meets a closed socket.
    if (this.#socket.writableEnded && !this.#socket.writableFinished) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }
}

function addressOf(host: string | undefined, port: number | undefined): StreamAddress {
  return host === undefined || port === undefined ? { kind: 'unset' } : { kind: 'ip', host, port };
}

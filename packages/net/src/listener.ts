/**
 * Listening on TCP ports and Unix sockets, every accepted connection being an L4 stream.
 *
 * `close()` stops accepting and nothing else: open streams live on, and draining them is the business of whoever speaks the protocol. What the
 * kernel has queued and nobody has accepted is reset by a close, so a successor that must lose nothing inherits the descriptor instead.
 *
 * When descriptors run out, Node accepts and closes at once, without any event. Hence the caps: they close too, but they tell, and
 * leave a reserve for upstream connections, logs and name look-ups.
 */
import { chmodSync } from 'node:fs';
import { createServer, type ListenOptions as NodeListenOptions, type Server, type Socket } from 'node:net';
import { fromNodeError, internalError, toWireError } from '@ferrata/error';
import type { L4Stream, StreamAddress } from '@ferrata/stream';
import type { AddressLike } from './address.ts';
import { listenError } from './listen-error.ts';
import { type ListenConfig, type ListenOptions, resolveListenOptions } from './listen-options.ts';
import { ipAddress } from './socket-info.ts';
import { SocketStream, type StreamOrigin } from './socket-stream.ts';
import { removeStaleSocket } from './unix-socket-file.ts';

/** A socket that listens. */
export interface Listener {
  /** The address that it really listens on: for port 0, with the port that the kernel chose. */
  readonly address: StreamAddress;
  /** Open streams that came from this listener. */
  readonly connectionCount: number;
  /** Connections closed at once because of a cap, since the start. */
  readonly shedCount: number;
  /** The ceiling of `connectionCount`; may be moved at any time. */
  maxConnections: number;
  readonly isClosed: boolean;
  /**
   * Stops accepting; open streams stay open. Done when the port is free again (and the file of a Unix socket removed). May be called again.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Listens, and calls `onStream` with each accepted connection.
 *
 * `onStream` should attach a sink at once; until then the stream is paused. If it throws, that stream is aborted, and listening goes on.
 *
 * @throws {WireError} `ADDRESS_IN_USE`, `LISTEN_NOT_PERMITTED`, `LISTEN_NO_SUCH_ADDRESS`, `LISTEN_PATH_TAKEN` or `LISTEN_FAILED`; the message names the address
 * @throws {TypeError} if the address is malformed
 * @throws {RangeError} if an option is out of range
 */
export async function listen(where: AddressLike | ListenOptions, onStream: (stream: L4Stream) => void): Promise<Listener> {
  const config = resolveListenOptions(where);
  const server = createServer({
    allowHalfOpen: true,
    highWaterMark: config.highWaterBytes,
    noDelay: config.noDelay,
    keepAlive: config.keepAliveMs > 0,
    keepAliveInitialDelay: config.keepAliveMs,
  });
  await startListening(server, config);
  return new SocketListener(server, config, onStream);
}

class SocketListener implements Listener, StreamOrigin {
  readonly address: StreamAddress;
  readonly kind: string;
  readonly unixPath: string | null;
  readonly isAccepted = true;
  readonly readsByCallback = false;
  readonly hardLimitBytes: number;
  readonly #server: Server;
  readonly #config: ListenConfig;
  readonly #onStream: (stream: L4Stream) => void;
  #shedCount = 0;

  constructor(server: Server, config: ListenConfig, onStream: (stream: L4Stream) => void) {
    this.#server = server;
    this.#config = config;
    this.#onStream = onStream;
    this.hardLimitBytes = config.hardLimitBytes;
    this.address = addressOf(server);
    this.unixPath = this.address.kind === 'unix' ? this.address.path : null;
    this.kind = this.address.kind === 'ip' ? 'tcp' : 'unix';
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', (error) => this.#failed(error));
  }

  get connectionCount(): number {
    return this.#config.ownCap.count;
  }

  get shedCount(): number {
    return this.#shedCount;
  }

  get maxConnections(): number {
    return this.#config.ownCap.max;
  }

  set maxConnections(max: number) {
    this.#config.ownCap.max = max;
  }

  get isClosed(): boolean {
    return !this.#server.listening;
  }

  async close(): Promise<void> {
    // Node closes the listening descriptor within this call; its callback would wait for the last stream to end.
    if (this.#server.listening) this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  onStreamClosed(): void {
    this.#config.ownCap.release();
    this.#config.sharedCap?.release();
  }

  #accept(socket: Socket): void {
    const { ownCap, sharedCap, clock } = this.#config;
    if (!ownCap.tryTake()) return this.#shed(socket);
    if (sharedCap !== null && !sharedCap.tryTake()) {
      ownCap.release();
      return this.#shed(socket);
    }
    const stream = new SocketStream(socket, this, clock.now());
    try {
      this.#onStream(stream);
    } catch (thrown) {
      stream.abort(internalError('ON_STREAM_THREW', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown }));
      this.#report(thrown);
    }
  }

  /** Over a cap: closed before anything is made for it. A reset, so that no half-dead connection keeps a place in the kernel's tables. */
  #shed(socket: Socket): void {
    this.#shedCount++;
    const { onShed } = this.#config;
    const peer = onShed === null ? null : ipAddress(socket.remoteAddress, socket.remotePort);
    socket.on('error', ignore);
    if (this.kind === 'tcp') socket.resetAndDestroy();
    else socket.destroy();
    if (onShed === null || peer === null) return;
    try {
      onShed(peer);
    } catch (thrown) {
      this.#report(thrown);
    }
  }

  #failed(error: Error): void {
    this.#report(fromNodeError(error));
  }

  /** Tells the user's `onError`; if there is none, or it throws in turn, a warning shows the bug without ending the process. */
  #report(thrown: unknown): void {
    const { onError } = this.#config;
    try {
      if (onError !== null) return onError(toWireError(thrown, 'LISTENER_CALLBACK_THREW'));
    } catch (again) {
      return process.emitWarning(again instanceof Error ? again : String(again));
    }
    process.emitWarning(thrown instanceof Error ? thrown : String(thrown));
  }
}

function ignore(): void {}

async function startListening(server: Server, config: ListenConfig): Promise<void> {
  const { target } = config;
  try {
    await bind(server, config);
  } catch (error) {
    const mayBeStale = target.kind === 'unix' && (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    if (!mayBeStale) throw listenError(error, target);
    await removeStaleSocket(target);
    await bind(server, config).catch((again: unknown) => {
      throw listenError(again, target);
    });
  }
  if (target.kind === 'unix' && config.mode !== null) chmodSync(target.path, config.mode);
}

function bind(server: Server, config: ListenConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(nodeOptions(config), () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function nodeOptions({ target, backlog, reusePort, ipv6Only }: ListenConfig): NodeListenOptions | { fd: number; backlog: number } {
  switch (target.kind) {
    case 'tcp':
      return { host: target.host, port: target.port, backlog, reusePort, ipv6Only, exclusive: true };
    case 'unix':
      return { path: target.path, backlog, exclusive: true };
    case 'fd':
      return { fd: target.fd, backlog };
  }
}

function addressOf(server: Server): StreamAddress {
  const address = server.address();
  if (typeof address === 'string') return { kind: 'unix', path: address };
  return address === null ? { kind: 'unset' } : { kind: 'ip', host: address.address, port: address.port };
}

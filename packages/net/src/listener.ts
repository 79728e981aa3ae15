/**
 * Listening on TCP ports and Unix sockets, every accepted connection being an L4 stream.
 *
 * `close()` stops accepting and nothing else: open streams live on, and draining them is the business of whoever speaks the protocol. What the
 * kernel has queued and nobody has accepted is reset by a close, so a successor that must lose nothing inherits the descriptor instead.
 *
 * When descriptors run out, Node accepts and closes at once, without any event. Hence the caps: they close too, but they tell, and
 * leave a reserve for upstream connections, logs and name look-ups. Node has no public way to pause accepting and leave connections in the kernel's
 * queue either: closing the socket that listens resets the queue. What pauses is the step behind it: up to `maxWaiting` connections above a
 * cap wait, accepted and unread, until a place is free.
 */
import { chmodSync } from 'node:fs';
import { createServer, type ListenOptions as NodeListenOptions, type Server, type Socket } from 'node:net';
import { fromNodeError } from '@ferrata/error';
import type { L4Stream, StreamAddress } from '@ferrata/stream';
import { AcceptPipeline } from './accept-pipeline.ts';
import type { AddressLike } from './address.ts';
import { listenError } from './listen-error.ts';
import { type ListenConfig, type ListenOptions, resolveListenOptions } from './listen-options.ts';
import { ListenerBase } from './listener-base.ts';
import { ipAddress } from './socket-info.ts';
import { SocketStream, type StreamOrigin } from './socket-stream.ts';
import type { TlsServer } from './tls/tls-server.ts';
import { removeStaleSocket } from './unix-socket-file.ts';
import { WaitingRoom } from './waiting-room.ts';

/**
 * Something that listens. Of the connections that came, each is in one of `acceptedCount`, `refusedCount`, `shedCount`, `headerFailedCount`,
 * `handshakeFailedCount`, `pendingCount` and `waitingCount`.
 */
export interface Listener {
  /** The address that it really listens on: for port 0, with the port that the kernel chose. `unset` for a source of streams. */
  readonly address: StreamAddress;
  /** The TLS server in use, also if the listener has made it, for reloading certificates and for counts; null without TLS. */
  readonly tls: TlsServer | null;
  /** Open connections that came from this listener and have a place under its cap. */
  readonly connectionCount: number;
  /** Connections handed to `onStream` since the start. */
  readonly acceptedCount: number;
  /** Connections that the filter has refused. */
  readonly refusedCount: number;
  /** Connections closed because of a cap, at once or when they had waited too long. */
  readonly shedCount: number;
  /** Connections without a proper PROXY header. */
  readonly headerFailedCount: number;
  /** Connections whose TLS handshake has failed. */
  readonly handshakeFailedCount: number;
  /** Connections that wait for the filter, their PROXY header or their handshake now. */
  readonly pendingCount: number;
  /** Connections that wait for a place under the caps now. While it is above 0, accepting is paused. */
  readonly waitingCount: number;
  /** Connections that came in the last whole second, whatever became of them. */
  readonly acceptRate: number;
  /** The ceiling of `connectionCount`; may be moved at any time. */
  maxConnections: number;
  readonly isClosed: boolean;
  /**
   * Stops accepting; open streams stay open, and connections that are pending or wait go on. Done when the port is free again (and the file
   * of a Unix socket removed). May be called again.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Listens, and calls `onStream` with each connection that has passed the caps, the filter, the PROXY header and TLS, as far as there are any.
 *
 * `onStream` should attach a sink at once; until then the stream is paused. If it throws, that stream is aborted, and listening goes on.
 *
 * @throws {WireError} `ADDRESS_IN_USE`, `LISTEN_NOT_PERMITTED`, `LISTEN_NO_SUCH_ADDRESS`, `LISTEN_PATH_TAKEN` or `LISTEN_FAILED`; the message names the address
 * @throws {WireError} of `TlsServer`, if its options name certificates that cannot be used
 * @throws {TypeError} if the address is malformed, or an option is unknown or cannot be set
 * @throws {RangeError} if an option is out of range
 */
export async function listen(where: AddressLike | ListenOptions, onStream: (stream: L4Stream) => void): Promise<Listener> {
  const config = resolveListenOptions(where);
  const pipeline = new AcceptPipeline(config.accept, onStream);
  const server = createServer({
    allowHalfOpen: true,
    highWaterMark: config.highWaterBytes,
    noDelay: config.noDelay,
    keepAlive: config.keepAliveMs > 0,
    keepAliveInitialDelay: config.keepAliveMs,
    // Node begins to read at once otherwise: bytes of a connection that the filter may refuse, or that has to wait.
    pauseOnConnect: !pipeline.isDirect || config.maxWaiting > 0,
  });
  try {
    await startListening(server, config);
  } catch (error) {
    if (config.accept.ownsTls) void config.accept.tls?.close();
    throw error;
  }
  return new SocketListener(server, config, pipeline);
}

class SocketListener extends ListenerBase implements Listener, StreamOrigin {
  readonly kind: string;
  readonly unixPath: string | null;
  readonly isAccepted = true;
  readonly readsByCallback = false;
  readonly hardLimitBytes: number;
  readonly #server: Server;
  readonly #pipeline: AcceptPipeline;
  /** Null: connections above a cap are closed. */
  readonly #waiting: WaitingRoom | null;

  constructor(server: Server, config: ListenConfig, pipeline: AcceptPipeline) {
    super(pipeline, addressOf(server));
    this.#server = server;
    this.#pipeline = pipeline;
    this.hardLimitBytes = config.hardLimitBytes;
    this.unixPath = this.address.kind === 'unix' ? this.address.path : null;
    this.kind = this.address.kind === 'ip' ? 'tcp' : 'unix';
    this.#waiting = config.maxWaiting === 0 ? null : new WaitingRoom(this, config, pipeline.deadlines);
    server.on('connection', (socket) => this.#handleConnection(socket));
    server.on('error', (error) => pipeline.report(fromNodeError(error)));
  }

  get isClosed(): boolean {
    return !this.#server.listening;
  }

  async close(): Promise<void> {
    // Node closes the listening descriptor within this call; its callback would wait for the last stream to end.
    if (!this.#server.listening) return;
    this.#server.close();
    this.closeOwnTls();
  }

  onStreamClosed(stream: SocketStream): void {
    this.releasePlace();
    this.#pipeline.handleClosed(stream.id);
  }

  /** A place was taken for a socket that has waited. */
  serveWaiting(socket: Socket): void {
    this.#pipeline.admit(new SocketStream(socket, this, this.#pipeline.config.clock.now()));
    this.#pipeline.settleWaiting();
  }

  /** A socket has waited too long. */
  shedWaiting(socket: Socket): void {
    this.#shed(socket);
    this.#pipeline.settleWaiting();
  }

  /** Over a cap: closed before anything is made for it. A reset, so that no half-dead connection keeps a place in the kernel's tables. */
  #shed(socket: Socket): void {
    const { onShed } = this.#pipeline.config;
    const peer = onShed === null ? null : ipAddress(socket.remoteAddress, socket.remotePort);
    socket.on('error', ignore);
    if (this.kind === 'tcp') socket.resetAndDestroy();
    else socket.destroy();
    this.#pipeline.countShed(peer);
  }

  #handleConnection(socket: Socket): void {
    const now = this.#pipeline.config.clock.now();
    this.#pipeline.countArrival(now);
    const waiting = this.#waiting;
    // Nobody passes those who wait.
    if ((waiting === null || waiting.size === 0) && this.tryTakePlace()) {
      this.#pipeline.admit(new SocketStream(socket, this, now));
    } else if (waiting?.tryAdd(socket) === true) this.#pipeline.waitingCount++;
    else this.#shed(socket);
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

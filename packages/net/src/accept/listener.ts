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
import { createServer, type ListenOptions as NodeListenOptions, type Server, type Socket } from 'node:net';
import { fromNodeError, isWireError } from '@ferrata/error';
import type { L4Stream, StreamAddress } from '@ferrata/stream';
import type { AddressLike } from '../address.ts';
import { checkFunction } from '../option-checks.ts';
import { ipAddress } from '../socket/socket-info.ts';
import { SocketStream } from '../socket/socket-stream.ts';
import type { ClosedStream, StreamOrigin } from '../socket/stream-origin.ts';
import type { TlsServer } from '../tls/tls-server.ts';
import { AcceptPipeline } from './accept-pipeline.ts';
import { admit } from './admission.ts';
import { pathOfDescriptor } from './describe-descriptor.ts';
import { listenError } from './listen-error.ts';
import { type ListenConfig, type ListenOptions, resolveListenOptions } from './listen-options.ts';
import { ListenerBase } from './listener-base.ts';
import {
  checkStillOurs,
  closeServer,
  oneAtATime,
  openSocketFile,
  removeStaleSocket,
  type SocketFile,
  type UnixTarget,
  withUmaskFor,
} from './unix-socket-file.ts';
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
  /**
   * Connections that wait for a place under the caps now. Those of a socket have been accepted, and more are until `maxWaiting` of them wait; of a
   * source of streams it is one at most, and the source is not asked for more meanwhile.
   */
  readonly waitingCount: number;
  /** Connections that came in the last whole second, whatever became of them. */
  readonly acceptRate: number;
  /** The ceiling of `connectionCount`; may be moved at any time. */
  maxConnections: number;
  readonly isClosed: boolean;
  /**
   * Stops accepting; open streams stay open, and connections that are pending or wait go on. Done when the port is free again (and the file
   * of a Unix socket removed, if it is still the one that this listener has made). May be called again.
   *
   * @throws {WireError} `SOCKET_FILE_NOT_KEPT` if it was to keep the file and cannot; the listener goes on then, unless only the name of the file could not
   *   be given back to it (`isClosed`; the message has the name it has now)
   */
  close(options?: CloseOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** How to close a listener. */
export interface CloseOptions {
  /**
   * Leaves the file of a Unix socket, for a successor that has inherited the descriptor: whoever connects by it then reaches the successor. The
   * file has another name for a moment, as Node removes what it finds. Default false. Of no effect on other listeners.
   */
  readonly keepFile?: boolean;
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
  checkFunction('onStream', onStream);
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
    const file = await startListening(server, config);
    return new SocketListener(server, config, pipeline, file);
  } catch (error) {
    if (config.accept.ownsTls) void config.accept.tls?.close();
    throw error;
  }
}

class SocketListener extends ListenerBase implements Listener, StreamOrigin {
  readonly kind: string;
  readonly unixPath: string | null;
  readonly isAccepted = true;
  readonly readsByCallback = false;
  readonly hardLimitBytes: number;
  readonly #server: Server;
  /** Null: connections above a cap are closed. */
  readonly #waiting: WaitingRoom | null;
  /** Streams that wait, or were closed while they waited: they have no place to give back. */
  readonly #placeless = new Set<object>();
  /** Of a Unix socket that this listener has bound. */
  readonly #file: SocketFile | null;

  constructor(server: Server, config: ListenConfig, pipeline: AcceptPipeline, file: SocketFile | null) {
    super(pipeline, addressOf(server, config));
    this.#server = server;
    this.#file = file;
    this.hardLimitBytes = config.hardLimitBytes;
    this.unixPath = this.address.kind === 'unix' ? this.address.path : null;
    this.kind = this.address.kind === 'ip' ? 'tcp' : 'unix';
    this.#waiting = config.maxWaiting === 0 ? null : new WaitingRoom(pipeline, config, (stream) => this.#placeless.delete(stream));
    server.on('connection', (socket) => this.#handleConnection(socket));
    server.on('error', (error) => pipeline.report(fromNodeError(error)));
  }

  get isClosed(): boolean {
    return !this.#server.listening;
  }

  async close({ keepFile = false }: CloseOptions = {}): Promise<void> {
    // Node closes the listening descriptor within this call; its callback would wait for the last stream to end.
    if (!this.#server.listening) return;
    try {
      closeServer(this.#server, this.#file, keepFile);
    } finally {
      if (!this.#server.listening) this.pipeline.closeOwnTls();
    }
  }

  onStreamClosed(stream: ClosedStream): void {
    if (this.#placeless.delete(stream)) this.pipeline.handleClosed(stream);
    else this.pipeline.handleOver(stream);
  }

  /** Over a cap: closed before anything is made for it. A reset, so that no half-dead connection keeps a place in the kernel's tables. */
  #shed(socket: Socket): void {
    const { onShed } = this.pipeline.config;
    const peer = onShed === null ? null : ipAddress(socket.remoteAddress, socket.remotePort);
    socket.on('error', ignore);
    if (this.kind === 'tcp') socket.resetAndDestroy();
    else socket.destroy();
    this.pipeline.countShed(peer);
  }

  #handleConnection(socket: Socket): void {
    const now = this.pipeline.config.clock.now();
    this.pipeline.countArrival(now);
    // Nobody passes those who wait.
    if (this.pipeline.tryTakePlace()) return admit(this.pipeline, new SocketStream(socket, this, now));
    const waiting = this.#waiting;
    if (waiting === null || waiting.isFull) return this.#shed(socket);
    const stream = new SocketStream(socket, this, now);
    this.#placeless.add(stream);
    admit(this.pipeline, stream, waiting);
  }
}

function ignore(): void {}

/** @returns the file of a Unix socket at a path */
async function startListening(server: Server, config: ListenConfig): Promise<SocketFile | null> {
  const { target } = config;
  if (target.kind === 'unix') return oneAtATime(target.path, () => listenAtPath(server, target, config));
  try {
    await bind(server, config);
  } catch (error) {
    throw listenError(error, target);
  }
  return null;
}

async function listenAtPath(server: Server, target: UnixTarget, config: ListenConfig): Promise<SocketFile> {
  let file: SocketFile | null = null;
  const opened = (): void => {
    file = openSocketFile(target, config.mode);
  };
  try {
    try {
      await bind(server, config, opened);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      await removeStaleSocket(target);
      await bind(server, config, opened);
    }
    // A tick has passed. Somebody who had found a stale file before we removed it may have removed ours for it.
    return checkStillOurs(target, file);
  } catch (error) {
    if (server.listening) closeServer(server, file, false);
    throw isWireError(error) ? error : listenError(error, target);
  }
}

/** @param opened called as soon as the kernel listens, from inside `bind` */
function bind(server: Server, config: ListenConfig, opened?: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = (): void => {
      server.removeListener('error', reject);
      resolve();
    };
    const { target, mode, backlog } = config;
    // With a descriptor Node heeds the backlog only as an argument of its own, and sets it to 511 otherwise, whatever it was.
    const start = (): unknown => server.listen(nodeOptions(config), backlog, listening);
    // Bound within this call (unlike a host, whose name may have to be looked up).
    if (target.kind === 'unix') withUmaskFor(mode, start);
    else start();
    if (server.listening) opened?.();
  });
}

function nodeOptions({ target, backlog, reusePort, ipv6Only }: ListenConfig): NodeListenOptions | { fd: number } {
  switch (target.kind) {
    case 'tcp':
      return { host: target.host, port: target.port, backlog, reusePort, ipv6Only, exclusive: true };
    case 'unix':
      return { path: target.path, backlog, exclusive: true };
    case 'fd':
      return { fd: target.fd };
  }
}

function addressOf(server: Server, { target }: ListenConfig): StreamAddress {
  const address = server.address();
  if (typeof address === 'string') return { kind: 'unix', path: address };
  if (address?.port !== undefined) return { kind: 'ip', host: address.address, port: address.port };
  // Node does not ask the kernel for the path of a socket that it has not bound itself.
  const path = target.kind === 'fd' ? pathOfDescriptor(target.fd) : null;
  return path === null ? { kind: 'unset' } : { kind: 'unix', path };
}

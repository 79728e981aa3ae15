/**
 * A UDP socket as an endpoint: datagrams in by a sink, out by `send`, and every datagram that is not passed on is counted under its cause.
 *
 * Rules of this file:
 * - UDP loses datagrams, and so do we, never without a count. Nothing queues without a bound in bytes and in count.
 * - A sink is never called from inside one of the endpoint's own methods. If it throws, or a promise of it rejects, the endpoint closes (`SINK_THREW`).
 * - Whatever a stranger can write into a datagram's header does no more than have that datagram dropped.
 * - An endpoint that is not connected lives through every failure of a peer. A connected one hears of ICMP as errors, and lives on as well:
 *   whether a refused datagram means the end is for the protocol to say.
 *
 * What Node cannot do stands in the README: batches in one system call, stopping to read, counting what the kernel dropped.
 *
 * @see RFC 768 (UDP), RFC 8085 (how to use it)
 */
import { createSocket, type RemoteInfo, type Socket, type SocketType } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { fromNodeError, internalError, ioError, isWireError, textOf, type WireError } from '@ferrata/error';
import { callUser, type StreamAddress, watchAnswer } from '@ferrata/stream';
import { udpFamilyOf } from '../accept/describe-descriptor.ts';
import { listenFailure } from '../accept/listen-error.ts';
import type { AddressLike } from '../address.ts';
import { ipAddress } from '../socket/socket-info.ts';
import { warn } from '../warn.ts';
import { bindError } from './udp-bind-error.ts';
import {
  KEPT_DATAGRAM_BYTES,
  resolveUdpBindOptions,
  resolveUdpConnectOptions,
  type UdpAddress,
  type UdpBindConfig,
  type UdpBindOptions,
  type UdpConnectConfig,
  type UdpConnectOptions,
  type UdpSocketConfig,
} from './udp-options.ts';

/** The largest payload of a datagram over IPv4: 65 535 less the headers of IP and UDP. */
export const MAX_DATAGRAM_BYTES = 65_507;

/** The receiver of an endpoint. */
export interface UdpSink {
  /** A datagram came; the bytes are yours, and may be none at all. `peer` may be kept. */
  onDatagram(bytes: Uint8Array, peer: UdpAddress): void;
  /**
   * Sending or receiving failed for one datagram; the endpoint lives on. `UDP_REFUSED`: nobody receives at the peer (ICMP, connected endpoints
   * only); `UDP_UNREACHABLE`; `UDP_TOO_LARGE`; `UDP_FAILED`. Default: nothing.
   */
  onError?(error: WireError): void;
  /** Once and last. `null` after `close`. */
  onClose(error: WireError | null): void;
}

/** Why a datagram was dropped, and how many were. */
export interface UdpDropCounts {
  /** The receive queue of a paused endpoint was full. */
  readonly receiveQueueFull: number;
  /** It came, was still queued, or was to be sent, after the close. */
  readonly closed: number;
  /** More than `maxSendBytes` allows waited for the kernel. */
  readonly sendQueueFull: number;
  /** The kernel refused to send it, whatever the error was. */
  readonly sendFailed: number;
  /** Its source port was 0, which says that no answer is wanted (RFC 768), and to which none can be sent. */
  readonly noSourcePort: number;
  /** It came from somebody else than the peer of a connected endpoint: the kernel had queued it before the socket was connected. */
  readonly notPeer: number;
}

/** What an endpoint has done. The numbers are live. */
export interface UdpCounts {
  /** Datagrams handed to the sink. */
  readonly received: number;
  readonly receivedBytes: number;
  /** Datagrams that the kernel took. */
  readonly sent: number;
  readonly sentBytes: number;
  /** Errors told by ICMP, or by a failed receive. */
  readonly receiveErrors: number;
  readonly dropped: UdpDropCounts;
}

/**
 * Opens a socket that receives at an address, from anybody. A name is looked up once.
 *
 * @param where `udp://127.0.0.1:5353`, `[::]:5353`, or options; among these `fd`, a socket that somebody else has bound
 * @throws {WireError} `ADDRESS_IN_USE`, `LISTEN_NOT_PERMITTED`, `LISTEN_NO_SUCH_ADDRESS`, `DESCRIPTORS_EXHAUSTED` or `LISTEN_FAILED`; the message names
 *   the address
 * @throws {TypeError} if the address is malformed, or an option is not known
 * @throws {RangeError} if an option is out of range
 */
export async function bindUdp(where: AddressLike | UdpBindOptions, sink: UdpSink): Promise<UdpEndpoint> {
  return openBound(resolveUdpBindOptions(where), sink);
}

/** `bindUdp` with options that are settled. */
export async function openBound(config: UdpBindConfig, sink: UdpSink): Promise<UdpEndpoint> {
  if (config.fd !== null) return openDescriptor(config.fd, config, sink);
  const place = `udp://${config.host.includes(':') ? `[${config.host}]` : config.host}:${config.port}`;
  const host = await resolveHost(config.host).catch((error: unknown) => {
    throw bindError(error, place);
  });
  const socket = makeSocket(familyOf(host), config, config);
  try {
    await bindSocket(socket, { address: host, port: config.port });
    applyTtl(socket, config);
  } catch (error) {
    socket.close();
    throw bindError(error, place);
  }
  return new UdpEndpoint(socket, config, sink, null);
}

/**
 * Opens a socket that sends to one peer and receives from it alone. No packet is sent by this: whether somebody is there shows later.
 *
 * @param where `udp://192.0.2.1:53`, or options
 * @throws {WireError} `DNS_NOT_FOUND` and its like, `CONNECT_NO_ROUTE`, `CONNECT_NO_LOCAL_ADDRESS`, `ADDRESS_IN_USE`
 * @throws {TypeError} if the address is malformed, or an option is not known
 * @throws {RangeError} if an option is out of range
 */
export async function connectUdp(where: AddressLike | UdpConnectOptions, sink: UdpSink): Promise<UdpEndpoint> {
  const config = resolveUdpConnectOptions(where);
  const context = `udp://${config.host}:${config.port}`;
  let socket: Socket | null = null;
  try {
    const host = await resolveHost(config.host);
    socket = makeSocket(familyOf(host), config, null);
    await connectSocket(socket, host, config);
    applyTtl(socket, config);
    // As the kernel writes it, to be compared with the source of each datagram.
    const peer = socket.remoteAddress();
    return new UdpEndpoint(socket, config, sink, ipAddress(peer.address, peer.port) as UdpAddress);
  } catch (error) {
    socket?.close();
    throw fromNodeError(error, { context });
  }
}

/** A UDP socket. Made by `bindUdp` and `connectUdp`. */
export class UdpEndpoint {
  /** The address that it really has: for port 0, with the port that the kernel chose. */
  readonly address: StreamAddress;
  /** Whom it is connected to; null if it isn't. */
  readonly peer: UdpAddress | null;
  readonly #socket: Socket;
  readonly #config: UdpSocketConfig;
  readonly #sink: UdpSink;
  /** A socket of IPv6 names IPv4 peers by mapped addresses. */
  readonly #isIpv6: boolean;
  readonly #counts = new Counts();
  /** In the order of coming. Not an array, of which the first of many thousands is dear to take. */
  readonly #queue = new Set<{ readonly bytes: Uint8Array; readonly peer: UdpAddress }>();
  #queuedBytes = 0;
  #isPaused = false;
  #isFlushing = false;
  #isClosed = false;
  #closing: Promise<void> | null = null;
  readonly #onSent: (error: Error | null, bytes: number) => void;
  readonly #onThrown: (thrown: unknown) => void;

  /** @internal */
  constructor(socket: Socket, config: UdpSocketConfig, sink: UdpSink, peer: UdpAddress | null) {
    const { address, family, port } = socket.address();
    this.#socket = socket;
    this.#config = config;
    this.#sink = sink;
    this.#isIpv6 = family === 'IPv6';
    this.address = ipAddress(address, port);
    this.peer = peer;
    // One function for all sends.
    this.#onSent = (error, bytes) => this.#sent(error, bytes);
    this.#onThrown = (thrown) => this.#sinkThrew(thrown);
    socket.on('message', (bytes, from) => this.#received(bytes, from));
    socket.on('error', (error) => this.#failed(error));
  }

  // ---- queries -----------------------------------------------------------------------------------------------------------------

  /** What it has done so far; the object is the same at each call, and live. */
  get counts(): UdpCounts {
    return this.#counts;
  }

  /** Bytes accepted by `send` that wait for the kernel. */
  get bufferedBytes(): number {
    return this.#isClosed ? 0 : this.#socket.getSendQueueSize();
  }

  /** Datagrams kept because of `pause`. */
  get queuedCount(): number {
    return this.#queue.size;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  // ---- commands ----------------------------------------------------------------------------------------------------------------

  /**
   * Sends a datagram, at most `MAX_DATAGRAM_BYTES` long (and longer than the path's MTU only in fragments: RFC 8085 §3.2).
   *
   * @param bytes belong to the endpoint from now on
   * @param to where to; left out for a connected endpoint, and only there
   * @returns false if it was dropped at once, which is counted; true promises no more than that the kernel is asked
   * @throws {TypeError} when `to` is missing or one too many, or its host is no IP address that this socket can reach
   * @throws {RangeError} when its port is not 1 to 65535
   */
  send(bytes: Uint8Array, to?: UdpAddress): boolean {
    const { peer } = this;
    if ((peer === null) !== (to !== undefined)) {
      throw new TypeError(
        peer === null ? 'say whom to send to: the endpoint is not connected' : 'a connected endpoint sends to its peer alone',
      );
    }
    const host = to === undefined ? '' : this.#hostFor(to);
    if (this.#isClosed) {
      this.#counts.dropped.closed++;
      return false;
    }
    // The kernel takes nearly every datagram at once; what it does not take waits in libuv, which has no bound of its own. An empty one waits there, too.
    const socket = this.#socket;
    if (socket.getSendQueueSize() + socket.getSendQueueCount() * KEPT_DATAGRAM_BYTES > this.#config.maxSendBytes) {
      this.#counts.dropped.sendQueueFull++;
      return false;
    }
    if (to === undefined) socket.send(bytes, this.#onSent);
    else socket.send(bytes, to.port, host, this.#onSent);
    return true;
  }

  /** Stops `onDatagram` until `resume`; datagrams that come are kept up to the limits, then dropped and counted. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#queue.size === 0 || this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => this.#flush());
  }

  /** Closes the socket; what waits for the kernel is lost, and so is what was kept. Done when the port is free. May be called again. */
  close(): Promise<void> {
    return this.#end(null);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- what the socket says ------------------------------------------------------------------------------------------------------

  #received(bytes: Uint8Array, from: RemoteInfo): void {
    if (this.#isClosed) {
      this.#counts.dropped.closed++;
      return;
    }
    if (from.port === 0) {
      this.#counts.dropped.noSourcePort++;
      return;
    }
    const peer = ipAddress(from.address, from.port) as UdpAddress;
    if (this.peer !== null && (peer.port !== this.peer.port || peer.host !== this.peer.host)) {
      this.#counts.dropped.notPeer++;
      return;
    }
    if (!this.#isPaused && this.#queue.size === 0) return this.#deliver(bytes, peer);
    const { maxReceiveQueue, maxReceiveBytes } = this.#config;
    if (this.#queue.size >= maxReceiveQueue || this.#queuedBytes + costOf(bytes) > maxReceiveBytes) {
      this.#counts.dropped.receiveQueueFull++;
      return;
    }
    this.#queue.add({ bytes, peer });
    this.#queuedBytes += costOf(bytes);
  }

  #flush(): void {
    this.#isFlushing = false;
    for (const kept of this.#queue) {
      if (this.#isPaused) return;
      // Taken before the sink hears of it: a sink that closes the endpoint, or throws, has received this one. A close empties the queue.
      this.#queue.delete(kept);
      this.#queuedBytes -= costOf(kept.bytes);
      this.#deliver(kept.bytes, kept.peer);
    }
  }

  #deliver(bytes: Uint8Array, peer: UdpAddress): void {
    this.#counts.received++;
    this.#counts.receivedBytes += bytes.length;
    try {
      // Meant to return nothing; an `async` one returns a promise all the same.
      watchAnswer(this.#sink.onDatagram(bytes, peer), this.#onThrown);
    } catch (thrown) {
      this.#sinkThrew(thrown);
    }
  }

  #sent(error: Error | null, bytes: number): void {
    if (error === null) {
      this.#counts.sent++;
      this.#counts.sentBytes += bytes;
      return;
    }
    if (this.#isClosed) {
      this.#counts.dropped.closed++;
      return;
    }
    this.#counts.dropped.sendFailed++;
    this.#tell(udpError(error));
  }

  /** libuv reads on after an error: of a connected socket it is what ICMP said of an earlier datagram. */
  #failed(error: Error): void {
    if (this.#isClosed) return;
    this.#counts.receiveErrors++;
    this.#tell(udpError(error));
  }

  #tell(error: WireError): void {
    callUser(() => this.#sink.onError?.(error), this.#onThrown);
  }

  #sinkThrew(thrown: unknown): void {
    void this.#end(internalError('SINK_THREW', textOf(thrown), { cause: thrown }));
  }

  #end(error: WireError | null): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#isClosed = true;
      this.#counts.dropped.closed += this.#queue.size;
      this.#queue.clear();
      this.#queuedBytes = 0;
      this.#socket.close(() => {
        callUser(() => this.#sink.onClose(error), warn);
        resolve();
      });
    });
    return this.#closing;
  }

  /** The host as this socket's family has it. */
  #hostFor({ host, port }: UdpAddress): string {
    const version = isIP(host);
    if (version === 0) throw new TypeError(`not an IP address: ${host}`);
    if (!(Number.isInteger(port) && port > 0 && port <= 65_535))
      throw new RangeError(`a port is a whole number from 1 to 65535, not ${port}`);
    if (version === 6 && !this.#isIpv6) throw new TypeError(`an endpoint of IPv4 cannot send to ${host}`);
    return version === 4 && this.#isIpv6 ? `::ffff:${host}` : host;
  }
}

class Counts implements UdpCounts {
  received = 0;
  receivedBytes = 0;
  sent = 0;
  sentBytes = 0;
  receiveErrors = 0;
  readonly dropped = { receiveQueueFull: 0, closed: 0, sendQueueFull: 0, sendFailed: 0, noSourcePort: 0, notPeer: 0 };
}

function costOf(bytes: Uint8Array): number {
  return bytes.length + KEPT_DATAGRAM_BYTES;
}

const reasons: ReadonlyMap<string, readonly [reason: string, message: string]> = new Map([
  ['ECONNREFUSED', ['UDP_REFUSED', 'nobody receives at the peer (ICMP port unreachable)']],
  ['EHOSTUNREACH', ['UDP_UNREACHABLE', 'there is no way to the host']],
  ['ENETUNREACH', ['UDP_UNREACHABLE', 'there is no way to the network']],
  ['EMSGSIZE', ['UDP_TOO_LARGE', 'the datagram is too large']],
]);

function udpError(error: NodeJS.ErrnoException): WireError {
  const known = reasons.get(error.code ?? '');
  if (known === undefined) return ioError('UDP_FAILED', error.message, { cause: error, context: error.code });
  return ioError(known[0], known[1], { cause: error, fault: known[0] === 'UDP_TOO_LARGE' ? 'local' : 'remote' });
}

// ---- opening -----------------------------------------------------------------------------------------------------------------------

async function resolveHost(host: string): Promise<string> {
  return isIP(host) === 0 ? (await lookup(host)).address : host;
}

function familyOf(host: string): SocketType {
  return isIPv6(host) ? 'udp6' : 'udp4';
}

function makeSocket(type: SocketType, config: UdpSocketConfig, binding: UdpBindConfig | null): Socket {
  const { receiveBufferBytes, sendBufferBytes } = config;
  return createSocket({
    type,
    reuseAddr: binding?.reuseAddr ?? false,
    reusePort: binding?.reusePort ?? false,
    ipv6Only: binding?.ipv6Only ?? false,
    ...(receiveBufferBytes === null ? {} : { recvBufferSize: receiveBufferBytes }),
    ...(sendBufferBytes === null ? {} : { sendBufferSize: sendBufferBytes }),
    // Hosts are addresses by now. Node's own look-up puts each datagram off by a tick.
    lookup: (address, _options, done) => done(null, address, isIP(address)),
  });
}

function applyTtl(socket: Socket, { ttl }: UdpSocketConfig): void {
  if (ttl !== null) socket.setTTL(ttl);
}

function bindSocket(socket: Socket, where: { readonly address: string; readonly port: number } | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ ...where, exclusive: true }, () => {
      socket.removeListener('error', reject);
      resolve();
    });
  });
}

/** A socket that is bound already. Node sends by the family that it was told, so it has to be known before. */
async function openDescriptor(fd: number, config: UdpBindConfig, sink: UdpSink): Promise<UdpEndpoint> {
  const place = `descriptor ${fd}`;
  const family = udpFamilyOf(fd);
  const socket = makeSocket(family ?? 'udp4', config, null);
  try {
    await bindSocket(socket, { fd });
    if (family === null && socket.address().family === 'IPv6')
      throw listenFailure('LISTEN_FAILED', place, 'it is of IPv6, which this system does not tell beforehand');
    applyTtl(socket, config);
  } catch (error) {
    socket.close();
    throw isWireError(error) ? error : bindError(error, place);
  }
  return new UdpEndpoint(socket, config, sink, null);
}

async function connectSocket(socket: Socket, host: string, { port, localAddress, localPort }: UdpConnectConfig): Promise<void> {
  if (localAddress !== null || localPort !== 0) {
    const address = await resolveHost(localAddress ?? (isIPv6(host) ? '::' : '0.0.0.0'));
    await bindSocket(socket, { address, port: localPort });
  }
  await new Promise<void>((resolve, reject) => {
    // Node gives a failure to the callback, which its types do not say, and to nobody else.
    socket.connect(port, host, (...failure: unknown[]) => {
      if (failure[0] instanceof Error) reject(failure[0]);
      else resolve();
    });
  });
}

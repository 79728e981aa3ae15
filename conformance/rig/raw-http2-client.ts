/**
 * One end of an HTTP/2 connection without any rules: sends bytes as they are, and keeps count of what comes back. As a client it attacks a
 * server, as what an evil server accepts it attacks a client.
 *
 * It sends nothing by itself: no acknowledgement, no window, no answer to a PING. Its settings forbid the peer a table, so that statuses can be
 * read without HPACK's state.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Flag, PREFACE, Setting, settings, statusOf, Type } from './http2-bytes.ts';

/** A GOAWAY that came. */
export interface Goaway {
  readonly lastStreamId: number;
  readonly code: number;
  readonly debug: string;
}

/** What is known of a stream from the peer's frames. */
export interface SeenStream {
  /** Final status; 0: none came. */
  status: number;
  dataBytes: number;
  /** The first bytes of the body, for short answers. */
  text: string;
  isEnded: boolean;
  /** -1: not reset. */
  resetCode: number;
}

const TEXT_LENGTH = 256;
const CONNECT_MS = 5_000;

/** An end of a connection. */
export class RawHttp2Peer {
  readonly socket: Socket;
  readonly streams = new Map<number, SeenStream>();
  readonly goaways: Goaway[] = [];
  settingsCount = 0;
  settingsAckCount = 0;
  pingCount = 0;
  pingAckCount = 0;
  resetCount = 0;
  frameCount = 0;
  /** Credit that the peer gave for the whole connection, beyond the first 65 535. */
  connectionCredit = 0;
  /** The same by stream. */
  readonly streamCredit = new Map<number, number>();
  isClosed = false;
  /** The connection ended by a reset. */
  isReset = false;
  /** Called for each frame, after it was counted. */
  onFrame: (type: number, flags: number, streamId: number, payload: Buffer) => void = () => undefined;
  readonly #waiters = new Set<() => void>();
  #unread: Buffer = Buffer.alloc(0);
  #headOfBlock: Buffer[] = [];
  #prefaceLeft: number;

  /** @param isServer a preface is to be skipped */
  constructor(socket: Socket, isServer: boolean) {
    this.socket = socket;
    this.#prefaceLeft = isServer ? PREFACE.length : 0;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => {
      this.isReset = true;
    });
    socket.on('end', () => this.#close());
    socket.on('close', () => this.#close());
    socket.on('drain', () => this.#wake());
  }

  /** The peer has said or shown that it has had enough. */
  get isOver(): boolean {
    return this.isClosed || this.goaways.length > 0;
  }

  /** @returns what was seen of a stream */
  stream(id: number): SeenStream {
    let seen = this.streams.get(id);
    if (seen === undefined) {
      seen = { status: 0, dataBytes: 0, text: '', isEnded: false, resetCode: -1 };
      this.streams.set(id, seen);
    }
    return seen;
  }

  /** Sends bytes. @returns false: the peer does not take them as fast */
  write(...bytes: readonly Uint8Array[]): boolean {
    if (this.socket.destroyed || !this.socket.writable) return true;
    const [first] = bytes;
    return this.socket.write(bytes.length === 1 && first !== undefined ? first : Buffer.concat(bytes));
  }

  /** Waits until something is so, looking whenever something has happened. @returns whether it became so within the time */
  async until(isSo: () => boolean, ms: number): Promise<boolean> {
    if (isSo()) return true;
    return await new Promise((resolve) => {
      const done = (is: boolean): void => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve(is);
      };
      const timer = setTimeout(() => done(isSo()), ms);
      const look = (): void => {
        if (isSo()) done(true);
      };
      this.#waiters.add(look);
    });
  }

  /** Waits until what was sent has left, the peer has had enough, or the time is over. */
  async drained(ms: number): Promise<void> {
    await this.until(() => this.isOver || !this.socket.writableNeedDrain, ms);
  }

  /** Stops to read: the TCP window closes. */
  hold(): void {
    this.socket.pause();
  }

  release(): void {
    this.socket.resume();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#wake();
  }

  #wake(): void {
    for (const look of this.#waiters) look();
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    if (this.#prefaceLeft > 0) {
      const skipped = Math.min(this.#prefaceLeft, bytes.length);
      this.#prefaceLeft -= skipped;
      bytes = bytes.subarray(skipped);
    }
    let at = 0;
    while (bytes.length - at >= 9) {
      const end = at + 9 + bytes.readUIntBE(at, 3);
      if (bytes.length < end) break;
      this.#read(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5) % 2 ** 31, bytes.subarray(at + 9, end));
      at = end;
    }
    this.#unread = bytes.subarray(at);
    this.#wake();
  }

  #read(type: number, flags: number, streamId: number, payload: Buffer): void {
    this.frameCount++;
    switch (type) {
      case Type.data:
        this.#readData(flags, this.stream(streamId), payload);
        break;
      case Type.headers:
        this.#headOfBlock = [unpadded(flags, payload)];
        if ((flags & Flag.endStream) !== 0) this.stream(streamId).isEnded = true;
        if ((flags & Flag.endHeaders) !== 0) this.#readHead(this.stream(streamId));
        break;
      case Type.continuation:
        this.#headOfBlock.push(payload);
        if ((flags & Flag.endHeaders) !== 0) this.#readHead(this.stream(streamId));
        break;
      case Type.rstStream:
        this.resetCount++;
        this.stream(streamId).resetCode = payload.readUInt32BE(0);
        break;
      case Type.settings:
        if ((flags & Flag.ack) === 0) this.settingsCount++;
        else this.settingsAckCount++;
        break;
      case Type.ping:
        if ((flags & Flag.ack) === 0) this.pingCount++;
        else this.pingAckCount++;
        break;
      case Type.goaway:
        this.goaways.push({
          lastStreamId: payload.readUInt32BE(0) % 2 ** 31,
          code: payload.readUInt32BE(4),
          debug: payload.toString('latin1', 8),
        });
        break;
      case Type.windowUpdate:
        if (streamId === 0) this.connectionCredit += payload.readUInt32BE(0);
        else this.streamCredit.set(streamId, (this.streamCredit.get(streamId) ?? 0) + payload.readUInt32BE(0));
        break;
      default:
        break;
    }
    this.onFrame(type, flags, streamId, payload);
  }

  #readData(flags: number, stream: SeenStream, payload: Buffer): void {
    const body = unpadded(flags, payload);
    stream.dataBytes += body.length;
    if (stream.text.length < TEXT_LENGTH) stream.text = (stream.text + body.toString('latin1', 0, TEXT_LENGTH)).slice(0, TEXT_LENGTH);
    if ((flags & Flag.endStream) !== 0) stream.isEnded = true;
  }

  #readHead(stream: SeenStream): void {
    const status = statusOf(Buffer.concat(this.#headOfBlock));
    const isInterim = status >= 100 && status < 200;
    // Trailers have no status.
    if (!isInterim && stream.status === 0) stream.status = status;
  }
}

/** Options of `connectRawHttp2`. */
export interface RawHttp2Options {
  readonly port: number;
  /** Sent at once. Default: the preface and SETTINGS with a table of 0 bytes. */
  readonly opening?: Uint8Array;
}

/** What a client of good manners begins with, and the settings that it adds. */
export function opening(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  return Buffer.concat([PREFACE, settings([Setting.headerTableSize, 0], ...pairs)]);
}

/** Connects to a port of this machine. @throws {Error} when nobody listens, or the connection takes too long */
export async function connectRawHttp2({ port, opening: first = opening() }: RawHttp2Options): Promise<RawHttp2Peer> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const timer = setTimeout(() => fail(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      const peer = new RawHttp2Peer(socket, false);
      socket.off('error', fail);
      if (first.length > 0) peer.write(first);
      resolve(peer);
    });
  });
}

/** A server of raw ends. */
export interface RawHttp2Server {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on a port of this machine; says nothing by itself, not even SETTINGS. */
export async function listenRawHttp2(onPeer: (peer: RawHttp2Peer) => void): Promise<RawHttp2Server> {
  const peers = new Set<RawHttp2Peer>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new RawHttp2Peer(socket, true);
    peers.add(peer);
    socket.on('close', () => peers.delete(peer));
    onPeer(peer);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      for (const peer of peers) peer.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

function unpadded(flags: number, payload: Buffer): Buffer {
  if ((flags & Flag.padded) === 0) return payload;
  return payload.subarray(1, payload.length - (payload[0] ?? 0));
}

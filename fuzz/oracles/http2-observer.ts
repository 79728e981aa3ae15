/**
 * Listens to both directions of one end of an HTTP/2 connection and keeps its own books: what the peer has granted and what was sent, what was
 * granted to the peer, which streams are open, and what our field blocks say. A reader of its own, with nothing of the machine in it; field
 * blocks are read by hpack.js, and by our decoder as a peer would set it up.
 *
 * @see RFC 9113 §4.3, §5.1, §5.2, §6.9
 */
import { isWireError } from '@ferrata/error';
import { HpackDecoder } from '@ferrata/hpack';
import { invariant } from '../src/target.ts';
import { HpackJsDecoder } from './hpack-js.ts';
import { bodyBytes } from './http2-body.ts';

const MAX_WINDOW = 0x7fff_ffff;
const DEFAULT_WINDOW = 65_535;
const PREFACE_BYTES = 24;

const Type = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
  priorityUpdate: 16,
} as const;

/** A frame as it stands on the wire. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly length: number;
  readonly payload: Uint8Array;
}

/** A message of ours, and of the peer's, on one stream. */
interface StreamBooks {
  /** WINDOW_UPDATEs of the peer, and our DATA. */
  credit: number;
  sent: number;
  /** WINDOW_UPDATEs of ours, and the peer's DATA. */
  granted: number;
  received: number;
  readonly receivedBody: Uint8Array[];
  /** The blocks of our HEADERS, decoded. */
  readonly blocks: (readonly (readonly [string, string])[])[];
  hasSentEnd: boolean;
  hasSentReset: boolean;
  hasReceivedEnd: boolean;
}

/** Cuts a direction into frames, whatever they are. */
class Frames {
  #rest: Uint8Array = new Uint8Array();
  #skip: number;

  constructor(skip: number) {
    this.#skip = skip;
  }

  *read(bytes: Uint8Array): Generator<SeenFrame> {
    const skipped = Math.min(this.#skip, bytes.length);
    this.#skip -= skipped;
    const fresh = bytes.subarray(skipped);
    let rest: Uint8Array = this.#rest.length === 0 ? fresh : Buffer.concat([this.#rest, fresh]);
    while (rest.length >= 9) {
      const view = new DataView(rest.buffer, rest.byteOffset, rest.byteLength);
      const length = view.getUint32(0) >>> 8;
      if (rest.length < 9 + length) break;
      const frame = {
        type: rest[3] ?? 0,
        flags: rest[4] ?? 0,
        id: view.getUint32(5) & MAX_WINDOW,
        length,
        payload: rest.subarray(9, 9 + length),
      };
      rest = rest.subarray(9 + length);
      yield frame;
    }
    this.#rest = rest;
  }
}

export class Http2Observer {
  readonly isServer: boolean;
  readonly streams = new Map<number, StreamBooks>();
  /** Bytes of our frames other than HEADERS, CONTINUATION and DATA. */
  controlBytes = 0;
  /** Payload of the last PING that we sent and that is no answer. */
  lastPing: Uint8Array | null = null;
  hasSentFatalGoaway = false;
  sentLastId = -1;
  /** All DATA that the peer has sent, and what we have let it. */
  received = 0;
  granted = DEFAULT_WINDOW;
  readonly #in: Frames;
  readonly #out: Frames;
  readonly #hpackJs = new HpackJsDecoder(4_096);
  readonly #hpack = new HpackDecoder({ maxListBytes: 1_000_000, maxFieldCount: 10_000 });
  readonly #initialReceive: number;
  /** Sizes of the header table that the peer has asked for, in the SETTINGS that were not acknowledged yet. */
  readonly #tableSizes: number[][] = [];
  #block: Uint8Array[] = [];
  #blockId = 0;
  #credit = DEFAULT_WINDOW;
  #sent = 0;
  #initialSend = DEFAULT_WINDOW;
  #highestPeerId = 0;
  #highestOwnId = 0;

  /** @param initialReceive the largest window that a stream of ours may begin with */
  constructor(isServer: boolean, initialReceive: number) {
    this.isServer = isServer;
    this.#initialReceive = initialReceive;
    this.#in = new Frames(isServer ? PREFACE_BYTES : 0);
    this.#out = new Frames(isServer ? 0 : PREFACE_BYTES);
  }

  // ---- what the peer says --------------------------------------------------------------------------------------------------------

  readInput(bytes: Uint8Array): void {
    for (const frame of this.#in.read(bytes)) this.#onInput(frame);
  }

  #onInput({ type, flags, id, length, payload }: SeenFrame): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    switch (type) {
      case Type.headers:
        if (this.isServer && id % 2 === 1 && id > this.#highestPeerId) {
          this.#highestPeerId = id;
          this.#open(id);
        }
        if ((flags & 1) !== 0) this.#endReceived(id);
        break;
      case Type.data: {
        this.received += length;
        const stream = this.streams.get(id);
        if (stream === undefined) break;
        // Behind an end it is refused, whatever it is.
        if (stream.hasReceivedEnd) break;
        stream.received += length;
        const isPadded = (flags & 8) !== 0;
        const end = isPadded ? length - (payload[0] ?? 0) : length;
        stream.receivedBody.push(payload.subarray(isPadded ? 1 : 0, Math.max(isPadded ? 1 : 0, end)));
        if ((flags & 1) !== 0) this.#endReceived(id);
        break;
      }
      case Type.windowUpdate: {
        if (length !== 4) break;
        const increment = view.getUint32(0) & MAX_WINDOW;
        const stream = this.streams.get(id);
        if (id === 0) this.#credit += increment;
        else if (stream !== undefined) stream.credit += increment;
        break;
      }
      case Type.settings: {
        if ((flags & 1) !== 0) break;
        const sizes: number[] = [];
        for (let at = 0; at + 6 <= length; at += 6) {
          if (view.getUint16(at) === 1) sizes.push(view.getUint32(at + 2));
          if (view.getUint16(at) === 4) this.#initialSend = view.getUint32(at + 2);
        }
        this.#tableSizes.push(sizes);
        break;
      }
      default:
    }
  }

  #endReceived(id: number): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) stream.hasReceivedEnd = true;
  }

  #open(id: number): StreamBooks {
    const books: StreamBooks = {
      credit: 0,
      sent: 0,
      granted: 0,
      received: 0,
      receivedBody: [],
      blocks: [],
      hasSentEnd: false,
      hasSentReset: false,
      hasReceivedEnd: false,
    };
    this.streams.set(id, books);
    return books;
  }

  // ---- what we say ---------------------------------------------------------------------------------------------------------------

  readOutput(bytes: Uint8Array): void {
    for (const frame of this.#out.read(bytes)) this.#onOutput(frame);
  }

  #onOutput(frame: SeenFrame): void {
    const { type, flags, id, length, payload } = frame;
    const isOpen = this.#blockId !== 0;
    invariant(!this.hasSentFatalGoaway, 'nothing follows the last GOAWAY', () => describe(frame));
    invariant(isOpen === (type === Type.continuation), 'nothing comes between the frames of a block', () => describe(frame));
    invariant(length <= 16_384, 'no frame is longer than any peer takes', () => describe(frame));
    if (type !== Type.headers && type !== Type.data && type !== Type.continuation) this.controlBytes += length + 9;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    switch (type) {
      case Type.headers:
        if (!this.isServer && !this.streams.has(id)) {
          invariant(id % 2 === 1 && id > this.#highestOwnId, 'numbers of our streams rise', () => describe(frame));
          this.#highestOwnId = id;
          this.#open(id);
        }
        this.#sendable(frame);
        this.#blockId = id;
        if ((flags & 1) !== 0) (this.streams.get(id) as StreamBooks).hasSentEnd = true;
        this.#fragment(flags, payload);
        break;
      case Type.continuation:
        invariant(id === this.#blockId, 'a block belongs to one stream', () => describe(frame));
        this.#fragment(flags, payload);
        break;
      case Type.data:
        this.#onData(frame, this.#sendable(frame));
        break;
      case Type.reset: {
        const stream = this.streams.get(id);
        invariant(stream !== undefined, 'RST_STREAM is for streams that were opened', () => describe(frame));
        invariant(!stream.hasSentReset, 'a stream is reset once', () => describe(frame));
        stream.hasSentReset = true;
        break;
      }
      case Type.windowUpdate: {
        const increment = view.getUint32(0);
        invariant(length === 4 && increment > 0, 'credit is more than nothing', () => describe(frame));
        this.#onGrant(frame, increment);
        break;
      }
      case Type.settings:
        if ((flags & 1) !== 0) this.#onAcknowledged();
        break;
      case Type.ping:
        if ((flags & 1) === 0) this.lastPing = payload.slice();
        break;
      case Type.goaway: {
        const lastId = view.getUint32(0);
        invariant(this.sentLastId < 0 || lastId <= this.sentLastId, 'the last stream of GOAWAY never rises', () => describe(frame));
        this.sentLastId = lastId;
        if (view.getUint32(4) !== 0) this.hasSentFatalGoaway = true;
        break;
      }
      case Type.priorityUpdate:
        invariant(!this.isServer, 'only clients say PRIORITY_UPDATE', () => describe(frame));
        break;
      default:
        invariant(false, 'only frames of the kinds that we speak', () => describe(frame));
    }
  }

  #sendable(frame: SeenFrame): StreamBooks {
    const stream = this.streams.get(frame.id);
    invariant(stream !== undefined, 'no frame on a stream that is idle', () => describe(frame));
    invariant(!stream.hasSentEnd && !stream.hasSentReset, 'no frame on a stream that has ended', () => describe(frame));
    return stream;
  }

  #onData(frame: SeenFrame, stream: StreamBooks): void {
    const { flags, length, payload } = frame;
    invariant(stream.blocks.length > 0, 'DATA comes behind HEADERS', () => describe(frame));
    invariant((flags & 8) === 0, 'we pad nothing', () => describe(frame));
    const isMeant = Buffer.compare(payload, bodyBytes(frame.id, stream.sent, length)) === 0;
    invariant(isMeant, 'a body goes out as it was given', () => `${describe(frame)} behind ${stream.sent} bytes`);
    stream.sent += length;
    this.#sent += length;
    const left = this.#initialSend + stream.credit - stream.sent;
    invariant(length === 0 || left >= 0, 'no more DATA than the window of the stream', () => `${describe(frame)}: ${left} left`);
    invariant(this.#sent <= this.#credit, 'no more DATA than the window of the connection', () => describe(frame));
    if ((flags & 1) !== 0) stream.hasSentEnd = true;
  }

  #onGrant(frame: SeenFrame, increment: number): void {
    if (frame.id === 0) {
      this.granted += increment;
      invariant(this.granted - this.received <= MAX_WINDOW, 'our windows never overflow', () => describe(frame));
      return;
    }
    const stream = this.streams.get(frame.id);
    invariant(stream !== undefined && !stream.hasSentReset, 'credit is for streams that are open', () => describe(frame));
    stream.granted += increment;
    const window = this.#initialReceive + stream.granted - stream.received;
    invariant(window <= MAX_WINDOW, 'our windows never overflow', () => describe(frame));
    invariant(stream.granted <= stream.received + GROWTH, 'credit is for what came, or for growth', () => describe(frame));
  }

  #fragment(flags: number, payload: Uint8Array): void {
    this.#block.push(payload.slice());
    if ((flags & 4) === 0) return;
    const block = Buffer.concat(this.#block);
    const id = this.#blockId;
    this.#block = [];
    this.#blockId = 0;
    const theirs = this.#hpackJs.decode(block);
    invariant('fields' in theirs, 'hpack.js reads our blocks', () => JSON.stringify(theirs));
    const ours = this.#decode(block);
    invariant(
      JSON.stringify(ours) === JSON.stringify(theirs.fields),
      'both decoders read our blocks alike',
      () => `${JSON.stringify(ours)} and ${JSON.stringify(theirs.fields)}`,
    );
    this.streams.get(id)?.blocks.push(theirs.fields);
  }

  #decode(block: Uint8Array): (readonly [string, string])[] {
    const fields: (readonly [string, string])[] = [];
    try {
      this.#hpack.feed(block);
      while (this.#hpack.next()) fields.push([this.#hpack.name, this.#hpack.value]);
      this.#hpack.end();
    } catch (error) {
      invariant(!isWireError(error), 'our decoder reads our blocks', () => String(error));
      throw error;
    }
    return fields;
  }

  /** What the peer has asked for holds for the blocks behind our acknowledgement (RFC 9113 §6.5.3). */
  #onAcknowledged(): void {
    const sizes = this.#tableSizes.shift();
    invariant(sizes !== undefined, 'SETTINGS are acknowledged once', () => 'an acknowledgement of nothing');
    // More than the default we never use.
    for (const size of sizes) this.#hpack.setMaxTableBytes(Math.min(size, 4_096));
  }

  // ---- what must hold whenever all was written -----------------------------------------------------------------------------------

  /** All that was granted has been seen: the peer has kept to it, or was told. */
  checkReceived(isRefused: (id: number) => boolean): void {
    invariant(
      this.received <= this.granted,
      'more DATA than the window of the connection is refused',
      () => `${this.received} of ${this.granted}`,
    );
    for (const [id, stream] of this.streams) {
      if (stream.hasSentReset || isRefused(id)) continue;
      invariant(
        stream.received <= this.#initialReceive + stream.granted,
        'more DATA than the window of a stream is refused',
        () => `stream ${id}: ${stream.received}`,
      );
    }
  }
}

/** By how much a window may grow in its life. */
const GROWTH = 1_048_576;

function describe({ type, flags, id, length }: SeenFrame): string {
  return `a frame of type ${type}, flags ${flags}, stream ${id}, ${length} bytes`;
}

/**
 * Reads the frames of one HTTP/2 connection at the edge of the proxy, both ways, and holds what the proxy writes against what it was granted (I17).
 *
 * Written apart from the codec under test: it knows lengths, types, flags, settings and windows, and nothing of what is in them.
 *
 * @see RFC 9113 §4.1, §5.1, §5.2, §6.5.2
 */
import type { TellBreach } from '../world/edge.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

const DATA = 0x0;
const HEADERS = 0x1;
const RST_STREAM = 0x3;
const SETTINGS = 0x4;
const WINDOW_UPDATE = 0x8;

const END_STREAM = 0x1;
const ACK = 0x1;

const MAX_CONCURRENT_STREAMS = 0x3;
const INITIAL_WINDOW_SIZE = 0x4;

const MAX_WINDOW = 0x7fff_ffff;

/** One frame. The payload is there for SETTINGS and WINDOW_UPDATE only. */
interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly byteLength: number;
  readonly payload: Uint8Array;
}

interface StreamState {
  /** What the proxy may still send. */
  window: number;
  /** What it has granted, and has not been sent. */
  granted: number;
  hasEnded: boolean;
  hasPeerEnded: boolean;
}

/** The two directions of a connection, and what they owe each other. */
export class Http2Audit {
  readonly #name: string;
  readonly #isClient: boolean;
  readonly #tell: TellBreach;
  readonly #incoming: FrameFeed;
  readonly #outgoing: FrameFeed;
  readonly #streams = new Map<number, StreamState>();
  /** Settings that the proxy has read: they bind it from its acknowledgement on, as what it wrote before may have waited for room. */
  readonly #unacknowledged: (readonly Setting[])[] = [];
  #window = 65_535;
  #granted = 65_535;
  #initialWindow = 65_535;
  #initialGranted = 65_535;
  #maxStreams = Number.POSITIVE_INFINITY;
  /** DATA frames seen, for whoever wants to know whether there was anything to audit. */
  dataFrames = 0;

  /** @param isClient whether the proxy is the client of this connection */
  constructor(name: string, isClient: boolean, tell: TellBreach) {
    this.#name = name;
    this.#isClient = isClient;
    this.#tell = tell;
    this.#incoming = new FrameFeed(!isClient, (frame) => this.#takeIn(frame));
    this.#outgoing = new FrameFeed(isClient, (frame) => this.#takeOut(frame));
  }

  /** The proxy has read it. */
  read(chunk: Uint8Array): void {
    this.#incoming.feed(chunk);
  }

  /** The proxy has written it. */
  wrote(chunk: Uint8Array): void {
    this.#outgoing.feed(chunk);
  }

  get #openCount(): number {
    let count = 0;
    for (const { hasEnded, hasPeerEnded } of this.#streams.values()) if (!hasEnded || !hasPeerEnded) count++;
    return count;
  }

  #streamOf(id: number): StreamState {
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      stream = { window: this.#initialWindow, granted: this.#initialGranted, hasEnded: false, hasPeerEnded: false };
      this.#streams.set(id, stream);
    }
    return stream;
  }

  #takeIn({ type, flags, streamId, byteLength, payload }: Frame): void {
    switch (type) {
      case SETTINGS:
        if ((flags & ACK) === 0) this.#unacknowledged.push(settingsIn(flags, payload));
        break;
      case WINDOW_UPDATE:
        if (streamId === 0) this.#window += incrementOf(payload);
        else this.#streamOf(streamId).window += incrementOf(payload);
        break;
      case HEADERS:
      case DATA: {
        const stream = this.#streamOf(streamId);
        if (type === DATA) {
          this.#granted -= byteLength;
          stream.granted -= byteLength;
        }
        if ((flags & END_STREAM) !== 0) stream.hasPeerEnded = true;
        break;
      }
      case RST_STREAM: {
        const stream = this.#streamOf(streamId);
        stream.hasEnded = true;
        stream.hasPeerEnded = true;
        break;
      }
      default:
    }
  }

  #takeOut({ type, flags, streamId, byteLength, payload }: Frame): void {
    switch (type) {
      case SETTINGS:
        if ((flags & ACK) !== 0) this.#apply(this.#unacknowledged.shift() ?? []);
        for (const [id, value] of settingsIn(flags, payload)) {
          if (id !== INITIAL_WINDOW_SIZE) continue;
          for (const stream of this.#streams.values()) stream.granted += value - this.#initialGranted;
          this.#initialGranted = value;
        }
        break;
      case WINDOW_UPDATE:
        if (streamId === 0) this.#granted += incrementOf(payload);
        else this.#streamOf(streamId).granted += incrementOf(payload);
        if (this.#granted > MAX_WINDOW || (this.#streams.get(streamId)?.granted ?? 0) > MAX_WINDOW)
          this.#tell('I17', `${this.#name}: the proxy grants more than a window can hold on stream ${streamId}`);
        break;
      case HEADERS:
        if (this.#isClient && !this.#streams.has(streamId) && this.#openCount >= this.#maxStreams)
          this.#tell('I17', `${this.#name}: stream ${streamId} is opened beside ${this.#openCount}, ${this.#maxStreams} are allowed`);
        this.#send(streamId, flags);
        break;
      case DATA:
        this.dataFrames++;
        this.#window -= byteLength;
        this.#streamOf(streamId).window -= byteLength;
        if (byteLength > 0 && (this.#window < 0 || this.#streamOf(streamId).window < 0))
          this.#tell('I17', `${this.#name}: ${byteLength} bytes on stream ${streamId} are more than was granted`);
        this.#send(streamId, flags);
        break;
      case RST_STREAM: {
        const stream = this.#streamOf(streamId);
        stream.hasEnded = true;
        stream.hasPeerEnded = true;
        break;
      }
      default:
    }
  }

  #apply(settings: readonly Setting[]): void {
    for (const [id, value] of settings) {
      if (id === MAX_CONCURRENT_STREAMS) this.#maxStreams = value;
      if (id !== INITIAL_WINDOW_SIZE) continue;
      // RFC 9113 §6.9.2: it changes the windows of streams that are open, which may become negative.
      for (const stream of this.#streams.values()) stream.window += value - this.#initialWindow;
      this.#initialWindow = value;
    }
  }

  #send(streamId: number, flags: number): void {
    const stream = this.#streamOf(streamId);
    // What its peer has reset it may not have known of yet when it wrote this: only its own end binds it at once.
    if (stream.hasEnded && !stream.hasPeerEnded) this.#tell('I17', `${this.#name}: a frame on stream ${streamId} after its end`);
    if ((flags & END_STREAM) !== 0) stream.hasEnded = true;
  }
}

type Setting = readonly [id: number, value: number];

function settingsIn(flags: number, payload: Uint8Array): Setting[] {
  if ((flags & ACK) !== 0) return [];
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const settings: Setting[] = [];
  for (let at = 0; at + 6 <= payload.length; at += 6) settings.push([view.getUint16(at), view.getUint32(at + 2)]);
  return settings;
}

function incrementOf(payload: Uint8Array): number {
  return payload.length < 4 ? 0 : new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0) & MAX_WINDOW;
}

/** Cuts one direction into frames. Stops for ever at what is none. */
class FrameFeed {
  readonly #onFrame: (frame: Frame) => void;
  #prefaceLeft: number;
  #isBroken = false;
  readonly #head = new Uint8Array(9);
  #headLength = 0;
  #payload = new Uint8Array();
  #payloadLength = 0;
  #wanted = -1;

  constructor(beginsWithPreface: boolean, onFrame: (frame: Frame) => void) {
    this.#prefaceLeft = beginsWithPreface ? PREFACE.length : 0;
    this.#onFrame = onFrame;
  }

  feed(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#isBroken) return;
      if (this.#prefaceLeft > 0) {
        this.#isBroken = chunk[at] !== PREFACE.charCodeAt(PREFACE.length - this.#prefaceLeft--);
        at++;
      } else if (this.#wanted < 0) {
        this.#head[this.#headLength++] = chunk[at++] as number;
        if (this.#headLength === 9) this.#begin();
      } else {
        const size = Math.min(this.#wanted - this.#payloadLength, chunk.length - at);
        if (this.#payload.length > 0) this.#payload.set(chunk.subarray(at, at + size), this.#payloadLength);
        this.#payloadLength += size;
        at += size;
      }
      if (this.#wanted === this.#payloadLength) this.#finish();
    }
  }

  #begin(): void {
    const [a = 0, b = 0, c = 0, type = 0] = this.#head;
    this.#wanted = (a << 16) | (b << 8) | c;
    this.#payloadLength = 0;
    this.#payload = type === SETTINGS || type === WINDOW_UPDATE ? new Uint8Array(this.#wanted) : new Uint8Array();
  }

  #finish(): void {
    const view = new DataView(this.#head.buffer);
    const byteLength = this.#wanted;
    this.#wanted = -1;
    this.#headLength = 0;
    this.#onFrame({
      type: view.getUint8(3),
      flags: view.getUint8(4),
      streamId: view.getUint32(5) & MAX_WINDOW,
      byteLength,
      payload: this.#payload,
    });
  }
}

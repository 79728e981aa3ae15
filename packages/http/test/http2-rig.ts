/** A peer that speaks frames of HTTP/2 by hand, on a memory pair: what the tests of both sessions talk to. */
import { ByteWriter, latin1Decode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { HpackDecoder, HpackEncoder, Indexing } from '@ferrata/hpack';
import {
  type ClientExchange,
  type Http2ClientOptions,
  Http2ClientSession,
  HttpEnvironment,
  resolveHttp2ClientOptions,
} from '@ferrata/http';
import {
  CLIENT_PREFACE,
  FrameDecoder,
  FrameFlag,
  FrameType,
  frameTypeName,
  Http2ErrorCode,
  http2ErrorName,
  writeData,
  writeGoaway,
  writeHeaders,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import { type L4Sink, type L4Stream, type MemoryPairOptions, memoryPair } from '@ferrata/stream';
import { type ClientFollower, request, type ServerRig, settle } from './rig.ts';

export type Fields = Readonly<Record<string, string>>;

/** What a peer has heard on one stream. */
export interface Heard {
  heads: Fields[];
  body: number;
  text: string;
  hasEnded: boolean;
  reset: string | null;
}

/** Speaks and hears frames. It answers SETTINGS and PING, and gives credit for DATA unless told not to. */
export class FramePeer implements L4Sink {
  readonly stream: L4Stream;
  /** Every frame heard, in a few words: `HEADERS 1 end`, `DATA 1 5`, `RST_STREAM 1 CANCEL`. */
  readonly log: string[] = [];
  readonly streams = new Map<number, Heard>();
  chunkCount = 0;
  givesCredit = true;
  answersPings = true;
  hasEnded = false;
  isClosed = false;
  closeError: WireError | null = null;
  readonly #decoder = new FrameDecoder();
  readonly #hpack = new HpackDecoder();
  readonly #encoder = new HpackEncoder();
  #skip: number;
  #fields: Record<string, string> = {};
  #blockEnds = false;
  #hasSpoken = false;
  readonly #heldAnswers: Uint8Array[] = [];

  /** @param skip bytes in front of the frames: the preface, for a server */
  constructor(stream: L4Stream, skip = 0) {
    this.stream = stream;
    this.#skip = skip;
    stream.attach(this);
  }

  heard(id: number): Heard {
    let heard = this.streams.get(id);
    if (heard === undefined) {
      heard = { heads: [], body: 0, text: '', hasEnded: false, reset: null };
      this.streams.set(id, heard);
    }
    return heard;
  }
  status(id: number): string | undefined {
    return this.heard(id).heads.at(-1)?.[':status'];
  }
  has(frame: string): boolean {
    return this.log.includes(frame);
  }

  // ---- speaking ------------------------------------------------------------------------------------------------------------------

  /** Writes what `write` makes. */
  async say(write: (writer: ByteWriter) => void): Promise<this> {
    this.stream.write(this.frames(write));
    this.#hasSpoken = true;
    for (const answers of this.#heldAnswers.splice(0)) this.stream.write(answers);
    await settle();
    return this;
  }
  frames(write: (writer: ByteWriter) => void): Uint8Array {
    const writer = new ByteWriter();
    write(writer);
    return writer.take();
  }
  /** The preface and SETTINGS, as a client begins. */
  hello(settings: readonly (readonly [number, number])[] = []): Promise<this> {
    return this.say((writer) => {
      writer.writeBytes(CLIENT_PREFACE);
      writeSettings(writer, settings);
    });
  }
  putHeaders(writer: ByteWriter, id: number, fields: Fields, isEndStream = true): void {
    const block = new ByteWriter();
    this.#encoder.beginBlock(block);
    for (const [name, value] of Object.entries(fields)) this.#encoder.writeField(block, name, value, Indexing.automatic);
    writeHeaders(writer, id, block.take(), { isEndStream });
  }
  headers(id: number, fields: Fields, isEndStream = true): Promise<this> {
    return this.say((writer) => this.putHeaders(writer, id, fields, isEndStream));
  }
  get(id: number, path = '/', fields: Fields = {}): Promise<this> {
    return this.headers(id, requestFields('GET', path, fields));
  }
  post(id: number, path = '/', fields: Fields = {}): Promise<this> {
    return this.headers(id, requestFields('POST', path, fields), false);
  }
  data(id: number, body: Uint8Array | string, isEndStream = false): Promise<this> {
    const data = typeof body === 'string' ? new TextEncoder().encode(body) : body;
    return this.say((writer) => writeData(writer, id, data, { isEndStream }));
  }
  reset(id: number, code: number = Http2ErrorCode.cancel): Promise<this> {
    return this.say((writer) => writeRstStream(writer, id, code));
  }
  goaway(lastStreamId: number, code: number = Http2ErrorCode.noError, text = ''): Promise<this> {
    return this.say((writer) => writeGoaway(writer, lastStreamId, code, text));
  }
  credit(id: number, increment: number): Promise<this> {
    return this.say((writer) => writeWindowUpdate(writer, id, increment));
  }

  // ---- hearing -------------------------------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    this.chunkCount++;
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    if (skipped < chunk.length) this.#decoder.feed(chunk.subarray(skipped));
    const answers = this.frames((writer) => {
      while (this.#decoder.next()) this.#hear(writer);
    });
    // Our own SETTINGS must come first (RFC 9113 §3.4).
    if (answers.length > 0 && this.#hasSpoken) this.stream.write(answers);
    else if (answers.length > 0) this.#heldAnswers.push(answers);
  }
  onDrain(): void {}
  onEnd(): void {
    this.hasEnded = true;
  }
  onClose(error: WireError | null): void {
    this.isClosed = true;
    this.closeError = error;
  }

  #hear(answer: ByteWriter): void {
    const decoder = this.#decoder;
    const { type, streamId, flags } = decoder;
    const name = frameTypeName(type);
    const isEnd = (flags & FrameFlag.endStream) !== 0;
    switch (type) {
      case FrameType.settings:
        if ((flags & FrameFlag.ack) === 0) writeSettingsAck(answer);
        this.log.push((flags & FrameFlag.ack) === 0 ? name : `${name} ack`);
        break;
      case FrameType.ping:
        if ((flags & FrameFlag.ack) === 0 && this.answersPings) writePing(answer, this.#payload().slice(), { isAck: true });
        this.log.push((flags & FrameFlag.ack) === 0 ? name : `${name} ack`);
        break;
      case FrameType.headers:
      case FrameType.continuation:
        this.#hearFields(streamId, isEnd && type === FrameType.headers);
        break;
      case FrameType.data:
        this.#hearData(answer, isEnd);
        break;
      case FrameType.rstStream:
        this.heard(streamId).reset = http2ErrorName(decoder.errorCode);
        this.log.push(`${name} ${streamId} ${http2ErrorName(decoder.errorCode)}`);
        break;
      case FrameType.goaway:
        this.log.push(`${name} ${decoder.lastStreamId} ${http2ErrorName(decoder.errorCode)}`);
        break;
      default:
        this.log.push(name);
    }
  }

  #payload(): Uint8Array {
    return this.#decoder.bytes.subarray(this.#decoder.payloadStart, this.#decoder.payloadEnd);
  }

  #hearFields(streamId: number, isEnd: boolean): void {
    const decoder = this.#decoder;
    if (decoder.type === FrameType.headers) {
      this.#fields = {};
      this.#blockEnds = isEnd;
    }
    this.#hpack.feed(this.#payload().slice());
    while (this.#hpack.next()) this.#fields[this.#hpack.name] = this.#hpack.value;
    if ((decoder.flags & FrameFlag.endHeaders) === 0) return;
    this.#hpack.end();
    const heard = this.heard(streamId);
    heard.heads.push(this.#fields);
    if (this.#blockEnds) heard.hasEnded = true;
    this.log.push(`HEADERS ${streamId}${this.#blockEnds ? ' end' : ''}`);
  }

  #hearData(answer: ByteWriter, isEnd: boolean): void {
    const decoder = this.#decoder;
    const { streamId } = decoder;
    const heard = this.heard(streamId);
    const payload = this.#payload();
    heard.body += payload.length;
    if (heard.text.length < 1_000) heard.text += latin1Decode(payload, 0, payload.length);
    if (!decoder.isFrameEnd) return;
    if (isEnd) heard.hasEnded = true;
    this.log.push(`DATA ${streamId} ${decoder.length}${isEnd ? ' end' : ''}`);
    if (!this.givesCredit || decoder.length === 0) return;
    writeWindowUpdate(answer, 0, decoder.length);
    if (!isEnd) writeWindowUpdate(answer, streamId, decoder.length);
  }
}

export function requestFields(method: string, path: string, fields: Fields = {}): Fields {
  return { ':method': method, ':scheme': 'http', ':path': path, ':authority': 'a', ...fields };
}

/** Connects a peer that speaks frames to the server of a rig; it has said nothing yet. */
export function connectFrames(rig: ServerRig, options: MemoryPairOptions = {}): FramePeer {
  const { a, b } = memoryPair({ clock: rig.clock, ...options });
  rig.server.accept(b);
  return new FramePeer(a);
}

/** A client session, and a server that speaks frames. */
export class Http2ClientRig {
  readonly clock = new ManualClock();
  readonly environment = new HttpEnvironment({ clock: this.clock });
  readonly told: string[] = [];
  readonly session: Http2ClientSession;
  readonly server: FramePeer;
  readonly stream: L4Stream;

  constructor(options: Http2ClientOptions = {}, pair: MemoryPairOptions = {}) {
    const { a, b } = memoryPair({ clock: this.clock, ...pair });
    this.stream = a;
    this.server = new FramePeer(b, CLIENT_PREFACE.length);
    this.session = new Http2ClientSession(a, this.environment, resolveHttp2ClientOptions(options), {
      onSessionIdle: () => this.told.push('idle'),
      onSessionRoom: (session) => this.told.push(session.isReusable ? 'room' : 'no room'),
      onSessionClose: (_session, error, isDirty) => this.told.push(`close ${error?.reason ?? 'null'}${isDirty ? ' dirty' : ''}`),
    });
    this.session.start();
  }
  /** Our SETTINGS, as the server begins. */
  async hello(settings: readonly (readonly [number, number])[] = []): Promise<this> {
    await this.server.say((writer) => writeSettings(writer, settings));
    this.told.length = 0;
    return this;
  }
  get armed(): number {
    return this.environment.deadlines.size;
  }
  ask(follower: ClientFollower, options: { method?: string; target?: string; bodyLength?: number } = {}): ClientExchange {
    const { method = 'GET', target = '/', bodyLength = 0 } = options;
    return this.session.request(request(method, target), { bodyLength, upgrade: null }, follower);
  }
  async advance(ms: number): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }
}

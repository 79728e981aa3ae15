/**
 * One end of an HTTP/2 connection in the hands of a test: it writes any frame, right or wrong, and takes down what comes, made of the codecs
 * alone. It acknowledges SETTINGS and PING by itself, and gives windows back unless it is told not to.
 */
import { ByteWriter, concatBytes, latin1Decode, latin1Encode } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import { HpackDecoder, HpackEncoder, Indexing } from '@ferrata/hpack';
import {
  CLIENT_PREFACE,
  FrameDecoder,
  FrameFlag,
  FrameType,
  Http2ErrorCode,
  SettingId,
  writeData,
  writeGoaway,
  writeHeaders,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import type { L4Sink, L4Stream } from '@ferrata/stream';
import { naiveHpackBlock } from '@ferrata/testkit';

export type Field = readonly [name: string, value: string];

/** What came on one stream. */
export interface H2Message {
  readonly id: number;
  /** Of the request, or of the final response. */
  fields: readonly Field[];
  readonly interims: (readonly Field[])[];
  /** Names of the fields of its head that came as never-indexed literals. */
  secrets: readonly string[];
  trailers: readonly Field[] | null;
  body: string;
  isEnded: boolean;
  /** The code of RST_STREAM, or null. */
  resetCode: number | null;
}

/** The value of a field, or undefined. */
export function valueOf(fields: readonly Field[], name: string): string | undefined {
  return fields.find((field) => field[0] === name)?.[1];
}

/** Request fields as a well-behaved client sends them. */
export function requestFields(method = 'GET', path = '/', ...more: Field[]): Field[] {
  return [[':method', method], [':scheme', 'http'], [':authority', 'example.org'], [':path', path], ...more];
}

export interface H2WireOptions {
  /** SETTINGS to send at first. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** False: windows are given back by the test. */
  readonly isAutoWindow?: boolean;
}

export class H2Wire implements L4Sink {
  readonly stream: L4Stream;
  readonly messages: H2Message[] = [];
  /** Codes of GOAWAY frames, with the last stream each names. */
  readonly goaways: { readonly code: number; readonly lastStreamId: number }[] = [];
  hasEnded = false;
  isClosed = false;
  isAutoWindow: boolean;
  /** Names of fields that are sent as never-indexed literals (RFC 7541 §6.2.3). */
  secretNames: readonly string[] = [];
  /** Called for each head that came: a request, a final or interim response, trailers. */
  onHead: (message: H2Message, wire: H2Wire) => void = () => {};
  /** Called when a message is whole. */
  onMessage: (message: H2Message, wire: H2Wire) => void = () => {};
  readonly #isClient: boolean;
  readonly #decoder = new FrameDecoder();
  readonly #fields = new HpackDecoder();
  readonly #encoder = new HpackEncoder();
  /** What the other side has granted beyond what was sent, by stream; 0 is the connection. */
  readonly #windows = new Map<number, number>();
  /** What the peer's SETTINGS say that a window begins with. */
  #firstWindow = 65_535;
  #prefaceLeft: number;
  #nextId = 1;
  #held: Uint8Array[] | null = null;

  constructor(role: 'client' | 'origin', stream: L4Stream, options: H2WireOptions = {}) {
    this.#isClient = role === 'client';
    this.stream = stream;
    this.isAutoWindow = options.isAutoWindow ?? true;
    this.#prefaceLeft = this.#isClient ? 0 : CLIENT_PREFACE.length;
    stream.attach(this);
    if (this.#isClient) stream.write(CLIENT_PREFACE.slice());
    this.settings(...(options.settings ?? []));
  }

  get isOver(): boolean {
    return this.hasEnded || this.isClosed;
  }

  /** What came on a stream. */
  message(id: number): H2Message | undefined {
    return this.messages.find((message) => message.id === id);
  }

  // ---- what the test says --------------------------------------------------------------------------------------------------------

  settings(...settings: (readonly [id: number, value: number])[]): this {
    return this.#write((writer) => writeSettings(writer, settings));
  }

  /** Begins a stream. @returns its number */
  request(fields: readonly Field[], options: { readonly isEnd?: boolean; readonly isRaw?: boolean } = {}): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.headers(id, fields, options);
    return id;
  }

  headers(
    id: number,
    fields: readonly Field[],
    { isEnd = true, isRaw = false }: { readonly isEnd?: boolean; readonly isRaw?: boolean } = {},
  ): this {
    // An encoder of ours would refuse what attackers send.
    const block = isRaw ? naiveHpackBlock(fields) : this.#encode(fields);
    return this.#write((writer) => writeHeaders(writer, id, block, { isEndStream: isEnd }));
  }

  /** Bytes that may still be sent on a stream. */
  windowOf(id: number): number {
    return this.#windows.get(id) ?? this.#firstWindow;
  }

  /** Heeds no window: a test sends what it likes. */
  data(id: number, text: string, isEnd = false): this {
    this.#windows.set(id, this.windowOf(id) - text.length);
    for (let at = 0; at === 0 || at < text.length; at += 16_384) {
      const part = text.slice(at, at + 16_384);
      this.#write((writer) => writeData(writer, id, latin1Encode(part), { isEndStream: isEnd && at + 16_384 >= text.length }));
    }
    return this;
  }

  /** A whole response. */
  respond(id: number, status: number, body = '', ...fields: Field[]): this {
    this.headers(id, [[':status', String(status)], ...fields], { isEnd: body === '' });
    return body === '' ? this : this.data(id, body, true);
  }

  /** What `say` says goes out in one chunk. */
  together(say: () => void): this {
    const held: Uint8Array[] = [];
    this.#held = held;
    say();
    this.#held = null;
    this.stream.write(concatBytes(held));
    return this;
  }

  resetStream(id: number, code: number = Http2ErrorCode.cancel): this {
    return this.#write((writer) => writeRstStream(writer, id, code));
  }

  goaway(lastStreamId: number, code: number = Http2ErrorCode.noError): this {
    return this.#write((writer) => writeGoaway(writer, lastStreamId, code));
  }

  window(id: number, increment: number): this {
    return this.#write((writer) => writeWindowUpdate(writer, id, increment));
  }

  end(): this {
    this.stream.end();
    return this;
  }
  reset(): this {
    this.stream.abort();
    return this;
  }

  // ---- what comes ----------------------------------------------------------------------------------------------------------------

  onData(chunk: Uint8Array): void {
    const skipped = Math.min(this.#prefaceLeft, chunk.length);
    this.#prefaceLeft -= skipped;
    if (skipped < chunk.length) this.#decoder.feed(chunk.subarray(skipped));
    while (this.#decoder.next()) this.#take(this.#decoder);
  }
  onDrain(): void {}
  onEnd(): void {
    this.hasEnded = true;
    this.stream.end();
  }
  onClose(_error: WireError | null): void {
    this.isClosed = true;
  }

  #take(frame: FrameDecoder): void {
    const { type, flags, streamId } = frame;
    const isAck = (flags & FrameFlag.ack) !== 0;
    if (type === FrameType.settings && !isAck) {
      for (let at = 0; at < frame.settingCount; at++) {
        if (frame.settingIdAt(at) === SettingId.initialWindowSize) this.#firstWindow = frame.settingValueAt(at);
      }
      this.#write((writer) => writeSettingsAck(writer));
    } else if (type === FrameType.ping && !isAck) {
      const payload = frame.bytes.slice(frame.payloadStart, frame.payloadEnd);
      this.#write((writer) => writePing(writer, payload, { isAck: true }));
    } else if (type === FrameType.goaway) this.goaways.push({ code: frame.errorCode, lastStreamId: frame.lastStreamId });
    else if (type === FrameType.rstStream) this.#messageOf(streamId).resetCode = frame.errorCode;
    else if (type === FrameType.windowUpdate) this.#windows.set(streamId, this.windowOf(streamId) + frame.increment);
    else if (type === FrameType.headers) this.#takeHead(frame);
    else if (type === FrameType.data) this.#takeData(frame);
  }

  #takeHead(frame: FrameDecoder): void {
    const message = this.#messageOf(frame.streamId);
    this.#fields.feed(frame.bytes, frame.payloadStart, frame.payloadEnd);
    const fields: Field[] = [];
    const secrets: string[] = [];
    while (this.#fields.next()) {
      fields.push([this.#fields.name, this.#fields.value]);
      if (this.#fields.isNeverIndexed) secrets.push(this.#fields.name);
    }
    this.#fields.end();
    const isEnd = (frame.flags & FrameFlag.endStream) !== 0;
    if (message.fields.length > 0) message.trailers = fields;
    else if (valueOf(fields, ':status')?.startsWith('1') === true) message.interims.push(fields);
    else {
      message.fields = fields;
      message.secrets = secrets;
    }
    this.onHead(message, this);
    if (isEnd) this.#endMessage(message);
  }

  #takeData(frame: FrameDecoder): void {
    const message = this.#messageOf(frame.streamId);
    message.body += latin1Decode(frame.bytes, frame.payloadStart, frame.payloadEnd);
    if (!frame.isFrameEnd) return;
    const isEnd = (frame.flags & FrameFlag.endStream) !== 0;
    if (this.isAutoWindow && frame.length > 0) {
      this.window(0, frame.length);
      if (!isEnd) this.window(frame.streamId, frame.length);
    }
    if (isEnd) this.#endMessage(message);
  }

  #endMessage(message: H2Message): void {
    message.isEnded = true;
    this.onMessage(message, this);
  }

  #messageOf(id: number): H2Message {
    const found = this.message(id);
    if (found !== undefined) return found;
    const message: H2Message = { id, fields: [], interims: [], secrets: [], trailers: null, body: '', isEnded: false, resetCode: null };
    this.messages.push(message);
    return message;
  }

  #encode(fields: readonly Field[]): Uint8Array {
    const writer = new ByteWriter();
    this.#encoder.beginBlock(writer);
    for (const [name, value] of fields) {
      this.#encoder.writeField(writer, name, value, this.secretNames.includes(name) ? Indexing.never : Indexing.automatic);
    }
    return writer.take();
  }

  #write(write: (writer: ByteWriter) => void): this {
    const writer = new ByteWriter();
    write(writer);
    if (this.#held === null) this.stream.write(writer.take());
    else this.#held.push(writer.take());
    return this;
  }
}

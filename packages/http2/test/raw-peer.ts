/** A peer that says whatever it is told to, right or wrong, and reads what the connection under test answers. */
import { ByteWriter } from '@ferrata/bytes';
import { HpackDecoder, HpackEncoder, Indexing } from '@ferrata/hpack';
import { type Http2Options, Role } from '@ferrata/http2';
import {
  CLIENT_PREFACE,
  FrameDecoder,
  FrameFlag,
  FrameType,
  frameTypeName,
  writeHeaders,
  writeSettings,
  writeSettingsAck,
} from '@ferrata/http2-framing';
import { End } from './connection-harness.ts';

type Fields = readonly (readonly [name: string, value: string])[];

export interface Answer {
  readonly type: string;
  readonly id: number;
  readonly flags: number;
  /** The error code of RST_STREAM and GOAWAY, the increment of WINDOW_UPDATE, the length of DATA, the fields of HEADERS. */
  readonly value: unknown;
}

export const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'example.org'],
];
export const POST: Fields = [[':method', 'POST'], ...GET.slice(1)];

export class RawPeer {
  readonly end: End;
  readonly writer = new ByteWriter();
  readonly answers: Answer[] = [];
  /** Of the GOAWAY frames that were answered. */
  readonly lastStreamIds: number[] = [];
  readonly #encoder = new HpackEncoder();
  readonly #decoder = new HpackDecoder();
  readonly #frames = new FrameDecoder({ maxFrameBytes: 1 << 20 });
  #skip: number;

  /** @param role of the connection under test. The preface is said and heard unless `isSilent`. */
  constructor(role: Role, options: Http2Options = {}, isSilent = false) {
    this.end = new End(role, options);
    this.#skip = role === Role.client ? CLIENT_PREFACE.length : 0;
    if (isSilent) return;
    if (role === Role.server) this.writer.writeBytes(CLIENT_PREFACE);
    writeSettings(this.writer, []);
    writeSettingsAck(this.writer);
    this.flush();
    this.answers.length = 0;
    this.end.seen.length = 0;
  }

  /** HEADERS with these fields. */
  headers(id: number, fields: Fields, options: { readonly isEndStream?: boolean; readonly maxFrameBytes?: number } = {}): this {
    writeHeaders(this.writer, id, this.block(fields), options);
    return this;
  }

  block(fields: Fields): Uint8Array {
    const writer = new ByteWriter();
    this.#encoder.beginBlock(writer);
    for (const [name, value] of fields) this.#encoder.writeField(writer, name, value, Indexing.automatic);
    return writer.take();
  }

  write(put: (writer: ByteWriter) => void): this {
    put(this.writer);
    return this;
  }

  /** Sends what was written, and reads the answers. */
  flush(now = 0): this {
    const bytes = this.writer.take();
    if (bytes.length > 0) this.end.receive(bytes, now);
    else this.end.run(now);
    return this.read();
  }

  /** Reads what the connection has to say. */
  read(maxBytes?: number): this {
    let bytes = this.end.take(maxBytes);
    const skipped = Math.min(this.#skip, bytes.length);
    this.#skip -= skipped;
    bytes = bytes.subarray(skipped);
    const frames = this.#frames;
    if (bytes.length > 0) frames.feed(bytes);
    while (frames.next()) this.#note();
    return this;
  }

  #note(): void {
    const frames = this.#frames;
    const { type, streamId, flags } = frames;
    let value: unknown = null;
    if (type === FrameType.goaway) this.lastStreamIds.push(frames.lastStreamId);
    if (type === FrameType.goaway || type === FrameType.rstStream) value = frames.errorCode;
    else if (type === FrameType.windowUpdate) value = frames.increment;
    else if (type === FrameType.data) value = frames.payloadEnd - frames.payloadStart;
    else if (type === FrameType.headers || type === FrameType.continuation) {
      const fields: [string, string][] = [];
      this.#decoder.feed(frames.bytes, frames.payloadStart, frames.payloadEnd);
      while (this.#decoder.next()) fields.push([this.#decoder.name, this.#decoder.value]);
      if ((flags & FrameFlag.endHeaders) !== 0) this.#decoder.end();
      value = fields;
    }
    this.answers.push({ type: frameTypeName(type), id: streamId, flags, value });
  }

  /** Answers of a type, shortly: `RST_STREAM 1 8`. */
  told(...types: readonly string[]): string[] {
    return this.answers.filter(({ type }) => types.includes(type)).map(({ type, id, value }) => `${type} ${id} ${String(value)}`);
  }
}

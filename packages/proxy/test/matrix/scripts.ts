/**
 * Messages as bytes, in both protocols, with marks: after how many bytes the head is whole, and after how many the message. Faults are placed by
 * counting these bytes. No compression state: the bytes of a script mean the same on any connection.
 */
import { ByteWriter, latin1Encode } from '@ferrata/bytes';
import { CLIENT_PREFACE, writeData, writeHeaders, writeSettings } from '@ferrata/http2-framing';
import { naiveHpackBlock } from '@ferrata/testkit';
import { type Field, requestFields } from '../h2-wire.ts';
import type { Protocol } from './ends.ts';

/** How a body is delimited; over HTTP/2 `chunked` and `close` are DATA frames without a Content-Length. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/** An answer, whatever speaks it. */
export interface Answer {
  readonly status: number;
  readonly hasInterim: boolean;
  readonly framing: Framing;
  readonly pieces: readonly string[];
  readonly trailers: readonly Field[];
}

/** A request, whatever speaks it. */
export interface Request {
  readonly method: string;
  readonly framing: Exclude<Framing, 'close'>;
  readonly pieces: readonly string[];
  readonly trailers: readonly Field[];
  /** Beside those that every request has. Default: none. */
  readonly fields?: readonly Field[];
}

export interface Script {
  readonly bytes: Uint8Array;
  /** From here on the (final) head is whole. */
  readonly headEnd: number;
  /** The same of the whole message, but for the end of the connection where that is what delimits it. */
  readonly end: number;
  readonly isEndedByClose: boolean;
  /** Positions between two frames; HTTP/2 only. */
  readonly frameEnds: readonly number[];
}

export function bodyOf({ pieces }: { readonly pieces: readonly string[] }): string {
  return pieces.join('');
}

export function answerScript(protocol: Protocol, answer: Answer): Script {
  return protocol === 'http1' ? http1Answer(answer) : http2Answer(answer);
}

export function requestScript(protocol: Protocol, request: Request, target: string): Script {
  return protocol === 'http1' ? http1Request(request, target) : http2Request(request, target);
}

// ---- HTTP/1 ------------------------------------------------------------------------------------------------------------------------

function http1Answer(answer: Answer): Script {
  const { status, hasInterim, framing, pieces } = answer;
  const interim = hasInterim ? 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' : '';
  const head = `${interim}HTTP/1.${framing === 'close' ? 0 : 1} ${status} X\r\n${framingField(framing, pieces)}\r\n`;
  return http1Script(head, answer);
}

function http1Request(request: Request, target: string): Script {
  const { method, framing, pieces } = request;
  return http1Script(`${method} ${target} HTTP/1.1\r\nHost: h\r\n${ownFields(request)}${framingField(framing, pieces)}\r\n`, request);
}

function http1Script(head: string, message: Answer | Request): Script {
  const bytes = latin1Encode(head + http1Body(message));
  return { bytes, headEnd: head.length, end: bytes.length, isEndedByClose: message.framing === 'close', frameEnds: [] };
}

/** The fields of a request beside the usual ones, as lines of HTTP/1. */
export function ownFields({ fields = [] }: Request): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
}

function framingField(framing: Framing, pieces: readonly string[]): string {
  if (framing === 'length') return `Content-Length: ${pieces.join('').length}\r\n`;
  return framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
}

function http1Body({ framing, pieces, trailers }: Answer | Request): string {
  if (framing !== 'chunked') return pieces.join('');
  const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`);
  return `${chunks.join('')}0\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

// ---- HTTP/2 ------------------------------------------------------------------------------------------------------------------------

/** The first stream that a client opens (RFC 9113 §5.1.1), and the one that scripts of requests use. */
export const FIRST_STREAM = 1;

/** Frames of a stream whose number is filled in by `forStream`. */
function http2Answer(answer: Answer): Script {
  const frames = new Frames();
  if (answer.hasInterim)
    frames.headers(
      [
        [':status', '103'],
        ['link', '</a>'],
      ],
      false,
    );
  return http2Script(frames, [[':status', String(answer.status)]], answer);
}

function http2Request(request: Request, target: string): Script {
  const frames = new Frames();
  frames.raw(CLIENT_PREFACE);
  frames.write((writer) => writeSettings(writer, []));
  return http2Script(frames, requestFields(request.method, target, ...(request.fields ?? [])), request);
}

function http2Script(frames: Frames, pseudoFields: readonly Field[], { framing, pieces, trailers }: Answer | Request): Script {
  const length: Field[] = framing === 'length' ? [['content-length', String(pieces.join('').length)]] : [];
  frames.headers([...pseudoFields, ...length], framing === 'none');
  const headEnd = frames.length;
  if (framing !== 'none') {
    pieces.forEach((piece, index) => frames.data(piece, index === pieces.length - 1 && trailers.length === 0));
    if (trailers.length > 0) frames.headers(trailers, true);
  }
  return { bytes: frames.take(), headEnd, end: frames.length, isEndedByClose: false, frameEnds: frames.ends };
}

class Frames {
  readonly ends: number[] = [];
  length = 0;
  readonly #parts: Uint8Array[] = [];

  headers(fields: readonly Field[], isEndStream: boolean): void {
    this.write((writer) => writeHeaders(writer, FIRST_STREAM, naiveHpackBlock(fields), { isEndStream }));
  }
  data(text: string, isEndStream: boolean): void {
    this.write((writer) => writeData(writer, FIRST_STREAM, latin1Encode(text), { isEndStream }));
  }
  write(write: (writer: ByteWriter) => void): void {
    const writer = new ByteWriter();
    write(writer);
    this.raw(writer.take());
  }
  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.length += bytes.length;
    this.ends.push(this.length);
  }
  take(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
}

/** The first `count` bytes of a script as they go out on one stream: in each frame that has begun, its number is that of the stream (RFC 9113 §4.1). */
export function onStream({ bytes, frameEnds }: Script, count: number, streamId: number): Uint8Array {
  const numbered = bytes.slice(0, count);
  if (streamId === FIRST_STREAM) return numbered;
  for (const start of [0, ...frameEnds]) {
    for (let digit = 0; digit < 4; digit++) {
      const at = start + 5 + digit;
      if (at < count) numbered[at] = (streamId >>> (8 * (3 - digit))) & 0xff;
    }
  }
  return numbered;
}

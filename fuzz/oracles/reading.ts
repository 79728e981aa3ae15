/** How the targets read with our decoders, and write again what they have read. */
import type { ByteWriter } from '@ferrata/bytes';
import {
  RequestDecoder,
  type ResolvedRequestDecoderOptions,
  type ResolvedResponseDecoderOptions,
  ResponseDecoder,
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
  writeRequestHead,
  writeResponseHead,
} from '@ferrata/http1';
import { type DecodedMessage, type Transcript, transcribe, wholeChunk } from './transcript.ts';

/** Options of `readRequests`. */
export interface RequestReading {
  /** Default: the decoder's own. */
  readonly limits?: ResolvedRequestDecoderOptions;
  /** Whether the connection ends after the last byte. Default false. */
  readonly isEnded?: boolean;
  /** Default: everything at once. */
  readonly chunkSizeAt?: (at: number) => number;
}

/** Options of `readResponses`. */
export interface ResponseReading {
  /** The methods of the requests that are answered. */
  readonly methods: readonly string[];
  /** Default: the decoder's own. */
  readonly limits?: ResolvedResponseDecoderOptions;
  readonly isEnded?: boolean;
  readonly chunkSizeAt?: (at: number) => number;
}

const requestDefaults = resolveRequestDecoderOptions();
const responseDefaults = resolveResponseDecoderOptions();
/** For what our own encoder wrote: it joins the chunks of a body, so their line may be longer. */
const generousRequests = resolveRequestDecoderOptions({ maxChunkLineBytes: 4096, maxEmptyLines: 0 });
const generousResponses = resolveResponseDecoderOptions({ maxChunkLineBytes: 4096 });

/** What our decoder makes of requests. */
export function readRequests(data: Uint8Array, reading: RequestReading = {}): Transcript {
  const { limits = requestDefaults, isEnded = false, chunkSizeAt = wholeChunk } = reading;
  const maxKeptBytes = limits.maxHeadBytes + limits.maxTrailerBytes;
  return transcribe(data, { decoder: new RequestDecoder(limits), readHead: readRequestHead, isEnded, maxKeptBytes }, chunkSizeAt);
}

/** What our decoder makes of responses. */
export function readResponses(data: Uint8Array, reading: ResponseReading): Transcript {
  const { methods, limits = responseDefaults, isEnded = false, chunkSizeAt = wholeChunk } = reading;
  const decoder = new ResponseDecoder(limits);
  for (const method of methods) decoder.expect(method);
  const maxKeptBytes = limits.maxHeadBytes + limits.maxTrailerBytes;
  return transcribe(data, { decoder, readHead: readResponseHead, isEnded, maxKeptBytes }, chunkSizeAt);
}

/** Reads, strictly, one request that our encoder wrote. */
export function readWrittenRequest(bytes: Uint8Array): Transcript {
  return readRequests(bytes, { limits: generousRequests });
}

/** Reads, strictly, one response that our encoder wrote. */
export function readWrittenResponse(bytes: Uint8Array, method: string, isEnded: boolean): Transcript {
  return readResponses(bytes, { limits: generousResponses, methods: [method], isEnded });
}

/** Writes a request head as it was read. */
export function writeReadRequest(writer: ByteWriter, { start, rest, version, headers, bodyLength }: DecodedMessage): void {
  writeRequestHead(writer, { method: start, target: rest, version: version === 10 ? 10 : 11, headers }, bodyLength);
}

/** Writes a response head as it was read. */
export function writeReadResponse(
  writer: ByteWriter,
  { start, rest, headers, bodyLength, isTunnel }: DecodedMessage,
  method: string,
): void {
  const status = Number(start);
  const isBodyless = isWithoutBody(status, method);
  writeResponseHead(
    writer,
    { status, reason: rest, version: 11, headers },
    { bodyLength, isBodyless, isTunnel: isTunnel && status !== 101 },
  );
}

/** Whether a Content-Length of this response speaks of a body that does not come (RFC 9110 §8.6). */
export function isWithoutBody(status: number, method: string): boolean {
  return (method === 'HEAD' && status >= 200 && status !== 204) || status === 304;
}

function readRequestHead(decoder: RequestDecoder): DecodedMessage {
  const { head, bodyLength, keepAlive, expectsContinue, upgrade, isConnect, headBytes, targetForm } = decoder;
  return {
    start: head.method,
    rest: head.target,
    version: head.version,
    headers: head.headers,
    traits: `${bodyLength} ${keepAlive} ${expectsContinue} ${upgrade ?? '-'} ${isConnect} ${headBytes} ${targetForm}`,
    bodyLength,
    keepAlive,
    isTunnel: false,
    body: '',
    extensions: [],
    trailers: null,
    isComplete: false,
  };
}

function readResponseHead(decoder: ResponseDecoder): DecodedMessage {
  const { head, bodyLength, keepAlive, isInterim, isTunnel, headBytes } = decoder;
  return {
    start: String(head.status),
    rest: head.reason,
    version: head.version,
    headers: head.headers,
    traits: `${bodyLength} ${keepAlive} ${isInterim} ${isTunnel} ${headBytes}`,
    bodyLength,
    // What an interim response says of its connection is not the last word.
    keepAlive: keepAlive || isInterim,
    isTunnel,
    body: '',
    extensions: [],
    trailers: null,
    isComplete: isInterim || isTunnel,
  };
}

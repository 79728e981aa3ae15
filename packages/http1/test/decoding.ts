/** What a decoder makes of bytes, as plain values that tests can compare. */
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import type { HeaderMap, RequestHead, ResponseHead } from '@ferrata/headers';
import { MessageEvent, RequestDecoder, type RequestDecoderOptions, ResponseDecoder, type ResponseDecoderOptions } from '../src/index.ts';

export type Fields = (readonly [name: string, value: string])[];

/** One message; `isComplete` is false if its end was not seen. */
export interface DecodedRequest {
  readonly method: string;
  readonly target: string;
  readonly version: number;
  readonly headers: Fields;
  readonly bodyLength: number;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
  readonly upgrade: string | null;
  body: string;
  extensions: string;
  trailers: Fields | null;
  isComplete: boolean;
}

export interface DecodedResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: number;
  readonly headers: Fields;
  readonly bodyLength: number;
  readonly keepAlive: boolean;
  readonly isInterim: boolean;
  readonly isTunnel: boolean;
  body: string;
  trailers: Fields | null;
  isComplete: boolean;
}

export interface Decoded<Message> {
  readonly messages: Message[];
  /** Reason of the error; null if there was none. */
  readonly reason: string | null;
  readonly status: number;
  /** Bytes fed and not consumed in the end. */
  readonly buffered: number;
  readonly consumed: number;
}

export interface RequestRun {
  readonly options?: RequestDecoderOptions;
  /** The client ends its side behind the last chunk. */
  readonly ends?: boolean;
}

export interface ResponseRun {
  readonly options?: ResponseDecoderOptions;
  readonly ends?: boolean;
  /** Methods of the requests; default one GET. */
  readonly methods?: readonly string[];
}

export function bytesOf(text: string): Uint8Array {
  return latin1Encode(text);
}

/** Cuts bytes at the given offsets, in any order and with repetitions. */
export function cutAt(bytes: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const sorted = offsets.map((offset) => offset % (bytes.length + 1)).toSorted((a, b) => a - b);
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (const to of [...sorted, bytes.length]) {
    chunks.push(bytes.slice(from, to));
    from = to;
  }
  return chunks;
}

export function everyByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

export function decodeRequests(input: string | readonly Uint8Array[], run: RequestRun = {}): Decoded<DecodedRequest> {
  const decoder = new RequestDecoder(run.options);
  const messages: DecodedRequest[] = [];
  return drive(decoder, input, run.ends === true, messages, () => ({
    ...requestFields(decoder.head),
    bodyLength: decoder.bodyLength,
    keepAlive: decoder.keepAlive,
    expectsContinue: decoder.expectsContinue,
    upgrade: decoder.upgrade,
    body: '',
    extensions: '',
    trailers: null,
    isComplete: false,
  }));
}

export function decodeResponses(input: string | readonly Uint8Array[], run: ResponseRun = {}): Decoded<DecodedResponse> {
  const decoder = new ResponseDecoder(run.options);
  for (const method of run.methods ?? ['GET']) decoder.expect(method);
  const messages: DecodedResponse[] = [];
  return drive(decoder, input, run.ends === true, messages, () => ({
    ...responseFields(decoder.head),
    bodyLength: decoder.bodyLength,
    keepAlive: decoder.keepAlive,
    isInterim: decoder.isInterim,
    isTunnel: decoder.isTunnel,
    body: '',
    trailers: null,
    isComplete: false,
  }));
}

interface Body {
  body: string;
  extensions?: string;
  trailers: Fields | null;
  isComplete: boolean;
}

function drive<Message extends Body>(
  decoder: RequestDecoder | ResponseDecoder,
  input: string | readonly Uint8Array[],
  ends: boolean,
  messages: Message[],
  begin: () => Message,
): Decoded<Message> {
  const chunks = typeof input === 'string' ? [bytesOf(input)] : input;
  let reason: string | null = null;
  let status = 0;
  let lastExtension: string | null = null;
  const drain = (): void => {
    while (decoder.next()) {
      const current = messages.at(-1);
      switch (decoder.event) {
        case MessageEvent.head:
          messages.push(begin());
          lastExtension = null;
          break;
        case MessageEvent.data:
          if (current === undefined || decoder.data.length === 0) throw new TypeError('data without a message, or without bytes');
          current.body += latin1Decode(decoder.data);
          if (current.extensions !== undefined && decoder.chunkExtension !== '' && decoder.chunkExtension !== lastExtension) {
            current.extensions += `[${decoder.chunkExtension}]`;
          }
          lastExtension = decoder.chunkExtension;
          break;
        default:
          if (current === undefined) throw new TypeError('an end without a message');
          current.trailers = decoder.trailers === null ? null : fieldsOf(decoder.trailers);
          current.isComplete = true;
      }
    }
  };
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      drain();
    }
    if (ends) {
      decoder.end();
      drain();
    }
  } catch (error) {
    if (!isWireError(error)) throw error;
    ({ reason, status } = error);
  }
  return { messages, reason, status, buffered: decoder.bufferedBytes, consumed: decoder.consumedBytes };
}

export function fieldsOf(headers: HeaderMap): Fields {
  return [...headers];
}

function requestFields({
  method,
  target,
  version,
  headers,
}: RequestHead): Pick<DecodedRequest, 'method' | 'target' | 'version' | 'headers'> {
  return { method, target, version, headers: fieldsOf(headers) };
}

function responseFields({
  status,
  reason,
  version,
  headers,
}: ResponseHead): Pick<DecodedResponse, 'status' | 'reason' | 'version' | 'headers'> {
  return { status, reason, version, headers: fieldsOf(headers) };
}

/** The decoders of `@ferrata/http1` as the codec laws and the oracle see them. */
import assert from 'node:assert/strict';
import { concatBytes, latin1Decode } from '@ferrata/bytes';
import { type HeaderMap, mayBeTrailer, wellKnownId } from '@ferrata/headers';
import { MessageEvent, RequestDecoder, type RequestDecoderOptions, ResponseDecoder, type ResponseDecoderOptions } from '@ferrata/http1';
import fc from 'fast-check';
import { type DrawnRequest, type DrawnResponse, http1Pipelines, http1Responses } from '../arbitrary/http1-messages.ts';
import { nearMisses } from '../arbitrary/near-misses.ts';
import type { CodecUnderTest, Transcript } from '../codec/codec-under-test.ts';
import { cursorDriver } from '../codec/decoder-driver.ts';
import {
  type NaiveFields,
  type NaiveReading,
  type NaiveRequest,
  type NaiveResponse,
  naiveHttp1,
  naiveHttp1Responses,
} from './naive-http1.ts';

/** What an HTTP/1 decoder found, as a value. */
export type Http1Event =
  | {
      readonly kind: 'head';
      readonly startLine: string;
      readonly fields: NaiveFields;
      readonly bodyLength: number;
      readonly keepAlive: boolean;
    }
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'end'; readonly trailers: NaiveFields };

/** How `http1RequestCodec` and `http1ResponseCodec` put a decoder to the test. */
export interface Http1CodecOptions {
  /**
   * Whether the naive reader must agree. Default true. False for decoders with options that it knows nothing of: a leniency, or a limit below
   * what is drawn.
   */
  readonly hasOracle?: boolean;
  /** Further pieces of near misses: what a leniency accepts, for one. */
  readonly dictionary?: readonly (string | Uint8Array)[];
}

/** A request decoder under the laws, fed with pipelines. */
export function http1RequestCodec(
  options: RequestDecoderOptions = {},
  { hasOracle = true, dictionary = [] }: Http1CodecOptions = {},
): CodecUnderTest<Http1Event, readonly DrawnRequest[]> {
  const valid = http1Pipelines().map((requests) => ({ bytes: concatBytes(requests.map(({ bytes }) => bytes)), meaning: requests }));
  return {
    makeDecoder: () => cursorDriver(new RequestDecoder(options), requestEvent),
    join: joinData,
    mayBeFedAhead: true,
    valid,
    nearlyValid: nearMisses(
      valid.map(({ bytes }) => bytes),
      { dictionary },
    ),
    check: (events, requests) => assert.deepEqual(events, requests.flatMap(requestEvents)),
    ...(hasOracle ? { compareWithOracle: (transcript, bytes) => compareRequests(transcript, naiveHttp1(bytes)) } : {}),
  };
}

/** A response decoder under the laws, fed with the responses to one GET, POST or HEAD. */
export function http1ResponseCodec(
  method: string,
  options: ResponseDecoderOptions = {},
  { hasOracle = true, dictionary = [] }: Http1CodecOptions = {},
): CodecUnderTest<Http1Event, DrawnResponse> {
  const valid = http1Responses()
    .filter(({ requestMethod }) => (requestMethod === 'HEAD') === (method === 'HEAD'))
    .map((response) => ({ bytes: response.bytes, meaning: response }));
  return {
    makeDecoder: () => {
      const decoder = new ResponseDecoder(options);
      decoder.expect(method);
      return cursorDriver(decoder, responseEvent);
    },
    join: joinData,
    mayBeFedAhead: true,
    valid,
    nearlyValid: nearMisses(
      valid.map(({ bytes }) => bytes),
      { dictionary },
    ),
    check: (events, response) => assert.deepEqual(events, responseEvents(response)),
    ...(hasOracle ? { compareWithOracle: (transcript, bytes) => compareResponses(transcript, naiveHttp1Responses(bytes, [method])) } : {}),
  };
}

function requestEvent(decoder: RequestDecoder): Http1Event {
  const { event, bodyLength, keepAlive } = decoder;
  if (event !== MessageEvent.head) return bodyEvent(decoder);
  const { method, target, version, headers } = decoder.head;
  return { kind: 'head', startLine: `${method} ${target} ${minorOf(version)}`, fields: fieldsOf(headers), bodyLength, keepAlive };
}

function responseEvent(decoder: ResponseDecoder): Http1Event {
  const { event, bodyLength, keepAlive } = decoder;
  if (event !== MessageEvent.head) return bodyEvent(decoder);
  const { status, reason, version, headers } = decoder.head;
  return { kind: 'head', startLine: `${status} ${reason} ${minorOf(version)}`, fields: fieldsOf(headers), bodyLength, keepAlive };
}

function bodyEvent(decoder: RequestDecoder | ResponseDecoder): Http1Event {
  if (decoder.event === MessageEvent.data) return { kind: 'data', data: decoder.data.slice() };
  return { kind: 'end', trailers: decoder.trailers === null ? [] : fieldsOf(decoder.trailers) };
}

function joinData(first: Http1Event, second: Http1Event): Http1Event | null {
  return first.kind === 'data' && second.kind === 'data' ? { kind: 'data', data: concatBytes([first.data, second.data]) } : null;
}

function fieldsOf(headers: HeaderMap): NaiveFields {
  return [...headers].map(([name, value]) => [name, value] as const);
}

/** Any 1.x above 1.0 is 1.1 (RFC 9110 §2.5). */
function minorOf(version: number): number {
  return version === 10 ? 0 : 1;
}

const lengthOf = { none: 0, chunked: -1, untilClose: -2 } as const;

function bodyEvents({ body, trailers }: DrawnRequest | DrawnResponse): Http1Event[] {
  const data: Http1Event[] = body.byteLength === 0 ? [] : [{ kind: 'data', data: body.slice() }];
  return [...data, { kind: 'end', trailers: [...trailers] }];
}

function requestEvents(request: DrawnRequest): Http1Event[] {
  const { method, target, minorVersion, fields, framing, body, keepAlive } = request;
  const bodyLength = framing === 'length' ? body.byteLength : lengthOf[framing];
  return [{ kind: 'head', startLine: `${method} ${target} ${minorVersion}`, fields, bodyLength, keepAlive }, ...bodyEvents(request)];
}

function responseEvents(response: DrawnResponse): Http1Event[] {
  const { status, reason, minorVersion, fields, framing, body, keepAlive } = response;
  const bodyLength = framing === 'length' ? body.byteLength : lengthOf[framing];
  return [{ kind: 'head', startLine: `${status} ${reason} ${minorVersion}`, fields, bodyLength, keepAlive }, ...bodyEvents(response)];
}

/** A whole message, as both sides of a comparison can tell it. */
interface PlainMessage {
  readonly startLine: string;
  readonly fields: NaiveFields;
  readonly body: string;
  readonly trailers: NaiveFields;
}

function compareRequests(transcript: Transcript<Http1Event>, reading: NaiveReading<NaiveRequest>): void {
  const theirs = reading.messages.map(({ method, target, minorVersion, fields, body, trailers }) => ({
    startLine: `${method} ${target} ${Math.min(1, minorVersion)}`,
    fields,
    body,
    trailers: allowedTrailers(trailers),
  }));
  compare(transcript, theirs, reading);
}

function compareResponses(transcript: Transcript<Http1Event>, reading: NaiveReading<NaiveResponse>): void {
  const theirs = reading.messages.map(({ status, reason, minorVersion, fields, body, trailers }) => ({
    startLine: `${status} ${reason} ${Math.min(1, minorVersion)}`,
    fields,
    body,
    trailers: allowedTrailers(trailers),
  }));
  compare(transcript, theirs, reading);
}

/** Both must read the same messages, and agree on whether anything was wrong; for which reason is for each to say. */
function compare(transcript: Transcript<Http1Event>, theirs: readonly PlainMessage[], reading: NaiveReading<unknown>): void {
  const ours = wholeMessages(transcript.events);
  assert.deepEqual(ours, theirs, `the oracle: ${reading.verdict} ${reading.why}; the decoder: ${transcript.error}`);
  assert.equal(
    transcript.error === null,
    reading.verdict === 'whole',
    `the oracle: ${reading.verdict} ${reading.why}; the decoder: ${transcript.error}`,
  );
}

/** The complete messages; interim and tunnel heads have no end event, and are complete as they are. */
function wholeMessages(events: readonly Http1Event[]): PlainMessage[] {
  const messages: PlainMessage[] = [];
  let head: (Http1Event & { kind: 'head' }) | null = null;
  let body = '';
  for (const event of events) {
    if (event.kind === 'data') body += latin1Decode(event.data, 0, event.data.byteLength);
    else if (event.kind === 'head') {
      head = event;
      body = '';
      if (!/^1\d\d /.test(event.startLine)) continue;
      messages.push({ startLine: event.startLine, fields: event.fields, body, trailers: [] });
    } else if (head !== null) messages.push({ startLine: head.startLine, fields: head.fields, body, trailers: event.trailers });
  }
  return messages;
}

function allowedTrailers(trailers: NaiveFields): NaiveFields {
  return trailers.filter(([name]) => mayBeTrailer(wellKnownId(name)));
}

/** Used by tests that need bytes of requests, valid or nearly so, without the laws. */
export function http1RequestBytes(): fc.Arbitrary<Uint8Array> {
  const { valid, nearlyValid } = http1RequestCodec();
  const bytes = valid.map((input) => input.bytes);
  return nearlyValid === undefined ? bytes : fc.oneof(bytes, nearlyValid);
}

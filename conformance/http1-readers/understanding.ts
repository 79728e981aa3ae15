/** What we understand of an input: the messages that our decoders read, and whether they refuse the rest. */
import { isWireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import {
  MessageEvent,
  normalizeTarget,
  RequestDecoder,
  type RequestDecoderOptions,
  ResponseDecoder,
  type ResponseDecoderOptions,
} from '@ferrata/http1';
import type { FieldPair } from '../rig/recording-origin.ts';

/** A message as far as it was read; text has one character a byte. */
interface Understood {
  readonly fields: readonly FieldPair[];
  body: string;
  trailers: readonly FieldPair[];
  isComplete: boolean;
}

/** A request; `target` and Host as they are sent on (RFC 9112 §3.2.2). */
export interface UnderstoodRequest extends Understood {
  readonly method: string;
  readonly target: string;
}

/** A final response and how many interim ones came before it. */
export interface UnderstoodResponse extends Understood {
  readonly status: number;
  readonly reason: string;
}

/** An input of requests. `refusal` is the reason of the error that ended it, or null. */
export interface RequestReading {
  readonly requests: readonly UnderstoodRequest[];
  readonly refusal: string | null;
}

/** An input of responses to one request. */
export interface ResponseReading {
  readonly response: UnderstoodResponse | null;
  readonly interimCount: number;
  /** Whether more may come on this connection. */
  readonly keepAlive: boolean;
}

/** Reads requests as a server does whose client ends its side after the last byte. */
export function readRequests(bytes: Uint8Array, options: RequestDecoderOptions = {}): RequestReading {
  const decoder = new RequestDecoder(options);
  const requests: UnderstoodRequest[] = [];
  try {
    decoder.feed(Uint8Array.from(bytes));
    decoder.end();
    while (decoder.next()) {
      if (decoder.event === MessageEvent.head) {
        const { head } = decoder;
        normalizeTarget(head);
        requests.push({
          method: head.method,
          target: head.target,
          fields: pairs(head.headers),
          body: '',
          trailers: [],
          isComplete: false,
        });
      } else {
        readBody(decoder, requests.at(-1) as UnderstoodRequest);
        if (decoder.event === MessageEvent.end && !decoder.keepAlive) break;
      }
    }
    return { requests, refusal: null };
  } catch (error) {
    if (!isWireError(error)) throw error;
    return { requests, refusal: error.reason };
  }
}

/** How a response comes. */
export interface ResponseOptions {
  /** The method of its request. */
  readonly method: string;
  /** Whether the origin closes behind it. */
  readonly isEnded: boolean;
  readonly decoder?: ResponseDecoderOptions;
}

/** Reads the response to one request, and the interim ones before it. */
export function readResponse(bytes: Uint8Array, { method, isEnded, decoder: options = {} }: ResponseOptions): ResponseReading {
  const decoder = new ResponseDecoder(options);
  let response: UnderstoodResponse | null = null;
  let interimCount = 0;
  decoder.expect(method);
  try {
    decoder.feed(Uint8Array.from(bytes));
    if (isEnded) decoder.end();
    while (decoder.next()) {
      if (decoder.event === MessageEvent.head) {
        const { head } = decoder;
        // An upgrade that nobody asked for is an error of the origin, not an answer.
        if (decoder.isTunnel) return { response: null, interimCount, keepAlive: false };
        if (decoder.isInterim) {
          interimCount++;
          continue;
        }
        response = { status: head.status, reason: head.reason, fields: pairs(head.headers), body: '', trailers: [], isComplete: false };
      } else if (response !== null) {
        readBody(decoder, response);
        if (decoder.event === MessageEvent.end) return { response, interimCount, keepAlive: decoder.keepAlive };
      }
    }
  } catch (error) {
    if (!isWireError(error)) throw error;
  }
  return { response, interimCount, keepAlive: false };
}

function readBody(decoder: RequestDecoder | ResponseDecoder, message: Understood): void {
  if (decoder.event === MessageEvent.data) {
    message.body += Buffer.from(decoder.data).toString('latin1');
  } else {
    message.trailers = decoder.trailers === null ? [] : pairs(decoder.trailers);
    message.isComplete = true;
  }
}

/** Fields as text, their names in lower case: some readers write them so. */
export function pairs(headers: HeaderMap): readonly FieldPair[] {
  return [...headers].map(([name, value]) => [name.toLowerCase(), value] as const);
}

/** Answers of which the whole body is at hand. */
import { EMPTY_BYTES, utf8Encode } from '@ferrata/bytes';
import { HeaderMap, KnownHeader, responseHead } from '@ferrata/headers';
import type { ServerExchange } from './exchange.ts';

/** The parts of a whole answer beside its status. */
export interface ResponseInit {
  readonly headers?: HeaderMap | Readonly<Record<string, string | readonly string[]>>;
  /** Text is sent as UTF-8, with `Content-Type: text/plain; charset=utf-8` unless `headers` names another. */
  readonly body?: Uint8Array | string;
}

/** Sends a whole response: head, body and end in one write. Its length goes out as `Content-Length`. */
export function respond(exchange: ServerExchange, status: number, init: ResponseInit = {}): void {
  const { body } = init;
  let headers = headerMap(init.headers);
  if (typeof body === 'string' && !headers.hasKnown(KnownHeader.contentType)) {
    // A map of the caller's may be shared by many answers.
    if (headers === init.headers) headers = headers.clone();
    headers.setKnown(KnownHeader.contentType, 'text/plain; charset=utf-8');
  }
  const bytes = typeof body === 'string' ? utf8Encode(body) : (body ?? EMPTY_BYTES);
  exchange.sendHead(responseHead(status, { headers }), bytes.length);
  if (bytes.length > 0) exchange.sendData(bytes);
  exchange.sendEnd();
}

function headerMap(headers: ResponseInit['headers']): HeaderMap {
  if (headers === undefined) return new HeaderMap();
  return headers instanceof HeaderMap ? headers : HeaderMap.from(headers);
}

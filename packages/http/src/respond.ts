/** Answers of which the whole body is at hand. */
import { EMPTY_BYTES, utf8Encode } from '@ferrata/bytes';
import { HeaderMap, responseHead } from '@ferrata/headers';
import type { ServerExchange } from './exchange.ts';

/** The parts of a whole answer beside its status. */
export interface ResponseInit {
  readonly headers?: HeaderMap | Readonly<Record<string, string | readonly string[]>>;
  /** Text is sent as UTF-8, with `Content-Type: text/plain; charset=utf-8` unless `headers` names another. */
  readonly body?: Uint8Array | string;
}

/** Sends a whole response: head, body and end in one write. Its length goes out as `Content-Length`. */
export function respond(exchange: ServerExchange, status: number, init: ResponseInit = {}): void {
  const headers = init.headers === undefined ? new HeaderMap() : init.headers instanceof HeaderMap ? init.headers : HeaderMap.from(init.headers);
  const { body } = init;
  if (typeof body === 'string' && !headers.has('content-type')) headers.set('Content-Type', 'text/plain; charset=utf-8');
  const bytes = typeof body === 'string' ? utf8Encode(body) : (body ?? EMPTY_BYTES);
  exchange.sendHead(responseHead(status, { headers }), bytes.length);
  if (bytes.length > 0) exchange.sendData(bytes);
  exchange.sendEnd();
}

/** Our server side, `@ferrata/http` on `@ferrata/net`, as a server that acts plans out. */
import { concatBytes } from '@ferrata/bytes';
import { HeaderMap, HttpVersion, responseHead } from '@ferrata/headers';
import { HttpServer, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { serve } from '../rig/serve.ts';
import type { Entry, Ledger } from './ledger.ts';
import type { PlanServer } from './node-server.ts';
import { bodyBytes, isBodyless, lengthOf, pieces } from './plan.ts';

/** Starts our server on loopback. */
export async function startOurServer(ledger: Ledger): Promise<PlanServer> {
  const server = new HttpServer({
    onRequest(exchange) {
      const { method, target, headers } = exchange.request;
      const entry = ledger.take(method, target, [...headers]);
      if (entry !== null) return new PlannedAnswer(exchange, entry);
      respond(exchange, 599);
      return ignoring;
    },
  });
  return await serve(server);
}

const ignoring: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** One plan acted out. */
class PlannedAnswer implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;
  readonly #entry: Entry;
  readonly #received: Uint8Array[] = [];
  /** What is still to be written; null: the response has not begun. */
  #unsent: Uint8Array[] | null = null;

  constructor(exchange: ServerExchange, entry: Entry) {
    this.#exchange = exchange;
    this.#entry = entry;
    const { request, response } = entry.plan;
    if (response.when === 'whole' && request.expectation === 'waits') exchange.sendInterim(responseHead(100));
    for (const { status, fields } of response.interim) exchange.sendInterim(responseHead(status, { headers: HeaderMap.from(fields) }));
    if (response.when === 'whole') return;
    this.#see(null, null);
    this.#answer();
  }

  onRequestData(chunk: Uint8Array): void {
    this.#received.push(chunk);
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    if (this.#entry.plan.response.when !== 'whole') return;
    this.#see(concatBytes(this.#received), trailers);
    this.#answer();
  }

  onResponseDrain(): void {
    this.#write();
  }

  onExchangeClose(): void {}

  #see(body: Uint8Array | null, trailers: HeaderMap | null): void {
    const { method, target, version, headers } = this.#exchange.request;
    this.#entry.see({
      method,
      target,
      minorVersion: version === HttpVersion.http10 ? 0 : 1,
      fields: [...headers],
      body,
      trailers: trailers === null ? [] : [...trailers],
    });
  }

  #answer(): void {
    const { plan: one, token } = this.#entry;
    const { status, reason, fields, framing, body, pieceBytes, isLast } = one.response;
    const headers = HeaderMap.from([['X-Token', token], ...fields]);
    if (isLast || framing === 'untilClose') headers.append('Connection', 'close');
    const length = framing === 'length' ? lengthOf(body) : BodyLength.chunked;
    if (framing === 'length' && isBodyless(one) && status !== 204) headers.append('Content-Length', String(length));
    this.#exchange.sendHead(responseHead(status, { reason, headers }), length);
    this.#unsent = isBodyless(one) ? [] : pieces(bodyBytes(body, token, 'response'), pieceBytes);
    this.#write();
  }

  #write(): void {
    const unsent = this.#unsent;
    if (unsent === null) return;
    for (let piece = unsent.shift(); piece !== undefined; piece = unsent.shift()) if (!this.#exchange.sendData(piece)) return;
    this.#unsent = null;
    const { trailers } = this.#entry.plan.response;
    this.#exchange.sendEnd(trailers.length === 0 ? null : HeaderMap.from(trailers));
  }
}

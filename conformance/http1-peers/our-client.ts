/** Our client side, `@ferrata/upstream` over `@ferrata/http`, as a client that acts plans out. */
import { concatBytes } from '@ferrata/bytes';
import { HeaderMap, requestHead } from '@ferrata/headers';
import { type ClientExchange, type ClientExchangeHandler, type ClientSession, HttpEnvironment } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { type Peer, peer, UpstreamConnector } from '@ferrata/upstream';
import type { PlanClient } from './client.ts';
import type { SeenResponse } from './ledger.ts';
import { bodyBytes, lengthOf, type Plan, type PlannedInterim, pieces, requestLines } from './plan.ts';

/** A client made of an `UpstreamConnector`. */
export class OurClient implements PlanClient {
  readonly #connector = new UpstreamConnector({ environment: new HttpEnvironment() });
  readonly #peer: Peer;
  readonly #connections: ClientSession[] = [];

  constructor(port: number) {
    this.#peer = peer(`127.0.0.1:${port}`);
  }

  /** Our client writes HTTP/1.1 and spells chunks itself. */
  static canSend({ request }: Plan): boolean {
    return request.minorVersion === 1;
  }

  async send(one: Plan, token: string): Promise<SeenResponse> {
    const session = this.#connector.take(this.#peer) ?? (await this.#connector.connect(this.#peer));
    if (!this.#connections.includes(session)) this.#connections.push(session);
    const connection = this.#connections.indexOf(session);
    return await new Promise<SeenResponse>((resolve, reject) => {
      const acting = new PlannedRequest(one, token, connection, resolve, reject);
      acting.begin(session);
    });
  }

  close(): void {
    this.#connector.close();
  }
}

/** One plan acted out, on whatever connection takes requests. */
export class PlannedRequest implements ClientExchangeHandler {
  readonly #plan: Plan;
  readonly #token: string;
  readonly #connection: number;
  readonly #resolve: (seen: SeenResponse) => void;
  readonly #reject: (error: Error) => void;
  readonly #interim: PlannedInterim[] = [];
  readonly #received: Uint8Array[] = [];
  #head: Pick<SeenResponse, 'status' | 'reason' | 'fields'> | null = null;
  #seen: SeenResponse | null = null;
  #exchange: ClientExchange | null = null;
  /** What is still to be written before `#whenWritten` happens. */
  #unsent: Uint8Array[] = [];
  #whenWritten: () => void = () => {};
  #held: Uint8Array[] = [];

  constructor(one: Plan, token: string, connection: number, resolve: (seen: SeenResponse) => void, reject: (error: Error) => void) {
    this.#plan = one;
    this.#token = token;
    this.#connection = connection;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(session: Pick<ClientSession, 'request'>): void {
    const { method, target, framing, body, pieceBytes, expectation } = this.#plan.request;
    const lines = requestLines(this.#plan, this.#token).filter(([name]) => name !== 'Transfer-Encoding');
    const head = requestHead(method, target, { headers: HeaderMap.from(lines) });
    const bodyLength = framing === 'chunked' ? BodyLength.chunked : framing === 'length' ? lengthOf(body) : 0;
    const exchange = session.request(head, { bodyLength, upgrade: null }, this);
    this.#exchange = exchange;
    const all = framing === 'none' ? [] : pieces(bodyBytes(body, this.#token, 'request'), pieceBytes);
    if (this.#plan.response.when === 'early') {
      this.#held = all.splice(Math.ceil(all.length / 2));
      this.#write(all, () => {});
    } else if (expectation === 'waits') {
      this.#held = all;
    } else {
      this.#write(all, () => this.#end());
    }
  }

  onInterim(head: { readonly status: number; readonly headers: HeaderMap }): void {
    this.#interim.push({ status: head.status, fields: [...head.headers] });
    if (head.status === 100 && this.#plan.request.expectation === 'waits') this.#write(this.#held.splice(0), () => this.#end());
  }

  onResponse(head: { readonly status: number; readonly reason: string; readonly headers: HeaderMap }): void {
    this.#head = { status: head.status, reason: head.reason, fields: [...head.headers] };
    if (this.#plan.response.when === 'early') this.#write(this.#held.splice(0), () => this.#end());
  }

  onTunnel(): void {
    this.#reject(new Error('the connection became a tunnel'));
  }

  onResponseData(chunk: Uint8Array): void {
    this.#received.push(chunk);
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    if (this.#head === null) return;
    this.#seen = {
      ...this.#head,
      interim: this.#interim,
      body: concatBytes(this.#received),
      trailers: trailers === null ? [] : [...trailers],
      connection: this.#connection,
    };
  }

  onRequestDrain(): void {
    this.#write(this.#unsent, this.#whenWritten);
  }

  onClientClose(error: Error | null): void {
    // The answer to half a request is an answer; that its connection is given up then is right.
    if (this.#seen !== null) this.#resolve(this.#seen);
    else this.#reject(error ?? new Error('closed without a response'));
  }

  #write(some: Uint8Array[], whenWritten: () => void): void {
    this.#unsent = some;
    this.#whenWritten = whenWritten;
    for (let piece = some.shift(); piece !== undefined; piece = some.shift()) {
      if (this.#exchange?.sendData(piece) === false) return;
    }
    this.#whenWritten = () => {};
    whenWritten();
  }

  #end(): void {
    const { trailers } = this.#plan.request;
    this.#exchange?.sendEnd(trailers.length === 0 ? null : HeaderMap.from(trailers));
  }
}

/** Our proxy as the suite runs it: in this process, and saying what it sends on. */
import type { WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import type { RequestDecoderOptions, ResponseDecoderOptions } from '@ferrata/http1';
import { type AddressLike, type Listener, listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import type { FieldPair } from '../rig/recording-origin.ts';
import { pairs } from './understanding.ts';

/** The head of a request as it goes upstream, but for its framing. */
export interface SentHead {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly FieldPair[];
}

/** Options of our decoders on both sides of a proxy. */
export interface ProxyDecoders {
  readonly request: RequestDecoderOptions;
  readonly response: ResponseDecoderOptions;
}

/** A proxy in front of one peer. */
export class ForwardingProxy {
  /** What was sent upstream, and the fields of what was sent to the client, since the last `take`. */
  #requests: SentHead[] = [];
  #responses: (readonly FieldPair[])[] = [];
  #errors: string[] = [];
  readonly #proxy: HttpProxy<null>;
  readonly #server: HttpServer;
  #listener: Listener | null = null;

  constructor(to: AddressLike, { request, response }: ProxyDecoders) {
    const environment = new HttpEnvironment();
    const target = peer(to, { connection: { decoder: response } });
    this.#proxy = new HttpProxy<null>(
      {
        newContext: () => null,
        upstreamPeer: () => target,
        upstreamRequestFilter: (_session, { method, target: path, headers }) =>
          void this.#requests.push({ method, target: path, fields: pairs(headers) }),
        responseFilter: (_session, { headers }) => void this.#responses.push(pairs(headers)),
        logging: (_session, error) => this.#log(error),
      },
      // What is sent twice would be seen twice.
      { environment, maxRetries: 0 },
    );
    this.#server = new HttpServer(this.#proxy, { environment, connection: { decoder: request } });
  }

  async listen(): Promise<number> {
    this.#listener = await listen('127.0.0.1:0', (stream) => this.#server.accept(stream));
    const { address } = this.#listener;
    if (address.kind !== 'ip') throw new TypeError('not an IP address');
    return address.port;
  }

  /** Takes the record, which starts anew. */
  take(): {
    readonly requests: readonly SentHead[];
    readonly responses: readonly (readonly FieldPair[])[];
    readonly errors: readonly string[];
  } {
    const record = { requests: this.#requests, responses: this.#responses, errors: this.#errors };
    this.#requests = [];
    this.#responses = [];
    this.#errors = [];
    return record;
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    this.#server.close();
    this.#proxy.close();
  }

  #log(error: WireError | null): void {
    if (error !== null) this.#errors.push(error.reason);
  }
}

/** Clients that begin requests and may give them up: `node:http2`, `node:http` and ours. */
import { Agent, request as makeRequest } from 'node:http';
import { constants } from 'node:http2';
import { concatBytes } from '@ferrata/bytes';
import { internalError } from '@ferrata/error';
import { HeaderMap, requestHead } from '@ferrata/headers';
import type { ClientExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { actBytes, PART_BYTES } from './acts.ts';
import { NodeHttp2Client } from './node-client.ts';
import { OurHttp2Client } from './our-client.ts';
import type { Where } from './where.ts';

/** A request under way. */
export interface Begun {
  /** The status, once the head has come. */
  readonly head: Promise<number>;
  /** The body, once it is whole. Rejects when the answer is cut short, or there is none. */
  readonly whole: Promise<Uint8Array>;
  /** Gives it up. */
  reset(): void;
}

/** A client of one server. */
export interface ActClient {
  /** @param sends `part`: some bytes of a body, whose end never comes */
  begin(path: string, sends: 'nothing' | 'part'): Promise<Begun>;
  close(): void | Promise<void>;
}

/** Some bytes of a body. */
const PART = actBytes('part', PART_BYTES);

/** The two promises of a request, which nobody has to wait for. */
function pending(): { readonly head: PromiseWithResolvers<number>; readonly whole: PromiseWithResolvers<Uint8Array> } {
  const [head, whole] = [Promise.withResolvers<number>(), Promise.withResolvers<Uint8Array>()];
  head.promise.catch(() => undefined);
  whole.promise.catch(() => undefined);
  return { head, whole };
}

/** `node:http2`. */
export class NodeHttp2ActClient implements ActClient {
  readonly #client: NodeHttp2Client;

  constructor(where: Where) {
    this.#client = new NodeHttp2Client(where);
  }

  async begin(path: string, sends: 'nothing' | 'part'): Promise<Begun> {
    const method = sends === 'nothing' ? 'GET' : 'POST';
    const stream = this.#client.session().request({ ':method': method, ':path': path }, { endStream: sends === 'nothing' });
    const { head, whole } = pending();
    const chunks: Buffer[] = [];
    let isEnded = false;
    stream.on('response', ({ ':status': status }) => head.resolve(status ?? 0));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      isEnded = !stream.aborted;
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      const error = new Error(`the stream was closed with code ${stream.rstCode}`);
      head.reject(error);
      if (isEnded && stream.rstCode === constants.NGHTTP2_NO_ERROR) whole.resolve(Buffer.concat(chunks));
      else whole.reject(error);
    });
    if (sends === 'part') stream.write(PART);
    return { head: head.promise, whole: whole.promise, reset: () => stream.close(constants.NGHTTP2_CANCEL) };
  }

  close(): void {
    this.#client.close();
  }
}

/** `node:http`. */
export class NodeHttp1ActClient implements ActClient {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #port: number;

  constructor(where: Where) {
    this.#port = 'port' in where ? where.port : 0;
  }

  async begin(path: string, sends: 'nothing' | 'part'): Promise<Begun> {
    const request = makeRequest({
      agent: this.#agent,
      host: '127.0.0.1',
      port: this.#port,
      path,
      method: sends === 'nothing' ? 'GET' : 'POST',
    });
    const { head, whole } = pending();
    request.on('response', (response) => {
      head.resolve(response.statusCode ?? 0);
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', whole.reject);
      response.on('end', () =>
        response.complete ? whole.resolve(Buffer.concat(chunks)) : whole.reject(new Error('the response was cut')),
      );
    });
    request.on('error', (error) => {
      head.reject(error);
      whole.reject(error);
    });
    if (sends === 'part') request.write(PART);
    else request.end();
    // An end in order could be a client that has said all it had to say, and still listens.
    const reset = (): void => {
      request.socket?.resetAndDestroy();
      request.destroy();
    };
    return { head: head.promise, whole: whole.promise, reset };
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Ours. */
export class OurActClient implements ActClient {
  readonly #client: OurHttp2Client;

  constructor(where: Where) {
    this.#client = new OurHttp2Client(where);
  }

  async begin(path: string, sends: 'nothing' | 'part'): Promise<Begun> {
    const session = await this.#client.session();
    const { head, whole } = pending();
    const chunks: Uint8Array[] = [];
    let isEnded = false;
    const handler: ClientExchangeHandler = {
      onInterim() {},
      onResponse: ({ status }) => head.resolve(status),
      onTunnel: () => head.reject(new Error('a tunnel')),
      onResponseData: (chunk) => void chunks.push(chunk),
      onResponseEnd() {
        isEnded = true;
      },
      onRequestDrain() {},
      onClientClose(error) {
        const problem = error ?? new Error('closed without an answer');
        head.reject(problem);
        if (isEnded) whole.resolve(concatBytes(chunks));
        else whole.reject(problem);
      },
    };
    const request = requestHead(sends === 'nothing' ? 'GET' : 'POST', path, { headers: HeaderMap.from([['Host', 'acts.example']]) });
    const exchange = session.request(request, { bodyLength: sends === 'nothing' ? 0 : BodyLength.chunked, upgrade: null }, handler);
    if (sends === 'part') exchange.sendData(PART.slice());
    else exchange.sendEnd(null);
    return { head: head.promise, whole: whole.promise, reset: () => exchange.cancel(internalError('GIVEN_UP', 'as the suite has it')) };
  }

  close(): void {
    this.#client.close();
  }
}

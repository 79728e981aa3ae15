/** `node:http` as a client that acts plans out, on one connection for as long as that lasts. */
import { Agent, type ClientRequest, type IncomingMessage, METHODS, request as makeRequest } from 'node:http';
import type { PlanClient } from './client.ts';
import type { SeenResponse } from './ledger.ts';
import { bodyBytes, type Plan, type PlannedInterim, pairs, pieces, requestLines } from './plan.ts';

/** Enough for every plan; 16 KiB by default. */
const MAX_HEADER_BYTES = 131_072;

/** Methods whose requests Node leaves without framing if they have no body; all others it sends chunked then. */
const UNFRAMED_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']);

/** The methods that `node:http` knows; its server refuses all others. */
export const NODE_METHODS: ReadonlySet<string> = new Set(METHODS);

/** A client made of `node:http`. */
export class NodeClient implements PlanClient {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number) {
    this.#port = port;
  }

  /** Node's client speaks HTTP/1.1 only, spells chunks itself, and writes methods in capitals. */
  static canSend({ request: { method, minorVersion, framing } }: Plan): boolean {
    return minorVersion === 1 && method === method.toUpperCase() && (framing !== 'none' || UNFRAMED_METHODS.has(method));
  }

  async send(one: Plan, token: string): Promise<SeenResponse> {
    const request = makeRequest({
      agent: this.#agent,
      host: '127.0.0.1',
      port: this.#port,
      method: one.request.method,
      path: one.request.target,
      headers: requestLines(one, token).flat(),
      setHost: false,
      maxHeaderSize: MAX_HEADER_BYTES,
    });
    const interim: PlannedInterim[] = [];
    request.on('information', ({ statusCode, rawHeaders }) => interim.push({ status: statusCode, fields: pairs(rawHeaders) }));
    const responded = responseOf(request);
    writeBody(request, one, token, responded);
    const response = await responded;
    const connection = response.socket.localPort ?? 0;
    const body = await readAll(response);
    return {
      interim,
      status: response.statusCode ?? 0,
      reason: response.statusMessage ?? '',
      fields: pairs(response.rawHeaders),
      body,
      trailers: pairs(response.rawTrailers),
      connection,
    };
  }

  close(): void {
    this.#agent.destroy();
  }
}

function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', reject);
    request.on('upgrade', () => reject(new Error('the connection was switched to another protocol')));
  });
}

function writeBody(request: ClientRequest, one: Plan, token: string, responded: Promise<unknown>): void {
  const { body, pieceBytes, trailers, expectation } = one.request;
  const all = pieces(bodyBytes(body, token, 'request'), pieceBytes);
  const end = (): void => {
    if (trailers.length > 0) request.addTrailers(trailers.map(([name, value]): [string, string] => [name, value]));
    request.end();
  };
  const write = (some: readonly Uint8Array[]): void => some.forEach((piece) => void request.write(piece));
  if (one.response.when === 'refused') {
    request.flushHeaders();
    void responded.finally(() => request.destroy()).catch(() => undefined);
  } else if (expectation === 'waits') {
    request.on('continue', () => {
      write(all);
      end();
    });
    request.flushHeaders();
  } else if (one.response.when === 'early') {
    const half = Math.ceil(all.length / 2);
    write(all.slice(0, half));
    void responded.then(
      () => {
        write(all.slice(half));
        end();
      },
      () => undefined,
    );
  } else {
    write(all);
    end();
  }
}

async function readAll(response: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

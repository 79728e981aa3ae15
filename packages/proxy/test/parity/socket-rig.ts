/** A proxy on real sockets, between clients and origins that are Node's: what they understand of each other is nothing of ours. */
import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, type RequestOptions, request as requestHttp1 } from 'node:http';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  type IncomingHttpHeaders as Http2Headers,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';
import { type AddressInfo, connect as connectSocket, type Server, type Socket } from 'node:net';
import type { WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer, type HttpServerOptions } from '@ferrata/http';
import { listen, type TlsServerOptions } from '@ferrata/net';
import { HttpProxy, type HttpProxyOptions, type ProxyHooks, type ProxySession } from '@ferrata/proxy';
import { formatAddress, type StreamInfo } from '@ferrata/stream';
import type { Peer } from '@ferrata/upstream';

export interface ProxyAt {
  /** Where requests go. */
  readonly to: Peer | ((session: ProxySession) => Peer);
  /** Default: a port of 127.0.0.1. */
  readonly at?: string;
  readonly tls?: TlsServerOptions;
  readonly hooks?: Partial<ProxyHooks<null>>;
  readonly proxy?: Omit<HttpProxyOptions, 'environment'>;
  readonly server?: HttpServerOptions;
}

/** What hooks could see of one request. */
export interface Seen {
  readonly error: WireError | null;
  readonly attempt: number;
  /** The four addresses: of the listener, of the client, of the origin, and of ours towards it. */
  readonly listener: string;
  readonly client: string;
  readonly origin: string;
  readonly own: string;
}

export interface RunningProxy extends AsyncDisposable {
  readonly port: number;
  readonly seen: Seen[];
}

export async function runProxy(options: ProxyAt): Promise<RunningProxy> {
  const environment = new HttpEnvironment();
  const seen: Seen[] = [];
  const { to, hooks = {} } = options;
  const proxy = new HttpProxy<null>(
    {
      newContext: () => null,
      upstreamPeer: (session) => (typeof to === 'function' ? to(session) : to),
      ...hooks,
      logging: (session, error) => {
        const [listener, client] = addressesOf(session.client);
        const [own, origin] = addressesOf(session.upstream);
        seen.push({ error, attempt: session.attempt, listener, client, origin, own });
      },
    },
    { ...options.proxy, environment },
  );
  const server = new HttpServer(proxy, { ...options.server, environment });
  const address = options.at ?? '127.0.0.1:0';
  const listening = { address, ...(options.tls === undefined ? {} : { tls: options.tls }) };
  const listener = await listen(listening, (stream) => server.accept(stream));
  return {
    port: listener.address.kind === 'ip' ? listener.address.port : 0,
    seen,
    async [Symbol.asyncDispose]() {
      await listener.close();
      server.close();
      proxy.close();
    },
  };
}

/** Its own, and that of the other end. */
function addressesOf(info: StreamInfo | null): [own: string, other: string] {
  return info === null ? ['', ''] : [formatAddress(info.localAddress), formatAddress(info.remoteAddress)];
}

export interface Origin extends AsyncDisposable {
  readonly port: number;
  /** Connections that came so far. */
  readonly connectionCount: number;
}

/** Lets a server of Node listen, until it is disposed of with all that is connected to it. */
export async function runOrigin(server: Server, where?: string): Promise<Origin> {
  const sockets = new Set<Socket>();
  let connectionCount = 0;
  server.on('connection', (socket: Socket) => {
    connectionCount++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    if (where === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(where, resolve);
  });
  return {
    port: where === undefined ? (server.address() as AddressInfo).port : 0,
    get connectionCount() {
      return connectionCount;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A response as a client of Node understood it. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** It ended before it was whole. */
  readonly isCut: boolean;
  /** Its connection had carried another one. */
  readonly isReused: boolean;
}

/** One request by `node:http`. */
export function ask(options: RequestOptions, body?: string | Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = requestHttp1({ host: '127.0.0.1', agent: false, ...options }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', () => {});
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(pieces),
          isCut: !response.complete,
          isReused: request.reusedSocket,
        }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** A response as Node's HTTP/2 understood it. */
export interface Http2Answer {
  readonly status: number;
  readonly headers: Http2Headers;
  readonly body: Buffer;
  /** How the stream ended: 0 for a whole response. */
  readonly code: number;
}

/** A client's connection of `node:http2`. */
export class Http2Client implements AsyncDisposable {
  readonly #session: ClientHttp2Session;

  constructor(url: string, options: SecureClientSessionOptions = {}) {
    this.#session = connectHttp2(url, options);
    this.#session.on('error', () => {});
  }

  ask(headers: OutgoingHttpHeaders, body?: string | Uint8Array): Promise<Http2Answer> {
    return new Promise((resolve) => {
      const stream = this.#session.request(headers, { endStream: body === undefined });
      const pieces: Buffer[] = [];
      let got: Http2Headers = {};
      stream.on('response', (response) => (got = response));
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('error', () => {});
      stream.on('close', () =>
        resolve({ status: Number(got[':status'] ?? 0), headers: got, body: Buffer.concat(pieces), code: stream.rstCode ?? 0 }),
      );
      if (body !== undefined) stream.end(body);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.destroy();
  }
}

/** Writes bytes on a connection of its own, and gives back what comes until `isOver` of it holds, or the end. */
export function exchangeRaw(port: number, bytes: string | Uint8Array, isOver: (text: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectSocket({ port, host: '127.0.0.1' });
    let text = '';
    socket.on('data', (piece) => {
      text += piece.toString('latin1');
      if (isOver(text)) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
    socket.write(bytes);
  });
}

/** The port that stands last in an address, which must be one. */
export function portIn(address: string): number {
  const port = Number(address.slice(address.lastIndexOf(':') + 1));
  assert.ok(port > 0 && port < 65_536, address);
  return port;
}

/** Node's own clients and servers of HTTP/1.1 and HTTP/2, with and without TLS, in one shape each. */
import { createServer, type IncomingMessage, request as requestHttp1, type ServerResponse } from 'node:http';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2,
  createSecureServer as createSecureHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { createServer as createSecure, request as requestHttps } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { ProxyRoute } from '../rig/proxy-process.ts';
import type { Certificates, Stage } from './stage.ts';

/** A version of HTTP. */
export type Version = 'h1' | 'h2';

/** One way from a client to an origin. */
export interface HttpWay {
  readonly client: Version;
  readonly origin: Version;
  /** On both sides. */
  readonly isTls: boolean;
}

/** `h2-h1`, `h2-h1-tls`. */
export function nameOfWay({ client, origin, isTls }: HttpWay): string {
  return `${client}-${origin}${isTls ? '-tls' : ''}`;
}

/** What both compatible shapes have in common. */
export type OriginRequest = IncomingMessage | Http2ServerRequest;
export type OriginResponse = ServerResponse | Http2ServerResponse;

/** Answers a request. */
export type Answerer = (request: OriginRequest, response: OriginResponse) => void;

/** An origin of one version. */
export class HttpOrigin {
  readonly #server: Server;
  readonly #version: Version;
  readonly #tls: Certificates | null;
  readonly #connections = new Set<Socket>();

  private constructor(version: Version, tls: Certificates | null, answer: Answerer) {
    this.#version = version;
    this.#tls = tls;
    const own = tls === null ? {} : { cert: tls.server.chain, key: tls.server.key };
    if (version === 'h1') this.#server = tls === null ? createServer(answer) : createSecure(own, answer);
    else this.#server = tls === null ? createHttp2(answer) : createSecureHttp2(own, answer);
    this.#server.on('session', (session: { on(event: 'error', listener: () => void): void }) => session.on('error', () => undefined));
    this.#server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      socket.on('error', () => undefined).once('close', () => this.#connections.delete(socket));
    });
  }

  static async start(version: Version, tls: Certificates | null, answer: Answerer): Promise<HttpOrigin> {
    const origin = new HttpOrigin(version, tls, answer);
    await new Promise<void>((resolve) => origin.#server.listen(0, '127.0.0.1', resolve));
    return origin;
  }

  /** As the proxy is told of it. */
  get peer(): ProxyRoute['peer'] {
    const { port } = this.#server.address() as AddressInfo;
    return { address: `127.0.0.1:${port}`, protocol: this.#version === 'h1' ? 'http1' : 'http2', ca: this.#tls?.ca ?? null };
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
  }
}

/** Starts an origin for a way, and says how the proxy leads there. */
export async function routeFor(
  stage: Stage,
  way: HttpWay,
  answer: Answerer,
): Promise<{ readonly origin: HttpOrigin; readonly route: ProxyRoute }> {
  const origin = await HttpOrigin.start(way.origin, way.isTls ? stage.certificates : null, answer);
  return { origin, route: { name: nameOfWay(way), front: stage.front(way.isTls), peer: origin.peer } };
}

/** What a client asks for. */
export interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly fields?: Readonly<Record<string, string>>;
}

/** A request under way. */
export interface Asking {
  /** To be ended, also where there is no body. */
  readonly body: Writable;
  /** Once the head has come. @throws when none comes */
  readonly answer: Promise<{ readonly status: number; readonly body: Readable }>;
  /** Ends it at once: a reset of the stream over HTTP/2, the end of the connection before. */
  cancel(): void;
}

/** A client of one version. */
export class HttpClient {
  readonly #version: Version;
  readonly #port: number;
  readonly #ca: string | null;
  #session: ClientHttp2Session | null = null;

  constructor(version: Version, port: number, ca: string | null) {
    this.#version = version;
    this.#port = port;
    this.#ca = ca;
  }

  ask({ method = 'GET', path, fields = {} }: Asked): Asking {
    const asking = this.#version === 'h1' ? this.#askHttp1(method, path, fields) : this.#askHttp2(method, path, fields);
    // Whoever cancels a request may have no interest in its answer.
    asking.answer.catch(() => undefined);
    return asking;
  }

  close(): void {
    this.#session?.destroy();
  }

  #askHttp1(method: string, path: string, headers: OutgoingHttpHeaders): Asking {
    const options = { host: '127.0.0.1', port: this.#port, method, path, headers, agent: false as const };
    const request = this.#ca === null ? requestHttp1(options) : requestHttps({ ...options, ca: this.#ca, servername: 'localhost' });
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: Readable }>();
    request.on('error', reject);
    request.on('response', (response) => {
      response.on('error', () => undefined);
      resolve({ status: response.statusCode ?? 0, body: response });
    });
    return { body: request, answer: promise, cancel: () => void request.destroy() };
  }

  #askHttp2(method: string, path: string, fields: OutgoingHttpHeaders): Asking {
    if (this.#session === null || this.#session.closed || this.#session.destroyed) {
      const scheme = this.#ca === null ? 'http' : 'https';
      this.#session = connectHttp2(`${scheme}://localhost:${this.#port}`, {
        family: 4,
        ...(this.#ca === null ? {} : { ca: this.#ca }),
      } as object);
      this.#session.on('error', () => undefined);
    }
    const stream = this.#session.request({ ':method': method, ':path': path, ...fields }, { endStream: false });
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: Readable }>();
    stream.on('error', reject);
    stream.on('close', () => reject(new Error(`the stream was closed with ${stream.rstCode}`)));
    stream.on('response', (headers) => resolve({ status: Number(headers[':status']), body: stream }));
    // 8: CANCEL.
    return { body: stream, answer: promise, cancel: () => stream.close(8) };
  }
}

/** How a body ended. */
export type BodyEnd = 'whole' | 'cut';

/** Resolves when a body is over. */
export async function endOf(body: Readable): Promise<BodyEnd> {
  return await new Promise((resolve) => {
    body.on('end', () => resolve('whole'));
    body.on('error', () => resolve('cut'));
    body.on('aborted', () => resolve('cut'));
    body.on('close', () => resolve('cut'));
    body.resume();
  });
}

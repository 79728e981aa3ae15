/** Peers of the command: origins of node:http, raw servers, and a raw client. */
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after } from 'node:test';
import { within } from './command.ts';

/** An origin that runs. */
export interface Origin {
  readonly port: number;
  readonly server: HttpServer;
  close(): Promise<void>;
}

/** Starts an origin of node:http on a free port; it ends after the tests. */
export async function httpOrigin(
  onRequest: RequestListener,
  where: { readonly host?: string; readonly path?: string } = {},
): Promise<Origin> {
  const server = createHttpServer({ keepAliveTimeout: 60_000 }, onRequest);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (where.path === undefined) server.listen(0, where.host ?? '127.0.0.1', resolve);
    else server.listen(where.path, resolve);
  });
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  };
  after(close);
  return { port: where.path === undefined ? (server.address() as AddressInfo).port : 0, server, close };
}

/** A raw server on a free port: each connection goes to `onSocket`; all end after the tests. */
export async function rawOrigin(
  onSocket: (socket: Socket, connection: number) => void,
): Promise<{ readonly port: number; readonly sockets: readonly Socket[]; close(): Promise<void> }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    onSocket(socket, sockets.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  after(close);
  return { port: (server.address() as AddressInfo).port, sockets, close };
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Reads a whole request and answers with what it was. */
export function mirror(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { method, url, headers, rawHeaders, httpVersion, trailers } = request;
    const body = Buffer.concat(chunks).toString('latin1');
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ method, url, headers, rawHeaders, httpVersion, trailers, body }));
  });
}

/** What `mirror` answers with. */
export interface Mirrored {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly httpVersion: string;
  readonly trailers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A client that speaks bytes. */
export class RawClient {
  readonly socket: Socket;
  /** All that came, one character a byte. */
  received = '';
  hasEnded = false;
  error: NodeJS.ErrnoException | null = null;
  isClosed = false;
  readonly #wake: (() => void)[] = [];

  constructor(where: number | { readonly path: string } | { readonly host: string; readonly port: number }) {
    this.socket = connect({
      ...(typeof where === 'number' ? { port: where, host: '127.0.0.1' } : where),
      allowHalfOpen: true,
      noDelay: true,
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#tell();
    });
    this.socket.on('end', () => {
      this.hasEnded = true;
      this.#tell();
    });
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.socket.on('close', () => {
      this.isClosed = true;
      this.#tell();
    });
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Waits for this text, or a match. @returns all that came */
  async until(what: string | RegExp): Promise<string> {
    const isThere = (): boolean => (typeof what === 'string' ? this.received.includes(what) : what.test(this.received));
    await this.#wait(
      `${String(what)}; came: ${JSON.stringify(this.received.slice(0, 300))}`,
      () => isThere() || this.hasEnded || this.isClosed,
    );
    if (!isThere())
      throw new Error(`the connection ended before ${String(what)} came; came: ${JSON.stringify(this.received.slice(0, 600))}`);
    return this.received;
  }

  /** Waits until the other side has ended or cut the connection, ends ours. @returns all that came */
  async untilEnd(): Promise<string> {
    await this.#wait('the end of a connection', () => this.hasEnded || this.isClosed);
    this.socket.end();
    return this.received;
  }

  /** Cuts the connection with a reset. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async #wait(what: string, isMet: () => boolean): Promise<void> {
    while (!isMet()) await within(what, new Promise<void>((resolve) => void this.#wake.push(resolve)));
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Connects, sends, and waits for the other side to end the connection. */
export async function exchange(port: number, text: string): Promise<string> {
  const client = new RawClient(port).send(text);
  try {
    return await client.untilEnd();
  } finally {
    client.socket.destroy();
  }
}

/** The status of a response in text form, 0 if there is none. */
export function statusOf(response: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(response)?.[1] ?? 0);
}

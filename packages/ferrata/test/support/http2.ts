/** Peers that speak HTTP/2 without TLS, of node:http2. */
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import { type AddressInfo, connect as createConnection } from 'node:net';
import { after } from 'node:test';
import { within } from './command.ts';

/** An origin that speaks HTTP/2 by prior knowledge. */
export interface H2Origin {
  readonly port: number;
  readonly server: Http2Server;
  /** Connections so far, ended ones too. */
  readonly sessions: readonly ServerHttp2Session[];
  /** Cuts everything. */
  close(): Promise<void>;
}

export type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, session: number) => void;

/** Starts one on a free port, or on a given one; it ends after the tests. */
export async function h2Origin(
  onStream: OnStream,
  options: { readonly port?: number; readonly path?: string; readonly settings?: Settings } = {},
): Promise<H2Origin> {
  const sessions: ServerHttp2Session[] = [];
  const server = createServer({ settings: options.settings ?? {} });
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers, sessions.indexOf(stream.session as ServerHttp2Session));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (options.path === undefined) server.listen(options.port ?? 0, '127.0.0.1', resolve);
    else server.listen(options.path, resolve);
  });
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    for (const session of sessions) session.destroy();
    await closed;
  };
  after(close);
  const { port } = options.path === undefined ? (server.address() as AddressInfo) : { port: 0 };
  return { port, server, sessions, close };
}

/** What a client got for one request. */
export interface H2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders | null;
  readonly body: Buffer;
  /** 0: ended in order; else the code of RST_STREAM. */
  readonly resetCode: number;
  /** The stream or its connection failed. */
  readonly error: Error | null;
}

/** A client of one connection. */
export class H2Client {
  readonly session: ClientHttp2Session;
  readonly goaways: number[] = [];

  constructor(where: number | { readonly path: string }) {
    this.session =
      typeof where === 'number'
        ? connect(`http://127.0.0.1:${where}`)
        : connect('http://localhost', { createConnection: () => createConnection({ path: where.path }) });
    this.session.on('error', () => {});
    this.session.on('goaway', (code: number) => this.goaways.push(code));
    after(() => this.session.destroy());
  }

  /** One request, to its end. */
  async ask(headers: OutgoingHttpHeaders = {}, body: Buffer | string | null = null): Promise<H2Answer> {
    const stream = this.session.request({ ':path': '/', ...headers }, { endStream: body === null });
    if (body !== null) stream.end(body);
    const chunks: Buffer[] = [];
    let got: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | null = null;
    let error: Error | null = null;
    stream.on('response', (fields) => (got = fields));
    stream.on('trailers', (fields: IncomingHttpHeaders) => (trailers = fields));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', (thrown: Error) => {
      error = thrown;
    });
    await within('the end of a stream', new Promise<void>((resolve) => void stream.once('close', resolve)));
    const status = (got as { ':status'?: number })[':status'] ?? 0;
    return { status, headers: got, trailers, body: Buffer.concat(chunks), resetCode: stream.rstCode ?? 0, error };
  }

  close(): void {
    this.session.close();
  }
}

/** Answers with method, path, protocol and body as they came. */
export const h2Mirror: OnStream = (stream, headers) => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(JSON.stringify({ headers, body: Buffer.concat(chunks).toString('latin1') }));
  });
};

export { constants };

/** A proxy that speaks either version of HTTP, in memory, and a client session to it. */
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import {
  type ClientSession,
  type ClientSessionOwner,
  Http1ClientSession,
  Http2ClientSession,
  type HttpApplication,
  HttpEnvironment,
  HttpServer,
  resolveHttp1ClientOptions,
  resolveHttp2ClientOptions,
} from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { ConnectServer, type ConnectServerOptions, connectThrough } from '@ferrata/tunnel';

export type Version = 'http1' | 'http2';
export const VERSIONS: readonly Version[] = ['http1', 'http2'];
export const AUTHORITY = 'example.org:443';

export const bytes = (text: string): Uint8Array => latin1Encode(text);
export const text = (chunk: Uint8Array): string => latin1Decode(chunk, 0, chunk.length);

/** Lets everything happen that is going to happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => void setImmediate(resolve));
}

/** A client session on `stream`. */
export function clientOn(stream: L4Stream, version: Version, environment: HttpEnvironment, told: string[] = []): ClientSession {
  const owner: ClientSessionOwner = {
    onSessionIdle: () => told.push('idle'),
    onSessionClose: (_session, error) => told.push(`close ${error?.reason ?? 'null'}`),
  };
  const session =
    version === 'http1'
      ? new Http1ClientSession(stream, environment, resolveHttp1ClientOptions(), owner)
      : new Http2ClientSession(stream, environment, resolveHttp2ClientOptions(), owner);
  session.start();
  return session;
}

/** A client and a server of HTTP, joined in memory. */
export class HttpRig {
  readonly environment: HttpEnvironment;
  readonly server: HttpServer;
  readonly session: ClientSession;
  readonly told: string[] = [];
  readonly clientEnd: L4Stream;
  readonly serverEnd: L4Stream;

  constructor(version: Version, application: HttpApplication, environment = new HttpEnvironment()) {
    this.environment = environment;
    this.server = new HttpServer(application, { environment });
    const { a, b } = memoryPair();
    this.clientEnd = a;
    this.serverEnd = b;
    this.server.accept(b);
    this.session = clientOn(a, version, environment, this.told);
  }

  open(authority = AUTHORITY, options: Partial<Parameters<typeof connectThrough>[2]> = {}): Promise<L4Stream> {
    return connectThrough(this.session, authority, { environment: this.environment, ...options });
  }

  close(): void {
    this.session.close();
    this.clientEnd.abort();
  }
}

/** A server that makes a tunnel of each CONNECT it is asked for. */
export class ProxyRig extends HttpRig {
  readonly proxy: ConnectServer;
  /** The server's ends, in order. */
  readonly accepted: L4Stream[];

  constructor(version: Version, options: Partial<ConnectServerOptions> = {}, environment = new HttpEnvironment()) {
    const accepted: L4Stream[] = [];
    const proxy = new ConnectServer({ environment, decide: () => true, onTunnel: (stream) => accepted.push(stream), ...options });
    super(version, proxy, environment);
    this.proxy = proxy;
    this.accepted = accepted;
  }

  async pair(): Promise<{ readonly a: L4Stream; readonly b: L4Stream; close(): void }> {
    const a = await this.open();
    const b = this.accepted.at(-1) as L4Stream;
    return { a, b, close: () => this.close() };
  }
}

/** A proxy that says what it is told to, byte by byte, over HTTP/1. */
export function scriptedProxy(environment = new HttpEnvironment()): {
  readonly session: ClientSession;
  readonly proxy: L4Stream;
  readonly heard: RecordingSink;
  readonly environment: HttpEnvironment;
  readonly told: string[];
} {
  const { a, b } = memoryPair();
  const heard = new RecordingSink();
  b.attach(heard);
  const told: string[] = [];
  return { session: clientOn(a, 'http1', environment, told), proxy: b, heard, environment, told };
}

/** The reason with which a promise is rejected. */
export async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { reason?: string }).reason ?? String(error);
  }
  return 'none';
}

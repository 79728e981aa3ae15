/** What the tests of the TLS server have in common: certificates of the test run, a Node client on any stream, and both ends of a handshake. */
import { after } from 'node:test';
import { type ConnectionOptions, connect as nodeConnect, type TLSSocket } from 'node:tls';
import { type CertificateAuthority, createAuthority, type IssuedCertificate, type LeafOptions } from '@ferrata/dev-certificates';
import type { WireError } from '@ferrata/error';
import { type L4Stream, memoryPair, type StreamInfo } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { SocketTlsDigest, TlsInfo } from '../../src/tls/tls-info.ts';
import { acceptTls, TlsServer } from '../../src/tls/tls-server.ts';
import type { TlsServerOptions } from '../../src/tls/tls-server-options.ts';
import { carrierOf, tlsStream } from '../../src/tls/tls-stream.ts';
import { until } from '../pairs.ts';

/** One authority for a test file, and one certificate for `localhost`. */
export interface Pki {
  readonly authority: CertificateAuthority;
  readonly localhost: IssuedCertificate;
  /** As `TlsServerOptions.certificates` wants it. */
  readonly source: { readonly certificate: string; readonly key: string };
}

export async function makePki(options: Partial<LeafOptions> = {}): Promise<Pki> {
  const authority = await createAuthority();
  const localhost = await authority.issue({ names: ['localhost'], ...options });
  return { authority, localhost, source: sourceOf(localhost) };
}

export function sourceOf(issued: IssuedCertificate): { certificate: string; key: string } {
  return { certificate: issued.chain, key: issued.key };
}

/** Node's own TLS client on a stream, which it takes over. Errors are kept, not thrown. */
export function nodeClient(stream: L4Stream, options: ConnectionOptions): { socket: TLSSocket; secure: Promise<L4Stream> } {
  const carrier = carrierOf(stream, []);
  const socket = nodeConnect({ socket: carrier.host, servername: 'localhost', ...options });
  const secure = new Promise<L4Stream>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed before the handshake was complete')));
    socket.once('secureConnect', () => {
      const digest = new SocketTlsDigest(socket, { serverName: 'localhost', isVerified: socket.authorized });
      resolve(tlsStream(socket, carrier, new TlsInfo(stream.info, digest, stream.info.timing)));
    });
  });
  // Who does not wait for it hears of its failure by other ways.
  secure.catch(() => undefined);
  return { socket, secure };
}

/** A handshake between Node's client and a server of ours, on the two ends of a connection. */
export async function securePair(
  ends: { client: L4Stream; server: L4Stream },
  server: TlsServer,
  options: ConnectionOptions,
): Promise<{ client: L4Stream; server: L4Stream; socket: TLSSocket }> {
  const accepted = acceptTls(ends.server, server);
  const { socket, secure } = nodeClient(ends.client, options);
  const [client, secured] = await Promise.all([secure, accepted]);
  return { client, server: secured, socket };
}

/** What a handshake came to, on the server's side. */
export type Outcome = { readonly stream: L4Stream } | { readonly error: WireError; readonly info: StreamInfo };

export function outcomeOf(stream: L4Stream, server: TlsServer): Promise<Outcome> {
  return new Promise((resolve) => {
    server.accept(stream, {
      onSecure: (secure) => resolve({ stream: secure }),
      onHandshakeFailed: (error, info) => resolve({ error, info }),
    });
  });
}

/** The failure of a handshake. */
export async function failureOf(stream: L4Stream, server: TlsServer): Promise<{ error: WireError; info: StreamInfo }> {
  const outcome = await outcomeOf(stream, server);
  if ('stream' in outcome) throw new Error('the handshake was not to succeed');
  return outcome;
}

export function tlsServer(pki: Pki, options: TlsServerOptions = {}): TlsServer {
  return new TlsServer({ certificates: [pki.source], ...options });
}

/** What a test file has for itself. */
export interface Rig {
  readonly pki: Pki;
  /** Options of a client that trusts the authority. */
  readonly trust: { readonly ca: string };
  /** A server, closed after the last test of the file. */
  serverWith(options?: TlsServerOptions): TlsServer;
  /** A handshake in memory. */
  shake(server: TlsServer, options?: ConnectionOptions): ReturnType<typeof securePair>;
  /** A handshake in memory that fails. */
  refused(server: TlsServer, options?: ConnectionOptions): Promise<{ error: WireError; info: StreamInfo; secure: Promise<L4Stream> }>;
  /** What Node's client says first. */
  clientHello(options?: ConnectionOptions): Promise<Buffer>;
}

export async function makeRig(leaf: Partial<LeafOptions> = {}): Promise<Rig> {
  const pki = await makePki(leaf);
  const trust = { ca: pki.authority.certificate };
  const servers: TlsServer[] = [];
  after(async () => {
    for (const server of servers) await server.close();
  });
  return {
    pki,
    trust,
    serverWith(options = {}) {
      const server = tlsServer(pki, options);
      servers.push(server);
      return server;
    },
    async shake(server, options = {}) {
      const { a, b } = memoryPair();
      return securePair({ client: a, server: b }, server, { ...trust, ...options });
    },
    async refused(server, options = {}) {
      const { a, b } = memoryPair();
      const failed = failureOf(b, server);
      const { secure, socket } = nodeClient(a, { ...trust, ...options });
      const { error, info } = await failed;
      socket.destroy();
      return { error, info, secure };
    },
    async clientHello(options = {}) {
      const { a, b } = memoryPair();
      const sink = new RecordingSink();
      b.attach(sink);
      const { socket } = nodeClient(a, { ...trust, ...options });
      await until(() => sink.byteLength > 0);
      socket.destroy();
      return Buffer.concat(sink.chunks());
    },
  };
}

/** Says in one byte whether the session was resumed, and ends when the peer does. */
export function answerInOneByte(secure: L4Stream): void {
  secure.write(Uint8Array.of(secure.info.tls?.isResumed === true ? 1 : 0));
  secure.attach({ onData() {}, onDrain() {}, onEnd: () => secure.end(), onClose() {} });
}

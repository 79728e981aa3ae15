/** What the tests of the TLS client have in common: Node's server as the other end, scripted peers, and both outcomes of a handshake. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectSocket, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { type CertificateAuthority, createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { WireError } from '@ferrata/error';
import type { L4Stream, StreamInfo } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { connect } from '../../src/index.ts';
import { connectTls, type TlsClient, type TlsConnectOptions } from '../../src/tls/tls-client.ts';
import type { TlsConnectSink } from '../../src/tls/tls-client-handshake.ts';
import type { TlsClientOptions } from '../../src/tls/tls-client-options.ts';

/** An authority of this test run, and a certificate of it. */
export interface ClientPki {
  readonly authority: CertificateAuthority;
  readonly leaf: IssuedCertificate;
  /** What a client trusts, and what a server shows. */
  readonly trust: { readonly ca: string };
  readonly shown: { readonly cert: string; readonly key: string };
}

export async function makeClientPki(names: readonly string[] = ['localhost', '127.0.0.1']): Promise<ClientPki> {
  const authority = await createAuthority();
  const leaf = await authority.issue({ names });
  return { authority, leaf, trust: { ca: authority.certificate }, shown: { cert: leaf.chain, key: leaf.key } };
}

/** A server on a port of loopback, and how to be rid of it. */
export interface Peer extends AsyncDisposable {
  readonly port: number;
  /** What went wrong on its side, in order. */
  readonly errors: string[];
}

/** Node's TLS server, by default one that says back what it hears: an implementation beside ours. */
export async function nodeServer(options: TlsOptions, onSecure: (socket: TLSSocket) => void = echo): Promise<Peer> {
  const errors: string[] = [];
  const note = (error: Error & { code?: string }): void => void errors.push(error.code ?? error.message);
  const server = createTlsServer({ allowHalfOpen: true, ...options }, (socket) => {
    socket.on('error', note);
    onSecure(socket);
  });
  server.on('tlsClientError', note);
  return peerOf(server, errors);
}

/** A server of bytes, for whatever no TLS server would say. */
export async function rawServer(onConnection: (socket: Socket) => void): Promise<Peer> {
  const errors: string[] = [];
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', (error: Error & { code?: string }) => void errors.push(error.code ?? error.message));
    onConnection(socket);
  });
  return peerOf(server, errors);
}

/** What a relay does to the bytes of the server behind it. */
export interface RelayFaults {
  readonly onConnection?: (socket: Socket) => void;
  /** Passes on what the server sent. Default: as it is. */
  readonly send?: (socket: Socket, chunk: Buffer) => void;
}

/** A server that passes bytes to and from another one, for whatever may happen to them on the way. */
export function relay(port: number, faults: RelayFaults): Promise<Peer> {
  return rawServer((socket) => {
    const behind = connectSocket({ host: '127.0.0.1', port, allowHalfOpen: true });
    // Either side may be cut off by the test.
    behind.on('error', () => undefined);
    socket.on('close', () => behind.destroy());
    socket.setNoDelay(true).pipe(behind);
    behind.on('data', (chunk: Buffer) => (faults.send === undefined ? socket.write(chunk) : faults.send(socket, chunk)));
    behind.on('end', () => socket.end());
    faults.onConnection?.(socket);
  });
}

async function peerOf(server: Server, errors: string[]): Promise<Peer> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  return { port, errors, [Symbol.asyncDispose]: close };
}

function echo(socket: TLSSocket): void {
  socket.pipe(socket);
}

/** A handshake over a fresh connection. */
export async function secure(peer: Peer, client: TlsClient | TlsClientOptions, options: TlsConnectOptions = {}): Promise<L4Stream> {
  return connectTls(await connect({ host: '127.0.0.1', port: peer.port }), client, options);
}

/** The failure of a handshake over a fresh connection. */
export async function failureOf(peer: Peer, client: TlsClient | TlsClientOptions, options: TlsConnectOptions = {}): Promise<WireError> {
  return failureOn(await connect({ host: '127.0.0.1', port: peer.port }), client, options);
}

/** The failure of a handshake over a stream. */
export async function failureOn(
  stream: L4Stream,
  client: TlsClient | TlsClientOptions,
  options: TlsConnectOptions = {},
): Promise<WireError> {
  try {
    (await connectTls(stream, client, options)).abort();
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
  throw new Error('the handshake was not to succeed');
}

/** Says something to an echoing server, ends, and waits for the orderly close. @returns what came back */
export async function exchange(stream: L4Stream, text = 'ping'): Promise<string> {
  const sink = new RecordingSink();
  stream.attach(sink);
  stream.write(Buffer.from(text));
  stream.end();
  await sink.untilClose();
  const { closeError } = sink;
  if (closeError instanceof Error) throw closeError;
  return sink.text();
}

/** A sink of an outcome that must not come. */
export const noOutcome: TlsConnectSink = {
  onSecure: () => assert.fail('a stream was not to come of it'),
  onHandshakeFailed: (error) => assert.fail(error),
};

/** The digest of a stream that is TLS. */
export function digestOf(stream: L4Stream): NonNullable<StreamInfo['tls']> {
  if (stream.info.tls === null) throw new Error('the stream has no TLS');
  return stream.info.tls;
}

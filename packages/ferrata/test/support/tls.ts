/** Certificates in files, origins that speak TLS, and clients that do. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer, type RequestOptions, request } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { within } from './command.ts';

/** A folder of this file's tests; gone after them. */
export const folder = mkdtempSync(join(tmpdir(), 'ferrata-tls-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Whom all the clients and proxies of these tests trust. */
export const authority = await createAuthority();
export const caFile = join(folder, 'ca.pem');
writeFileSync(caFile, authority.certificate);

/** A certificate in files. */
export interface FiledCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly issued: IssuedCertificate;
  /** The options of the command. */
  readonly args: readonly string[];
}

/** Issues a certificate and files it, in place of one that was filed under the same name. */
export async function file(stem: string, names: readonly string[]): Promise<FiledCertificate> {
  const issued = await authority.issue({ names });
  const certFile = join(folder, `${stem}.pem`);
  const keyFile = join(folder, `${stem}-key.pem`);
  replace(keyFile, issued.key);
  replace(certFile, issued.chain);
  return { certFile, keyFile, issued, args: ['--cert', certFile, '--key', keyFile] };
}

/** As editors and tools do it: the file is never seen half written. */
export function replace(path: string, text: string): void {
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

/** What an origin saw. */
export interface Seen {
  readonly version: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** An origin that speaks both versions over TLS, or HTTP/1.1 alone, and tells what it saw. */
export async function httpsOrigin(
  certificate: IssuedCertificate,
  options: { readonly isHttp1Only?: boolean; readonly path?: string } = {},
): Promise<{ readonly port: number; readonly server: Server }> {
  const { chain: cert, key } = certificate;
  const server =
    options.isHttp1Only === true ? createServer({ cert, key }, tell) : createSecureServer({ allowHTTP1: true, cert, key }, tell);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {});
    sockets.add(socket);
  });
  await new Promise<void>((resolve) =>
    options.path === undefined ? server.listen(0, '127.0.0.1', resolve) : server.listen(options.path, resolve),
  );
  after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: options.path === undefined ? (server.address() as AddressInfo).port : 0, server };
}

/** By what both versions have in common. */
function tell(incoming: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  incoming.resume().on('end', () => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ version: incoming.httpVersion, url: incoming.url, headers: incoming.headers }));
  });
}

/** One GET by node:https, over a connection of its own. */
export async function ask(
  url: string,
  options: RequestOptions = {},
): Promise<{ readonly status: number; readonly body: string; readonly serial: string }> {
  const answered = new Promise<{ status: number; body: string; serial: string }>((resolve, reject) => {
    request(url, { ca: authority.certificate, agent: false, ...options }, (response) => {
      let body = '';
      const serial = (response.socket as TLSSocket).getPeerX509Certificate()?.serialNumber.toLowerCase() ?? '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, serial })).on('error', reject);
    })
      .on('error', reject)
      .end();
  });
  return await within('an answer', answered);
}

/** What the origin saw of one GET. */
export async function seen(url: string, options: RequestOptions = {}): Promise<Seen> {
  return JSON.parse((await ask(url, options)).body) as Seen;
}

/** A TLS connection that trusts the authority; it ends after the tests. */
export async function tlsClient(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca: authority.certificate, ...options });
  after(() => socket.destroy());
  await within(
    'a handshake',
    new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve).once('error', reject);
    }),
  );
  socket.on('error', () => {});
  return socket;
}

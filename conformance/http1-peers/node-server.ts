/** `node:http` as a server that acts plans out. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Entry, Ledger, SeenRequest } from './ledger.ts';
import { bodyBytes, isBodyless, type PlannedInterim, pairs, pieces, responseLines } from './plan.ts';

/** Enough for every plan; 16 KiB by default. */
const MAX_HEADER_BYTES = 131_072;

/** A server under way. */
export interface PlanServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Starts `node:http` on loopback. */
export async function startNodeServer(ledger: Ledger): Promise<PlanServer> {
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    answer(ledger, request, response).catch((error: unknown) => {
      ledger.noteFault(`node:http could not act its part: ${error instanceof Error ? error.message : String(error)}`);
      response.destroy();
    });
  };
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 60_000 }, serve);
  server.maxHeadersCount = 0;
  server.on('checkContinue', serve);
  return await listening(server);
}

/** Waits until a server listens on loopback. */
export async function listening(server: Server): Promise<PlanServer> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(ledger: Ledger, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  const entry = ledger.take(request.method ?? '', request.url ?? '', pairs(request.rawHeaders));
  if (entry === null) {
    response.writeHead(599).end();
    return;
  }
  const { when, interim } = entry.plan.response;
  if (when === 'whole') {
    if (entry.plan.request.expectation === 'waits') response.writeContinue();
    for (const one of interim) await sendInterim(response, one);
    const body = await readAll(request);
    if (body === null) return;
    entry.see(seen(request, body));
    await send(entry, response);
  } else {
    entry.see(seen(request, null));
    for (const one of interim) await sendInterim(response, one);
    await send(entry, response);
    request.resume();
  }
}

/** @returns null if the connection, or the stream, ended before the body did */
export async function readAll(body: Readable): Promise<Uint8Array | null> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of body) chunks.push(chunk as Buffer);
  } catch {
    return null;
  }
  return Buffer.concat(chunks);
}

function seen(request: IncomingMessage, body: Uint8Array | null): SeenRequest {
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    minorVersion: request.httpVersionMinor,
    fields: pairs(request.rawHeaders),
    body,
    trailers: pairs(request.rawTrailers),
  };
}

/** Node writes 102, and 103 with links, itself; other interim responses are given to its socket. */
async function sendInterim(response: ServerResponse, { status, fields }: PlannedInterim): Promise<void> {
  const [first, ...others] = fields;
  if (status === 102 && first === undefined) {
    response.writeProcessing();
  } else if (status === 103 && first?.[0] === 'Link') {
    await new Promise<void>((resolve) => response.writeEarlyHints({ link: first[1], ...Object.fromEntries(others) }, resolve));
  } else {
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    (response.socket as Socket).write(`HTTP/1.1 ${status} Interim\r\n${lines}\r\n`, 'latin1');
  }
}

async function send(entry: Entry, response: ServerResponse): Promise<void> {
  const { plan: one, token } = entry;
  const { status, reason, framing, body, pieceBytes, trailers } = one.response;
  response.sendDate = false;
  if (framing === 'untilClose') {
    response.removeHeader('transfer-encoding');
    response.useChunkedEncodingByDefault = false;
  }
  response.writeHead(status, reason, responseLines(one, token).flat());
  if (!isBodyless(one)) {
    for (const piece of pieces(bodyBytes(body, token, 'response'), pieceBytes)) {
      if (!response.write(piece)) await untilDrained(response);
    }
    if (trailers.length > 0) response.addTrailers(trailers.map(([name, value]): [string, string] => [name, value]));
  }
  response.end();
}

async function untilDrained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

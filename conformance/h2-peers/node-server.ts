/** `node:http2` as a server that acts plans out. */
import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { FieldLine } from '@ferrata/testkit';
import type { Entry, Ledger } from '../http1-peers/ledger.ts';
import { type PlanServer, readAll } from '../http1-peers/node-server.ts';
import { bodyBytes, isBodyless, type Plan, pairs, pieces } from '../http1-peers/plan.ts';
import { lowerCase, pseudoOf, responseFieldLines, withoutPseudo } from './field-lines.ts';
import { fieldObject, isGrouped } from './node-client.ts';

/** Acts on a stream that has come; for what no plan says. */
export type StreamListener = (stream: ServerHttp2Stream, lines: readonly FieldLine[]) => boolean;

/** Node sends no status above 599, and gives trailers as an object. */
export function canNodeAnswer({ response }: Plan): boolean {
  return response.status <= 599 && isGrouped(response.trailers) && response.interim.every(({ fields }) => isGrouped(fields));
}

/** Starts `node:http2` on loopback. @param first looks at each stream first; true: it has taken it */
export async function startNodeHttp2Server(ledger: Ledger, first: StreamListener = () => false): Promise<PlanServer> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer({ maxSessionMemory: 100, maxHeaderListPairs: 1_000, strictSingleValueFields: false });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  server.on('sessionError', () => undefined);
  // The types of Node know nothing of the list behind the flags.
  server.on('stream', (stream: ServerHttp2Stream, _headers: IncomingHttpHeaders, _flags: number, raw?: string[]) => {
    const lines = pairs(raw ?? []);
    stream.on('error', () => undefined);
    if (first(stream, lines)) return;
    answer(ledger, stream, lines).catch((error: unknown) => {
      ledger.noteFault(`node:http2 could not act its part: ${error instanceof Error ? error.message : String(error)}`);
      stream.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const session of sessions) session.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(ledger: Ledger, stream: ServerHttp2Stream, lines: readonly FieldLine[]): Promise<void> {
  const entry = ledger.take(pseudoOf(lines, ':method'), pseudoOf(lines, ':path'), lines);
  if (entry === null) {
    stream.respond({ ':status': 599 }, { endStream: true });
    return;
  }
  const { when, interim } = entry.plan.response;
  if (when === 'whole' && entry.plan.request.expectation === 'waits') stream.additionalHeaders({ ':status': 100 });
  for (const { status, fields } of interim) {
    stream.additionalHeaders(Object.assign(fieldObject(fields), { ':status': status }));
  }
  let trailers: FieldLine[] = [];
  stream.on('trailers', (_headers: unknown, _flags: unknown, raw: string[]) => {
    trailers = pairs(raw);
  });
  if (when === 'whole') {
    const body = await readAll(stream);
    // A stream that was reset can end as one that is whole does.
    if (body === null || stream.aborted) return;
    see(entry, lines, body, trailers);
    send(entry, stream);
  } else {
    see(entry, lines, null, []);
    send(entry, stream);
    stream.resume();
  }
}

function see(entry: Entry, lines: readonly FieldLine[], body: Uint8Array | null, trailers: readonly FieldLine[]): void {
  const [method, target] = [pseudoOf(lines, ':method'), pseudoOf(lines, ':path')];
  entry.see({ method, target, minorVersion: 1, fields: withoutPseudo(lines), body, trailers });
}

function send(entry: Entry, stream: ServerHttp2Stream): void {
  const { plan: one, token } = entry;
  const { body, pieceBytes, trailers, framing } = one.response;
  const hasTrailers = framing === 'chunked' && trailers.length > 0 && !isBodyless(one);
  const lines = lowerCase(responseFieldLines(one, token));
  stream.respond(lines.flat(), { waitForTrailers: hasTrailers, endStream: isBodyless(one) });
  if (isBodyless(one)) return;
  if (hasTrailers) stream.on('wantTrailers', () => stream.sendTrailers(fieldObject(trailers)));
  for (const piece of pieces(bodyBytes(body, token, 'response'), pieceBytes)) stream.write(piece);
  stream.end();
}

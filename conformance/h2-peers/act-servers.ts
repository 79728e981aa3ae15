/** Servers that do what paths say, see `acts.ts`: `node:http2`, `node:http` and ours. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { concatBytes } from '@ferrata/bytes';
import { internalError } from '@ferrata/error';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { HttpServer, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { Ledger } from '../http1-peers/ledger.ts';
import { listening, type PlanServer } from '../http1-peers/node-server.ts';
import { pairs } from '../http1-peers/plan.ts';
import { serve } from '../rig/serve.ts';
import { type Act, actBytes, actOf, Endings, PART_BYTES } from './acts.ts';
import { pseudoOf } from './field-lines.ts';
import { fieldObject } from './node-client.ts';
import { startNodeHttp2Server } from './node-server.ts';

/** A server under way, and what it saw. */
export interface ActServer extends PlanServer {
  readonly endings: Endings;
}

/** `node:http2`. */
export async function startNodeHttp2Acts(): Promise<ActServer> {
  const endings = new Endings();
  const server = await startNodeHttp2Server(new Ledger(), (stream, lines) => {
    const act = actOf(pseudoOf(lines, ':path'));
    if (act === null) return false;
    actOnStream(endings, stream, act);
    return true;
  });
  return { ...server, endings };
}

function actOnStream(endings: Endings, stream: ServerHttp2Stream, { kind, token, byteCount }: Act): void {
  const turn = endings.begin(token);
  stream.on('close', () => endings.end(token, stream.rstCode === constants.NGHTTP2_NO_ERROR && !stream.aborted ? 'whole' : 'cut'));
  const chunks: Buffer[] = [];
  let trailers: ReturnType<typeof pairs> = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('trailers', (_headers: unknown, _flags: unknown, raw: string[]) => {
    trailers = pairs(raw);
  });
  if (kind === 'refuse' && turn === 1) {
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  } else if (kind === 'bytes' || kind === 'refuse') {
    stream.respond({ ':status': 200, 'content-length': byteCount });
    stream.end(actBytes(token, byteCount));
  } else if (kind === 'echo') {
    stream.on('end', () => {
      stream.respond({ ':status': 200 }, { waitForTrailers: trailers.length > 0 });
      stream.on('wantTrailers', () => stream.sendTrailers(fieldObject(trailers)));
      stream.end(Buffer.concat(chunks));
    });
  } else if (kind !== 'hold') {
    stream.respond({ ':status': 200, 'content-length': byteCount });
    stream.write(actBytes(token, byteCount).subarray(0, PART_BYTES), () => {
      if (kind === 'cut') stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
  }
}

/** Enough for every request; 16 KiB by default. */
const MAX_HEADER_BYTES = 131_072;

/** `node:http`, which has no REFUSED_STREAM. */
export async function startNodeHttp1Acts(): Promise<ActServer> {
  const endings = new Endings();
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    const act = actOf(request.url ?? '');
    if (act === null) response.writeHead(599).end();
    else actOnResponse(endings, request, response, act);
  });
  return { ...(await listening(server)), endings };
}

function actOnResponse(endings: Endings, request: IncomingMessage, response: ServerResponse, { kind, token, byteCount }: Act): void {
  endings.begin(token);
  request.on('error', () => undefined);
  response.on('close', () => endings.end(token, response.writableFinished && request.complete ? 'whole' : 'cut'));
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  if (kind === 'bytes' || kind === 'refuse') {
    response.writeHead(200, { 'content-length': byteCount }).end(actBytes(token, byteCount));
  } else if (kind === 'echo') {
    request.on('end', () => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.addTrailers(fieldObject(pairs(request.rawTrailers)));
      response.end(Buffer.concat(chunks));
    });
  } else if (kind !== 'hold') {
    response.writeHead(200, { 'content-length': byteCount });
    response.write(actBytes(token, byteCount).subarray(0, PART_BYTES), () => {
      if (kind === 'cut') response.destroy();
    });
  }
}

/** Ours, which refuses nothing that it could answer. */
export async function startOurActs(): Promise<ActServer> {
  const endings = new Endings();
  const server = new HttpServer({
    onRequest(exchange) {
      const act = actOf(exchange.request.target);
      if (act !== null) return new ActAnswer(exchange, endings, act);
      respond(exchange, 599);
      return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
    },
  });
  return { ...(await serve(server)), endings };
}

/** One act of our server. */
class ActAnswer implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;
  readonly #endings: Endings;
  readonly #act: Act;
  readonly #chunks: Uint8Array[] = [];

  constructor(exchange: ServerExchange, endings: Endings, act: Act) {
    this.#exchange = exchange;
    this.#endings = endings;
    this.#act = act;
    const { kind, token, byteCount } = act;
    endings.begin(token);
    if (kind === 'echo' || kind === 'hold') return;
    exchange.sendHead(responseHead(200), byteCount);
    const body = actBytes(token, byteCount);
    if (kind === 'bytes' || kind === 'refuse') {
      exchange.sendData(body);
      exchange.sendEnd(null);
    } else {
      exchange.sendData(body.slice(0, PART_BYTES));
      // In a turn of its own, so that there is something to cut.
      if (kind === 'cut') setImmediate(() => exchange.abort(internalError('CUT', 'as the path says')));
    }
  }

  onRequestData(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    if (this.#act.kind !== 'echo') return;
    this.#exchange.sendHead(responseHead(200), BodyLength.chunked);
    // A queue that is full takes all of it the same.
    this.#exchange.sendData(concatBytes(this.#chunks));
    this.#exchange.sendEnd(trailers === null ? null : HeaderMap.from([...trailers]));
  }

  onResponseDrain(): void {}

  onExchangeClose(error: Error | null): void {
    this.#endings.end(this.#act.token, error === null ? 'whole' : 'cut');
  }
}

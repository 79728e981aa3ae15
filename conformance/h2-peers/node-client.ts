/** `node:http2` as a client that acts plans out, any number at once, on one connection for as long as that lasts. */
import { type ClientHttp2Session, type ClientHttp2Stream, type ClientSessionOptions, connect, constants } from 'node:http2';
import type { FieldLine } from '@ferrata/testkit';
import type { PlanClient } from '../http1-peers/client.ts';
import type { SeenResponse } from '../http1-peers/ledger.ts';
import { bodyBytes, isBodyless, type Plan, type PlannedInterim, pairs, pieces } from '../http1-peers/plan.ts';
import { lowerCase, pseudoOf, requestFieldLines, withoutPseudo } from './field-lines.ts';
import { connectTo, type Where } from './where.ts';

let sessions = 0;

/** A client made of `node:http2`. */
export class NodeHttp2Client implements PlanClient {
  readonly #where: Where;
  #session: ClientHttp2Session | null = null;
  #number = 0;

  constructor(where: Where) {
    this.#where = where;
  }

  /** Node gives trailers as an object, so lines of one name stand together. */
  static canSend({ request }: Plan): boolean {
    return isGrouped(request.trailers);
  }

  /** The connection, made anew if there is none that takes requests. */
  session(): ClientHttp2Session {
    const current = this.#session;
    if (current !== null && !current.closed && !current.destroyed) return current;
    // Node's types do not know yet that a name may have several lines if one says so.
    const options: ClientSessionOptions & { readonly strictSingleValueFields: boolean } = { strictSingleValueFields: false };
    const session = connect('http://127.0.0.1', { ...options, createConnection: () => connectTo(this.#where) });
    session.on('error', () => undefined);
    this.#session = session;
    this.#number = ++sessions;
    return session;
  }

  async send(one: Plan, token: string): Promise<SeenResponse> {
    const { framing, trailers } = one.request;
    const session = this.session();
    const connection = this.#number;
    const hasTrailers = framing === 'chunked' && trailers.length > 0;
    const lines = requestFieldLines(one, token);
    const stream = session.request(lines.flat(), { endStream: framing === 'none', waitForTrailers: hasTrailers });
    if (hasTrailers) stream.on('wantTrailers', () => stream.sendTrailers(fieldObject(trailers)));
    const answered = answerOf(stream, one);
    writeBody(stream, one, token);
    return { ...(await answered), connection };
  }

  close(): void {
    this.#session?.destroy();
  }
}

/** An object without a prototype, so that `__proto__` is a name like others; lines of one name become a list. */
export function fieldObject(fields: readonly FieldLine[]): Record<string, string | string[]> {
  const object = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of lowerCase(fields)) {
    const before = object[name];
    object[name] = before === undefined ? value : [...(typeof before === 'string' ? [before] : before), value];
  }
  return object;
}

/** Whether lines of one name follow each other, so that an object can say them in their order. */
export function isGrouped(fields: readonly FieldLine[]): boolean {
  const names = fields.map(([name]) => name.toLowerCase());
  return names.every((name, at) => names.indexOf(name) === at || names[at - 1] === name);
}

function answerOf(stream: ClientHttp2Stream, one: Plan): Promise<Omit<SeenResponse, 'connection'>> {
  return new Promise((resolve, reject) => {
    const interim: PlannedInterim[] = [];
    const chunks: Buffer[] = [];
    let head: FieldLine[] | null = null;
    let trailers: FieldLine[] = [];
    let isWhole = false;
    stream.on('headers', (_headers, _flags, raw: string[]) => {
      const lines = pairs(raw);
      interim.push({ status: Number(pseudoOf(lines, ':status')), fields: withoutPseudo(lines) });
    });
    stream.on('response', (_headers, _flags, raw: string[]) => {
      head = pairs(raw);
    });
    stream.on('trailers', (_headers, _flags, raw: string[]) => {
      trailers = pairs(raw);
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      isWhole = !stream.aborted;
      // Of a request that was refused the rest is never sent.
      if (one.response.when === 'refused') stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.on('error', reject);
    stream.on('close', () => {
      if (head === null || !(isWhole || isBodyless(one))) {
        reject(new Error(`the stream was closed with code ${stream.rstCode} before its response was whole`));
        return;
      }
      const status = Number(pseudoOf(head, ':status'));
      resolve({ interim, status, reason: '', fields: withoutPseudo(head), body: Buffer.concat(chunks), trailers });
    });
  });
}

function writeBody(stream: ClientHttp2Stream, one: Plan, token: string): void {
  const { framing, body, pieceBytes, expectation } = one.request;
  if (framing === 'none') return;
  const all = pieces(bodyBytes(body, token, 'request'), pieceBytes);
  const finish = (some: readonly Uint8Array[]): void => {
    // The answer may be whole, and the stream gone, before all of it is sent.
    if (stream.destroyed) return;
    for (const piece of some) stream.write(piece);
    stream.end();
  };
  if (one.response.when === 'refused') return;
  if (expectation === 'waits') {
    stream.once('headers', () => finish(all));
  } else if (one.response.when === 'early') {
    const half = Math.ceil(all.length / 2);
    for (const piece of all.slice(0, half)) stream.write(piece);
    stream.once('response', () => finish(all.slice(half)));
  } else {
    finish(all);
  }
}

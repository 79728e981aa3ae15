/** undici as a client that acts plans out. */

import type { FieldLine } from '@ferrata/testkit';
import { buildConnector, Client, type Dispatcher } from 'undici';
import type { PlanClient } from './client.ts';
import type { SeenResponse } from './ledger.ts';
import { bodyBytes, lengthOf, type Plan, type PlannedInterim, pairs, pieces, requestLines } from './plan.ts';

/** Enough for every plan; 16 KiB by default. */
const MAX_HEADER_BYTES = 131_072;

type UndiciBody = Exclude<Dispatcher.DispatchOptions['body'], undefined>;

/** Options of an `UndiciClient`. */
export interface UndiciClientOptions {
  /** Requests under way at once on the connection. Default 1. */
  readonly pipelining?: number;
}

/** A client made of undici's `Client`: its lowest level, which shows field lines as they came. */
export class UndiciClient implements PlanClient {
  readonly #client: Client;
  #connection = 0;

  constructor(port: number, options: UndiciClientOptions = {}) {
    const connectSocket = buildConnector({ allowH2: false });
    this.#client = new Client(`http://127.0.0.1:${port}`, {
      pipelining: options.pipelining ?? 1,
      maxHeaderSize: MAX_HEADER_BYTES,
      connect: (to, callback) =>
        connectSocket(to, (error, socket) => {
          this.#connection++;
          if (error === null) callback(null, socket);
          else callback(error, null);
        }),
    });
  }

  /**
   * undici writes HTTP/1.1, no trailers and no Expect; it drops its connection at a 100, at a response to half a request; it takes paths that
   * begin with a slash, and absolute ones; and a body of no bytes it never sends chunked.
   */
  static canSend({ request, response }: Plan): boolean {
    const { minorVersion, trailers, expectation, target } = request;
    return (
      minorVersion === 1 &&
      trailers.length === 0 &&
      expectation === 'none' &&
      !(request.framing === 'chunked' && lengthOf(request.body) === 0) &&
      (target.startsWith('/') || /^https?:\/\//.test(target)) &&
      response.interim.every(({ status }) => status !== 100)
    );
  }

  send(one: Plan, token: string): Promise<SeenResponse> {
    const { method, target, connection } = one.request;
    const responded = Promise.withResolvers<void>();
    responded.promise.catch(() => undefined);
    return new Promise((resolve, reject) => {
      const interim: PlannedInterim[] = [];
      let head: Pick<SeenResponse, 'status' | 'reason' | 'fields' | 'connection'> | null = null;
      const chunks: Buffer[] = [];
      this.#client.dispatch(
        {
          method,
          path: target,
          headers: linesFor(one, token).flat(),
          body: bodyFor(one, token, responded.promise),
          reset: connection === 'close',
        },
        {
          onRequestStart() {},
          onResponseStart: (controller, status, _headers, reason) => {
            const fields = rawPairs(controller.rawHeaders);
            if (status < 200) {
              interim.push({ status, fields });
              return;
            }
            head = { status, reason: reason ?? '', fields, connection: this.#connection };
            responded.resolve();
          },
          onResponseData: (_controller, chunk) => void chunks.push(chunk),
          onResponseEnd: (controller) => {
            if (head === null) reject(new Error('undici ended a response that had not begun'));
            else resolve({ ...head, interim, body: Buffer.concat(chunks), trailers: rawPairs(controller.rawTrailers) });
          },
          onResponseError: (_controller, error) => {
            responded.reject(error);
            reject(error);
          },
        },
      );
    });
  }

  async close(): Promise<void> {
    await this.#client.destroy();
  }
}

/** undici writes Transfer-Encoding and Connection itself. */
function linesFor(one: Plan, token: string): FieldLine[] {
  return requestLines(one, token).filter(([name]) => name !== 'Transfer-Encoding' && name !== 'Connection');
}

function bodyFor(one: Plan, token: string, responded: Promise<void>): UndiciBody {
  const { framing, body, pieceBytes } = one.request;
  const bytes = bodyBytes(body, token, 'request');
  if (framing === 'none') return null;
  if (framing === 'length' && pieceBytes === 0 && one.response.when === 'whole') return Buffer.from(bytes);
  // undici's types know of no iterables as bodies, its documentation does.
  return pieceByPiece(pieces(bytes, pieceBytes), one, responded) as unknown as UndiciBody;
}

async function* pieceByPiece(all: readonly Uint8Array[], one: Plan, responded: Promise<void>): AsyncGenerator<Uint8Array> {
  const half = one.response.when === 'early' ? Math.ceil(all.length / 2) : -1;
  for (let at = 0; at < all.length; at++) {
    if (at === half) await responded;
    yield all[at] as Uint8Array;
  }
}

function rawPairs(raw: Dispatcher.DispatchController['rawHeaders']): FieldLine[] {
  if (raw === null || raw === undefined) return [];
  if (!Array.isArray(raw)) throw new TypeError('undici gave no raw field lines');
  return pairs(raw);
}

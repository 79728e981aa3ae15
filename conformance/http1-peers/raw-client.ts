/** A client that writes a plan's bytes itself, for what no other client would send: HTTP/1.0, spellings of chunks, many requests at once. */
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import { type NaiveResponse, naiveHttp1Responses } from '@ferrata/testkit';
import type { PlanClient } from './client.ts';
import type { SeenResponse } from './ledger.ts';
import { bodyBytes, lengthOf, type Plan, pieces, requestLines, TOKEN_FIELD } from './plan.ts';

/** The longest body the naive reader is given. */
const MAX_READ_BYTES = 65_536;

let connections = 0;

/** A plan and its token. */
export interface PlanOnWay {
  readonly plan: Plan;
  readonly token: string;
}

/** A client made of a socket. What comes back is read by the naive reader of the test kit. */
export class RawClient implements PlanClient {
  readonly #port: number;
  #line: Line | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** It waits for nobody, and reads all again at each step. */
  static canSend({ request, response }: Plan): boolean {
    return request.expectation === 'none' && response.when === 'whole' && lengthOf(response.body) <= MAX_READ_BYTES;
  }

  async send(one: Plan, token: string): Promise<SeenResponse> {
    const [only] = await this.sendAll([{ plan: one, token }]);
    if (only === undefined) throw new Error('no response');
    return only;
  }

  /**
   * Sends requests without waiting for the answers.
   * @param cutBytes the requests are written in pieces of so many bytes, a turn of the event loop between them; 0: in one
   * @param answers how many of them are to be answered
   */
  async sendAll(all: readonly PlanOnWay[], cutBytes = 0, answers = all.length): Promise<SeenResponse[]> {
    const line = this.#line?.isUsable === true ? this.#line : new Line(this.#port);
    this.#line = line;
    const bytes = concatBytes(all.map(({ plan: one, token }) => wireOf(one, token)));
    const responses = await line.exchange(
      bytes,
      all.slice(0, answers).map(({ plan: one }) => one.request.method),
      cutBytes,
    );
    const seen: SeenResponse[] = [];
    let interim: NaiveResponse[] = [];
    for (const response of responses) {
      if (response.status < 200) {
        interim.push(response);
        continue;
      }
      seen.push({
        interim: interim.map(({ status, fields }) => ({ status, fields })),
        status: response.status,
        reason: response.reason,
        fields: response.fields,
        body: latin1Encode(response.body),
        trailers: response.trailers,
        connection: line.id,
      });
      interim = [];
    }
    return seen;
  }

  close(): void {
    this.#line?.close();
  }
}

/** A plan's request as bytes. */
export function wireOf(one: Plan, token: string): Uint8Array {
  const { method, target, minorVersion, framing, body, pieceBytes, trailers, wire } = one.request;
  if (wire !== null) return withToken(wire, token);
  const lines = requestLines(one, token).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = latin1Encode(`${method} ${target} HTTP/1.${minorVersion}\r\n${lines.join('')}\r\n`);
  const content = bodyBytes(body, token, 'request');
  if (framing === 'none') return head;
  if (framing === 'length') return concatBytes([head, content]);
  const chunks = pieces(content, pieceBytes).flatMap((piece) => [
    latin1Encode(`${piece.length.toString(16)}\r\n`),
    piece,
    latin1Encode('\r\n'),
  ]);
  const last = `0\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  return concatBytes([head, ...chunks, latin1Encode(last)]);
}

function withToken(wire: Uint8Array, token: string): Uint8Array {
  const end = wire.indexOf(0x0a) + 1;
  return concatBytes([wire.subarray(0, end), latin1Encode(`${TOKEN_FIELD}: ${token}\r\n`), wire.subarray(end)]);
}

/** One connection. */
class Line {
  readonly id = ++connections;
  readonly #socket: Socket;
  #received: Buffer[] = [];
  #hasEnded = false;
  #told: () => void = () => {};

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk) => {
      this.#received.push(chunk);
      this.#told();
    });
    for (const event of ['end', 'close', 'error'] as const) {
      this.#socket.on(event, () => {
        this.#hasEnded = true;
        this.#told();
      });
    }
  }

  get isUsable(): boolean {
    return !this.#hasEnded;
  }

  /** @throws {Error} when what comes is not exactly the responses to requests with these methods */
  async exchange(bytes: Uint8Array, methods: readonly string[], cutBytes: number): Promise<readonly NaiveResponse[]> {
    this.#received = [];
    for (const piece of pieces(bytes, cutBytes)) {
      this.#socket.write(piece);
      if (cutBytes > 0) await nextTurn();
    }
    const read: NaiveResponse[] = [];
    let unread: Uint8Array = new Uint8Array(0);
    for (let left = methods; left.length > 0; ) {
      const reading = naiveHttp1Responses((unread = concatBytes([unread, ...(await this.#nextChunks())])), left);
      if (reading.verdict === 'refused') throw new Error(`unreadable response: ${reading.why}`);
      const finals = reading.messages.filter(({ status }) => status >= 200);
      if (!this.#hasEnded && finals.some((message, at) => left[at] !== 'HEAD' && isCloseDelimited(message))) continue;
      read.push(...reading.messages);
      unread = latin1Encode(reading.rest);
      left = left.slice(finals.length);
      if (this.#hasEnded && left.length > 0) throw new Error(`the connection ended with ${left.length} responses missing`);
    }
    if (unread.length > 0) throw new Error(`${unread.length} bytes beyond the last response`);
    if (read.some(saysClose)) await this.#untilEnded();
    return read;
  }

  /** What has come since the last call; waits for it, unless the connection has ended. */
  async #nextChunks(): Promise<readonly Buffer[]> {
    while (!this.#hasEnded && this.#received.length === 0) await new Promise<void>((resolve) => (this.#told = resolve));
    // What comes in one turn is read at once: the reader begins anew each time with what was incomplete.
    await nextTurn();
    return this.#received.splice(0);
  }

  /** Whoever says that it closes must close. */
  async #untilEnded(): Promise<void> {
    while (!this.#hasEnded) await new Promise<void>((resolve) => (this.#told = resolve));
  }

  close(): void {
    this.#socket.destroy();
    this.#hasEnded = true;
  }
}

function saysClose({ fields }: NaiveResponse): boolean {
  return fields.some(([name, value]) => name.toLowerCase() === 'connection' && value.toLowerCase() === 'close');
}

function isCloseDelimited({ status, fields }: NaiveResponse): boolean {
  const names = new Set(fields.map(([name]) => name.toLowerCase()));
  return status !== 204 && status !== 304 && !names.has('content-length') && !names.has('transfer-encoding');
}

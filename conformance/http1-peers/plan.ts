/**
 * One exchange as it is to be: a request and the response to it, in terms that every client and every server of the suite can act out.
 *
 * A plan says what is meant. How it is spelled on the wire is each peer's own business, so what both ends then saw can be held against the plan,
 * whoever was between them. Each time a plan is acted out it carries a token of its own, in a field both ways and through both bodies: an answer
 * that belongs to somebody else's request cannot pass for the right one.
 */
import { latin1Encode } from '@ferrata/bytes';
import type { FieldLine } from '@ferrata/testkit';

/** The field that carries the token. */
export const TOKEN_FIELD = 'X-Token';

/** The Host of plans that name none. */
export const HOST = 'plan.example:8080';

/** Bytes, or how many of them: they are then made of the token. */
export type PlannedBody = Uint8Array | number;

/** An interim response on its way before the final one. */
export interface PlannedInterim {
  readonly status: number;
  readonly fields: readonly FieldLine[];
}

/** `none`: no such field; else as 100 (Continue) has it: the client waits for it, or sends its body without waiting. */
export type Expectation = 'none' | 'waits' | 'sends';

/** What the client sends. */
export interface RequestPlan {
  readonly method: string;
  readonly target: string;
  /** 0 or 1. */
  readonly minorVersion: number;
  /** All fields but those of host, framing, connection and expectation. */
  readonly fields: readonly FieldLine[];
  readonly host: string;
  readonly framing: 'none' | 'length' | 'chunked';
  readonly body: PlannedBody;
  /** The body is written in pieces of so many bytes; 0: in one. */
  readonly pieceBytes: number;
  readonly trailers: readonly FieldLine[];
  readonly expectation: Expectation;
  readonly connection: 'none' | 'close' | 'keep-alive';
  /** For clients that write bytes: the whole message as it is to be sent, but for the line of the token. */
  readonly wire: Uint8Array | null;
}

/** What the server answers. */
export interface ResponsePlan {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly FieldLine[];
  readonly framing: 'length' | 'chunked' | 'untilClose';
  readonly body: PlannedBody;
  readonly pieceBytes: number;
  readonly trailers: readonly FieldLine[];
  readonly interim: readonly PlannedInterim[];
  /** The server asks for the end of its connection. */
  readonly isLast: boolean;
  /**
   * `whole`: when the request is whole; `early`: at its head, while the client holds the second half of its body back until it has the answer;
   * `refused`: at its head, in place of 100 (Continue), so that the client never sends its body.
   */
  readonly when: 'whole' | 'early' | 'refused';
}

/** A request and its response. */
export interface Plan {
  /** Names the shape; the same in every run. */
  readonly id: string;
  readonly request: RequestPlan;
  readonly response: ResponsePlan;
}

const plainRequest: RequestPlan = {
  method: 'GET',
  target: '/',
  minorVersion: 1,
  fields: [],
  host: HOST,
  framing: 'none',
  body: 0,
  pieceBytes: 0,
  trailers: [],
  expectation: 'none',
  connection: 'none',
  wire: null,
};

const plainResponse: ResponsePlan = {
  status: 200,
  reason: 'OK',
  fields: [],
  framing: 'length',
  body: 20,
  pieceBytes: 0,
  trailers: [],
  interim: [],
  isLast: false,
  when: 'whole',
};

/** A plan that differs from `GET /`, answered with 200 and twenty bytes, in what is given. */
export function plan(id: string, request: Partial<RequestPlan> = {}, response: Partial<ResponsePlan> = {}): Plan {
  return { id, request: { ...plainRequest, ...request }, response: { ...plainResponse, ...response } };
}

/** The bytes of a planned body. @param side tells the two bodies of one exchange apart */
export function bodyBytes(body: PlannedBody, token: string, side: 'request' | 'response'): Uint8Array {
  return typeof body === 'number' ? markedBytes(`${token} ${side} `, body) : body;
}

/** The period of a body made of a token: a prime, so that no power of two shifts it onto itself. */
const PERIOD = 1_021;

/** Bytes that belong to `mark` and to nobody else, in one order only. */
export function markedBytes(mark: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const seed = latin1Encode(mark);
  let state = 0x811c9dc5;
  for (const byte of seed) state = Math.imul(state ^ byte, 0x01000193);
  for (let at = 0; at < Math.min(length, PERIOD); at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    bytes[at] = at < seed.length ? (seed[at] ?? 0) : (state >>> 8) & 0xff;
  }
  for (let at = PERIOD; at < length; at++) bytes[at] = ((bytes[at - PERIOD] ?? 0) + 1) & 0xff;
  return bytes;
}

/** Cuts bytes into pieces; no bytes are no piece. */
export function pieces(bytes: Uint8Array, pieceBytes: number): Uint8Array[] {
  if (bytes.length === 0) return [];
  if (pieceBytes === 0) return [bytes];
  const cut: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) cut.push(bytes.slice(at, at + pieceBytes));
  return cut;
}

/** Whether the response has no body whatever its framing says (RFC 9112 §6.3). */
export function isBodyless({ request, response }: Plan): boolean {
  return request.method === 'HEAD' || response.status === 204 || response.status === 304;
}

/** The field lines of a request as they are to be sent, those of framing and connection included. */
export function requestLines({ request }: Plan, token: string): FieldLine[] {
  const lines: FieldLine[] = [['Host', request.host], [TOKEN_FIELD, token], ...request.fields];
  if (request.expectation !== 'none') lines.push(['Expect', '100-continue']);
  if (request.framing === 'length') lines.push(['Content-Length', String(lengthOf(request.body))]);
  if (request.framing === 'chunked') lines.push(['Transfer-Encoding', 'chunked']);
  if (request.connection !== 'none') lines.push(['Connection', request.connection]);
  return lines;
}

/** The field lines of a response, those of the framing included where it has any. */
export function responseLines(one: Plan, token: string): FieldLine[] {
  const { response } = one;
  const lines: FieldLine[] = [[TOKEN_FIELD, token], ...response.fields];
  if (response.framing === 'length' && response.status !== 204) lines.push(['Content-Length', String(lengthOf(response.body))]);
  if (response.framing === 'chunked' && !isBodyless(one)) lines.push(['Transfer-Encoding', 'chunked']);
  if (response.isLast || response.framing === 'untilClose') lines.push(['Connection', 'close']);
  return lines;
}

/** Bytes of a planned body. */
export function lengthOf(body: PlannedBody): number {
  return typeof body === 'number' ? body : body.length;
}

/** The value of a field, by its name in any case; undefined if there is none. */
export function valueOf(fields: readonly FieldLine[], name: string): string | undefined {
  const wanted = name.toLowerCase();
  return fields.find((line) => line[0].toLowerCase() === wanted)?.[1];
}

/** Pairs out of a flat list of names and values, as Node and undici give them. */
export function pairs(flat: readonly (string | Uint8Array)[]): FieldLine[] {
  const lines: FieldLine[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) lines.push([text(flat[at] ?? ''), text(flat[at + 1] ?? '')]);
  return lines;
}

function text(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
}

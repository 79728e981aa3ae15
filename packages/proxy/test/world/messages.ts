/** The bytes of planned messages. Bodies are positional, so that each byte tells whose it is and where it belongs. */
import { positionalBytes } from '@ferrata/testkit';
import { type AnswerPlan, type ClientPlan, REQUEST_FIELDS, RESPONSE_FIELDS, type RequestPlan } from './plan.ts';

/** What one exchange is known by: in a field of both heads, and as the seed of every body. */
export type Token = number;

/** The token that the field `X-Token` holds; 0: none. */
export function tokenFrom(value: string | null | undefined): Token {
  return Number(/^t(\d+)$/.exec(value ?? '')?.[1] ?? 0);
}

/** A client has no more requests than that. */
const TOKENS_PER_CLIENT = 8;

/** The token of the first request of a client; each further request has the next one. */
export const firstTokenOf = (client: number): Token => 1 + client * TOKENS_PER_CLIENT;

/** Which client a token is of. */
export const clientOf = (token: Token): number => Math.floor((token - 1) / TOKENS_PER_CLIENT);

/** All requests of a plan, by token. */
export function plansByToken(clients: readonly ClientPlan[]): ReadonlyMap<Token, RequestPlan> {
  return new Map(clients.flatMap(({ requests }, i) => requests.map((request, j) => [firstTokenOf(i) + j, request] as const)));
}

/** The seeds of the bodies of an exchange. Far apart, so that no two bodies of a world resemble each other. */
export const requestSeed = (token: Token): number => token * 4;
export const answerSeed = (token: Token, attempt: number): number => token * 4 + 1 + Math.min(attempt, 2);
export const tunnelSeed = (token: Token): number => token * 4 + 100_001;

/** Bytes to send: the head may go before the rest. */
export interface EncodedMessage {
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

/** True if no other request follows on the connection, as far as its client goes. */
export function isLast(plan: RequestPlan): boolean {
  return plan.asksClose || plan.version === '1.0' || upgrades(plan);
}

export function upgrades(plan: RequestPlan): boolean {
  return plan.asksUpgrade && plan.framing === 'none' && plan.version === '1.1';
}

/** A connection of HTTP/1 may become a tunnel. */
export function hasTunnels({ clients }: { readonly clients: readonly ClientPlan[] }): boolean {
  return clients.some(({ requests }) => requests.some(upgrades));
}

export function encodeRequest(plan: RequestPlan, token: Token, host: string): EncodedMessage {
  const path = `/way/${token}?q=%20`;
  const lines = [
    `${plan.method} ${plan.form === 'absolute' ? `http://${host}${path}` : path} HTTP/${plan.version}`,
    `Host: ${plan.form === 'absolute' ? 'elsewhere.example' : host}`,
    `X-Token: t${token}`,
  ];
  for (const index of plan.fields) lines.push(line(REQUEST_FIELDS[index]));
  const framing = plan.framing === 'chunked' && plan.version === '1.0' ? 'length' : plan.framing;
  if (framing === 'length') lines.push(`Content-Length: ${plan.bodyLength}`);
  if (framing === 'chunked') lines.push('Transfer-Encoding: chunked');
  if (plan.asksClose) lines.push('Connection: close');
  if (upgrades(plan)) lines.push('Connection: upgrade', 'Upgrade: echo');
  if (plan.expectsContinue && framing !== 'none' && plan.version === '1.1') lines.push('Expect: 100-continue');
  const body = framing === 'none' ? new Uint8Array() : positionalBytes(plan.bodyLength, requestSeed(token));
  return {
    head: latin1(`${lines.join('\r\n')}\r\n\r\n`),
    body: framing === 'chunked' ? chunked(body, plan.chunkSizes, plan.hasTrailers ? `X-Sum: r${token}\r\n` : '') : body,
  };
}

/** An answer, whole and well formed. */
export function encodeAnswer(plan: AnswerPlan, method: string, token: Token, attempt: number): EncodedMessage {
  const { status } = plan;
  const interims = plan.interims.map((one) => `HTTP/1.1 ${one} Wait\r\nX-Token: t${token}\r\n\r\n`).join('');
  const lines = [`HTTP/${plan.version} ${status} Because`, `X-Token: t${token}`, `X-Attempt: ${attempt}`];
  for (const index of plan.fields) lines.push(line(RESPONSE_FIELDS[index]));
  const framing = framingOf(plan);
  const isBodyless = method === 'HEAD' || status === 204 || status === 304;
  if (status !== 204 && framing === 'length') lines.push(`Content-Length: ${plan.bodyLength}`);
  if (status !== 204 && framing === 'chunked') lines.push('Transfer-Encoding: chunked');
  if (plan.after === 'sayClose' || framing === 'close') lines.push('Connection: close');
  else if (plan.version === '1.0') lines.push('Connection: keep-alive');
  const body = isBodyless ? new Uint8Array() : positionalBytes(plan.bodyLength, answerSeed(token, attempt));
  const trailers = plan.hasTrailers ? `X-Sum: a${token}\r\nX-Other: last\r\n` : '';
  return {
    head: latin1(`${interims}${lines.join('\r\n')}\r\n\r\n`),
    body: framing === 'chunked' && !isBodyless ? chunked(body, plan.chunkSizes, trailers) : body,
  };
}

/** HTTP/1.0 knows no chunks. */
export function framingOf(plan: AnswerPlan): AnswerPlan['framing'] {
  return plan.framing === 'chunked' && plan.version === '1.0' ? 'length' : plan.framing;
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

function line(field: readonly [string, string] | undefined): string {
  return field === undefined ? 'X-None: 0' : `${field[0]}: ${field[1]}`;
}

function chunked(body: Uint8Array, sizes: readonly number[], trailers: string): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < body.length; turn++) {
    // At most some sixty chunks, whatever the plan says: a world is to be short.
    const size = Math.max(sizes[turn % sizes.length] ?? 1, Math.ceil(body.length / 60));
    const piece = body.subarray(at, at + size);
    parts.push(latin1(`${piece.length.toString(16)}${turn % 5 === 4 ? ';part=last' : ''}\r\n`), piece, latin1('\r\n'));
    at += piece.length;
  }
  parts.push(latin1(`0\r\n${trailers}\r\n`));
  return Uint8Array.from(Buffer.concat(parts));
}

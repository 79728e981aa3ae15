/**
 * The plans of this suite: those of `http1-peers` that mean something in HTTP/2, and what only HTTP/2 has. `chunked` in a plan is a body whose
 * length is not announced.
 */
import type { FieldLine } from '@ferrata/testkit';
import { drawnPlans } from '../http1-peers/drawn-plans.ts';
import { lengthOf, type Plan, plan, TOKEN_FIELD } from '../http1-peers/plan.ts';
import { enumeratedPlans } from '../http1-peers/shapes.ts';

/** Fields that belong to a connection of HTTP/1.1: a request or response that has one is malformed (RFC 9113 §8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** A request target with a path, and `*` for OPTIONS (RFC 9113 §8.3.1); others have no place in `:path`. */
const PATH = /^\/|^\*$/;

/** What makes a host plain enough for every peer: name or address, and a port. */
const AUTHORITY = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

/** All plans with fixed ids. */
export function enumeratedHttp2Plans(): readonly Plan[] {
  return [...enumeratedPlans(), ...ownShapes()].flatMap((one) => asHttp2(one) ?? []);
}

/** Plans drawn at random, the same for the same seed. */
export function drawnHttp2Plans(seed: number, count: number): readonly Plan[] {
  return drawnPlans(seed, count).flatMap((one) => asHttp2(one) ?? []);
}

/** The same exchange in HTTP/2; null if it cannot be said there, or says nothing that another does not. */
export function asHttp2(one: Plan): Plan | null {
  const { request, response } = one;
  if (/^(?:connection|http10)\//.test(one.id)) return null;
  if (response.framing === 'untilClose' || !PATH.test(request.target) || !AUTHORITY.test(request.host)) return null;
  if (request.method === 'CONNECT' || request.method === '') return null;
  // A field of that name from the plan would be taken for the token.
  const sides = [request.fields, request.trailers, response.fields, response.trailers, ...response.interim.map(({ fields }) => fields)];
  if (sides.flat().some((line) => !isSayable(line))) return null;
  return {
    id: one.id,
    request: { ...request, minorVersion: 1, connection: 'none', wire: null },
    // There are no reason phrases (RFC 9113 §8.3.2).
    response: { ...response, reason: '', isLast: false },
  };
}

function isSayable([name, value]: FieldLine): boolean {
  const lower = name.toLowerCase();
  return !CONNECTION_FIELDS.has(lower) && lower !== TOKEN_FIELD.toLowerCase() && (lower !== 'te' || value === 'trailers');
}

function ownShapes(): Plan[] {
  const trailers: readonly FieldLine[] = [['X-Sum', 'abc==']];
  const crumbs = (count: number): readonly FieldLine[] =>
    Array.from({ length: count }, (_, at): FieldLine => ['Cookie', `crumb${at}=${at}`]);
  const wide = Array.from({ length: 14 }, (_, at): FieldLine => [`X-Wide-${at}`, `${at}`.repeat(1_000)]);
  const secret: readonly FieldLine[] = [
    ['Authorization', 'Bearer abcdefghijklmnop'],
    ['Cookie', 's=1'],
    ['Authorization-Like', 'x'],
  ];
  return [
    plan('crumbs/2', { fields: crumbs(2) }),
    plan('crumbs/apart', { fields: [...crumbs(1), ['X-Between', '1'], ['Cookie', 'last=1; and=2']] }),
    plan('crumbs/60', { fields: crumbs(60) }),
    plan('block/continued', { fields: wide }, { fields: wide }),
    plan('block/never-indexed', { fields: secret }, { fields: [['Set-Cookie', 'a=1']] }),
    plan('block/repeated', { fields: secret }, { fields: [['Set-Cookie', 'a=1']] }),
    plan('trailers/without-body', { method: 'POST', framing: 'chunked', body: 0, trailers }, { framing: 'chunked', body: 0, trailers }),
    plan('trailers/behind-length', { method: 'POST', framing: 'length', body: 10 }, { framing: 'chunked', body: 10, trailers }),
    plan('priority/incremental', { fields: [['Priority', 'u=1, i']] }, { body: 100_000 }),
    plan('priority/response', { fields: [['Priority', 'u=7']] }, { fields: [['Priority', 'u=0']], body: 100_000 }),
    plan('window/exact', { method: 'POST', framing: 'length', body: 65_535 }, { body: 65_535 }),
    plan('window/one-more', { method: 'POST', framing: 'length', body: 65_536 }, { body: 65_536 }),
    plan(
      'window/large',
      { method: 'POST', framing: 'chunked', body: 2_000_000, pieceBytes: 50_000 },
      { framing: 'chunked', body: 2_000_000 },
    ),
  ];
}

/** Bytes of the bodies, both ways. */
export function bodyBytesOf({ request, response }: Plan): number {
  return lengthOf(request.body) + lengthOf(response.body);
}

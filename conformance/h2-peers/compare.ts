/** Holds what both ends saw of an exchange against its plan, whichever version each of them spoke. */
import type { FieldLine } from '@ferrata/testkit';
import { APART as APART_IN_HTTP1, differ, differBytes } from '../http1-peers/compare.ts';
import type { SeenRequest, SeenResponse } from '../http1-peers/ledger.ts';
import { bodyBytes, isBodyless, lengthOf, type Plan, TOKEN_FIELD, valueOf } from '../http1-peers/plan.ts';

/** Compared by their meaning, or a matter of one connection, or added by each proxy. */
const APART: ReadonlySet<string> = new Set([...APART_IN_HTTP1, 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host']);

/** @returns every difference, empty if there is none */
export function compareRequest({ request }: Plan, token: string, seen: SeenRequest): string[] {
  const problems: string[] = [];
  differ(problems, 'method', seen.method, request.method);
  differ(problems, 'target', seen.target, request.target);
  differ(problems, 'request token', valueOf(seen.fields, TOKEN_FIELD), token);
  differ(problems, 'Host', valueOf(seen.fields, 'host'), request.host);
  differ(problems, 'TE', valueOf(seen.fields, 'te'), valueOf(request.fields, 'te'));
  differ(problems, 'Expect', valueOf(seen.fields, 'expect'), request.expectation === 'none' ? undefined : '100-continue');
  differ(problems, 'request fields', lineText(seen.fields), lineText(request.fields));
  compareLength(problems, 'request', seen.fields, request.framing === 'length', lengthOf(request.body));
  if (seen.body === null) return problems;
  differBytes(problems, 'request body', seen.body, bodyBytes(request.body, token, 'request'));
  differ(problems, 'request trailers', lineText(seen.trailers), request.framing === 'chunked' ? lineText(request.trailers) : '');
  return problems;
}

/** @returns every difference, empty if there is none */
export function compareResponse(one: Plan, token: string, seen: SeenResponse): string[] {
  const { request, response } = one;
  const problems: string[] = [];
  const bodyless = isBodyless(one);
  differ(problems, 'status', seen.status, response.status);
  differ(problems, 'response token', valueOf(seen.fields, TOKEN_FIELD), token);
  differ(problems, 'response fields', lineText(seen.fields), lineText(response.fields));
  const goesOn = request.expectation === 'waits' && response.when === 'whole';
  const interim = [...(goesOn ? [{ status: 100, fields: [] }] : []), ...response.interim];
  differ(problems, 'interim responses', seen.interim.map(({ status }) => status).join(' '), interim.map(({ status }) => status).join(' '));
  interim.forEach(({ fields }, at) =>
    differ(problems, `fields of interim response ${at + 1}`, lineText(seen.interim[at]?.fields ?? []), lineText(fields)),
  );
  if (!bodyless) compareLength(problems, 'response', seen.fields, response.framing === 'length', lengthOf(response.body));
  else if (response.framing === 'length' && response.status !== 204) {
    differ(problems, 'response Content-Length', valueOf(seen.fields, 'content-length'), String(lengthOf(response.body)));
  }
  differBytes(problems, 'response body', seen.body, bodyless ? new Uint8Array(0) : bodyBytes(response.body, token, 'response'));
  differ(
    problems,
    'response trailers',
    lineText(seen.trailers),
    response.framing === 'chunked' && !bodyless ? lineText(response.trailers) : '',
  );
  return problems;
}

/** An announced length arrives as announced; no body may be said with 0 or without a word; nothing else is announced. */
function compareLength(problems: string[], whose: string, fields: readonly FieldLine[], isAnnounced: boolean, length: number): void {
  const lengths = fields.filter(([name]) => name.toLowerCase() === 'content-length').map(([, value]) => value);
  const isRight = length === 0 ? ['', '0'].includes(lengths.join()) : lengths.join() === (isAnnounced ? String(length) : '');
  if (!isRight) problems.push(`${whose} Content-Length ${lengths.join()}, ${isAnnounced ? length : 'none'} planned`);
}

/**
 * Name and value of each line, in order, names in lower case (RFC 9113 §8.2). Cookies come last and as one line: they may be cut into crumbs and
 * put together again (§8.2.3), and peers place them where they like.
 */
function lineText(lines: readonly FieldLine[]): string {
  const told = lines.map(([name, value]): FieldLine => [name.toLowerCase(), value]).filter(([name]) => !APART.has(name));
  const cookies = told.filter(([name]) => name === 'cookie').map(([, value]) => value);
  const texts = told.filter(([name]) => name !== 'cookie').map(([name, value]) => `${name}: ${value}`);
  if (cookies.length > 0) texts.push(`cookie: ${cookies.join('; ')}`);
  return texts.join('\n');
}

/** Holds what both ends saw of an exchange against its plan. */
import type { FieldLine } from '@ferrata/testkit';
import type { SeenRequest, SeenResponse } from './ledger.ts';
import { bodyBytes, isBodyless, lengthOf, type Plan, TOKEN_FIELD, valueOf } from './plan.ts';

/** What stands between the two ends, and how its ends show what they saw. */
export interface Circumstances {
  /** Our proxy stands between them. */
  readonly isProxied: boolean;
  /** The client reads reason phrases as UTF-8, so those beyond ASCII do not come out as they went in. */
  readonly hasUtf8Reasons: boolean;
}

/** Fields whose line belongs to one connection, or that a peer places where it likes: compared by their meaning, or apart. */
export const APART: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'content-length',
  'transfer-encoding',
  'date',
  'expect',
  'te',
  TOKEN_FIELD.toLowerCase(),
]);

/** @returns every difference, empty if there is none */
export function compareRequest(one: Plan, token: string, seen: SeenRequest, { isProxied }: Circumstances): string[] {
  const { request } = one;
  const problems: string[] = [];
  const { target, host } = isProxied ? forwarded(one) : request;
  differ(problems, 'method', seen.method, request.method);
  differ(problems, 'target', seen.target, target);
  differ(problems, 'version', seen.minorVersion, isProxied ? 1 : request.minorVersion);
  differ(problems, 'request token', valueOf(seen.fields, TOKEN_FIELD), token);
  differ(problems, 'Host', valueOf(seen.fields, 'host'), host);
  differ(problems, 'TE', valueOf(seen.fields, 'te'), valueOf(request.fields, 'te'));
  const keepsExpect = request.expectation !== 'none' && !(isProxied && request.minorVersion === 0);
  differ(problems, 'Expect', valueOf(seen.fields, 'expect'), keepsExpect ? '100-continue' : undefined);
  differLines(problems, 'request fields', seen.fields, request.fields);
  compareFraming(problems, 'request', seen.fields, request.framing === 'none' ? 'length' : request.framing, lengthOf(request.body));
  if (seen.body === null) return problems;
  differBytes(problems, 'request body', seen.body, bodyBytes(request.body, token, 'request'));
  differLines(problems, 'request trailers', seen.trailers, request.framing === 'chunked' ? request.trailers : []);
  return problems;
}

/** @returns every difference, empty if there is none */
export function compareResponse(one: Plan, token: string, seen: SeenResponse, circumstances: Circumstances): string[] {
  const { request, response } = one;
  const problems: string[] = [];
  const isHttp10 = request.minorVersion === 0;
  differ(problems, 'status', seen.status, response.status);
  const isReadable = !circumstances.hasUtf8Reasons || /^[ -~]*$/.test(response.reason);
  if (isReadable) differ(problems, 'reason', seen.reason, response.reason);
  differ(problems, 'response token', valueOf(seen.fields, TOKEN_FIELD), token);
  differLines(problems, 'response fields', seen.fields, response.fields);
  const planned = plannedInterim(one);
  differ(problems, 'interim responses', statuses(seen.interim), statuses(planned));
  planned.forEach(({ fields }, at) =>
    differLines(problems, `fields of interim response ${at + 1}`, seen.interim[at]?.fields ?? [], fields),
  );
  const bodyless = isBodyless(one);
  if (!bodyless) {
    const framing =
      isHttp10 && response.framing !== 'length'
        ? 'untilClose'
        : circumstances.isProxied && response.framing === 'untilClose'
          ? 'chunked'
          : null;
    if (framing !== null) compareFraming(problems, 'response', seen.fields, framing, 0);
    else if (response.framing !== 'untilClose')
      compareFraming(problems, 'response', seen.fields, response.framing, lengthOf(response.body));
  } else if (response.framing === 'length' && response.status !== 204) {
    differ(problems, 'response Content-Length', valueOf(seen.fields, 'content-length'), String(lengthOf(response.body)));
  }
  differBytes(problems, 'response body', seen.body, bodyless ? new Uint8Array(0) : bodyBytes(response.body, token, 'response'));
  const hasTrailers = response.framing === 'chunked' && !bodyless && !isHttp10;
  differLines(problems, 'response trailers', seen.trailers, hasTrailers ? response.trailers : []);
  return problems;
}

/** The interim responses a client is to see. */
function plannedInterim({ request, response }: Plan): readonly { readonly status: number; readonly fields: readonly FieldLine[] }[] {
  // HTTP/1.0 knows none (RFC 9110 §15.2).
  if (request.minorVersion === 0) return [];
  const goesOn = request.expectation === 'waits' && response.when === 'whole';
  return goesOn ? [{ status: 100, fields: [] }, ...response.interim] : response.interim;
}

function statuses(all: readonly { readonly status: number }[]): string {
  return all.map(({ status }) => status).join(' ');
}

/** Target and Host behind a proxy: an absolute target has become a path, and its host has become Host (RFC 9112 §3.2.2). */
function forwarded({ request }: Plan): { readonly target: string; readonly host: string } {
  const absolute = /^http:\/\/([^/?]+)(.*)$/.exec(request.target);
  if (absolute === null) return request;
  const [, host = '', path = ''] = absolute;
  return { target: path.startsWith('/') ? path : `/${path}`, host };
}

function compareFraming(problems: string[], whose: string, fields: readonly FieldLine[], framing: string, length: number): void {
  const lengths = fields.filter(([name]) => name.toLowerCase() === 'content-length').map(([, value]) => value);
  const codings = fields.filter(([name]) => name.toLowerCase() === 'transfer-encoding').map(([, value]) => value);
  if (framing === 'length') {
    // No body is said in two ways, and peers differ in which they choose for which method.
    const isRight = lengths.join() === String(length) || (length === 0 && lengths.length === 0);
    if (!isRight || codings.length > 0)
      problems.push(`${whose} framing: Content-Length ${lengths.join()}, Transfer-Encoding ${codings.join()}; ${length} bytes planned`);
  } else if (lengths.length > 0 || codings.join() !== (framing === 'chunked' ? 'chunked' : '')) {
    problems.push(`${whose} framing: Content-Length ${lengths.join()}, Transfer-Encoding ${codings.join()}; ${framing} planned`);
  }
}

/** Name and value of each line, in order and letter for letter, but for those of `APART`. */
function differLines(problems: string[], what: string, seen: readonly FieldLine[], planned: readonly FieldLine[]): void {
  differ(problems, what, lineText(seen), lineText(planned));
}

function lineText(lines: readonly FieldLine[]): string {
  return lines
    .filter(([name]) => !APART.has(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n');
}

/** Notes in which way bodies differ. */
export function differBytes(problems: string[], what: string, seen: Uint8Array, planned: Uint8Array): void {
  if (seen.length !== planned.length) problems.push(`${what}: ${seen.length} bytes, ${planned.length} planned`);
  if (Buffer.compare(seen, planned.subarray(0, seen.length)) === 0) return;
  const at = seen.findIndex((byte, index) => byte !== planned[index]);
  if (at < planned.length) problems.push(`${what}: differs from byte ${at} on`);
}

/** Notes in which way two values differ. */
export function differ(problems: string[], what: string, seen: string | number | undefined, planned: string | number | undefined): void {
  if (seen !== planned) problems.push(`${what}: ${shown(seen)}, ${shown(planned)} planned`);
}

function shown(value: string | number | undefined): string {
  const text = JSON.stringify(value) ?? 'none';
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/**
 * What a proxy must have sent to both sides, worked out in the plainest way from what it was sent: with the naive reader, expressions and lists,
 * and with nothing of the proxy's own.
 *
 * @see RFC 9110 §6.5.1, §7.6 · RFC 9112 §3.2.2, §6, §9.3
 */
import { mayBeTrailer, wellKnownId } from '@ferrata/headers';
import { type NaiveRequest, type NaiveResponse, naiveHttp1, naiveHttp1Responses } from '@ferrata/testkit';
import { invariant } from '../src/target.ts';
import { type Answer, HIT_FIELD, HIT_PREFIX, ORIGIN, type ProxyRun, type UpstreamRecord } from './proxy-run.ts';
import { latin1 } from './transcript.ts';

type Field = readonly [name: string, value: string];
type NaiveRequests = ReturnType<typeof naiveHttp1>;

/** Fields of one connection; `te` and `upgrade` are looked at apart, framing by what was read with it. */
const OWN_FIELDS = new Set(
  'connection keep-alive proxy-connection te transfer-encoding content-length upgrade http2-settings proxy-authenticate proxy-authorization'.split(
    ' ',
  ),
);

/** What of a request decides how its answer is framed. */
type Unfinished = Pick<NaiveRequest, 'method' | 'target' | 'minorVersion'>;

/** Stands for the text of requests that did not reach an origin whole. */
const PARTIAL = 'partial';

/** What was asked, and which answers each request was given by an origin. */
export interface Forwarding {
  readonly asked: NaiveRequests;
  /** The request that was not read whole, as far as its first line tells. */
  readonly unfinished: Unfinished | null;
  /** By the index of the request; requests that are alike share theirs, and so do those whose upload an early answer has ended. */
  readonly answersTo: (index: number) => readonly Answer[];
}

/**
 * Invariant I5: what reached the origins is what the client asked, request by request: the same method, target, fields and body, each once,
 * in order, but for what was sent again after a failure.
 */
export function checkUpstream(client: Uint8Array, run: ProxyRun): Forwarding {
  const asked = naiveHttp1(client);
  const expected = asked.messages.map((request) => tellRequest(forwardedRequest(request)));
  const readings = run.upstreams.map((upstream) => [...readUpstream(upstream)]);
  const answers = new Map<string, Answer[]>();
  // The request that was sent last. Two requests may be alike, and one of them sent again, so there may be several that it can be.
  let last: readonly number[] = [-1];
  /** Requests that did not reach their origin whole: no reader sees them. */
  let partial = 0;
  for (const { connection, answer } of run.attempts) {
    const request = readings[connection]?.shift();
    if (request === undefined) {
      partial++;
      answers.set(PARTIAL, [...(answers.get(PARTIAL) ?? []), answer]);
      continue;
    }
    const text = tellRequest(request);
    const next = expected.flatMap((other, index) => (other === text && last.some((from) => mayFollow(from, index)) ? [index] : []));
    invariant(!text.slice(text.indexOf(' ') + 1).startsWith(HIT_PREFIX), 'what the proxy answers itself goes to no origin', () => text);
    invariant(
      next.length > 0,
      'an origin gets the requests that were accepted',
      () => `${JSON.stringify(text)} after ${last.join(' or ')} of ${JSON.stringify(expected)}`,
    );
    invariant(
      next.some((index) => announcesAlike(request.fields, asked.messages[index]?.fields ?? [])),
      'trailers are announced as they were (RFC 9110 §6.6.2)',
      () => JSON.stringify(request),
    );
    last = next;
    answers.set(text, [...(answers.get(text) ?? []), answer]);
  }
  const partialAnswers = answers.get(PARTIAL) ?? [];
  const answersTo = (index: number): Answer[] => [...(answers.get(expected[index] ?? '') ?? []), ...partialAnswers];
  return { asked, unfinished: unfinishedOf(asked.rest), answersTo };

  /** Sent again, the next one, or a later one if those between need not have reached an origin. */
  function mayFollow(from: number, index: number): boolean {
    if (index === from) return IDEMPOTENT.has(asked.messages[index]?.method ?? '');
    if (index === from + 1) return true;
    const between = asked.messages.slice(from + 1, index);
    return index > from && between.filter((request) => !isOurs(request)).length <= partial;
  }
}

/** The proxy refuses CONNECT, and answers some requests itself. */
function isOurs(request: Unfinished): boolean {
  return request.method === 'CONNECT' || isHit(request);
}

function isHit({ method, target }: Unfinished): boolean {
  return method !== 'CONNECT' && pathOf(method, target.replace(ABSOLUTE, '$2')).startsWith(HIT_PREFIX);
}

/** RFC 9110 §9.2.2: what may be sent again when nobody knows whether it was done. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

const ABSOLUTE = /^https?:\/\/([^/?]*)(.*)$/i;

function unfinishedOf(rest: string): Unfinished | null {
  const line = /^(?:\r\n)*([^ ]+) ([^ ]+) HTTP\/1\.([0-9])\r\n/.exec(rest);
  return line === null ? null : { method: line[1] ?? '', target: line[2] ?? '', minorVersion: Number(line[3]) };
}

/** The requests of one connection, read naively. */
function readUpstream({ bytes, completed, behindUpgrade, isGivenUp }: UpstreamRecord): readonly NaiveRequest[] {
  const { messages, verdict, why, rest } = naiveHttp1(bytes);
  const show = (): string => `${verdict} ${why}: ${JSON.stringify(latin1(bytes))}`;
  invariant(verdict !== 'refused', 'what is sent upstream can be read', show);
  invariant(messages.length === completed, 'each reader finds the same requests', show);
  invariant(verdict === 'whole' || isGivenUp, 'a request that is not whole is given up with its connection', show);
  invariant(verdict !== 'whole' || rest === '', 'nothing follows the last request', show);
  for (const { fields, minorVersion } of messages) {
    const options = valuesOf(fields, 'connection')
      .join(',')
      .toLowerCase()
      .split(/[\t ]*,[\t ]*/);
    invariant(minorVersion === 1, 'a proxy sends its own version (RFC 9110 §6.2)', show);
    invariant(
      valuesOf(fields, 'te').every((value) => value === 'trailers') && valuesOf(fields, 'te').length <= 1,
      'TE is passed on as trailers only (RFC 9110 §10.1.4)',
      show,
    );
    invariant(valuesOf(fields, 'te').length === 0 || options.includes('te'), 'TE is nominated (RFC 9110 §10.1.4)', show);
    invariant(valuesOf(fields, 'upgrade').length === 0 || options.includes('upgrade'), 'Upgrade is nominated (RFC 9110 §7.8)', show);
    invariant(!carriesRequests(fields), 'h2c is never passed on', show);
    invariant(!announcesInVain(fields), 'Trailer only with chunks (RFC 9112 §7.1.2)', show);
  }
  invariant(behindUpgrade.length === 0 || messages.length > 0, 'no tunnel without a request', show);
  return messages;
}

/** Whether Upgrade lists a protocol in which requests would pass every filter by: HTTP by any of its names, or TLS (RFC 9110 §7.8). */
function carriesRequests(fields: readonly Field[]): boolean {
  const protocols = valuesOf(fields, 'upgrade').flatMap((value) => value.split(','));
  return protocols.some((protocol) => /^[\t ]*(?:h2c?(?=[-/\t ]|$)|(?:http|tls)(?=[/\t ]|$))/i.test(protocol));
}

/** Whether trailers are announced where there is no place for them. */
function announcesInVain(fields: readonly Field[]): boolean {
  return valuesOf(fields, 'trailer').length > 0 && !isChunked(fields);
}

function isChunked(fields: readonly Field[]): boolean {
  return valuesOf(fields, 'transfer-encoding').length > 0;
}

/** Trailers are announced alike, if both messages have a place for them. */
function announcesAlike(one: readonly Field[], other: readonly Field[]): boolean {
  return !isChunked(one) || !isChunked(other) || valuesOf(one, 'trailer').join('\n') === valuesOf(other, 'trailer').join('\n');
}

/** What an origin must get of a request. */
function forwardedRequest(request: NaiveRequest): NaiveRequest {
  const { method, target, minorVersion } = request;
  const absolute = method === 'CONNECT' ? null : ABSOLUTE.exec(target);
  const path = absolute === null ? target : pathOf(method, absolute[2] ?? '');
  const authority = absolute?.[1] ?? valuesOf(request.fields, 'host')[0] ?? ORIGIN.authority;
  const isExpectant = minorVersion !== 0 && !isIdleExpectation(request);
  const kept = withoutHopByHop(request.fields).filter(([name]) => !equals(name, 'host') && (isExpectant || !equals(name, 'expect')));
  const trailers = request.trailers.filter(([name]) => mayBeTrailer(wellKnownId(name)));
  return { method, target: path, minorVersion: 1, fields: [['host', authority], ...kept], body: request.body, trailers };
}

/** RFC 9110 §10.1.1: without a body nobody may wait for 100 (Continue). */
function isIdleExpectation({ fields }: NaiveRequest): boolean {
  const hasBody =
    valuesOf(fields, 'transfer-encoding').length > 0 || valuesOf(fields, 'content-length').some((length) => Number(length) > 0);
  const expectations = valuesOf(fields, 'expect').flatMap((value) => value.split(','));
  return !hasBody && expectations.length > 0 && expectations.every((one) => /^[\t ]*100-continue[\t ]*$/i.test(one));
}

/** RFC 9112 §3.2.1, §3.2.4: an empty path is `/`, or `*` for OPTIONS. */
function pathOf(method: string, path: string): string {
  if (path === '') return method === 'OPTIONS' ? '*' : '/';
  return path.startsWith('?') ? `/${path}` : path;
}

/** RFC 9110 §7.6.1: without the connection's own fields and those it nominates; known names cannot be nominated away. */
function withoutHopByHop(fields: readonly Field[]): Field[] {
  const nominated = new Set(
    valuesOf(fields, 'connection').flatMap((value) => value.split(',').map((one) => one.replace(/^[\t ]+|[\t ]+$/g, '').toLowerCase())),
  );
  return fields.filter(([name]) => {
    const lower = name.toLowerCase();
    if (OWN_FIELDS.has(lower)) return false;
    return !(nominated.has(lower) && lower !== 'close' && wellKnownId(name) === 0 && !lower.startsWith('x-forwarded-'));
  });
}

function tellRequest({ method, target, fields, body, trailers }: NaiveRequest): string {
  const host = valuesOf(fields, 'host').map((value) => `host: ${value}`);
  const others = withoutHopByHop(fields).filter(([name]) => !equals(name, 'host') && !equals(name, 'trailer'));
  return [`${method} ${target}`, ...host, ...others.map(tellField), body, ...trailers.map(tellField)].join('\n');
}

/**
 * Invariants I3, I4: the client gets at most one final answer for each request, in order, each one an origin's answer to that very request or an
 * error page of ours; a message that is cut short cannot be taken for a whole one; nothing follows the last answer.
 */
export function checkDownstream(run: ProxyRun, { asked, unfinished, answersTo }: Forwarding): void {
  const reading = readDownstream(run, asked, unfinished);
  const { messages, verdict, rest, why } = reading;
  const show = (): string => `${verdict} ${why}, ${run.downstreamEnd}: ${JSON.stringify(latin1(run.downstream))}`;
  invariant(verdict !== 'refused', 'what the client gets can be read', show);
  const isCutShort = verdict === 'incomplete' && rest !== '';
  invariant(!isCutShort || /^HTTP\/1\.1 [1-9][0-9]{2} /.test(rest), 'what the client gets can be read', show);
  invariant(!isCutShort || run.downstreamEnd !== 'open', 'what is cut short ends the connection', show);
  let answered = 0;
  let interims: string[] = [];
  for (const message of messages) {
    invariant(!announcesInVain(message.fields), 'Trailer only with chunks (RFC 9112 §7.1.2)', show);
    invariant(message.status !== 101 || !carriesRequests(message.fields), 'h2c is never switched to', show);
    const request = asked.messages[answered] ?? unfinished;
    if (message.status < 200 && message.status !== 101) {
      invariant(request?.minorVersion !== 0, 'HTTP/1.0 knows no interim response (RFC 9110 §15.2)', show);
      interims.push(tellHead(message));
      continue;
    }
    checkFraming(message, request, show);
    const given = answersTo(answered);
    // A body up to the close that ends in a reset is visibly not whole, and so may be any beginning of what the origin said.
    const isCut = run.downstreamEnd === 'reset' && isCloseDelimited(message);
    invariant(
      isOwnPage(message) ||
        isHitAnswer(message, request) ||
        (isCut && given.length > 0) ||
        given.some((answer) => isAnswer({ message, request, answer, interims })),
      'an answer is that of an origin, or our own',
      () => `${JSON.stringify(given.map(({ bytes }) => latin1(bytes)))}; ${show()}`,
    );
    answered++;
    interims = [];
  }
  // One more for what was refused, or not whole.
  invariant(answered + (isCutShort ? 1 : 0) <= asked.messages.length + 1, 'there are not more answers than requests', show);
  const isOrderly = run.downstreamEnd === 'ended' && rest === '' && messages.at(-1)?.status !== 101;
  const saysClose = messages.some(({ fields }) => valuesOf(fields, 'connection').includes('close'));
  invariant(!isOrderly || saysClose || answered >= asked.messages.length, 'every request is answered, or the end is announced', show);
  const isTunnel = messages.at(-1)?.status === 101;
  invariant(verdict !== 'whole' || rest === '' || isTunnel, 'nothing follows the last answer', show);
  const hasTunnelBytes = run.upstreams.some(({ behindUpgrade }) => behindUpgrade.length > 0);
  invariant(!hasTunnelBytes || isTunnel, 'bytes pass into a tunnel only after 101 (RFC 9110 §7.8)', show);
}

/** The error page for what was refused has a body, unless that was HEAD and was read so far that this was known. */
function readDownstream(run: ProxyRun, asked: NaiveRequests, unfinished: Unfinished | null): ReturnType<typeof naiveHttp1Responses> {
  const methods = asked.messages.map(({ method }) => method);
  const reading = naiveHttp1Responses(run.downstream, [...methods, unfinished?.method ?? 'GET']);
  if (reading.verdict === 'incomplete' || reading.rest === '' || unfinished?.method !== 'HEAD') return reading;
  return naiveHttp1Responses(run.downstream, [...methods, 'GET']);
}

function checkFraming({ status, fields }: NaiveResponse, request: Unfinished | null, show: () => string): void {
  const framing = valuesOf(fields, 'content-length').length + valuesOf(fields, 'transfer-encoding').length;
  if (status < 200 || status === 204) invariant(framing === 0, 'no framing in 1xx and 204 (RFC 9112 §6.1)', show);
  invariant(framing <= 1, 'one framing field at most', show);
  if (request?.minorVersion !== 0) return;
  invariant(valuesOf(fields, 'transfer-encoding').length === 0, 'nothing chunked to HTTP/1.0 (RFC 9112 §6.1)', show);
}

/** A fault of the client ends its connection; where the upstream is at fault that is as good as before. */
function isOwnPage({ status, fields }: NaiveResponse): boolean {
  const isOurs = status >= 400 && valuesOf(fields, 'cache-control').join() === 'private, no-store';
  return isOurs && (status >= 500 || valuesOf(fields, 'connection').join() === 'close');
}

function isCloseDelimited({ fields }: NaiveResponse): boolean {
  return valuesOf(fields, 'content-length').length + valuesOf(fields, 'transfer-encoding').length === 0;
}

function isHitAnswer({ status, fields, body }: NaiveResponse, request: Unfinished | null): boolean {
  if (request === null || !isHit(request)) return false;
  return status === 200 && valuesOf(fields, HIT_FIELD.toLowerCase()).length === 1 && body === (request.method === 'HEAD' ? '' : 'hit');
}

interface Judged {
  readonly message: NaiveResponse;
  readonly request: Unfinished | null;
  readonly answer: Answer;
  readonly interims: readonly string[];
}

function isAnswer({ message, request, answer, interims }: Judged): boolean {
  const { messages } = naiveHttp1Responses(answer.bytes, [request?.method ?? 'GET']);
  const final = messages.find(({ status }) => status >= 200 || status === 101);
  if (final === undefined) return false;
  const said = new Set(messages.filter(({ status }) => status < 200 && status !== 101).map((one) => tellHead(one)));
  const hasDate = valuesOf(final.fields, 'date').length > 0;
  const hasTrailers = request?.minorVersion !== 0;
  return (
    tellHead(message, hasDate) === tellHead(final) &&
    message.body === final.body &&
    announcesAlike(message.fields, final.fields) &&
    (!hasTrailers || tellTrailers(message) === tellTrailers(final) || valuesOf(message.fields, 'transfer-encoding').length === 0) &&
    interims.every((interim) => said.has(interim))
  );
}

/** Status, reason and fields but Trailer, without those of the connection and, unless it was given, the Date that the proxy adds. */
function tellHead({ status, reason, fields }: NaiveResponse, hasDate = true): string {
  const kept = withoutHopByHop(fields).filter(([name]) => (hasDate || !equals(name, 'date')) && !equals(name, 'trailer'));
  return [`${status} ${reason}`, ...kept.map(tellField)].join('\n');
}

function tellTrailers({ trailers }: NaiveResponse): string {
  return trailers
    .filter(([name]) => mayBeTrailer(wellKnownId(name)))
    .map(tellField)
    .join('\n');
}

function tellField([name, value]: Field): string {
  return `${name}: ${value}`;
}

function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([other]) => equals(other, name)).map(([, value]) => value);
}

function equals(name: string, lower: string): boolean {
  return name.length === lower.length && name.toLowerCase() === lower;
}

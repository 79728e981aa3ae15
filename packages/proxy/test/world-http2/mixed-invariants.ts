/** What must hold of every mixed world, whatever was planned. Each check names the invariant that it stands for. */
import { isDeepStrictEqual } from 'node:util';
import { isIdempotent } from '@ferrata/proxy';
import { firstMisplacedByte } from '@ferrata/testkit';
import { ClientActor } from '../world/client-actor.ts';
import type { Breach } from '../world/edge.ts';
import { HOP_BY_HOP, mayBeOnHttp1, mayBeOnHttp2 } from '../world/hop-by-hop.ts';
import { answerSeed, clientOf, firstTokenOf, latin1, requestSeed, type Token } from '../world/messages.ts';
import { type AnswerPlan, hasStrays, REQUEST_FIELDS, RESPONSE_FIELDS, type RequestPlan } from '../world/plan.ts';
import { fieldIn } from '../world/wire-reader.ts';
import { Http2ClientActor } from './http2-client-actor.ts';
import type { Protocol } from './mixed-plan.ts';
import type { MixedReport } from './mixed-world.ts';
import { type Received, receivedOf } from './records.ts';

/** All breaches of a world. */
export function mixedBreachesOf(report: MixedReport): Breach[] {
  const check = new Check(report);
  check.answers();
  check.requests();
  check.once();
  check.accounting();
  return [...report.breaches, ...check.breaches];
}

/** Breaches of worlds in which everybody keeps to the rules: nothing may go wrong at all (I1, I19). */
export function kindMixedBreachesOf(report: MixedReport): Breach[] {
  const breaches = mixedBreachesOf(report);
  const tell = (what: string): void => void breaches.push({ invariant: 'I19', what });
  for (const client of report.clients) {
    if (client instanceof ClientActor) {
      if (client.responses.completeCount !== client.plannedCount)
        tell(`a client of HTTP/1 has ${client.responses.completeCount} whole answers of ${client.plannedCount}`);
      for (const message of client.responses.messages) checkKind(report, receivedOf(message, 'response'), tell);
      continue;
    }
    for (const { token, outcome, response } of client.requests) {
      if (outcome === 'cancelled') continue;
      if (outcome !== 'whole' || response === null) tell(`t${token} has ended as ${outcome}`);
      else checkKind(report, response, tell);
    }
  }
  return breaches;
}

function checkKind(report: MixedReport, response: Received, tell: (what: string) => void): void {
  const request = report.plans.get(response.token);
  if (response.status === 101) return;
  if (request === undefined) {
    tell(`nobody's answer: ${response.status}`);
    return;
  }
  const answer = request.answers[0] as AnswerPlan;
  if (response.status !== answer.status) tell(`t${response.token} is answered ${response.status}, not ${answer.status}`);
}

class Check {
  readonly breaches: Breach[] = [];
  readonly #report: MixedReport;

  constructor(report: MixedReport) {
    this.#report = report;
  }

  #tell(invariant: string, what: string): void {
    this.breaches.push({ invariant, what });
  }

  // ---- towards clients -----------------------------------------------------------------------------------------------------------

  answers(): void {
    for (const [index, client] of this.#report.clients.entries()) {
      if (client instanceof Http2ClientActor) {
        for (const { token, response, outcome, endCount } of client.requests) {
          if (endCount > 1) this.#tell('I12', `t${token} has ended ${endCount} times for its client`);
          if (response !== null) this.#answer(token, response, outcome === 'whole', 'http2');
          if (response !== null && outcome === 'whole' && !response.isWhole) this.#tell('I1', `t${token} has an end, and no message`);
        }
        continue;
      }
      for (const [at, message] of client.responses.messages.entries()) {
        const response = receivedOf(message, 'response');
        // Without a length the end of the connection is the only end: what the network cuts looks whole.
        if (response.status !== 101)
          this.#answer(firstTokenOf(index) + at, response, response.isWhole && message.framing !== 'close', 'http1');
      }
    }
  }

  #answer(asked: Token, response: Received, isWhole: boolean, protocol: Protocol): void {
    const { token, attempt, status } = response;
    if (token === 0) {
      if (status < 400) this.#tell('I7', `t${asked}: the response is nobody's: ${status}`);
      return;
    }
    // I7: the answer to a request is what an origin said to that request, in its head and in all of its body.
    if (token !== asked && !this.#mayBeStray()) {
      this.#tell('I7', `t${asked} is answered with what belongs to t${token}`);
      return;
    }
    const request = this.#report.plans.get(token) as RequestPlan;
    const answer = request.answers[Math.min(attempt, request.answers.length - 1)] as AnswerPlan;
    if (token !== asked || fieldIn(response.fields, 'x-attempt') === undefined) return;
    const { lastBytes } = this.#report.setup;
    const extra = response.body.slice(answer.bodyLength);
    const hasLastBytes = extra !== '' && extra === lastBytes;
    const body = extra !== '' && lastBytes.startsWith(extra) ? response.body.slice(0, answer.bodyLength) : response.body;
    const wrong = firstMisplacedByte(latin1(body), answerSeed(token, attempt));
    if (wrong >= 0) this.#tell(wrong === 0 ? 'I7' : 'I1', `t${token} goes wrong at byte ${wrong} of ${body.length}`);
    this.#hopByHop(response, protocol);
    // I1: what looks whole is whole.
    if (!isWhole) return;
    const isBodyless = request.method === 'HEAD' || status === 204 || status === 304;
    const isVague = answer.framing === 'close' || answer.fault?.kind === 'shortLength';
    const wanted = isBodyless ? 0 : answer.bodyLength;
    // A body of known length that has come whole is whole, whatever happens then.
    const isCutBehind = answer.framing === 'length' && (answer.fault?.at ?? 0) % (answer.bodyLength + 1) === answer.bodyLength;
    const hasEndedAtOnce = isBodyless || isCutBehind;
    const cuts = answer.fault !== null && answer.fault.kind !== 'storm' && !hasEndedAtOnce;
    if (!isVague && (body.length !== wanted || (cuts && this.#originOf(token) === 'http2')))
      this.#tell('I1', `t${token} looks whole with ${body.length} bytes of ${wanted}${cuts ? ', and was cut' : ''}`);
    if (answer.fault?.kind === 'shortLength') return;
    this.#fields(answer.fields, RESPONSE_FIELDS, response, `the answer to t${token}`);
    const trailers = isBodyless || !answer.hasTrailers || answer.framing !== 'chunked' ? undefined : `a${token}`;
    // Of HTTP/1.0 there are none, and an origin of HTTP/1.0 writes none.
    const knowsTrailers = answer.version === '1.1' || this.#originOf(token) === 'http2';
    if (trailers !== undefined && knowsTrailers && lastBytes !== '') {
      if (!hasLastBytes) this.#tell('I1', `t${token} has lost what was to stand for its trailers`);
      return;
    }
    if (
      trailers !== undefined &&
      knowsTrailers &&
      (protocol === 'http2' || request.version === '1.1') &&
      fieldIn(response.trailers, 'x-sum') !== trailers
    )
      this.#tell('I1', `t${token} has lost its trailers`);
  }

  /** An origin of HTTP/1 that sends a response too many has mixed them up itself. */
  #mayBeStray(): boolean {
    return hasStrays(this.#report.plans.values());
  }

  // ---- towards origins -----------------------------------------------------------------------------------------------------------

  requests(): void {
    for (const request of this.#report.served) {
      const { token, body, start, isWhole } = request;
      const plan = this.#report.plans.get(token);
      if (plan === undefined) {
        this.#tell('I7', `a request that nobody sent, with token ${token}`);
        continue;
      }
      if (start !== `${plan.method} /way/${token}?q=%20`) this.#tell('I5', `t${token} became ${start}`);
      const wrong = firstMisplacedByte(latin1(body), requestSeed(token));
      if (wrong >= 0) this.#tell('I1', `the request t${token} goes wrong at byte ${wrong} of ${body.length}`);
      const wanted = plan.framing === 'none' ? 0 : plan.bodyLength;
      if (isWhole && body.length !== wanted) this.#tell('I1', `the request t${token} looks whole with ${body.length} bytes of ${wanted}`);
      this.#hopByHop(request, this.#originOf(token));
      this.#fields(plan.fields, REQUEST_FIELDS, request, `the request t${token}`);
      const hasTrailers = plan.hasTrailers && plan.framing === 'chunked' && (this.#isOfHttp2(token) || plan.version === '1.1');
      if (isWhole && fieldIn(request.trailers, 'x-sum') !== (hasTrailers ? `r${token}` : undefined))
        this.#tell('I1', `the trailers of the request t${token} differ: ${JSON.stringify(request.trailers)}`);
    }
  }

  /** I14: what may not be done twice comes to an origin once, but for what the origin says it has not read. */
  once(): void {
    for (const [token, { method }] of this.#report.plans) {
      if (isIdempotent(method)) continue;
      const count = this.#report.served.filter((request) => request.token === token && !request.isRefused).length;
      if (count > 1) this.#tell('I14', `${method} t${token} came to its origin ${count} times`);
    }
  }

  // ---- both ways -----------------------------------------------------------------------------------------------------------------

  #originOf(token: Token): Protocol {
    return this.#report.plan.originProtocols[token % 5 === 0 ? 1 : 0];
  }

  #isOfHttp2(token: Token): boolean {
    return this.#report.clients[clientOf(token)] instanceof Http2ClientActor;
  }

  /** I22: nothing that belongs to a connection is on another one. */
  #hopByHop(message: Received, protocol: Protocol): void {
    for (const [name, value] of [...message.fields, ...message.trailers]) {
      if (/[\0\r\n]/.test(`${name}${value}`)) this.#tell('I22', `a control character in ${JSON.stringify([name, value])}`);
      const lower = name.toLowerCase();
      const isOwn = protocol === 'http2' ? mayBeOnHttp2(lower, value) : mayBeOnHttp1(lower, value) || lower === 'upgrade';
      if (HOP_BY_HOP.has(lower) && !isOwn) this.#tell('I22', `${name}: ${value} has crossed with t${message.token}`);
    }
  }

  /** I5, I22: the fields that are for everybody arrive, in order and as they were. */
  #fields(indices: readonly number[], all: readonly (readonly [string, string])[], message: Received, what: string): void {
    const wanted = indices.map((i) => all[i] as readonly [string, string]).map(([name, value]) => [name.toLowerCase(), value] as const);
    const lasting = wanted.filter(([name]) => !HOP_BY_HOP.has(name) && !NOMINATED.has(name));
    const names = new Set(all.map(([name]) => name.toLowerCase()));
    const got = message.fields
      .map(([name, value]) => [name.toLowerCase(), value] as const)
      .filter(([name]) => names.has(name) && !HOP_BY_HOP.has(name) && !NOMINATED.has(name))
      .filter(([name]) => name !== 'date' || lasting.some(([one]) => one === 'date'));
    if (!isDeepStrictEqual(sorted(lasting), sorted(got)))
      this.#tell('I22', `fields of ${what} differ: ${JSON.stringify(lasting)} became ${JSON.stringify(got)}`);
  }

  // ---- accounting ----------------------------------------------------------------------------------------------------------------

  accounting(): void {
    for (const { token, logged, attempts, refusals } of this.#report.records) {
      // I12: one end, one line.
      if (logged !== 1) this.#tell('I12', `t${token} was logged ${logged} times`);
      // I14: one retry, if nothing else is wanted, and three more of what was refused unread.
      const { maxRetries = 1, maxRefusals = 3 } = this.#report.setup.options;
      const lostPlaces = Math.max(0, refusals - maxRefusals);
      const most = 1 + maxRetries + Math.min(refusals, maxRefusals) + lostPlaces;
      if (attempts > most || lostPlaces > MAX_LOST_PLACES)
        this.#tell('I14', `t${token} was tried ${attempts} times, and refused ${refusals} times`);
    }
    for (const client of this.#report.clients) {
      if (!(client instanceof Http2ClientActor)) continue;
      for (const { token, outcome, response } of client.requests) {
        const records = this.#report.records.filter((record) => record.token === token && !record.isSubrequest);
        if (records.length > 1) this.#tell('I12', `t${token} was accepted ${records.length} times`);
        // What the proxy calls whole may be lost on its way to the client; what it calls failed may not look whole there.
        const failed = records.find(({ error }) => error !== null);
        if (outcome === 'whole' && failed !== undefined && response?.token !== 0 && failed.error?.source === 'upstream')
          this.#tell('I12', `t${token} is whole for its client, and failed for the log: ${failed.error.message}`);
      }
    }
    if (this.#report.maxOpenCount > this.#report.plan.maxStreams)
      this.#tell('I17', `${this.#report.maxOpenCount} streams were open, ${this.#report.plan.maxStreams} are allowed`);
  }
}

/** A place on a connection that is gone before the request was sent is no try, so often. */
const MAX_LOST_PLACES = 100;

const NOMINATED: ReadonlySet<string> = new Set(['x-private', 'x-hidden']);

function sorted(fields: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  // Only the order of lines with one name means something (RFC 9110 §5.3).
  return fields.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

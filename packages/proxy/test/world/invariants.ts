/** What must hold of every world, whatever was planned. Each function names the invariant that it stands for. */
import { isDeepStrictEqual } from 'node:util';
import { firstMisplacedByte, NodeParserOracle, naiveHttp1, positionalBytes } from '@ferrata/testkit';
import { TUNNEL_BYTES } from './client-actor.ts';
import type { Breach, Edge } from './edge.ts';
import { HOP_BY_HOP, mayBeOnHttp1 } from './hop-by-hop.ts';
import { answerSeed, clientOf, firstTokenOf, framingOf, latin1, requestSeed, type Token, tunnelSeed, upgrades } from './messages.ts';
import { tokenOf } from './origin-actor.ts';
import type { AnswerPlan, RequestPlan } from './plan.ts';
import type { WorldReport } from './proxy-world.ts';
import { type FieldLine, fieldIn, fieldOf, statusOf, type WireMessage } from './wire-reader.ts';

const node = new NodeParserOracle();

/** All breaches of a world. */
export function breachesOf(report: WorldReport): Breach[] {
  const check = new Check(report);
  for (const edge of report.edges) {
    if (edge.role === 'client') check.answers(edge);
    else check.forwardedRequests(edge);
  }
  check.accounting();
  check.clients();
  return [...report.breaches, ...check.breaches];
}

/** Breaches of worlds in which everybody keeps to the rules: nothing may go wrong at all (I1, and progress). */
export function kindBreachesOf(report: WorldReport): Breach[] {
  const breaches = breachesOf(report);
  const tell = (what: string): void => void breaches.push({ invariant: 'I1', what });
  for (const record of report.exchanges) {
    if (record.error !== null) tell(`t${record.token} failed without a reason: ${record.error.message}`);
  }
  for (const [index, client] of report.clients.entries()) {
    const { responses } = client;
    if (responses.completeCount !== client.plannedCount) {
      tell(`client ${index} has ${responses.completeCount} whole answers of ${client.plannedCount}`);
      continue;
    }
    for (const [at, message] of responses.messages.entries()) checkKindAnswer(report, firstTokenOf(index) + at, message, tell);
  }
  return breaches;
}

function checkKindAnswer(report: WorldReport, token: Token, message: WireMessage, tell: (what: string) => void): void {
  const request = report.plans.get(token) as RequestPlan;
  const answer = request.answers[0] as AnswerPlan;
  const isTunnel = answer.status === 200 && upgrades(request);
  const status = isTunnel ? 101 : answer.status;
  if (statusOf(message) !== status) tell(`t${token} is answered ${statusOf(message)}, not ${status}`);
  const isBodyless = isTunnel || request.method === 'HEAD' || status === 204 || status === 304;
  if (message.body.length !== (isBodyless ? 0 : answer.bodyLength))
    tell(`t${token} has a body of ${message.body.length}, not ${answer.bodyLength}`);
  const keepsTrailers = !isBodyless && answer.hasTrailers && framingOf(answer) === 'chunked' && request.version === '1.1';
  if (keepsTrailers && fieldIn(message.trailers, 'x-sum') !== `a${token}`) tell(`t${token} has lost its trailers`);
}

class Check {
  readonly breaches: Breach[] = [];
  readonly #report: WorldReport;

  constructor(report: WorldReport) {
    this.#report = report;
  }

  #tell(invariant: string, what: string): void {
    this.breaches.push({ invariant, what });
  }

  // ---- towards clients -----------------------------------------------------------------------------------------------------------

  answers(edge: Edge): void {
    const { responses } = edge;
    if (responses.problem !== null) this.#tell('I22', `${edge.name}: the proxy wrote a malformed response: ${responses.problem}`);
    for (const [index, message] of responses.messages.entries()) {
      this.#cleanHead(edge, message);
      this.#answer(edge, index, message);
    }
    for (const message of responses.interims) this.#cleanHead(edge, message);
  }

  #answer(edge: Edge, index: number, message: WireMessage): void {
    const request = edge.requests.messages[index];
    const asked = request === undefined ? 0 : tokenOf(request);
    const token = tokenOf(message);
    if (token === 0) {
      if (statusOf(message) < 400) this.#tell('I7', `${edge.name}: response ${index + 1} is nobody's: ${message.start.join(' ')}`);
      return;
    }
    // I7: the answer in the place of a request is what an origin answered to that request, in its head and in all of its body.
    const sources = this.#answersTo(asked).filter((one) => isSameAnswer(one, message));
    if (sources.length === 0) {
      this.#tell('I7', `${edge.name}: t${asked} is answered with what belongs to t${token}`);
      return;
    }
    if (message.start[1] === '101') {
      this.#tunnel(edge, token);
      return;
    }
    // An origin that sends a response too many has mixed them up itself.
    if (token === asked && message.start[2] !== 'Stray') {
      const wrong = firstMisplacedByte(latin1(message.body), answerSeed(token, Number(fieldOf(message, 'x-attempt') ?? 0)));
      if (wrong >= 0)
        this.#tell(wrong === 0 ? 'I7' : 'I1', `${edge.name}: t${token} goes wrong at byte ${wrong} of ${message.body.length}`);
    }
    // I1: what looks whole is whole.
    const isCutByReset = message.framing === 'close' && edge.isAborted && !edge.hasEnded;
    if (message.isComplete && !isCutByReset) this.#wholeAnswer(edge, message, sources);
  }

  #wholeAnswer(edge: Edge, message: WireMessage, sources: readonly WireMessage[]): void {
    const token = tokenOf(message);
    const whole = sources.find((one) => one.isComplete && one.body === message.body);
    if (whole === undefined) {
      const had = sources.map((one) => `${one.body.length}${one.isComplete ? '' : ' and more to come'}`).join(', ');
      this.#tell('I1', `${edge.name}: t${token} looks whole with ${message.body.length} bytes, but the origin sent ${had}`);
      return;
    }
    const sent = endToEnd(whole.fields);
    const told = endToEnd(message.fields).filter(([name]) => name !== 'date' || sent.some(([one]) => one === 'date'));
    if (!isDeepStrictEqual(sent, told))
      this.#tell('I22', `${edge.name}: fields of t${token} differ: ${JSON.stringify(sent)} became ${JSON.stringify(told)}`);
    if (message.framing === 'chunked' && !isDeepStrictEqual(message.trailers, whole.trailers))
      this.#tell('I1', `${edge.name}: trailers of t${token} differ`);
  }

  /** What origins have answered to the request with this token, on each of its attempts. */
  #answersTo(token: Token): WireMessage[] {
    const origins = this.#report.edges.filter((edge) => edge.role === 'origin');
    return origins.flatMap(({ requests, responses }) =>
      responses.messages.filter((_, i) => tokenOf(requests.messages[i] ?? NOBODY) === token),
    );
  }

  /** Both ways through a tunnel, what comes out is what went in. */
  #tunnel(edge: Edge, token: Token): void {
    const wanted = positionalBytes(TUNNEL_BYTES, tunnelSeed(token));
    const sent = Buffer.from(wanted).toString('latin1');
    const upstream = this.#report.edges.find(
      (one) => one.role === 'origin' && one.responses.isTunnel && tokenOf(one.requests.messages.at(-1) as WireMessage) === token,
    );
    if (!sent.startsWith(upstream?.requests.tunnel ?? '')) this.#tell('I1', `the tunnel of t${token} brought other bytes to the origin`);
    if (!sent.startsWith(edge.responses.tunnel)) this.#tell('I1', `the tunnel of t${token} brought other bytes to the client`);
  }

  // ---- towards origins -----------------------------------------------------------------------------------------------------------

  forwardedRequests(edge: Edge): void {
    const { requests } = edge;
    if (requests.problem !== null) this.#tell('I5', `${edge.name}: the proxy wrote a malformed request: ${requests.problem}`);
    for (const message of requests.messages) {
      this.#cleanHead(edge, message);
      this.#forwarded(edge, message);
    }
  }

  #forwarded(edge: Edge, message: WireMessage): void {
    const token = tokenOf(message);
    const wrong = firstMisplacedByte(latin1(message.body), requestSeed(token));
    if (wrong >= 0) this.#tell('I1', `${edge.name}: the request t${token} goes wrong at byte ${wrong} of ${message.body.length}`);
    const source = this.#messagesOf('client', 'requests', (one) => tokenOf(one) === token)[0];
    if (source === undefined) {
      this.#tell('I7', `${edge.name}: a request that nobody sent, with token ${token}`);
      return;
    }
    if (!message.isComplete) return;
    if (!source.isComplete || source.body !== message.body) {
      this.#tell(
        'I1',
        `${edge.name}: the request t${token} looks whole with ${message.body.length} bytes, of which the client sent ${source.body.length}`,
      );
    }
    this.#sameRequest(edge, source, message);
    this.#reread(edge, message);
  }

  /** I5, I22: what goes upstream is what the client asked, but for what belongs to its connection. */
  #sameRequest(edge: Edge, source: WireMessage, message: WireMessage): void {
    const [method, target] = source.start;
    const absolute = /^http:\/\/([^/]*)(.*)$/.exec(target);
    const wantedTarget = absolute === null ? target : (absolute[2] as string);
    if (message.start[0] !== method || message.start[1] !== wantedTarget) {
      this.#tell('I5', `${edge.name}: ${method} ${target} became ${message.start.join(' ')}`);
    }
    const host = absolute === null ? fieldOf(source, 'host') : absolute[1];
    // RFC 9110 §10.1.1: nothing to wait for, so nothing is expected.
    const isBodyless = fieldOf(source, 'transfer-encoding') === undefined && Number(fieldOf(source, 'content-length') ?? 0) === 0;
    const wanted = endToEnd(source.fields)
      .filter(([name, value]) => !(isBodyless && name === 'expect' && value === '100-continue'))
      .map(([name, value]) => (name === 'host' ? ([name, host ?? ''] as const) : ([name, value] as const)));
    const got = endToEnd(message.fields);
    if (!isDeepStrictEqual(wanted, got))
      this.#tell('I5', `${edge.name}: fields differ: ${JSON.stringify(wanted)} became ${JSON.stringify(got)}`);
    if (message.framing === 'chunked' && source.framing === 'chunked' && !isDeepStrictEqual(source.trailers, message.trailers)) {
      this.#tell('I5', `${edge.name}: trailers differ: ${JSON.stringify(source.trailers)} became ${JSON.stringify(message.trailers)}`);
    }
  }

  /** I5: two other readers find exactly this one request in the bytes. */
  #reread(edge: Edge, message: WireMessage): void {
    const bytes = latin1(message.text);
    const [method, target] = message.start;
    const byNode = node.parse(bytes, { kind: 'request' });
    const one = byNode.messages[0];
    const isSame =
      byNode.error === null &&
      byNode.messages.length === 1 &&
      one?.isComplete === true &&
      one.start === method &&
      one.rest === target &&
      one.body === message.body &&
      isDeepStrictEqual(one.fields, linesOf(message.fields)) &&
      isDeepStrictEqual(one.trailers, linesOf(message.trailers));
    if (!isSame) this.#tell('I5', `${edge.name}: llhttp reads ${JSON.stringify(byNode)} in ${JSON.stringify(message.text)}`);
    const naive = naiveHttp1(bytes);
    const other = naive.messages[0];
    const agrees =
      naive.messages.length === 1 &&
      naive.rest === '' &&
      other?.method === method &&
      other.target === target &&
      other.body === message.body &&
      isDeepStrictEqual(other.fields, message.fields);
    if (!agrees) this.#tell('I5', `${edge.name}: the naive reader reads ${JSON.stringify(naive)} in ${JSON.stringify(message.text)}`);
  }

  // ---- both ways -----------------------------------------------------------------------------------------------------------------

  /** I22: no control character leaves the serialiser, and nothing that belongs to the other connection. */
  #cleanHead(edge: Edge, message: WireMessage): void {
    const head = message.text.slice(0, message.text.indexOf('\r\n\r\n'));
    if (/[\0\r\n]/.test(head.replaceAll('\r\n', ''))) this.#tell('I22', `${edge.name}: a control character in ${JSON.stringify(head)}`);
    const isSwitch =
      message.start[1] === '101' || message.fields.some(([name, value]) => name.toLowerCase() === 'upgrade' && value === 'echo');
    for (const [name, value] of message.fields) {
      const lower = name.toLowerCase();
      const isOwn = mayBeOnHttp1(lower, value) || (lower === 'upgrade' && isSwitch);
      if (HOP_BY_HOP.has(lower) && !isOwn) this.#tell('I22', `${edge.name}: ${name}: ${value} has crossed`);
    }
  }

  // ---- accounting ----------------------------------------------------------------------------------------------------------------

  accounting(): void {
    for (const { edge, index, token, logged, error, attempts, refusals } of this.#report.exchanges) {
      // I12: one end, one line.
      if (logged !== 1) this.#tell('I12', `${edge.name}: request ${index + 1} (t${token}) was logged ${logged} times`);
      const message = edge.responses.messages[index];
      // The end of an answer may be held back for a client that takes nothing: the application is done with it, and the rest is the session's.
      if (error === null && message?.isComplete !== true && !edge.isFull)
        this.#tell('I12', `${edge.name}: request ${index + 1} is called whole and is not`);
      this.#tries(token, attempts, refusals);
    }
    for (const edge of this.#report.edges) {
      if (!edge.isClosed) this.#tell('I12', `${edge.name} was never closed`);
      // I16: a writer that is told to wait writes no more than what it holds already.
      if (edge.maxOverfullBytes > MAX_OVERFULL_BYTES)
        this.#tell('I16', `${edge.name}: ${edge.maxOverfullBytes} bytes written against back-pressure`);
    }
  }

  /**
   * I14: one retry at most. No try is a place on a connection that was gone before the request was sent, as while a filter took its time. Nothing of it
   * has come to an origin then, and each such place was a connection of its own, as is that of each try.
   */
  #tries(token: Token, attempts: number, lostPlaces: number): void {
    const origins = this.#report.edges.filter(({ role }) => role === 'origin');
    const sent = origins.flatMap(({ requests }) => requests.messages).filter((one) => tokenOf(one) === token).length;
    if (attempts - lostPlaces > 2 || sent > 2) this.#tell('I14', `t${token} was tried ${attempts} times, and sent ${sent} times`);
    if (lostPlaces + sent > origins.length)
      this.#tell('I14', `t${token} was sent ${sent} times and lost ${lostPlaces} places, on ${origins.length} connections`);
  }

  /** What the network has left of it: each client sees a beginning of what is its own. */
  clients(): void {
    for (const [index, client] of this.#report.clients.entries()) {
      for (const message of client.responses.messages) {
        const token = tokenOf(message);
        if (token === 0 || message.start[1] === '101') continue;
        const isMixedUp = this.#report.edges.some(
          (edge) =>
            edge.role === 'origin' &&
            edge.responses.messages.some((one, i) => tokenOf(one) === token && tokenOf(edge.requests.messages[i] ?? NOBODY) !== token),
        );
        if (clientOf(token) !== index && !isMixedUp) this.#tell('I7', `client ${index} was given what belongs to t${token}`);
      }
    }
  }

  #messagesOf(role: Edge['role'], direction: 'requests' | 'responses', filter: (message: WireMessage) => boolean): WireMessage[] {
    return this.#report.edges.filter((edge) => edge.role === role).flatMap((edge) => edge[direction].messages.filter(filter));
  }
}

/** What a session may hold when it is told to wait: one piece of a body in its framing, the rest of a tick, and small messages. */
const MAX_OVERFULL_BYTES = 65_536 + 32_768;

const NOBODY: WireMessage = { start: ['', '', ''], fields: [], framing: 0, text: '', body: '', trailers: [], isComplete: false };

function isSameAnswer(one: WireMessage, other: WireMessage): boolean {
  return one.start[1] === other.start[1] && tokenOf(one) === tokenOf(other) && fieldOf(one, 'x-attempt') === fieldOf(other, 'x-attempt');
}

const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);

/** The fields that are for everybody on the way, names in lower case, framing left out. */
function endToEnd(fields: readonly FieldLine[]): FieldLine[] {
  const nominated = new Set(
    fields
      .filter(([name]) => name.toLowerCase() === 'connection')
      .flatMap(([, value]) =>
        value
          .toLowerCase()
          .split(',')
          .map((one) => one.trim()),
      ),
  );
  return fields
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !HOP_BY_HOP.has(name) && !FRAMING.has(name) && !nominated.has(name));
}

function linesOf(fields: readonly FieldLine[]): readonly string[] {
  return fields.map(([name, value]) => `${name}: ${value}`);
}

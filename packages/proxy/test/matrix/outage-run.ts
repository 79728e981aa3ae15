/** Upstreams that are down for a while, all of them or some: U18 of the fault list. The proxy checks no health; `upstreamPeer` may. */
import { limitError } from '@ferrata/error';
import type { Outcome } from '@ferrata/proxy';
import type { Peer } from '@ferrata/upstream';
import type { Asking } from './client-end.ts';
import { type Cell, type Sampling, sampledRows } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };

const PEERS = 3;
/** How many requests come at once while every try is lost, and the share of them that may be tried again. */
const STORM = 40;
const RETRY_SHARE = 0.2;
const LEAST_RETRIES = 3;

/** Of the cases, one in so many is run in cells with TLS. */
const TLS_STRIDE = 5;

/**
 * What an upstream does that is down: nobody is there; or it takes connections, as a check of its health would see, and loses what is asked. And
 * whether `upstreamPeer` knows which are down, and names none if all are.
 */
const KINDS = ['refuses', 'loses requests', 'is known to refuse'] as const;

export interface OutageCase {
  readonly name: string;
  readonly cell: Cell;
  readonly kind: (typeof KINDS)[number];
  readonly method: 'GET' | 'POST';
  /** Of each peer, in the order in which they are named. */
  readonly isUp: readonly boolean[];
}

/** Every pattern of those that are up. */
export function outageBatches(cell: Cell, sampling: Sampling): OutageCase[][] {
  const cases = KINDS.flatMap((kind) =>
    (['GET', 'POST'] as const).flatMap((method) =>
      Array.from({ length: 2 ** PEERS }, (_, bits): OutageCase => {
        const isUp = Array.from({ length: PEERS }, (_up, index) => ((bits >> index) & 1) === 1);
        return { name: `${cell.name}: ${method}, ${isUp.map((up) => (up ? 'up' : kind)).join(', ')}`, cell, kind, method, isUp };
      }),
    ),
  );
  return [[...sampledRows(cell, cases, TLS_STRIDE, sampling)]];
}

/** What the rules say. */
interface Expected {
  readonly status: number;
  readonly outcome: Outcome;
  readonly attempts: number;
}

export function expectedOf({ kind, method, isUp }: OutageCase): Expected {
  const [first = false, second = false] = isUp;
  if (kind === 'is known to refuse') {
    return isUp.includes(true) ? { status: 200, outcome: 'completed', attempts: 1 } : { status: 503, outcome: 'failed', attempts: 1 };
  }
  // U4: what may have been done is done again only if that makes no difference.
  const attempts = first || (kind === 'loses requests' && method === 'POST') ? 1 : 2;
  return first || (attempts === 2 && second)
    ? { status: 200, outcome: 'completed', attempts }
    : { status: 502, outcome: 'upstream_error', attempts };
}

/** One case under way. */
class Run {
  readonly it: OutageCase;
  readonly target: string;
  readonly peers: Peer[] = [];
  readonly #world: MatrixWorld;
  #hasRecovered = false;
  #during: Asking | null = null;
  #after: Asking | null = null;

  constructor(world: MatrixWorld, it: OutageCase, index: number) {
    this.#world = world;
    this.it = it;
    this.target = `/case/${index}`;
    for (let peer = 0; peer < PEERS; peer++) this.peers.push(this.#origin(peer).peer);
  }

  #isUp(peer: number): boolean {
    return this.#hasRecovered || this.it.isUp[peer] === true;
  }

  #origin(peer: number): Origin {
    const { cell, kind } = this.it;
    return this.#world.origin(
      cell.up,
      [],
      (request) => {
        if (this.#isUp(peer)) request.play(answerScript(cell.up.protocol, FINE));
        else request.fault('reset');
      },
      {
        line: (stream) => {
          if (kind === 'loses requests' || this.#isUp(peer)) return stream;
          stream.abort();
          throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
        },
      },
    );
  }

  /** As a hook of a balancer would. */
  choose(attempt: number): Peer {
    const isKnown = this.it.kind === 'is known to refuse';
    const index = isKnown ? this.peers.findIndex((_peer, at) => this.#isUp(at)) : (attempt - 1) % PEERS;
    const found = this.peers[index];
    if (found === undefined) throw limitError('NO_PEER', 'all of them are down', { wire: { status: 503 } });
    return found;
  }

  async ask(): Promise<void> {
    const client = await this.#world.connect();
    this.#during = client.ask(this.target, { ...GET, method: this.it.method });
  }

  async recover(): Promise<void> {
    this.#hasRecovered = true;
    const client = await this.#world.connect();
    this.#after = client.ask(`${this.target}/after`, GET);
  }

  breaches(): string[] {
    const { status, outcome, attempts } = expectedOf(this.it);
    const breaches: string[] = [];
    const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
    const seen = this.#during?.seen();
    const [log, ...more] = this.#world.logsOf(this.target);
    check(seen?.status === status && seen.ending === 'whole', `answered ${seen?.status}, ${seen?.ending}, not ${status}`);
    check(more.length === 0 && log?.outcome === outcome, `logged ${JSON.stringify([log, ...more])}, not ${outcome}`);
    check(log?.attempts === attempts, `${log?.attempts} tries, not ${attempts}`);
    const [after] = this.#world.logsOf(`${this.target}/after`);
    check(this.#after?.seen().status === 200 && after?.attempts === 1, `when all were up again: ${JSON.stringify(after)}`);
    return breaches;
  }
}

export async function runOutages(cases: readonly OutageCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const runs = new Map<string, Run>();
  const world = new MatrixWorld(first.cell, {
    plant,
    hooks: {
      upstreamPeer: ({ request, attempt }) => {
        const run = runs.get(request.target.replace('/after', ''));
        if (run === undefined) throw new Error(`no case of ${request.target}`);
        return run.choose(attempt);
      },
    },
  });
  for (const [index, it] of cases.entries()) {
    const run = new Run(world, it, index);
    runs.set(run.target, run);
  }
  const all = [...runs.values()];
  // No time passes: whoever is told that nobody is there is told so at once.
  await Promise.all(all.map((run) => run.ask()));
  await world.settle();
  await Promise.all(all.map((run) => run.recover()));
  await world.settle();
  const findings = all.map((run) => ({ name: run.it.name, breaches: run.breaches() }));
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: await world.finish(true) });
}

/** Many requests at once, all of which are lost. */
export interface StormCase {
  readonly name: string;
  readonly cell: Cell;
}

export function stormBatches(cell: Cell): StormCase[][] {
  return [[{ name: `${cell.name}: ${STORM} requests, all lost`, cell }]];
}

/** @param retryShare of what the proxy is told */
export async function runStorm(cases: readonly StormCase[], retryShare: number = RETRY_SHARE): Promise<Finding[]> {
  const [it] = cases;
  if (it === undefined) return [];
  const { cell } = it;
  const world = new MatrixWorld(cell, { proxy: { retryShare } });
  let tries = 0;
  let isUp = false;
  const targets = Array.from({ length: STORM }, (_, index) => `/storm/${index}`);
  const held: OriginRequest[] = [];
  world.origin(cell.up, [...targets, '/after'], (request) => {
    tries++;
    if (isUp) request.play(answerScript(cell.up.protocol, FINE));
    else held.push(request);
  });
  const client = await world.connect();
  const clients = cell.down.protocol === 'http2' ? targets.map(() => client) : await Promise.all(targets.map(() => world.connect()));
  const askings = targets.map((target, index) => (clients[index] ?? client).ask(target, GET));
  await world.settle();
  // All are there before the first is lost: what may be tried again is a share of those that are active.
  while (held.length > 0) {
    // A stream each, so that the loss of one is not that of all.
    for (const request of held.splice(0)) request.fault('rst');
    await world.settle();
  }
  const breaches: string[] = [];
  const most = STORM + Math.max(LEAST_RETRIES, STORM * RETRY_SHARE);
  if (tries > most) breaches.push(`${tries} tries for ${STORM} requests, more than ${most}`);
  if (tries === STORM) breaches.push('nothing was tried again');
  const statuses = new Set(askings.map((asking) => asking.seen().status));
  if (statuses.size !== 1 || !statuses.has(502)) breaches.push(`answered ${[...statuses].join()}`);
  isUp = true;
  const after = (await world.connect()).ask('/after', GET);
  await world.settle();
  if (after.seen().status !== 200) breaches.push(`when it was up again: ${JSON.stringify(after.seen())}`);
  return findingsOf([{ name: it.name, breaches }], { name: `the world of ${it.name}`, breaches: await world.finish() });
}

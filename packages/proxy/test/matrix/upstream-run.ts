/** Runs a batch of cases of faults of the upstream, side by side in one world. */
import type { Asking, ClientEnd } from './client-end.ts';
import { ENDS, type End } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';
import { type Observed, upstreamBreaches } from './upstream-judge.ts';
import { isSilence, type UpstreamCase } from './upstream-plan.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const BESIDE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['beside'], trailers: [] };
const PLAIN_END: End = ENDS[0] as End;

/** One case under way. */
class Run {
  readonly it: UpstreamCase;
  readonly target: string;
  readonly #world: MatrixWorld;
  readonly #index: number;
  readonly #origin: Origin;
  /** Requests that have come, and wait for what their origin does. */
  readonly #due: OriginRequest[] = [];
  /** What befalls a stream alone must not befall its neighbour on the same connection of its origin. */
  readonly #sharesOrigin: boolean;
  #client: ClientEnd | null = null;
  #asking: Asking | null = null;
  #neighbour: Asking | null = null;
  #beside: OriginRequest | null = null;
  #next: Asking | null = null;
  #tries = 0;

  constructor(world: MatrixWorld, it: UpstreamCase, index: number) {
    this.#world = world;
    this.#index = index;
    this.it = it;
    this.target = `/case/${index}`;
    this.#sharesOrigin = it.fault === 'rst' || it.fault === 'stream stall';
    const targets = this.#sharesOrigin ? [this.target, this.#besideTarget] : [this.target];
    this.#origin = world.origin(it.cell.up, targets, (request) => {
      if (request.target === this.target) this.#due.push(request);
      else this.#beside = request;
    });
  }

  get #besideTarget(): string {
    return `/beside/${this.#index}`;
  }

  async connect(neighbours: Origin): Promise<void> {
    const { cell } = this.it;
    this.#client = await this.#world.connect();
    if (cell.down.protocol === 'http1' && !this.#sharesOrigin) return;
    if (!this.#sharesOrigin) this.#world.route(this.#besideTarget, neighbours.peer);
    const client = cell.down.protocol === 'http1' ? await this.#world.connect() : this.#client;
    this.#neighbour = client.ask(this.#besideTarget, GET);
  }

  ask(): void {
    const { request, sentPieces } = this.it.scenario;
    this.#asking = this.#client?.ask(this.target, request, sentPieces) ?? null;
  }

  get isDue(): boolean {
    return this.#due.length > 0;
  }

  play(): void {
    const { script, position, isOnce } = this.it;
    for (const request of this.#due) request.play(script, isOnce && this.#tries > 0 ? script.end : position);
  }

  fail(): void {
    const { fault, isOnce, scenario } = this.it;
    const due = this.#due.splice(0);
    if (due.length === 0) return;
    for (const request of due) {
      const isSpared = isOnce && this.#tries++ > 0;
      // What is delimited by the end needs one even when all is well.
      if (isSpared && this.it.script.isEndedByClose) request.fault('end');
      else if (isSpared) continue;
      else if (fault === 'client leaves') this.#asking?.leave();
      else request.fault(fault);
    }
    // A client that stalls as well would be the one that is told so.
    if (isSilence(fault) && scenario.sentPieces < scenario.request.pieces.length) this.#asking?.finish();
  }

  /** What is beside it goes on. */
  answerBeside(): void {
    this.#beside?.play(answerScript(this.it.cell.up.protocol, BESIDE));
  }

  askNext(neighbours: Origin): void {
    const { cell, fault, position, script } = this.it;
    // A connection on which nothing goes on is closed by and by, in good order.
    const isIdle = isSilence(fault) && position === script.end;
    if (cell.down.protocol === 'http1' || isIdle || this.#client === null) return;
    this.#world.route(`/next/${this.#index}`, neighbours.peer);
    this.#next = this.#client.ask(`/next/${this.#index}`, GET);
  }

  observe(): Observed {
    if (this.#asking === null) throw new Error(`${this.it.name}: nothing was asked`);
    return {
      client: this.#asking.seen(),
      logs: this.#world.logsOf(this.target),
      connections: this.#origin.connections,
      neighbour: this.#neighbour?.seen() ?? null,
      next: this.#next?.seen() ?? null,
    };
  }
}

/** Whatever waits at an origin is played, and fails; and so for the tries that follow. */
async function befall(world: MatrixWorld, runs: readonly Run[]): Promise<void> {
  while (runs.some((run) => run.isDue)) {
    for (const run of runs) run.play();
    await world.settle();
    for (const run of runs) run.fail();
    await world.settle();
  }
}

/** Runs the cases of one batch. @returns those that are not as they must be, and what is wrong with their world */
export async function runUpstream(cases: readonly UpstreamCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell, { plant });
  const held: OriginRequest[] = [];
  const neighbours = world.origin(PLAIN_END, [], (request) => void held.push(request));
  const answerHeld = (): void => {
    for (const request of held.splice(0)) request.play(answerScript('http1', BESIDE));
  };
  const runs = cases.map((it, index) => new Run(world, it, index));
  await Promise.all(runs.map((run) => run.connect(neighbours)));
  await world.settle();
  for (const run of runs) run.ask();
  await world.settle();
  await befall(world, runs);
  answerHeld();
  for (const run of runs) run.answerBeside();
  // Ends that are owed are waited for, and no time-out of anybody else comes in this time.
  await world.pass(isSilence(first.fault) ? 61_000 : 3_000);
  for (const run of runs) run.askNext(neighbours);
  await world.settle();
  answerHeld();
  await world.settle();
  // Where a silent connection was asked by PING, the second try has its own time.
  if (first.fault === 'stall' && first.cell.up.protocol === 'http2') {
    await befall(world, runs);
    await world.pass(61_000);
  }
  const findings = runs.map((run) => ({ name: run.it.name, breaches: upstreamBreaches(run.it, run.observe()) }));
  return findingsOf(findings, { name: `the world of ${first.name} and its like`, breaches: await world.finish() });
}

/** Runs the rows of the table of tries in one cell, side by side. */
import type { Asking, ClientEnd } from './client-end.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';
import { type Expected, SERVED, type TryCase } from './try-plan.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const PIECES = ['first ', 'last!'];

/** Methods whose requests have a body here. */
const WITH_BODY: ReadonlySet<string> = new Set(['PUT', 'POST', 'PATCH']);

/** One row under way. */
class Run {
  readonly it: TryCase;
  readonly target: string;
  readonly tries: OriginRequest[] = [];
  readonly #world: MatrixWorld;
  readonly #origin: Origin;
  readonly #client: ClientEnd;
  #warming: Asking | null = null;
  #asking: Asking | null = null;

  constructor(world: MatrixWorld, it: TryCase, index: number, client: ClientEnd) {
    this.#world = world;
    this.#client = client;
    this.it = it;
    this.target = `/case/${index}`;
    this.#origin = world.origin(it.cell.up, [this.target, this.#warmTarget], (request) => {
      if (request.target !== this.target) this.#serve(request);
      else this.tries.push(request);
    });
  }

  get #warmTarget(): string {
    return `${this.target}/warm`;
  }

  async warm(): Promise<void> {
    if (!this.it.row.isReused) return;
    const client = await this.#world.connect();
    this.#warming = client.ask(this.#warmTarget, GET);
  }

  #serve(request: OriginRequest): void {
    // RFC 9110 §9.3.2: no body behind an answer to HEAD.
    const answer: Answer = request.method === 'HEAD' ? { ...SERVED, framing: 'none', pieces: [] } : SERVED;
    request.play(answerScript(this.it.cell.up.protocol, answer));
  }

  ask(): void {
    const { method, later } = this.it.row;
    const hasBody = WITH_BODY.has(method);
    // Where the body is to be held back, its second half is.
    const isHeld = later !== undefined || this.#isUpload;
    const request: Request = { method, framing: hasBody ? 'length' : 'none', pieces: hasBody ? PIECES : [], trailers: [] };
    this.#asking = this.#client.ask(this.target, request, isHeld ? 1 : undefined);
  }

  get #isUpload(): boolean {
    return /window|streams than/.test(this.it.row.what);
  }

  act(): void {
    const [first] = this.tries;
    if (first !== undefined) this.it.row.act(first, this.#origin.connections.at(-1)?.h2 ?? null);
  }

  later(): void {
    const [first] = this.tries;
    this.#asking?.finish();
    if (first !== undefined) this.it.row.later?.(first, this.#origin.connections.at(-1)?.h2 ?? null);
  }

  /** All tries but a first one that the origin has done something to are answered; that one too, if all of it has come. */
  answer(): void {
    for (const request of this.#isUpload ? this.tries : this.tries.slice(1)) if (request.isWhole) this.#serve(request);
  }

  breaches(): string[] {
    const { method, expected } = this.it.row;
    const breaches: string[] = [];
    const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
    const seen = this.#asking?.seen();
    const logs = this.#world.logsOf(this.target);
    const shouldBeWarm = this.#warming === null || this.#warming.seen().ending === 'whole';
    check(shouldBeWarm, 'the request before it was not served');
    check(logs.length === 1 && logs[0]?.outcome === expected.outcome, `logged ${JSON.stringify(logs)}`);
    // HTTP/1 says whole of an answer to HEAD when the connection goes on; here only the head counts.
    check(seen?.status === expected.status, `answered ${seen?.status}, not ${expected.status}`);
    check(method === 'HEAD' || seen?.ending === 'whole', `the answer is ${seen?.ending}`);
    check(this.tries.length === expected.tries, `${this.tries.length} tries, not ${expected.tries}`);
    this.#checkTries(expected, check);
    return breaches;
  }

  #checkTries({ status, tries }: Expected, check: (holds: boolean, what: string) => void): void {
    const body = WITH_BODY.has(this.it.row.method) ? PIECES.join('') : '';
    const last = this.tries.at(-1);
    if (status === 200) check(last?.body === body, `the last try has a body of ${JSON.stringify(last?.body)}`);
    const connections = this.#origin.connections.length;
    check(connections === tries, `${connections} connections for ${tries} tries`);
  }
}

export async function runTries(cases: readonly TryCase[]): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell);
  const runs = await Promise.all(cases.map(async (it, index) => new Run(world, it, index, await world.connect())));
  await Promise.all(runs.map((run) => run.warm()));
  await world.settle();
  for (const run of runs) run.ask();
  await world.settle();
  for (const run of runs) run.act();
  await world.settle();
  for (const run of runs) run.later();
  await world.settle();
  for (const run of runs) run.answer();
  await world.settle();
  await world.pass(130_000);
  const findings = runs.map((run) => ({ name: run.it.name, breaches: run.breaches() }));
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: await world.finish() });
}

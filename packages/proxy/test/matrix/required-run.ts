/** Origins of HTTP/2 that want HTTP/1.1 (RFC 9113 §7, HTTP_1_1_REQUIRED), and may have it, as their peer is `auto`: U16 of the fault list. */
import { Http2ErrorCode } from '@ferrata/http2-framing';
import type { Outcome } from '@ferrata/proxy';
import type { Asking, Ending } from './client-end.ts';
import type { Cell, Sampling } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';

const METHODS = ['GET', 'HEAD', 'PUT', 'POST'];
const WITH_BODY: ReadonlySet<string> = new Set(['PUT', 'POST']);
const PIECES = ['first ', 'last!'];
const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };

/** What the origin has begun to say when it says that it wants HTTP/1.1, and what it says by HTTP/1.1. */
const BEGUN: Answer = { status: 200, hasInterim: true, framing: 'chunked', pieces: ['be', 'gun'], trailers: [] };
const SERVED: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['served'], trailers: [] };

/** How long a peer is asked by HTTP/1.1 alone. */
const KEPT_MS = 600_000;

export interface RequiredCase {
  readonly name: string;
  readonly cell: Cell;
  readonly method: string;
  readonly isReused: boolean;
  /** Bytes of `BEGUN` that come before. */
  readonly position: number;
  /** How it is said: of the stream, or of the connection, as the first thing. */
  readonly by: 'RST_STREAM' | 'GOAWAY';
}

/** Between any two frames of an answer, for each method; every other one on a connection that has served another request, by the seed. */
export function requiredBatches(cell: Cell, { seed }: Sampling): RequiredCase[][] {
  const { frameEnds, headEnd, end } = answerScript('http2', BEGUN);
  // RFC 9110 §9.3.2: behind the head of an answer to HEAD comes nothing.
  const positionsOf = (method: string): number[] =>
    [0, ...frameEnds].filter((position) => position < end && (method !== 'HEAD' || position <= headEnd));
  const places = METHODS.flatMap((method) => [
    ...positionsOf(method).map((position) => ({ method, position, by: 'RST_STREAM' as const })),
    { method, position: 0, by: 'GOAWAY' as const },
  ]);
  const cases = places.map(({ method, position, by }, index) => {
    const isReused = (index + seed) % 2 === 0;
    const name = `${cell.name}: ${method} on ${isReused ? 'a reused' : 'a fresh'} connection: HTTP_1_1_REQUIRED by ${by} at ${position} of ${end}`;
    return { name, cell, method, isReused, position, by };
  });
  return [cases];
}

/** What the rules say. */
interface Expected {
  readonly status: number;
  readonly ending: Ending;
  readonly outcome: Outcome;
  /** What the tries were sent by. */
  readonly protocols: readonly string[];
}

/** Nobody has worked on it, so it goes again whatever its method is; but never behind a word of an answer, be it an interim one. */
export function expectedOf({ position }: RequiredCase): Expected {
  if (position === 0) return { status: 200, ending: 'whole', outcome: 'completed', protocols: ['http2', 'http1'] };
  return position < answerScript('http2', BEGUN).headEnd
    ? { status: 502, ending: 'whole', outcome: 'upstream_error', protocols: ['http2'] }
    : { status: 200, ending: 'cut', outcome: 'upstream_error', protocols: ['http2'] };
}

/** One case under way. */
class Run {
  readonly it: RequiredCase;
  readonly target: string;
  readonly #world: MatrixWorld;
  readonly #origin: Origin;
  readonly #tries: { readonly request: OriginRequest; readonly protocol: string }[] = [];
  /** By what the other requests came, by target. */
  readonly #protocols = new Map<string, string>();
  #asking: Asking | null = null;
  readonly #others: Asking[] = [];

  constructor(world: MatrixWorld, it: RequiredCase, index: number) {
    this.#world = world;
    this.it = it;
    this.target = `/case/${index}`;
    const targets = [this.target, ...['before', 'next', 'later'].map((which) => `${this.target}/${which}`)];
    this.#origin = world.origin(it.cell.up, targets, (request) => this.#take(request), { isAuto: true });
  }

  #take(request: OriginRequest): void {
    const protocol = request.streamId > 0 ? 'http2' : 'http1';
    if (request.target === this.target) this.#tries.push({ request, protocol });
    else {
      this.#protocols.set(request.target, protocol);
      request.play(answerScript(protocol, SERVED));
    }
  }

  async askOther(which: string): Promise<void> {
    const client = await this.#world.connect();
    this.#others.push(client.ask(`${this.target}/${which}`, GET));
  }

  async ask(): Promise<void> {
    const { method } = this.it;
    const client = await this.#world.connect();
    const hasBody = WITH_BODY.has(method);
    this.#asking = client.ask(this.target, { method, framing: hasBody ? 'length' : 'none', pieces: hasBody ? PIECES : [], trailers: [] });
  }

  /** The first try is refused so. */
  require(): void {
    const { position, by } = this.it;
    const [first] = this.#tries;
    const h2 = this.#origin.connections.at(-1)?.h2;
    const streamId = first?.request.streamId ?? 1;
    first?.request.play(answerScript('http2', BEGUN), position);
    if (by === 'RST_STREAM') h2?.resetStream(streamId, Http2ErrorCode.http11Required);
    else h2?.goaway(Math.max(streamId - 2, 0), Http2ErrorCode.http11Required);
  }

  answer(): void {
    // RFC 9110 §9.3.2: no body behind an answer to HEAD.
    for (const { request, protocol } of this.#tries.slice(1))
      request.play(answerScript(protocol === 'http2' ? 'http2' : 'http1', this.it.method === 'HEAD' ? { ...SERVED, pieces: [] } : SERVED));
  }

  breaches(): string[] {
    const { method, isReused } = this.it;
    const { status, ending, outcome, protocols } = expectedOf(this.it);
    const breaches: string[] = [];
    const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
    const seen = this.#asking?.seen();
    const logs = this.#world.logsOf(this.target);
    check(logs.length === 1 && logs[0]?.outcome === outcome, `logged ${JSON.stringify(logs)}, not ${outcome}`);
    check(seen?.status === status, `answered ${seen?.status}, not ${status}`);
    // An HTTP/1 client reads on behind the head of an answer to HEAD; and HEAD that was cut had all of it.
    check(method === 'HEAD' || seen?.ending === ending, `the answer is ${seen?.ending}, not ${ending}`);
    const tried = this.#tries.map(({ protocol }) => protocol);
    check(tried.join() === protocols.join(), `tried by ${tried.join()}, not ${protocols.join()}`);
    const body = WITH_BODY.has(method) ? PIECES.join('') : '';
    const bodies = this.#tries.map(({ request }) => request.body);
    check(
      bodies.every((each) => each === body),
      `bodies of ${JSON.stringify(bodies)}`,
    );
    const [before, next, later] = ['before', 'next', 'later'].map((which) => this.#protocols.get(`${this.target}/${which}`));
    check(!isReused || before === 'http2', `the one before came by ${before}`);
    check(next === 'http1', `the next one came by ${next}: it was not remembered`);
    check(later === 'http2', `ten minutes later one came by ${later}`);
    check(
      this.#others.every((asking) => asking.seen().status === 200 && asking.seen().body === 'served'),
      'another request was not served',
    );
    return breaches;
  }
}

export async function runRequired(cases: readonly RequiredCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell, { plant });
  const runs = cases.map((it, index) => new Run(world, it, index));
  const all = async (act: (run: Run) => unknown): Promise<void> => {
    await Promise.all(runs.map(act));
    await world.settle();
  };
  await all((run) => (run.it.isReused ? run.askOther('before') : undefined));
  await all((run) => run.ask());
  await all((run) => run.require());
  await all((run) => run.answer());
  await all((run) => run.askOther('next'));
  await world.pass(KEPT_MS, 20_000);
  await all((run) => run.askOther('later'));
  const findings = runs.map((run) => ({ name: run.it.name, breaches: run.breaches() }));
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: await world.finish() });
}

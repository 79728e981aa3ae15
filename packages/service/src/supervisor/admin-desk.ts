/** Answers the requests to the admin endpoint, and knows what is under way. */
import { concatBytes } from '@ferrata/bytes';
import { textOf, type WireError } from '@ferrata/error';
import { responseHead } from '@ferrata/headers';
import { type HttpApplication, type HttpEnvironment, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import type { ServiceCounts } from '../service.ts';
import { type AdminRefusal, bodyRefusal, MAX_BODY_BYTES, refusalOf } from './admin-refusals.ts';
import type { AdminOutcome, AdminTarget, AdminWorker } from './admin-target.ts';

/** An answer about how the server does. */
interface Told {
  readonly status: number;
  readonly value: object;
}

/** What can be asked for with GET. */
const tellings = new Map<string, (target: AdminTarget) => Told | Promise<Told>>([
  ['/health', tellHealth],
  ['/ready', tellReadiness],
  ['/phase', tellPhase],
  ['/workers', tellWorkers],
  ['/connections', tellConnections],
]);

/** What can be had done with POST. */
const actions = new Map<string, (target: AdminTarget) => Promise<AdminOutcome>>([
  ['/reload', (target) => target.reload()],
  ['/drain', (target) => target.drain()],
  ['/upgrade', (target) => target.upgrade()],
]);

const statuses: Readonly<Record<AdminOutcome['outcome'], number>> = {
  reloaded: 200,
  unchanged: 200,
  replaced: 200,
  drained: 200,
  refused: 422,
  failed: 500,
  busy: 409,
};

/** The application of the admin endpoint. */
export class AdminDesk implements HttpApplication {
  readonly #target: AdminTarget;
  readonly #environment: HttpEnvironment;
  readonly #answerTimeoutMs: number;
  /** The paths of what is under way. */
  readonly #running = new Set<string>();

  constructor(target: AdminTarget, environment: HttpEnvironment, answerTimeoutMs: number) {
    this.#target = target;
    this.#environment = environment;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    const refusal = refusalOf(exchange) ?? routeRefusal(exchange);
    if (refusal !== null) {
      refuse(exchange, refusal);
      return deaf;
    }
    const { method, target } = exchange.request;
    if (method !== 'POST') {
      void this.#tell(exchange, target);
      return deaf;
    }
    if (exchange.expectsContinue) exchange.sendInterim(responseHead(100));
    return new ActionBody(exchange, () => void this.#act(exchange, target));
  }

  async #tell(exchange: ServerExchange, path: string): Promise<void> {
    try {
      const told = await tellings.get(path)?.(this.#target);
      if (told !== undefined) answer(exchange, told.status, told.value);
    } catch (error) {
      answer(exchange, 500, { error: textOf(error) });
    }
  }

  async #act(exchange: ServerExchange, path: string): Promise<void> {
    const rival = this.#rivalOf(path);
    if (rival !== undefined) {
      answer(exchange, 409, { outcome: 'busy', why: `${rival.slice(1)} is under way` });
      return;
    }
    this.#running.add(path);
    const { deadlines } = this.#environment;
    // What was begun goes on, and stays in the way of the next: nobody knows any more what it does.
    const deadline = deadlines.after(Math.min(this.#answerTimeoutMs, deadlines.maxDelayMs), () =>
      answer(exchange, 504, { outcome: 'pending', why: `the ${path.slice(1)} is still under way` }),
    );
    try {
      const outcome = await actions.get(path)?.(this.#target);
      if (outcome !== undefined) answer(exchange, statuses[outcome.outcome], outcome);
    } catch (error) {
      answer(exchange, 500, { outcome: 'failed', why: textOf(error) });
    } finally {
      deadline.cancel();
      this.#running.delete(path);
    }
  }

  /** What must end before this can begin. Whoever wants the server to stop does not wait for a reload. */
  #rivalOf(path: string): string | undefined {
    if (path === '/drain') return this.#running.has(path) ? path : undefined;
    const [first] = this.#running;
    return first;
  }
}

/** Takes the body of a POST, of which nothing is wanted, and begins when it is whole. */
class ActionBody implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;
  readonly #begin: () => void;
  #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(exchange: ServerExchange, begin: () => void) {
    this.#exchange = exchange;
    this.#begin = begin;
  }

  onRequestData(chunk: Uint8Array): void {
    this.#length += chunk.length;
    if (this.#length <= MAX_BODY_BYTES) this.#chunks.push(chunk);
    else refuse(this.#exchange, { status: 413, why: `a body may have ${MAX_BODY_BYTES} bytes at most` });
  }

  onRequestEnd(): void {
    if (this.#exchange.hasResponded) return;
    const refusal = bodyRefusal(concatBytes(this.#chunks));
    this.#chunks = [];
    if (refusal === null) this.#begin();
    else refuse(this.#exchange, refusal);
  }

  onResponseDrain(): void {}
  onExchangeClose(_error: WireError | null): void {}
}

/** For requests of which the head says everything. */
const deaf: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** A path that is not there, or that is not asked for in this way. */
function routeRefusal(exchange: ServerExchange): AdminRefusal | null {
  const { method, target } = exchange.request;
  const allowed = tellings.has(target) ? ['GET', 'HEAD'] : actions.has(target) ? ['POST'] : [];
  if (allowed.includes(method)) return null;
  if (allowed.length > 0) return { status: 405, why: `${target} takes ${allowed.join(' and ')}`, allow: allowed.join(', ') };
  return { status: 404, why: `there is only GET ${[...tellings.keys()].join(' ')} and POST ${[...actions.keys()].join(' ')}` };
}

function refuse(exchange: ServerExchange, { status, why, allow }: AdminRefusal): void {
  answer(exchange, status, { error: why }, allow === undefined ? {} : { Allow: allow });
}

function answer(exchange: ServerExchange, status: number, value: object, headers: Readonly<Record<string, string>> = {}): void {
  // Whoever asked may have left, or was told that it takes too long.
  if (exchange.isClosed || exchange.hasResponded) return;
  const always = {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    Connection: 'close',
  };
  respond(exchange, status, { headers: { ...always, ...headers }, body: `${JSON.stringify(value)}\n` });
}

function tellHealth(target: AdminTarget): Told {
  const { healthy } = target.status();
  return { status: healthy ? 200 : 503, value: { healthy } };
}

function tellReadiness(target: AdminTarget): Told {
  const { ready, phase } = target.status();
  return { status: ready ? 200 : 503, value: { ready, phase } };
}

function tellPhase(target: AdminTarget): Told {
  const { phase, generation, configVersion } = target.status();
  return { status: 200, value: { phase, generation, configVersion, pid: process.pid, node: process.version } };
}

async function tellWorkers(target: AdminTarget): Promise<Told> {
  return { status: 200, value: { workers: await target.workers(), main: { services: target.main() } } };
}

async function tellConnections(target: AdminTarget): Promise<Told> {
  return { status: 200, value: { services: sums(await target.workers(), target.main()) } };
}

/** The counts of the main thread and of all workers that have answered, and how many workers those are. */
type Sum = ServiceCounts & { readonly workers: number };

function sums(workers: readonly AdminWorker[], main: Readonly<Record<string, ServiceCounts>>): Readonly<Record<string, Sum>> {
  const byName = new Map(Object.entries(main).map(([name, counts]): [string, Sum] => [name, { ...counts, workers: 0 }]));
  for (const { services } of workers) {
    for (const [name, { connections, accepted, shed }] of Object.entries(services ?? {})) {
      const before = byName.get(name) ?? { connections: 0, accepted: 0, shed: 0, workers: 0 };
      byName.set(name, {
        connections: before.connections + connections,
        accepted: before.accepted + accepted,
        shed: before.shed + shed,
        workers: before.workers + 1,
      });
    }
  }
  return Object.fromEntries(byName);
}

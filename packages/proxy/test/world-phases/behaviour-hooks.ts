/** The hooks that a plan asks for, each of which tells the books when it is called. */
import { applicationError, type WireError } from '@ferrata/error';
import { HeaderMap } from '@ferrata/headers';
import {
  type AnswerableSession,
  type Awaitable,
  delayed,
  isIdempotent,
  type ProxyHooks,
  type ProxySession,
  type RequestSession,
} from '@ferrata/proxy';
import type { StreamInfo } from '@ferrata/stream';
import type { World } from '@ferrata/testkit';
import type { TellBreach } from '../world/edge.ts';
import { type LedgerRecord, pause } from '../world/ledger.ts';
import { tokenFrom } from '../world/messages.ts';
import type { BehaviourPlan, Manner, Phase, PlannedPhase } from './behaviour-plan.ts';
import { LAST_BYTES, ownTokenOf } from './own-requests.ts';
import { PhaseOrder } from './phase-order.ts';

type Subrequests = NonNullable<ProxySession['subrequests']>;
type Hooks = ProxyHooks<LedgerRecord>;
type AnyHook = (...args: readonly unknown[]) => unknown;

/** What is known of one request by its hooks. */
export interface PhaseRecord {
  readonly order: PhaseOrder;
  readonly session: ProxySession;
  /** When it began, and when it failed, in virtual milliseconds. */
  readonly startedAt: number;
  failedAt: number;
  /** Tries that were lost because there was no connection. */
  unreachable: number;
}

/** What hooks have seen in one world. */
export class PhaseBooks {
  readonly records = new Map<LedgerRecord, PhaseRecord>();
  /** How often each phase was called, and each hostile one struck. */
  readonly seen = new Map<string, number>();

  note(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}

export interface BehaviourOptions {
  readonly world: World;
  readonly plan: BehaviourPlan;
  readonly books: PhaseBooks;
  /** What comes may be nobody's. */
  readonly hasStrays: boolean;
  readonly tell: TellBreach;
}

/** The hooks of `base`, those of the plan, and around all of them the judge of their order. */
export function behaviourHooks(base: Hooks, options: BehaviourOptions): Hooks {
  return judged({ ...base, ...plannedHooks(options) }, options);
}

// ---- the judge -----------------------------------------------------------------------------------------------------------------------

const BODY_PHASES: ReadonlySet<string> = new Set(['requestBodyFilter', 'upstreamResponseBodyFilter', 'responseBodyFilter']);

function judged(hooks: Hooks, { world, books, tell }: BehaviourOptions): Hooks {
  const wrapped: Record<string, AnyHook> = {};
  for (const [name, hook] of Object.entries(hooks) as [Phase, AnyHook | undefined][]) {
    if (hook === undefined) continue;
    wrapped[name] = (...args) => {
      const session = args[0] as ProxySession;
      books.note(name);
      if (name === 'newContext') {
        const made = hook(session) as LedgerRecord;
        const order = new PhaseOrder();
        books.records.set(made, { order, session, startedAt: world.clock.now(), failedAt: Number.NaN, unreachable: 0 });
        order.enter(name, false, 0);
        return made;
      }
      const record = (name === 'onConnectionReuse' ? args[1] : args.at(-1)) as LedgerRecord;
      const known = books.records.get(record) as PhaseRecord;
      const problem = known.order.enter(name, BODY_PHASES.has(name) && args[1] === null, session.attempt);
      if (problem !== null) tell('I15', `t${record.token}: ${problem}`);
      if (name === 'failToProxy' || name === 'suppressErrorLog') known.failedAt = world.clock.now();
      const given = hook(...args);
      if (!(given instanceof Promise)) return given;
      known.order.wait(name);
      const settle = (): void => known.order.settle(name);
      given.then(settle, settle);
      return given;
    };
  }
  return wrapped as unknown as Hooks;
}

// ---- the hooks -----------------------------------------------------------------------------------------------------------------------

/** Every third request is one that a hostile hook strikes at. */
const isStruck = ({ token }: LedgerRecord): boolean => token % 3 === 1;

function plannedHooks(options: BehaviourOptions): Partial<Hooks> {
  const all = new PlannedHooks(options);
  const chosen = Object.entries(all.table()).filter(([phase]) => options.plan.manners[phase as PlannedPhase] !== 'absent');
  return Object.fromEntries(chosen) as Partial<Hooks>;
}

interface Persisted {
  readonly client: StreamInfo;
  readonly count: number;
}

class PlannedHooks {
  readonly #world: World;
  readonly #plan: BehaviourPlan;
  readonly #books: PhaseBooks;
  readonly #hasStrays: boolean;
  readonly #tell: TellBreach;

  constructor({ world, plan, books, hasStrays, tell }: BehaviourOptions) {
    this.#world = world;
    this.#plan = plan;
    this.#books = books;
    this.#hasStrays = hasStrays;
    this.#tell = tell;
  }

  /** All of them: which are there is for the plan to say. */
  table(): Required<Pick<Hooks, PlannedPhase>> {
    return {
      onConnectionReuse: (session, record, previous) => this.#reuse(session, record, previous),
      earlyRequestFilter: (_session, record) => this.#give('earlyRequestFilter', record, undefined),
      allowSpawningSubrequest: (session, record) => {
        if (this.#strikes('allowSpawningSubrequest', record)) throw new Error('planned');
        return !session.isSubrequest;
      },
      requestFilter: (session, record) => this.#filterRequest(session, record),
      proxyUpstreamFilter: (session, record) => {
        if (!this.#strikes('proxyUpstreamFilter', record)) return this.#later('proxyUpstreamFilter', true);
        if (record.token % 2 === 0) session.respond(403);
        return false;
      },
      failToConnect: (_session, _peer, error, record) => {
        (this.#books.records.get(record) as PhaseRecord).unreachable++;
        if (this.#strikes('failToConnect', record)) error.retry = 'always';
        return this.#later('failToConnect', undefined);
      },
      connectedToUpstream: (_session, _connection, record) => this.#give('connectedToUpstream', record, undefined),
      upstreamRequestFilter: (session, request, record) => {
        // I22: what filters have checked is what is sent.
        if (request.target !== session.request.target || request.method !== session.request.method)
          this.#tell('I22', `t${record.token}: filters saw ${session.request.target}, and ${request.target} is sent`);
        return this.#give('upstreamRequestFilter', record, undefined);
      },
      requestBodyFilter: (_session, chunk, record) => this.#piece('requestBodyFilter', chunk, record),
      errorWhileProxy: ({ request }, _peer, error, record) => {
        // Twice is no harm only where the method says so.
        if (this.#strikes('errorWhileProxy', record)) error.retry = isIdempotent(request.method) ? 'always' : 'never';
      },
      adjustUpstreamModules: (_session, _response, record) => this.#give('adjustUpstreamModules', record, undefined),
      upstreamResponseFilter: (_session, _response, record) => this.#give('upstreamResponseFilter', record, undefined),
      upstreamResponseBodyFilter: (_session, chunk, record) => this.#piece('upstreamResponseBodyFilter', chunk, record),
      upstreamResponseTrailerFilter: (_session, _trailers, record) => {
        if (this.#strikes('upstreamResponseTrailerFilter', record)) throw new Error('planned');
      },
      responseFilter: (session, _response, record) => {
        if (!this.#strikes('responseFilter', record)) return this.#later('responseFilter', undefined);
        session.respond(503);
        return undefined;
      },
      responseBodyFilter: (_session, chunk, record) => this.#piece('responseBodyFilter', chunk, record),
      responseTrailerFilter: (_session, _trailers, record) =>
        this.#give('responseTrailerFilter', record, this.#plan.trailersBecomeBytes ? LAST_BYTES.slice() : null),
      failToProxy: (session, error, record) => this.#fail(session, error, record),
      suppressErrorLog: (_session, _error, record) => {
        if (this.#strikes('suppressErrorLog', record)) throw new Error('planned');
        return false;
      },
      requestSummary: (session, record) => {
        if (this.#strikes('requestSummary', record)) throw new Error('planned');
        return session.request.target;
      },
      persistConnectionContext: (session, record) => {
        if (this.#strikes('persistConnectionContext', record)) throw new Error('planned');
        return { client: session.client, count: record.token } satisfies Persisted;
      },
    };
  }

  #mannerOf(phase: PlannedPhase): Manner {
    return this.#plan.manners[phase];
  }

  #strikes(phase: PlannedPhase, record: LedgerRecord): boolean {
    if (this.#mannerOf(phase) !== 'hostile' || !isStruck(record)) return false;
    this.#books.note(`hostile ${phase}`);
    return true;
  }

  /** A value, at once or later. */
  #later<T>(phase: PlannedPhase, value: T): Awaitable<T> {
    return this.#mannerOf(phase) === 'async' ? pause(this.#world).then(() => value) : value;
  }

  /** The same; a hostile hook throws, rejects, or never gives anything. */
  #give<T>(phase: PlannedPhase, record: LedgerRecord, value: T): Awaitable<T> {
    if (!this.#strikes(phase, record)) return this.#later(phase, value);
    switch (record.token % 4) {
      case 0:
        return new Promise<T>(() => {});
      case 1:
        throw new Error('planned');
      default:
        return pause(this.#world).then(() => {
          throw applicationError('PLANNED', 'as planned', { wire: { status: 418 } });
        });
    }
  }

  #piece(phase: PlannedPhase, chunk: Uint8Array | null, record: LedgerRecord): ReturnType<NonNullable<Hooks['responseBodyFilter']>> {
    const { delayMs } = this.#plan;
    const piece = delayMs > 0 ? delayed(chunk, delayMs) : chunk;
    // A long body in small pieces would last: only some of them are late.
    const isLate = delayMs === 0 || chunk === null || chunk.length % 4 === 0;
    return this.#give(phase, record, isLate ? piece : chunk);
  }

  /** I7: what one connection has left is found on that connection only. */
  #reuse(session: RequestSession, record: LedgerRecord, previous: unknown): void {
    const { client, count } = previous as Persisted;
    if (client !== session.client) this.#tell('I7', `t${record.token} finds what t${count} has left on another connection`);
    if (this.#strikes('onConnectionReuse', record)) throw new Error('planned');
  }

  #withSubrequest(session: RequestSession, record: LedgerRecord): Awaitable<boolean> {
    const { subrequests } = this.#plan;
    if (subrequests === 'none' || session.subrequests === null) return false;
    if (subrequests === 'collect') return this.#collect(session.subrequests, session, record);
    // Not waited for: it may take longer than a hook may. Whatever becomes of it, the request is answered, or fails.
    void session.respondBy({ body: 'inherit' });
    return true;
  }

  async #collect(subrequests: Subrequests, session: RequestSession, record: LedgerRecord): Promise<boolean> {
    const own = ownTokenOf(record.token);
    const host = session.request.headers.get('host') ?? '';
    const { subrequestTimeoutMs: timeoutMs } = this.#plan;
    const result = await subrequests.collect({
      request: { method: 'GET', target: `/way/${own}?q=%20`, headers: HeaderMap.from({ host, 'x-token': `t${own}` }) },
      maxBodyBytes: 10_000,
      ...(timeoutMs < 0 ? {} : { timeoutMs }),
    });
    const token = tokenFrom(result.headers.get('x-token'));
    // I7: who asks gets the answer to what was asked.
    if (result.error === null && token !== own && token !== 0 && !this.#hasStrays)
      this.#tell('I7', `the subrequest t${own} is answered with what belongs to t${token}`);
    return false;
  }

  #filterRequest(session: RequestSession, record: LedgerRecord): Awaitable<boolean> {
    if (this.#strikes('requestFilter', record)) {
      if (record.token % 2 === 0) session.respond(403);
      return true;
    }
    if (this.#plan.subrequests !== 'none' && !session.isSubrequest) return this.#withSubrequest(session, record);
    return this.#later('requestFilter', false);
  }

  #fail(session: AnswerableSession, _error: WireError, record: LedgerRecord): ReturnType<NonNullable<Hooks['failToProxy']>> {
    if (!this.#strikes('failToProxy', record)) return this.#later('failToProxy', { status: 502, keepAlive: record.token % 2 === 0 });
    switch (record.token % 4) {
      case 0:
        return { status: 0 };
      case 1:
        if (!session.hasResponded) session.respond(503);
        return undefined;
      case 2:
        throw new Error('planned');
      default:
        return pause(this.#world).then(() => {
          throw new Error('planned');
        });
    }
  }
}

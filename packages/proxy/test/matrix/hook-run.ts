/** Runs hooks that fail in one cell, side by side: each fails for one request only, and all are called for all. */
import type { HttpModuleKind } from '@ferrata/http-modules';
import type { ProxyHooks, ProxySession } from '@ferrata/proxy';
import type { Asking, ClientEnd } from './client-end.ts';
import { type Finding, findingsOf } from './findings.ts';
import { expectedOf, HOOKS, type HookCase, LEFT, WAYS } from './hook-plan.ts';
import { MatrixWorld, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';

const POST: Request = { method: 'POST', framing: 'length', pieces: ['first ', 'last!'], trailers: [] };
const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
/** With everything that there are hooks for. */
const SERVED: Answer = { status: 200, hasInterim: false, framing: 'chunked', pieces: ['ser', 'ved'], trailers: [['x-sum', '17']] };

/** A module that does nothing, so that there is one. */
const IDLE: HttpModuleKind = { name: 'idle', create: () => ({}) };

/** What hooks were called with, by target. */
interface Calls {
  /** How often `failToProxy`. */
  readonly failures: Map<string, number>;
  /** What `onConnectionReuse` was given. */
  readonly previous: Map<string, unknown>;
}

/** One request. */
interface Run {
  readonly it: HookCase;
  readonly client: ClientEnd;
  readonly asking: Asking;
}

export async function runHooks(cases: readonly HookCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell } = first;
  const calls: Calls = { failures: new Map(), previous: new Map() };
  const needsModules = first.facts.needs === 'upstream modules';
  const world: MatrixWorld = new MatrixWorld(cell, {
    plant,
    hooks: failingHooks(cases, calls, (target) => world.peerOf(target)),
    proxy: { onError: () => {}, ...(needsModules ? { upstreamModules: [IDLE] } : {}) },
  });
  const held = new Set<OriginRequest>();
  /** Answers what has come whole, or fails it where that is what a hook is called for. */
  const serve = async (): Promise<void> => {
    await world.settle();
    for (const request of held) {
      if (!request.isWhole) continue;
      held.delete(request);
      const needsReset = cases.some(({ facts, target }) => facts.needs === 'a reset' && target === request.target);
      if (needsReset) request.fault('reset');
      else request.play(answerScript(cell.up.protocol, SERVED));
    }
    await world.settle();
  };
  const begin = async (it: HookCase): Promise<Run> => {
    world.origin(
      cell.up,
      [it.target, `${it.target}/before`, `${it.target}/next`],
      (request) => void held.add(request),
      it.facts.needs === 'no connection' ? { connect: refuse } : {},
    );
    const client = await world.connect();
    if (it.facts.needs === 'a request before it') {
      client.ask(`${it.target}/before`, GET);
      await serve();
    }
    return { it, client, asking: client.ask(it.target, POST) };
  };
  const runs = await Promise.all(cases.map(begin));
  await serve();
  await world.pass(3_000);
  const nexts = runs.map(({ it, client }) => askNext(it, client));
  await serve();
  if (first.way === 'hangs') await world.pass(61_000);
  const findings = runs.map((run, index) => ({
    name: run.it.name,
    breaches: breachesOf(world, run, calls, nexts[index] ?? null),
  }));
  const told = world.hookFailures.length;
  const tellings = cases.filter((it) => expectedOf(it).isTold).length;
  const ends = await world.finish();
  if (told !== tellings) ends.push(`onHookFailed was told ${told} times, not ${tellings}`);
  return findingsOf(findings, { name: `the world of ${cell.name}: hooks that ${first.way}`, breaches: ends });
}

async function refuse(): Promise<never> {
  throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

/** Every hook, giving what is right but for the request that is its own. */
function failingHooks(
  cases: readonly HookCase[],
  { failures, previous }: Calls,
  peerOf: (target: string) => ReturnType<MatrixWorld['peerOf']>,
): Partial<ProxyHooks<object>> {
  const ways = new Map(cases.map(({ target, way }) => [target, way]));
  const hooks: Record<string, (session: ProxySession, context: object, last: unknown) => unknown> = {};
  for (const [name, facts] of Object.entries(HOOKS)) {
    hooks[name] = (session, _context, last) => {
      const { target } = session.request;
      if (name === 'onConnectionReuse') previous.set(target, last);
      if (name === 'failToProxy') failures.set(target, (failures.get(target) ?? 0) + 1);
      const way = ways.get(target);
      if (target === `/${name}` && way !== undefined) return WAYS[way]();
      const own = cases.find((it) => it.target === target);
      if (name === 'earlyRequestFilter' && own?.facts.needs === 'a failure') throw new Error('the failure that is needed');
      return name === 'upstreamPeer' ? peerOf(target) : facts.gives;
    };
  }
  return hooks;
}

/** On HTTP/2 other streams of the connection are as good as before; and so is a connection of HTTP/1, if its request went well. */
function askNext({ cell, hook, facts, target }: HookCase, client: ClientEnd): Asking | null {
  if ((cell.down.protocol === 'http1' && hook !== 'persistConnectionContext') || facts.needs === 'no connection') return null;
  return client.ask(`${target}/next`, GET);
}

function breachesOf(world: MatrixWorld, { it, asking }: Run, { failures, previous }: Calls, next: Asking | null): string[] {
  const expected = expectedOf(it);
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const seen = asking.seen();
  check(seen.status === expected.status, `answered ${seen.status}, not ${expected.status}`);
  check(seen.ending === (expected.isCut ? 'cut' : 'whole'), `the answer is ${seen.ending}`);
  const isReset = expected.isCut && it.cell.down.protocol === 'http2';
  check(!isReset || seen.resetCode === 2, `reset with ${seen.resetCode}, not INTERNAL_ERROR`);
  check(expected.isCut ? seen.trailers === '' : true, `trailers ${JSON.stringify(seen.trailers)} behind a cut`);
  const logs = world.logsOf(it.target);
  check(logs.length === (expected.log === null ? 0 : 1), `logged ${logs.length} times`);
  const [log] = logs;
  if (log !== undefined && expected.log !== null) {
    const { outcome, reason } = expected.log;
    check(log.outcome === outcome && log.reason === reason, `logged as ${log.outcome} ${log.reason}, not ${outcome} ${reason}`);
    check(outcome === 'completed' || log.source === 'internal', `blamed on ${log.source}`);
  }
  const failed = failures.get(it.target) ?? 0;
  check(failed === expected.failures, `failToProxy was called ${failed} times, not ${expected.failures}`);
  const told = previous.get(it.target);
  const wasLeft = it.facts.needs === 'a request before it' && it.cell.down.protocol === 'http1';
  check(told === (wasLeft ? LEFT : undefined), `onConnectionReuse was given ${String(told)}`);
  check(!previous.has(`${it.target}/next`), 'what failed to leave anything has left something');
  const after = next?.seen();
  check(after === undefined || (after.status === 200 && after.ending === 'whole'), `the next stream: ${JSON.stringify(after)}`);
  return breaches;
}

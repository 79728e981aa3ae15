/** Names of upstreams that lead nowhere, or not any more: U19 of the fault list, by a `DnsResolver`, and sockets on loopback. */
import { ManualClock } from '@ferrata/clock';
import { connect, type DnsQueries, type DnsRecord, DnsResolver, type Listener, listen } from '@ferrata/net';
import { peer } from '@ferrata/upstream';
import { bare, wrapped } from './carriers.ts';
import type { Asking } from './client-end.ts';
import { type Cell, type Sampling, sampledRows } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld } from './matrix-world.ts';
import { originEnd } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };

const HOST = '127.0.0.1';
/** Of the cases, one in so many is run in cells with TLS. */
const TLS_STRIDE = 3;

/** What name servers say: addresses with their TTL in seconds, the code of an error, something else, or nothing at all (null). */
type Saying = readonly DnsRecord[] | string | null;

interface Answers {
  readonly a: Saying;
  readonly aaaa: Saying;
}

const good = (ttl: number): Answers => ({ a: [{ address: HOST, ttl }], aaaa: [] });
const failing = (saying: Saying): Answers => ({ a: saying, aaaa: saying });

/** Ways in which nothing is found, and what the log says of a name that was never known. */
const FAILURES: Readonly<Record<string, { readonly answers: Answers; readonly reason: string }>> = {
  NXDOMAIN: { answers: failing('ENOTFOUND'), reason: 'DNS_NOT_FOUND' },
  'no addresses': { answers: failing([]), reason: 'DNS_NOT_FOUND' },
  SERVFAIL: { answers: failing('ESERVFAIL'), reason: 'DNS_SERVER_FAILURE' },
  'no answer': { answers: failing(null), reason: 'DNS_TIMEOUT' },
};

/** Ways in which all is well, if not at first sight. */
const GOOD: Readonly<Record<string, Answers>> = {
  'a TTL of 0': good(0),
  'IPv6 that leads nowhere': { a: [{ address: HOST, ttl: 60 }], aaaa: [{ address: '::1', ttl: 60 }] },
  'no answer for IPv6': { a: [{ address: HOST, ttl: 60 }], aaaa: null },
  'SERVFAIL for IPv6': { a: [{ address: HOST, ttl: 60 }], aaaa: 'ESERVFAIL' },
  '5 000 addresses': {
    a: Array.from({ length: 5_000 }, (_, at) => ({ address: `127.0.${at >> 8}.${at & 255}`, ttl: 60 })).toSpliced(0, 2, {
      address: HOST,
      ttl: 60,
    }),
    aaaa: [],
  },
};

export interface NameCase {
  readonly name: string;
  readonly cell: Cell;
  /** What is said to each question about it in turn, the last to all that follow. */
  readonly answers: readonly Answers[];
  /** How the last of its requests ends; null: it is served. */
  readonly reason: string | null;
  /** Requests in all, two seconds apart. */
  readonly requestCount: number;
}

export function nameBatches(cell: Cell, sampling: Sampling): NameCase[][] {
  const of = (what: string, answers: readonly Answers[], reason: string | null): NameCase => ({
    name: `${cell.name}: ${what}`,
    cell,
    answers,
    reason,
    requestCount: answers.length,
  });
  const cases = [
    ...Object.entries(FAILURES).map(([what, { answers, reason }]) => of(what, [answers], reason)),
    ...Object.entries(FAILURES).map(([what, { answers }]) => of(`${what} behind a good answer`, [good(1), answers], null)),
    ...Object.entries(FAILURES).map(([what, { answers }]) => of(`a good answer behind ${what}`, [answers, good(60)], null)),
    ...Object.entries(GOOD).map(([what, answers]) => of(what, [answers, answers], null)),
  ];
  return [[...sampledRows(cell, cases, TLS_STRIDE, sampling)]];
}

/** One case under way. */
interface Run {
  readonly it: NameCase;
  readonly host: string;
  asked: number;
  readonly askings: Asking[];
}

/** Longer than an answer counts as good, and than a name that was not found is left alone. */
const BETWEEN_MS = 6_000;

/** @param isForgetful the resolver keeps no old answers */
export async function runNames(cases: readonly NameCase[], isForgetful = false): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell } = first;
  const runs: Run[] = cases.map((it, index) => ({ it, host: `case-${index}.test`, asked: 0, askings: [] }));
  const clock = new ManualClock();
  const resolver = new DnsResolver({
    queries: queriesOf(runs),
    systemLookup: () => Promise.reject(Object.assign(new Error('not found'), { code: 'ENOTFOUND' })),
    ...(isForgetful ? { maxStaleMs: 0 } : {}),
    clock,
  });
  const made = new MatrixWorld(cell, { clock, upstream: { resolver, maxIdle: 0, maxIdlePerPeer: 0 } });
  await using listener = await listen(`${HOST}:0`, (stream) => {
    const serve = (outer: ReturnType<typeof bare>): void => {
      originEnd(cell.up.protocol, outer, (request) => request.play(answerScript(cell.up.protocol, FINE)));
    };
    if (cell.up.carrier === 'tls') made.carriers.secureOrigin(stream, cell.up.protocol, serve);
    else serve(bare(stream));
  });
  const rounds = Math.max(...runs.map(({ it }) => it.requestCount));
  for (const { host, it } of runs)
    for (let round = 0; round < rounds; round++) made.route(targetOf(host, round), peerOf(made, it.cell, host, listener, resolver));
  for (let round = 0; round < rounds; round++) {
    const asking = runs.filter(({ it }) => round < it.requestCount);
    await Promise.all(
      asking.map(async ({ host, askings }) => {
        const client = await made.connect();
        askings.push(client.ask(targetOf(host, round), GET));
      }),
    );
    await made.settle();
    // Name servers that say nothing are given up, or old answers are taken meanwhile.
    await made.pass(2_600, 100);
    await until(() => asking.every(({ host }) => made.logsOf(targetOf(host, round)).length > 0));
    await made.pass(BETWEEN_MS);
  }
  const findings = runs.map((run) => ({ name: run.it.name, breaches: breachesOf(made, run) }));
  await until(() => made.proxy.connector.connectionCount === 0);
  const ends = await made.finish(true);
  resolver.close();
  return findingsOf(findings, { name: `the world of ${cell.name}`, breaches: ends });
}

const targetOf = (host: string, round: number): string => `/${host}/${round}`;

function peerOf(world: MatrixWorld, { up }: Cell, host: string, { address }: Listener, { lookup }: DnsResolver): ReturnType<typeof peer> {
  const port = address.kind === 'ip' ? address.port : 0;
  const { clock } = world;
  return peer(`${host}:${port}`, {
    protocol: up.protocol,
    ...(up.carrier === 'tls' ? { tls: world.carriers.client(up.protocol) } : {}),
    ...(up.carrier === 'virtual' ? { connect: async (to, signal) => wrapped(await connect(to.address, { lookup, clock, signal })) } : {}),
  });
}

function queriesOf(runs: readonly Run[]): DnsQueries {
  const say = (host: string, family: 'a' | 'aaaa'): Promise<readonly DnsRecord[]> => {
    const run = runs.find((one) => one.host === host);
    if (run === undefined) throw new Error(`nobody asks for ${host}`);
    // Both families are asked at once, IPv4 first.
    if (family === 'a') run.asked++;
    const saying = (run.it.answers[run.asked - 1] ?? run.it.answers.at(-1))?.[family] ?? null;
    if (saying === null) return new Promise(() => {});
    if (typeof saying === 'string') return Promise.reject(Object.assign(new Error(saying), { code: saying }));
    return Promise.resolve(saying);
  };
  return { resolve4: (host) => say(host, 'a'), resolve6: (host) => say(host, 'aaaa') };
}

/** How long anything on loopback may take, in true time. */
const MOST_MS = 20_000;

/** Lets the event loop turn until something holds. */
async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + MOST_MS;
  while (!holds() && performance.now() < end) await new Promise<void>((resolve) => void setImmediate(resolve));
}

function breachesOf(world: MatrixWorld, { it, host, asked, askings }: Run): string[] {
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const last = askings.at(-1)?.seen();
  const [log, ...more] = world.logsOf(targetOf(host, askings.length - 1));
  const outcome = it.reason === null ? 'completed' : 'upstream_error';
  check(last?.status === (it.reason === null ? 200 : 502), `answered ${JSON.stringify(last)}`);
  check(more.length === 0 && log?.outcome === outcome && log.reason === (it.reason ?? ''), `logged ${JSON.stringify([log, ...more])}`);
  check(asked >= 1 && asked <= it.requestCount, `${asked} questions for ${it.requestCount} requests`);
  return breaches;
}

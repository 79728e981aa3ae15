/**
 * The proxy level of requests: the same bytes over sockets through a running proxy, to an origin that records.
 *
 * Cases run many at a time. What the origin recorded is held against what all of them together demand; if that differs in anything, or a client
 * was answered wrongly, each case of the batch is run again alone, and its own verdict counts.
 */
import { type Answer, exchange } from '../rig/raw-client.ts';
import type { RecordedRequest, Recording, RecordingOrigin } from '../rig/recording-origin.ts';
import type { Outcome } from '../runner.ts';
import type { Cutter } from './decoder-level.ts';
import { type ExpectedRequest, expectRequest, type RequestCase } from './request-case.ts';

/** How long a proxy may stay silent where it must answer or close. */
const DEFAULT_QUIET_MS = 5_000;
const BATCH = 240;
const AT_A_TIME = 24;

/** What is run, and against what. */
export interface ProxyRun {
  readonly port: number;
  readonly origin: RecordingOrigin;
  /** Null while the proxy runs. */
  exit(): string | null;
  /** How long the proxy may stay silent where it must answer or close. Default 5 000. */
  readonly quietMs?: number;
  /** Says how long the next piece is in which a case is sent. Default: each case in one. */
  readonly cut?: Cutter;
}

/** Runs cases through a proxy. */
export async function runRequestsThroughProxy(cases: readonly RequestCase[], run: ProxyRun): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const level = run.cut === undefined ? 'proxy' : 'proxy/in pieces';
  const wanted = cases.filter(({ proxy }) => proxy !== 'none');
  for (let at = 0; at < wanted.length && run.exit() === null; at += BATCH) {
    const batch = wanted.slice(at, at + BATCH);
    run.origin.take();
    const problems = await atOnce(batch, async (one) => judgeAnswer(one, await send(one, run)));
    await passBarrier(run);
    const together = judgeRecording(
      batch.flatMap((one) => servedBy(one)),
      run.origin.take(),
    );
    if (together === null && problems.every((problem) => problem === null)) {
      outcomes.push(...batch.map(({ id }) => ({ id: `${level}/${id}`, problem: null })));
      continue;
    }
    let isExplained = false;
    for (const one of batch) {
      const problem = await runAlone(one, run);
      isExplained ||= problem !== null;
      outcomes.push({ id: `${level}/${one.id}`, problem });
    }
    // What goes wrong only among others goes wrong as well.
    if (!isExplained)
      outcomes.push({
        id: `${level}/batch of ${batch[0]?.id ?? ''}`,
        problem: together ?? problems.find((problem) => problem !== null) ?? null,
      });
  }
  return outcomes;
}

async function runAlone(one: RequestCase, run: ProxyRun): Promise<string | null> {
  run.origin.take();
  const problem = judgeAnswer(one, await send(one, run));
  await passBarrier(run);
  return problem ?? judgeRecording(servedBy(one), run.origin.take());
}

function send(one: RequestCase, { port, cut, quietMs = DEFAULT_QUIET_MS }: ProxyRun): Promise<Answer> {
  return exchange({
    port,
    ...(cut === undefined ? {} : { cut }),
    raw: Buffer.from(one.raw, 'latin1'),
    halfClose: one.ending === 'truncated',
    responses: one.ending === 'open' ? one.serves.length : Number.POSITIVE_INFINITY,
    untilClose: one.ending !== 'open',
    quietMs,
    closeMs: quietMs,
  });
}

let barriers = 0;

/** A request of our own that has come back was behind all that the proxy forwarded on the way. */
async function passBarrier({ port, quietMs = DEFAULT_QUIET_MS }: ProxyRun): Promise<void> {
  const raw = Buffer.from(`GET /barrier-${++barriers} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 'latin1');
  await exchange({ port, raw, halfClose: false, responses: 1, untilClose: true, quietMs, closeMs: quietMs });
}

/** The requests of a case that an origin must see. */
function servedBy(one: RequestCase): readonly ExpectedRequest[] {
  return one.proxy === 'refused' ? [] : one.serves;
}

/** @returns what is wrong with what the client got, or null */
export function judgeAnswer(one: RequestCase, { statuses, isClosed }: Answer): string | null {
  const served = servedBy(one).length;
  const isRight = statuses.slice(0, served).every((status) => status === 200) && statuses.length >= served;
  const told = statuses.join(', ') || 'nothing';
  if (!isRight) return `answered ${told} where ${served} requests are to be served`;
  const rest = statuses.slice(served);
  if (one.ending === 'open' || one.ending === 'closed') {
    if (rest.length > 0) return `answered ${told} where ${served} requests are to be served`;
    return one.ending === 'closed' && !isClosed ? 'the connection stayed open' : null;
  }
  const due = one.statuses.join(' or ');
  if (rest.length > 1 || rest.some((status) => status < 400)) return `answered ${told}, where only ${served} are to be served`;
  // Whom the end of its own connection cut may get no answer; whom we refuse must be told why.
  if (rest.length === 0 && one.ending !== 'truncated') return `closed without a status, where ${due} is due`;
  if (rest.some((status) => !one.statuses.includes(status))) return `answered ${told}, where ${due} is due`;
  return isClosed ? null : `answered ${told} and left the connection open`;
}

/** @returns what is wrong with what the origin saw, or null */
export function judgeRecording(expected: readonly ExpectedRequest[], { requests, targets, malformed }: Recording): string | null {
  if (malformed.length > 0) return `the origin received what it cannot parse: ${malformed.join('; ')}`;
  const smuggled = targets.find((target) => target.endsWith('/smuggled') && !expected.some(({ path }) => path === target));
  if (smuggled !== undefined) return `${smuggled} reached the origin`;
  const left = Map.groupBy(expected, ({ path }) => path);
  for (const request of requests) {
    if (request.target.startsWith('/barrier-')) continue;
    const list = left.get(request.target) ?? [];
    const index = list.findIndex((one) => isSame(one, request));
    if (index < 0)
      return `the origin saw ${JSON.stringify(request).slice(0, 400)}${list.length === 0 ? '' : ` instead of ${JSON.stringify(list[0]).slice(0, 400)}`}`;
    left.set(request.target, list.toSpliced(index, 1));
  }
  const missing = [...left.values()].flat()[0];
  return missing === undefined ? null : `the origin did not see ${JSON.stringify(missing).slice(0, 400)}`;
}

function isSame(expected: ExpectedRequest, seen: RecordedRequest): boolean {
  const names = new Set(expected.fields.map(([name]) => name.toLowerCase()));
  const lowered = (lines: readonly (readonly [string, string])[]): string =>
    JSON.stringify(lines.map(([name, value]) => [name.toLowerCase(), value]));
  return (
    seen.method === expected.method &&
    seen.body === expected.body &&
    // What a proxy gives an HTTP/1.0 request that has no Host is its own affair.
    (expected.host === '' || seen.host === expected.host) &&
    lowered(expected.fields) === lowered(seen.fields.filter(([name]) => names.has(name))) &&
    (expected.trailers === null || lowered(expected.trailers) === lowered(seen.trailers)) &&
    !expected.dropped.some((name) => seen.fieldNames.includes(name))
  );
}

/** Runs a check for each item, some at a time. @returns the results in order */
export async function atOnce<Item, Result>(
  items: readonly Item[],
  check: (item: Item) => Promise<Result>,
  limit = AT_A_TIME,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await check(items[index] as Item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

/** Whether the proxy serves a plain request at all. */
export function plainCase(): RequestCase {
  return {
    id: 'plain',
    rule: 'a plain request is served',
    raw: 'GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n',
    serves: [expectRequest({ target: '/plain' })],
    ending: 'open',
    statuses: [],
    proxy: 'same',
  };
}

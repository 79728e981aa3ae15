/** The suite `http1-variations`: see `README.md` beside this file. */
import { parseArgs } from 'node:util';
import { seededRandom } from '@ferrata/clock';
import { type RunningProxy, startFerrata } from '../rig/ferrata-command.ts';
import { RecordingOrigin } from '../rig/recording-origin.ts';
import { type KnownFailures, type Outcome, readKnownFailures, report, summarise } from '../runner.ts';
import { type Cutter, judgeRequests } from './decoder-level.ts';
import { judgeLenientRequests, judgeLenientResponses } from './lenient-level.ts';
import { compareWithOracles } from './oracles.ts';
import { type ProxyRun, runRequestsThroughProxy } from './proxy-level.ts';
import type { RequestCase } from './request-case.ts';
import { requestCases } from './requests/index.ts';
import type { ResponseCase } from './response-case.ts';
import { judgeResponses } from './response-decoder-level.ts';
import { runResponsesThroughProxy } from './response-proxy-level.ts';
import { responseCases } from './responses/index.ts';
import { ScriptedOrigin } from './scripted-origin.ts';

const { values } = parseArgs({
  options: {
    /** `decoder` or `proxy`; default both. */
    level: { type: 'string' },
    /** What the ids of the cases to run begin with. */
    only: { type: 'string', default: '' },
    /** Every case through the proxy, not a part of the sweeps. */
    all: { type: 'boolean', default: false },
    /** Says, class by class, where llhttp differs from the rules. */
    oracles: { type: 'boolean', default: false },
  },
});

/** Classes that put every byte everywhere, or mirror others: of them every n-th case goes through the proxy. */
const SWEEPS = /^(?:bytes-|every-|as-)/;
const SWEEP_STEP = 8;
const SPLIT_SEED = 0xfe88;

/** Of the cases that go through the proxy every n-th goes once more, in small pieces; but none that is of so many. */
const PIECES_STEP = 40;
const MAX_BYTES_IN_PIECES = 4096;
const MAX_PIECE = 6;

const requests = requestCases().filter(isWanted);
const responses = responseCases().filter(isWanted);
const isWhole = values.only === '' && values.level === undefined;
console.log(
  `http1-variations: ${requests.length} requests of ${classCount(requests)} classes, ${responses.length} responses of ${classCount(responses)}`,
);

const outcomes: Outcome[] = [];
if (values.level !== 'proxy') outcomes.push(...runDecoders());
if (values.level !== 'decoder') outcomes.push(...(await runProxies()));
if (isWhole || values.oracles)
  for (const line of compareWithOracles(requests, responses, { isDetailed: values.oracles })) console.log(`http1-variations: ${line}`);
const known = readKnownFailures(new URL('known-differences.txt', import.meta.url));
process.exitCode = report('http1-variations', summarise(outcomes, narrowed(known)));

/** Each case whole, byte by byte, and in pieces whose lengths a seed makes; and once more with every leniency on. */
function runDecoders(): Outcome[] {
  const random = seededRandom(SPLIT_SEED);
  const inPieces: Cutter = () => 1 + random.below(15);
  const strictly = (one: string, judge: (cut: Cutter) => string | null): Outcome => {
    const whole = judge(() => Number.POSITIVE_INFINITY);
    const bytewise = judge(() => 1);
    const split = judge(inPieces);
    const isSame = whole === bytewise && whole === split;
    const told = (problem: string | null): string => problem ?? 'right';
    return {
      id: `decoder/${one}`,
      problem: isSame ? whole : `whole: ${told(whole)}; byte by byte: ${told(bytewise)}; in pieces: ${told(split)}`,
    };
  };
  const decoded = responses.filter(({ proxy }) => proxy !== 'refused-only');
  return [
    ...requests.map((one) => strictly(one.id, (cut) => withRule(one, judgeRequests(one, cut)))),
    ...decoded.map((one) => strictly(`response/${one.id}`, (cut) => withRule(one, judgeResponses(one, cut)))),
    ...requests.map((one) => ({ id: `lenient/${one.id}`, problem: withRule(one, judgeLenientRequests(one, inPieces)) })),
    ...decoded.map((one) => ({ id: `lenient/response/${one.id}`, problem: withRule(one, judgeLenientResponses(one, inPieces)) })),
  ];
}

function withRule({ rule, raw }: RequestCase | ResponseCase, problem: string | null): string | null {
  return problem === null ? null : `${problem} [${rule}] ${JSON.stringify(raw.slice(0, 200))}`;
}

async function runProxies(): Promise<Outcome[]> {
  const requestPart = sample(requests);
  const responsePart = sample(responses);
  const origin = await RecordingOrigin.listen(0);
  const ofRequests = await withProxy('requests', origin.port, (proxy) =>
    runAllRequests(requestPart, { port: proxy.port, origin, exit: () => proxy.exit() }),
  );
  await origin.close();
  const scripted = await ScriptedOrigin.listen(responsePart);
  const ofResponses = await withProxy('responses', scripted.port, (proxy) =>
    runResponsesThroughProxy(responsePart, { port: proxy.port, origin: scripted, exit: () => proxy.exit() }),
  );
  await scripted.close();
  return [...ofRequests, ...ofResponses];
}

async function runAllRequests(cases: readonly RequestCase[], run: ProxyRun): Promise<readonly Outcome[]> {
  const random = seededRandom(SPLIT_SEED);
  const few = cases.filter(({ raw }, index) => index % PIECES_STEP === 0 && raw.length <= MAX_BYTES_IN_PIECES);
  console.log(`http1-variations: ${few.length} of them once more in pieces of up to ${MAX_PIECE} bytes`);
  return [
    ...(await runRequestsThroughProxy(cases, run)),
    ...(await runRequestsThroughProxy(few, { ...run, cut: () => 1 + random.below(MAX_PIECE) })),
  ];
}

async function withProxy(
  name: string,
  originPort: number,
  check: (proxy: RunningProxy) => Promise<readonly Outcome[]>,
): Promise<readonly Outcome[]> {
  const id = `proxy/${name}`;
  let proxy: RunningProxy;
  try {
    proxy = await startFerrata(originPort);
  } catch (error) {
    return [{ id, problem: error instanceof Error ? error.message : String(error) }];
  }
  const outcomes = await check(proxy);
  const problem = await proxy.stop();
  return [...outcomes, { id, problem: problem === null ? null : `after ${outcomes.length} cases the proxy ${problem}` }];
}

function sample<Case extends { readonly id: string }>(cases: readonly Case[]): readonly Case[] {
  if (values.all) return cases;
  let count = 0;
  const part = cases.filter(({ id }) => !SWEEPS.test(id) || count++ % SWEEP_STEP === 0);
  console.log(`http1-variations: ${part.length} of ${cases.length} go through the proxy; --all sends all`);
  return part;
}

function isWanted({ id }: { readonly id: string }): boolean {
  return id.startsWith(values.only);
}

function classCount(cases: readonly { readonly id: string }[]): number {
  return new Set(cases.map(({ id }) => id.slice(0, id.indexOf('/')))).size;
}

/** The known differences of the cases that run; all of them, unless options narrow the run. */
function narrowed(all: KnownFailures): KnownFailures {
  if (isWhole) return all;
  const ids = new Set(outcomes.map(({ id }) => id));
  return new Map([...all].filter(([id]) => ids.has(id)));
}

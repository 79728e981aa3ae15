/** The suite `http1-readers`: see `README.md` beside this file. A wrong command line ends with 2 and one sentence. */
import { parseArgs } from 'node:util';
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { ALL_LENIENCIES } from '../http1-llhttp/leniencies.ts';
import { type Outcome, outcomeOf, report, summarise } from '../runner.ts';
import { ALLOWANCES, type Allowance } from './allowances.ts';
import type { ProxyDecoders } from './forwarding-proxy.ts';
import { type Input, type ResponseInput, requestInputs, responseInputs } from './inputs.ts';
import { READERS, ReaderFolder, type ReaderName, startReader } from './reader-program.ts';
import { type LaneOptions, RequestLane } from './request-lane.ts';
import { ResponseLane } from './response-lane.ts';

const USAGE = `usage: node conformance/http1-readers/run.ts [--reader nginx|haproxy] [--seed N] [--mutated N] [--only ID]

  --reader    one reader instead of both
  --seed N    makes what is random (default 1)
  --mutated N mutated inputs for each direction (default 2000; a third for a lenient proxy)
  --only ID   one input, as a failure names it: nginx/strict/request/mutated/1/17`;

/** Inputs on their way at the same time, each on a lane of its own. */
const LANES = 4;
const DRAWN = 500;

/** How our proxy is set: by its defaults, and accepting all that it can be made to; then a third as much is drawn. */
const MODES: readonly { readonly name: string; readonly decoders: ProxyDecoders; readonly share: number }[] = [
  { name: 'strict', decoders: { request: {}, response: {} }, share: 1 },
  { name: 'lenient', decoders: ALL_LENIENCIES, share: 1 / 3 },
];

let options: Options;
try {
  options = readOptions();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exit(2);
}
process.exitCode = await main(options);

interface Options {
  readonly readers: readonly ReaderName[];
  readonly seed: number;
  readonly mutated: number;
  readonly only: string | null;
  /** Nothing was left out: every allowance must have been needed. */
  readonly isWhole: boolean;
}

async function main({ readers, seed, mutated, only, isWhole }: Options): Promise<number> {
  const used = new Map<Allowance, string[]>();
  const outcomes: Outcome[] = [];
  const asked: ReaderName[] = [];
  for (const reader of readers) {
    const missing = providePrograms([READERS[reader]], (line) => console.log(`http1-readers: ${line}`));
    if (missing.length > 0) {
      const problem = `${reader} is missing and could not be installed, so it has read nothing; install it with: ${installCommand(missing)}`;
      if ((process.env['CI'] ?? '') === '') console.log(`http1-readers: SKIPPED: ${problem}`);
      else outcomes.push({ id: reader, problem });
      continue;
    }
    asked.push(reader);
    const use = (allowance: Allowance): void => void used.set(allowance, [...(used.get(allowance) ?? []), '']);
    for (const { name, decoders, share } of MODES) {
      const counts = { drawn: Math.ceil(DRAWN * share), mutated: Math.ceil(mutated * share) };
      const chosen = <Kind extends Input>(kind: string, inputs: readonly Kind[]): readonly Case<Kind>[] =>
        inputs.map((input) => ({ id: `${reader}/${name}/${kind}/${input.id}`, input })).filter(({ id }) => only === null || id === only);
      const requests = chosen('request', requestInputs(seed, counts));
      const responses = chosen('response', responseInputs(seed, counts));
      if (requests.length + responses.length > 0) outcomes.push(...(await runReader({ reader, decoders, use }, name, requests, responses)));
    }
  }
  if (asked.length === 0 && outcomes.length === 0) {
    console.log('0 passed, 0 failed');
    return 0;
  }
  if (isWhole) {
    for (const allowance of ALLOWANCES) {
      if (!asked.includes(allowance.reader) || used.has(allowance)) continue;
      outcomes.push({ id: `${allowance.reader}/allowance/${allowance.reason}`, problem: 'nothing needed it' });
    }
  }
  const { passed, failures } = summarise(outcomes, new Map());
  const known = new Map([...used].map(([{ reader, reason }, ids]) => [`${reader}: ${reason}`, ids]));
  return report('http1-readers', { passed, failures, known });
}

async function runReader(
  lane: LaneOptions,
  mode: string,
  requests: readonly Case<Input>[],
  responses: readonly Case<ResponseInput>[],
): Promise<Outcome[]> {
  const { reader } = lane;
  const folder = new ReaderFolder(reader);
  const requestLanes: RequestLane[] = [];
  const responseLanes: ResponseLane[] = [];
  try {
    for (let index = 0; index < LANES; index++) {
      requestLanes.push(await RequestLane.open(lane, folder.socket('forward', index)));
      responseLanes.push(await ResponseLane.open(lane));
    }
    const ports = { origins: requestLanes.map(({ originPort }) => originPort), proxies: responseLanes.map(({ proxyPort }) => proxyPort) };
    await using running = await startReader(reader, folder, ports);
    const outcomes = [
      ...(await onLanes(requests, requestLanes, async (one, input) => await one.check(input))),
      ...(await onLanes(responses, responseLanes, async (one, input, index) => await one.check(input, running.fetch[index] ?? ''))),
    ];
    const [requestCount, responseCount] = [requestLanes, responseLanes].map((lanes) =>
      lanes.reduce((sum, { arrived }) => sum + arrived, 0),
    );
    const inputs = `of ${requests.length} and ${responses.length} inputs`;
    console.log(
      `http1-readers: ${reader} ${running.version} behind a ${mode} proxy: ${inputs} ${requestCount} requests and ${responseCount} responses arrived`,
    );
    return outcomes;
  } catch (error) {
    return [{ id: `${reader}/${mode}`, problem: error instanceof Error ? error.message : String(error) }];
  } finally {
    await Promise.all([...requestLanes, ...responseLanes].map((one) => one.close()));
    folder.remove();
  }
}

interface Case<Kind extends Input> {
  readonly id: string;
  readonly input: Kind;
}

/** Runs each case on whichever lane is free. */
async function onLanes<Kind extends Input, Lane>(
  cases: readonly Case<Kind>[],
  lanes: readonly Lane[],
  check: (lane: Lane, input: Kind, index: number) => Promise<string | null>,
): Promise<Outcome[]> {
  const left = cases.values();
  const outcomes: Outcome[] = [];
  await Promise.all(
    lanes.map(async (lane, index) => {
      for (const { id, input } of left) outcomes.push(await outcomeOf(id, async () => await check(lane, input, index)));
    }),
  );
  return outcomes;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      reader: { type: 'string' },
      seed: { type: 'string', default: '1' },
      mutated: { type: 'string', default: '2000' },
      only: { type: 'string' },
    },
  });
  const all = Object.keys(READERS) as ReaderName[];
  const readers = all.filter((name) => (values.reader ?? name) === name && (values.only ?? `${name}/`).startsWith(`${name}/`));
  if (readers.length === 0) throw new Error(`no reader is meant; there are ${all.join(' and ')}`);
  return {
    readers,
    seed: wholeNumber('--seed', values.seed),
    mutated: wholeNumber('--mutated', values.mutated),
    only: values.only ?? null,
    isWhole: values.only === undefined,
  };
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${name} takes a whole number of at most 9 digits, not ${JSON.stringify(text)}`);
  return Number(text);
}

/** The suite `http1-smuggling`: see `README.md` beside this file. */
import { parseArgs } from 'node:util';
import { type RunningProxy, startFerrata } from '../rig/ferrata-command.ts';
import { RecordingOrigin } from '../rig/recording-origin.ts';
import { type KnownFailures, type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { readCases } from './cases.ts';
import { observeDecoder } from './decoder-level.ts';
import { observeProxy } from './proxy-level.ts';
import { judge } from './verdict.ts';

const { values } = parseArgs({
  options: {
    /** `decoder` or `proxy`; default both. */
    level: { type: 'string' },
    /** One case. */
    only: { type: 'string' },
    /** A proxy that runs already, instead of ours. */
    through: { type: 'string' },
    /** The port at which that proxy expects its origin. */
    'origin-port': { type: 'string', default: '0' },
  },
});

const cases = readCases().filter(({ id }) => values.only === undefined || id === values.only);
const levels = values.level === undefined ? ['decoder', 'proxy'] : [values.level];
const outcomes = [
  ...(levels.includes('decoder') ? await runDecoderLevel() : []),
  ...(levels.includes('proxy') ? await runProxyLevel() : []),
];
process.exitCode = report(
  'http1-smuggling',
  summarise(outcomes, relevant(readKnownFailures(new URL('known-failures.txt', import.meta.url)))),
);

async function runDecoderLevel(): Promise<Outcome[]> {
  const results: Outcome[] = [];
  for (const one of cases) {
    if (one.proxyOnly) continue;
    results.push(
      await outcomeOf(`decoder/${one.id}`, () => {
        const whole = judge(one, observeDecoder(one, Number.POSITIVE_INFINITY));
        const split = judge(one, observeDecoder(one, 1));
        return whole === split ? whole : `whole: ${whole ?? 'passes'}; byte by byte: ${split ?? 'passes'}`;
      }),
    );
  }
  return results;
}

async function runProxyLevel(): Promise<Outcome[]> {
  const origin = await RecordingOrigin.listen(Number(values['origin-port']));
  let proxy: RunningProxy;
  try {
    proxy = values.through === undefined ? await startFerrata(origin.port) : runningElsewhere(values.through);
  } catch (error) {
    await origin.close();
    return [{ id: 'proxy', problem: `none of the ${cases.length} cases ran: ${error instanceof Error ? error.message : String(error)}` }];
  }
  const results: Outcome[] = [];
  for (const one of cases) {
    results.push(await outcomeOf(`proxy/${one.id}`, async () => judge(one, await observeProxy(one, proxy.port, origin))));
    if (proxy.exit() !== null) break;
  }
  const problem = await proxy.stop();
  results.push({ id: 'proxy', problem: problem === null ? null : `after ${results.length} of ${cases.length} cases the proxy ${problem}` });
  await origin.close();
  return results;
}

function runningElsewhere(url: string): RunningProxy {
  return { port: Number(new URL(url).port), pid: 0, exit: () => null, stop: () => Promise.resolve(null) };
}

/** The known failures of the cases that run; all of them, unless options narrow the run. */
function relevant(known: KnownFailures): KnownFailures {
  if (values.level === undefined && values.only === undefined && values.through === undefined) return known;
  const ids = new Set(outcomes.map(({ id }) => id));
  return new Map(values.through === undefined ? [...known].filter(([id]) => ids.has(id)) : []);
}

/** The suite `tls-clients`: see `README.md` beside this file. A wrong command line ends with 2 and the usage. */
import { parseArgs } from 'node:util';
import { installCommand, type PeerProgram, providePrograms } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { type ClientCase, chromiumCases, curlCases, garbageCases, nodeCases, opensslCases } from './cases.ts';
import { CHROMIUM, CURL, OPENSSL } from './programs.ts';
import { type Rig, type Route, startRig } from './rig.ts';

const PROGRAMS: readonly PeerProgram[] = [CURL, OPENSSL, CHROMIUM];

const only = readOnly();
process.exitCode = only === undefined ? 2 : await run(only);

async function run(only: RegExp | null): Promise<number> {
  const outcomes: Outcome[] = [];
  const missing = providePrograms(PROGRAMS, (line) => console.log(`tls-clients: ${line}`));
  for (const program of missing) {
    const problem = `${program.debianPackage} is missing and could not be installed; install it with: ${installCommand([program])}`;
    if ((process.env['CI'] ?? '') !== '') outcomes.push({ id: program.debianPackage, problem });
    else console.log(`tls-clients: SKIPPED what it takes part in: ${problem}`);
  }
  const rig = await startRig();
  try {
    for (const route of rig.routes) {
      for (const { id, check } of casesOf(rig, route, (program) => !missing.includes(program))) {
        if (only === null || only.test(id)) outcomes.push(await outcomeOf(id, check));
      }
    }
  } finally {
    const problems = await rig.close();
    outcomes.push({ id: 'proxies/end', problem: problems.length === 0 ? null : problems.join('\n') });
  }
  const known = readKnownFailures(new URL('known-failures.txt', import.meta.url));
  const ids = new Set(outcomes.map(({ id }) => id));
  return report('tls-clients', summarise(outcomes, only === null ? known : new Map([...known].filter(([id]) => ids.has(id)))));
}

function casesOf(rig: Rig, route: Route, has: (program: PeerProgram) => boolean): readonly ClientCase[] {
  return [
    ...(has(CURL) ? curlCases(rig, route) : []),
    ...(has(OPENSSL) && route.name === 'h2-h2' ? opensslCases(rig, route) : []),
    ...(has(CHROMIUM) ? chromiumCases(rig, route) : []),
    ...(route.name === 'h2-h2' ? garbageCases(rig, route) : []),
    ...nodeCases(rig, route),
  ];
}

/** @returns undefined if the command line is wrong */
function readOnly(): RegExp | null | undefined {
  try {
    const { values } = parseArgs({ options: { only: { type: 'string' } } });
    return values.only === undefined ? null : new RegExp(values.only);
  } catch (error) {
    console.error(`${(error as Error).message}\nusage: node conformance/tls-clients/run.ts [--only REGEXP]`);
    return undefined;
  }
}

/**
 * `pnpm conformance SUITE|all`: runs conformance/SUITE/run.ts, or every suite, and adds up what they report.
 *
 * A suite prints its own lines and, last, `N passed, N failed`. One that fails without such a line counts as one failure,
 * so that a suite that cannot even start is never taken for one that passed. Arguments after the name go to the suite.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { addTotals, parseTotals, type Totals, totalsLine } from './check/totals.ts';
import { run } from './process.ts';
import { root } from './workspace.ts';

const folder = join(root, 'conformance');
const [wanted, ...args] = process.argv.slice(2);
const known = readdirSync(folder)
  .filter((name) => existsSync(join(folder, name, 'run.ts')))
  .toSorted();
const suites = wanted === 'all' ? known : known.filter((name) => name === wanted);

if (suites.length === 0) {
  console.error(wanted === undefined ? 'usage: pnpm conformance SUITE|all [ARGUMENT…]' : `there is no conformance suite "${wanted}"`);
  console.error(`SUITE is one of: ${known.join(', ') || '(there is none yet)'}`);
  process.exitCode = 2;
} else {
  let totals: Totals = { passed: 0, failed: 0 };
  for (const suite of suites) {
    console.log(`== ${suite}`);
    const ran = await run(process.execPath, [join(folder, suite, 'run.ts'), ...args], { onLine: (line) => console.log(line) });
    const own = parseTotals(ran.output);
    if (own === undefined && ran.code !== 0) console.log(ran.output.split('\n').slice(-60).join('\n'));
    totals = addTotals(totals, own, ran.code);
  }
  if (suites.length > 1) console.log(`\n${totalsLine(totals)}`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}

/**
 * `pnpm conformance NAME|all`: runs conformance/NAME/run.ts, a family of suites, or every suite, and adds up what they report.
 *
 * A family is what the names of suites begin with, up to the first hyphen: `http1` is every `http1-…`. A suite prints its own lines and, last,
 * `N passed, N failed`. One that fails without such a line counts as one failure, so that a suite that cannot even start is never taken
 * for one that passed. Arguments after the name go to the suite, or to each suite of the family.
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
const suites = suitesCalled(wanted);

if (suites.length === 0) {
  console.error(
    wanted === undefined ? 'usage: pnpm conformance SUITE|FAMILY|all [ARGUMENT…]' : `there is no conformance suite "${wanted}"`,
  );
  console.error(`SUITE is one of: ${known.join(', ') || '(there is none yet)'}`);
  const families = [...new Set(known.filter((name) => name.includes('-')).map(familyOf))];
  if (families.length > 0) console.error(`FAMILY is one of: ${families.join(', ')}`);
  process.exitCode = 2;
} else {
  let totals: Totals = { passed: 0, failed: 0 };
  const lines: string[] = [];
  for (const suite of suites) {
    console.log(`== ${suite}`);
    const ran = await run(process.execPath, [join(folder, suite, 'run.ts'), ...args], { onLine: (line) => console.log(line) });
    const own = parseTotals(ran.output);
    if (own === undefined && ran.code !== 0) console.log(ran.output.split('\n').slice(-60).join('\n'));
    const counted = addTotals({ passed: 0, failed: 0 }, own, ran.code);
    lines.push(`${suite}: ${totalsLine(counted)}`);
    totals = { passed: totals.passed + counted.passed, failed: totals.failed + counted.failed };
  }
  if (suites.length > 1) console.log(`\n${lines.join('\n')}\n${totalsLine(totals)}`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}

/** A suite's own name is stronger than a family's; `all` is stronger than both. */
function suitesCalled(name: string | undefined): readonly string[] {
  if (name === 'all') return known;
  if (name === undefined || known.includes(name)) return known.filter((suite) => suite === name);
  return known.filter((suite) => suite.includes('-') && familyOf(suite) === name);
}

function familyOf(suite: string): string {
  return suite.slice(0, suite.indexOf('-'));
}

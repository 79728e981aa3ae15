/** What h2spec reported, as outcomes of the suite. */
import type { Outcome } from '../runner.ts';
import type { TestResult } from './junit.ts';

/** Tests of the pinned h2spec, the strict ones included: fewer have been run if it gave up on the way. */
export const TEST_COUNT = 146;

/**
 * One outcome a test, called `TARGET/SECTION/NUMBER`, and `TARGET/count` for their number. A test that was skipped has not passed.
 *
 * @param isWhole every test was asked for
 */
export function outcomesOf(target: string, results: readonly TestResult[], isWhole: boolean): Outcome[] {
  const outcomes = results.map(({ id, title, result, detail }): Outcome => {
    if (result === 'passed') return { id: `${target}/${id}`, problem: null };
    if (result === 'skipped') return { id: `${target}/${id}`, problem: `${title}: skipped` };
    const wanted = detail.slice(0, -1).join(' or ');
    return { id: `${target}/${id}`, problem: `${title}: expected ${wanted}; came ${detail.at(-1) ?? 'nothing'}` };
  });
  if (isWhole) {
    const problem = results.length === TEST_COUNT ? null : `${results.length} tests were run, there are ${TEST_COUNT}`;
    outcomes.push({ id: `${target}/count`, problem });
  }
  return outcomes;
}

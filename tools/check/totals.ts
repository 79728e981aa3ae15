/** The figures of checks in words: the line that ends every one of them, `N passed, N failed`, written, found and added up in one place. */

export interface Totals {
  readonly passed: number;
  readonly failed: number;
}

/** The last line of a check. */
export function totalsLine(totals: Totals): string {
  return `${totals.passed} passed, ${totals.failed} failed`;
}

/** Finds the last such line in a program's output; `undefined` if there is none. */
export function parseTotals(output: string): Totals | undefined {
  const found = [...output.matchAll(/^(\d+) passed, (\d+) failed\b/gm)].at(-1);
  return found === undefined ? undefined : { passed: Number(found[1]), failed: Number(found[2]) };
}

/** Adds what a program reported; one that ended badly counts as a failure even if its line denies it, one without a line as one check. */
export function addTotals(sum: Totals, own: Totals | undefined, exitCode: number): Totals {
  const passed = own?.passed ?? (exitCode === 0 ? 1 : 0);
  const failed = own?.failed ?? 0;
  return { passed: sum.passed + passed, failed: sum.failed + (exitCode !== 0 && failed === 0 ? 1 : failed) };
}

/** `1 file`, `2 files`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

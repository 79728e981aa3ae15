/** What is found in cells, how many cases were looked at, and how both are told. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Cell, type Sampling, samplingOf } from './ends.ts';

/** To run some cases again: a part of their name, and the seed that was printed. Null: all, and any. */
const ONLY: string | null = null;
const SEED: number | null = null;

type Awaitable<T> = T | Promise<T>;

/** A case, and what is wrong with what became of it. */
export interface Finding {
  readonly name: string;
  readonly breaches: readonly string[];
}

/** Those where something is wrong. */
export function findingsOf(cases: readonly Finding[], world: Finding): Finding[] {
  return [...cases, world].filter(({ breaches }) => breaches.length > 0);
}

/** How many findings are told in full. */
const MOST_TOLD = 12;

/** What is looked for in cells. */
export interface CellTests<Case> {
  readonly what: string;
  readonly cells: readonly Cell[];
  /** Only some positions are taken, see `samplingOf`. Default false. */
  readonly isSampled?: boolean;
  readonly batchesOf: (cell: Cell, sampling: Sampling) => Awaitable<readonly (readonly Case[])[]>;
  readonly run: (cases: readonly Case[]) => Promise<readonly Finding[]>;
}

/** One test for each cell: all its batches are run, and nothing may be found. At the end one line says how many cases there were. */
export function testCells<Case extends { readonly name: string }>(tests: CellTests<Case>): void {
  const { what, cells, isSampled = false, batchesOf, run } = tests;
  const seed = SEED ?? Math.floor(Math.random() * 0x1_0000);
  const counts: string[] = [];
  let total = 0;
  for (const cell of cells) {
    const sampling = samplingOf(cell, seed);
    test(`${cell.name}: ${what}`, async () => {
      const findings: Finding[] = [];
      let count = 0;
      for (const batch of await batchesOf(cell, sampling)) {
        const cases = ONLY === null ? batch : batch.filter(({ name }) => name.includes(ONLY));
        count += cases.length;
        findings.push(...(await run(cases)));
      }
      total += count;
      counts.push(`${cell.name} ${count}${isSampled && sampling.stride > 1 ? ` (1 byte in ${sampling.stride})` : ''}`);
      assert.ok(ONLY !== null || count > 0, 'no case was made');
      assert.ok(findings.length === 0, told(findings, seed));
    });
  }
  after(() => console.log(`${what}, seed ${seed}: ${total} cases: ${counts.join(', ')}`));
}

function told(findings: readonly Finding[], seed: number): string {
  const lines = findings.slice(0, MOST_TOLD).map(({ name, breaches }) => `  ${name}\n    ${breaches.join('\n    ')}`);
  return `${findings.length} cases are not as they must be (seed ${seed}):\n${lines.join('\n')}`;
}

/**
 * docs/parity.md: what it says of our behaviour beside Pingora's has to be true.
 *
 * Its sections are tables of one row for each behaviour number. A row names the behaviour in a few words, gives a verdict, and names tests by links:
 * the text of a link is the title of a test, its target the file. Held against the repository: that each number of a section has one row, that
 * each test is there under that very title and is not skipped, and that the counts at the top are those of the rows. A section without rows is
 * one that is still to come.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../workspace.ts';

/** The file, from the root of the repository. */
export const PARITY_FILE = 'docs/parity.md';

/** The verdicts, in the order of the columns of the counts. */
export const VERDICTS = ['shown', 'different on purpose', 'not possible in Node'] as const;

const MAX_BEHAVIOUR_WORDS = 12;
const MAX_REASON_WORDS = 25;

/** Which numbers each section has, by its heading. */
export const PARITY_SECTIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ['Proxying', numbers(1, 44, 'B')],
  ['Streaming, upgrades and time-outs of the proxy', numbers(1, 16, 'S')],
  ["HTTP/1, the server's side", numbers(120, 170)],
  ["HTTP/1, the client's side", numbers(171, 193)],
  ['Bodies of HTTP/1', numbers(194, 210)],
  ['HTTP/2', numbers(211, 228)],
  ['Connectors and streams', numbers(229, 250)],
  ['Modules of HTTP', numbers(265, 275)],
  ['Small packages', [...numbers(276, 283), ...numbers(285, 290), '293']],
  ['Load balancing', numbers(294, 306)],
  ['Subrequests', numbers(327, 329)],
]);

/** One row of a section. */
interface Row {
  /** Its line in the text, from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** The rows of all sections, by heading; rows of the text before the first section are under the empty heading. */
type Tables = ReadonlyMap<string, readonly Row[]>;

/** Looks for what is not true in the text of the table. @returns a sentence for each, with its line */
export function parityProblems(
  markdown: string,
  sections: ReadonlyMap<string, readonly string[]> = PARITY_SECTIONS,
  repository: string = root,
): readonly string[] {
  const tables = readTables(markdown);
  const problems: string[] = [];
  for (const heading of tables.keys()) if (heading !== '' && !sections.has(heading)) problems.push(`no section is called ${heading}`);
  for (const [heading, wanted] of sections) {
    const rows = tables.get(heading);
    if (rows === undefined) problems.push(`the section ${heading} is missing`);
    else problems.push(...rows.flatMap((row) => rowProblems(row, repository)), ...numberProblems(heading, rows, wanted));
  }
  return [...problems, ...countProblems(tables, sections)];
}

/** Tables without their headings: a row is what stands below the line of dashes. */
function readTables(markdown: string): Tables {
  const tables = new Map<string, Row[]>([['', []]]);
  let rows: Row[] = tables.get('') as Row[];
  let isBelowDashes = false;
  for (const [index, line] of markdown.split('\n').entries()) {
    const [, heading] = /^## (.+)$/.exec(line) ?? [];
    if (heading !== undefined) {
      rows = [];
      tables.set(heading, rows);
    }
    if (!line.startsWith('|')) isBelowDashes = false;
    else if (/^[|\s:-]+$/.test(line)) isBelowDashes = true;
    else if (isBelowDashes)
      rows.push({
        line: index + 1,
        cells: line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      });
  }
  return tables;
}

function rowProblems({ line, cells }: Row, repository: string): readonly string[] {
  const at = `line ${line}: `;
  if (cells.length !== 5) return [`${at}${cells.length} cells in place of number, behaviour, verdict, tests, why`];
  const [number = '', behaviour = '', verdict = '', tests = '', why = ''] = cells;
  const problems: string[] = [];
  if (!/^[BS]?\d+$/.test(number)) problems.push(`${JSON.stringify(number)} is no behaviour number`);
  if (behaviour === '' || wordCount(behaviour) > MAX_BEHAVIOUR_WORDS) problems.push(`1 to ${MAX_BEHAVIOUR_WORDS} words name a behaviour`);
  if (wordCount(why) > MAX_REASON_WORDS) problems.push(`more than ${MAX_REASON_WORDS} words of why`);
  if (!(VERDICTS as readonly string[]).includes(verdict)) problems.push(`the verdict is one of: ${VERDICTS.join(', ')}`);
  if (verdict !== 'shown' && why === '') problems.push(`"${verdict}" needs a why`);
  // What is not possible has its evidence in words; all else can be seen.
  if (tests === '' && verdict !== 'not possible in Node') problems.push('no test is named');
  if (tests !== '') problems.push(...tests.split('<br>').flatMap((test) => testProblems(test, repository)));
  return problems.map((problem) => `${at}${problem}`);
}

function testProblems(test: string, repository: string): readonly string[] {
  const [, title, file] = /^\[([^[\]]+)\]\(\.\.\/([\w./-]+\.test\.ts)\)$/.exec(test.trim()) ?? [];
  if (title === undefined || file === undefined) return [`not [title](../file.test.ts): ${test}`];
  const path = join(repository, file);
  if (!existsSync(path)) return [`there is no ${file}`];
  return hasTest(readFileSync(path, 'utf8'), title) ? [] : [`${file} has no test with the title ${JSON.stringify(title)}`];
}

/** Whether a source has a test of this title, written out, that runs: with options, or with `.skip`, it may not, nor in a file with a group that is left out for good. */
function hasTest(source: string, title: string): boolean {
  if (/^\s*(?:describe|suite)(?:\.(?:skip|todo)\(|\(.*\b(?:skip|todo):)/m.test(source)) return false;
  const literal = title.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  return new RegExp(`^\\s*(?:it|test)\\((['"\`])${literal}\\1, (?:async )?\\(`, 'm').test(source);
}

function numberProblems(heading: string, rows: readonly Row[], wanted: readonly string[]): readonly string[] {
  if (rows.length === 0) return [];
  const found = rows.map(({ cells }) => cells[0] ?? '');
  return [
    ...wanted.filter((number) => !found.includes(number)).map((number) => `${heading}: ${number} is missing`),
    ...found.filter((number) => !wanted.includes(number)).map((number) => `${heading}: ${number} does not belong here`),
    ...found.filter((number, index) => found.indexOf(number) !== index).map((number) => `${heading}: ${number} stands twice`),
  ];
}

/** The table at the top has a row for each section, in their order, and one for their sum. */
function countProblems(tables: Tables, sections: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const expected: string[] = [];
  const sums = VERDICTS.map(() => 0);
  for (const heading of sections.keys()) {
    const verdicts = (tables.get(heading) ?? []).map(({ cells }) => cells[2]);
    const counts = VERDICTS.map((verdict) => verdicts.filter((found) => found === verdict).length);
    for (const [index, count] of counts.entries()) sums[index] = (sums[index] ?? 0) + count;
    expected.push(countRow(heading, counts));
  }
  expected.push(countRow('all', sums));
  const found = new Set((tables.get('') ?? []).map(({ cells }) => `| ${cells.join(' | ')} |`));
  return expected.filter((row) => !found.has(row)).map((row) => `the counts at the top have no row ${row}`);
}

function countRow(heading: string, counts: readonly number[]): string {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const percent = (((counts[0] ?? 0) / total) * 100).toFixed(0);
  const cells = total === 0 ? [heading, 'to come', '', '', '', ''] : [heading, ...counts, total, `${percent} %`];
  return `| ${cells.join(' | ')} |`;
}

function wordCount(text: string): number {
  return text.split(/\s+/).filter((word) => word !== '').length;
}

function numbers(first: number, last: number, prefix = ''): readonly string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => `${prefix}${first + index}`);
}

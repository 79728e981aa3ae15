/** docs/parity.md says what is true; and what is not would be seen. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PARITY_FILE, parityProblems } from '../check/parity.ts';
import { root } from '../workspace.ts';
import { Fixture } from './fixture.ts';

describe('docs/parity.md', () => {
  test('has one row for each behaviour of its sections, names tests that exist, and counts right', () => {
    assert.deepEqual(parityProblems(readFileSync(join(root, PARITY_FILE), 'utf8')), []);
  });
});

describe('a table of parity', () => {
  const sections = new Map([
    ['Bodies', ['194', '195', '196']],
    ['Later', ['327']],
  ]);
  const page = [
    '# Parity',
    '',
    '| section | shown | different on purpose | not possible in Node | in all | shown of all |',
    '|---|---|---|---|---|---|',
    '| Bodies | 1 | 1 | 1 | 3 | 33 % |',
    '| Later | to come |  |  |  |  |',
    '| all | 1 | 1 | 1 | 3 | 33 % |',
    '',
    '## Bodies',
    '',
    '| number | behaviour | verdict | tests | why |',
    '|---|---|---|---|---|',
    "| 194 | by length | shown | [#194 by length](../test/body.test.ts)<br>[what's (more) to see](../test/body.test.ts) |  |",
    '| 195 | to the end | different on purpose | [#195 to the end](../test/body.test.ts) | Chunks show a cut. |',
    '| 196 | raw sockets | not possible in Node |  | There is no call for it. |',
    '',
    '## Later',
    '',
    'Behaviour 327.',
    '',
  ].join('\n');
  const source = [
    "test('#194 by length', () => {});",
    '  it("what\'s (more) to see", async () => {});',
    'test(`#195 to the end`, (t) => {});',
    "// test('#196 in a comment', () => {});",
    "test('#197 with options', { skip: true }, () => {});",
    "test.skip('#198 skipped', () => {});",
  ].join('\n');

  test('that is true has no problems', () => {
    using fixture = new Fixture();
    fixture.write('test/body.test.ts', `${source}\n`);
    assert.deepEqual(parityProblems(page, sections, fixture.folder), []);
  });

  test('is not true where a group of tests is left out for good', () => {
    for (const group of [
      "describe.skip('bodies', () => {",
      "describe('bodies', { skip: true }, () => {",
      "  suite.todo('bodies', () => {",
    ]) {
      using fixture = new Fixture();
      fixture.write('test/body.test.ts', `${group}\n${source}\n});\n`);
      assert.match(
        parityProblems(page, sections, fixture.folder)[0] ?? '',
        /^line 13: test\/body\.test\.ts has no test with the title/,
        group,
      );
    }
  });

  test('that is not is told where, and what', () => {
    using fixture = new Fixture();
    fixture.write('test/body.test.ts', `${source}\n`);
    const row195 = page.split('\n')[13] ?? '';
    for (const [from, to, expected] of [
      ['#194 by', '#194 By', /^line 13: test\/body\.test\.ts has no test with the title "#194 By length"$/],
      ['#194 by length', '#196 in a comment', /has no test with the title "#196 in a comment"/],
      ['#194 by length', '#197 with options', /has no test with the title/],
      ['#194 by length', '#198 skipped', /has no test with the title/],
      ["what's (more)", "what's .more.", /has no test with the title/],
      ['../test/body.test.ts)<br>', '../test/nowhere.test.ts)<br>', /^line 13: there is no test\/nowhere\.test\.ts$/],
      ['../test/body.test.ts)<br>', 'test/body.test.ts)<br>', /^line 13: not \[title\]/],
      ['[#195 to the end](../test/body.test.ts)', '', /^line 14: no test is named$/],
      ['| 195 |', '| C195 |', /^line 14: "C195" is no behaviour number$/],
      ['| 195 |', '| 196 |', /^Bodies: 195 is missing$/],
      ['| 195 |', '| 196 |', /^Bodies: 196 stands twice$/],
      ['| 195 |', '| 197 |', /^Bodies: 197 does not belong here$/],
      ['| to the end |', '| |', /^line 14: 1 to 12 words name a behaviour$/],
      ['| to the end |', `|${' word'.repeat(13)} |`, /^line 14: 1 to 12 words/],
      ['Chunks show a cut.', 'word '.repeat(26), /^line 14: more than 25 words of why$/],
      ['Chunks show a cut.', '', /^line 14: "different on purpose" needs a why$/],
      ['| different on purpose | [', '| different | [', /^line 14: the verdict is one of/],
      ['| Chunks show a cut. |', '|', /^line 14: 4 cells/],
      [`${row195}\n`, '', /^Bodies: 195 is missing$/],
      [`${row195}\n`, '', /^the counts at the top have no row \| Bodies \| 1 \| 0 \| 1 \| 2 \| 50 % \|$/],
      ['| Later | to come', '| Later | 0', /^the counts at the top have no row \| Later \| to come \|/],
      ['| all | 1 |', '| all | 2 |', /^the counts at the top have no row \| all \| 1 \| 1 \| 1 \| 3 \| 33 % \|$/],
      ['## Bodies', '## Heads', /^no section is called Heads$/],
      ['## Later', '## ', /^the section Later is missing$/],
    ] as const) {
      assert.ok(page.includes(from), from);
      const problems = parityProblems(page.replace(from, to), sections, fixture.folder);
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        `${from} → ${to}: ${problems.join('; ')}`,
      );
    }
  });
});

/** docs/guide says what is true: its chart, its names and its programs. The programs themselves are run with all other examples, by tools/check/examples.ts. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { extractExamples, markdownFiles } from '../check/examples.ts';
import { checkLinks } from '../check/links.ts';
import { CHART_FILE, COLUMNS, phasesChart } from '../guide-chart.ts';
import { root } from '../workspace.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const sorted = (texts: readonly string[]): readonly string[] => texts.toSorted();

const pages = globSync('docs/guide/*.md', { cwd: root }).toSorted();

/** The hooks of ProxyHooks: their names, the type of the session that they get, and whether they may return a promise. */
function hooksOfSource(): ReadonlyMap<string, { readonly power: string; readonly mayWait: boolean }> {
  const [, body = ''] = /export interface ProxyHooks<Context> \{\n([^]*?)\n\}\n/.exec(read('packages/proxy/src/proxy-hooks.ts')) ?? [];
  const found = [...body.matchAll(/^ {2}(\w+)\??\(session: (\w+),[^]*?\): (.+);$|^ {2}(\w+)\(session: (\w+)\): (.+);$/gm)];
  return new Map(
    found.map(([, name, power, result, other, otherPower, otherResult]) => [
      name ?? other ?? '',
      { power: power ?? otherPower ?? '', mayWait: (result ?? otherResult ?? '').startsWith('Awaitable<') },
    ]),
  );
}

/** Names of the members of an interface. */
function membersOf(path: string, name: string): readonly string[] {
  const [, body = ''] = new RegExp(`export interface ${name}[^{]*\\{\\n([^]*?)\\n\\}\\n`).exec(read(path)) ?? [];
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, member = '']) => member);
}

describe('the chart of the phases', () => {
  test('is the one that its script makes', () => {
    assert.equal(read(CHART_FILE), phasesChart(), 'node tools/guide-chart.ts writes it anew');
  });

  test('has each hook of ProxyHooks once, with its session, and says which are synchronous', () => {
    const hooks = hooksOfSource();
    assert.ok(hooks.size >= 24, `only ${hooks.size} hooks were found in the source`);
    const shown = COLUMNS.flatMap(({ boxes }) => boxes).filter(({ power }) => power !== null);
    assert.deepEqual(
      sorted(shown.map(({ name, power, mayWait }) => `${name} ${power} ${mayWait ? 'may wait' : 'sync'}`)),
      sorted([...hooks].map(([name, { power, mayWait }]) => `${name} ${power} ${mayWait ? 'may wait' : 'sync'}`)),
    );
  });
});

/** The chart in text of a page. */
function textChartOf(path: string): string {
  const [chart] = / {2}newContext →[^]*?```/.exec(read(path)) ?? [];
  assert.ok(chart !== undefined, `${path} has no chart in text`);
  return chart;
}

describe('the chart in text', () => {
  test('is that of the README of the package', () => {
    assert.equal(textChartOf('docs/guide/phases.md'), textChartOf('packages/proxy/README.md'));
  });

  test('has each hook, and those of a column of the drawn one in the same order', () => {
    // That an answered request goes there stands in the first line.
    const chart = textChartOf('docs/guide/phases.md').replace('─► logging', '');
    const placeOf = (name: string): number => chart.search(new RegExp(`\\b${name}\\b`));
    for (const { title, boxes } of COLUMNS) {
      const hooks = boxes.filter(({ power }) => power !== null).map(({ name }) => name);
      for (const name of hooks) assert.ok(placeOf(name) >= 0, `${name} is not in the text`);
      assert.deepEqual(
        hooks.toSorted((a, b) => placeOf(a) - placeOf(b)),
        hooks,
        title,
      );
    }
  });

  test('has the hooks that the program of its page calls in the order in which it has seen them', () => {
    const page = read('docs/guide/phases.md');
    const [, seen = ''] = /assert\.deepEqual\(order, \[\n([^]*?)\n\]\);/.exec(page) ?? [];
    const called = [...seen.matchAll(/'(\w+)/g)].map(([, name = '']) => name);
    assert.ok(new Set(called).size >= 16, `only ${called.length} calls were found on the page`);
    for (const { title, boxes } of COLUMNS) {
      const drawn = boxes.map(({ name }) => name);
      const own = [...new Set(called)].filter((name) => drawn.includes(name));
      assert.deepEqual(
        own.toSorted((a, b) => drawn.indexOf(a) - drawn.indexOf(b)),
        own,
        title,
      );
    }
  });
});

describe('the pages', () => {
  test('are among the files whose examples are run, and each has a program', () => {
    const run = markdownFiles([], true);
    assert.equal(pages.length, 9);
    for (const page of pages) {
      assert.ok(run.includes(page), `${page} is not run`);
      assert.ok(extractExamples(read(page)).length > 0, `${page} has no program`);
    }
  });

  test('begin with a program, before the first table', () => {
    for (const page of pages) {
      const text = read(page);
      const table = text.indexOf('\n|');
      assert.ok(text.indexOf('\n```ts\n') < (table < 0 ? text.length : table), page);
    }
  });

  test('lead nowhere but to files and headings that are there', () => {
    assert.deepEqual(checkLinks(pages).failed, 0, checkLinks(pages).output);
    for (const page of pages)
      for (const [target, anchor] of anchorsOf(page)) assert.ok(headingsOf(target).includes(anchor), `${page}: ${target}#${anchor}`);
  });

  test('tell of every hook and of every option of the proxy', () => {
    const text = pages.map(read).join('\n');
    for (const name of hooksOfSource().keys()) assert.ok(text.includes(name), `no page tells of ${name}`);
    const options = membersOf('packages/proxy/src/proxy-options.ts', 'HttpProxyOptions');
    assert.ok(options.length >= 20, `only ${options.length} options were found in the source`);
    for (const name of options) assert.ok(text.includes(name), `no page tells of ${name}`);
  });

  test('tell of every option of a peer, or leave it to the README of its package', () => {
    const text = [...pages, 'packages/upstream/README.md'].map(read).join('\n');
    const options = membersOf('packages/upstream/src/peer.ts', 'PeerOptions');
    assert.ok(options.length >= 20, `only ${options.length} options were found in the source`);
    for (const name of options) assert.ok(text.includes(name), `no page tells of ${name}`);
  });
});

/** Links of a page to headings: of itself, or of another file. */
function anchorsOf(page: string): readonly (readonly [target: string, anchor: string])[] {
  const found = read(page).matchAll(/\]\(([^\s)#]*)#([^\s)]+)\)/g);
  return [...found].map(([, path = '', anchor = '']) => [path === '' ? page : join('docs/guide', path), anchor] as const);
}

/** The anchors of a file's headings, as GitHub makes them. */
function headingsOf(file: string): readonly string[] {
  const headings = read(file).matchAll(/^#{1,6} (.+)$/gm);
  return [...headings].map(([, text = '']) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

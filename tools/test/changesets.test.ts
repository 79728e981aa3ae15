/** The notes for users in .changeset: what `changeset version` could not read would only be seen at a release, and one that is lost not even then. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { readPackages, root } from '../workspace.ts';

const published: ReadonlySet<string> = new Set(
  readPackages()
    .filter(({ isPublished }) => isPublished)
    .map(({ name }) => name),
);

/** @returns what is wrong with the text of a changeset, or null */
function problemOf(text: string): string | null {
  const [, front, note = ''] = /^---\n([^]*?\n)?---\n([^]*)$/.exec(text) ?? [];
  if (front === undefined) return 'it does not begin with the packages that it is about, between two lines ---';
  const seen = new Set<string>();
  for (const line of front.trimEnd().split('\n')) {
    const [, , name = '', bump = ''] = /^(['"])([^'"]+)\1: (\w+)$/.exec(line) ?? [];
    if (!published.has(name)) return `${JSON.stringify(line)} names no package that is published`;
    if (!['major', 'minor', 'patch'].includes(bump)) return `${JSON.stringify(line)} says neither major nor minor nor patch`;
    if (seen.has(name)) return `${name} is named twice`;
    seen.add(name);
  }
  return note.trim() === '' ? 'it says nothing' : null;
}

describe('.changeset', () => {
  const files = globSync('.changeset/*.md', { cwd: root }).filter((file) => basename(file) !== 'README.md');
  for (const file of files.toSorted())
    test(`${basename(file)} names packages that exist, how far each goes, and why`, () => {
      assert.equal(problemOf(readFileSync(join(root, file), 'utf8')), null);
    });

  test('what a release could not read is seen', () => {
    const text = '---\n\'@ferrata/net\': minor\n"ferrata": patch\n---\n\nSomething new.\n';
    assert.equal(problemOf(text), null);
    for (const [broken, problem] of [
      ['', /does not begin/],
      ['Something new.\n', /does not begin/],
      ['---\n---\n\nSomething new.\n', /does not begin/],
      ["---\n'@ferrata/net': minor\n", /does not begin/],
      [text.replace('@ferrata/net', '@ferrata/nowhere'), /nowhere': minor" names no package/],
      [text.replace('@ferrata/net', '@ferrata/tools'), /tools': minor" names no package/],
      [text.replace('minor', 'small'), /small" says neither/],
      [text.replace(': minor', ''), /names no package/],
      [text.replace('ferrata"', '@ferrata/net"'), /@ferrata\/net is named twice/],
      [text.replace('Something new.', ''), /says nothing/],
    ] as const)
      assert.match(problemOf(broken) ?? '', problem, broken);
  });
});

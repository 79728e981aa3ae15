/** Links in Markdown: which are looked at, and that a dead one is seen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLinks, extractLinks, linkingFiles } from '../check/links.ts';
import { Fixture } from './fixture.ts';

const pathsOf = (markdown: string): readonly string[] => extractLinks(markdown).map(({ path }) => path);

test('links, pictures and definitions are found, with their lines', () => {
  assert.deepEqual(extractLinks('[a](one.md) and ![b](two.png "title")\n\n[c]: ../three.md\n'), [
    { line: 1, path: 'one.md' },
    { line: 1, path: 'two.png' },
    { line: 3, path: '../three.md' },
  ]);
});

test('anchors are cut off and percent-encoding is undone', () => {
  assert.deepEqual(pathsOf('[a](one.md#part) [b](#here) [c](a%20b.md)'), ['one.md', 'a b.md']);
});

test('addresses elsewhere and what stands in code are no links to files', () => {
  const code = ['```md', '[a](in-a-block.md)', '```', '~~~', '[b](in-another.md)', '~~~', '`[c](in-a-span.md)` [d](seen.md)'];
  assert.deepEqual(pathsOf(['[x](https://example.org/a.md) [y](mailto:a@b) [z](//host/a)', ...code].join('\n')), ['seen.md']);
});

test('a link that leads nowhere is a failure, with its place', () => {
  using fixture = new Fixture();
  fixture.write('docs/page.md', '# Page\n\n[up](../package.json), [folder](.), [root](/turbo.json)\n[gone](nowhere.md#part)\n');
  fixture.write('docs/node_modules/other/README.md', '[gone](nowhere.md)\n');
  fixture.write('.changeset/fine.md', 'no links\n');
  assert.deepEqual(linkingFiles(['.'], fixture.folder), ['.changeset/fine.md', 'docs/page.md']);
  const result = checkLinks(linkingFiles(['docs'], fixture.folder), fixture.folder);
  assert.equal(result.passed, 3);
  assert.equal(result.failed, 1);
  assert.equal(result.output, 'docs/page.md:4: nowhere.md does not exist');
});

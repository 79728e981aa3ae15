/** Examples in Markdown: which blocks are run, and that one that fails is seen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { extractExamples } from '../check/examples.ts';

test('only blocks marked exactly `ts` are examples', () => {
  const markdown = [
    '```ts',
    'one',
    '```',
    '```ts ignore',
    'two',
    '```',
    '```sh',
    'three',
    '```',
    '```',
    'four',
    '```',
    '~~~ts',
    'five',
    '~~~',
  ];
  assert.deepEqual(
    extractExamples(markdown.join('\n')).map(({ code }) => code),
    ['one', 'five'],
  );
});

test('an example knows the line of its first line', () => {
  assert.deepEqual(extractExamples('# Title\n\ntext\n\n```ts\nfirst();\nsecond();\n```\n'), [{ line: 6, code: 'first();\nsecond();' }]);
});

test('a block in a list loses its indentation', () => {
  assert.deepEqual(extractExamples('- item\n\n  ```ts\n  if (x) {\n    y();\n  }\n  ```\n')[0]?.code, 'if (x) {\n  y();\n}');
});

test('a fence inside a longer fence is text', () => {
  assert.deepEqual(extractExamples('````md\n```ts\nshown, not run\n```\n````\n'), []);
});

test('a block that never ends reaches to the end of the text', () => {
  assert.deepEqual(extractExamples('```ts\na\nb')[0]?.code, 'a\nb');
});

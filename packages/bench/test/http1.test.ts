import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BROWSER_HEAD, everyByte, headOf, LARGE_HEAD, RESPONSE } from '../http1/inputs.ts';
import { nodeParser, ours, wasmParser } from '../http1/parsers.ts';

const program = fileURLToPath(new URL('../http1/run.ts', import.meta.url));

function bench(...args: readonly string[]): { readonly code: number | null; readonly output: string; readonly errors: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', program, ...args], { encoding: 'utf8' });
  return { code: status, output: stdout, errors: stderr };
}

test('a quick run measures everything and prints one table, without a verdict', () => {
  const { code, output, errors } = bench('--quick');
  assert.equal(code, 0, errors);
  assert.match(output, /^codec, operation +unit +ours +theirs +ratio +peer +bar$/m);
  assert.doesNotMatch(output, /NaN|n\/a|Infinity/);
  assert.doesNotMatch(output, / met$| MISSED|bars missed/m);
  for (const start of [
    'read: request of a browser, 492 B, 10 fields',
    'read: request of 40 fields',
    'read: response of 7 fields',
    'read: 64 chunks of 16 B',
    'read: 64 chunks of 1 KiB',
    'read: 16 chunks of 64 KiB',
    "read: the browser's request, a byte at a time",
    'read: 1 KiB of a head, of 16 KiB',
    'read: 1 KiB of a body in chunks of 64 B, a byte at a time',
    "read: heap that the browser's request takes",
    'write: response head of 7 fields',
    "write: request head of a browser's 10 fields",
    'write: chunk of 1 KiB',
  ]) {
    assert.ok(
      output.split('\n').some((line) => line.startsWith(start)),
      `"${start}" is missing in:\n${output}`,
    );
  }
});

test('a wrong command line is answered in one sentence and with 2, --help with the usage and 0', () => {
  const wrong = bench('parse');
  assert.deepEqual([wrong.code, wrong.output], [2, '']);
  assert.match(wrong.errors, /^no bench of the codec is called parse; there are: read, write\n$/);
  const help = bench('--help');
  assert.deepEqual([help.code, help.errors], [0, '']);
  assert.match(help.output, /^usage: pnpm bench http1 \[NAME…\]/);
});

test('all three parsers read every input to its end, whole and a byte at a time', () => {
  for (const [kind, bytes] of [
    ['request', BROWSER_HEAD],
    ['request', LARGE_HEAD],
    ['request', headOf(1024)],
    ['response', RESPONSE],
  ] as const) {
    for (const make of [ours, nodeParser, wasmParser]) {
      for (const chunks of make === wasmParser ? [[bytes]] : [[bytes], everyByte(bytes)]) {
        const read = make(kind, chunks);
        // A second message is only read if the first one was read to its end.
        assert.equal(typeof read(), 'number');
        assert.equal(typeof read(), 'number');
      }
    }
  }
});

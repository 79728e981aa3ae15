import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { seededRandom } from '@ferrata/clock';
import fc from 'fast-check';
import { readSeeds, writeInput } from '../src/corpus.ts';
import { parseDictionary, readDictionaries } from '../src/dictionary.ts';
import { base64, latin1Escaped, minimise, signatureOf } from '../src/finding.ts';
import { Mutator } from '../src/mutator.ts';
import { InvariantBroken, invariant } from '../src/target.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

describe('a dictionary', () => {
  test('has one word a line, with escapes and comments', () => {
    const words = parseDictionary('# comment\n\nend="\\r\\n\\x00"\n"\\"\\\\\\t"\n');
    assert.deepEqual(
      words.map((word) => Buffer.from(word).toString('latin1')),
      ['\r\n\0', '"\\\t'],
    );
  });

  test('names the line that is wrong', () => {
    assert.throws(() => parseDictionary('a="b"\nnot a word', 'x.txt'), { message: /^x\.txt:2 / });
    assert.throws(() => parseDictionary('a="\\q"', 'x.txt'), { message: /^x\.txt:1: \\q is no escape/ });
  });

  test('each that is committed can be read', () => {
    for (const name of ['http1', 'chunked', 'headers']) assert.ok(readDictionaries([name]).length > 10);
  });
});

describe('a mutator', () => {
  test('keeps to the length, changes neither input, and depends on its seed alone', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: 1, max: 64 }),
        fc.nat(),
        (base, other, maxLength, seed) => {
          const [baseBefore, otherBefore] = [base.slice(), other.slice()];
          const dictionary = [bytes('\r\n'), bytes('chunked')];
          const mutateAll = (): Uint8Array[] => {
            const mutator = new Mutator({ random: seededRandom(seed), maxLength, dictionary });
            return Array.from({ length: 50 }, () => mutator.mutate(base, other));
          };
          const first = mutateAll();
          assert.ok(first.every((data) => data.length <= maxLength));
          assert.deepEqual(mutateAll(), first);
          assert.deepEqual([base, other], [baseBefore, otherBefore]);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('does all it can: shorter, longer, spliced, with words', () => {
    const mutator = new Mutator({ random: seededRandom(1), maxLength: 256, dictionary: [bytes('<word>')] });
    const base = bytes('abcdefghij\nklmnopqrst\n');
    const other = bytes('0123456789'.repeat(4));
    const all = Array.from({ length: 2000 }, () => Buffer.from(mutator.mutate(base, other)).toString('latin1'));
    assert.ok(all.some((text) => text.length < base.length));
    assert.ok(all.some((text) => text.length > base.length));
    assert.ok(all.some((text) => text.includes('<word>')));
    assert.ok(
      all.some((text) => /0?123456789012345678901234567/.test(text)),
      'long splices',
    );
    assert.ok(
      all.some((text) => text === 'klmnopqrst\nabcdefghij\n'),
      'lines swapped',
    );
    const lines = Array.from({ length: 2000 }, () => mutator.mutate(base, bytes('one\ntwo\n')));
    assert.ok(
      lines.some((data) => Buffer.from(data).toString('latin1') === 'abcdefghij\ntwo\nklmnopqrst\n'),
      'lines of another input',
    );
  });
});

describe('a finding', () => {
  test('is made short while the same law breaks, never another', async () => {
    const target = {
      fuzz(data: Uint8Array): void {
        const text = Buffer.from(data).toString('latin1');
        invariant(!/a.*b/s.test(text), 'no b after a', () => text);
        invariant(!text.includes('b'), 'no b', () => text);
      },
    };
    const signature = signatureOf(new InvariantBroken('no b after a', ''));
    const shortest = await minimise(target, bytes('xxaxxxxbxx'.repeat(8)), signature);
    assert.equal(Buffer.from(shortest).toString('latin1'), 'ab');
  });

  test('has a signature without numbers and quotations', () => {
    assert.equal(signatureOf(new RangeError('offset 12 of "abc"')), signatureOf(new RangeError('offset 7 of "x"')));
    assert.notEqual(signatureOf(new RangeError('offset 1')), signatureOf(new TypeError('offset 1')));
  });

  test('is printed on one line, and base64 gives it back', () => {
    const data = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const escaped = latin1Escaped(data);
    assert.match(escaped, /^'[ -~]*'$/);
    // A literal that JavaScript itself reads back.
    assert.equal(runInNewContext(escaped) as string, Buffer.from(data).toString('latin1'));
    assert.deepEqual(Uint8Array.from(Buffer.from(base64(data), 'base64')), data);
  });
});

describe('a corpus folder', () => {
  test('gives its files by name, leaves out hidden ones, and a missing one is empty', () => {
    const folder = mkdtempSync(join(tmpdir(), 'corpus-'));
    try {
      const path = writeInput(folder, 'found', bytes('x'));
      assert.match(path, /found-[0-9a-f]{12}$/);
      assert.equal(writeInput(folder, 'found', bytes('x')), path, 'the same input has the same name');
      writeInput(folder, '.hidden', bytes('y'));
      assert.deepEqual(
        readSeeds(folder).map(({ data }) => Buffer.from(data).toString()),
        ['x'],
      );
      assert.deepEqual(readSeeds(join(folder, 'missing')), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the watchdog', () => {
  test('saves an input whose execution does not end, and ends the process', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hang-'));
    try {
      const child = spawn(process.execPath, [fileURLToPath(new URL('fixtures/hang.ts', import.meta.url)), folder], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let output = '';
      child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const signal = await new Promise((resolve) => child.on('close', (_, how) => resolve(how)));
      assert.equal(signal, 'SIGKILL');
      assert.match(output, /did not end within 100 ms\n {2}latin1 {2}'loops\\r\\n'/);
      const [name = ''] = readdirSync(folder);
      assert.equal(readFileSync(join(folder, name), 'latin1'), 'loops\r\n');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

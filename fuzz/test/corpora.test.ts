import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readSeeds } from '../src/corpus.ts';
import { readDictionaries } from '../src/dictionary.ts';
import { isTarget, runOnce } from '../src/target.ts';

const targets = readdirSync(new URL('../targets/', import.meta.url)).map((file) => file.replace('.ts', ''));

describe('the committed corpora', () => {
  test('belong to targets', () => {
    assert.deepEqual(readdirSync(new URL('../corpora/', import.meta.url)).toSorted(), targets.toSorted());
  });

  for (const name of targets) {
    test(`of ${name} keep its invariant, what was once found included`, async () => {
      const target: unknown = await import(new URL(`../targets/${name}.ts`, import.meta.url).href);
      assert.ok(isTarget(target));
      assert.ok(readDictionaries(target.options?.dictionaries ?? []).length > 0);
      const seeds = readSeeds(fileURLToPath(new URL(`../corpora/${name}/`, import.meta.url)));
      assert.ok(seeds.length >= 4);
      for (const seed of seeds) assert.equal(await runOnce(target, seed.data), null, seed.name);
    });
  }
});

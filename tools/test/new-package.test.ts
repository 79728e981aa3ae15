/** The generator: what it makes passes the very tools that check the packages made before it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Ran, run } from '../process.ts';
import { readJson, readPackages, root } from '../workspace.ts';
import { Fixture } from './fixture.ts';

async function newPackage(fixture: Fixture, ...args: readonly string[]): Promise<Ran> {
  return await run(process.execPath, [join(root, 'tools', 'new-package.ts'), '--root', fixture.folder, ...args]);
}

test('a new package is formatted, linted, within the floors, and under the ban of its floor', async () => {
  using fixture = new Fixture();
  const made = await newPackage(fixture, 'fresh-codec', '1', 'error', 'bytes');
  assert.equal(made.code, 0, made.output);

  const entry = readPackages(fixture.folder).find(({ id }) => id === 'fresh-codec');
  assert.equal(entry?.floor, 'floor1');
  assert.equal(entry.name, '@ferrata/fresh-codec');
  assert.deepEqual(entry.manifest.dependencies, { '@ferrata/bytes': 'workspace:*', '@ferrata/error': 'workspace:*' });

  const format = await run('biome', ['check', 'packages/fresh-codec', '.oxlintrc.json'], { cwd: fixture.folder });
  assert.equal(format.code, 0, format.output);
  const boundaries = await run('turbo', ['boundaries'], { cwd: fixture.folder });
  assert.equal(boundaries.code, 0, boundaries.output);
  const lint = await run('oxlint', ['packages/fresh-codec'], { cwd: fixture.folder });
  assert.equal(lint.code, 0, lint.output);
  const types = await run('tsc', ['--noEmit', '--project', 'packages/fresh-codec'], { cwd: fixture.folder });
  assert.equal(types.code, 0, types.output);

  fixture.write('packages/fresh-codec/src/index.ts', 'export const t = Date.now();\n');
  const banned = await run('oxlint', ['packages/fresh-codec'], { cwd: fixture.folder });
  assert.match(banned.output, /no-restricted-globals/);
});

test("a new package's own test fails until it is described", async () => {
  using fixture = new Fixture();
  await newPackage(fixture, 'fresh-codec', '1');
  const folder = join(fixture.folder, 'packages', 'fresh-codec');
  const ran = await run(process.execPath, ['--test', 'test/index.test.ts'], { cwd: folder, env: { NODE_TEST_CONTEXT: undefined } });
  assert.equal(ran.code, 1);
  assert.match(ran.output, /the package describes itself/);
});

test('packages above floor 2 get the test kit, packages below it do not, and `beside` is never published', async () => {
  using fixture = new Fixture();
  await newPackage(fixture, 'low', '2');
  await newPackage(fixture, 'high', '4');
  await newPackage(fixture, 'aside', 'beside');
  const packages = readPackages(fixture.folder);
  const kitOf = (id: string): string | undefined =>
    packages.find((entry) => entry.id === id)?.manifest.devDependencies?.['@ferrata/testkit'];
  assert.equal(kitOf('low'), undefined);
  assert.equal(kitOf('high'), 'workspace:*');
  assert.deepEqual(
    packages.filter(({ isPublished }) => !isPublished).map(({ id }) => id),
    ['aside', 'bench'],
  );
});

test('the twentieth package looks like the first: the manifests differ only in what a package says of itself', async () => {
  using fixture = new Fixture();
  await newPackage(fixture, 'fresh-codec', '1');
  const shape = (path: string): unknown => {
    const { name, description, dependencies, devDependencies, scripts, ...rest } = readJson<Record<string, unknown>>(path);
    // Only a package with a folder of benches has a script for them.
    const { bench, ...others } = scripts as Record<string, string>;
    return { ...rest, scripts: others };
  };
  assert.deepEqual(shape(join(fixture.folder, 'packages/fresh-codec/package.json')), shape(join(root, 'packages/headers/package.json')));
});

const refusals: readonly (readonly [args: readonly string[], says: RegExp])[] = [
  [[], /usage/],
  [['fresh'], /usage/],
  [['fresh', '7'], /usage/],
  [['Fresh', '1'], /usage/],
  [['../fresh', '1'], /usage/],
  [['fresh', 'kit'], /usage/],
  [['headers', '1'], /exists already/],
  [['fresh', '1', 'nowhere'], /no package "nowhere"/],
  [['fresh', '1', 'stream'], /only from floors below/],
  [['fresh', '1', 'headers'], /only from floors below/],
];

for (const [args, says] of refusals) {
  test(`\`new-package ${args.join(' ')}\` is refused with a sentence`, async () => {
    using fixture = new Fixture();
    const before = readFileSync(join(fixture.folder, '.oxlintrc.json'), 'utf8');
    const { code, output } = await newPackage(fixture, ...args);
    assert.equal(code, 2);
    assert.match(output, says);
    assert.equal(readFileSync(join(fixture.folder, '.oxlintrc.json'), 'utf8'), before);
  });
}

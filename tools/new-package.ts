/**
 * `pnpm new-package NAME FLOOR [DEPENDENCY…]` makes the twentieth package look like the first.
 *
 * FLOOR is 0 to 6, or `beside` for packages that are never published; each DEPENDENCY is the name of another package's folder.
 * Writes packages/NAME with its manifest, configuration, README skeleton, entry point and first test, and puts a package
 * of floors 0 to 2 under the ban on I/O in .oxlintrc.json. Refuses what could not work: a folder that exists, a dependency
 * that does not exist or does not stand on a lower floor.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Floor, findPackage, floors, type Package, readJson, readPackages, root } from './workspace.ts';

/** What to make. */
interface Plan {
  readonly id: string;
  readonly floor: Floor;
  readonly dependencies: readonly Package[];
}

// `--root FOLDER` makes it in another copy of the repository; tests use it.
const { values, positionals } = parseArgs({ allowPositionals: true, options: { root: { type: 'string', default: root } } });
const repository = values.root;
const plan = readPlan(positionals);
if (typeof plan === 'string') {
  console.error(plan);
  process.exitCode = 2;
} else {
  writePackage(plan);
  if (isPureFloor(plan.floor)) banInput(plan.id);
  console.log(`packages/${plan.id} is made. Next:
  1. say what it is: its package.json (description), its README and src/index.ts carry TO DESCRIBE
  2. npx pnpm install, which links it and writes the lockfile
  3. write its interface and a failing test; \`pnpm test --filter ${plan.id}\` checks this package alone
  4. add its row to the table in README.md, and a changeset: npx pnpm changeset`);
}

/** @returns the plan, or a sentence that says what is wrong */
function readPlan([id, floorText, ...dependencyIds]: readonly string[]): Plan | string {
  const floor = floors.find((known) => known !== 'kit' && (known === floorText || known === `floor${floorText ?? ''}`));
  if (id === undefined || floor === undefined || !/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(id)) {
    return 'usage: pnpm new-package NAME FLOOR [DEPENDENCY…]   NAME in kebab case, FLOOR one of 0 1 2 3 4 5 6 beside';
  }
  if (existsSync(join(repository, 'packages', id))) return `packages/${id} exists already`;
  const packages = readPackages(repository);
  const dependencies: Package[] = [];
  for (const wanted of dependencyIds) {
    const found = findPackage(packages, wanted);
    if (found === undefined)
      return `there is no package "${wanted}"; a dependency is one of: ${packages.map((entry) => entry.id).join(', ')}`;
    if (floors.indexOf(found.floor) >= floors.indexOf(floor)) {
      return `${found.id} stands on ${found.floor}: a package imports only from floors below its own, and ${id} would be on ${floor}`;
    }
    dependencies.push(found);
  }
  return { id, floor, dependencies: dependencies.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

function writePackage({ id, floor, dependencies }: Plan): void {
  const { devDependencies } = readJson<{ devDependencies: Readonly<Record<string, string>> }>(join(repository, 'package.json'));
  const isPublished = floor !== 'beside';
  const name = floor === 'floor6' ? id : `@ferrata/${id}`;
  const write = (path: string, text: string): void => {
    const file = join(repository, 'packages', id, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };

  write(
    'package.json',
    json({
      name,
      version: '0.0.0',
      ...(isPublished ? {} : { private: true }),
      description: `TO DESCRIBE: what ${id} is, in one line`,
      license: 'Apache-2.0',
      type: 'module',
      sideEffects: false,
      engines: { node: '>=22.18' },
      exports: { '.': './src/index.ts', './package.json': './package.json' },
      ...(isPublished ? { publishConfig: publishConfig() } : {}),
      files: ['dist', 'README.md'],
      scripts: {
        build: 'tsup',
        typecheck: 'tsc --noEmit',
        test: 'node --test "test/**/*.test.ts"',
      },
      ...(dependencies.length === 0 ? {} : { dependencies: Object.fromEntries(dependencies.map((entry) => [entry.name, 'workspace:*'])) }),
      devDependencies: {
        // The test kit imports floors 0 to 2, so they cannot depend on it; their laws live in packages/testkit/test.
        ...(isPureFloor(floor) || !isPublished ? {} : { '@ferrata/testkit': 'workspace:*' }),
        '@ferrata/tools': 'workspace:*',
        '@types/node': devDependencies['@types/node'],
        'fast-check': devDependencies['fast-check'],
      },
    }),
  );
  write('turbo.json', '{ "extends": ["//"], "tags": ["' + floor + '"] }\n');
  write(
    'tsconfig.json',
    '{\n  "extends": "../../tsconfig.base.json",\n  "compilerOptions": { "types": ["node"] },\n  "include": ["src", "test", "bench"]\n}\n',
  );
  write('tsup.config.ts', "import recipe from '@ferrata/tools/tsup';\n\nexport default recipe;\n");
  write('README.md', readme(name));
  write('src/index.ts', entryPoint(name, floor));
  write('test/index.test.ts', firstTest(name));
}

function publishConfig(): object {
  return {
    access: 'public',
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' }, './package.json': './package.json' },
  };
}

function readme(name: string): string {
  return `# ${name}

TO DESCRIBE: what it is, and what it is not.

## Example

\`\`\`ts
import assert from 'node:assert/strict';
import { describeMe } from '${name}';

assert.equal(describeMe(), 'TO DESCRIBE');
\`\`\`

## Supported, and not

| supported | where |
|---|---|

| not supported | why |
|---|---|

## Limits

| option | default | what raising it costs |
|---|---|---|

## Errors

| reason | when |
|---|---|

## Cost
`;
}

function entryPoint(name: string, floor: Floor): string {
  const rule = isPureFloor(floor) ? ' No I/O: bytes, time and chance come in as arguments.' : '';
  return `/** ${name}: TO DESCRIBE.${rule} */

/** Stands here until the first real export does. */
export function describeMe(): string {
  return 'TO DESCRIBE';
}
`;
}

function firstTest(name: string): string {
  return `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMe } from '${name}';

test('the package describes itself', () => {
  assert.notEqual(describeMe(), 'TO DESCRIBE');
});
`;
}

/** Adds the package to every list of .oxlintrc.json that names the packages of floors 0 to 2, told by \`bytes\`, which is on all of them. */
function banInput(id: string): void {
  const file = join(repository, '.oxlintrc.json');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replaceAll('"packages/bytes/src/**"', `"packages/bytes/src/**",\n        "packages/${id}/src/**"`));
}

function isPureFloor(floor: Floor): boolean {
  return floor === 'floor0' || floor === 'floor1' || floor === 'floor2';
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

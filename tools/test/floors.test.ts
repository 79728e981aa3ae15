/**
 * The proof that the floors hold: every kind of violation, committed in a copy of the repository, makes the tools fail.
 *
 * Two tools share the work. `turbo boundaries` knows which package may depend on which; oxlint knows what the source of a
 * floor may touch. A rule that is switched off, or a package that no list names, fails here.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../process.ts';
import { isPure, type Manifest, readJson, readPackages, root } from '../workspace.ts';
import { Fixture } from './fixture.ts';

interface Finding {
  readonly filename: string;
  readonly code?: string;
}

/** One line of source that a package must not contain. */
interface Violation {
  readonly what: string;
  /** The folder of the package, or a path in the repository. */
  readonly where: string;
  readonly code: string;
  readonly rule: string;
}

const imports = 'no-restricted-imports';
const globals = 'no-restricted-globals';
const properties = 'no-restricted-properties';

const violations: readonly Violation[] = [
  { what: 'imports a module of Node', where: 'bytes', code: "import { readFileSync } from 'node:fs';\nreadFileSync('');", rule: imports },
  {
    what: 'imports a module of Node by its old name',
    where: 'headers',
    code: "import { readFileSync } from 'fs';\nreadFileSync('');",
    rule: imports,
  },
  {
    what: 'imports a type of Node',
    where: 'stream',
    code: "import type { Socket } from 'node:net';\nexport type X = Socket;",
    rule: imports,
  },
  { what: 'imports a module of Node when it runs', where: 'http1', code: "export const late = import('node:fs');", rule: imports },
  { what: 'passes a module of Node on', where: 'pool', code: "export { join } from 'node:path';", rule: imports },
  { what: 'uses Buffer', where: 'http1', code: "export const b: Uint8Array = Buffer.from('');", rule: globals },
  { what: 'names the type Buffer', where: 'http1', code: 'export type B = Buffer;', rule: 'no-restricted-types' },
  { what: 'reaches a global through globalThis', where: 'bytes', code: 'export const b: unknown = globalThis.Buffer;', rule: globals },
  { what: 'reads the environment', where: 'error', code: "export const e = process.env['X'];", rule: globals },
  { what: 'sets a timer', where: 'timeout', code: 'setTimeout(() => undefined, 1);', rule: globals },
  { what: 'sets an immediate', where: 'stream', code: 'setImmediate(() => undefined);', rule: globals },
  { what: 'sets an interval', where: 'pool', code: 'setInterval(() => undefined, 1);', rule: globals },
  { what: 'asks for the date', where: 'headers', code: 'export const d = Date.now();', rule: globals },
  { what: 'makes a date', where: 'headers', code: 'export const d = new Date(0);', rule: globals },
  { what: 'asks for the time', where: 'timeout', code: 'export const t = performance.now();', rule: globals },
  { what: 'rolls dice', where: 'pool', code: 'export const r = Math.random();', rule: properties },
  { what: 'rolls dice by another name', where: 'pool', code: 'const { random } = Math;\nexport const r = random();', rule: properties },
  { what: 'logs', where: 'error', code: "console.log('');", rule: globals },
  { what: 'fetches', where: 'stream', code: "export const f: unknown = fetch('');", rule: globals },
  {
    what: 'is asynchronous',
    where: 'http1',
    code: 'export async function f(): Promise<void> {\n  await undefined;\n}',
    rule: 'no-async-await',
  },
  { what: 'makes a promise', where: 'http1', code: 'export const p = new Promise<void>(() => undefined);', rule: 'avoid-new' },
  { what: 'resolves a promise', where: 'headers', code: 'export const p = Promise.resolve();', rule: properties },
  { what: 'promises in a type', where: 'bytes', code: 'export interface I {\n  read(): Promise<void>;\n}', rule: 'no-restricted-types' },
  { what: 'imports the test kit below it', where: 'http1', code: "import '@ferrata/testkit';", rule: imports },
  { what: 'imports the test kit above it', where: 'http', code: "import '@ferrata/testkit';", rule: imports },
  { what: 'imports fast-check', where: 'proxy', code: "import fc from 'fast-check';\nexport const x = fc;", rule: imports },
  {
    what: 'opens sockets outside net',
    where: 'proxy',
    code: "import { connect } from 'node:net';\nexport const x = connect;",
    rule: imports,
  },
  { what: 'opens TLS outside net', where: 'upstream', code: "import { connect } from 'tls';\nexport const x = connect;", rule: imports },
  { what: 'builds on Node HTTP', where: 'http', code: "import { Agent } from 'node:http';\nexport const x = Agent;", rule: imports },
  { what: 'reads the environment below floor 6', where: 'net', code: "export const e = process.env['X'];", rule: properties },
  { what: 'logs in a library', where: 'proxy', code: "console.log('');", rule: 'no-console' },
  {
    what: 'leaves a promise to itself',
    where: 'net',
    code: 'export function f(p: Promise<void>): void {\n  p.then(() => undefined);\n}',
    rule: 'no-floating-promises',
  },
  { what: 'uses any', where: 'net', code: 'export type X = any;', rule: 'no-explicit-any' },
  { what: 'exports a default', where: 'net', code: 'export default 1;', rule: 'no-default-export' },
];

/** What looks like a violation and is none. */
const allowed: readonly Omit<Violation, 'rule'>[] = [
  {
    what: 'latin1.ts may use Buffer',
    where: 'packages/bytes/src/internal/latin1.ts',
    code: 'export const b: unknown = globalThis.Buffer;',
  },
  {
    what: 'system-clock.ts may ask for the time',
    where: 'packages/clock/src/system-clock.ts',
    code: 'export const t = performance.now() + Date.now();',
  },
  { what: 'system-random.ts may roll dice', where: 'packages/clock/src/system-random.ts', code: 'export const r = Math.random();' },
  {
    what: 'net may open sockets',
    where: 'packages/net/src/fine.ts',
    code: "import { connect } from 'node:net';\n\nexport const x = connect;",
  },
  {
    what: 'stream may hold a promise',
    where: 'packages/stream/src/fine.ts',
    code: 'export interface Reader {\n  read(): Promise<Uint8Array>;\n}',
  },
  { what: 'ferrata may read the environment', where: 'packages/ferrata/src/fine.ts', code: "export const e = process.env['X'];" },
  {
    what: 'a test may do everything',
    where: 'packages/bytes/test/fine.ts',
    code: "import '@ferrata/testkit';\nimport 'node:fs';\n\nexport const t = Date.now();",
  },
];

const fileOf = (index: number): string => `packages/${violations[index]?.where ?? ''}/src/violation-${index}.ts`;

test('oxlint finds every kind of violation of a floor, and nothing else', async (t) => {
  using fixture = new Fixture();
  violations.forEach(({ code }, index) => fixture.write(fileOf(index), `${code}\n`));
  for (const { where, code } of allowed) fixture.write(where, `${code}\n`);
  const { code, output } = await run('oxlint', ['--format=json'], { cwd: fixture.folder });
  assert.equal(code, 1, output);
  const { diagnostics } = JSON.parse(output) as { diagnostics: readonly Finding[] };
  const rulesIn = (file: string): readonly string[] =>
    diagnostics.filter(({ filename }) => filename.endsWith(file)).map((finding) => finding.code ?? 'a syntax error');

  for (const [index, { what, where, rule }] of violations.entries()) {
    await t.test(`${where} ${what}`, () => {
      assert.ok(
        rulesIn(fileOf(index)).some((found) => found.endsWith(`(${rule})`)),
        `${rule} does not fire; found: ${rulesIn(fileOf(index)).join(', ')}`,
      );
    });
  }
  for (const { what, where } of allowed) {
    await t.test(what, () => {
      assert.deepEqual(rulesIn(where), []);
    });
  }
});

test('every package of floors 0 to 2 is named in .oxlintrc.json', () => {
  const { overrides } = readJson<{ overrides: readonly { files: readonly string[] }[] }>(`${root}/.oxlintrc.json`);
  const banned = overrides.find(({ files }) => files.includes('packages/bytes/src/**'))?.files.toSorted();
  const expected = readPackages()
    .filter(isPure)
    .map(({ id }) => `packages/${id}/src/**`);
  assert.deepEqual(banned, expected.toSorted());
});

test('turbo finds no fault with the packages as they are', async () => {
  using fixture = new Fixture();
  const { code, output } = await run('turbo', ['boundaries'], { cwd: fixture.folder });
  assert.equal(code, 0, output);
});

const dependencies: readonly (readonly [id: string, on: string, what: string])[] = [
  ['bytes', 'error', 'floor 0 on its own floor'],
  ['headers', 'timeout', 'floor 1 on its own floor'],
  ['headers', 'stream', 'floor 1 on floor 2'],
  ['http1', 'stream', 'floor 2 on its own floor'],
  ['http1', 'net', 'floor 2 on floor 3'],
  ['net', 'http', 'floor 3 on its own floor'],
  ['http', 'upstream', 'floor 3 on floor 4'],
  ['upstream', 'proxy', 'floor 4 on floor 5'],
  ['proxy', 'ferrata', 'floor 5 on floor 6'],
  ['stream', 'testkit', 'floor 2 on the test kit'],
  ['testkit', 'net', 'the test kit on floor 3'],
  ['proxy', 'bench', 'a published package on one that never is'],
];

for (const [id, on, what] of dependencies) {
  test(`turbo refuses a dependency of ${what}`, async () => {
    using fixture = new Fixture();
    const name = readPackages().find((entry) => entry.id === on)?.name ?? '';
    const manifest = readJson<Manifest>(`${root}/packages/${id}/package.json`);
    fixture.write(
      `packages/${id}/package.json`,
      JSON.stringify({ ...manifest, dependencies: { ...manifest.dependencies, [name]: 'workspace:*' } }),
    );
    fixture.write(`packages/${id}/src/index.ts`, `export * from '${name}';\n`);
    const { code, output } = await run('turbo', ['boundaries'], { cwd: fixture.folder });
    assert.notEqual(code, 0, output);
    // turbo breaks its lines to a width, with a bar in the margin.
    const verdict = `Package\`${name}\`foundwithtaglistedindenylistfor\`${manifest.name}\``;
    assert.ok(output.replaceAll(/[\s|]/g, '').includes(verdict), output);
  });
}

test('turbo refuses an import of a package that the manifest does not name', async () => {
  using fixture = new Fixture();
  fixture.write('packages/proxy/src/index.ts', "export * from '@ferrata/clock/nowhere';\nexport * from 'left-pad';\n");
  const { code, output } = await run('turbo', ['boundaries'], { cwd: fixture.folder });
  assert.notEqual(code, 0, output);
  assert.match(output, /left-pad/);
});

test('turbo refuses a relative import into another package', async () => {
  using fixture = new Fixture();
  fixture.write('packages/proxy/src/index.ts', "export * from '../../clock/src/index.ts';\n");
  const { code, output } = await run('turbo', ['boundaries'], { cwd: fixture.folder });
  assert.notEqual(code, 0, output);
  assert.match(output, /leaves the package/);
});

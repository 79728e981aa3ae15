/**
 * Floors 0 to 2 run wherever JavaScript does: the examples of each package's README, bundled with the package, run in a fresh V8 context
 * that has the language's own globals and `queueMicrotask`, which every platform has. No `process`, `Buffer`, timers, `performance`, `TextEncoder`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Context, createContext, runInContext } from 'node:vm';
import { build, type Plugin } from 'esbuild';
import { extractExamples } from '../check/examples.ts';
import { isPure, type Package, readPackages, root } from '../workspace.ts';

const packages = readPackages();

/** By package and place among its README's examples, from 1: those that show the package together with a platform, and what they take of it. */
const onPlatform: ReadonlyMap<string, string> = new Map([
  ['headers 2', 'TextEncoder makes its bytes'],
  ['limits 2', 'worker threads share a limiter'],
  ['lru 2', 'a timer of Node paces the work'],
  ['memory-cache 2', 'it takes the time and, without `random`, the key of its hashes from the system'],
  ['metrics 2', 'worker threads share the metrics'],
  ['pool 2', 'sockets of Node are pooled'],
  ['proxy-protocol 2', 'TextEncoder makes the bytes of its names'],
  ['stream 2', 'TextEncoder and TextDecoder make bytes and text'],
]);

/**
 * What the examples use of node:assert/strict; values of another realm have other prototypes, so it has to live in there. Values are equal that
 * `show` spells alike; a set counts without its order, an object without that of its keys.
 */
const assertShim = `
  const show = (value) => {
    if (typeof value === 'string') return JSON.stringify(value);
    if (Object.is(value, -0)) return '-0';
    if (typeof value === 'bigint') return value + 'n';
    if (typeof value === 'function') return 'function ' + value.name;
    if (value === null || typeof value !== 'object') return String(value);
    if (value instanceof Error) return value.name + '(' + show(value.message) + shownFields(value) + ')';
    if (value instanceof Set) return 'Set(' + Array.from(value, show).sort() + ')';
    if (value instanceof Map) return 'Map(' + Array.from(value, ([key, held]) => show(key) + ' => ' + show(held)).sort() + ')';
    if (Array.isArray(value)) return '[' + Array.from(value, show) + ']';
    if (ArrayBuffer.isView(value)) return value.constructor.name + '[' + Array.from(value, show) + ']';
    return '{' + shownFields(value) + '}';
  };
  const shownFields = (value) => Object.keys(value).sort().map((key) => key + ': ' + show(value[key])).join();
  const check = (isTrue, text) => { if (!isTrue) throw new Error(text); };
  const matches = (error, expected) => {
    if (typeof expected === 'function') check(expected.prototype === undefined ? expected(error) : error instanceof expected, 'another error: ' + error);
    else if (expected instanceof RegExp) check(expected.test(String(error)), 'another error: ' + error);
    else for (const key in expected) check(expected[key] instanceof RegExp ? expected[key].test(error[key]) : show(error[key]) === show(expected[key]), 'another ' + key + ': ' + error[key]);
  };
  const assert = (value) => check(value, 'not true');
  export default Object.assign(assert, {
    ok: assert,
    equal: (a, b) => check(Object.is(a, b), show(a) + ' is not ' + show(b)),
    notEqual: (a, b) => check(!Object.is(a, b), show(a) + ' twice'),
    deepEqual: (a, b) => check(show(a) === show(b), show(a) + ' is not ' + show(b)),
    match: (text, pattern) => check(pattern.test(text), text + ' does not match ' + pattern),
    throws: (run, expected) => {
      let error;
      try { run(); } catch (thrown) { error = thrown; }
      check(error !== undefined, 'nothing was thrown');
      matches(error, expected ?? {});
    },
    rejects: async (promise, expected) => {
      let error;
      try { await (typeof promise === 'function' ? promise() : promise); } catch (thrown) { error = thrown; }
      check(error !== undefined, 'nothing was thrown');
      matches(error, expected ?? {});
    },
  });`;

for (const entry of packages.filter(isPure)) {
  const examples = extractExamples(readFileSync(join(entry.folder, 'README.md'), 'utf8'));
  test(`${entry.name} has an example that needs no platform`, () => {
    assert.ok(examples.length > 0);
    assert.ok(!onPlatform.has(`${entry.id} 1`), 'the first is the one');
  });

  examples.forEach(({ code, line }, index) => {
    const reason = onPlatform.get(`${entry.id} ${index + 1}`);
    if (reason === undefined) {
      test(`the example of ${entry.name} at line ${line} runs in a realm without a single global of Node or the web`, () => runBare(code));
    } else {
      // One that can belongs among the others.
      test(`the example of ${entry.name} at line ${line} cannot run there: ${reason}`, () =>
        assert.rejects(runBare(code), /Could not resolve "node:|ReferenceError: \w+ is not defined/));
    }
  });
}

test('each exception is one of an example that there is', () => {
  const ids = new Set(
    packages.filter(isPure).flatMap((entry) => {
      const examples = extractExamples(readFileSync(join(entry.folder, 'README.md'), 'utf8'));
      return examples.map((_, index) => `${entry.id} ${index + 1}`);
    }),
  );
  assert.deepEqual(
    [...onPlatform.keys()].filter((id) => !ids.has(id)),
    [],
  );
});

test('what stands in for node:assert there tells equal from unequal', async () => {
  const equal = [
    'new Set([1, 2]), new Set([2, 1])',
    'new Map([[1, { a: 1, b: 2 }]]), new Map([[1, { b: 2, a: 1 }]])',
    'NaN, NaN',
    '[1n], [1n]',
  ];
  const unequal = [
    'new Set([1, 2]), new Set([1, 3])',
    'new Set([1]), new Set([1, 2])',
    'new Set([1]), [1]',
    'new Set(), {}',
    'new Map([[1, 2]]), [[1, 2]]',
    'new Map([[1, 2]]), new Map([[1, 3]])',
    '[undefined], [null]',
    '[NaN], [null]',
    '[0], [-0]',
    '[1], ["1"]',
    'Uint8Array.of(1), [1]',
    'Uint8Array.of(1), Uint8Array.of(2)',
    'new Error("a"), new Error("b")',
    '{ a: undefined }, {}',
  ];
  for (const pair of equal) await runBare(`import assert from 'node:assert/strict';\nassert.deepEqual(${pair});`);
  for (const pair of unequal) {
    await assert.rejects(runBare(`import assert from 'node:assert/strict';\nassert.deepEqual(${pair});`), / is not /, pair);
  }
});

test('such a realm has nothing of Node', () => {
  const names = runInContext('Object.getOwnPropertyNames(globalThis)', bareRealm()) as string[];
  const ofPlatforms = ['process', 'Buffer', 'setTimeout', 'performance', 'TextEncoder', 'crypto', 'structuredClone', 'global', 'require'];
  assert.deepEqual(
    ofPlatforms.filter((name) => names.includes(name)),
    [],
  );
});

/** Bundles an example and runs it in a realm of its own. */
async function runBare(code: string): Promise<void> {
  const bundle = await bundled(code);
  // An async function around all of it, because examples await at their top level.
  await (runInContext(`(async () => { "use strict";\n${bundle}\n})()`, bareRealm()) as Promise<void>);
}

function bareRealm(): Context {
  const context = createContext(Object.create(null) as object);
  runInContext('globalThis.queueMicrotask = (task) => void Promise.resolve().then(task)', context);
  return context;
}

async function bundled(code: string): Promise<string> {
  const result = await build({
    stdin: { contents: code, loader: 'ts', resolveDir: root },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    logLevel: 'silent',
    plugins: [resolver],
  });
  return result.outputFiles[0]?.text ?? '';
}

/** Packages from their sources; nothing else is found, so an import of Node's fails the bundling. */
const resolver: Plugin = {
  name: 'sources',
  setup(bundling) {
    bundling.onResolve({ filter: /^@ferrata\// }, ({ path }) => {
      const entry: Package | undefined = packages.find(({ name }) => name === path);
      return entry === undefined ? undefined : { path: join(entry.folder, 'src', 'index.ts') };
    });
    bundling.onResolve({ filter: /^node:assert\/strict$/ }, () => ({ path: 'assert', namespace: 'shim' }));
    bundling.onLoad({ filter: /.*/, namespace: 'shim' }, () => ({ contents: assertShim, loader: 'js' }));
  },
};

/**
 * Floors 0 to 2 run wherever JavaScript does: the first example of each package's README, bundled with the package, runs in a fresh V8 context
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

/** What the examples use of node:assert/strict; values of another realm have other prototypes, so it has to live in there. */
const assertShim = `
  const show = (value) => JSON.stringify(value, (_, v) => typeof v === 'bigint' ? v + 'n' : v instanceof Map ? [...v] : v === undefined ? '<undefined>' : v);
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
  test(`the example of ${entry.name} runs in a realm without a single global of Node or the web`, async () => {
    const [example] = extractExamples(readFileSync(join(entry.folder, 'README.md'), 'utf8'));
    assert.ok(example, 'its README has an example');
    const bundle = await bundled(example.code);
    const context = bareRealm();
    // An async function around all of it, because examples await at their top level.
    await (runInContext(`(async () => { "use strict";\n${bundle}\n})()`, context, { filename: `${entry.id}.js` }) as Promise<void>);
  });
}

test('such a realm has nothing of Node', () => {
  const names = runInContext('Object.getOwnPropertyNames(globalThis)', bareRealm()) as string[];
  const ofPlatforms = ['process', 'Buffer', 'setTimeout', 'performance', 'TextEncoder', 'crypto', 'structuredClone', 'global', 'require'];
  assert.deepEqual(
    ofPlatforms.filter((name) => names.includes(name)),
    [],
  );
});

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

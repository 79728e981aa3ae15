import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FeatureMap, resetCounters } from '../src/coverage.ts';
import { instrumentSource } from '../src/instrument.ts';

/** Runs a module's text. @returns its default export */
async function load(source: string): Promise<(input: number) => unknown> {
  const module = (await import(`data:text/javascript,${encodeURIComponent(source)}`)) as { default: (input: number) => unknown };
  return module.default;
}

const SNIPPETS: Readonly<Record<string, string>> = {
  'if without else': 'export default (n) => { let r = 0; if (n > 2) r = 1; return r; };',
  'if and else without braces': 'export default (n) => { if (n > 2) return "a"; else if (n > 1) return "b"; else return "c"; };',
  'dangling else': 'export default (n) => { if (n > 0) if (n > 1) return 1; else return 2; return 3; };',
  'arrow that returns an object': 'export default (n) => ({ n, twice: n * 2 });',
  'arrow in an arrow': 'const add = (a) => (b) => a + b; export default (n) => add(n)(1);',
  'conditional and logical': 'export default (n) => (n > 1 ? n > 2 && "x" : n || "zero") ?? "none";',
  loops:
    'export default (n) => { let r = ""; for (let i = 0; i < n; i++) r += i; for (const c of "ab") r += c; for (const k in {x: 1}) r += k; while (n-- > 0) r += "w"; do r += "d"; while (n > 5); return r; };',
  'switch with fall-through':
    'export default (n) => { let r = ""; switch (n) { case 0: case 1: r += "low"; break; case 2: { r += "two"; } default: r += "high"; } return r; };',
  catch:
    'export default (n) => { try { if (n === 1) throw new Error("x"); return "ok"; } catch (e) { return e.message; } finally { n = 0; } };',
  class:
    'class A { #x = 1; static s = 2; get x() { return this.#x; } add(n) { return this.#x + n; } constructor() { this.y = 3; } } class B extends A { constructor() { super(); this.z = 4; } } export default (n) => [new B().add(n), new B().y, new B().z, A.s];',
  'labels and continue':
    'export default (n) => { let r = 0; outer: for (let i = 0; i < 3; i++) { for (;;) { if (i === n) continue outer; r += i; break; } } return r; };',
  'destructuring defaults': 'export default (n) => { const { a = n, b: [c = 2] = [] } = {}; return [a, c]; };',
  'generator and spread': 'function* g(n) { for (let i = 0; i < n; i++) yield i; } export default (n) => [...g(n)];',
  'comma and template': 'export default (n) => `${n > 1 ? "many" : `one ${n}`} ${(n, n + 1)}`;',
  'optional chaining': 'export default (n) => (n > 1 ? { a: { b: 1 } } : undefined)?.a?.b ?? -1;',
};

describe('instrumentation', () => {
  for (const [name, source] of Object.entries(SNIPPETS)) {
    test(`does not change what the code does: ${name}`, async () => {
      const plain = await load(source);
      const instrumented = await load(instrumentSource(source, `${name}.js`));
      for (const input of [0, 1, 2, 3]) assert.deepEqual(instrumented(input), plain(input));
    });
  }

  test('keeps each statement on its line', async () => {
    const source = 'export default (n) => {\n  if (n > 1)\n    throw new Error("here");\n  return n;\n};\n';
    const run = await load(instrumentSource(source, 'lines.js'));
    assert.throws(
      () => run(2),
      (error: Error) => /:3:\d+\)?$/m.test(error.stack?.split('\n')[1] ?? ''),
    );
    assert.equal(instrumentSource(source, 'lines.js').split('\n').length, source.split('\n').length);
  });

  test('tells two ways through a function apart, and the number of times by its class', async () => {
    const run = await load(
      instrumentSource('export default (n) => { let r = 0; for (let i = 0; i < n; i++) r++; return r > 2 ? "many" : "few"; };', 'ways.js'),
    );
    const features = new FeatureMap();
    const fresh = (input: number): number => {
      resetCounters();
      run(input);
      return features.absorb();
    };
    assert.ok(fresh(1) > 0);
    assert.equal(fresh(1), 0, 'the same way again');
    assert.ok(fresh(2) > 0, 'the loop ran twice');
    assert.ok(fresh(3) > 0, 'the other answer');
    assert.ok(fresh(8) > 0);
    assert.equal(fresh(9), 0, 'eight and nine are of one class');
  });

  test('a source that is no JavaScript is an error that names the file', () => {
    assert.throws(() => instrumentSource('const = 1;', 'broken.js'), SyntaxError);
  });
});

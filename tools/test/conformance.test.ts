/** Which suites a name runs, and that their figures are added up without losing one that could not even start. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Ran, run } from '../process.ts';
import { Fixture } from './fixture.ts';

function withSuites(): Fixture {
  const fixture = new Fixture();
  for (const file of ['conformance.ts', 'process.ts', 'workspace.ts', 'check/totals.ts']) fixture.copy(`tools/${file}`);
  fixture.write('conformance/http1-a/run.ts', "console.log('args', ...process.argv.slice(2));\nconsole.log('3 passed, 0 failed');\n");
  fixture.write('conformance/http1-b/run.ts', "console.log('2 passed, 1 failed');\nprocess.exitCode = 1;\n");
  fixture.write('conformance/http10-c/run.ts', "console.log('1 passed, 0 failed');\n");
  fixture.write('conformance/ketama/run.ts', "throw new Error('it cannot start');\n");
  fixture.write('conformance/rig/part.ts', 'export {};\n');
  return fixture;
}

async function conformance(fixture: Fixture, ...args: readonly string[]): Promise<Ran> {
  return await run(process.execPath, [join(fixture.folder, 'tools/conformance.ts'), ...args]);
}

test('a suite is run by its name and given the arguments behind it', async () => {
  using fixture = withSuites();
  const { code, output } = await conformance(fixture, 'http1-a', '--only', 'x');
  assert.deepEqual([code, output], [0, '== http1-a\nargs --only x\n3 passed, 0 failed\n']);
});

test('a family is every suite whose name begins with it and a hyphen: each is told, then the total', async () => {
  using fixture = withSuites();
  const { code, output } = await conformance(fixture, 'http1');
  assert.equal(code, 1);
  assert.match(output, /\n\nhttp1-a: 3 passed, 0 failed\nhttp1-b: 2 passed, 1 failed\n5 passed, 1 failed\n$/);
  assert.doesNotMatch(output, /http10-c|ketama/);
});

test('all runs every suite, and one that cannot start counts as a failure', async () => {
  using fixture = withSuites();
  const { code, output } = await conformance(fixture, 'all');
  assert.equal(code, 1);
  assert.match(output, /it cannot start/);
  assert.match(output, /\nketama: 0 passed, 1 failed\n6 passed, 2 failed\n$/);
});

test('a name that is neither is answered with the names that are', async () => {
  using fixture = withSuites();
  const wrong = await conformance(fixture, 'http');
  assert.equal(wrong.code, 2);
  assert.match(
    wrong.output,
    /there is no conformance suite "http"\nSUITE is one of: http1-a, http1-b, http10-c, ketama\nFAMILY is one of: http1, http10\n/,
  );
  const asked = await conformance(fixture);
  assert.equal(asked.code, 2);
  assert.match(asked.output, /usage: pnpm conformance SUITE\|FAMILY\|all/);
});

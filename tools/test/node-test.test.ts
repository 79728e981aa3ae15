/** A run of tests is judged rightly: what passes, what fails, what cannot be loaded, and what never ends. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type NodeTestResult, runNodeTests } from '../check/node-test.ts';
import { Fixture } from './fixture.ts';

async function runFiles(
  files: Readonly<Record<string, string>>,
  fileTimeoutMs = 60_000,
  args: readonly string[] = [],
): Promise<NodeTestResult> {
  using fixture = new Fixture();
  for (const [name, text] of Object.entries(files)) fixture.write(`t/${name}`, `import { test } from 'node:test';\n${text}\n`);
  return await runNodeTests({
    files: Object.keys(files).map((name) => `t/${name}`),
    cwd: fixture.folder,
    testTimeoutMs: 60_000,
    fileTimeoutMs,
    args,
    log: `${fixture.folder}/log.txt`,
  });
}

test('passed, failed and skipped tests are counted, and the failing one is shown', async () => {
  const ran = await runFiles({
    'a.test.ts': "test('good', () => {});\ntest('bad', () => { throw new Error('just so'); });",
    'b.test.ts': "test('left out', { skip: 'for the count' }, () => {});",
  });
  assert.deepEqual([ran.passed, ran.failed, ran.skipped], [1, 1, 1]);
  assert.match(ran.output, /✖ bad/);
  assert.match(ran.output, /just so/);
  assert.doesNotMatch(ran.output, /✔ good/);
});

test('a file that cannot be loaded is a failure that says why', async () => {
  const ran = await runFiles({ 'a.test.ts': "import './nowhere.ts';", 'b.test.ts': "test('good', () => {});" });
  assert.deepEqual([ran.passed, ran.failed], [1, 1]);
  assert.match(ran.output, /Cannot find module .*nowhere\.ts/);
});

test('a file that never gives the event loop back is ended, and named', async () => {
  const ran = await runFiles({ 'spin.test.ts': "test('spins', () => { for (;;); });" }, 2000);
  assert.deepEqual([ran.passed, ran.failed], [0, 1]);
  assert.match(ran.output, /hangs.*t\/spin\.test\.ts/);
});

test('processes that a test starts are not measured, as one that is ended while it writes its figures would spoil those of all', async () => {
  const child = `import { execFile } from 'node:child_process';
    import { promisify } from 'node:util';
    test('a child', async () => {
      const { stdout } = await promisify(execFile)(process.execPath, ['-p', 'process.env.NODE_V8_COVERAGE']);
      if (process.env.NODE_V8_COVERAGE === undefined || stdout !== 'undefined\\n') throw new Error(stdout);
    });`;
  const ran = await runFiles({ 'a.test.ts': child }, 60_000, ['--experimental-test-coverage']);
  assert.deepEqual([ran.passed, ran.failed], [1, 0], ran.output);
});

test('what a file that is ended has left in the temporary folder goes with it', async () => {
  const note = join(tmpdir(), `ferrata-note-${process.pid}`);
  const leaves = `import { mkdtempSync, writeFileSync } from 'node:fs';
    import { tmpdir } from 'node:os';
    import { join } from 'node:path';
    test('spins', () => {
      writeFileSync(${JSON.stringify(note)}, mkdtempSync(join(tmpdir(), 'left-')));
      for (;;);
    });`;
  try {
    const ran = await runFiles({ 'spin.test.ts': leaves }, 3000);
    assert.equal(ran.failed, 1);
    const left = readFileSync(note, 'utf8');
    assert.match(left, /left-/);
    assert.ok(!existsSync(left), `${left} is still there`);
  } finally {
    rmSync(note, { force: true });
  }
});

test('the temporary folder of a run is open to other users, as the one around it', async () => {
  const looks = `import { statSync } from 'node:fs';
    import { tmpdir } from 'node:os';
    test('looks', () => {
      if ((statSync(tmpdir()).mode & 0o7777) !== 0o1777) throw new Error('a server that has given up the rights of root finds nothing there');
    });`;
  assert.deepEqual([(await runFiles({ 'look.test.ts': looks })).failed], [0]);
});

/** The end of the process that was started, when the program has begun something in it that never ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileCache, endWithTests } from '../fixtures/test-processes.ts';
import { ProgramRun } from './program-run.ts';

const listen = [{ address: '127.0.0.1:0' }];
const execArgv = ['--import', 'data:text/javascript,setInterval(() => {}, 1_000)'];

test('a timer of the program’s own does not keep the process: one that ends in order, and one that could not start', async () => {
  await using ended = ProgramRun.start({ listen }, { execArgv });
  await using failed = ProgramRun.start({ listen: null }, { execArgv });
  await ended.line('ready');
  ended.signal('SIGTERM');
  await Promise.all([ended, failed].map((run) => run.notice(/keeps the process that was started, and it is ended/)));
  assert.deepEqual(await Promise.all([ended.exit(), failed.exit()]), [0, 2]);
});

test('a program that has not come to set its exit code by then ends with that of the server', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ferrata-end-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const program = join(directory, 'program.mjs');
  writeFileSync(
    program,
    `import { Server } from ${JSON.stringify(new URL('../../src/server.ts', import.meta.url).href)};
const load = () => { throw new Error('no good'); };
await new Server({ config: { load }, onNotice: () => {} }).run(import.meta);
setInterval(() => {}, 1_000);
`,
  );
  const child = spawn(process.execPath, [program], { stdio: 'ignore', env: { ...process.env, NODE_COMPILE_CACHE: compileCache } });
  endWithTests(child);
  assert.deepEqual(await once(child, 'exit'), [2, null]);
});

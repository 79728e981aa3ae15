/** The end of the process that was started, when the program has begun something in it that never ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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

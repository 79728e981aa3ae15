import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { isRunning, processGroup, processTree, readStat } from '../process-tree.ts';

const skip = process.platform === 'linux' ? false : 'reads /proc, which only Linux has';

test('a process is found with those that it started, by its parent and by its group, until it ends', { skip }, async () => {
  const child = spawn(process.execPath, ['--eval', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
  const pid = child.pid ?? 0;
  const [own, ...others] = processTree(process.pid);
  assert.equal(own?.pid, process.pid);
  const found = others.find((one) => one.pid === pid);
  assert.ok(found !== undefined && isRunning(found));
  assert.equal(readStat(pid)?.parentPid, process.pid);
  // It leads a group of its own.
  assert.deepEqual(
    processGroup(pid).map((one) => one.pid),
    [pid],
  );
  // Another one that has got the same number is not it.
  assert.ok(!isRunning({ pid, startTime: found.startTime + 1 }));
  const ended = once(child, 'exit');
  child.stdin.end();
  await ended;
  assert.deepEqual([isRunning(found), processTree(pid), processGroup(pid), readStat(pid)], [false, [], [], null]);
});

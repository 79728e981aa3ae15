import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, processTree } from '@ferrata/tools/process-tree';
import { residentBytesOf, usageOf } from '../proxy/process-usage.ts';
import { type RunningProcess, withProcesses } from '../proxy/processes.ts';

const skip = process.platform === 'linux' ? false : 'reads /proc, which only Linux has';
/** Starts a child of its own, says its pid, and stays. */
const PARENT = `const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
console.log(child.pid); setInterval(() => {}, 1000);`;

function startScript(script: string, onLine: (line: string) => void): Parameters<typeof withProcesses<RunningProcess>>[0] {
  return (processes) => processes.start({ name: 'script', command: process.execPath, args: ['-e', script], cores: null, onLine });
}

test('CPU time and memory of a process are read while it lives', { skip }, () => {
  const before = usageOf(process.pid);
  const until = process.cpuUsage().user + 50_000;
  while (process.cpuUsage().user < until);
  const used = usageOf(process.pid).cpuMs - before.cpuMs;
  assert.ok(used >= 40, `${used} ms`);
  assert.ok(residentBytesOf(process.pid) > 10 * 2 ** 20);
});

test('a process that does not exist has used nothing', { skip }, () => {
  const impossible = 2 ** 30;
  assert.equal(usageOf(impossible).cpuMs, 0);
  assert.ok(!isRunning({ pid: impossible, startTime: 1 }));
  assert.deepEqual(processTree(impossible), []);
});

test('a bench that fails leaves neither processes, nor what those started, nor folders behind', { skip }, async () => {
  let folder = '';
  let tree: ReturnType<typeof processTree> = [];
  const bench = withProcesses(async (processes) => {
    folder = processes.makeFolder('test');
    let announce: (line: string) => void = () => {};
    const grandchild = new Promise<string>((resolve) => {
      announce = resolve;
    });
    const running = await startScript(PARENT, announce)(processes);
    const grandchildPid = Number(await grandchild);
    tree = processTree(running.pid);
    assert.ok(tree.some((one) => one.pid === grandchildPid));
    throw new Error('planned');
  });
  await assert.rejects(bench, /planned/);
  assert.ok(!existsSync(folder));
  for (const member of tree) assert.ok(!isRunning(member), `process ${member.pid} is still there`);
});

test('a bench that is told to end leaves neither processes nor folders behind', { skip }, async () => {
  const script = `import { withProcesses } from ${JSON.stringify(new URL('../proxy/processes.ts', import.meta.url).href)};
    await withProcesses(async (processes) => {
      const folder = processes.makeFolder('test');
      const { pid } = await processes.start({ name: 'sleep', command: 'sleep', args: ['60'], cores: null });
      console.log(JSON.stringify({ folder, pid }));
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  const { folder, pid } = JSON.parse(said) as { readonly folder: string; readonly pid: number };
  const tree = processTree(pid);
  assert.ok(existsSync(folder) && tree.length === 1);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [143, null]);
  assert.ok(!existsSync(folder));
  for (const latest = performance.now() + 5_000; tree.some(isRunning); await delay(10))
    assert.ok(performance.now() < latest, 'it is still there');
});

test('the last words of a process that fails are kept', async () => {
  await withProcesses(async (processes) => {
    const running = await startScript('console.error("no such port"); process.exit(3)', () => {})(processes);
    assert.equal(await running.finished(), 3);
    assert.equal(running.exitStatus, 3);
    assert.equal(running.errorOutput, 'no such port');
  });
});

test('a command that does not exist is named', async () => {
  await withProcesses(async (processes) => {
    const start = processes.start({ name: 'proxy', command: 'no-such-command-anywhere', args: [], cores: null });
    await assert.rejects(start, /proxy could not be started/);
  });
});

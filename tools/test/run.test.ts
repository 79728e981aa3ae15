/** The way into the commands: arguments, exit codes and signals pass through, and what is asked for wrongly is listed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../process.ts';
import { type Manifest, readJson, root } from '../workspace.ts';
import { Fixture } from './fixture.ts';

const entry = join(root, 'tools', 'run.mjs');

/** A copy of the repository whose command `start` is `script`; run.mjs finds it beside itself. */
function withCommand(script: string): Fixture {
  const fixture = new Fixture();
  fixture.copy('tools/run.mjs');
  fixture.write('tools/start.ts', script);
  return fixture;
}

test('without a command it lists them, with an unknown one it lists them and fails', async () => {
  const asked = await run(process.execPath, [entry]);
  assert.equal(asked.code, 0);
  for (const command of ['start', 'check', 'ferrata', 'bench', 'fuzz', 'conformance', 'new-package', 'fix'])
    assert.match(asked.output, new RegExp(`^ {2}${command} `, 'm'));
  const wrong = await run(process.execPath, [entry, 'toString']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.output, /there is no command "toString"/);
});

test('arguments and the exit code pass through, the two dashes that pnpm leaves do not', async () => {
  using fixture = withCommand('console.log(JSON.stringify(process.argv.slice(2)));\nprocess.exitCode = 7;\n');
  const { code, output } = await run(process.execPath, [join(fixture.folder, 'tools/run.mjs'), 'start', '--', '--smoke', 'a b', '--']);
  assert.equal(code, 7, output);
  assert.equal(output, '["--smoke","a b","--"]\n');
});

test("a command runs on the repository's own Node, with its tools first on the path and turbo's telemetry off", async () => {
  using fixture = withCommand(
    "import { delimiter } from 'node:path';\nconsole.log(process.versions.node, process.env['PATH']?.split(delimiter)[0], process.env['TURBO_TELEMETRY_DISABLED']);\n",
  );
  const { output } = await run(process.execPath, [join(fixture.folder, 'tools/run.mjs'), 'start']);
  const { devDependencies } = readJson<Manifest>(join(root, 'package.json'));
  assert.equal(output, `${devDependencies?.['node'] ?? ''} ${join(fixture.folder, 'node_modules', '.bin')} 1\n`);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} reaches the command, which ends as it likes`, async () => {
    using fixture = withCommand(
      `process.on('${signal}', () => process.exit(9));\nsetInterval(() => undefined, 1000);\nconsole.log('ready');\n`,
    );
    const child = spawn(process.execPath, [join(fixture.folder, 'tools/run.mjs'), 'start'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill(signal);
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 9);
  });
}

test('a command that a signal ends is reported as a shell does', async () => {
  using fixture = withCommand("process.kill(process.pid, 'SIGKILL');\n");
  const { code } = await run(process.execPath, [join(fixture.folder, 'tools/run.mjs'), 'start']);
  assert.equal(code, 137);
});

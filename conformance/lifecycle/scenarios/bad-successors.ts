/** An upgrade that does not come to be (M9): the old process goes on, loses nobody, and says why. The next one that is sound takes over. */
import { lightClients } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { writeOptions } from '../targets.ts';
import { generationOf, upgrade } from './upgrades.ts';

/** Long enough for a slow machine to be ready in. */
const READY_MS = 20_000;

async function run(stage: Stage): Promise<void> {
  const isEcho = stage.targetName === 'echo-server';
  const options = { threads: 2, graceMs: 20_000, readyTimeoutMs: READY_MS };
  const target = await stage.start(options);
  const load = stage.load(target, lightClients());
  await load.hasBegun();
  const before = await generationOf(target);
  const served = target.server.descendants();

  const fails = async (name: string, waitMs: number, says: RegExp): Promise<void> => {
    const from = target.server.output.length;
    target.server.signal('SIGUSR2');
    const isTold = await target.server.says(says, waitMs, from);
    stage.must(`${name}: it says why`, isTold, `in ${waitMs / 1000} s it said: ${target.server.output.slice(from).trim()}`);
    const isAlone = await target.server.until(() => target.server.descendants().length === 1, waitMs);
    stage.must(`${name}: the successor is gone`, isAlone, `${target.server.descendants().length} processes`);
    stage.must(`${name}: the old one serves on`, target.server.descendants()[0] === served[0], 'another process serves');
    const { value } = await target.server.admin('GET', '/phase');
    stage.must(`${name}: it runs again`, value['phase'] === 'running', JSON.stringify(value));
    stage.say(`${name}: ${target.server.output.slice(from).trim().split('\n').at(-1) ?? ''}`);
  };

  target.sabotageStart('crash');
  await fails('crashes at the start', 60_000, /upgrade has failed.*ended with code 1 /);
  target.sabotageStart('segv');
  await fails('SIGSEGV at the start', 60_000, /upgrade has failed.*SIGSEGV/);
  if (isEcho || stage.isLong) {
    target.sabotageStart('hang');
    await fails('hangs before it is ready', (isEcho ? READY_MS : 60_000) + 30_000, /upgrade has failed.*not ready within/);
  }
  target.sabotageStart(null);
  if (isEcho) {
    target.writeConfig('{ "message": ');
    await fails('a broken configuration', 60_000, /upgrade has failed.*JSON/);
    target.configure({ http: ['192.0.2.1:80'] });
    await fails('an address that is not ours', 60_000, /upgrade has failed.*192\.0\.2\.1/);
    target.restoreConfig();
    target.configure({ http: ['127.0.0.1:0', `unix:${target.folder}/http.sock`] });
    writeOptions(target.folder, { ...options, threads: 9_999 });
    await fails('options that make no sense', 60_000, /upgrade has failed.*ended with code 2 /);
    writeOptions(target.folder, options);
  }
  stage.must('the generation is the same', (await generationOf(target)) === before, `${before} and ${await generationOf(target)}`);
  stage.check('a sound one takes over', await upgrade(target));
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  stage.check('it stops in order', await target.stop());
}

/** A first start that fails: it says why, with its exit code, and leaves nothing. */
async function runFirst(stage: Stage): Promise<void> {
  const cases = [
    { name: 'a broken configuration', code: 2, write: '{ "message": ', says: /JSON/ },
    { name: 'a setting that there is not', code: 2, write: '{ "massage": "m1" }', says: /massage/ },
    { name: 'a port that is taken', code: 1, write: null, says: /ADDRESS_IN_USE/ },
  ] as const;
  const taken = await stage.start();
  for (const { name, code, write, says } of cases) {
    const port = 'port' in taken.load.http ? taken.load.http.port : 0;
    const target = await stage.rig.startEcho({
      config: write === null ? { http: [`127.0.0.1:${port}`] } : {},
      process: { readyLine: null },
      ...(write === null ? {} : { rawConfig: write }),
    });
    const ending = await target.server.exit(60_000);
    stage.must(`${name}: exit code ${code}`, ending?.code === code, `${ending?.code ?? 'none'}: ${target.server.output.slice(-400)}`);
    stage.must(`${name}: it says why`, says.test(target.server.output), target.server.output.slice(-400));
    const isAlone = await target.server.until(() => target.server.descendants().length === 0, 30_000);
    stage.must(`${name}: nothing is left`, isAlone, `${target.server.descendants().length} processes`);
    await target.kill();
  }
}

/** Only a look at the configuration: nothing is opened, and the exit code says what was found. */
async function runTest(stage: Stage): Promise<void> {
  for (const { name, code, rawConfig } of [
    { name: 'a sound one', code: 0 },
    { name: 'a broken one', code: 2, rawConfig: '{ "message": ' },
  ]) {
    const target = await stage.rig.startEcho({
      isTest: true,
      process: { readyLine: null },
      ...(rawConfig === undefined ? {} : { rawConfig }),
    });
    const ending = await target.server.exit(60_000);
    stage.must(`${name}: exit code ${code}`, ending?.code === code, `${ending?.code ?? 'none'}: ${target.server.output.slice(-400)}`);
    stage.must(`${name}: nothing listened`, !/^ready/m.test(target.server.output), target.server.output);
    await target.kill();
  }
}

/** Successors that come to nothing. */
export const badSuccessors: readonly Scenario[] = [
  { id: 'bad-successors', targets: ['echo-server', 'reverse'], isHeavy: false, run },
  { id: 'bad-start', targets: ['echo-server'], isHeavy: false, run: runFirst },
  { id: 'test-of-configuration', targets: ['echo-server'], isHeavy: false, run: runTest },
];

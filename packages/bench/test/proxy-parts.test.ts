import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isMet, parseCommandLine, positiveInteger, positiveNumber, SHARED_OPTIONS, UsageError } from '../proxy/command-line.ts';
import { chooseContenders } from '../proxy/contenders.ts';
import { countsBetween } from '../proxy/origin.ts';
import { threadUsageOf, usageBetween, usageOf } from '../proxy/process-usage.ts';
import { bursts, closedLoop, freshConnections } from '../proxy/reuse-load.ts';
import { formatBytes, parseSize } from '../proxy/sizes.ts';
import { describeErrors, errorCount, parseLoadReport } from '../proxy/wrk.ts';

test('sizes are read as 100, 16k, 1m and 1g, and nothing else', () => {
  assert.deepEqual(['100', '16K', ' 1m', '1g'].map(parseSize), [
    { name: '100', bytes: 100 },
    { name: '16k', bytes: 16_384 },
    { name: '1m', bytes: 1_048_576 },
    { name: '1g', bytes: 1_073_741_824 },
  ]);
  for (const text of ['', '0', '-1', '1.5m', '1t', 'k', '../x']) assert.throws(() => parseSize(text), RangeError, text);
});

test('bytes are written in the unit that suits them', () => {
  assert.deepEqual([100, 16_384, 1_572_864, 2 ** 30, -2048].map(formatBytes), ['100 B', '16 KiB', '1.5 MiB', '1 GiB', '-2 KiB']);
});

test('the report of wrk is read, with times in ms', () => {
  const report = parseLoadReport(
    '{"requests":10,"durationUs":2000000,"bytes":1000,"p50Us":1500,"p99Us":9000,"statuses":{"200":9,"502":1},"errors":{"connect":0,"read":2,"write":0,"status":1,"timeout":0}}',
  );
  assert.equal(report.durationMs, 2000);
  assert.equal(report.p99Ms, 9);
  assert.deepEqual(report.statuses, { '200': 9, '502': 1 });
  assert.equal(errorCount(report.errors), 3);
  assert.equal(describeErrors(report.errors), 'read 2, status 1');
});

test('the exact total is divided into user and system as the ticks are', () => {
  const used = usageBetween({ cpuMs: 100, userMs: 50, systemMs: 50 }, { cpuMs: 208, userMs: 80, systemMs: 120 });
  assert.deepEqual(used, { cpuMs: 108, userMs: 108 * 0.3, systemMs: 108 * 0.7 });
});

test('contenders come in the order of the table, and an unknown name is told the known ones', () => {
  assert.deepEqual(
    chooseContenders(['raw-net', 'nginx']).map((one) => one.name),
    ['nginx', 'raw-net'],
  );
  assert.ok(!chooseContenders(null).some((one) => one.name === 'undici'));
  assert.throws(() => chooseContenders(['apache']), /no proxy is called apache; there are ferrata, nginx/);
});

test('numbers on the command line are above 0, and whole where they count something', () => {
  assert.equal(positiveNumber('down', '0.5'), 0.5);
  assert.equal(positiveInteger('rounds', '3'), 3);
  for (const text of ['0', '-1', 'x', 'Infinity', '']) assert.throws(() => positiveNumber('down', text), UsageError, text);
  assert.throws(() => positiveInteger('rounds', '1.5'), UsageError);
});

test('a bar holds at its limit, and does not when there is no figure', () => {
  const bar = { name: 'x', limit: 1.5, unit: 'x' };
  assert.ok(isMet({ ...bar, value: 1.5 }));
  assert.ok(!isMet({ ...bar, value: 1.51 }));
  assert.ok(!isMet({ ...bar, value: null }));
});

const jsonOf = (...args: readonly string[]): string | undefined => parseCommandLine(SHARED_OPTIONS, '', args).json;

test('--json takes a file, or means standard output where none follows', () => {
  assert.equal(jsonOf(), undefined);
  assert.equal(jsonOf('--json', 'out.json'), 'out.json');
  assert.equal(jsonOf('--json=out.json', '--check'), 'out.json');
  assert.equal(jsonOf('--json'), '-');
  assert.equal(jsonOf('--json', '--check'), '-');
  assert.equal(jsonOf('--json', '--', '--check'), '-');
  assert.equal(parseCommandLine(SHARED_OPTIONS, '', ['--json', '--check']).check, true);
  assert.throws(() => jsonOf('--json', '--nonsense'), UsageError);
});

/** What a bench prints that reads its options from `args`, has one line for people and one figure. */
function outputOf(args: readonly string[]): { stdout: string; stderr: string } {
  const program = `
    import { parseCommandLine, readSharedOptions, SHARED_OPTIONS, writeJson } from ${JSON.stringify(new URL('../proxy/command-line.ts', import.meta.url).href)};
    const options = readSharedOptions(parseCommandLine(SHARED_OPTIONS, '', process.argv.slice(1)), ['raw-net']);
    options.print('a table\\n');
    writeJson(options, { figure: 1 });`;
  // CPU 0 is the one that every machine has.
  const cores = ['--proxy-cores', '0', '--load-cores', '0'];
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program, '--', ...cores, ...args], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return { stdout, stderr };
}

test('with --json alone standard output is JSON and nothing else; the tables go to standard error', () => {
  const { stdout, stderr } = outputOf(['--json']);
  assert.deepEqual(JSON.parse(stdout), { figure: 1 });
  assert.match(stderr, /^a table$/m);
});

test('with --json FILE the file holds the figures, and standard output the tables', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-bench-'));
  try {
    const file = join(folder, 'out.json');
    assert.equal(outputOf(['--json', file]).stdout, 'a table\n');
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { figure: 1 });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the loads of the reuse bench: as many requests as they say, over as many connections, and over another one where the server closes in order', async () => {
  let connections = 0;
  let requests = 0;
  let perConnection = 0;
  const server = createServer((request, response) => {
    requests++;
    if (perConnection > 0 && ++perConnection > 5) {
      perConnection = 1;
      response.setHeader('Connection', 'close');
    }
    response.end(`answer to ${request.url}`);
  });
  server.on('connection', () => connections++).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const counted = async (run: (port: number, path: string) => Promise<number>): Promise<readonly number[]> => {
    [connections, requests] = [0, 0];
    const sent = await run(port, '/a');
    return [sent, requests, connections];
  };
  assert.deepEqual(await counted((...where) => closedLoop(4, 40).run(...where)), [40, 40, 4]);
  assert.deepEqual(await counted((...where) => freshConnections(3, 20).run(...where)), [20, 20, 20]);
  const [sent, arrived, opened] = await counted((...where) => bursts(6, 10, 1).run(...where));
  assert.equal(sent, arrived);
  assert.ok(opened !== undefined && opened <= 6);
  // The same bursts each time: proxies are compared by them.
  assert.deepEqual((await counted((...where) => bursts(6, 10, 1).run(...where)))[0], sent);
  perConnection = 1;
  assert.deepEqual(await counted((...where) => closedLoop(1, 20).run(...where)), [20, 20, 4]);
  server.closeAllConnections();
  server.close();
  await assert.rejects(closedLoop(1, 1).run(port, '/a'));
});

test('of two counts of an origin the second question is left out', () => {
  assert.deepEqual(countsBetween({ connections: 3, requests: 10 }, { connections: 6, requests: 111 }), { connections: 2, requests: 100 });
});

test('the CPU time of the threads is that of the process', { skip: process.platform !== 'linux' && '/proc is needed' }, () => {
  const threads = threadUsageOf(process.pid);
  assert.ok(threads.has(process.pid), 'its main thread');
  const sum = [...threads.values()].reduce((all, cpuMs) => all + cpuMs, 0);
  assert.ok(sum > 0 && sum <= usageOf(process.pid).cpuMs);
});

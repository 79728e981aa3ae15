import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCommand } from '@ferrata/tools/peers';
import { parseStreamLoadReport } from '../http2/h2load.ts';
import { expectHttp2Answer } from '../http2/probe.ts';
import { bodyOf } from '../http2/programs/bodies.ts';
import { GRPC, SCENARIOS, startOriginOf } from '../http2/scenarios.ts';
import { MATRIX } from '../proxy/matrix/scenarios.ts';
import { withProcesses } from '../proxy/processes.ts';
import { parseSize } from '../proxy/sizes.ts';

/** As h2load 1.52 counts: 100 requests, of which 25 each got 200, 302 and 404, and 25 were reset. */
const REPORT = `finished in 3.00s, 6684.33 req/s, 9.65MB/s
requests: 100 total, 100 started, 100 done, 50 succeeded, 50 failed, 25 errored, 0 timeout
status codes: 25 2xx, 25 3xx, 25 4xx, 0 5xx
traffic: 28.95MB (30357896) total, 1.15MB (1203318) headers (space savings 95.24%), 19.13MB (20055300) data
`;

test("h2load's report is read: every request is counted once", () => {
  assert.deepEqual(parseStreamLoadReport(REPORT), { succeeded: 25, failed: 75, durationMs: 3_000 });
});

test('time-outs and errors are part of what failed already', () => {
  const text = REPORT.replace('50 succeeded, 50 failed, 25 errored, 0 timeout', '0 succeeded, 100 failed, 100 errored, 40 timeout').replace(
    '25 2xx, 25 3xx, 25 4xx',
    '0 2xx, 0 3xx, 0 4xx',
  );
  assert.deepEqual(parseStreamLoadReport(text), { succeeded: 0, failed: 100, durationMs: 3_000 });
});

test('what is no report is none', () => {
  assert.equal(parseStreamLoadReport(''), null);
  assert.equal(parseStreamLoadReport(REPORT.replace('succeeded', 'lost')), null);
  assert.equal(parseStreamLoadReport(REPORT.replace('3.00s', '812.50ms'))?.durationMs, 812.5);
});

test('a target names the size of its body; the one that waits has none', () => {
  assert.equal(bodyOf('/100')?.length, 100);
  assert.equal(bodyOf('/16k')?.length, 16_384);
  assert.equal(bodyOf('/wait'), null);
  assert.throws(() => bodyOf('/nonsense'), RangeError);
});

test('every bar of a scenario compares its subject with a contender of its own table', () => {
  for (const { name, subject, bars, contenders } of SCENARIOS) {
    const names = new Set(contenders.map((one) => one.name));
    assert.equal(names.size, contenders.length, name);
    assert.ok(names.has(subject), name);
    for (const { than } of bars) assert.ok(names.has(than) && than !== subject, `${name}: ${than}`);
  }
});

const skip =
  process.platform !== 'linux'
    ? 'the benches end their processes by way of /proc, which only Linux has'
    : hasCommand('nghttpd') && hasCommand('nginx')
      ? false
      : 'nginx and nghttpd, which answer here, are not installed';

for (const { name, origin, size, contenders } of SCENARIOS.filter((one) => one.name === 'local' || one.name === 'h2-to-h1')) {
  test(`every contender of ${name} answers as it is asked to`, { skip }, async () => {
    await withProcesses(async (processes) => {
      const context = { processes, openFiles: 1_024 };
      const to = await startOriginOf(origin, size, { ...context, loadCores: '0' });
      for (const contender of contenders.filter((one) => one.missing() === null)) {
        const running = await contender.start({ ...context, to, cores: null });
        await expectHttp2Answer(`${running.url}/${size}`, { bytes: parseSize(size).bytes });
        await running.process.stop();
      }
    });
  });
}

test('every contender of grpc-unary hands the message on, and the status in trailers', { skip }, async () => {
  const scenario = MATRIX.find(({ name }) => name === 'grpc-unary');
  await withProcesses(async (processes) => {
    const context = { processes, openFiles: 1_024, certificates: '' };
    const to = await startOriginOf('grpc', '', { ...context, loadCores: '0' });
    for (const contender of scenario?.contenders.filter((one) => one.missing() === null) ?? []) {
      const running = await contender.start({ ...context, to, cores: null });
      const post = { fields: GRPC.fields, body: GRPC.request };
      await expectHttp2Answer(`${running.url}${GRPC.path}`, { bytes: GRPC.answer.length, post, trailers: GRPC.trailers });
      await running.process.stop();
    }
  });
});

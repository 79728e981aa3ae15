import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { instrumentedBranches } from '../src/coverage.ts';
import { type FuzzerReport, runFuzzer } from '../src/fuzzer.ts';
import { installInstrumentation } from '../src/instrument.ts';
import { InvariantBroken, type Target } from '../src/target.ts';
import { toySeeds } from './fixtures/toy-seeds.ts';

/** The module of the toy parser, loaded once the hook is in place. */
interface Toy extends Target {
  readonly toy: { hasBug: boolean };
}

/** Executions within which the planted bug must be found. Twelve seeds needed 300 to 120 000, half of them less than 12 000; this one 4 500. */
const BOUND = 40_000;
const SEED = 4;

let requests: Toy;
let staircase: Target;

before(async () => {
  installInstrumentation((url) => url.includes('/fuzz/test/fixtures/toy-'));
  requests = await import('./fixtures/toy-requests.ts');
  staircase = await import('./fixtures/toy-staircase.ts');
});

function text(report: FuzzerReport): string {
  return Buffer.from(report.found[0]?.data ?? []).toString('latin1');
}

describe('the fuzzer', () => {
  test('finds a parser that takes Content-Length beside Transfer-Encoding (RFC 9112 §6.1), from three good requests', async () => {
    requests.toy.hasBug = true;
    const report = await runFuzzer(requests, { seeds: toySeeds, seed: SEED, maxExecutions: BOUND });
    assert.equal(report.found.length, 1);
    const [found] = report.found;
    assert.ok(found?.error instanceof InvariantBroken);
    assert.equal(found.error.law, 'never both framings');
    assert.match(text(report), /content-length:\s*\d/i);
    assert.match(text(report), /transfer-encoding:\s*chunked/i);
    assert.equal(report.executions, found.execution);
  });

  test('does the same work for the same seed, and other work for another', async () => {
    requests.toy.hasBug = true;
    const limits = { seeds: toySeeds, maxExecutions: 5000 };
    const { found: _, ...first } = await runFuzzer(requests, { ...limits, seed: 1 });
    const { found: __, ...second } = await runFuzzer(requests, { ...limits, seed: 1 });
    const { found: ___, ...other } = await runFuzzer(requests, { ...limits, seed: 2 });
    assert.deepEqual(first, second);
    assert.notDeepEqual(first, other);
  });

  test('finds nothing where the parser is right', async () => {
    requests.toy.hasBug = false;
    const report = await runFuzzer(requests, { seeds: toySeeds, seed: SEED, maxExecutions: BOUND });
    assert.deepEqual(report.found, []);
    assert.equal(report.executions, BOUND);
  });

  test('climbs a staircase of bytes that only coverage shows', async () => {
    const report = await runFuzzer(staircase, { seeds: [], seed: 2, maxExecutions: 1_500_000 });
    assert.deepEqual(Buffer.from(report.found[0]?.data ?? []), Buffer.from([0x91, 0x37, 0xc4, 0xfe, 0x5b]));
    assert.ok(report.branches > 0 && report.branches <= instrumentedBranches());
    assert.ok(report.grown.length >= 4, 'each step is kept');
  });

  test('without coverage does not climb it', async () => {
    // The same steps in a function that is not instrumented: nothing tells one input from another.
    const steps = [0x91, 0x37, 0xc4, 0xfe, 0x5b];
    const blind: Target = {
      options: { maxLength: 16 },
      fuzz(data) {
        if (steps.every((step, index) => data[index] === step)) throw new TypeError('the top');
      },
    };
    const { found } = await runFuzzer(blind, { seeds: [], seed: 2, maxExecutions: 300_000 });
    assert.deepEqual(found, []);
  });

  test('counts what breaks the same law as one finding, and goes on to others', async () => {
    const target: Target = {
      options: { maxLength: 8 },
      fuzz(data) {
        if (data[0] === 0x41) throw new TypeError(`A of ${data.length}`);
        if (data[0] === 0x42) throw new RangeError(`B of ${data.length}`);
      },
    };
    const report = await runFuzzer(target, { seeds: [], seed: 1, maxExecutions: 50_000, maxFindings: 3 });
    assert.deepEqual(report.found.map(({ error }) => error.name).toSorted(), ['RangeError', 'TypeError']);
    assert.deepEqual(
      report.found.map(({ data }) => data.length),
      [1, 1],
      'made as short as can be',
    );
    assert.equal(report.executions, 50_000);
  });

  test('runs every seed as it is, also one that is longer than mutations may be', async () => {
    const seen: number[] = [];
    const target: Target = { options: { maxLength: 4 }, fuzz: (data) => void seen.push(data.length) };
    await runFuzzer(target, { seeds: [{ name: 'long', data: new Uint8Array(100) }], seed: 1, maxExecutions: 50 });
    assert.equal(seen[0], 100);
    assert.ok(seen.length >= 50 && seen.slice(1).every((length) => length === 100 || length <= 4));
  });

  test('stops at the end of its time', async () => {
    let now = 0;
    const target: Target = { fuzz: () => void now++ };
    const report = await runFuzzer(target, { seeds: [], seed: 1, maxMs: 1000, clock: () => now });
    assert.ok(report.executions >= 1000 && report.executions < 1000 + 257);
  });

  test('runs the seeds alone where no time, or no execution, is left', async () => {
    const seeds = ['a', 'b', 'c'].map((name) => ({ name, data: Buffer.from(name) }));
    for (const none of [{ maxMs: 0, clock: () => 0 }, { maxExecutions: 0 }]) {
      const seen: string[] = [];
      const target: Target = { fuzz: (data) => void seen.push(Buffer.from(data).toString()) };
      const { executions } = await runFuzzer(target, { seeds, seed: 1, ...none });
      assert.equal(executions, 3);
      assert.deepEqual([...new Set(seen)], ['a', 'b', 'c']);
    }
  });

  test('hands each finding out at once, made short, and stops when it is told to', async () => {
    const stopping = new AbortController();
    const handed: string[] = [];
    const target: Target = {
      options: { maxLength: 8 },
      fuzz(data) {
        if (data[0] === 0x41) throw new TypeError('A');
      },
    };
    const report = await runFuzzer(target, {
      seeds: [{ name: 'long', data: Buffer.from('Axyz') }],
      seed: 1,
      maxFindings: 2,
      signal: stopping.signal,
      onFinding({ data }) {
        handed.push(Buffer.from(data).toString());
        // As a signal to the process would: some turn of the event loop later.
        setImmediate(() => stopping.abort());
      },
    });
    assert.deepEqual(handed, ['A']);
    assert.equal(report.found.length, 1);
    assert.ok(report.executions <= 1024, `${report.executions} executions`);
  });

  test('waits for a target that answers with a promise, and takes its rejection as a finding', async () => {
    let running = 0;
    const target: Target = {
      options: { maxLength: 8 },
      async fuzz(data) {
        assert.equal(++running, 1, 'one at a time');
        await Promise.resolve();
        running--;
        if (data[0] === 0x41) throw new TypeError('later');
      },
    };
    const report = await runFuzzer(target, { seeds: [], seed: 1, maxExecutions: 20_000, maxFindings: 2 });
    assert.deepEqual(
      report.found.map(({ data, error }) => [Buffer.from(data).toString(), error.message]),
      [['A', 'later']],
    );
  });

  test('takes a WireError as a refusal, and one of type internal as a bug', async () => {
    const { internalError, protocolError } = await import('@ferrata/error');
    const target = (error: Error): Target => ({
      fuzz: () => {
        throw error;
      },
    });
    const limits = { seeds: [], seed: 1, maxExecutions: 10 };
    const refused = await runFuzzer(target(protocolError('ANY')), limits);
    assert.equal(refused.found.length, 0);
    const broken = await runFuzzer(target(internalError('ANY')), limits);
    assert.equal(broken.found.length, 1);
  });
});

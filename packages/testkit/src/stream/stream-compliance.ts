/**
 * The stream contract as tests: `streamCompliance` registers one `node:test` test for each sentence of it, for any implementation.
 *
 * Both ends of the pair run under `CheckedStream`, so each test also proves the lines that always hold (order of events, nothing from inside a
 * method, nothing while paused, nothing for a replaced sink). Nothing here sleeps: a test waits for an event, and where nothing may happen it
 * lets the event loop turn a few times (`settle`).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CheckedStream } from './checked-stream.ts';
import { type CompliancePair, type ContractTest, nextTurn, type Rig, type StreamComplianceOptions } from './compliance/compliance-rig.ts';
import { linesFiveToSeven } from './compliance/lines-five-to-seven.ts';
import { linesOneToFour } from './compliance/lines-one-to-four.ts';
import { contractProperties } from './compliance/properties.ts';
import { calledFromCallbacks, stateTransitions } from './compliance/states.ts';
import { RecordingSink } from './recording-sink.ts';

export type { CompliancePair, StreamComplianceOptions } from './compliance/compliance-rig.ts';

/**
 * Registers the tests of the stream contract.
 *
 * @param name the implementation, as it shall show in the test report
 * @param makePair makes a fresh pair; called once a test, and once a run of a property
 */
export function streamCompliance(
  name: string,
  makePair: () => CompliancePair | Promise<CompliancePair>,
  options: StreamComplianceOptions = {},
): void {
  const settle = options.settle ?? turnEventLoop;

  async function withRig(signal: AbortSignal, body: (rig: Rig) => Promise<void>): Promise<void> {
    const pair = await makePair();
    const a = new CheckedStream(pair.a);
    const b = new CheckedStream(pair.b);
    const release = async (): Promise<void> => {
      pair.a.abort();
      pair.b.abort();
      await pair.close?.();
    };
    // A test that waits in vain is given up by its time limit; what it holds open must not keep the others waiting.
    const giveUp = (): void => void release();
    signal.addEventListener('abort', giveUp);
    try {
      await body({ a, b, sinkA: new RecordingSink(), sinkB: new RecordingSink(), settle, options });
      await settle();
      assert.deepEqual(a.violations, [], 'violations of a');
      assert.deepEqual(b.violations, [], 'violations of b');
    } finally {
      signal.removeEventListener('abort', giveUp);
      if (!signal.aborted) await release();
    }
  }

  describe(`${name}: the stream contract`, () => {
    for (const { key, title, body } of contractTests) {
      const reason = options.skip?.[key];
      const settings = reason === undefined ? { timeout: options.testTimeoutMs ?? 20_000 } : { skip: reason };
      test(`${key} ${title}`, settings, ({ signal }) => withRig(signal, body));
    }
    for (const { key, title, property } of contractProperties) {
      const reason = options.skip?.[key];
      const settings = reason === undefined ? { timeout: options.testTimeoutMs ?? 20_000 } : { skip: reason };
      test(`${key} ${title}`, settings, ({ signal }) =>
        fc.assert(
          property((body) => withRig(signal, body)),
          { numRuns: options.runs ?? 25 },
        ),
      );
    }
  });
}

async function turnEventLoop(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await nextTurn();
}

const contractTests: readonly ContractTest[] = [
  ...linesOneToFour(),
  ...linesFiveToSeven(),
  ...stateTransitions(),
  ...calledFromCallbacks(),
];

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { outcomeOf, parseKnownFailures, report, summarise } from '../runner.ts';

describe('known failures', () => {
  test('stand under a reason of one or more lines, until an empty line', () => {
    const known = parseKnownFailures('# A head note.\n\n# First reason,\n# on two lines.\na\nb\n\n# Second.\nc\n');
    assert.deepEqual(
      [...known],
      [
        ['a', 'First reason, on two lines.'],
        ['b', 'First reason, on two lines.'],
        ['c', 'Second.'],
      ],
    );
  });

  test('without a reason, or listed twice, are refused', () => {
    assert.throws(() => parseKnownFailures('# r\na\n\nb\n', 'x.txt'), { message: 'x.txt:4: b stands under no reason' });
    assert.throws(() => parseKnownFailures('# r\na\na\n', 'x.txt'), { message: 'x.txt:3: a stands twice' });
  });
});

describe('a summary', () => {
  const known = parseKnownFailures('# reason\nlisted\n');

  test('counts a known failure that fails as passed', () => {
    const {
      passed,
      failures,
      known: asListed,
    } = summarise(
      [
        { id: 'listed', problem: 'x' },
        { id: 'fine', problem: null },
      ],
      known,
    );
    assert.deepEqual([passed, failures, [...asListed]], [2, [], [['reason', ['listed']]]]);
  });

  test('counts one that passes as failed', () => {
    assert.deepEqual(summarise([{ id: 'listed', problem: null }], known).failures, [
      'listed: passes, though it is listed as failing because: reason',
    ]);
  });

  test('fails for an entry that names no case, for an id that two cases have, and if nothing ran', () => {
    assert.match(
      summarise([{ id: 'other', problem: null }], known).failures.join(),
      /listed: is listed as a known failure, but no case has this id/,
    );
    assert.match(
      summarise(
        [
          { id: 'a', problem: null },
          { id: 'a', problem: null },
        ],
        new Map(),
      ).failures.join(),
      /two cases have this id/,
    );
    assert.deepEqual(summarise([], new Map()).failures, ['no case was run']);
  });

  test('is reported with N passed, N failed at its end, and the exit code of a failure', (context) => {
    const log = context.mock.method(console, 'log', () => undefined);
    const outcomes = [
      { id: 'a', problem: 'broken' },
      { id: 'b', problem: null },
      { id: 'listed', problem: 'x' },
    ];
    assert.equal(report('suite', summarise(outcomes, known)), 1);
    assert.deepEqual(
      log.mock.calls.map((call) => String(call.arguments)),
      ['FAILED suite a: broken', 'suite: 1 as listed: reason', '2 passed, 1 failed'],
    );
    assert.equal(report('suite', summarise([{ id: 'b', problem: null }], new Map())), 0);
  });

  test('takes a throw of a check as its problem', async () => {
    assert.equal((await outcomeOf('a', () => null)).problem, null);
    const { problem } = await outcomeOf('b', () => {
      throw new TypeError('no such thing');
    });
    assert.match(problem ?? '', /TypeError: no such thing/);
  });
});

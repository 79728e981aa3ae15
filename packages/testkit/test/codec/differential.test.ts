/** The differential runner: what it takes for agreement, for a known difference and for a finding; and that a finding shrinks. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DifferenceFound, Differential, type DifferentialOptions, differential, showBytes } from '../../src/index.ts';

/** The sum of some numbers; the others are wrong in one way each. */
const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
const wrongFromTen = (numbers: readonly number[]): number => sum(numbers.map((one) => (one >= 10 ? 0 : one)));
const wrongForNone = (numbers: readonly number[]): number => (numbers.length === 0 ? -1 : sum(numbers));

const options: DifferentialOptions<readonly number[], number, number> = {
  ours: sum,
  theirs: { same: sum, small: wrongFromTen, busy: wrongForNone },
  knownDifferences: [
    { why: 'nothing has no sum', readers: ['busy'], applies: ({ input }) => input.length === 0 },
    { why: 'it counts on its fingers', readers: ['small'], applies: ({ input, theirs }) => input.some((one) => one >= 10) && theirs < 10 },
  ],
};

differential('sums', {
  ...options,
  inputs: fc.array(fc.nat(9), { maxLength: 4 }),
  examples: { nothing: [], 'a number with two digits': [1, 10] },
  runs: 50,
});

describe('Differential', () => {
  test('counts agreement and known differences, by reader and by reason', () => {
    const comparing = new Differential(options);
    assert.deepEqual(comparing.unmet, ['nothing has no sum', 'it counts on its fingers']);
    for (const input of [[], [1, 2], [20]]) comparing.check(input);
    assert.deepEqual(comparing.counts, {
      inputs: 3,
      agreed: { same: 3, small: 2, busy: 2 },
      known: { 'nothing has no sum': 1, 'it counts on its fingers': 1 },
    });
    assert.deepEqual(comparing.unmet, []);
  });

  test('a difference that no reason covers is a finding, with the reader, the input and the difference', () => {
    const comparing = new Differential(options);
    assert.throws(
      () => comparing.check([30, 5, 5]),
      (error) =>
        error instanceof DifferenceFound &&
        error.reader === 'small' &&
        error.message.startsWith('small reads something else in [30,5,5]: ') &&
        error.cause instanceof assert.AssertionError,
    );
    // The reason names another reader.
    assert.throws(() => new Differential({ ...options, theirs: { ...options.theirs, same: wrongForNone } }).check([]), { reader: 'same' });
  });

  test('a finding shrinks to the least input that shows it', () => {
    const comparing = new Differential({ ours: sum, theirs: { small: wrongFromTen } });
    const details = fc.check(
      fc.property(fc.array(fc.nat(100)), (input) => comparing.check(input)),
      { seed: 7 },
    );
    assert.deepEqual(details.counterexample, [[10]]);
  });

  test('compare decides what a difference is', () => {
    const stricter = new Differential<string, boolean, boolean>({
      ours: (text) => text === 'a',
      theirs: { lenient: (text) => text.toLowerCase() === 'a', other: (text) => text === 'a' || text === 'b' },
      // What we take they must take; what we refuse is not their matter.
      compare: ({ ours, theirs }) => assert.ok(theirs || !ours),
      show: (text) => `<${text}>`,
    });
    for (const text of ['a', 'A', 'b', 'c']) stricter.check(text);
    assert.deepEqual(stricter.counts.agreed, { lenient: 4, other: 4 });
    const never = new Differential<string, boolean, boolean>({
      ours: () => true,
      theirs: { never: () => false },
      show: (text) => `<${text}>`,
    });
    assert.throws(() => never.check('x'), /^DifferenceFound: never reads something else in <x>/);
  });

  test('what ours throws is no difference, but passes through', () => {
    const broken = new Differential({ ours: () => assert.fail('ours'), theirs: { one: () => 1 } });
    assert.throws(() => broken.check(0), /^AssertionError.*ours$/);
  });

  test('what another reader throws is a finding, with the reader and the input, and no known difference covers it', () => {
    const broken = new Differential<readonly number[], number, number>({
      ours: sum,
      theirs: { same: sum, broken: (numbers) => (numbers.length > 1 ? assert.fail('theirs') : sum(numbers)) },
      knownDifferences: [{ why: 'all', applies: () => true }],
    });
    broken.check([1]);
    assert.throws(
      () => broken.check([1, 2]),
      (error) =>
        error instanceof DifferenceFound &&
        error.reader === 'broken' &&
        error.message === 'broken throws when it reads [1,2]: theirs' &&
        error.cause instanceof assert.AssertionError,
    );
    assert.deepEqual(broken.counts, { inputs: 2, agreed: { same: 2, broken: 1 }, known: { all: 0 } });
  });

  test('nonsense is refused at once', () => {
    assert.throws(() => new Differential({ ours: sum, theirs: {} }), TypeError);
    const twice = { why: 'twice', applies: () => true };
    assert.throws(() => new Differential({ ...options, knownDifferences: [twice, twice] }), /two known differences/);
    assert.throws(() => new Differential({ ...options, knownDifferences: [{ ...twice, readers: ['nobody'] }] }), /no reader/);
  });
});

test('bytes are shown as text, and in hex where text does not say them', () => {
  assert.equal(showBytes(Uint8Array.from(Buffer.from('a "b"\\\r\n\t'))), String.raw`"a \"b\"\\\r\n\t"`);
  assert.equal(showBytes(Uint8Array.of(0x61, 0, 0xff)), String.raw`"a\x00\xff" (6100ff)`);
  assert.equal(showBytes(new Uint8Array(5).fill(0x61), 2), '"aa" … (5 bytes)');
});

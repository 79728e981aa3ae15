import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isValid, refusalOf } from '../oracles/misuse.ts';

describe('a command that is refused', () => {
  const throwing = (error: unknown) => (): void => {
    throw error;
  };
  const notOurs = { law: 'misuse is a TypeError or a RangeError of ours' };

  test('has thrown a TypeError or a RangeError that sources made', () => {
    for (const name of ['TypeError', 'RangeError'] as const) {
      const refusal = refusalOf(() => {
        throw new globalThis[name]('Cannot read properties of undefined');
      });
      assert.ok(refusal instanceof globalThis[name]);
      assert.equal(refusal.name, name);
    }
    assert.equal(
      refusalOf(() => undefined),
      null,
    );
  });

  test('is none where the engine has thrown', () => {
    const nothing: unknown = undefined;
    const crashes: readonly (() => unknown)[] = [
      () => (nothing as string).length,
      () => (nothing as () => void)(),
      () => [...(nothing as string[])],
      () => new Uint8Array(-1),
      () => 'x'.repeat(-1),
      () => decodeURIComponent('%'),
      function deeper(): unknown {
        return [deeper()];
      },
    ];
    for (const crash of crashes) assert.throws(() => refusalOf(crash), notOurs);
  });

  test('is none where anything else was thrown, or what was made before', () => {
    for (const thrown of [new Error('x'), new SyntaxError('x'), 'x', null, new TypeError('made before')]) {
      assert.throws(() => refusalOf(throwing(thrown)), notOurs);
    }
  });

  test('leaves the constructors as they were', () => {
    const { TypeError: before, RangeError: alsoBefore } = globalThis;
    refusalOf(() => {
      assert.notEqual(globalThis.TypeError, before);
      throw new TypeError('x');
    });
    assert.throws(() => refusalOf(throwing(1)), notOurs);
    assert.deepEqual([globalThis.TypeError, globalThis.RangeError], [before, alsoBefore]);
  });
});

describe('what is certainly valid', () => {
  test('keeps to the grammar (RFC 9110 §5)', () => {
    assert.ok(isValid.field('X-A', 'a b') && isValid.field('x', '') && isValid.response(200, '') && isValid.length(0));
    assert.ok(isValid.request('GET', '/a?b=c') && isValid.extension('') && isValid.extension('a') && isValid.value('\xe9'));
    const wrong = [
      isValid.field('', 'a'),
      isValid.field('X A', 'a'),
      isValid.field('X', ' a'),
      isValid.field('X', 'a\n'),
      isValid.field('x'.repeat(257), 'a'),
      isValid.value('\u0100'),
      isValid.request('GET', '*'),
      isValid.request('CONNECT', '/'),
      isValid.response(99, ''),
      isValid.response(200, '\n'),
      isValid.length(-1),
      isValid.length(2 ** 53),
      isValid.extension('a b'),
    ];
    assert.deepEqual(
      wrong,
      wrong.map(() => false),
    );
  });
});

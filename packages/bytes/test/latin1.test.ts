import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { latin1Decode, latin1Encode, latin1EncodeInto } from '../src/index.ts';
import { chooseLatin1, type Latin1, latin1, portableLatin1 } from '../src/internal/latin1.ts';

const all256 = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const ways: readonly (readonly [name: string, Latin1])[] = [
  ["with Node's primitives", latin1],
  ['without them', portableLatin1],
];

for (const [name, way] of ways) {
  test(`${name}: every byte is its code unit, in both directions`, () => {
    const text = way.decode(all256, 0, 256);
    assert.equal(text.length, 256);
    for (let unit = 0; unit < 256; unit++) assert.equal(text.charCodeAt(unit), unit);
    const bytes = new Uint8Array(256);
    way.encodeInto(text, bytes, 0);
    assert.deepEqual(bytes, all256);
  });

  test(`${name}: text longer than a call can have arguments is decoded`, () => {
    const bytes = new Uint8Array(1_000_003).fill(0x61);
    bytes[1_000_002] = 0xff;
    const text = way.decode(bytes, 1, bytes.length);
    assert.equal(text.length, 1_000_002);
    assert.equal(text.charCodeAt(text.length - 1), 0xff);
  });

  test(`${name}: only the bytes of the text are written`, () => {
    for (const length of [0, 1, 20, 21, 40]) {
      const bytes = new Uint8Array(64).fill(0x2e);
      way.encodeInto('x'.repeat(length), bytes, 3);
      assert.equal(latin1Decode(bytes), `...${'x'.repeat(length)}`.padEnd(64, '.'));
    }
  });

  test(`${name}: a character above U+00FF is refused, where keeping its low byte would forge a line feed`, () => {
    for (const text of ['\u010a', `${'x'.repeat(30)}\u010a`, `\u0100${'x'.repeat(30)}`]) {
      const index = text.search(/[^x]/);
      assert.throws(
        () => way.encodeInto(text, new Uint8Array(64), 0),
        new RangeError(`not Latin-1: character at index ${index} lies above U+00FF`),
      );
    }
  });
}

test('a platform without both primitives gets the loops', () => {
  assert.equal(chooseLatin1(undefined), portableLatin1);
  assert.equal(chooseLatin1({}), portableLatin1);
  assert.equal(chooseLatin1({ latin1Slice: () => '' }), portableLatin1);
  assert.notEqual(latin1, portableLatin1);
});

test('a subarray and an array of another realm are decoded and encoded', () => {
  assert.equal(latin1Decode(all256.subarray(65, 70), 1, 3), 'BC');
  const foreign = runInNewContext('new Uint8Array([65, 66, 67])') as Uint8Array;
  assert.equal(latin1Decode(foreign), 'ABC');
  assert.equal(latin1EncodeInto('xyz', foreign, 0), 3);
  assert.equal(foreign[2], 0x7a);
});

test('the whole array is the default range', () => {
  assert.equal(latin1Decode(latin1Encode('café')), 'café');
  assert.equal(latin1Decode(latin1Encode('café'), 2), 'fé');
  assert.equal(latin1Decode(new Uint8Array(0)), '');
});

test('ranges outside the array are refused', () => {
  const bytes = new Uint8Array(4);
  for (const [start, end] of [
    [-1, 2],
    [3, 2],
    [0, 5],
    [Number.NaN, 2],
  ] as const) {
    assert.throws(() => latin1Decode(bytes, start, end), RangeError);
  }
  for (const at of [-1, 3, Number.NaN]) assert.throws(() => latin1EncodeInto('ab', bytes, at), RangeError);
  assert.equal(latin1EncodeInto('ab', bytes, 2), 2);
});

test('latin1Encode refuses what is not Latin-1', () => {
  assert.throws(() => latin1Encode('Ā'), RangeError);
});

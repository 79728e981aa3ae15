import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  asciiLowerCase,
  concatBytes,
  equalBytes,
  equalsAsciiIgnoreCase,
  fromHex,
  hexValue,
  latin1Decode,
  latin1Encode,
  parseDecimal,
  toHex,
  utf8Decode,
  utf8Encode,
} from '../src/index.ts';
import { latin1, portableLatin1 } from '../src/internal/latin1.ts';

/** One of the characters of a text. */
function oneOf(characters: string): fc.Arbitrary<string> {
  return fc.constantFrom(...Array.from(characters));
}

const bytes = fc.uint8Array({ maxLength: 200 });
const text = fc.string({ unit: 'binary', maxLength: 60 });
const mostlyAscii = fc.string({ unit: oneOf('aAzZ@[`{09 Éé\u212a'), maxLength: 12 });

test('Latin-1: bytes survive the way to text and back, and Buffer agrees', () => {
  fc.assert(
    fc.property(bytes, (bytes) => {
      const decoded = latin1Decode(bytes);
      assert.equal(decoded, Buffer.from(bytes).toString('latin1'));
      assert.deepEqual(latin1Encode(decoded), bytes);
    }),
  );
});

test('Latin-1: both ways agree on any range, and on what they refuse', () => {
  fc.assert(
    fc.property(bytes, fc.nat(200), fc.nat(200), text, (bytes, a, b, text) => {
      const [start, end] = [Math.min(a, b, bytes.length), Math.min(Math.max(a, b), bytes.length)];
      assert.equal(latin1.decode(bytes, start, end), portableLatin1.decode(bytes, start, end));

      const outcomes = [latin1, portableLatin1].map((way) => {
        const target = new Uint8Array(64);
        try {
          way.encodeInto(text, target, 2);
          return toHex(target);
        } catch (error) {
          return String(error);
        }
      });
      assert.equal(outcomes[0], outcomes[1]);
    }),
  );
});

test('UTF-8: text survives unless it has lone surrogates, and Buffer agrees', () => {
  fc.assert(
    fc.property(text, bytes, (text, bytes) => {
      assert.equal(utf8Decode(utf8Encode(text)), text.toWellFormed());
      assert.deepEqual(Buffer.from(utf8Encode(text)), Buffer.from(text));
      assert.equal(utf8Decode(bytes), Buffer.from(bytes).toString('utf8'));
    }),
  );
});

test('hex: agrees with Buffer in both directions', () => {
  fc.assert(
    fc.property(bytes, (bytes) => {
      const hex = toHex(bytes);
      assert.equal(hex, Buffer.from(bytes).toString('hex'));
      assert.deepEqual(fromHex(hex), bytes);
      assert.deepEqual(fromHex(hex.toUpperCase()), bytes);
    }),
  );
});

test('hex: any text is decoded or refused as a naive twin does', () => {
  fc.assert(
    fc.property(fc.string({ unit: oneOf('0aFg é'), maxLength: 6 }), (text) => {
      if (/^([0-9a-fA-F]{2})*$/.test(text)) assert.equal(toHex(fromHex(text)), text.toLowerCase());
      else assert.throws(() => fromHex(text), RangeError);
    }),
  );
});

test('hexValue: agrees with parseInt on every byte', () => {
  for (let byte = 0; byte < 256; byte++) {
    const character = String.fromCharCode(byte);
    assert.equal(hexValue(byte), /[0-9a-fA-F]/.test(character) ? Number.parseInt(character, 16) : -1);
  }
  for (const noByte of [-1, 256, 0.5, Number.NaN]) assert.equal(hexValue(noByte), -1);
});

test('parseDecimal: agrees with BigInt on digits, and refuses all else', () => {
  const digits = fc.string({ unit: oneOf('0123456789'), maxLength: 20 });
  const nearLimit = fc.bigInt({ min: 2n ** 53n - 5n, max: 2n ** 53n + 5n }).map(String);
  const any = fc.string({ unit: oneOf('019 +-.exX_٣'), maxLength: 5 });
  fc.assert(
    fc.property(fc.oneof(digits, nearLimit, any), (text) => {
      const isNumber = /^[0-9]+$/.test(text) && BigInt(text) <= BigInt(Number.MAX_SAFE_INTEGER);
      assert.equal(parseDecimal(text), isNumber ? Number(text) : -1);
    }),
    { numRuns: 500 },
  );
});

test('asciiLowerCase: agrees with a naive twin', () => {
  fc.assert(
    fc.property(fc.oneof(mostlyAscii, text), (text) => {
      const naive = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      assert.equal(asciiLowerCase(text), naive);
    }),
    { numRuns: 300 },
  );
});

test('equalsAsciiIgnoreCase: agrees with comparing lower-cased texts', () => {
  fc.assert(
    fc.property(mostlyAscii, mostlyAscii, fc.boolean(), (a, other, swapsCase) => {
      const b = swapsCase ? a.replace(/[a-zA-Z]/g, (letter) => (letter < 'a' ? letter.toLowerCase() : letter.toUpperCase())) : other;
      assert.equal(equalsAsciiIgnoreCase(a, b), asciiLowerCase(a) === asciiLowerCase(b));
    }),
    { numRuns: 300 },
  );
});

test('equalsAsciiIgnoreCase: no pair of different non-letters is equal', () => {
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) {
      const [x, y] = [String.fromCharCode(a), String.fromCharCode(b)];
      assert.equal(equalsAsciiIgnoreCase(x, y), asciiLowerCase(x) === asciiLowerCase(y), `${a} ${b}`);
    }
  }
});

test('concatBytes and equalBytes: agree with Buffer', () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 5 }), (chunks) => {
      const joined = concatBytes(chunks);
      assert.deepEqual(Buffer.from(joined), Buffer.concat(chunks));
      assert.equal(equalBytes(joined, Buffer.concat(chunks)), true);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3, max: 1 }), fc.uint8Array({ maxLength: 3, max: 1 }), (a, b) => {
      assert.equal(equalBytes(a, b), Buffer.compare(a, b) === 0);
    }),
  );
});

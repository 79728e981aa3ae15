import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { ByteWriter, fromHex, latin1Decode, latin1Encode, toHex } from '@ferrata/bytes';
import { decodeHuffman, huffmanEncodedLength, STATIC_TABLE, STATIC_TABLE_LENGTH, writeHuffman } from '@ferrata/hpack';
import { CODE_LENGTHS, CODES } from '../src/internal/huffman-code.ts';

// Their tables, typed by hand from the RFC by somebody else.
const theirs = createRequire(import.meta.url)('hpack.js') as {
  readonly huffman: { readonly encode: readonly (readonly [bits: number, code: number])[] };
  readonly 'static-table': { readonly table: readonly { readonly name: string; readonly value: string }[] };
};

function encode(text: string): Uint8Array {
  const writer = new ByteWriter();
  writeHuffman(writer, text);
  return writer.take();
}

function decode(bytes: Uint8Array): string | number {
  const target = new Uint8Array(bytes.length * 2 + 2);
  const end = decodeHuffman(bytes, 0, bytes.length, target, 0);
  return end < 0 ? end : latin1Decode(target, 0, end);
}

test('the code is that of Appendix B, as hpack.js has it', () => {
  const ours = Array.from(CODES, (code, octet) => [CODE_LENGTHS[octet], code]);
  assert.deepEqual(ours, theirs.huffman.encode.slice(0, 256));
});

test('the static table is that of Appendix A, as hpack.js has it', () => {
  assert.equal(STATIC_TABLE.length, STATIC_TABLE_LENGTH + 1);
  assert.deepEqual(
    STATIC_TABLE.slice(1),
    theirs['static-table'].table.map(({ name, value }) => [name, value]),
  );
});

test('every octet survives, alone and between any two others of another length (RFC 7541 §5.2)', () => {
  const others = ['', '0', 'X', '!', '\\', '\x01', '\n'];
  for (let octet = 0; octet < 256; octet++) {
    for (const before of others) {
      for (const after of others) {
        const text = before + String.fromCharCode(octet) + after;
        const bytes = encode(text);
        assert.equal(bytes.length, huffmanEncodedLength(text));
        assert.equal(decode(bytes), text);
      }
    }
  }
});

test('the bits of a code are where a plain concatenation of codes puts them', () => {
  const text = Array.from({ length: 256 }, (_, octet) => String.fromCharCode((octet * 7) & 0xff)).join('');
  const bits = Array.from(text, (character) => {
    const [length, code] = theirs.huffman.encode[character.charCodeAt(0)] as readonly [number, number];
    return code.toString(2).padStart(length, '0');
  }).join('');
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  const expected = Uint8Array.from(padded.match(/.{8}/g) ?? [], (octet) => Number.parseInt(octet, 2));
  assert.equal(toHex(encode(text)), toHex(expected));
});

test('padding is up to 7 ones and nothing else (RFC 7541 §5.2)', () => {
  // `0` is 00000: three bits are left.
  assert.equal(decode(fromHex('07')), '0');
  for (const hex of ['00', '01', '03', '05', '06']) assert.equal(decode(fromHex(hex)), -2, hex);
  // 8 ones and more, though they begin the end-of-string symbol.
  assert.equal(decode(fromHex('07ff')), -2);
  assert.equal(decode(fromHex('ff')), -2);
  assert.equal(decode(fromHex('')), '');
});

test('the end-of-string symbol within a string is refused (RFC 7541 §5.2)', () => {
  assert.equal(decode(fromHex('ffffffff')), -1);
  assert.equal(decode(fromHex('fffffffc')), -1);
  assert.equal(decode(fromHex('07fffffff8')), -1);
  // One bit off it is the longest code of an octet: LF is 30 bits ending in 00.
  assert.equal(decode(fromHex('fffffff3')), '\n');
});

test('text above U+00FF is refused and nothing written', () => {
  const writer = new ByteWriter();
  writer.writeByte(1);
  assert.throws(() => writeHuffman(writer, 'aÿĀ'), RangeError);
  assert.throws(() => huffmanEncodedLength('Ā'), RangeError);
  assert.equal(toHex(writer.take()), '01');
});

test('a range of the source and a place in the target are respected', () => {
  const source = latin1Encode('xx\x07xx');
  const target = new Uint8Array(8).fill(0x2e);
  assert.equal(decodeHuffman(source, 2, 3, target, 4), 5);
  assert.equal(latin1Decode(target, 0, 5), '....0');
});

import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatIpv4, formatIpv6, formatIpv6Groups, isIpv4Mapped, readIpv4, readIpv6, toHex } from '../src/index.ts';

/** The bytes of an address as hex; null if it is none. */
function read(text: string): string | null {
  const bytes = new Uint8Array(18).fill(0xee);
  if (readIpv4(text, bytes, 1)) return toHex(bytes.subarray(1, 5));
  return readIpv6(text, bytes, 1) ? toHex(bytes.subarray(1, 17)) : null;
}

describe('readIpv4 and readIpv6', () => {
  for (const [text, hex] of [
    ['127.0.0.1', '7f000001'],
    ['255.255.255.255', 'ffffffff'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['1::', `0001${'0'.repeat(28)}`],
    ['2001:DB8::a:0', '20010db80000000000000000000a0000'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['1:2:3:4:5:6:192.0.2.1', '000100020003000400050006c0000201'],
  ] as const) {
    test(`${text} is ${hex}`, () => assert.equal(read(text), hex));
  }

  const none = [
    '',
    '1',
    '127.1',
    '010.0.0.1',
    '1.2.3.4.5',
    '1.2.3.256',
    '1..2.3',
    ':',
    ':::',
    '1:::2',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8::',
  ];
  for (const text of [
    ...none,
    '::12345',
    '::g',
    '::1%eth0',
    '[::1]',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    ' ::1',
    '1:2:3:4:5:6:7:1.2.3.4',
  ]) {
    test(`${JSON.stringify(text)} is no address`, () => assert.equal(read(text), null));
  }

  test('take what node:net takes', () => {
    const piece = fc.oneof(
      fc.constantFrom(':', '::', '.', '0', '00', '255', '256', 'ffff', 'FFFFF', '%', 'g', '1.2.3.4'),
      fc.nat(0x1_00ff).map(String),
    );
    const near = fc.array(piece, { maxLength: 17 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(fc.oneof(near, fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), (text) => {
        const bytes = new Uint8Array(16);
        assert.equal(readIpv4(text, bytes, 0), isIPv4(text));
        assert.equal(readIpv6(text, bytes, 0), isIPv6(text) && !text.includes('%'));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('formatIpv4 and formatIpv6', () => {
  // RFC 5952 §4 and §5.
  for (const [given, wanted] of [
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::AAAA', '2001:db8::aaaa'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
  ] as const) {
    test(`${given} is written ${wanted}`, () => {
      const bytes = new Uint8Array(16);
      assert.ok(readIpv6(given, bytes, 0));
      assert.equal(formatIpv6(bytes, 0), wanted);
    });
  }

  test('groups only, also of IPv4 in IPv6', () => {
    const bytes = new Uint8Array(16);
    assert.ok(readIpv6('::ffff:192.0.2.1', bytes, 0));
    assert.ok(isIpv4Mapped(bytes, 0));
    assert.equal(formatIpv6Groups(bytes, 0), '::ffff:c000:201');
    bytes[9] = 1;
    assert.equal(isIpv4Mapped(bytes, 0), false);
  });

  test('what is written is read as the same bytes, wherever they stand', () => {
    const zeros = fc.constantFrom(0, 0, 0xff);
    fc.assert(
      fc.property(fc.array(fc.oneof(zeros, fc.nat(255)), { minLength: 20, maxLength: 20 }), fc.nat(4), (numbers, at) => {
        const bytes = Uint8Array.from(numbers);
        const back = new Uint8Array(16);
        for (const text of [formatIpv6(bytes, at), formatIpv6Groups(bytes, at)]) {
          assert.ok(readIpv6(text, back, 0));
          assert.deepEqual(back, bytes.subarray(at, at + 16));
        }
        assert.ok(readIpv4(formatIpv4(bytes, at), back, 0));
        assert.deepEqual(back.subarray(0, 4), bytes.subarray(at, at + 4));
      }),
    );
  });
});

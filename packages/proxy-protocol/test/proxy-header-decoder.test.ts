import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes, latin1Decode, latin1Encode } from '@ferrata/bytes';
import { WireError } from '@ferrata/error';
import {
  type ProxyHeader,
  ProxyHeaderDecoder,
  type ProxyHeaderDecoderOptions,
  type ProxyHeaderReason,
  resolveProxyHeaderDecoderOptions,
} from '../src/index.ts';
import { binary, hex, signature, vectors } from './vectors.ts';

function reasonOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof WireError, String(error));
    return error.reason;
  }
  return 'none';
}

/** Feeds everything, then the end. @returns the header, or the reason of the refusal */
function read(bytes: Uint8Array, options?: ProxyHeaderDecoderOptions): ProxyHeader | string {
  const decoder = new ProxyHeaderDecoder(options);
  decoder.feed(bytes);
  decoder.end();
  const reason = reasonOf(() => decoder.next());
  return reason === 'none' ? decoder.header : reason;
}

describe('headers by the specification', () => {
  for (const [title, { bytes, header }] of Object.entries(vectors)) {
    test(title, () => {
      assert.deepEqual(read(bytes), header);
    });

    test(`${title}: with application data behind it, in every cut`, () => {
      const all = concatBytes([bytes, latin1Encode('GET / HTTP/1.1\r\n')]);
      for (let at = 0; at <= all.length; at++) {
        const decoder = new ProxyHeaderDecoder();
        let completions = 0;
        for (const chunk of [all.slice(0, at), all.slice(at)]) {
          decoder.feed(chunk);
          if (decoder.next()) completions++;
        }
        assert.equal(completions, 1);
        assert.deepEqual(decoder.header, header);
        assert.equal(latin1Decode(decoder.remaining), 'GET / HTTP/1.1\r\n');
        assert.equal(decoder.consumedBytes, bytes.length);
        assert.equal(decoder.next(), false, 'there is one header');
      }
    });

    test(`${title}: cut off anywhere it is truncated, never accepted`, () => {
      for (let length = 1; length < bytes.length; length++) assert.equal(read(bytes.slice(0, length)), 'PROXY_TRUNCATED');
    });
  }
});

const v4 = 'c0a80001c0a8000bdc0401bb';

const refusals: readonly (readonly [title: string, bytes: Uint8Array, reason: ProxyHeaderReason])[] = [
  ['nothing', new Uint8Array(0), 'PROXY_MISSING'],
  ['HTTP', latin1Encode('G'), 'PROXY_SIGNATURE'],
  ['POST, which begins as version 1 does', latin1Encode('PO'), 'PROXY_SIGNATURE'],
  ['PROXY with a tab', latin1Encode('PROXY\tTCP4'), 'PROXY_SIGNATURE'],
  ['proxy in lower case', latin1Encode('proxy'), 'PROXY_SIGNATURE'],
  ['a signature of version 2 with one bit wrong', hex(`${signature.slice(0, -2)}0b`), 'PROXY_SIGNATURE'],
  ['TLS', hex('160301'), 'PROXY_SIGNATURE'],
  // §2.1
  ['a line of 107 bytes without an end', latin1Encode(`PROXY UNKNOWN ${'x'.repeat(93)}`), 'PROXY_V1_TOO_LONG'],
  ['a line of 108 bytes', latin1Encode(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`), 'PROXY_V1_TOO_LONG'],
  ['a line that ends in LF alone', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n'), 'PROXY_V1_LINE_END'],
  ['CR alone inside a line', latin1Encode('PROXY UNKNOWN a\rb\r\n'), 'PROXY_V1_LINE_END'],
  ['CR CR LF', latin1Encode('PROXY UNKNOWN\r\r\n'), 'PROXY_V1_LINE_END'],
  ['LF right behind the signature', latin1Encode('PROXY \n'), 'PROXY_V1_LINE_END'],
  ['UDP4', latin1Encode('PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n'), 'PROXY_V1_PROTOCOL'],
  ['tcp4', latin1Encode('PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n'), 'PROXY_V1_PROTOCOL'],
  ['UNKNOWN with something stuck to it', latin1Encode('PROXY UNKNOWNX\r\n'), 'PROXY_V1_PROTOCOL'],
  ['an empty line', latin1Encode('PROXY \r\n'), 'PROXY_V1_PROTOCOL'],
  ['a second space', latin1Encode('PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n'), 'PROXY_V1_PROTOCOL'],
  ['TCP4 alone', latin1Encode('PROXY TCP4\r\n'), 'PROXY_V1_SYNTAX'],
  ['a field missing', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n'), 'PROXY_V1_SYNTAX'],
  ['a field too many', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n'), 'PROXY_V1_SYNTAX'],
  ['a space before the end', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n'), 'PROXY_V1_SYNTAX'],
  ['two spaces between addresses', latin1Encode('PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n'), 'PROXY_V1_SYNTAX'],
  ['a leading zero, which some read as octal', latin1Encode('PROXY TCP4 010.0.0.1 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['a number of 256', latin1Encode('PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['three numbers', latin1Encode('PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['five numbers', latin1Encode('PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['an empty number', latin1Encode('PROXY TCP4 1..3.4 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['a dot at the end', latin1Encode('PROXY TCP4 1.2.3. 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['hexadecimal IPv4', latin1Encode('PROXY TCP4 0x1.2.3.4 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['IPv6 in TCP4', latin1Encode('PROXY TCP4 ::1 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['IPv4 in TCP6', latin1Encode('PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['an empty address', latin1Encode('PROXY TCP6  ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['seven groups', latin1Encode('PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['nine groups', latin1Encode('PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['eight groups and a gap', latin1Encode('PROXY TCP6 1:2:3:4::5:6:7:8 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['two gaps', latin1Encode('PROXY TCP6 1::2::3 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['three colons', latin1Encode('PROXY TCP6 1:::2 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['a colon at the end', latin1Encode('PROXY TCP6 1:2:3:4:5:6:7: ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['a group of five digits', latin1Encode('PROXY TCP6 00001::1 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['a letter beyond f', latin1Encode('PROXY TCP6 g::1 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['a zone', latin1Encode('PROXY TCP6 fe80::1%1 ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['brackets', latin1Encode('PROXY TCP6 [::1] ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['IPv4 in the middle of IPv6', latin1Encode('PROXY TCP6 1:1.2.3.4:: ::1 1 2\r\n'), 'PROXY_V1_ADDRESS'],
  ['a port of 65536', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n'), 'PROXY_V1_PORT'],
  ['a port with a leading zero', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n'), 'PROXY_V1_PORT'],
  ['a negative port', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n'), 'PROXY_V1_PORT'],
  ['an empty port', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4  \r\n'), 'PROXY_V1_PORT'],
  ['a port that is no number', latin1Encode('PROXY TCP4 1.2.3.4 1.2.3.4 1e3 2\r\n'), 'PROXY_V1_PORT'],
  // §2.2
  ['version 1 in binary', binary('11', '11', hex(v4)), 'PROXY_V2_VERSION'],
  ['version 3', binary('31', '11', hex(v4)), 'PROXY_V2_VERSION'],
  ['command 2', binary('22', '11', hex(v4)), 'PROXY_V2_COMMAND'],
  ['family 4', binary('21', '41', hex(v4)), 'PROXY_V2_PROTOCOL'],
  ['transport 3', binary('21', '13', hex(v4)), 'PROXY_V2_PROTOCOL'],
  ['IPv4 without a transport', binary('21', '10', hex(v4)), 'PROXY_V2_PROTOCOL'],
  ['a transport without a family', binary('21', '01', hex(v4)), 'PROXY_V2_PROTOCOL'],
  ['addresses that are a byte short', binary('21', '11', hex(v4).slice(1)), 'PROXY_V2_LENGTH'],
  ['IPv6 with the length of IPv4', binary('21', '21', hex(v4)), 'PROXY_V2_LENGTH'],
  ['a Unix socket with 215 bytes', binary('21', '31', new Uint8Array(215)), 'PROXY_V2_LENGTH'],
  ['537 bytes', binary('21', '11', new Uint8Array(521)), 'PROXY_V2_TOO_LONG'],
  ['65 535 bytes announced, and none sent', hex(`${signature}2111ffff`), 'PROXY_V2_TOO_LONG'],
  ['LOCAL that is too long', hex(`${signature}2000ffff`), 'PROXY_V2_TOO_LONG'],
  ['a path that is not UTF-8', binary('21', '31', new Uint8Array(216).fill(0x80, 0, 1)), 'PROXY_V2_UNIX_PATH'],
  ['a TLV of one byte', binary('21', '11', hex(`${v4}04`)), 'PROXY_V2_TLV'],
  ['a TLV of two bytes', binary('21', '11', hex(`${v4}0400`)), 'PROXY_V2_TLV'],
  ['a TLV that reaches a byte beyond', binary('21', '11', hex(`${v4}040002ff`)), 'PROXY_V2_TLV'],
  ['33 TLVs', binary('21', '11', hex(v4 + '040000'.repeat(33))), 'PROXY_V2_TLVS_TOO_MANY'],
  ['a wrong checksum (§2.2.4)', binary('21', '11', hex(`${v4}03000400000000`)), 'PROXY_V2_CHECKSUM'],
  ['a checksum of three bytes', binary('21', '11', hex(`${v4}030003000000`)), 'PROXY_V2_CHECKSUM'],
  ['a unique id of 129 bytes (§2.2.5)', binary('21', '11', hex(`${v4}050081${'00'.repeat(129)}`)), 'PROXY_V2_UNIQUE_ID'],
];

describe('refusals', () => {
  for (const [title, bytes, reason] of refusals) {
    test(`${reason}: ${title}, in every cut, for good, and without keeping a byte`, () => {
      assert.equal(read(bytes), reason);
      for (let at = 0; at <= bytes.length; at++) {
        const decoder = new ProxyHeaderDecoder();
        const found = reasonOf(() => {
          decoder.feed(bytes.slice(0, at));
          assert.equal(decoder.next(), false);
          decoder.feed(bytes.slice(at));
          decoder.end();
          assert.equal(decoder.next(), false);
        });
        assert.equal(found, reason, `cut at ${at}`);
        assert.equal(
          reasonOf(() => decoder.next()),
          reason,
        );
        assert.equal(decoder.bufferedBytes, 0);
        assert.equal(decoder.consumedBytes, 0);
        assert.equal(decoder.isComplete, false);
      }
    });
  }

  test('what cannot be a signature is refused at the first byte that shows it', () => {
    const decoder = new ProxyHeaderDecoder();
    decoder.feed(latin1Encode('PROX'));
    assert.equal(decoder.next(), false);
    decoder.feed(latin1Encode('I'));
    assert.throws(() => decoder.next(), { reason: 'PROXY_SIGNATURE' });
  });

  test('a header of version 2 is judged with its 16th byte, a line at its end (§2.1, §2.2)', () => {
    const [badVersion, badLine] = [Uint8Array.from([...hex(signature), 0x11, 0x11, 0, 0]), latin1Encode('PROXY TCP9 x\r\n')];
    for (const [bytes, reason] of [
      [badVersion, 'PROXY_V2_VERSION'],
      [badLine, 'PROXY_V1_PROTOCOL'],
    ] as const) {
      const decoder = new ProxyHeaderDecoder();
      decoder.feed(bytes.slice(0, -1));
      assert.equal(decoder.next(), false);
      decoder.feed(bytes.slice(-1));
      assert.throws(() => decoder.next(), { reason });
    }
  });

  test('the error is the same object at every later call, asks for nothing to be sent, and chunks after it are dropped', () => {
    const decoder = new ProxyHeaderDecoder();
    decoder.feed(latin1Encode('GET'));
    let first: unknown = null;
    try {
      decoder.next();
    } catch (error) {
      first = error;
    }
    assert.ok(first instanceof WireError);
    assert.equal(first.status, 0);
    assert.equal(first.fault, 'remote');
    decoder.feed(latin1Encode('PROXY UNKNOWN\r\n'));
    assert.equal(decoder.bufferedBytes, 0);
    assert.throws(
      () => decoder.next(),
      (again) => again === first,
    );
  });

  test('a length is refused with the 16th byte, before anything behind it is kept', () => {
    const decoder = new ProxyHeaderDecoder({ maxHeaderBytes: 200 });
    decoder.feed(hex(`${signature}211100b9`));
    assert.throws(() => decoder.next(), { reason: 'PROXY_V2_TOO_LONG', type: 'limit' });
  });

  test('two checksums are refused, even if the first one is right', () => {
    // The sum counts only its own four bytes as zeros, so no second one can make both right but by search.
    const bytes = binary('21', '11', hex(`${v4}03000400000000030004ffffffff`));
    assert.equal(read(bytes), 'PROXY_V2_CHECKSUM');
  });
});

describe('options', () => {
  test('limits hold exactly: a header of maxHeaderBytes and maxTlvs is read, one more is not', () => {
    const filler = (count: number): Uint8Array => hex(v4 + '040000'.repeat(count));
    assert.equal(typeof read(binary('21', '11', filler(40)), { maxTlvs: 40, maxHeaderBytes: 148 }), 'object');
    assert.equal(read(binary('21', '11', filler(40)), { maxTlvs: 39 }), 'PROXY_V2_TLVS_TOO_MANY');
    assert.equal(read(binary('21', '11', filler(40)), { maxTlvs: 40, maxHeaderBytes: 147 }), 'PROXY_V2_TOO_LONG');
    assert.equal(typeof read(binary('21', '00', new Uint8Array(0)), { maxTlvs: 0 }), 'object');
  });

  test('a header of the largest size is read byte by byte in linear work', () => {
    const bytes = binary('21', '00', concatBytes([hex('eafffc'), new Uint8Array(65_532)]));
    const decoder = new ProxyHeaderDecoder({ maxHeaderBytes: 65_551 });
    for (let at = 0; at < bytes.length; at++) {
      decoder.feed(bytes.subarray(at, at + 1));
      assert.equal(decoder.next(), at === bytes.length - 1);
    }
    assert.equal(decoder.header.tlvs[0]?.value.length, 65_532);
  });

  test('a version that is not allowed is refused as such', () => {
    assert.equal(read(latin1Encode('PROXY UNKNOWN\r\n'), { versions: [2] }), 'PROXY_VERSION_REFUSED');
    assert.equal(read(binary('20', '00', new Uint8Array(0)), { versions: [1] }), 'PROXY_VERSION_REFUSED');
    assert.equal(read(latin1Encode('GET'), { versions: [1] }), 'PROXY_SIGNATURE');
  });

  test('options are settled once for many decoders', () => {
    const resolved = resolveProxyHeaderDecoderOptions({ maxTlvs: 1 });
    assert.equal(resolveProxyHeaderDecoderOptions(resolved), resolved);
    assert.equal(resolveProxyHeaderDecoderOptions().maxHeaderBytes, 536);
    assert.equal(
      reasonOf(() => new ProxyHeaderDecoder(resolved).next()),
      'none',
    );
  });

  test('nonsense is refused by name', () => {
    assert.throws(() => new ProxyHeaderDecoder({ maxHeaderBytes: 106 }), /RangeError: maxHeaderBytes/);
    assert.throws(() => new ProxyHeaderDecoder({ maxHeaderBytes: 65_552 }), /RangeError: maxHeaderBytes/);
    assert.throws(() => new ProxyHeaderDecoder({ maxTlvs: 1.5 }), /RangeError: maxTlvs/);
    assert.throws(() => new ProxyHeaderDecoder({ versions: [] }), /TypeError: versions/);
    assert.throws(() => new ProxyHeaderDecoder({ versions: [3 as 2] }), /TypeError: versions/);
  });
});

describe('use', () => {
  test('there is no header to read, and nothing remains, before it is complete', () => {
    const decoder = new ProxyHeaderDecoder();
    assert.throws(() => decoder.header, TypeError);
    assert.throws(() => decoder.remaining, TypeError);
    decoder.end();
    assert.throws(() => decoder.feed(new Uint8Array(1)), TypeError);
  });

  test('chunks fed behind the header gather in remaining; views given out before are not rewritten', () => {
    const decoder = new ProxyHeaderDecoder();
    decoder.feed(latin1Encode('PROXY UNKNOWN\r\nab'));
    assert.ok(decoder.next());
    const early = decoder.remaining;
    decoder.feed(latin1Encode('cd'));
    const later = decoder.remaining;
    decoder.feed(latin1Encode('ef'));
    assert.deepEqual(
      [early, later, decoder.remaining].map((bytes) => latin1Decode(bytes)),
      ['ab', 'abcd', 'abcdef'],
    );
    decoder.end();
    assert.equal(decoder.next(), false, 'an end behind the header is the application’s');
  });

  test('TLVs do not keep the chunk they came in', () => {
    const chunk = concatBytes([binary('21', '00', hex('040001aa')), new Uint8Array(60_000)]);
    for (const fed of [chunk, Buffer.from(chunk)]) {
      const decoder = new ProxyHeaderDecoder();
      decoder.feed(fed);
      assert.ok(decoder.next());
      assert.equal(decoder.header.tlvs[0]?.value.buffer.byteLength, 20);
    }
  });
});

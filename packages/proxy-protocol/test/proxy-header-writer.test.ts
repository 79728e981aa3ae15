import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter, latin1Decode, toHex } from '@ferrata/bytes';
import {
  createProxyHeader,
  decodeSslTlv,
  encodeSslTlv,
  findTlv,
  type ProxyAddress,
  type ProxyHeader,
  ProxyHeaderDecoder,
  proxySignatureMatch,
  TlvType,
  writeProxyHeader,
} from '../src/index.ts';
import { naiveCrc32c } from './naive-reader.ts';
import { binary, hex, vectors } from './vectors.ts';

function written(header: ProxyHeader, options?: { readonly checksum?: boolean }): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, header, options);
  return writer.take();
}

function ip(host: string, port = 1): ProxyAddress {
  return { kind: 'ip', host, port };
}

const v4 = createProxyHeader({ source: ip('192.0.2.1'), destination: ip('192.0.2.2') });

describe('writing', () => {
  for (const [title, { bytes, header, isCanonical }] of Object.entries(vectors)) {
    test(`${title}: ${isCanonical ? 'written as in the specification' : 'written again it says the same'}`, () => {
      if (isCanonical) assert.equal(toHex(written(header)), toHex(bytes));
      const decoder = new ProxyHeaderDecoder();
      decoder.feed(written(header));
      assert.ok(decoder.next());
      assert.deepEqual(decoder.header, header);
    });
  }

  test('a checksum is the CRC32C of the header with zeros in its place (§2.2.4)', () => {
    const bytes = written({ ...v4, tlvs: [{ type: TlvType.noop, value: hex('aabb') }] }, { checksum: true });
    const sumAt = bytes.length - 4;
    assert.equal(toHex(bytes.slice(sumAt - 3, sumAt)), '030004');
    assert.equal(toHex(bytes.slice(sumAt)), naiveCrc32c(bytes.slice().fill(0, sumAt)));
  });

  test('the checksum of a header that is passed on with another TLV is computed anew, in its place', () => {
    const decoder = new ProxyHeaderDecoder();
    decoder.feed(written(v4, { checksum: true }));
    assert.ok(decoder.next());
    const bytes = written({ ...decoder.header, tlvs: [...decoder.header.tlvs, { type: TlvType.uniqueId, value: hex('01') }] });
    const again = new ProxyHeaderDecoder();
    again.feed(bytes);
    assert.ok(again.next());
    assert.deepEqual(
      again.header.tlvs.map(({ type }) => type),
      [TlvType.crc32c, TlvType.uniqueId],
    );
    assert.notDeepEqual(again.header.tlvs[0], decoder.header.tlvs[0]);
  });

  test('any bit that flips under a checksum is noticed', () => {
    const bytes = written({ ...v4, tlvs: [{ type: TlvType.authority, value: hex('616263') }] }, { checksum: true });
    // Behind the fixed part: there, other checks come first.
    for (let bit = 16 * 8; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      const decoder = new ProxyHeaderDecoder();
      decoder.feed(flipped);
      const wasSumType = bit >> 3 === bytes.length - 7;
      // A type that is no longer that of a checksum makes it a TLV like others; nothing else may pass.
      if (wasSumType) continue;
      assert.throws(() => decoder.next(), { reason: /^PROXY_V2_(?:CHECKSUM|TLV)$/ }, `bit ${bit}`);
    }
  });

  test('options of version 1: a checksum has no place there', () => {
    assert.equal(latin1Decode(written({ ...v4, version: 1 }, { checksum: true })), 'PROXY TCP4 192.0.2.1 192.0.2.2 1 1\r\n');
  });

  test('the longest header fits, one byte more does not', () => {
    const header = (size: number): ProxyHeader => ({ ...v4, tlvs: [{ type: 0xe1, value: new Uint8Array(size) }] });
    assert.equal(written(header(65_520)).length, 65_551);
    assert.throws(() => written(header(65_521)), RangeError);
  });

  test('misuse throws and writes nothing', () => {
    const writer = new ByteWriter();
    const local: ProxyHeader = {
      ...v4,
      command: 'local',
      family: 'unspecified',
      transport: 'unspecified',
      source: null,
      destination: null,
    };
    const unix: ProxyAddress = { kind: 'unix', path: '/a' };
    const cases: readonly (readonly [ProxyHeader, typeof TypeError | typeof RangeError])[] = [
      [{ ...v4, version: 3 as 2 }, TypeError],
      [{ ...v4, command: 'other' as 'proxy' }, TypeError],
      [{ ...v4, source: null }, TypeError],
      [{ ...v4, source: null, destination: null }, TypeError],
      [{ ...v4, family: 'unspecified' }, TypeError],
      [{ ...v4, family: 'inet6' }, TypeError],
      [{ ...v4, family: 'unix' }, TypeError],
      [{ ...v4, family: 'ipx' as 'inet' }, TypeError],
      [{ ...v4, transport: 'unspecified' }, TypeError],
      [{ ...v4, command: 'local' }, TypeError],
      [{ ...local, tlvs: [{ type: 4, value: hex('00') }] }, TypeError],
      [{ ...local, version: 1 }, TypeError],
      [{ ...v4, version: 1, tlvs: [{ type: 4, value: hex('00') }] }, TypeError],
      [{ ...v4, version: 1, transport: 'datagram' }, TypeError],
      [{ ...v4, version: 1, family: 'unix', source: unix, destination: unix }, TypeError],
      [{ ...v4, source: unix }, TypeError],
      [{ ...v4, family: 'unix', source: unix }, TypeError],
      [{ ...v4, family: 'unix', source: unix, destination: { kind: 'unix', path: 'a'.repeat(109) } }, RangeError],
      [{ ...v4, family: 'unix', source: unix, destination: { kind: 'unix', path: '/a\0b' } }, TypeError],
      [{ ...v4, family: 'unix', source: unix, destination: { kind: 'unix', path: '/a\ud800' } }, TypeError],
      [{ ...v4, family: 'unix', source: { kind: 'unix', path: '\0\udc00' }, destination: unix }, TypeError],
      [{ ...v4, source: ip('192.0.2.256') }, TypeError],
      [{ ...v4, source: ip('example.org') }, TypeError],
      [{ ...v4, source: ip('192.0.2.1', 65_536) }, RangeError],
      [{ ...v4, source: ip('192.0.2.1', -1) }, RangeError],
      [{ ...v4, version: 1, destination: ip('192.0.2.1', 1.5) }, RangeError],
      [{ ...v4, tlvs: [{ type: 256, value: hex('00') }] }, RangeError],
      [{ ...v4, tlvs: [{ type: TlvType.uniqueId, value: new Uint8Array(129) }] }, RangeError],
      [
        {
          ...v4,
          tlvs: [
            { type: 3, value: new Uint8Array(4) },
            { type: 3, value: new Uint8Array(4) },
          ],
        },
        TypeError,
      ],
    ];
    for (const [header, expected] of cases) assert.throws(() => writeProxyHeader(writer, header), expected, JSON.stringify(header));
    assert.equal(writer.length, 0);
  });
});

describe('createProxyHeader', () => {
  test('the family follows from the addresses', () => {
    assert.equal(v4.family, 'inet');
    assert.equal(createProxyHeader({ source: ip('::1'), destination: ip('::1') }).family, 'inet6');
    const unix: ProxyAddress = { kind: 'unix', path: '/a' };
    assert.deepEqual(createProxyHeader({ source: unix, destination: unix, transport: 'datagram' }), {
      version: 2,
      command: 'proxy',
      family: 'unix',
      transport: 'datagram',
      source: unix,
      destination: unix,
      tlvs: [],
    });
  });

  test('IPv4-mapped addresses of both ends become IPv4', () => {
    const header = createProxyHeader({ source: ip('::ffff:192.0.2.1'), destination: ip('::FFFF:c000:202') });
    assert.deepEqual([header.family, header.source, header.destination], ['inet', ip('192.0.2.1'), ip('192.0.2.2')]);
  });

  test('ends of two families become IPv6, and can be written in both versions', () => {
    for (const version of [1, 2] as const) {
      const header = createProxyHeader({ source: ip('192.0.2.1'), destination: ip('2001:db8::2'), version });
      assert.deepEqual([header.family, header.source], ['inet6', ip('::ffff:192.0.2.1')]);
      const decoder = new ProxyHeaderDecoder();
      decoder.feed(written(header));
      assert.ok(decoder.next());
      assert.deepEqual(decoder.header, header);
    }
  });

  test('a zone is cut off', () => {
    assert.deepEqual(createProxyHeader({ source: ip('fe80::1%eth0'), destination: ip('fe80::2') }).source, ip('fe80::1'));
  });

  test('what cannot be said is unspecified, with its TLVs where there are any', () => {
    const tlvs = [{ type: TlvType.alpn, value: hex('6832') }];
    const unix: ProxyAddress = { kind: 'unix', path: '/a' };
    const unset = { kind: 'unset' } as const;
    for (const [source, destination] of [
      [ip('::1'), unset],
      [unset, ip('::1')],
      [null, null],
      [unix, ip('::1')],
    ] as const) {
      const header = createProxyHeader({ source, destination, tlvs });
      assert.deepEqual([header.family, header.transport, header.source, header.destination], ['unspecified', 'unspecified', null, null]);
      assert.equal(findTlv(header, TlvType.alpn), tlvs[0]?.value);
      assert.equal(findTlv(header, TlvType.ssl), null);
      assert.ok(written(header).length > 16);
    }
    for (const [source, transport] of [
      [unix, 'stream'],
      [ip('::1'), 'datagram'],
    ] as const) {
      const header = createProxyHeader({ source, destination: source, transport, tlvs, version: 1 });
      assert.equal(latin1Decode(written(header)), 'PROXY UNKNOWN\r\n');
    }
  });

  test('a name is no address', () => {
    assert.throws(() => createProxyHeader({ source: ip('localhost'), destination: ip('::1') }), /TypeError: not an IP address: localhost/);
  });
});

describe('signatures', () => {
  test('any beginning of one is partial, the whole is a version, all else is no header', () => {
    const line = hex('50524f585920');
    const start = binary('21', '11', hex('')).slice(0, 12);
    for (let length = 0; length < 6; length++) assert.equal(proxySignatureMatch(line.slice(0, length)), 'partial');
    for (let length = 0; length < 12; length++) assert.equal(proxySignatureMatch(start.slice(0, length)), 'partial');
    assert.equal(proxySignatureMatch(line), 'version1');
    assert.equal(proxySignatureMatch(start), 'version2');
    assert.equal(proxySignatureMatch(hex('0d0a0d0a00ff')), 'no');
    assert.equal(proxySignatureMatch(hex('504f')), 'no');
  });
});

describe('the SSL TLV (§2.2.6)', () => {
  test('what was written is read', () => {
    const fields = {
      isTls: true,
      hasCertificate: true,
      hasSessionCertificate: true,
      verify: 0,
      version: 'TLSv1.3',
      commonName: 'Zoë',
      cipher: 'TLS_AES_128_GCM_SHA256',
      signatureAlgorithm: 'SHA256',
      keyAlgorithm: 'RSA2048',
    };
    const { type, value } = encodeSslTlv(fields);
    assert.equal(type, 0x20);
    const { tlvs, ...read } = decodeSslTlv(value);
    assert.deepEqual(read, { ...fields, isVerified: true });
    assert.deepEqual(
      tlvs.map(({ type }) => type),
      [0x21, 0x22, 0x23, 0x24, 0x25],
    );
  });

  test('bytes by hand, at an odd offset: TLS without a certificate, which verify 0 does not make verified', () => {
    const value = hex('ff 01 00000000 21 0007 544c5376312e32').subarray(1);
    assert.deepEqual(decodeSslTlv(value), {
      isTls: true,
      hasCertificate: false,
      hasSessionCertificate: false,
      isVerified: false,
      verify: 0,
      version: 'TLSv1.2',
      commonName: null,
      cipher: null,
      signatureAlgorithm: null,
      keyAlgorithm: null,
      tlvs: [{ type: 0x21, value: hex('544c5376312e32') }],
    });
  });

  test('a certificate that did not verify is not verified; one of the session that did, is', () => {
    assert.equal(decodeSslTlv(hex('07 00000012')).isVerified, false);
    assert.equal(decodeSslTlv(hex('07 00000012')).verify, 18);
    assert.equal(decodeSslTlv(hex('05 00000000')).isVerified, true);
    assert.equal(decodeSslTlv(encodeSslTlv({}).value).isVerified, false);
    assert.equal(decodeSslTlv(encodeSslTlv({}).value).verify, 1);
    assert.equal(decodeSslTlv(encodeSslTlv({ isTls: false, version: null }).value).isTls, false);
  });

  test('no certificate is written as verified unless the program says so', () => {
    for (const given of [{ hasCertificate: true }, { hasSessionCertificate: true }, { hasCertificate: true, commonName: 'admin' }]) {
      const { isVerified, verify } = decodeSslTlv(encodeSslTlv(given).value);
      assert.deepEqual([isVerified, verify], [false, 1]);
    }
    assert.equal(decodeSslTlv(encodeSslTlv({ hasCertificate: true, verify: 0 }).value).isVerified, true);
  });

  test('of a name that comes twice the first counts; unknown ones, and what is not UTF-8, are there as they came', () => {
    const { commonName, cipher, tlvs } = decodeSslTlv(hex('03 00000000 22 0001 61 99 0000 22 0001 62 23 0001 ff'));
    assert.deepEqual([commonName, cipher], ['a', '\ufffd']);
    assert.deepEqual(
      tlvs.map(({ type, value }) => [type, ...value]),
      [[0x22, 0x61], [0x99], [0x22, 0x62], [0x23, 0xff]],
    );
  });

  test('a name that UTF-8 cannot carry is misuse', () => {
    assert.throws(() => encodeSslTlv({ commonName: 'a\ud800' }), TypeError);
  });

  test('what is too short or reaches beyond the end is refused', () => {
    for (const text of ['', '01000000', '0100000000 21', '0100000000 2100', '0100000000 210001']) {
      assert.throws(() => decodeSslTlv(hex(text)), { reason: 'PROXY_SSL_TLV' }, text);
    }
  });
});

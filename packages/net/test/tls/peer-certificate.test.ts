/** Reading certificates: names and their kinds, against node:crypto and @peculiar/x509; and every byte that is no DER. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate as NodeCertificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { fromHex } from '@ferrata/bytes';
import { createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { isWireError } from '@ferrata/error';
import type { PeerCertificate } from '@ferrata/stream';
import { SubjectAlternativeNameExtension } from '@peculiar/x509';
import fc from 'fast-check';
import { createPeerCertificate, MAX_CERTIFICATE_BYTES } from '../../src/tls/peer-certificate.ts';
import { parsePem } from '../../src/tls/pem.ts';
import { readX509 } from '../../src/x509.ts';
import { attribute, type CertificateParts, certificateDer, der, extension, oid, text } from './der-writer.ts';

const NAMES = ['example.test', '*.example.test', '127.0.0.1', '2001:db8::1', 'spiffe://example.test/worker', 'someone@example.test'];

let issued: IssuedCertificate;
let issuedDer: Uint8Array;

before(async () => {
  const authority = await createAuthority({ name: 'Root of the tests' });
  issued = await authority.issue({ names: NAMES, organisation: 'Ferrata, Tests / & Söhne', use: 'client' });
  issuedDer = derOf(issued.certificate);
});

describe('the fields of a certificate', () => {
  test('subject and issuer are attributes in the order of the certificate, with text as it is', () => {
    const certificate = createPeerCertificate(issuedDer);
    assert.deepEqual(certificate.subject.attributes, [
      { oid: '2.5.4.10', value: 'Ferrata, Tests / & Söhne' },
      { oid: '2.5.4.3', value: 'example.test' },
    ]);
    assert.equal(certificate.subject.organisation, 'Ferrata, Tests / & Söhne');
    assert.equal(certificate.subject.commonName, 'example.test');
    assert.equal(certificate.subject.organisationalUnit, null);
    assert.equal(certificate.issuer.commonName, 'Root of the tests');
    assert.equal(certificate.subject, certificate.subject, 'read once');
  });

  test('alternative names are typed values, in their order', () => {
    assert.deepEqual(createPeerCertificate(issuedDer).subjectAltNames, [
      { kind: 'dns', name: 'example.test' },
      { kind: 'dns', name: '*.example.test' },
      { kind: 'ip', address: '127.0.0.1' },
      { kind: 'ip', address: '2001:db8::1' },
      { kind: 'uri', uri: 'spiffe://example.test/worker' },
      { kind: 'email', address: 'someone@example.test' },
    ]);
  });

  test('serial number, digest and validity are those that node:crypto reads', () => {
    const certificate = createPeerCertificate(issuedDer);
    const node = new NodeCertificate(issuedDer);
    assert.equal(certificate.serialNumber, node.serialNumber.toLowerCase());
    assert.equal(certificate.serialNumber, issued.serialNumber);
    assert.equal(certificate.sha256, node.fingerprint256.replaceAll(':', '').toLowerCase());
    assert.equal(certificate.validFrom, Date.parse(node.validFrom));
    assert.equal(certificate.validTo, Date.parse(node.validTo));
    assert.equal(certificate.der, issuedDer);
  });

  test('a certificate without the extension has no alternative names, and one may have an empty subject', () => {
    const certificate = createPeerCertificate(certificateDer({ subject: der(0x30), extensions: null }));
    assert.deepEqual(certificate.subjectAltNames, []);
    assert.deepEqual(certificate.subject, { attributes: [], commonName: null, organisation: null, organisationalUnit: null });
  });

  test('reading nothing, and asking for DER and digest, works for any bytes', () => {
    const certificate = createPeerCertificate(Uint8Array.of(1, 2, 3));
    assert.equal(
      certificate.sha256,
      createHash('sha256')
        .update(Uint8Array.of(1, 2, 3))
        .digest('hex'),
    );
    assert.throws(() => certificate.subject, { reason: 'TLS_CERTIFICATE_MALFORMED' });
    assert.throws(() => certificate.validTo, { reason: 'TLS_CERTIFICATE_MALFORMED' });
    assert.throws(() => createPeerCertificate('MIIB' as never), TypeError);
  });

  test('a certificate that is larger than any is not read', () => {
    const large = createPeerCertificate(new Uint8Array(MAX_CERTIFICATE_BYTES + 1));
    assert.throws(() => large.subject, { reason: 'TLS_CERTIFICATE_TOO_LARGE', type: 'limit' });
  });
});

describe('names that are made to be mistaken for others', () => {
  test('commas, quotes and NUL in one alternative name stay in that name (CVE-2021-44531, CVE-2021-44532)', () => {
    const names = ['a.test, DNS:b.test', 'c.test\0.evil.test', '"d.test"'];
    const certificate = withAlternativeNames(names.map((name) => der(0x82, text(name))));
    assert.deepEqual(
      certificate.subjectAltNames,
      names.map((name) => ({ kind: 'dns', name })),
    );
  });

  test('line ends and slashes in an attribute make no further attribute (CVE-2021-44533)', () => {
    const subject = der(0x30, attribute('2.5.4.10', der(0x0c, text('A\nCN=b.test/CN=c.test'))));
    const certificate = createPeerCertificate(certificateDer({ subject }));
    assert.deepEqual(certificate.subject.attributes, [{ oid: '2.5.4.10', value: 'A\nCN=b.test/CN=c.test' }]);
    assert.equal(certificate.subject.commonName, null);
  });

  test('an attribute set of several values gives all of them (RFC 5280 §4.1.2.4)', () => {
    const pair = (value: string): Uint8Array => der(0x30, oid('2.5.4.11'), der(0x0c, text(value)));
    const subject = der(0x30, der(0x31, pair('one'), pair('two')), attribute('2.5.4.11', der(0x0c, text('three'))));
    const { attributes, organisationalUnit } = createPeerCertificate(certificateDer({ subject })).subject;
    assert.deepEqual(
      attributes.map(({ value }) => value),
      ['one', 'two', 'three'],
    );
    assert.equal(organisationalUnit, 'one');
  });

  const values: readonly (readonly [what: string, value: Uint8Array, expected: string])[] = [
    ['PrintableString', der(0x13, text('*.example_1.test')), '*.example_1.test'],
    ['IA5String', der(0x16, text('a@b.test')), 'a@b.test'],
    ['NumericString', der(0x12, text('12 34')), '12 34'],
    ['VisibleString', der(0x1a, text('seen')), 'seen'],
    ['TeletexString, as Latin-1', der(0x14, Uint8Array.of(0x53, 0xf6)), 'Sö'],
    ['BMPString', der(0x1e, Uint8Array.of(0x00, 0x53, 0x20, 0xac)), 'S€'],
    ['UniversalString', der(0x1c, Uint8Array.of(0, 1, 0xf6, 0)), '😀'],
    ['UTF8String with a replacement character that is meant', der(0x0c, Uint8Array.of(0xef, 0xbf, 0xbd)), '\ufffd'],
    ['an empty UTF8String', der(0x0c), ''],
    ['UTF8String that is no UTF-8', der(0x0c, Uint8Array.of(0xc3)), '#0c01c3'],
    ['UTF8String with an overlong form', der(0x0c, Uint8Array.of(0xc0, 0x80)), '#0c02c080'],
    ['PrintableString beyond ASCII', der(0x13, Uint8Array.of(0xe9)), '#1301e9'],
    ['BMPString of an odd length', der(0x1e, Uint8Array.of(0)), '#1e0100'],
    ['BMPString with half a pair', der(0x1e, Uint8Array.of(0xd8, 0x00)), '#1e02d800'],
    ['UniversalString beyond Unicode', der(0x1c, Uint8Array.of(0, 0x11, 0, 0)), '#1c0400110000'],
    ['UniversalString with a surrogate', der(0x1c, Uint8Array.of(0, 0, 0xd8, 0)), '#1c040000d800'],
    ['UniversalString with a pair of surrogates', der(0x1c, Uint8Array.of(0, 0, 0xd8, 0x3d, 0, 0, 0xde, 0)), '#1c080000d83d0000de00'],
    ['no text at all', der(0x03, Uint8Array.of(0, 1)), '#03020001'],
  ];
  for (const [what, value, expected] of values) {
    test(`the value of an attribute: ${what}`, () => {
      const { subject } = createPeerCertificate(certificateDer({ subject: der(0x30, attribute('2.5.4.3', value)) }));
      assert.equal(subject.commonName, expected);
    });
  }

  test('alternative names of other kinds, and such as break their rules, are kept as they are and taken for no name', () => {
    const others = [
      der(0x82, Uint8Array.of(0xe9)),
      der(0x86, Uint8Array.of(0x80)),
      der(0x81, Uint8Array.of(0xff)),
      der(0x87, Uint8Array.of(127, 0, 0)),
      der(0xa0, oid('1.3.6.1.4.1.311.20.2.3'), der(0xa0, der(0x0c, text('user@b.test')))),
      der(0xa3, text('x400')),
      der(0x88),
      der(0x88, Uint8Array.of(0x2a, ...new Uint8Array(20).fill(0xff), 1)),
      der(0xa4, der(0x31)),
      der(0xa4, der(0x30), der(0x30)),
      der(0xa4, der(0x30, der(0x31))),
    ];
    const certificate = withAlternativeNames([...others, der(0x82, text('still.readable.test'))]);
    const names = certificate.subjectAltNames;
    assert.deepEqual(
      names.slice(0, -1).map((name) => (name.kind === 'other' ? [name.tag, Buffer.from(name.der).toString('hex')] : name)),
      others.map((bytes) => [(bytes[0] as number) & 0x1f, Buffer.from(bytes).toString('hex')]),
    );
    assert.deepEqual(names.at(-1), { kind: 'dns', name: 'still.readable.test' });
  });

  test('directory names and registered identifiers', () => {
    const directory = der(0x30, attribute('2.5.4.10', der(0x0c, text('Inner'))));
    const certificate = withAlternativeNames([
      der(0xa4, directory),
      der(0x88, oid('2.25.340282366920938463463374607431768211455').subarray(2)),
    ]);
    const [first, second] = certificate.subjectAltNames;
    assert.equal(first?.kind === 'directory' ? first.name.organisation : null, 'Inner');
    assert.deepEqual(second, { kind: 'registeredId', oid: '2.25.340282366920938463463374607431768211455' });
  });

  const addresses: readonly (readonly [hex: string, expected: string])[] = [
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['20010db8000000010000000000000001', '2001:db8:0:1::1'],
    ['20010db8000100020003000400050000', '2001:db8:1:2:3:4:5:0'],
    ['20010000000000010000000000000001', '2001:0:0:1::1'],
    ['20010000000000010000000000010001', '2001::1:0:0:1:1'],
    ['20010000000000000000000000000000', '2001::'],
    ['00000000000000000000ffff7f000001', '::ffff:7f00:1'],
  ];
  for (const [hex, expected] of addresses) {
    test(`IPv6 addresses have one form only (RFC 5952): ${expected}`, () => {
      assert.deepEqual(withAlternativeNames([der(0x87, fromHex(hex))]).subjectAltNames, [{ kind: 'ip', address: expected }]);
    });
  }
});

describe('serial numbers and times', () => {
  const serials: readonly (readonly [hex: string, expected: string])[] = [
    ['00', '00'],
    ['0a', '0a'],
    ['00ff', 'ff'],
    ['00800000', '800000'],
    ['ff', '-01'],
    ['80', '-80'],
  ];
  for (const [hex, expected] of serials) {
    test(`the serial number ${hex} is ${expected}`, () => {
      assert.equal(createPeerCertificate(certificateDer({ serial: der(0x02, fromHex(hex)) })).serialNumber, expected);
    });
  }

  test('a serial number that is empty or padded is no DER (X.690 §8.3.2)', () => {
    for (const hex of ['', '0001', 'ff80']) {
      const certificate = createPeerCertificate(certificateDer({ serial: der(0x02, fromHex(hex)) }));
      assert.throws(() => certificate.serialNumber, { reason: 'TLS_CERTIFICATE_MALFORMED' });
    }
  });

  test('a serial number of more than 40 bytes is none (RFC 5280 §4.1.2.2 grants 20); the error is found once', () => {
    const longest = new Uint8Array(40).fill(0x7f);
    assert.equal(createPeerCertificate(certificateDer({ serial: der(0x02, longest) })).serialNumber, '7f'.repeat(40));
    const certificate = createPeerCertificate(certificateDer({ serial: der(0x02, longest, longest.subarray(0, 1)) }));
    const thrown: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      try {
        thrown.push(certificate.serialNumber);
      } catch (error) {
        thrown.push(error);
      }
    }
    assert.equal(isWireError(thrown[0]) ? thrown[0].reason : null, 'TLS_CERTIFICATE_MALFORMED');
    assert.equal(thrown[0], thrown[1]);
    assert.equal(certificate.subject.commonName, 'Subject', 'the other fields are readable');
  });

  test('two digits of a year mean 1950 to 2049, four mean themselves (RFC 5280 §4.1.2.5)', () => {
    const certificate = createPeerCertificate(
      certificateDer({ notBefore: der(0x17, text('500101000000Z')), notAfter: der(0x18, text('99991231235959Z')) }),
    );
    assert.equal(certificate.validFrom, Date.UTC(1950, 0, 1));
    assert.equal(certificate.validTo, Date.UTC(9999, 11, 31, 23, 59, 59));
    const other = createPeerCertificate(
      certificateDer({ notBefore: der(0x17, text('491231235959Z')), notAfter: der(0x18, text('00480229000000Z')) }),
    );
    assert.equal(other.validFrom, Date.UTC(2049, 11, 31, 23, 59, 59));
    assert.equal(new Date(other.validTo).toISOString(), '0048-02-29T00:00:00.000Z');
    assert.throws(() => createPeerCertificate(certificateDer({ notAfter: der(0x18, text('20500229000000Z')) })).validTo, /no calendar/);
  });

  for (const [tag, time] of [
    [0x17, '2601010000Z'],
    [0x17, '260101000000+0100'],
    [0x17, '20260101000000Z'],
    [0x18, '260101000000Z'],
    [0x18, '20260101000000.5Z'],
    [0x18, '20260101000000'],
    [0x17, '261301000000Z'],
    [0x17, '260100000000Z'],
    [0x17, '260101240000Z'],
    [0x17, '260101006000Z'],
    [0x17, '260101000060Z'],
    [0x13, '260101000000Z'],
  ] as const) {
    test(`a time that is no time of a certificate: ${time} (tag ${tag})`, () => {
      assert.throws(() => createPeerCertificate(certificateDer({ notAfter: der(tag, text(time)) })).validTo, {
        reason: 'TLS_CERTIFICATE_MALFORMED',
      });
    });
  }
});

describe('what is no DER, or no certificate', () => {
  const cases: readonly (readonly [what: string, bytes: () => Uint8Array])[] = [
    ['nothing', () => new Uint8Array(0)],
    ['an identifier alone', () => Uint8Array.of(0x30)],
    ['the indefinite length of BER', () => Uint8Array.of(0x30, 0x80, 0, 0)],
    ['a length of five bytes', () => Uint8Array.of(0x30, 0x85, 0, 0, 0, 0, 1, 0)],
    ['a long length that would fit the short form', () => Uint8Array.of(0x30, 0x81, 0x01, 0)],
    ['a length with a zero in front', () => Uint8Array.of(0x30, 0x82, 0x00, 0x80, ...new Uint8Array(128))],
    ['a length beyond the end', () => Uint8Array.of(0x30, 0x05, 0)],
    ['a length that is cut off', () => Uint8Array.of(0x30, 0x82, 0x01)],
    ['a tag of several bytes', () => Uint8Array.of(0x3f, 0x81, 0x01, 0)],
    ['bytes behind the certificate', () => new Uint8Array([...certificateDer({}), 0])],
    ['something behind the signature', () => der(0x30, certificateDer({}).subarray(4), der(0x05))],
    ['a certificate without a key', () => certificateDer({ publicKey: new Uint8Array(0) })],
    ['something behind the extensions', () => certificateDer({ extra: der(0x05) })],
    ['an extension without a value', () => certificateDer({ extensions: [der(0x30, oid('2.5.29.17'))] })],
    ['two lists of alternative names (RFC 5280 §4.2)', () => certificateDer({ extensions: [sanOf(['a.test']), sanOf(['b.test'])] })],
    ['an empty object identifier', () => certificateDer({ extensions: [der(0x30, der(0x06), der(0x04))] })],
    ['an object identifier with padding', () => certificateDer({ extensions: [der(0x30, der(0x06, Uint8Array.of(0x80, 1)), der(0x04))] })],
    ['an object identifier without an end', () => certificateDer({ extensions: [der(0x30, der(0x06, Uint8Array.of(0x81)), der(0x04))] })],
    [
      'an object identifier with an arc of 20 bytes',
      () => certificateDer({ extensions: [der(0x30, der(0x06, new Uint8Array(20).fill(0xff)), der(0x04))] }),
    ],
  ];
  for (const [what, bytes] of cases) {
    test(`${what}: a typed error, the same at each reading`, () => {
      const certificate = createPeerCertificate(bytes());
      for (let i = 0; i < 2; i++) assert.throws(() => certificate.subjectAltNames, { reason: 'TLS_CERTIFICATE_MALFORMED', type: 'tls' });
      assert.throws(() => certificate.validFrom, { reason: 'TLS_CERTIFICATE_MALFORMED' });
    });
  }

  test('names that are no names: a typed error for the field that needs them, the others are readable', () => {
    const broken: readonly CertificateParts[] = [
      { subject: der(0x30, der(0x31)) },
      { subject: der(0x30, der(0x30)) },
      { subject: der(0x30, der(0x31, der(0x30, oid('2.5.4.3')))) },
      { subject: der(0x30, der(0x31, der(0x30, oid('2.5.4.3'), der(0x0c), der(0x0c)))) },
      { subject: der(0x30, der(0x31, der(0x30, der(0x0c)))) },
    ];
    for (const parts of broken) {
      const certificate = createPeerCertificate(certificateDer(parts));
      assert.throws(() => certificate.subject, { reason: 'TLS_CERTIFICATE_MALFORMED' });
      assert.equal(certificate.issuer.commonName, 'Issuer');
    }
    const noNames = createPeerCertificate(certificateDer({ extensions: [extension('2.5.29.17', der(0x31))] }));
    assert.throws(() => noNames.subjectAltNames, { reason: 'TLS_CERTIFICATE_MALFORMED' });
    assert.equal(noNames.subject.commonName, 'Subject');
  });
});

describe('laws', () => {
  test('any bytes, and any certificate with some bytes changed or cut off, give values or a WireError', () => {
    const base = fc.constantFrom(issuedDer, certificateDer({}), certificateDer({ extensions: [sanOf(['a.test', 'b.test'])] }));
    const mutated = fc
      .tuple(base, fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 6 }), fc.nat(2000))
      .map(([bytes, changes, cut]) => {
        const copy = bytes.slice(0, cut % 4 === 0 ? cut % bytes.length : bytes.length);
        for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
        const before = Buffer.from(bytes).toString('hex');
        for (const read of readers) {
          try {
            read(createPeerCertificate(bytes));
          } catch (error) {
            assert.ok(isWireError(error), String(error));
          }
        }
        assert.equal(Buffer.from(bytes).toString('hex'), before, 'nothing is written into what was given');
      }),
      { numRuns: 3000 },
    );
  });

  test('wherever a bit was changed: what is read agrees with node:crypto and @peculiar/x509, if both read it', () => {
    const original = certificateDer({
      serial: der(0x02, Uint8Array.of(0x45, 0x12)),
      extensions: [sanOf(['a.test', '*.b.test']), extension('2.5.29.14', der(0x04, text('id')))],
    });
    let agreed = 0;
    for (let at = 0; at < original.length; at++) {
      for (let bit = 1; bit < 0x100; bit *= 2) {
        const bytes = original.slice();
        bytes[at] = (bytes[at] as number) ^ bit;
        const certificate = createPeerCertificate(bytes);
        const numbers = attempt(() => [certificate.serialNumber, certificate.validFrom, certificate.validTo]);
        const theirNumbers = attempt(() => nodeNumbers(bytes));
        if (numbers !== null && theirNumbers !== null) assert.deepEqual(numbers, theirNumbers, `bit ${bit} of byte ${at}`);
        const names = attempt(() => plainNames(certificate));
        const theirNames = attempt(() => peculiarNames(bytes));
        if (names === null || theirNames === null) continue;
        agreed++;
        assert.deepEqual(names, theirNames, `bit ${bit} of byte ${at}`);
      }
    }
    assert.ok(agreed > 500, `only ${agreed} certificates could be compared`);
  });

  test('names of any text are read as they were written', () => {
    const name = fc.string({ unit: fc.integer({ min: 0, max: 0x7f }).map((code) => String.fromCharCode(code)), maxLength: 40 });
    fc.assert(
      fc.property(fc.array(name, { maxLength: 8 }), fc.string({ unit: 'grapheme', maxLength: 20 }), (names, organisation) => {
        const subject = der(0x30, attribute('2.5.4.10', der(0x0c, text(organisation))));
        const certificate = createPeerCertificate(certificateDer({ subject, extensions: [sanOf(names)] }));
        assert.deepEqual(
          certificate.subjectAltNames,
          names.map((dns) => ({ kind: 'dns', name: dns })),
        );
        assert.equal(certificate.subject.organisation, organisation);
      }),
      { numRuns: 300 },
    );
  });
});

const readers: readonly ((certificate: PeerCertificate) => unknown)[] = [
  (certificate) => certificate.subject,
  (certificate) => certificate.issuer,
  (certificate) => certificate.serialNumber,
  (certificate) => certificate.subjectAltNames,
  (certificate) => certificate.validFrom,
  (certificate) => certificate.validTo,
  (certificate) => certificate.sha256,
];

function derOf(pem: string): Uint8Array {
  const [block] = parsePem(pem, 'CERTIFICATE', 'the certificate');
  assert.ok(block !== undefined);
  return block.der;
}

function sanOf(names: readonly string[]): Uint8Array {
  return extension('2.5.29.17', der(0x30, ...names.map((name) => der(0x82, text(name)))));
}

function withAlternativeNames(names: readonly Uint8Array[]): PeerCertificate {
  return createPeerCertificate(certificateDer({ extensions: [extension('2.5.29.17', der(0x30, ...names))] }));
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

function nodeNumbers(bytes: Uint8Array): readonly [serialNumber: string, validFrom: number, validTo: number] {
  const certificate = new NodeCertificate(bytes);
  return [certificate.serialNumber.toLowerCase(), certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
}

interface PlainNames {
  readonly dns: readonly string[];
  readonly issuer: string | null;
}

/** null if a name breaks the rules of its type: there the library guesses (it leaves bytes out, or reads them as Windows-1252), and we don't. */
function plainNames(certificate: PeerCertificate): PlainNames | null {
  const { subjectAltNames, issuer } = certificate;
  if (subjectAltNames.some(({ kind }) => kind === 'other') || issuer.attributes.some(({ value }) => value.startsWith('#'))) return null;
  return { dns: subjectAltNames.flatMap((name) => (name.kind === 'dns' ? [name.name] : [])), issuer: issuer.commonName };
}

function peculiarNames(bytes: Uint8Array): PlainNames {
  const certificate = readX509(bytes);
  const extension = certificate.getExtension(SubjectAlternativeNameExtension);
  const names = extension?.names.items ?? [];
  return {
    dns: names.flatMap(({ type, value }) => (type === 'dns' ? [value] : [])),
    issuer: certificate.issuerName.getField('CN')[0] ?? null,
  };
}

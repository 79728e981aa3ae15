/** Loading certificates and keys: what is taken, what is refused and why, and which one a name finds. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { unlinkSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { type CertificateAuthority, createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { isWireError } from '@ferrata/error';
import { X509CertificateGenerator } from '@peculiar/x509';
import { certificateConcern, loadCertificate } from '../../src/tls/certificate-load.ts';
import { CertificateStore } from '../../src/tls/certificate-store.ts';
import { parsePem, pemBlocks } from '../../src/tls/pem.ts';
import { matchableName, ServerNameIndex } from '../../src/tls/server-name.ts';
import { resolveTlsServerOptions } from '../../src/tls/tls-server-options.ts';
import { CertificateFolder } from './certificate-files.ts';

let authority: CertificateAuthority;
let one: IssuedCertificate;
let other: IssuedCertificate;

before(async () => {
  authority = await createAuthority();
  one = await authority.issue({ names: ['One.Test', '*.one.test', '127.0.0.1', '::1'] });
  other = await authority.issue({ names: ['other.test'] });
});

describe('a certificate in memory', () => {
  test('has the names of its alternative names, in lower case, DNS and IP', () => {
    const loaded = loadCertificate({ certificate: one.chain, key: one.key });
    assert.deepEqual(loaded.names, ['one.test', '*.one.test', '127.0.0.1', '::1']);
    assert.equal(loaded.certificatePem, one.certificate);
    assert.equal(loaded.certificate.serialNumber, one.serialNumber);
    assert.equal(loaded.ocspResponse, null);
  });

  test('has its CN as its name, if it has no alternative names', async () => {
    const old = await authority.issue({ names: [], commonName: 'old.test' });
    assert.deepEqual(loadCertificate({ certificate: old.chain, key: old.key }).names, ['old.test']);
  });

  test('may be given as bytes, with a chain, and with names of its own', async () => {
    const intermediate = await authority.createIntermediate();
    const issued = await intermediate.issue({ names: ['a.test'] });
    const loaded = loadCertificate({
      certificate: Buffer.from(`a text before\r\n${issued.chain.replaceAll('\n', '\r\n')}`),
      key: Buffer.from(issued.key),
      names: ['B.Test.', '*.c.test'],
      ocspResponse: Uint8Array.of(1),
    });
    assert.deepEqual(loaded.names, ['b.test', '*.c.test']);
    assert.equal(parsePem(loaded.certificatePem, 'CERTIFICATE', 'it').length, 2);
    assert.deepEqual(loaded.ocspResponse, Uint8Array.of(1));
  });

  test('a key may be encrypted, and is decrypted', () => {
    const key = createPrivateKey(one.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' });
    const loaded = loadCertificate({ certificate: one.chain, key: key.toString(), passphrase: 'open' });
    assert.match(loaded.keyPem, /-----BEGIN PRIVATE KEY-----/);
    for (const passphrase of [undefined, 'wrong']) {
      const source = { certificate: one.chain, key: key.toString(), ...(passphrase === undefined ? {} : { passphrase }) };
      assert.throws(() => loadCertificate(source), { reason: 'TLS_KEY_UNREADABLE' });
    }
  });

  test('is written anew for OpenSSL, which takes no block that is indented or all in one line', async () => {
    const intermediate = await authority.createIntermediate();
    const issued = await intermediate.issue({ names: ['a.test'] });
    const forms: readonly ((pem: string) => string)[] = [
      (pem) => pem.replaceAll(/^(?=.)/gm, '    '),
      (pem) => pem.replaceAll(/(?<=[^-])\n(?=[^-])/g, ''),
      (pem) => pem.replaceAll(/(?<=[^-])\n(?=[^-])/g, '\n\n'),
    ];
    for (const form of forms) {
      const { certificatePem } = loadCertificate({ certificate: form(issued.chain), key: issued.key });
      assert.equal(certificatePem, issued.chain);
    }
  });

  test('a key may be of SEC 1, and stand in one text with the certificate', () => {
    const key = createPrivateKey(one.key).export({ type: 'sec1', format: 'pem' }).toString();
    assert.equal(loadCertificate({ certificate: one.chain + key, key: one.chain + key }).certificatePem, one.certificate);
  });
});

describe('what can not work is refused before the first handshake, and named', () => {
  test('a key of another certificate', () => {
    assert.throws(() => loadCertificate({ certificate: one.chain, key: other.key }), {
      reason: 'TLS_KEY_MISMATCH',
      fault: 'local',
      status: 500,
      retry: 'never',
    });
  });

  test('a chain in the wrong order, and the message says which certificate the key belongs to', () => {
    const certificate = authority.certificate + one.certificate;
    assert.throws(() => loadCertificate({ certificate, key: one.key }), /TLS_KEY_MISMATCH.*belongs to certificate 2 of the chain/);
  });

  test('a text without a certificate, and a certificate that is none', () => {
    assert.throws(() => loadCertificate({ certificate: one.key, key: one.key }), { reason: 'TLS_CERTIFICATE_UNREADABLE' });
    const certificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    assert.throws(() => loadCertificate({ certificate, key: one.key }), { reason: 'TLS_CERTIFICATE_MALFORMED' });
    assert.throws(() => loadCertificate({ certificate: one.certificate + certificate, key: one.key }), /certificate 2 of the chain/);
  });

  test('a text that is no key', () => {
    assert.throws(() => loadCertificate({ certificate: one.chain, key: one.chain }), { reason: 'TLS_KEY_UNREADABLE' });
    assert.throws(() => loadCertificate({ certificate: one.chain, key: '' }), { reason: 'TLS_KEY_UNREADABLE' });
  });

  test('a key that OpenSSL holds for too weak', async () => {
    // An authority of ours makes no such thing.
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: Uint8Array.of(1, 0, 1), modulusLength: 1024 };
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const weak = await X509CertificateGenerator.createSelfSigned({ name: 'CN=weak.test', keys, signingAlgorithm: algorithm });
    const key = createPrivateKey({
      key: Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)),
      format: 'der',
      type: 'pkcs8',
    });
    const source = { certificate: weak.toString('pem'), key: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
    assert.throws(() => loadCertificate(source), { reason: 'TLS_CERTIFICATE_REFUSED', message: /key too small/ });
  });

  test('a name that can not be matched, by TypeError', () => {
    for (const name of [
      '',
      '.',
      'a..test',
      '*',
      '*.test',
      'f*.a.test',
      'a.*.test',
      '*.*.test',
      'münchen.test',
      'a b.test',
      '-a.test',
      `${'a'.repeat(64)}.test`,
    ]) {
      assert.throws(() => loadCertificate({ certificate: one.chain, key: one.key, names: [name] }), TypeError, name);
    }
  });

  test('a source that is none, by TypeError', () => {
    const nonsense: readonly unknown[] = [
      null,
      'cert.pem',
      {},
      { certificate: one.chain },
      { certificate: one.chain, key: 1 },
      { certificate: one.chain, key: one.key, pfx: 'x' },
      { certificate: one.chain, key: one.key, passphrase: 1 },
      { certificate: one.chain, key: one.key, names: 'one.test' },
      { certificate: one.chain, key: one.key, names: [1] },
      { certificate: one.chain, key: one.key, ocspResponse: 'x' },
      { certificateFile: '/a' },
      { certificateFile: '', keyFile: '/a' },
      { certificateFile: '/a', keyFile: '/a\0b' },
      { certificateFile: '/a', keyFile: '/a', key: one.key },
      { certificateFile: '/a', keyFile: '/a', ocspFile: 1 },
    ];
    for (const source of nonsense) assert.throws(() => loadCertificate(source as never), TypeError, JSON.stringify(source));
    assert.throws(() => new CertificateStore([]), TypeError);
    assert.throws(() => new CertificateStore({} as never), TypeError);
    const source = { certificate: one.chain, key: one.key };
    assert.throws(() => new CertificateStore([source], { settleMs: -1 }), RangeError);
    assert.throws(() => new CertificateStore([source], { recheckMs: 1 }), RangeError);
  });
});

describe('PEM (RFC 7468)', () => {
  test('a block that does not end, or ends under another label, is an error: a file was cut off while it was written', () => {
    for (const text of [
      one.certificate.slice(0, -10),
      one.certificate.slice(0, 40),
      one.certificate.replace('END CERTIFICATE', 'END PRIVATE KEY'),
      '-----BEGIN CERTIFICATE-----',
      '-----BEGIN CERTIFICATE',
      one.certificate + one.certificate.slice(0, 200),
    ]) {
      assert.throws(() => parsePem(text, 'CERTIFICATE', 'it'), { reason: 'TLS_PEM_MALFORMED' }, text);
    }
  });

  test('what is in a block must be base64', () => {
    for (const body of ['', '!!!!', 'AAA', 'AA=A', 'AAAA====', 'Proc-Type: 4,ENCRYPTED\n\nAAAA']) {
      const text = `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
      assert.throws(() => parsePem(text, 'CERTIFICATE', 'it'), { reason: 'TLS_PEM_MALFORMED' }, body);
    }
  });

  test('a block of many megabytes is read, as lists of revoked certificates are; above 16 MiB in all nothing is', () => {
    const pem = (length: number): string => `-----BEGIN X509 CRL-----\n${'A'.repeat(length)}\n-----END X509 CRL-----\n`;
    const [block] = parsePem(pem(12_000_000), 'X509 CRL', 'it');
    assert.equal(block?.der.length, 9_000_000);
    assert.throws(() => parsePem(pem(16_777_216), 'X509 CRL', 'it'), { reason: 'TLS_PEM_MALFORMED' });
    assert.throws(() => parsePem(pem(11_999_999).replace('AA', '!!'), 'X509 CRL', 'it'), { reason: 'TLS_PEM_MALFORMED' });
  });

  test('blocks of other labels and explanations are skipped, in any order (§5.2)', () => {
    const text = `subject=one\n${one.key}between\n${one.certificate}issuer\n${authority.certificate}after`;
    assert.equal(parsePem(text, 'CERTIFICATE', 'it').length, 2);
    assert.equal(parsePem(text, 'PRIVATE KEY', 'it').length, 1);
    assert.deepEqual(parsePem('', 'CERTIFICATE', 'it'), []);
    assert.throws(() => parsePem(1 as never, 'CERTIFICATE', 'it'), TypeError);
    assert.throws(() => parsePem(null as never, 'CERTIFICATE', 'it'), TypeError);
  });

  test('X509 CERTIFICATE is a certificate (§5.1), and TRUSTED CERTIFICATE is told of, and not left out without a word', () => {
    const labelled = (label: string) => authority.certificate + one.certificate.replaceAll('CERTIFICATE', label);
    assert.deepEqual(
      parsePem(labelled('X509 CERTIFICATE'), 'CERTIFICATE', 'it').map(({ label }) => label),
      ['CERTIFICATE', 'CERTIFICATE'],
    );
    assert.deepEqual(pemBlocks('ca', labelled('X509 CERTIFICATE'), 'CERTIFICATE'), pemBlocks('ca', labelled('CERTIFICATE'), 'CERTIFICATE'));
    assert.throws(() => pemBlocks('ca', labelled('TRUSTED CERTIFICATE'), 'CERTIFICATE'), {
      name: 'TypeError',
      message: /^ca: a TRUSTED CERTIFICATE block/,
    });
    assert.equal(parsePem(one.key + labelled('TRUSTED CERTIFICATE'), 'PRIVATE KEY', 'it').length, 1);
  });

  test('of an option is one strict text a block, on the server as on the client, in whatever form it was given', async () => {
    const indented = (pem: string): string => pem.replaceAll(/^/gm, '  ');
    const bytes = (pem: string): Uint8Array => new TextEncoder().encode(pem);
    const second = (await createAuthority()).certificate;
    const lists = [await authority.revocationList([]), await authority.revocationList(['01'])];
    const strict = (pem: string, label: string): string[] => parsePem(pem, label, 'it').map(({ text }) => text);
    const authorities = strict(authority.certificate + second, 'CERTIFICATE');
    const source = { certificate: one.chain, key: one.key };
    for (const ca of [authority.certificate + second, indented(authority.certificate + second), [bytes(authority.certificate), second]]) {
      const crl = indented(lists.join('\n'));
      const { clientCertificates } = resolveTlsServerOptions({ certificates: [source], clientCertificates: { mode: 'required', ca, crl } });
      assert.deepEqual(clientCertificates?.ca, authorities);
      assert.deepEqual(clientCertificates.crl, strict(lists.join(''), 'X509 CRL'));
      assert.deepEqual(pemBlocks('ca', ca, 'CERTIFICATE'), authorities);
    }
    const none = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';
    for (const ca of [[], '', 'no PEM', none, authority.certificate + none, authority.certificate.slice(0, 200), 7 as never]) {
      for (const more of [{ ca }, { ca: second, crl: ca }])
        assert.throws(() => resolveTlsServerOptions({ certificates: [source], clientCertificates: { mode: 'required', ...more } }), {
          name: 'TypeError',
          message: /^clientCertificates\.(?:ca|crl)[: ]/,
        });
    }
  });
});

test('a certificate that is too large for its names to be read is refused, its reason told once', async () => {
  const large = await authority.issue({ names: Array.from({ length: 2200 }, (_, i) => `${'x'.repeat(60)}.${i}.test`) });
  assert.throws(
    () => loadCertificate({ certificate: large.chain, key: large.key }),
    (error) =>
      isWireError(error) &&
      error.reason === 'TLS_CERTIFICATE_TOO_LARGE' &&
      error.type === 'tls' &&
      error.fault === 'local' &&
      error.message.split('TLS_CERTIFICATE_TOO_LARGE').length === 2,
  );
});

describe('a certificate in files', () => {
  test('is read from them, with an OCSP response that may be missing', () => {
    using folder = new CertificateFolder();
    const source = { ...folder.write('one', one), ocspFile: folder.file('one.ocsp') };
    assert.equal(loadCertificate(source).ocspResponse, null);
    writeFileSync(source.ocspFile, Uint8Array.of(9, 8));
    const loaded = loadCertificate(source);
    assert.deepEqual(Buffer.from(loaded.ocspResponse ?? []), Buffer.from([9, 8]));
    assert.equal(loaded.label, source.certificateFile);
  });

  test('a file that is not there is named', () => {
    using folder = new CertificateFolder();
    const source = folder.write('one', one);
    unlinkSync(source.keyFile);
    assert.throws(() => loadCertificate(source), { reason: 'TLS_CERTIFICATE_UNREADABLE', message: new RegExp(`one\\.key can't be read`) });
    assert.throws(() => loadCertificate({ ...source, certificateFile: folder.file('none') }), /none can't be read: ENOENT/);
    assert.throws(() => loadCertificate({ ...folder.write('two', one), ocspFile: folder.path }), { reason: 'TLS_CERTIFICATE_UNREADABLE' });
  });

  test('a key that does not fit is reported with the name of the file', () => {
    using folder = new CertificateFolder();
    const source = folder.write('one', { ...one, key: other.key });
    assert.throws(() => loadCertificate(source), /TLS_KEY_MISMATCH.*one\.crt: /);
  });
});

describe('the certificate for a name (SNI)', () => {
  test('an exact name, then a wildcard for one label, then the first one', async () => {
    const exact = await authority.issue({ names: ['a.one.test'] });
    using store = new CertificateStore([other, one, exact].map(({ chain, key }) => ({ certificate: chain, key })));
    const [first, second, third] = store.certificates;
    const found: readonly (readonly [name: string | null, expected: typeof first])[] = [
      ['one.test', second],
      ['ONE.TEST.', second],
      ['b.one.test', second],
      ['a.one.test', third],
      ['A.One.Test.', third],
      ['x.a.one.test', first],
      ['127.0.0.1', second],
      ['.one.test', first],
      ['nobody.test', first],
      ['test', first],
      ['', first],
      [null, first],
    ];
    for (const [name, expected] of found)
      assert.equal(store.find(name)?.label === undefined ? null : store.find(name), expected, String(name));
  });

  test('of two with the same name, the one that comes first', () => {
    const index = new ServerNameIndex([
      { names: ['x.test'], value: 1 },
      { names: ['a.test', '*.w.test'], value: 2 },
      { names: ['a.test', '*.w.test', 'x.test'], value: 3 },
    ]);
    assert.deepEqual([index.find('a.test'), index.find('b.w.test'), index.find('x.test')], [2, 2, 1]);
    assert.throws(() => new ServerNameIndex([]), TypeError);
  });

  test('IPv6 addresses are compared in the form of RFC 5952, whatever form they are written in', () => {
    const forms: readonly (readonly [string, string])[] = [
      ['2001:DB8:0:0::1', '2001:db8::1'],
      ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
      ['::', '::'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['1::', '1::'],
      ['::ffff:127.0.0.1', '::ffff:7f00:1'],
      ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
      ['127.0.0.1', '127.0.0.1'],
    ];
    for (const [written, expected] of forms) {
      assert.equal(matchableName(written), expected);
      const index = new ServerNameIndex([
        { names: ['first.test'], value: 'first' },
        { names: [expected], value: 'second' },
      ]);
      assert.equal(index.find(written), 'second', written);
    }
  });

  test('names are compared without case and without a dot at the end; wildcards are whole labels (RFC 9525 §6.3)', () => {
    assert.equal(matchableName('Example.TEST.'), 'example.test');
    assert.equal(matchableName('_acme.xn--mnchen-3ya.test'), '_acme.xn--mnchen-3ya.test');
    assert.equal(matchableName('*.Example.test'), '*.example.test');
    assert.equal(matchableName('localhost'), 'localhost');
    assert.equal(matchableName('FE80::1'), 'fe80::1');
    assert.equal(matchableName('fe80::1%eth0'), null, 'an address of one link of one machine');
    assert.equal(matchableName(`${'a.'.repeat(126)}a`), `${'a.'.repeat(126)}a`);
    assert.equal(matchableName(`${'a.'.repeat(127)}a`), null);
    assert.equal(matchableName('a.test..'), null);
  });

  test('a certificate whose names can not be matched is found as the default one only', async () => {
    const odd = await authority.issue({ names: ['*.test', 'spiffe://x/y'] });
    const loaded = loadCertificate({ certificate: odd.chain, key: odd.key });
    assert.deepEqual(loaded.names, []);
  });
});

describe('validity', () => {
  test('a certificate that is expired, or not valid yet, is loaded all the same; what is to be said of it can be asked', async () => {
    const expired = await authority.issue({ names: ['a.test'], validFrom: new Date(1e12), validTo: new Date(1.1e12) });
    const loaded = loadCertificate({ certificate: expired.chain, key: expired.key, names: ['a.test'] });
    assert.equal(certificateConcern(loaded, 1.05e12), null);
    const late = certificateConcern(loaded, 1.1e12 + 1000);
    assert.equal(late?.reason, 'TLS_CERTIFICATE_EXPIRED');
    assert.match(late?.message ?? '', /certificate for a\.test: the certificate has expired at 2004-11-09T11:33:20\.000Z/);
    assert.equal(certificateConcern(loaded, 1e12 - 1)?.reason, 'TLS_CERTIFICATE_NOT_YET_VALID');
  });
});

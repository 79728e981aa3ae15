/** Certificates as those read them who did not make them: `node:crypto`'s parser and verifier. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { createAuthority, type KeyKind, loadAuthority, nameKind } from '@ferrata/dev-certificates';

const kinds: readonly KeyKind[] = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'ed25519'];

describe('an authority of certificates', () => {
  for (const kind of kinds) {
    test(`issues certificates with a key of the kind ${kind}, which belong to their keys and are signed by it`, async () => {
      const authority = await createAuthority({ key: kind });
      const { certificate, key } = await authority.issue({ names: ['localhost'], key: kind });
      const leaf = new X509Certificate(certificate);
      const root = new X509Certificate(authority.certificate);
      assert.ok(leaf.verify(root.publicKey), 'signed by the authority');
      assert.ok(leaf.checkIssued(root), 'issued by the authority');
      assert.equal(leaf.ca, false);
      assert.equal(root.ca, true);
      createSecureContext({ cert: certificate, key });
    });
  }

  test('names hosts, wildcards, addresses of both families, URIs and e-mail addresses, each as what it is', async () => {
    const authority = await createAuthority();
    const names = ['localhost', '*.example.test', '127.0.0.1', '::1', 'spiffe://example.test/a', 'someone@example.test'];
    const leaf = new X509Certificate((await authority.issue({ names })).certificate);
    assert.equal(
      leaf.subjectAltName,
      'DNS:localhost, DNS:*.example.test, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, URI:spiffe://example.test/a, email:someone@example.test',
    );
    assert.equal(leaf.checkHost('a.example.test'), '*.example.test');
    assert.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(leaf.checkHost('other.test'), undefined);
  });

  test('says subject, serial number, validity and use as it was told', async () => {
    const authority = await createAuthority({ name: 'Mine' });
    const validFrom = new Date('2001-02-03T04:05:06Z');
    const validTo = new Date('2002-02-03T04:05:06Z');
    const issued = await authority.issue({
      names: [],
      commonName: 'somebody',
      organisation: 'Somewhere, Ltd',
      use: 'client',
      serialNumber: '1234abcd',
      validFrom,
      validTo,
    });
    const leaf = new X509Certificate(issued.certificate);
    assert.equal(leaf.subject, 'O=Somewhere\\, Ltd\nCN=somebody');
    assert.equal(leaf.issuer, 'CN=Mine');
    assert.equal(leaf.serialNumber, '1234ABCD');
    assert.equal(issued.serialNumber, '1234abcd');
    assert.equal(leaf.validFromDate.getTime(), validFrom.getTime());
    assert.equal(leaf.validToDate.getTime(), validTo.getTime());
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2']);
  });

  test('writes a name as it is, whatever quotes, commas and marks it holds', async () => {
    const name = 'Ferrata, "Tests" #41 + Ltd';
    const authority = await createAuthority({ name });
    const leaf = new X509Certificate((await authority.issue({ names: ['a.test'], organisation: name })).certificate);
    assert.equal(leaf.toLegacyObject().subject.O, name);
    assert.equal(leaf.toLegacyObject().issuer.CN, name);
  });

  test('makes authorities below it, whose chain goes up to the root and leaves that out', async () => {
    const root = await createAuthority();
    const middle = await root.createIntermediate();
    const { chain } = await middle.issue({ names: ['localhost'] });
    const parts = chain.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? [];
    assert.equal(parts.length, 2);
    const [leaf, above] = parts.map((part) => new X509Certificate(part));
    assert.ok(above !== undefined && leaf?.checkIssued(above));
    assert.ok(above.verify(new X509Certificate(root.certificate).publicKey));
  });

  test('is made again from its certificate and key, but from no others', async () => {
    const authority = await createAuthority();
    const again = await loadAuthority(authority.certificate, await authority.exportKey());
    const leaf = new X509Certificate((await again.issue({ names: ['localhost'] })).certificate);
    assert.ok(leaf.verify(new X509Certificate(authority.certificate).publicKey));
    const other = await createAuthority();
    await assert.rejects(loadAuthority(authority.certificate, await other.exportKey()), /does not belong/);
  });

  test('below another one is made again with its chain: its own certificate, and those above it that are given', async () => {
    const root = await createAuthority();
    const middle = await root.createIntermediate();
    const low = await middle.createIntermediate();
    const names = ['localhost'];
    const { chain } = await low.issue({ names });
    const above = chain.slice(chain.indexOf('-----END CERTIFICATE-----\n') + 26);
    for (const [given, expected] of [
      [above, low.certificate + middle.certificate],
      [above + root.certificate, low.certificate + middle.certificate],
      [low.certificate, low.certificate],
    ] as const) {
      const again = await loadAuthority(given, await low.exportKey());
      assert.equal(again.certificate, low.certificate);
      const issued = await again.issue({ names });
      assert.equal(issued.chain, issued.certificate + expected);
    }
    const again = await loadAuthority(root.certificate, await root.exportKey());
    const issued = await again.issue({ names });
    assert.equal(issued.chain, issued.certificate);
  });

  test('goes on from texts that hold more than its certificate: keys, lists, and certificates of others', async () => {
    const root = await createAuthority();
    const middle = await root.createIntermediate();
    const stranger = await (await createAuthority({ name: 'Other' })).createIntermediate({ name: 'Stranger' });
    const key = await middle.exportKey();
    for (const text of [
      middle.certificate + key,
      key + middle.certificate,
      middle.certificate + (await root.revocationList([])) + root.certificate,
      middle.certificate + stranger.certificate,
    ]) {
      const again = await loadAuthority(text, middle.certificate + key);
      const issued = await again.issue({ names: ['a.test'] });
      assert.equal(issued.chain, issued.certificate + middle.certificate);
    }
  });

  test('that has ended issues nothing that would end before it begins', async () => {
    const ended = await createAuthority({ validFrom: new Date(1e12), validTo: new Date(1.1e12) });
    await assert.rejects(ended.issue({ names: ['a.test'] }), RangeError);
    await assert.rejects(ended.createIntermediate(), /cannot outlive its authority.* end at 2004-11-09T/);
    const leaf = await ended.issue({ names: ['a.test'], validFrom: new Date(1.05e12) });
    assert.equal(new X509Certificate(leaf.certificate).validToDate.getTime(), 1.1e12);
    await assert.rejects(
      (await createAuthority()).issue({ names: ['a.test'], validFrom: new Date(1.1e12), validTo: new Date(1e12) }),
      RangeError,
    );
  });

  test('issues nothing that outlives its own certificate', async () => {
    const validTo = new Date(Math.floor(Date.now() / 1000) * 1000 + 86_400_000);
    const authority = await createAuthority({ validTo });
    const middle = await authority.createIntermediate();
    for (const { certificate } of [
      middle,
      await authority.issue({ names: ['a.test'] }),
      await authority.issue({ names: ['a.test'], validTo: new Date(validTo.getTime() + 1000) }),
      await middle.issue({ names: ['a.test'] }),
    ])
      assert.equal(new X509Certificate(certificate).validToDate.getTime(), validTo.getTime());
  });

  test('is not made of the certificate of somebody who is no authority, nor of one that has expired', async () => {
    const authority = await createAuthority();
    const leaf = await authority.issue({ names: ['leaf.test'] });
    await assert.rejects(loadAuthority(leaf.certificate, leaf.key), /leaf\.test is not that of an authority/);
    const expired = await createAuthority({ validFrom: new Date(1e12), validTo: new Date(1.1e12) });
    await assert.rejects(loadAuthority(expired.certificate, await expired.exportKey()), /has expired at 2004-11-09T/);
  });

  test('says of a name which kind it is', () => {
    const names = ['a.test', '*.a.test', '::1', 'me@a.test', 'spiffe://a.test/b', 'mailto:me@a.test'];
    assert.deepEqual(names.map(nameKind), ['dns', 'dns', 'ip', 'email', 'url', 'url']);
    assert.throws(() => nameKind('a@b..c'), RangeError);
  });

  test('refuses a name that is of none of the kinds, and says why', async () => {
    const authority = await createAuthority();
    const refused: readonly (readonly [string, RegExp])[] = [
      ['', /no IP address/],
      ['300.1.1.1', /no IP address/],
      ['1.2.3', /no IP address/],
      ['1:2', /host name has labels/],
      ['fe80::1%eth0', /no IP address/],
      ['dead:::beef', /no IP address/],
      ['localhost:8443', /port/],
      ['https:', /port/],
      ['https://a b.test', /visible ASCII/],
      ['a b.test', /host name/],
      ['a..test', /host name/],
      ['a.test.', /host name/],
      ['-a.test', /host name/],
      ['*', /host name/],
      ['a.*.test', /host name/],
      ['münchen.test', /xn--/],
      [`${'a'.repeat(64)}.test`, /1 to 63/],
      [`${'a.'.repeat(126)}aa`, /253/],
      ['@a.test', /e-mail/],
      ['a@b@c.test', /e-mail/],
      ['jürgen@a.test', /e-mail/],
      ['a@', /e-mail/],
    ];
    for (const [name, why] of refused) {
      await assert.rejects(authority.issue({ names: [name] }), (error) => error instanceof RangeError && why.test(error.message), name);
    }
    await assert.rejects(authority.issue({ names: [1 as never] }), TypeError);
  });

  test('lists what it has revoked, in a form that OpenSSL takes', async () => {
    const authority = await createAuthority();
    const { serialNumber } = await authority.issue({ names: ['localhost'] });
    const crl = await authority.revocationList([serialNumber]);
    assert.match(crl, /^-----BEGIN X509 CRL-----/);
    createSecureContext({ ca: authority.certificate, crl });
  });

  test('refuses a kind of key that it does not know', async () => {
    await assert.rejects(createAuthority({ key: 'dsa' as KeyKind }), RangeError);
  });
});

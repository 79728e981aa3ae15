/** Whether a certificate is for a host (RFC 9525 §6): by hand, and beside Node's own check. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkServerIdentity, type PeerCertificate as NodeCertificate } from 'node:tls';
import type { PeerCertificate, SubjectAltName } from '@ferrata/stream';
import fc from 'fast-check';
import { describeNames, isForHost } from '../../src/tls/tls-client-identity.ts';
import { checkServerName } from '../../src/tls/tls-client-name.ts';

function certificate(names: readonly SubjectAltName[], commonName: string | null = null): PeerCertificate {
  return {
    subjectAltNames: names,
    subject: { attributes: [], commonName, organisation: null, organisationalUnit: null },
  } as unknown as PeerCertificate;
}

const dns = (...names: string[]): SubjectAltName[] => names.map((name) => ({ kind: 'dns', name }));
const ip = (address: string): SubjectAltName => ({ kind: 'ip', address });

describe('names', () => {
  test('are equal but for case and a dot at the end', () => {
    assert.equal(isForHost(certificate(dns('One.Test')), 'one.test'), true);
    assert.equal(isForHost(certificate(dns('one.test.')), 'one.test'), true);
    assert.equal(isForHost(certificate(dns('one.test')), 'two.test'), false);
    assert.equal(isForHost(certificate(dns('one.test')), 'a.one.test'), false);
    assert.equal(isForHost(certificate(dns('')), 'one.test'), false);
  });

  test('a wildcard is a whole first label, stands for exactly one, and is never for a whole top-level domain (RFC 9525 §6.3)', () => {
    const wild = certificate(dns('*.one.test'));
    assert.deepEqual(
      ['a.one.test', 'one.test', 'a.b.one.test', '.one.test', 'xone.test'].map((host) => isForHost(wild, host)),
      [true, false, false, false, false],
    );
    for (const pattern of ['*', '*.test', '*.', 'a*.one.test', '*a.one.test', 'a.*.test', '*.*.test', '**.one.test']) {
      assert.equal(isForHost(certificate(dns(pattern)), 'a.one.test'), false, pattern);
      assert.equal(isForHost(certificate(dns(pattern)), 'one.test'), false, pattern);
    }
  });

  test('text that looks like several names is one that nobody has (CVE-2021-44532)', () => {
    const tricky = certificate(dns('evil.test, DNS:good.test', 'good.test\0.evil.test'));
    assert.equal(isForHost(tricky, 'good.test'), false);
  });

  test('the common name never counts, whatever stands beside it (RFC 9525 §2)', () => {
    const broken = (tag: number): SubjectAltName => ({ kind: 'other', tag, der: new Uint8Array() });
    for (const names of [
      [],
      dns('two.test'),
      [ip('127.0.0.1')],
      [{ kind: 'uri', uri: 'spiffe://x' } as const],
      [{ kind: 'email', address: 'me@one.test' } as const],
      // A DNS name beyond ASCII, an address of 5 bytes, a name of some other kind.
      ...[2, 7, 0].map((tag) => [broken(tag)]),
    ]) {
      for (const [commonName, host] of [
        ['one.test', 'one.test'],
        ['*.one.test', 'a.one.test'],
        ['my-own.test', 'my_own.test'],
      ] as const)
        assert.equal(isForHost(certificate(names, commonName), host), false);
    }
    assert.equal(isForHost(certificate([broken(2), ...dns('one.test')], 'two.test'), 'one.test'), true, 'names are compared one by one');
  });

  test('underscores of the first label are tried as hyphens, those of others not', () => {
    const hyphens = certificate(dns('my-own.one.test'));
    assert.equal(isForHost(hyphens, 'my_own.one.test'), true);
    assert.equal(isForHost(certificate(dns('a.my-own.test')), 'a.my_own.test'), false);
    assert.equal(isForHost(certificate(dns('my-host')), 'my_host'), true);
    assert.equal(isForHost(certificate(dns('my_own.one.test')), 'my_own.one.test'), true);
    assert.equal(isForHost(certificate(dns('my_own.one.test')), 'my-own.one.test'), false);
  });
});

describe('addresses', () => {
  test('are compared as addresses, with alternative names of their kind only (RFC 9525 §6.2)', () => {
    assert.equal(isForHost(certificate([ip('127.0.0.1')]), '127.0.0.1'), true);
    assert.equal(isForHost(certificate([ip('2001:db8::1')]), '2001:db8:0:0:0:0:0:1'), true);
    assert.equal(isForHost(certificate([ip('127.0.0.1')]), '127.0.0.2'), false);
    assert.equal(isForHost(certificate(dns('127.0.0.1', '*.0.0.1'), '127.0.0.1'), '127.0.0.1'), false);
    assert.equal(isForHost(certificate([], '127.0.0.1'), '127.0.0.1'), false);
    assert.equal(isForHost(certificate([ip('no address')]), '127.0.0.1'), false);
  });
});

describe('beside Node’s checkServerIdentity', () => {
  const label = fc.constantFrom('a', 'b', 'xn--bcher-kva', 'test');
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const pattern = fc.tuple(fc.constantFrom('', '*.'), host).map(([wild, rest]) => wild + rest);
  const names = fc.array(
    fc.oneof(
      pattern.map((name) => dns(name)[0] as SubjectAltName),
      fc.constantFrom('10.0.0.1', '10.0.0.3').map(ip),
    ),
    { maxLength: 4 },
  );

  test('we agree wherever our own rules are not the stricter ones', () => {
    let matches = 0;
    fc.assert(
      fc.property(
        names,
        fc.option(pattern),
        fc.oneof(host, fc.constantFrom('10.0.0.1', '10.0.0.2')),
        (alternatives, commonName, wanted) => {
          const ours = isForHost(certificate(alternatives, commonName), wanted);
          const subjectaltname = alternatives
            .map((name) => (name.kind === 'dns' ? `DNS:${name.name}` : `IP Address:${name.kind === 'ip' ? name.address : ''}`))
            .join(', ');
          const theirs =
            checkServerIdentity(wanted, { subject: { CN: commonName ?? undefined }, subjectaltname } as unknown as NodeCertificate) ===
            undefined;
          if (ours) matches++;
          // Node takes the common name where there is no name of DNS.
          const isStricter = commonName !== null;
          if (isStricter) assert.ok(theirs || !ours);
          else assert.equal(ours, theirs);
        },
      ),
      { numRuns: 2_000, seed: 5 },
    );
    assert.ok(matches > 20);
  });
});

describe('the names of servers', () => {
  test('are brought to one form', () => {
    assert.equal(checkServerName('x', 'One.TEST.'), 'one.test');
    assert.equal(checkServerName('x', '[2001:DB8::1]'), '2001:db8::1');
    assert.equal(checkServerName('x', 'fe80::1%eth0'), 'fe80::1');
    assert.equal(checkServerName('x', '[FE80::1%br_lan]'), 'fe80::1');
    assert.equal(checkServerName('x', '127.0.0.1'), '127.0.0.1');
    assert.equal(checkServerName('x', 'Bücher.test'), 'xn--bcher-kva.test');
    assert.equal(checkServerName('x', '_srv._tcp.test'), '_srv._tcp.test');
  });

  test('and refused if they are none', () => {
    for (const wrong of [
      '',
      '.',
      'a..b',
      '-a.test',
      'a-.test',
      'a b',
      'a/b',
      '*.test',
      'x'.repeat(64),
      `${'a.'.repeat(127)}b`,
      '1.2.3.4.5:6',
      'a\0b',
      '[::1',
      // Only addresses of IPv6 have scopes and brackets.
      '127.0.0.1%evil.test',
      '127.0.0.1%1',
      'one.test%eth0',
      '::1%',
      '::1%a/b',
      '[example.com]',
      '[127.0.0.1]',
      '[]',
      'ü.test/x',
      'ü.test#x',
      'ü.test:1',
      'ü@b.test',
      'ü b',
      7,
    ])
      assert.throws(() => checkServerName('x', wrong as string), TypeError, String(wrong));
  });
});

test('names are told in a message, a few of them', () => {
  assert.equal(describeNames(certificate([...dns('one.test'), ip('::1')])), '"one.test", ::1');
  assert.match(describeNames(certificate([], 'one.test')), /no server by an alternative name/);
  assert.equal(describeNames(certificate(dns('x'.repeat(90_000)))).length, 255);
  assert.match(describeNames(certificate(dns(...'abcdefg'.split('')))), /^"a", "b", "c", "d", "e" and 2 more$/);
});

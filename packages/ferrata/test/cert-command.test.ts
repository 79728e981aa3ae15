/** `ferrata cert dev`: what it writes, what it keeps, and what it refuses. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { parseCertArguments } from '../src/cert-arguments.ts';
import { writeCertificate } from '../src/cert-command.ts';
import { UsageError } from '../src/usage-error.ts';
import { runFerrata } from './support/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-cert-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const newDirectory = (): string => join(folder, String(count++), 'made');

describe('what ferrata cert dev writes', () => {
  test('an authority and a certificate by it, for all names, with keys that only their owner can read', async () => {
    const directory = newDirectory();
    const written = await writeCertificate(parseCertArguments(['dev', 'localhost', '*.example.test', '127.0.0.1', '--dir', directory]));
    assert.deepEqual(readdirSync(directory).toSorted(), ['ca', 'localhost.crt', 'localhost.key']);
    assert.deepEqual(readdirSync(join(directory, 'ca')).toSorted(), ['ca.crt', 'ca.key']);
    assert.equal(written.isAuthorityNew, true);
    const leaf = new X509Certificate(readFileSync(written.certificateFile));
    const authority = new X509Certificate(readFileSync(written.authorityFile));
    assert.ok(leaf.checkIssued(authority) && leaf.verify(authority.publicKey));
    for (const name of ['localhost', 'a.example.test']) assert.notEqual(leaf.checkHost(name), undefined, name);
    assert.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1');
    for (const file of ['ca/ca.key', 'localhost.key']) assert.equal(statSync(join(directory, file)).mode & 0o077, 0, file);
    createSecureContext({ cert: readFileSync(written.certificateFile), key: readFileSync(written.keyFile) });
  });

  test('a folder that cannot be made is told at once, even where Node would try for ever', {
    skip: process.platform !== 'linux',
  }, async () => {
    const { code, stderr } = await runFerrata('cert', 'dev', 'a.test', '--dir', '/proc/no/such/folder');
    assert.equal(code, 1);
    assert.match(stderr, /^ferrata: the certificate could not be written: ENOENT/);
    const file = join(folder, 'a file');
    writeFileSync(file, '');
    for (const directory of [file, join(file, 'below')])
      await assert.rejects(writeCertificate(parseCertArguments(['dev', 'a.test', '--dir', directory])), { code: /EEXIST|ENOTDIR/ });
  });

  test('the authority of the folder is used again, so that who trusts it goes on doing so', async () => {
    const directory = newDirectory();
    const first = await writeCertificate(parseCertArguments(['dev', 'a.test', '--dir', directory]));
    const before = readFileSync(first.authorityFile, 'utf8');
    const second = await writeCertificate(
      parseCertArguments([
        'dev',
        'b.test',
        '--dir',
        directory,
        '--client',
        '--organisation',
        'Example, Ltd',
        '--days',
        '2',
        '--key',
        'rsa-2048',
      ]),
    );
    assert.equal(second.isAuthorityNew, false);
    assert.equal(readFileSync(second.authorityFile, 'utf8'), before);
    const leaf = new X509Certificate(readFileSync(second.certificateFile));
    assert.ok(leaf.verify(new X509Certificate(before).publicKey));
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.match(leaf.subject, /O=Example\\, Ltd/);
    assert.equal(leaf.publicKey.asymmetricKeyType, 'rsa');
    assert.ok(leaf.validToDate.getTime() - Date.now() < 2 * 86_400_000);
  });

  test('a wildcard and an IPv6 address make names of files that every system takes', async () => {
    const directory = newDirectory();
    await writeCertificate(parseCertArguments(['dev', '*.example.test', '--dir', directory]));
    await writeCertificate(parseCertArguments(['dev', '::1', '--dir', directory]));
    assert.ok(readdirSync(directory).includes('_wildcard.example.test.crt'));
    assert.ok(readdirSync(directory).includes('__1.crt'));
  });

  test('no name of a certificate is in the way of the authority, or of the key of another', async () => {
    const directory = newDirectory();
    for (const name of ['ca', 'ca.crt', 'x', 'x.key', 'x-key']) {
      const { authorityFile, certificateFile, keyFile } = await writeCertificate(parseCertArguments(['dev', name, '--dir', directory]));
      const leaf = new X509Certificate(readFileSync(certificateFile));
      assert.ok(leaf.verify(new X509Certificate(readFileSync(authorityFile)).publicKey), name);
      assert.ok(leaf.checkPrivateKey(createPrivateKey(readFileSync(keyFile))), name);
    }
  });

  test('runs at the same time in a new folder end up with one authority', async () => {
    const directory = newDirectory();
    const names = Array.from({ length: 8 }, (_, index) => `n${index}.test`);
    const written = await Promise.all(names.map((name) => writeCertificate(parseCertArguments(['dev', name, '--dir', directory]))));
    assert.equal(written.filter(({ isAuthorityNew }) => isAuthorityNew).length, 1);
    for (const { authorityFile, certificateFile } of written) {
      assert.ok(new X509Certificate(readFileSync(certificateFile)).verify(new X509Certificate(readFileSync(authorityFile)).publicKey));
    }
    assert.deepEqual(readdirSync(directory).toSorted(), ['ca', ...names.flatMap((name) => [`${name}.crt`, `${name}.key`])].toSorted());
  });

  test('runs at the same time for one name end up with a certificate and its key', async () => {
    const directory = newDirectory();
    for (let round = 0; round < 6; round++) {
      const runs = ['a', 'b', 'c'].map(() => writeCertificate(parseCertArguments(['dev', 'a.test', '--dir', directory])));
      const [written] = await Promise.all(runs);
      const { certificateFile = '', keyFile = '' } = written ?? {};
      assert.ok(new X509Certificate(readFileSync(certificateFile)).checkPrivateKey(createPrivateKey(readFileSync(keyFile))));
    }
    assert.deepEqual(readdirSync(directory).toSorted(), ['a.test.crt', 'a.test.key', 'ca']);
  });

  test('a key is readable by its owner only, also where a file of its name lay open before', async () => {
    const directory = newDirectory();
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'a.test.key'), '', { mode: 0o666 });
    const { keyFile } = await writeCertificate(parseCertArguments(['dev', 'a.test', '--dir', directory]));
    assert.equal(statSync(keyFile).mode & 0o077, 0);
  });

  test('an authority of which a half is missing, or which is none, is told and left alone', async () => {
    const directory = newDirectory();
    const { authorityFile } = await writeCertificate(parseCertArguments(['dev', 'a.test', '--dir', directory]));
    writeFileSync(authorityFile, 'no certificate');
    await assert.rejects(writeCertificate(parseCertArguments(['dev', 'b.test', '--dir', directory])), /cannot be used/);
    rmSync(authorityFile);
    await assert.rejects(writeCertificate(parseCertArguments(['dev', 'b.test', '--dir', directory])), /one of them is missing/);
    assert.equal(readdirSync(directory).includes('b.test.crt'), false);
  });
});

describe('what ferrata cert refuses', () => {
  test('names that a certificate can not have, and URIs, before anything is made', async () => {
    const names = [
      'a b',
      '../../etc/passwd',
      '.',
      '999.1.1.1',
      '1.2.3',
      '1.2.3.04',
      'abc:80',
      ':',
      'é@x',
      'a@b:c',
      'a@b..c',
      'a@*.b',
      `${'x'.repeat(70)}@y.test`,
      'mailto:x@y',
      'spiffe://a.test/b',
      `${'x'.repeat(64)}.test`,
    ];
    for (const name of names) {
      const directory = newDirectory();
      await assert.rejects(
        writeCertificate(parseCertArguments(['dev', 'a.test', name, '--dir', directory])),
        (error) =>
          error instanceof UsageError &&
          error.message.startsWith(JSON.stringify(name)) &&
          error.message.endsWith('; write a host name, *.domain, an IP address or an e-mail address'),
        name,
      );
      assert.equal(existsSync(directory), false);
    }
    const { code, stderr } = await runFerrata('cert', 'dev', 'a@b..c', '--dir', newDirectory());
    assert.equal(code, 2);
    assert.match(stderr, /^ferrata: "a@b\.\.c" can't be a name in a certificate: an e-mail address is/);
  });

  const wrong: readonly (readonly [argv: readonly string[], sentence: RegExp])[] = [
    [[], /ferrata cert dev NAME/],
    [['prod', 'a.test'], /only certificates for development/],
    [['dev'], /say whom the certificate is for/],
    [['dev', 'a.test', '--key', 'dsa'], /--key dsa: write one of ecdsa-p256/],
    [['dev', 'a.test', '--days', '0'], /--days 0: write a whole number from 1 to 3650/],
    [['dev', 'a.test', '--days', '0x10'], /--days 0x10: write a whole number from 1 to 3650/],
    [['dev', 'a.test', '--nothing'], /ferrata cert --help lists the options/],
  ];
  for (const [argv, sentence] of wrong) {
    test(`\`ferrata cert ${argv.join(' ')}\` is answered with a sentence that says what to write`, () => {
      assert.throws(
        () => parseCertArguments(argv),
        (error) => error instanceof UsageError && sentence.test(error.message),
      );
    });
  }
});

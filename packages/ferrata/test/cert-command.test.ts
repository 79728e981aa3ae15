/** `ferrata cert dev`: what it writes, what it keeps, and what it refuses. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { parseCertArguments } from '../src/cert-arguments.ts';
import { writeCertificate } from '../src/cert-command.ts';
import { UsageError } from '../src/usage-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-cert-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const newDirectory = (): string => join(folder, String(count++), 'made');

describe('what ferrata cert dev writes', () => {
  test('an authority and a certificate by it, for all names, with keys that only their owner can read', async () => {
    const directory = newDirectory();
    const written = await writeCertificate(parseCertArguments(['dev', 'localhost', '*.example.test', '127.0.0.1', '--dir', directory]));
    assert.deepEqual(readdirSync(directory).toSorted(), ['ca-key.pem', 'ca.pem', 'localhost-key.pem', 'localhost.pem']);
    assert.equal(written.isAuthorityNew, true);
    const leaf = new X509Certificate(readFileSync(written.certificateFile));
    const authority = new X509Certificate(readFileSync(written.authorityFile));
    assert.ok(leaf.checkIssued(authority) && leaf.verify(authority.publicKey));
    for (const name of ['localhost', 'a.example.test']) assert.notEqual(leaf.checkHost(name), undefined, name);
    assert.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1');
    for (const file of ['ca-key.pem', 'localhost-key.pem']) assert.equal(statSync(join(directory, file)).mode & 0o077, 0, file);
    createSecureContext({ cert: readFileSync(written.certificateFile), key: readFileSync(written.keyFile) });
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
    assert.ok(readdirSync(directory).includes('_wildcard.example.test.pem'));
    assert.ok(readdirSync(directory).includes('__1.pem'));
  });

  test('an authority of which a half is missing, or which is none, is told and left alone', async () => {
    const directory = newDirectory();
    const { authorityFile } = await writeCertificate(parseCertArguments(['dev', 'a.test', '--dir', directory]));
    writeFileSync(authorityFile, 'no certificate');
    await assert.rejects(writeCertificate(parseCertArguments(['dev', 'b.test', '--dir', directory])), /cannot be used/);
    rmSync(authorityFile);
    await assert.rejects(writeCertificate(parseCertArguments(['dev', 'b.test', '--dir', directory])), /one of them is missing/);
    assert.equal(readdirSync(directory).includes('b.test.pem'), false);
  });
});

describe('what ferrata cert refuses', () => {
  const wrong: readonly (readonly [argv: readonly string[], sentence: RegExp])[] = [
    [[], /ferrata cert dev NAME/],
    [['prod', 'a.test'], /only certificates for development/],
    [['dev'], /say whom the certificate is for/],
    [['dev', 'a b'], /is no name for a certificate/],
    [['dev', '../../etc/passwd'], /is no name for a certificate/],
    [['dev', '.'], /is no name for a certificate/],
    [['dev', 'a.test', '--key', 'dsa'], /--key dsa: write one of ecdsa-p256/],
    [['dev', 'a.test', '--days', '0'], /--days 0: write a whole number from 1 to 3650/],
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

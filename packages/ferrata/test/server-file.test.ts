/** What the command makes of the server's own options, and of a look at everything before a start. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runFerrata, startFerrata } from './support/command.ts';
import { authority, file, replace } from './support/tls.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-server-file-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const clear = ['reverse', '--listen', 'http://127.0.0.1:0', '--to', 'http://127.0.0.1:1'];

function optionsFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('the name in the file of options is what notices begin with', async () => {
  const conf = optionsFile('name.yaml', 'name: front\n');
  const { code, stderr } = await runFerrata(...clear, '--conf', conf, '--test');
  assert.deepEqual({ code, stderr }, { code: 0, stderr: 'front: the configuration is good\n' });

  const ferrata = await startFerrata([1], ['--conf', conf]);
  ferrata.child.kill('SIGHUP');
  await ferrata.until('the notice', () => ferrata.stderr.includes('front: reloaded: nothing has changed, still version 1\n'));
});

test('what is wrong with an option of the server is told under the name that the command line has for it', async () => {
  const { code, stderr } = await runFerrata(...clear, '--pid-file', 'a\nb', '--test');
  assert.deepEqual({ code, stderr }, { code: 2, stderr: 'ferrata: --pid-file must not have control characters: "a\\nb"\n' });
});

test('--test tells of a certificate that would be served though it has expired', async () => {
  const [expired, good] = [await file('expired', ['localhost']), await file('good', ['localhost'])];
  const day = 86_400_000;
  const issued = await authority.issue({
    names: ['localhost'],
    validFrom: new Date(Date.now() - 2 * day),
    validTo: new Date(Date.now() - day),
  });
  replace(expired.keyFile, issued.key);
  replace(expired.certFile, issued.chain);
  const secure = ['reverse', '--listen', 'https://127.0.0.1:0', '--to', 'http://127.0.0.1:1', '--test'];

  const { code, stderr } = await runFerrata(...secure, ...good.args, ...expired.args);
  const [concern, verdict, ...rest] = stderr.split('\n');
  assert.match(
    concern ?? '',
    /^ferrata: tls TLS_CERTIFICATE_EXPIRED: .*expired\.pem: the certificate has expired at .*; clients will refuse it$/,
  );
  assert.deepEqual([code, verdict, ...rest], [0, 'ferrata: the configuration is good', '']);
  assert.equal((await runFerrata(...secure, ...good.args)).stderr, 'ferrata: the configuration is good\n');
});

test('authorities are read from plain files of a sensible size: nothing that has no end, or waits for ever', async () => {
  const fifo = join(folder, 'fifo.pem');
  execFileSync('mkfifo', [fifo]);
  const huge = join(folder, 'huge.pem');
  writeFileSync(huge, '');
  truncateSync(huge, 1_048_577);
  for (const [path, why] of [
    [fifo, 'it is no plain file'],
    [folder, 'it is no plain file'],
    ['/dev/zero', 'it is no plain file'],
    [huge, 'it has 1048577 bytes, and at most 1048576 are read'],
  ]) {
    const { code, stderr } = await runFerrata(
      'reverse',
      '--listen',
      'http://127.0.0.1:0',
      '--to',
      'https://127.0.0.1:1',
      '--ca',
      path ?? '',
      '--test',
    );
    assert.deepEqual({ code, stderr }, { code: 2, stderr: `ferrata: --ca ${path}: it cannot be read: ${why}\n` });
  }
});

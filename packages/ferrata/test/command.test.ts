/** The command from outside: what it prints, how it ends, where it listens. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, watch } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Ended, type LogLine, main, runFerrata, startFerrata, within } from './support/command.ts';
import { httpOrigin, type Mirrored, mirror, RawClient } from './support/peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** One GET by node:http, over TCP or a Unix socket. */
async function ask(where: { readonly port?: number; readonly host?: string; readonly socketPath?: string }, path = '/'): Promise<Mirrored> {
  const answered = new Promise<string>((resolve, reject) => {
    get({ ...where, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text)).on('error', reject);
    }).on('error', reject);
  });
  return JSON.parse(await within('an answer', answered)) as Mirrored;
}

test('--help and --version say what they are asked for on standard output, and exit with 0', async () => {
  const [help, version] = await Promise.all([runFerrata('--help'), runFerrata('--version')]);
  assert.deepEqual([help.code, version.code, help.stderr, version.stderr], [0, 0, '', '']);
  for (const option of [
    '--listen',
    '--to',
    '--cert FILE --key FILE',
    '--ca',
    '--no-verify',
    'ferrata cert dev',
    '--access-log',
    '--connect-timeout',
    '--read-timeout',
    '--idle-timeout',
    '--max-header-bytes',
    '--threads',
    '--grace',
    '--pid-file',
    '--admin',
    '--user',
    '--test',
  ]) {
    assert.ok(help.stdout.includes(option), option);
  }
  assert.match(version.stdout, /^ferrata \d+\.\d+\.\d+\n$/);
});

test('wrong arguments get one sentence on standard error, nothing on standard output, and exit code 2', async () => {
  const tries: readonly (readonly [RegExp, Promise<Ended>])[] = [
    [/^ferrata: say what to do: ferrata reverse --listen .*\n$/, runFerrata()],
    [/^ferrata: unknown option '--frob'; ferrata --help lists the options\n$/, runFerrata('reverse', '--frob')],
    [/^ferrata: say where requests go: --to http:.*\n$/, runFerrata('reverse', '--listen', 'http://127.0.0.1:0')],
    [
      /^ferrata: --grace soon: write a time .*\n$/,
      runFerrata('reverse', '--listen', 'http://127.0.0.1:0', '--to', 'http://127.0.0.1:1', '--grace', 'soon'),
    ],
  ];
  for (const [says, running] of tries) {
    const { code, stdout, stderr } = await running;
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, says);
  }
});

test('a busy port ends the command with exit code 1 and a sentence that names it, and nothing is said to be ready', async () => {
  const { port } = await httpOrigin(mirror);
  const { code, stdout, stderr } = await runFerrata(
    'reverse',
    '--listen',
    'http://127.0.0.1:0',
    '--listen',
    `http://127.0.0.1:${port}`,
    '--to',
    `http://127.0.0.1:${port + 1}`,
  );
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(stderr, new RegExp(`^ferrata: .*cannot listen: something else listens there already.*127\\.0\\.0\\.1:${port}.*\\n$`));
});

test('a Unix socket in a folder that does not exist ends the command with exit code 1 and says so', async () => {
  const { code, stderr } = await runFerrata('reverse', '--listen', `http://unix:${folder}/none/a.sock`, '--to', 'http://127.0.0.1:1');
  assert.equal(code, 1);
  assert.match(stderr, /the directory of the Unix socket does not exist/);
});

test('each listener gets a ready line in the order given, and each of them serves: IPv4, IPv6, Unix sockets', async () => {
  const { port } = await httpOrigin(mirror);
  const socketPath = join(folder, 'in.sock');
  const ferrata = await startFerrata(
    [port],
    ['--listen', 'http://127.0.0.1:0', '--listen', 'http://[::1]:0', '--listen', `http://unix:${socketPath}`],
  );
  const [first = '', second = '', third] = ferrata.urls;
  assert.match(first, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.match(second, /^http:\/\/\[::1\]:[1-9]\d*$/);
  assert.equal(third, `http://unix:${socketPath}`);

  const over4 = await ask({ host: '127.0.0.1', port: Number(new URL(first).port) });
  assert.equal(over4.headers['x-forwarded-for'], '127.0.0.1');
  const over6 = await ask({ host: '::1', port: Number(new URL(second).port) });
  assert.equal(over6.headers['x-forwarded-for'], '::1');
  const overUnix = await ask({ socketPath });
  assert.equal(overUnix.headers['x-forwarded-for'], 'unknown');

  ferrata.child.kill('SIGTERM');
  const { code } = await within('the end of the command', ferrata.ended);
  assert.equal(code, 0);
  await assert.rejects(ask({ socketPath }), /ENOENT/, 'the file of the socket is gone');
});

test('origins may be IPv6 addresses, names and Unix sockets', async () => {
  const socketPath = join(folder, 'out.sock');
  const [over6, byName] = await Promise.all([
    httpOrigin(mirror, { host: '::1' }),
    httpOrigin(mirror),
    httpOrigin(mirror, { path: socketPath }),
  ]);
  const ferrata = await startFerrata(
    [`http://[::1]:${over6.port}`, `http://localhost:${byName.port}`, `http://unix:${socketPath}`],
    ['--access-log'],
  );
  for (const path of ['/six', '/name', '/unix']) assert.equal((await ask({ port: ferrata.port }, path)).url, path);
  assert.equal((await ferrata.logged((line) => line.target === '/six')).upstream, `[::1]:${over6.port}`);
  assert.match((await ferrata.logged((line) => line.target === '/name')).upstream ?? '', new RegExp(`:${byName.port}$`));
  assert.equal((await ferrata.logged((line) => line.target === '/unix')).upstream, `unix:${socketPath}`);
});

test('an access log in a file has a whole line for each request, whichever thread writes it', async () => {
  const { port } = await httpOrigin(mirror);
  const [log, socketPath] = [join(folder, 'access.log'), join(folder, 'logged.sock')];
  const output = openSync(log, 'a');
  const text = (): string => readFileSync(log, 'utf8');
  const ready = new Promise<void>((resolve) => {
    const watcher = watch(log, () => {
      if (!text().includes('ready ')) return;
      watcher.close();
      resolve();
    });
  });
  const args = ['reverse', '--listen', `http://unix:${socketPath}`, '--to', `http://127.0.0.1:${port}`, '--threads', '2', '--access-log'];
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', output, 'inherit'] });
  after(() => child.kill('SIGKILL'));
  closeSync(output);
  await within('ready', ready);
  const paths = Array.from({ length: 100 }, (_, index) => `/${index}`);
  await Promise.all(paths.map((path) => ask({ socketPath }, path)));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  assert.equal(await within('the end of the command', ended), 0);
  const lines = text()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine);
  assert.equal(lines.length, paths.length);
  assert.deepEqual(new Set(lines.map(({ target }) => target)), new Set(paths));
});

test('a reader of standard output that goes away stops the log, not the traffic', async () => {
  const { port } = await httpOrigin(mirror);
  const ferrata = await startFerrata([port], ['--access-log']);
  const { port: proxyPort } = ferrata;
  ferrata.child.stdout.destroy();
  // The first line after the end of the reader meets EPIPE, later ones nothing at all.
  for (let i = 0; i < 5; i++) assert.equal((await ask({ port: proxyPort })).method, 'GET');
  await ferrata.until('a sentence about it', () => ferrata.stderr.includes('nothing more is written to standard output'));
  assert.equal((await ask({ port: proxyPort })).method, 'GET');
  ferrata.child.kill('SIGTERM');
  assert.equal((await within('the end of the command', ferrata.ended)).code, 0);
});

test('a reader of standard output that has stopped holds up neither the traffic nor the end', async () => {
  const { port } = await httpOrigin((_request, response) => response.end('ok'));
  const ferrata = await startFerrata([port], ['--access-log']);
  ferrata.child.stdout.pause();
  const client = new RawClient(ferrata.port);
  const target = `/${'a'.repeat(4_000)}`;
  // More than pipes and sockets hold.
  const count = 250;
  client
    .send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(count - 1))
    .send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  assert.equal((await client.untilEnd()).split('HTTP/1.1 200').length - 1, count);
  ferrata.child.kill('SIGTERM');
  const exited = new Promise<number | null>((resolve) => ferrata.child.once('exit', resolve));
  assert.equal(await within('the end of the command', exited), 0);
  ferrata.child.stdout.resume();
  await ferrata.ended;
});

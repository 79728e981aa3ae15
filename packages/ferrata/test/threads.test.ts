/** The command on several threads, and what the process that was started does for them: reload, upgrade, the ends, the log, what is told once. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { type Ferrata, runFerrata, startFerrata, within } from './support/command.ts';
import { closedPort, httpOrigin, mirror, RawClient, rawOrigin } from './support/peers.ts';
import { ask, authority, caFile, file, httpsOrigin, replace } from './support/tls.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-threads-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const origin = await httpOrigin(mirror);
const here = await file('threads', ['localhost', '127.0.0.1']);

/** One request over a connection of its own. @returns the status */
async function once(port: number, path: string): Promise<number> {
  const status = new Promise<number>((resolve, reject) => {
    get({ port, host: '127.0.0.1', path, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });
  return await within('an answer', status);
}

/** The answer of the admin endpoint. */
async function admin(path: string, socketPath: string, method = 'GET'): Promise<{ readonly status: number; readonly text: string }> {
  const answered = new Promise<{ status: number; text: string }>((resolve, reject) => {
    get({ socketPath, path, method, agent: false, headers: { Host: 'localhost', 'Content-Type': 'application/json' } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    }).on('error', reject);
  });
  return await within('an answer of the admin endpoint', answered);
}

function countOf(text: string, piece: string): number {
  return text.split(piece).length - 1;
}

async function ended(ferrata: Ferrata): Promise<number | null> {
  return (await within('the end of the command', ferrata.ended)).code;
}

test('I12: two threads and an upgrade in the middle: every request has its line exactly once, whole, the listeners are announced once, and --pid-file holds the number of the process that was started', async () => {
  const pidFile = join(folder, 'ferrata.pid');
  const ferrata = await startFerrata([origin.port], ['--threads', '2', '--access-log', '--pid-file', pidFile]);
  const { port } = ferrata;
  assert.equal(readFileSync(pidFile, 'utf8').trim(), String(ferrata.child.pid));
  const paths: string[] = [];
  let isUpgraded = false;
  const upgraded = ferrata.until('the second generation', () => /generation 2 \(process \d+\) serves/.test(ferrata.stderr));
  void upgraded.then(
    () => (isUpgraded = true),
    () => {},
  );
  for (let index = 0; index < 30 || !isUpgraded; index++) {
    assert.ok(index < 20_000);
    if (index === 10) ferrata.child.kill('SIGUSR2');
    const path = `/request-${index}`;
    assert.equal(await once(port, path), 200);
    paths.push(path);
  }
  for (let index = 0; index < 10; index++) assert.equal(await once(port, '/after'), 200);
  assert.equal(readFileSync(pidFile, 'utf8').trim(), String(ferrata.child.pid));
  ferrata.child.kill('SIGTERM');
  assert.equal(await ended(ferrata), 0);
  assert.ok(!existsSync(pidFile));
  assert.equal(ferrata.urls.length, 1);
  const lines = ferrata.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('ready '));
  assert.equal(ferrata.log.length, lines.length, 'no line is torn');
  assert.deepEqual(
    ferrata.log
      .map(({ target }) => target ?? '')
      .filter((target) => target !== '/after')
      .toSorted(),
    paths.toSorted(),
  );
  assert.equal(ferrata.log.filter(({ target }) => target === '/after').length, 10);
});

interface WorkerOfAdmin {
  readonly services: Readonly<Record<string, { readonly accepted: number }>>;
}

test('an origin that refuses is told of by one thread, however many meet it', async () => {
  const port = await closedPort();
  const ferrata = await startFerrata([port], ['--threads', '2']);
  for (let index = 0; index < 40; index++) assert.equal(await once(ferrata.port, '/'), 502);
  await ferrata.until('a sentence about the origin', () => ferrata.stderr.includes('no connection'));
  ferrata.child.kill('SIGTERM');
  assert.equal(await ended(ferrata), 0);
  assert.equal(countOf(ferrata.stderr, 'no connection'), 1, ferrata.stderr);
});

test('a TLS session goes on with whichever thread accepts the next connection; a certificate that is replaced is told of once, and served by both', async () => {
  const files = await file('renewed', ['localhost', '127.0.0.1']);
  const before = files.issued.serialNumber.toLowerCase();
  const ferrata = await startFerrata([origin.port], ['--threads', '2', '--listen', 'https://127.0.0.1:0', ...files.args]);
  const handshake = (session: Buffer | null): Promise<{ readonly isReused: boolean; readonly session: Buffer }> =>
    within(
      'a handshake and an answer',
      new Promise((resolve, reject) => {
        let ticket = session;
        const socket: TLSSocket = connect({
          port: ferrata.port,
          host: '127.0.0.1',
          ca: authority.certificate,
          ...(session === null ? {} : { session }),
        });
        socket.on('error', reject).on('session', (fresh: Buffer) => (ticket = fresh));
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
        const isReused = (): boolean => socket.isSessionReused();
        // Tickets come before the answer (RFC 8446 §4.6.1).
        socket.once('data', () => {
          if (ticket === null) reject(new Error('no ticket came'));
          else resolve({ isReused: isReused(), session: ticket });
          socket.destroy();
        });
      }),
    );
  let { session } = await handshake(null);
  for (let index = 0; index < 12; index++) {
    const next = await handshake(session);
    assert.ok(next.isReused, `connection ${index}`);
    ({ session } = next);
  }

  assert.equal((await ask(ferrata.url)).serial, before);
  await file('renewed', ['localhost', '127.0.0.1']);
  await within(
    'the new certificate alone to be served',
    (async () => {
      for (let same = 0; same < 12; ) same = (await ask(ferrata.url)).serial === before ? 0 : same + 1;
    })(),
  );
  ferrata.child.kill('SIGTERM');
  assert.equal(await ended(ferrata), 0);
  assert.equal(countOf(ferrata.stderr, 'new connections get the new certificate'), 1, ferrata.stderr);
});

test('M4, M6: while the files of the certificate are broken, whoever takes the place of a dead one serves what was good last; nobody is shown a key', {
  skip: process.platform !== 'linux' && '/proc is needed',
}, async () => {
  const files = await file('broken', ['localhost', '127.0.0.1']);
  const before = files.issued.serialNumber.toLowerCase();
  const ferrata = await startFerrata([origin.port], ['--listen', 'https://127.0.0.1:0', ...files.args]);
  replace(files.keyFile, 'nothing\n');
  const [serving = 0] = ferrata.children;
  process.kill(serving, 'SIGKILL');
  await ferrata.until('what is wrong to be told', () => ferrata.stderr.includes('the last good one is served'));
  await ferrata.until('the thread to tell it, too', () => /the old ones serve on: .*TLS_KEY_UNREADABLE/.test(ferrata.stderr));
  assert.equal((await ask(ferrata.url)).serial, before);

  const mended = await file('broken', ['localhost', '127.0.0.1']);
  ferrata.child.kill('SIGHUP');
  await ferrata.until('the reload', () => /reloaded, version \d+/.test(ferrata.stderr));
  assert.equal((await ask(ferrata.url)).serial, mended.issued.serialNumber.toLowerCase());
  ferrata.child.kill('SIGTERM');
  assert.equal(await ended(ferrata), 0);
  assert.match(ferrata.stderr, /fingerprint/);
  for (const { issued } of [files, mended]) {
    for (const line of issued.key.split('\n').slice(1, -2)) assert.ok(!ferrata.stderr.includes(line));
  }
});

test('SIGHUP reads the authorities for origins again; what is wrong with them changes nothing, and is told', async () => {
  const secure = await httpsOrigin(here.issued);
  const trusted = join(folder, 'authorities.pem');
  replace(trusted, readFileSync(caFile, 'utf8'));
  const ferrata = await startFerrata([`https://127.0.0.1:${secure.port}`], ['--threads', '2', '--ca', trusted]);
  assert.equal(await once(ferrata.port, '/'), 200);
  replace(trusted, 'nothing\n');
  ferrata.child.kill('SIGHUP');
  await ferrata.until('the refusal', () => /reload is refused.*there is no certificate in PEM in it/.test(ferrata.stderr));
  for (let index = 0; index < 6; index++) assert.equal(await once(ferrata.port, '/'), 200);

  // Another authority: the origin cannot prove who it is any more, also not over connections that stand.
  replace(trusted, here.issued.certificate);
  ferrata.child.kill('SIGHUP');
  await ferrata.until('the reload', () => ferrata.stderr.includes('reloaded, version 2'));
  for (let index = 0; index < 6; index++) assert.equal(await once(ferrata.port, '/'), 502);
});

test('SIGINT ends at once, with exit code 0: what runs is cut, and has its line', async () => {
  const slow = await httpOrigin((_request, response) => response.writeHead(200, { 'Content-Length': 10 }).write('first'));
  const ferrata = await startFerrata([slow.port], ['--threads', '2', '--access-log']);
  const client = new RawClient(ferrata.port).send('GET /cut HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until('first');
  ferrata.child.kill('SIGINT');
  assert.equal(await ended(ferrata), 0);
  await client.untilEnd();
  assert.deepEqual(
    ferrata.log.map(({ target, status, outcome }) => [target, status, outcome]),
    [['/cut', 200, 'failed']],
  );
});

test('a reader of standard output that is only slow gets every line of two threads, also those of the end', async () => {
  const ferrata = await startFerrata([origin.port], ['--threads', '2', '--access-log']);
  ferrata.child.stdout.pause();
  const target = `/${'a'.repeat(4_000)}`;
  // Less than what may wait, more than any pipe holds.
  const count = 40;
  const clients = Array.from({ length: 10 }, () => new RawClient(ferrata.port));
  for (const client of clients) {
    client
      .send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(count - 1))
      .send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    await client.untilEnd();
  }
  ferrata.child.kill('SIGTERM');
  ferrata.child.stdout.resume();
  assert.equal(await ended(ferrata), 0);
  assert.equal(ferrata.log.length, count * clients.length);
});

test('--test looks at arguments and files, opens nothing, and ends with 0 or 2', async () => {
  const listener = `https://127.0.0.1:${origin.port}`;
  const to = ['--to', `http://127.0.0.1:${origin.port + 1}`];
  // The port is taken, which does not matter: nothing listens.
  const good = await runFerrata('reverse', '--test', '--listen', listener, ...to, ...here.args);
  assert.deepEqual([good.code, good.stdout, good.stderr], [0, '', 'ferrata: the configuration is good\n']);
  const key = join(folder, 'no-key.pem');
  writeFileSync(key, 'none\n');
  const bad = await runFerrata('reverse', '--test', '--listen', listener, ...to, '--cert', here.certFile, '--key', key);
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /^ferrata: .*TLS_KEY_UNREADABLE.*\n$/);
});

test('--conf says what the command line does not, both threads serve, the admin endpoint tells of them; it is refused where it is wrong, but by whoever takes the place of a dead one', {
  skip: process.platform !== 'linux' && '/proc is needed',
}, async () => {
  const path = join(folder, 'server.yaml');
  const pidFile = join(folder, 'by-file.pid');
  writeFileSync(path, `version: 1\nthreads: 2\npid_file: ${pidFile}\n`);
  const socketPath = join(folder, 'conf.sock');
  const ferrata = await startFerrata([origin.port], ['--conf', path, '--admin', `unix:${socketPath}`]);
  assert.ok(existsSync(pidFile));
  await within(
    'both threads to have accepted',
    (async () => {
      for (;;) {
        for (let index = 0; index < 10; index++) assert.equal(await once(ferrata.port, '/'), 200);
        const { workers } = JSON.parse((await admin('/workers', socketPath)).text) as { readonly workers: readonly WorkerOfAdmin[] };
        assert.equal(workers.length, 2);
        if (workers.every(({ services }) => (services['reverse']?.accepted ?? 0) > 0)) return;
      }
    })(),
  );
  assert.equal((await admin('/ready', socketPath)).status, 200);
  writeFileSync(path, 'version: 1\nthread: 2\n');
  const { code, stderr } = await runFerrata('reverse', '--listen', 'http://127.0.0.1:0', '--to', 'http://127.0.0.1:1', '--conf', path);
  assert.equal(code, 2);
  assert.match(stderr, /^ferrata: \S+server\.yaml:2:1: .*threads\?/);

  // M4: whoever takes the place of a dead one comes up with what was last read.
  const [serving = 0] = ferrata.children;
  process.kill(serving, 'SIGKILL');
  await ferrata.until('the successor', () => /generation 2 \(process \d+\) serves/.test(ferrata.stderr));
  assert.match(ferrata.stderr, /ferrata: the file of options is broken, and what was last read from it is in force.*threads\?/);
  assert.equal(await once(ferrata.port, '/'), 200);
  const drained = await admin('/drain', socketPath, 'POST');
  assert.ok(drained.status < 300, drained.text);
  assert.equal(await ended(ferrata), 0);
});

test('options of the server that make no sense are wrong arguments', async () => {
  const { code, stdout, stderr } = await runFerrata(
    'reverse',
    '--listen',
    'http://127.0.0.1:0',
    '--to',
    'http://127.0.0.1:1',
    '--admin',
    '0.0.0.0:1',
  );
  assert.deepEqual([code, stdout], [2, '']);
  assert.match(stderr, /^ferrata: --admin must be an address of loopback or a Unix socket.*\n$/);
});

test('when the one that was started is killed, what runs is finished, and nobody is left behind', async () => {
  const arrived = Promise.withResolvers<Socket>();
  const waiting = await rawOrigin((socket) => void socket.once('data', () => arrived.resolve(socket)));
  const ferrata = await startFerrata([waiting.port]);
  const client = new RawClient(ferrata.port).send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const socket = await within('the request', arrived.promise);
  ferrata.child.kill('SIGKILL');
  await within('its end', new Promise<void>((resolve) => void ferrata.child.once('exit', () => resolve())));
  socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate');
  assert.match(await client.untilEnd(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nlate$/);
  // Both ends of its pipes are closed only when its children have ended, too.
  await within('the end of all of it', ferrata.ended);
});

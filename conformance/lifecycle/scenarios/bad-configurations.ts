/** A reload that cannot be (M6): nothing changes, the process lives, and one sentence says why. And storms of them (M7). */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Http1Connection, openSocket } from '../http1-connection.ts';
import { lightClients } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { reasonOf } from '../tally.ts';
import type { Target } from '../targets.ts';
import { generationOf } from './upgrades.ts';

interface BadConfiguration {
  readonly name: string;
  /** Puts it in place. */
  put(target: Target): void;
  /** Part of what must be said. */
  readonly says: RegExp;
}

async function run(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2 });
  const load = stage.load(target, lightClients());
  const taken = createServer();
  await new Promise<void>((resolve) => void taken.listen(0, '127.0.0.1', resolve));
  const address = taken.address();
  const takenPort = typeof address === 'object' && address !== null ? address.port : 0;
  const { file } = stage.rig.certificates;
  const whole = { http: ['127.0.0.1:0', `unix:${target.folder}/http.sock`] };

  const bad: readonly BadConfiguration[] = [
    { name: 'a syntax error', put: () => target.writeConfig('{ "message": "x", }'), says: /echo\.json.*JSON/s },
    { name: 'half of it', put: () => target.writeConfig('{ "message": "half", "http": ["127.0.'), says: /JSON/ },
    { name: 'nothing', put: () => target.writeConfig(''), says: /JSON/ },
    { name: 'no UTF-8', put: () => target.writeConfig(Buffer.from([0xff, 0xfe, 0x7b, 0x7d])), says: /JSON/ },
    { name: 'wrong types', put: () => target.configure({ message: 7 }), says: /message/ },
    { name: 'a list that is none', put: () => target.configure({ message: 'm1', http: 'no list' }), says: /http/ },
    { name: 'a setting that there is not', put: () => target.configure({ ...whole, massage: 'x' }), says: /massage/ },
    { name: 'no file', put: () => undefined, says: /ENOENT|no such file/ },
    { name: 'a folder', put: () => mkdirSync(target.configFile), says: /EISDIR|directory|no file/ },
    { name: '100 MiB', put: () => target.writeConfig(Buffer.alloc(104_857_600, 0x20)), says: /bytes/ },
    { name: 'a loop of links', put: () => loop(target), says: /ELOOP|symbolic/ },
    { name: 'a malformed address', put: () => target.configure({ massage: undefined, http: ['127.0.0.1:99999'] }), says: /99999/ },
    {
      name: 'a port in use',
      put: () => target.configure({ http: [...whole.http, `127.0.0.1:${takenPort}`] }),
      says: new RegExp(`${takenPort}`),
    },
    { name: 'an address that is not ours', put: () => target.configure({ http: [...whole.http, '192.0.2.1:8080'] }), says: /192\.0\.2\.1/ },
    { name: 'a Unix socket in no folder', put: () => target.configure({ http: [...whole.http, 'unix:/nowhere/a.sock'] }), says: /nowhere/ },
    {
      name: 'no certificate',
      put: () => target.configure({ ...whole, certificate: { certificateFile: '/nowhere', keyFile: '/nowhere' } }),
      says: /nowhere/,
    },
    {
      name: 'a broken certificate',
      put: () => {
        writeFileSync(join(target.folder, 'broken.pem'), 'no certificate');
        target.configure({ certificate: { certificateFile: join(target.folder, 'broken.pem'), keyFile: stage.rig.certificates.keyFile } });
      },
      says: /broken\.pem/,
    },
    {
      name: "another certificate's key",
      put: () => target.configure({ certificate: { certificateFile: file, keyFile: stage.rig.certificates.otherKeyFile } }),
      says: /key/i,
    },
  ];
  const generation = await generationOf(target);
  for (const { name, put, says } of bad) {
    rmSync(target.configFile, { recursive: true, force: true });
    put(target);
    const from = target.server.output.length;
    const { status, value } = await target.server.admin('POST', '/reload');
    const why = typeof value['why'] === 'string' ? value['why'] : '';
    stage.must(`${name}: refused`, status === 422 || status === 500, `${status} ${JSON.stringify(value)}`);
    stage.must(`${name}: says why`, says.test(why), why === '' ? JSON.stringify(value) : why);
    stage.must(`${name}: in a line of the log, too`, await target.server.says(says, 30_000, from), target.server.output.slice(from));
    stage.check(`${name}: nothing has changed`, await messageIs(target, 'm1'));
    rmSync(target.configFile, { recursive: true, force: true });
  }
  if (process.getuid?.() === 0)
    stage.say('as root every file can be read and every port be had: both are tried on a server of another user');
  target.configure({ ...whole, certificate: { certificateFile: file, keyFile: stage.rig.certificates.keyFile }, message: 'm2' });
  const { status, value } = await target.server.admin('POST', '/reload');
  stage.must('a sound one is taken', status === 200, `${status} ${JSON.stringify(value)}`);
  stage.check('and in force', await messageIs(target, 'm2'));
  stage.must('it is the same process', (await generationOf(target)) === generation, 'another process serves');
  await listeners(stage, target);
  await load.stop();
  taken.close();
  stage.nothingFailed('nothing failed', load.tally);
  await expired(stage, target);
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

/** An expired certificate is no reason to serve nobody: it is taken, and told of. What needs no certificate does not notice. */
async function expired(stage: Stage, target: Target): Promise<void> {
  const from = target.server.output.length;
  target.configure({ certificate: stage.rig.certificates.expired });
  const { status, value } = await target.server.admin('POST', '/reload', 60_000);
  stage.must('an expired certificate: taken', status === 200, `${status} ${JSON.stringify(value)}`);
  const isTold = await target.server.says(/expired\.pem has expired/, 30_000, from);
  stage.must('an expired certificate: a line of the log says so', isTold, target.server.output.slice(from));
  const { https } = target.load;
  const seen = await (https === null ? Promise.reject(new Error('no door')) : openSocket(https)).then(
    (socket) => {
      socket.destroy();
      return 'a client that looks at it is content';
    },
    (error: unknown) => reasonOf(error),
  );
  stage.must('an expired certificate: it is the one that clients see', seen.includes('CERT_HAS_EXPIRED'), seen);
  stage.check('an expired certificate: whoever needs none is served', await messageIs(target, 'm2'));
}

/** A listener more, and a listener less: the others lose nobody. */
async function listeners(stage: Stage, target: Target): Promise<void> {
  const extra = join(target.folder, 'extra.sock');
  const kept = ['127.0.0.1:0', `unix:${target.folder}/http.sock`];
  target.configure({ http: [...kept, `unix:${extra}`] });
  const added = await target.server.admin('POST', '/reload', 60_000);
  stage.must('a listener is added', added.status === 200, JSON.stringify(added));
  stage.must('it listens', await isOpen(extra), 'nobody listens there');
  target.configure({ http: kept });
  const removed = await target.server.admin('POST', '/reload', 60_000);
  stage.must('a listener is removed', removed.status === 200, JSON.stringify(removed));
  const isGone = await target.server.until(async () => !(await isOpen(extra)), 60_000);
  stage.must('it listens no more', isGone, 'somebody still listens there');
  stage.check('the others serve', await messageIs(target, 'm2'));
}

/** What only a user without privileges can be refused. */
async function runUser(stage: Stage): Promise<void> {
  if (process.getuid?.() !== 0 || spawnSync('setpriv', ['--version']).status !== 0) {
    stage.skip('unreadable and privileged', 'it needs root to become somebody else, and setpriv');
    return;
  }
  // The folder must be open to whoever it is.
  const target = await stage.start({
    threads: 1,
    wrapper: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
    isOpenToAll: true,
  });
  const kept = ['127.0.0.1:0', `unix:${target.folder}/http.sock`];
  chmodSync(target.configFile, 0o000);
  const unreadable = await target.server.admin('POST', '/reload');
  stage.must(
    'unreadable: refused',
    unreadable.status === 422 && /EACCES|permission/.test(JSON.stringify(unreadable.value)),
    JSON.stringify(unreadable),
  );
  rmSync(target.configFile);
  target.configure({ http: [...kept, '127.0.0.1:1'] });
  chmodSync(target.configFile, 0o644);
  const privileged = await target.server.admin('POST', '/reload');
  const isRefused = (privileged.status === 422 || privileged.status === 500) && /127\.0\.0\.1:1\b/.test(JSON.stringify(privileged.value));
  stage.must('a privileged port: refused', isRefused, JSON.stringify(privileged));
  stage.check('nothing has changed', await messageIs(target, 'm1'));
  stage.check('it stops in order', await target.stop());
}

/** Hundreds of signals, and reloads while it stops (M7). */
async function runStorm(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: 60_000 });
  const load = stage.load(target, lightClients());
  await load.hasBegun();
  for (let number = 2; number <= 301; number++) {
    target.configure({ message: `m${number}` });
    target.server.signal('SIGHUP');
    if (number % 20 === 0) await delay(1);
  }
  const isLast = await target.server.until(async () => (await messageIs(target, 'm301')) === null, 60_000);
  stage.must('the last of a storm wins', isLast, (await messageIs(target, 'm301')) ?? '');
  const both = await Promise.all([target.server.admin('POST', '/reload'), target.server.admin('POST', '/reload')]);
  const isEither = both.every(({ status }) => status === 200 || status === 409);
  stage.must('two at once are both answered', isEither, JSON.stringify(both));
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  // A request holds the end up, and meanwhile nothing is reloaded.
  const connection = await Http1Connection.open(target.load.http);
  const slow = connection.exchange({ bytes: Buffer.from('GET /slow?ms=4000 HTTP/1.1\r\nHost: a\r\n\r\n'), timeoutMs: 30_000 });
  // It is waited for below; one that fails before that is no crash of the suite.
  slow.catch(() => undefined);
  const isThere = await target.server.until(async () => (await httpConnections(target)) > 0, 30_000);
  stage.must('a request holds the end up', isThere, 'its connection was not let in');
  const from = target.server.output.length;
  target.server.signal('SIGTERM');
  const isStopping = await target.server.until(
    async () => (await target.server.admin('GET', '/phase')).value['phase'] !== 'running',
    30_000,
  );
  stage.must('it stops', isStopping && target.server.ending === null, target.server.output.slice(-400));
  target.configure({ message: 'm999' });
  for (let number = 0; number < 20; number++) target.server.signal('SIGHUP');
  const { body } = await slow;
  stage.must('the request is answered by what it began with', body.toString().trim() === 'm301', body.toString());
  const ending = await target.server.exit(60_000);
  const said = target.server.output.slice(from);
  stage.must(
    'a reload while it stops is refused, and changes nothing',
    said.includes('SIGHUP is ignored') && !said.includes('reloaded'),
    said,
  );
  stage.must('it ends with 0', ending?.code === 0, `${ending?.code ?? ending?.signal}: ${target.server.output.slice(-400)}`);
}

async function httpConnections(target: Target): Promise<number> {
  const { value } = await target.server.admin('GET', '/connections');
  return (value['services'] as Readonly<Record<string, { readonly connections: number }>>)['http']?.connections ?? 0;
}

function loop(target: Target): void {
  symlinkSync(`${target.configFile}.other`, target.configFile);
  rmSync(`${target.configFile}.other`, { force: true });
  symlinkSync(target.configFile, `${target.configFile}.other`);
}

/** @returns null if the server answers so */
async function messageIs(target: Target, message: string): Promise<string | null> {
  const connection = await Http1Connection.open(target.load.http);
  try {
    const { body } = await connection.exchange({
      bytes: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      timeoutMs: 30_000,
    });
    return body.toString() === `${message}\n` ? null : `the message is ${body.toString().trim()}, not ${message}`;
  } finally {
    connection.close();
  }
}

async function isOpen(path: string): Promise<boolean> {
  try {
    (await openSocket({ path })).destroy();
    return true;
  } catch {
    return false;
  }
}

/** The proxy, whose configuration is its certificate: what cannot be read or used is refused, and the one in force is served on. */
async function runProxy(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2 });
  const load = stage.load(target, lightClients());
  await load.hasBegun();
  const { certificates } = stage.rig;
  const sound = readFileSync(target.configFile, 'utf8');
  const [certificate = ''] = sound.split('-----BEGIN PRIVATE KEY-----');
  for (const [name, text] of [
    ['no certificate', 'no certificate'],
    ['half of it', sound.slice(0, sound.length / 2)],
    ['nothing', ''],
    ["another certificate's key", certificate + readFileSync(certificates.otherKeyFile, 'utf8')],
    ['no file', null],
  ] as const) {
    if (text === null) rmSync(target.configFile);
    else target.writeConfig(text);
    const from = target.server.output.length;
    const { status, value } = await target.server.admin('POST', '/reload');
    const why = typeof value['why'] === 'string' ? value['why'] : '';
    stage.must(`${name}: refused`, status === 422, `${status} ${JSON.stringify(value)}`);
    stage.must(`${name}: says why, and of which file`, why.includes(target.configFile), why === '' ? JSON.stringify(value) : why);
    stage.must(
      `${name}: in a line of the log, too`,
      await target.server.says(/reverse\.pem/, 30_000, from),
      target.server.output.slice(from),
    );
    // Who looks at the certificate takes it.
    const seen = await (target.load.https === null ? Promise.reject(new Error('no door')) : openSocket(target.load.https)).then(
      (socket) => void socket.destroy(),
      (error: unknown) => reasonOf(error),
    );
    stage.check(`${name}: the one in force is served`, seen ?? null);
  }
  target.configureNumber(2);
  const { status, value } = await target.server.admin('POST', '/reload');
  stage.must('a sound one is taken', status === 200 && value['outcome'] === 'reloaded', `${status} ${JSON.stringify(value)}`);
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

/** Reloads that are refused, and storms of reloads. */
export const badConfigurations: readonly Scenario[] = [
  { id: 'bad-configurations', targets: ['echo-server'], isHeavy: false, run },
  { id: 'bad-certificates', targets: ['reverse'], isHeavy: false, run: runProxy },
  { id: 'bad-configurations-of-a-user', targets: ['echo-server'], isHeavy: false, run: runUser },
  { id: 'reload-storm', targets: ['echo-server'], isHeavy: false, run: runStorm },
];

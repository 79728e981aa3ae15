/** echo-server/server.ts, run as a reader would run it: served, reloaded, upgraded and stopped. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '@ferrata/dev-certificates';

const DEADLINE_MS = 50_000;
const PROGRAM = fileURLToPath(new URL('../echo-server/server.ts', import.meta.url));

interface Who {
  readonly pid: number;
  readonly worker: number;
  readonly version: number;
  readonly message: string;
  readonly requestsPerSecond: number;
}

const folder = mkdtempSync(join(tmpdir(), 'ferrata-echo-'));
const configFile = join(folder, 'echo.json');
let config: Record<string, unknown> = {};
let authority = '';
let child: ChildProcess;
let ended: Promise<unknown[]>;
let output = '';
const watchers = new Set<() => void>();

function configure(change: Record<string, unknown>): void {
  config = { ...config, ...change };
  writeFileSync(configFile, JSON.stringify(config));
}

/** Waits until something is so; looks whenever the server says something. */
async function said(what: RegExp, from = 0): Promise<void> {
  const late = AbortSignal.timeout(DEADLINE_MS);
  while (!what.test(output.slice(from))) {
    late.throwIfAborted();
    await new Promise<void>((resolve) => {
      watchers.add(resolve);
      late.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

function port(service: string): number {
  return Number(new RegExp(`^ready 127\\.0\\.0\\.1:(\\d+) ${service}$`, 'm').exec(output)?.[1]);
}

/** One request on a connection of its own. */
async function ask(path: string, init: { readonly method?: string; readonly body?: string } = {}): Promise<Response> {
  return await fetch(`http://127.0.0.1:${port('http')}${path}`, {
    ...init,
    headers: { Connection: 'close', 'X-Request-Id': path },
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
}

async function who(): Promise<Who> {
  return (await (await ask('/who')).json()) as Who;
}

before(async () => {
  const issuer = await createAuthority();
  const { chain, key } = await issuer.issue({ names: ['localhost'] });
  authority = issuer.certificate;
  const [certificateFile, keyFile] = [join(folder, 'server.pem'), join(folder, 'server.key')];
  writeFileSync(certificateFile, chain);
  writeFileSync(keyFile, key, { mode: 0o600 });
  const anyPort = ['127.0.0.1:0'];
  configure({ message: 'one', http: anyPort, https: anyPort, certificate: { certificateFile, keyFile }, tcp: anyPort, udp: anyPort });
  child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, configFile, '--threads', '2'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  ended = once(child, 'close');
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const wake of watchers) wake();
      watchers.clear();
    });
  }
  await said(/^ready \S+ udp$/m);
});

after(async () => {
  child.kill('SIGKILL');
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

test('it answers by every protocol that it has', async () => {
  const hello = await ask('/');
  assert.equal(await hello.text(), 'one\n');
  assert.equal(hello.headers.get('x-request-id'), '/');
  assert.equal((await ask('/nowhere')).status, 404);
  assert.equal((await ask('/throw')).status, 404);
  const body = 'x'.repeat(1_000_000);
  assert.equal(await (await ask('/echo', { method: 'POST', body })).text(), body);
  assert.equal((await (await ask('/bytes?n=1000000')).bytes()).length, 1_000_000);
  assert.equal(await (await ask('/slow?ms=20')).text(), 'one\n');
  assert.ok((await who()).worker >= 1);

  const session = connectHttp2(`https://localhost:${port('https')}`, { ca: authority });
  const stream = session.request({ ':path': '/' }).setEncoding('utf8');
  const [text] = (await once(stream, 'data', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [string];
  assert.equal(text, 'one\n');
  session.close();

  const socket = connect({ host: '127.0.0.1', port: port('tcp') });
  socket.end('by TCP');
  const [echoed] = (await once(socket, 'data', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [Buffer];
  assert.equal(echoed.toString(), 'by TCP');

  const datagrams = createSocket('udp4');
  datagrams.send('by UDP', port('udp'), '127.0.0.1');
  const [datagram] = (await once(datagrams, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [Buffer];
  assert.equal(datagram.toString(), 'by UDP');
  datagrams.close();

  const webSocket = new WebSocket(`ws://127.0.0.1:${port('http')}/echo`);
  await once(webSocket, 'open', { signal: AbortSignal.timeout(DEADLINE_MS) });
  webSocket.send('by WebSocket');
  const [message] = (await once(webSocket, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [MessageEvent];
  assert.equal(message.data, 'by WebSocket');
  webSocket.close();
});

test('a reload changes the message, one that is wrong changes nothing and is told of, and the limit counts for all workers', async () => {
  configure({ message: 'two' });
  let from = output.length;
  child.kill('SIGHUP');
  await said(/reload/i, from);
  assert.equal((await who()).message, 'two');
  from = output.length;
  configure({ massage: 'three' });
  child.kill('SIGHUP');
  await said(/massage/, from);
  assert.equal((await who()).message, 'two');
  configure({ massage: undefined, maxRequestsPerSecond: 3 });
  from = output.length;
  child.kill('SIGHUP');
  await said(/maxRequestsPerSecond/, from);
  // On a slow machine some of them come too late to be too many.
  for (const late = AbortSignal.timeout(DEADLINE_MS); ; late.throwIfAborted()) {
    const statuses = await Promise.all(Array.from({ length: 30 }, async () => (await ask('/')).status));
    if (statuses.includes(429)) break;
  }
  from = output.length;
  configure({ maxRequestsPerSecond: 1e9 });
  child.kill('SIGHUP');
  await said(/maxRequestsPerSecond/, from);
});

test('an upgrade puts another process in its place, and SIGTERM ends it with 0', async () => {
  const { pid } = await who();
  assert.notEqual(pid, child.pid);
  const from = output.length;
  child.kill('SIGUSR2');
  await said(/generation 2 .*serves/, from);
  // Both accept for a moment, so that there is never nobody who does.
  const late = AbortSignal.timeout(DEADLINE_MS);
  while ((await who()).pid === pid) late.throwIfAborted();
  child.kill('SIGTERM');
  const [code] = await ended;
  assert.equal(code, 0);
});

test('it says what it needs: a file by name, its options on request', () => {
  const run = (...args: string[]): readonly [number | null, string] => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, ...args], {
      encoding: 'utf8',
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
      timeout: DEADLINE_MS,
    });
    return [status, stdout + stderr];
  };
  assert.deepEqual(run(), [2, 'echo: the server could not start: say with which configuration: server.ts FILE [options]\n']);
  assert.deepEqual(run('--test'), [2, 'echo: say with which configuration: server.ts FILE [options]\n']);
  assert.deepEqual(run(folder, '--test'), [2, `echo: ${folder} is no file\n`]);
  const [status, help] = run('--help');
  assert.equal(status, 0);
  assert.match(help, /^ {2}-t, --test/m);
});

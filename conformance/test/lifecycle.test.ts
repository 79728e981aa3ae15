/** The clients of the suite `lifecycle` find what they are there to find: each against a server with one fault planted. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createAuthority } from '@ferrata/dev-certificates';
import { HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { downloads } from '../lifecycle/clients/downloads.ts';
import { freshConnections, keptConnections } from '../lifecycle/clients/http1.ts';
import { nodeHttp2Streams, ourHttp2Streams } from '../lifecycle/clients/http2.ts';
import { tcpEchoes } from '../lifecycle/clients/streams.ts';
import { webSockets } from '../lifecycle/clients/websockets.ts';
import { ConfigurationsSeen } from '../lifecycle/configurations-seen.ts';
import { type Accepted, unexplained } from '../lifecycle/culprits.ts';
import { figureTable } from '../lifecycle/figure-table.ts';
import { type LoadClient, type LoadTarget, startLoad } from '../lifecycle/load.ts';
import { unanswered } from '../lifecycle/mixes.ts';
import { isPattern } from '../lifecycle/pattern.ts';
import { figuresOf } from '../lifecycle/process-figures.ts';
import { growth } from '../lifecycle/scenarios/growth.ts';
import { type FailureRecord, Tally } from '../lifecycle/tally.ts';
import { echoBytes, echoing, patternOf } from './echoing-application.ts';

/** Runs clients until each of them has had some answers, or failures. */
async function tallyOf(target: Partial<LoadTarget>, clients: readonly LoadClient[], enough = 5): Promise<Tally> {
  const load = startLoad({ http: { port: 1 }, https: null, unix: null, tcp: null, udp: null, ...target }, clients);
  const end = performance.now() + 20_000;
  const isEnough = (): boolean => load.tally.answered + load.tally.failed + load.tally.cut + load.tally.retried >= enough;
  while (!isEnough() && performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
  await load.stop();
  assert.equal(load.tally.imbalance(), null);
  return load.tally;
}

/** A server that says always the same to whatever is asked, and perhaps ends. */
async function scripted(answer: (socket: Socket, request: string) => void): Promise<LoadTarget['http']> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => answer(socket, chunk.toString('latin1')));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0 };
}

test('every kind of client is content with a server that does what it should', async () => {
  const authority = await createAuthority();
  const { chain, key } = await authority.issue({ names: ['localhost'] });
  const server = new HttpServer(echoing);
  const plain = await listen('127.0.0.1:0', (stream) => server.accept(stream));
  const tls = { certificates: [{ certificate: chain, key }], alpn: ['h2', 'http/1.1'] };
  const secure = await listen({ address: '127.0.0.1:0', tls }, (stream) => server.accept(stream));
  const tcp = await listen('127.0.0.1:0', echoBytes);
  after(async () => {
    server.close();
    for (const listener of [plain, secure, tcp]) await listener.close();
  });
  const [http, https, echo] = [plain, secure, tcp].map(({ address }) => (address.kind === 'ip' ? address.port : 0)) as [
    number,
    number,
    number,
  ];
  const target = { http: { port: http }, https: { port: https, ca: authority.certificate }, tcp: echo };
  const clients = [
    freshConnections(),
    freshConnections({ door: 'https' }),
    keptConnections({ bodyBytes: 100_000 }),
    keptConnections({ door: 'https' }),
    downloads({ bytes: 500_000 }),
    downloads({ bytes: 200_000, lastsMs: 200, door: 'https' }),
    ourHttp2Streams(4),
    nodeHttp2Streams(4),
    webSockets(1),
    tcpEchoes(1),
  ];
  const tally = await tallyOf(target, clients, 300);
  assert.equal(tally.failureText(), '');
  assert.deepEqual([...tally.sentByKind.keys()].length, 10);
});

test('a token of another request, or another body, is seen', async () => {
  const swapped = await scripted((socket) => socket.write('HTTP/1.1 200 OK\r\nX-Request-Id: other\r\nContent-Length: 2\r\n\r\nok'));
  const tally = await tallyOf({ http: swapped }, [keptConnections()]);
  assert.match(tally.failureText(), /kept http: the token of another request, or none/);
  const mixed = await scripted((socket, request) => {
    const id = /x-request-id: (\S+)/i.exec(request)?.[1] ?? '';
    socket.write(`HTTP/1.1 200 OK\r\nX-Request-Id: ${id}\r\nContent-Length: 2\r\n\r\nok`);
  });
  assert.match((await tallyOf({ http: mixed }, [freshConnections()])).failureText(), /fresh http: another body than was sent/);
});

test('a connection that ends without an answer has failed, one that ends inside an answer was cut', async () => {
  const silent = await tallyOf({ http: await scripted((socket) => socket.destroy()) }, [freshConnections()]);
  assert.ok(silent.failed > 0);
  assert.equal(silent.cut, 0);
  const half = await tallyOf({ http: await scripted((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')) }, [
    keptConnections(),
  ]);
  assert.ok(half.cut > 0);
  assert.equal(half.failed, 0);
});

test('a client that is refused says so, and one that keeps its connection closes it when it is told to', async () => {
  assert.match((await tallyOf({ http: { port: 1 } }, [freshConnections()])).failureText(), /connect ECONNREFUSED/);
  let connections = 0;
  const polite = await scripted((socket, request) => {
    const id = /x-request-id: (\S+)/i.exec(request)?.[1] ?? '';
    const body = request.slice(request.indexOf('\r\n\r\n') + 4);
    connections++;
    socket.end(`HTTP/1.1 200 OK\r\nX-Request-Id: ${id}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  const tally = await tallyOf({ http: polite }, [keptConnections()]);
  assert.equal(tally.failureText(), '');
  assert.equal(tally.connections, connections);
});

test('a byte of a download that is wrong, missing or doubled is seen at any position', () => {
  const bytes = Buffer.from(patternOf(200_000));
  for (const position of [0, 1, 65_520, 65_521, 131_042]) {
    const piece = Buffer.from(bytes.subarray(position, position + 66_000));
    assert.equal(isPattern(piece, position), true);
    assert.equal(isPattern(piece, position + 1), false);
    piece[65_900] = (piece[65_900] ?? 0) ^ 1;
    assert.equal(isPattern(piece, position), false);
  }
});

test('two messages of one version, and a version that goes back on a connection, are seen', () => {
  const seen = new ConfigurationsSeen();
  const connection = { version: 0 };
  seen.watch({ servedBy: '7.1.1', config: '1 m1' }, connection);
  seen.watch({ servedBy: '7.2.2', config: '2 m2' }, connection);
  assert.throws(() => seen.watch({ servedBy: '7.1.1', config: '2 m3' }, { version: 0 }), /a mix/);
  assert.throws(() => seen.watch({ servedBy: '7.1.1', config: '1 m1' }, connection), /older configuration/);
  // Another process counts anew.
  seen.watch({ servedBy: '8.1.1', config: '1 m9' }, { version: 0 });
  assert.throws(() => seen.watch({ servedBy: null, config: null }, connection), /who made it/);
});

test('a failure is explained by the death of who accepted its connection, and by nothing else', () => {
  const accepted: readonly Accepted[] = [
    { ports: '4000>80', by: '7.1.1', at: 100 },
    { ports: '4001>80', by: '7.2.2', at: 110 },
    { ports: '4000>443', by: '7.2.2', at: 120 },
    { ports: '4000>80', by: '7.2.2', at: 300 },
  ];
  const diedAt = (by: string): number | null => (by === '7.1.1' ? 200 : null);
  const failed = (ports: string | null, at: number, openedAt = 0): FailureRecord => ({
    kind: 'kept http',
    reason: 'r',
    isCut: false,
    servedBy: null,
    ports,
    openedAt,
    at,
  });
  assert.equal(unexplained([failed('4000>80', 201)], accepted, diedAt, 0), null);
  assert.match(unexplained([failed('4000>80', 199)], accepted, diedAt, 9) ?? '', /a connection of 7\.1\.1, 1 ms before that died/);
  assert.match(unexplained([failed('4001>80', 201)], accepted, diedAt, 9) ?? '', /a connection of 7\.2\.2, who lives/);
  // The same port, used again by a client whom another one serves.
  assert.match(unexplained([failed('4000>80', 301)], accepted, diedAt, 9) ?? '', /a connection of 7\.2\.2, who lives/);
  // A Unix socket; and a port that was another client's, used again by one whom nobody noted.
  const unseen = [failed(null, 201), failed('4001>80', 301, 300)];
  assert.equal(unexplained(unseen, accepted, diedAt, 2), null);
  assert.match(unexplained(unseen, accepted, diedAt, 1) ?? '', /of 2 nobody knows whose they were, not 1 at most/);
});

test('the client of a failure is known by its ports, before an answer and in a handshake, too', async () => {
  const seen: string[] = [];
  const silent = await scripted((socket) => {
    seen.push(`${socket.remotePort}>${socket.localPort}`);
    socket.destroy();
  });
  const https = { ...silent, ca: '' } as NonNullable<LoadTarget['https']>;
  const clients = [
    freshConnections(),
    freshConnections({ door: 'https' }),
    nodeHttp2Streams(1),
    ourHttp2Streams(1),
    webSockets(1),
    downloads({ bytes: 1 }),
  ];
  const { failures } = await tallyOf({ http: silent, https }, clients, 60);
  const unknown = failures.filter(({ ports }) => ports === null || !seen.includes(ports));
  assert.deepEqual([...new Set(unknown.map(({ kind, reason }) => `${kind}: ${reason}`))], []);
  assert.deepEqual([...new Set(failures.map(({ kind }) => kind))].toSorted(), [
    'fast download http',
    'fresh http',
    'fresh https',
    'http2 node',
    'http2 ours',
    'websocket',
  ]);
});

test('clients that were never answered are named', () => {
  const tally = new Tally();
  for (const kind of ['fresh http', 'fresh unix', 'kept http', 'kept https', 'http2 ours', 'http2 node', 'websocket']) tally.answer(kind);
  for (const kind of ['fast download http', 'slow download http', 'slow download https']) tally.answer(kind);
  tally.send('fresh https');
  assert.equal(unanswered(tally, false), 'none was of fresh https');
  tally.answer('fresh https');
  assert.equal(unanswered(tally, false), null);
  assert.equal(unanswered(tally, true), 'none was of tcp, udp');
});

test('growth of threads, descriptors, heap or memory is seen, and noise is not', () => {
  const own = figuresOf(process.pid);
  assert.ok(own !== null && own.threads > 1 && own.descriptors > 2 && own.residentBytes > 1e6 && own.processorMs > 0);
  assert.equal(figuresOf(0), null);
  const before = { ...own, heapBytes: 1e7 };
  assert.equal(growth(before, before), null);
  assert.equal(growth(before, { ...before, heapBytes: 1.1e7, descriptors: before.descriptors + 1 }), null);
  assert.match(growth(before, { ...before, threads: before.threads + 2 }) ?? '', /more threads/);
  assert.match(growth(before, { ...before, descriptors: before.descriptors + 4 }) ?? '', /more descriptors/);
  assert.match(growth(before, { ...before, heapBytes: 1.6e7 }) ?? '', /more heap/);
  assert.match(growth(before, { ...before, residentBytes: before.residentBytes + 1e8 }) ?? '', /more memory/);
});

/** A process with one worker, as servers have them, which listens and says where. */
const IDLE_SERVER = `
  import { Worker } from 'node:worker_threads';
  const code = 'import { createServer } from "node:net"; createServer((socket) => socket.resume()).listen(0, "127.0.0.1", function () { console.log(this.address().port) })';
  new Worker(code, { eval: true, workerData: { ferrataService: { worker: 1 } } });
`;

test('what the saboteur is told it does: connections that are accepted are noted, a worker is blocked until it is released, heaps are measured in all threads, and one that is to die dies', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-saboteur-'));
  writeFileSync(join(folder, 'accepted'), '');
  const saboteur = new URL('../lifecycle/saboteur.ts', import.meta.url).href;
  const child = spawn(process.execPath, ['--import', saboteur, '--input-type=module', '--eval', IDLE_SERVER], {
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, LIFECYCLE_SABOTAGE: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  after(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  let port = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (port += text));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'close');
  const lines = (file: string, of: string): readonly string[] =>
    existsSync(join(folder, file))
      ? readFileSync(join(folder, file), 'utf8')
          .split('\n')
          .filter((line) => line.startsWith(of))
      : [];
  const until = async (isSo: () => boolean): Promise<void> => {
    for (const end = performance.now() + 30_000; !isSo(); await delay(10)) assert.ok(performance.now() < end, said);
  };
  await until(() => port !== '');
  const client = connect(Number(port), '127.0.0.1').on('error', () => undefined);
  await once(client, 'connect');
  const own = `${client.localPort}>${client.remotePort}`;
  await until(() => lines('accepted', `${own} ${child.pid}.1.`).length === 1);
  writeFileSync(join(folder, 'worker'), 'block');
  await until(() => lines('done', `${child.pid}.1.`).length === 1);
  writeFileSync(join(folder, 'measure'), 'first');
  await until(() => lines('measured', 'first').length > 0);
  assert.match(lines('measured', 'first').join(';'), /^first \d+ 0 \d{6,}$/);
  writeFileSync(join(folder, 'release'), '');
  // The worker turns again, and makes up for it.
  await until(() => lines('measured', 'first').length === 2);
  assert.match(lines('measured', 'first')[1] ?? '', /^first \d+ 1 \d{6,}$/);
  writeFileSync(join(folder, 'worker'), 'die');
  assert.equal((await ended)[0], 1);
  assert.match(said, /sabotaged/);
});

test('figures stand in columns', () => {
  const line = { scenario: 'a', target: 'b', sent: 1, failed: 0, cut: 0, retried: 0, slowestMs: 2, seconds: 3, more: 'x' };
  const [head, first, second] = figureTable([line, { ...line, scenario: 'long name', sent: 1_000_000 }]).split('\n');
  assert.equal(head?.indexOf('server'), second?.indexOf('b '));
  assert.equal(first?.indexOf('b '), second?.indexOf('b '));
});

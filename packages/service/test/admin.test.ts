import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import type { StreamAddress } from '@ferrata/stream';
import fc from 'fast-check';
import type { ServiceCounts } from '../src/service.ts';
import { type AdminEndpoint, openAdminEndpoint } from '../src/supervisor/admin.ts';
import type { AdminOutcome, AdminStatus, AdminTarget, AdminWorker } from '../src/supervisor/admin-target.ts';

/** A server that does what it is told. */
class ScriptedTarget implements AdminTarget {
  current: AdminStatus = { phase: 'running', ready: true, healthy: true, generation: 2, configVersion: 7 };
  answers: AdminOutcome[] = [];
  pending: PromiseWithResolvers<AdminOutcome> | null = null;
  readonly asked: string[] = [];
  list: () => Promise<readonly AdminWorker[]> = async () => [];
  inMain: Readonly<Record<string, ServiceCounts>> = {};

  status(): AdminStatus {
    return this.current;
  }

  async workers(): Promise<readonly AdminWorker[]> {
    return this.list();
  }

  main(): Readonly<Record<string, ServiceCounts>> {
    return this.inMain;
  }

  async reload(): Promise<AdminOutcome> {
    return this.#do('reload');
  }

  async drain(): Promise<AdminOutcome> {
    return this.#do('drain');
  }

  async upgrade(): Promise<AdminOutcome> {
    return this.#do('upgrade');
  }

  async #do(what: string): Promise<AdminOutcome> {
    this.asked.push(what);
    if (this.pending !== null) return this.pending.promise;
    const answer = this.answers.shift();
    if (answer === undefined) throw new Error('no answer was scripted');
    return answer;
  }
}

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  readonly json: unknown;
}

async function open(target: AdminTarget, environment?: HttpEnvironment): Promise<AdminEndpoint> {
  const listen = { address: '127.0.0.1:0' };
  const address = { kind: 'ip', host: '127.0.0.1', port: 0 } as const;
  return openAdminEndpoint({ listen, fd: null, address }, target, environment === undefined ? {} : { environment });
}

/** Sends bytes, and reads until the other side closes. */
async function exchange(address: StreamAddress, bytes: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  assert.notEqual(address.kind, 'unset');
  const socket = address.kind === 'unix' ? connect(address.path) : connect((address as { port: number }).port, '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => (text += chunk));
  socket.on('error', reject);
  socket.on('close', () => resolve(text));
  socket.write(bytes, 'latin1');
  const whole = await promise;
  const end = whole.indexOf('\r\n\r\n');
  const body = whole.slice(end + 4);
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(whole)?.[1] ?? 0),
    head: whole.slice(0, end),
    body,
    json: body === '' ? null : parse(body),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return `no JSON: ${text}`;
  }
}

async function ask(endpoint: AdminEndpoint, line: string, fields: readonly string[] = [], body = ''): Promise<Answer> {
  const lines = [`${line} HTTP/1.1`, ...(fields.some((field) => /^host:/i.test(field)) ? [] : ['Host: localhost']), ...fields];
  return exchange(endpoint.address, `${lines.join('\r\n')}\r\n\r\n${body}`);
}

const json = 'Content-Type: application/json';

describe('what the admin endpoint tells', () => {
  test('health, readiness and phase come without asking a worker, with a status that a probe understands', async () => {
    const target = new ScriptedTarget();
    target.list = () => new Promise(() => {});
    await using endpoint = await open(target);
    const healthy = await ask(endpoint, 'GET /health');
    assert.deepEqual([healthy.status, healthy.json], [200, { healthy: true }]);
    assert.match(healthy.head, /content-type: application\/json\r\n/i);
    assert.match(healthy.head, /cache-control: no-store/i);
    assert.match(healthy.head, /connection: close/i);
    assert.deepEqual((await ask(endpoint, 'GET /phase')).json, {
      phase: 'running',
      generation: 2,
      configVersion: 7,
      pid: process.pid,
      node: process.version,
    });
    target.current = { ...target.current, phase: 'gracefulTerminate', ready: false, healthy: false };
    const ready = await ask(endpoint, 'GET /ready');
    assert.deepEqual([ready.status, ready.json], [503, { ready: false, phase: 'gracefulTerminate' }]);
    assert.equal((await ask(endpoint, 'GET /health')).status, 503);
  });

  test('HEAD is GET without its body', async () => {
    await using endpoint = await open(new ScriptedTarget());
    const head = await ask(endpoint, 'HEAD /health');
    assert.deepEqual([head.status, head.body], [200, '']);
    assert.match(head.head, /content-length: 17/i);
  });

  test('connections are the sums of the main thread and of those workers that have answered', async () => {
    const target = new ScriptedTarget();
    const worker = { state: 'running', restarts: 0, blockedMs: 0, heapUsedBytes: 5 } as const;
    const web = { connections: 2, accepted: 10, shed: 1 };
    target.list = async () => [
      { ...worker, worker: 1, services: { web, ['__proto__']: web } },
      { ...worker, worker: 2, services: { web } },
      { ...worker, worker: 3, state: 'blocked', blockedMs: 900, heapUsedBytes: null, services: null },
    ];
    target.inMain = { figures: { connections: 1, accepted: 4, shed: 0 } };
    await using endpoint = await open(target);
    const { status, json: told } = await ask(endpoint, 'GET /connections');
    assert.equal(status, 200);
    const { services } = told as { services: { web: unknown; figures: unknown } };
    assert.deepEqual(services.web, { connections: 4, accepted: 20, shed: 2, workers: 2 });
    assert.deepEqual(services.figures, { connections: 1, accepted: 4, shed: 0, workers: 0 });
    const { workers, main } = (await ask(endpoint, 'GET /workers')).json as { workers: readonly AdminWorker[]; main: unknown };
    assert.deepEqual(main, { services: target.inMain });
    assert.deepEqual(
      workers.map(({ worker: number, state, services }) => [number, state, services === null]),
      [
        [1, 'running', false],
        [2, 'running', false],
        [3, 'blocked', true],
      ],
    );
  });

  test('a target that throws, rejects, or gives nonsense is a 500, and the endpoint goes on', async () => {
    const target = new ScriptedTarget();
    target.list = () => Promise.reject(new Error('no list'));
    await using endpoint = await open(target);
    const failed = await ask(endpoint, 'GET /workers');
    assert.deepEqual([failed.status, failed.json], [500, { error: 'no list' }]);
    target.list = () => Promise.resolve(null as unknown as AdminWorker[]);
    assert.equal((await ask(endpoint, 'GET /connections')).status, 500);
    const acted = await ask(endpoint, 'POST /reload', [json]);
    assert.deepEqual([acted.status, acted.json], [500, { outcome: 'failed', why: 'no answer was scripted' }]);
    target.answers.push({ outcome: 'dance' } as unknown as AdminOutcome);
    assert.equal((await ask(endpoint, 'POST /reload', [json])).status, 500);
    target.answers.push(null as unknown as AdminOutcome);
    assert.equal((await ask(endpoint, 'POST /reload', [json])).status, 500);
    assert.equal((await ask(endpoint, 'GET /health')).status, 200);
  });
});

describe('what the admin endpoint has done', () => {
  test('the answer to a POST has what became of it, and a status by which a script can tell', async () => {
    const target = new ScriptedTarget();
    await using endpoint = await open(target);
    const outcomes: readonly (readonly [AdminOutcome, number])[] = [
      [{ outcome: 'reloaded', version: 8, changes: ['hosts[1]: "a" → "b"'] }, 200],
      [{ outcome: 'unchanged', version: 8 }, 200],
      [{ outcome: 'replaced' }, 200],
      [{ outcome: 'drained', cut: 0 }, 200],
      [{ outcome: 'refused', why: 'site.yaml:3: no such key' }, 422],
      [{ outcome: 'busy', why: 'the server is stopping' }, 409],
      [{ outcome: 'failed', why: 'the successor ended with code 1' }, 500],
    ];
    for (const [outcome, status] of outcomes) {
      target.answers.push(outcome);
      const got = await ask(endpoint, 'POST /reload', [json, 'Content-Length: 2'], '{}');
      assert.deepEqual([got.status, got.json], [status, outcome]);
    }
    target.answers.push({ outcome: 'replaced' }, { outcome: 'drained', cut: 3 });
    await ask(endpoint, 'POST /upgrade', [json]);
    await ask(endpoint, 'POST /drain', ['Content-Type: application/json; charset=utf-8']);
    assert.deepEqual(target.asked.slice(-2), ['upgrade', 'drain']);
  });

  test('the answer comes when the thing is done; a second one meanwhile is a 409, but for a drain', async () => {
    const target = new ScriptedTarget();
    target.pending = Promise.withResolvers<AdminOutcome>();
    const begun = target.pending;
    await using endpoint = await open(target);
    const first = ask(endpoint, 'POST /upgrade', [json]);
    while (target.asked.length === 0) await ask(endpoint, 'GET /health');
    const second = await ask(endpoint, 'POST /reload', [json]);
    assert.deepEqual([second.status, second.json], [409, { outcome: 'busy', why: 'upgrade is under way' }]);
    target.pending = null;
    target.answers.push({ outcome: 'drained', cut: 0 });
    assert.equal((await ask(endpoint, 'POST /drain', [json])).status, 200);
    begun.resolve({ outcome: 'replaced' });
    assert.deepEqual((await first).json, { outcome: 'replaced' });
    target.answers.push({ outcome: 'unchanged', version: 1 });
    assert.equal((await ask(endpoint, 'POST /reload', [json])).status, 200);
  });

  test('a client that leaves changes nothing: what it began goes on, and its end makes room', async () => {
    const target = new ScriptedTarget();
    target.pending = Promise.withResolvers<AdminOutcome>();
    await using endpoint = await open(target);
    const socket = connect((endpoint.address as { port: number }).port, '127.0.0.1');
    socket.write(`POST /reload HTTP/1.1\r\nHost: localhost\r\n${json}\r\n\r\n`);
    while (target.asked.length === 0) await ask(endpoint, 'GET /health');
    socket.destroy();
    assert.equal((await ask(endpoint, 'POST /reload', [json])).status, 409);
    target.pending.resolve({ outcome: 'unchanged', version: 1 });
    target.pending = null;
    target.answers.push({ outcome: 'unchanged', version: 2 });
    assert.deepEqual((await ask(endpoint, 'POST /reload', [json])).json, { outcome: 'unchanged', version: 2 });
  });

  test('what takes too long is answered 504, and still is in the way of the next', async () => {
    const clock = new ManualClock();
    const target = new ScriptedTarget();
    target.pending = Promise.withResolvers<AdminOutcome>();
    await using endpoint = await open(target, new HttpEnvironment({ clock }));
    const first = ask(endpoint, 'POST /reload', [json]);
    while (target.asked.length === 0) await ask(endpoint, 'GET /health');
    clock.advance(3_600_000);
    const late = await first;
    assert.deepEqual([late.status, late.json], [504, { outcome: 'pending', why: 'the reload is still under way' }]);
    assert.equal((await ask(endpoint, 'POST /reload', [json])).status, 409);
    target.pending.resolve({ outcome: 'unchanged', version: 1 });
  });

  test('a client that waits for 100 gets it, and a body in chunks is a body', async () => {
    const target = new ScriptedTarget();
    target.answers.push({ outcome: 'unchanged', version: 1 }, { outcome: 'unchanged', version: 1 });
    await using endpoint = await open(target);
    const whole = await ask(endpoint, 'POST /reload', [json, 'Expect: 100-continue', 'Content-Length: 2'], '{}');
    assert.equal(whole.status, 100);
    assert.match(whole.body, /^HTTP\/1\.1 200 /);
    const chunked = await ask(endpoint, 'POST /reload', [json, 'Transfer-Encoding: chunked'], '1\r\n{\r\n1\r\n}\r\n0\r\n\r\n');
    assert.equal(chunked.status, 200);
  });
});

describe('what the admin endpoint refuses', () => {
  const refusals: readonly (readonly [name: string, line: string, fields: readonly string[], status: number, body?: string])[] = [
    ['another path', 'GET /', [], 404],
    ['a path with a query', 'GET /health?x=1', [], 404],
    ['a path that only begins so', 'GET /healthy', [], 404],
    ['an absolute target', 'GET http://localhost/health', [], 404],
    ['the name of something that every object has', 'GET /constructor', [], 404],
    ['GET of what is done by POST', 'GET /reload', [], 405],
    ['POST of what is asked by GET', 'POST /health', [json], 405],
    ['OPTIONS, by which a browser asks whether it may', 'OPTIONS /reload', [], 405],
    ['CONNECT', 'CONNECT localhost:80', ['Host: localhost:80'], 404],
    ['a rebound name', 'GET /health', ['Host: evil.example'], 403],
    ['a rebound name with our port', 'GET /health', ['Host: evil.example:8080'], 403],
    ['a name that begins as an address of loopback', 'GET /health', ['Host: 127.0.0.1.evil.example'], 403],
    ['another address', 'GET /health', ['Host: 192.0.2.1'], 403],
    ['the address that means all addresses', 'GET /health', ['Host: 0.0.0.0'], 403],
    ['any Origin, also of this machine', 'GET /health', ['Origin: http://localhost'], 403],
    ['an Origin in small letters', 'GET /health', ['origin: null'], 403],
    ['what browsers say by themselves', 'GET /health', ['Sec-Fetch-Site: none'], 403],
    ['what browsers say of images', 'GET /health', ['sec-fetch-mode: no-cors'], 403],
    ['a POST as a form can make it', 'POST /drain', ['Content-Type: text/plain', 'Content-Length: 2'], 415, '{}'],
    ['a POST that only contains the type', 'POST /drain', ['Content-Type: text/plain; application/json'], 415],
    ['a POST without a type', 'POST /drain', [], 415],
    ['two types', 'POST /drain', [json, json], 415],
    ['a body that is too long', 'POST /drain', [json, 'Content-Length: 1025'], 413],
    [
      'a body that turns out too long',
      'POST /drain',
      [json, 'Transfer-Encoding: chunked'],
      413,
      `401\r\n${' '.repeat(1_025)}\r\n0\r\n\r\n`,
    ],
    ['a body that is no JSON', 'POST /drain', [json, 'Content-Length: 1'], 400, '{'],
    ['a body that is no UTF-8', 'POST /drain', [json, 'Content-Length: 1'], 400, '\u00ff'],
    ['a body that asks for something', 'POST /drain', [json, 'Content-Length: 14'], 400, '{"graceMs":10}'],
    ['a body that is a list', 'POST /drain', [json, 'Content-Length: 2'], 400, '[]'],
    ['a body where none belongs', 'GET /health', ['Content-Length: 2'], 400, '{}'],
  ];
  for (const [name, line, fields, status, body] of refusals) {
    test(`${name}: ${status}, as JSON`, async () => {
      const target = new ScriptedTarget();
      await using endpoint = await open(target);
      const got = await ask(endpoint, line, fields, body ?? '');
      assert.equal(got.status, status);
      assert.equal(typeof (got.json as { error: unknown }).error, 'string');
      assert.deepEqual(target.asked, []);
      if (status === 405) assert.match(got.head, /\r\nallow: /i);
    });
  }

  test('names and addresses of loopback are taken, with and without a port', async () => {
    await using endpoint = await open(new ScriptedTarget());
    for (const host of ['localhost', 'LOCALHOST:80', '127.0.0.1', '127.8.9.1:1', '[::1]', '[::1]:8080', '[::ffff:127.0.0.1]:1'])
      assert.equal((await ask(endpoint, 'GET /health', [`Host: ${host}`])).status, 200, host);
  });

  test('a head that is too large is refused without reaching anybody', async () => {
    await using endpoint = await open(new ScriptedTarget());
    assert.equal((await ask(endpoint, 'GET /health', [`X: ${'x'.repeat(9_000)}`])).status, 431);
    assert.equal((await ask(endpoint, `GET /${'x'.repeat(300)}`)).status, 414);
  });

  test('a seventeenth connection finds no place while sixteen are busy', async () => {
    const target = new ScriptedTarget();
    const list = Promise.withResolvers<readonly AdminWorker[]>();
    const allAsked = Promise.withResolvers<void>();
    let count = 0;
    target.list = () => {
      count += 1;
      if (count === 16) allAsked.resolve();
      return list.promise;
    };
    await using endpoint = await open(target);
    const busy = Array.from({ length: 16 }, async () => ask(endpoint, 'GET /workers'));
    await allAsked.promise;
    const refused = await ask(endpoint, 'GET /health').catch(() => null);
    assert.ok(refused === null || refused.status === 0);
    list.resolve([]);
    for (const { status } of await Promise.all(busy)) assert.equal(status, 200);
    // The server may hear a little later than the clients that those connections are over.
    let later: Answer | null = null;
    for (let tries = 0; tries < 1_000 && later === null; tries++) later = await ask(endpoint, 'GET /health').catch(() => null);
    assert.equal(later?.status, 200);
  });

  test('a head that does not come to its end is waited for five seconds', async () => {
    const clock = new ManualClock();
    await using endpoint = await open(new ScriptedTarget(), new HttpEnvironment({ clock }));
    const slow = exchange(endpoint.address, 'GET /hea').finally(() => (isOver = true));
    let isOver = false;
    for (let turns = 0; turns < 1_000 && !isOver; turns++) {
      clock.advance(1_000);
      await ask(endpoint, 'GET /health');
    }
    assert.equal((await slow).status, 408);
  });

  test('one request a connection: what is pipelined behind it is not done', async () => {
    const target = new ScriptedTarget();
    target.answers.push({ outcome: 'unchanged', version: 1 }, { outcome: 'unchanged', version: 1 });
    await using endpoint = await open(target);
    const request = `POST /reload HTTP/1.1\r\nHost: localhost\r\n${json}\r\n\r\n`;
    const { status, body } = await exchange(endpoint.address, request + request);
    assert.equal(status, 200);
    assert.doesNotMatch(body, /HTTP\/1\.1/);
    assert.deepEqual(target.asked, ['reload']);
  });

  test('whatever bytes come, nothing is done that was not asked for, and the endpoint goes on', async () => {
    const target = new ScriptedTarget();
    await using endpoint = await open(target);
    const piece = fc.constantFrom(
      'POST',
      ' /drain',
      ' HTTP/1.1',
      '\r\n',
      'Host: localhost',
      'Content-Length: 2',
      json,
      'Transfer-Encoding: chunked',
      '{}',
      'PRI * HTTP/2.0',
      '\0',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(piece, fc.string()), { maxLength: 12 }), async (pieces) => {
        // The empty line at the end lets no head wait for the rest of it.
        const text = `X${pieces.join('')}\r\n\r\n\r\n\r\n`;
        const { status } = await exchange(endpoint.address, text).catch(() => ({ status: 0 }));
        assert.notEqual(status, 200);
      }),
      { numRuns: 60 },
    );
    assert.deepEqual(target.asked, []);
    let later: Answer | null = null;
    for (let tries = 0; tries < 1_000 && later === null; tries++) later = await ask(endpoint, 'GET /health').catch(() => null);
    assert.equal(later?.status, 200);
  });

  test('addresses that others can reach are refused before anything listens', async () => {
    const target = new ScriptedTarget();
    for (const host of ['0.0.0.0', '::', '192.0.2.1', '::ffff:192.0.2.1'])
      await assert.rejects(
        openAdminEndpoint({ listen: { address: { host, port: 0 } }, fd: null, address: { kind: 'ip', host, port: 1 } }, target),
        RangeError,
        host,
      );
  });
});

test('a Unix socket is served, and its file is for its owner alone', {
  skip: process.platform === 'win32' && 'no Unix sockets',
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-admin-'));
  try {
    const path = join(folder, 'admin.sock');
    const socket = { listen: { address: { path }, mode: 0o600 }, fd: null, address: { kind: 'unix', path } } as const;
    await using endpoint = await openAdminEndpoint(socket, new ScriptedTarget());
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal((await ask(endpoint, 'GET /ready')).status, 200);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('closing lets an answer go out, and cuts who does not end', async () => {
  const target = new ScriptedTarget();
  target.pending = Promise.withResolvers<AdminOutcome>();
  const endpoint = await open(target);
  const first = ask(endpoint, 'POST /drain', [json]);
  while (target.asked.length === 0) await ask(endpoint, 'GET /health');
  const closing = endpoint.close(10_000);
  target.pending.resolve({ outcome: 'drained', cut: 0 });
  assert.deepEqual((await first).json, { outcome: 'drained', cut: 0 });
  await closing;
});

/** Where a balanced proxy sends its requests, and what it holds against backends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectError, ioError, tlsError } from '@ferrata/error';
import { headerKey, ketama, LoadBalancer, StickyCookie } from '@ferrata/load-balancing';
import { BalancePlan, balance, connectionCounter, isBackendFault } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { get, ok, readResponse, settle, type Wire, when } from '../rig.ts';
import { BalanceRig, type Name, saying, status } from './rig.ts';

const reset = (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.reset());
const post = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab';

function withCookie(cookie: string): string {
  return `GET / HTTP/1.1\r\nHost: h\r\nCookie: ${cookie}\r\n\r\n`;
}

async function bodies(rig: BalanceRig, text: string, count: number): Promise<readonly string[]> {
  const found: string[] = [];
  for (let turn = 0; turn < count; turn++) {
    const client = await rig.begin(text);
    found.push(readResponse(client.text).body);
    client.reset();
  }
  return found;
}

function sayTheirNames(rig: BalanceRig): void {
  for (const name of ['a', 'b', 'c'] satisfies Name[]) rig.scripts[name] = saying(name);
}

describe('where requests go', () => {
  test('they take turns, and each is counted as a success', async () => {
    const rig = new BalanceRig();
    sayTheirNames(rig);
    assert.deepEqual((await bodies(rig, get, 6)).toSorted(), ['a', 'a', 'b', 'b', 'c', 'c']);
    assert.deepEqual(rig.tally(), { a: '2/0', b: '2/0', c: '2/0' });
    await rig.finish();
  });

  test('the same key goes to the same backend, and another one when that is gone', async () => {
    const rig = new BalanceRig({ balancer: { algorithm: ketama() }, balance: { key: headerKey('X-User') } });
    sayTheirNames(rig);
    const text = 'GET / HTTP/1.1\r\nHost: h\r\nX-User: ada\r\n\r\n';
    const [first = ''] = await bodies(rig, text, 1);
    assert.deepEqual(
      await bodies(rig, text, 5),
      Array.from({ length: 5 }, () => first),
    );
    rig.balancer.drain(rig.backend(first));
    const [second = ''] = await bodies(rig, text, 1);
    assert.notEqual(second, first);
    await rig.finish();
  });

  test('only backends of a subset that the request asks for', async () => {
    const backends = [
      { name: 'a', address: '10.0.0.1:80', metadata: { kind: 'old' } },
      { name: 'b', address: '10.0.0.2:80', metadata: { kind: 'new' } },
    ];
    const wanted = ({ request }: { readonly request: { readonly target: string } }): { kind: string } | null =>
      request.target === '/new' ? { kind: 'new' } : null;
    const rig = new BalanceRig({ balancer: { backends }, balance: { subset: wanted } });
    sayTheirNames(rig);
    assert.deepEqual(await bodies(rig, 'GET /new HTTP/1.1\r\nHost: h\r\n\r\n', 3), ['b', 'b', 'b']);
    assert.deepEqual((await bodies(rig, get, 2)).toSorted(), ['a', 'b']);
    await rig.finish();
  });

  test('an extension that is a peer is the peer', async () => {
    const own = peer('10.0.0.2:80');
    const rig = new BalanceRig({ balancer: { backends: [{ name: 'elsewhere', address: '10.0.0.1:80', extension: own }] } });
    sayTheirNames(rig);
    assert.deepEqual(await bodies(rig, get, 1), ['b']);
    await rig.finish();
  });

  test('a backend whose weight is another keeps its peer', () => {
    const balancer = new LoadBalancer({ backends: ['10.0.0.1:80'].map((address) => ({ address })) });
    const { peerOf } = new BalancePlan(balancer);
    const before = peerOf(balancer.backends[0] as (typeof balancer.backends)[0]);
    balancer.update([{ address: '10.0.0.1:80', weight: 7 }]);
    assert.equal(peerOf(balancer.backends[0] as (typeof balancer.backends)[0]), before);
    balancer.close();
  });

  test('upstreamPeer cannot be given beside a balancer, nor options that are no functions', () => {
    using balancer = new LoadBalancer();
    assert.throws(() => balance(balancer, {}, { upstreamPeer: () => peer('10.0.0.1:80') } as object), TypeError);
    assert.throws(() => balance(balancer, { key: 'ip' } as object), /key must be a function/);
    assert.throws(() => balance(balancer, {}, { requestFilter: 1 } as object), /requestFilter must be a function/);
  });
});

describe('another try', () => {
  test('goes to a backend that the request has not been to', async () => {
    for (const script of ['refuse', reset] as const) {
      const rig = new BalanceRig({ proxy: { maxRetries: 2 } });
      rig.scripts['a'] = script;
      rig.scripts['b'] = script;
      rig.scripts['c'] = saying('c');
      assert.deepEqual(await bodies(rig, get, 3), ['c', 'c', 'c']);
      const { a, b } = rig.tally();
      assert.match(`${a} ${b}`, /^0\/[1-3] 0\/[1-3]$/);
      await rig.finish();
    }
  });

  test('goes to one of them again when there is no other', async () => {
    const rig = new BalanceRig({ balancer: { backends: [{ name: 'a', address: '10.0.0.1:80' }] } });
    let connections = 0;
    rig.scripts['a'] = (wire) => (connections++ === 0 ? reset(wire) : saying('a')(wire));
    assert.deepEqual(await bodies(rig, get, 1), ['a']);
    await rig.finish();
  });

  test('of a request that cannot be sent twice is not made: the backend that lost it is told of', async () => {
    const rig = new BalanceRig({ proxy: { maxRetries: 2 } });
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = reset;
    assert.equal(await rig.ask(post), 502);
    assert.deepEqual(Object.values(rig.tally()).toSorted(), ['0/0', '0/0', '0/1']);
    await rig.finish();
  });

  test('with all away, the client is told why the last one was', async () => {
    const rig = new BalanceRig({ proxy: { maxRetries: 2 } });
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = 'refuse';
    assert.equal(await rig.ask(), 502);
    assert.equal(rig.logged[0]?.error?.reason, 'CONNECT_REFUSED');
    assert.deepEqual(rig.tally(), { a: '0/1', b: '0/1', c: '0/1' });
    await rig.finish();
  });

  test('is made while breaker.maxRetries allows, and each is given back', async () => {
    const rig = new BalanceRig({ balancer: { breaker: { maxRetries: 1 } } });
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = 'refuse';
    assert.ok(rig.balancer.tryRetry());
    assert.equal(await rig.ask(), 502);
    assert.equal(rig.logged[0]?.session.attempt, 2, 'it was asked for, and not made');
    assert.equal(Object.values(rig.tally()).filter((tally) => tally === '0/1').length, 1);
    rig.balancer.endRetry();
    rig.scripts['a'] = saying('a');
    rig.scripts['b'] = saying('b');
    rig.scripts['c'] = saying('c');
    assert.equal(await rig.ask(), 200);
    await rig.finish();
  });

  test('after a place was lost before anything was sent may go to the same backend', async () => {
    const filtered = Promise.withResolvers<void>();
    const rig = new BalanceRig({
      balancer: { algorithm: ketama() },
      balance: { key: () => 'k' },
      own: { upstreamRequestFilter: (session) => (session.attempt === 1 ? filtered.promise : undefined) },
    });
    sayTheirNames(rig);
    const client = await rig.begin();
    const [name = ''] = Object.keys(rig.wires);
    rig.wires[name]?.[0]?.reset();
    await settle();
    filtered.resolve();
    await settle();
    assert.equal(readResponse(client.text).body, name);
    assert.deepEqual(rig.tally()[name], '1/0');
    await rig.finish();
  });
});

describe('no backend', () => {
  test('none at all, and none that is ready, are 503', async () => {
    for (const reason of ['NO_BACKENDS', 'NO_BACKEND_READY']) {
      const rig = new BalanceRig(reason === 'NO_BACKENDS' ? { balancer: { backends: [] } } : {});
      for (const backend of rig.balancer.backends) rig.balancer.setHealthy(backend, false, { reason: 'a test says so' } as never);
      assert.equal(await rig.ask(), 503);
      assert.equal(rig.logged[0]?.error?.reason, reason);
      await rig.finish();
    }
  });

  test('all with as many requests as they may have is 503, and the next one finds a place', async () => {
    const rig = new BalanceRig({ balancer: { breaker: { maxRequests: 1 } } });
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = (): void => {};
    const clients = [await rig.begin(), await rig.begin(), await rig.begin()];
    assert.deepEqual(rig.inflight(), [1, 1, 1]);
    assert.equal(await rig.ask(), 503);
    assert.equal(rig.logged.at(-1)?.error?.reason, 'BACKENDS_FULL');
    clients[0]?.reset();
    await settle();
    sayTheirNames(rig);
    for (const name of ['a', 'b', 'c']) rig.wires[name]?.at(-1)?.send(ok);
    assert.equal(await rig.ask(), 200);
    for (const client of clients) client.reset();
    await rig.finish();
  });

  test('breaker.maxPending bounds those without a connection alone', async () => {
    const rig = new BalanceRig({ balancer: { breaker: { maxPending: 1 } } });
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = (): void => {};
    const clients = [await rig.begin(), await rig.begin(), await rig.begin(), await rig.begin()];
    assert.equal(
      rig.inflight().reduce((sum, count) => sum + count),
      4,
      'all are connected',
    );
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = 'hang';
    clients.push(await rig.begin(), await rig.begin(), await rig.begin());
    assert.equal(await rig.ask(), 503);
    for (const client of clients) client.reset();
    await rig.finish();
  });

  test('breaker.maxConnections counts connections by the tracer of the usual peers', async () => {
    const rig = new BalanceRig({ balancer: { breaker: { maxConnections: 1 } } });
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = (): void => {};
    const clients = [await rig.begin(), await rig.begin(), await rig.begin()];
    const connections = (): readonly number[] => rig.balancer.backends.map((backend) => rig.balancer.stateOf(backend).connections);
    assert.deepEqual(connections(), [1, 1, 1]);
    assert.equal(await rig.ask(), 503);
    for (const client of clients) client.reset();
    await settle();
    assert.deepEqual(connections(), [0, 0, 0]);
    await rig.finish();
  });

  test('connectionCounter is a tracer for peers of the program’s own', () => {
    using balancer = new LoadBalancer({ backends: [{ address: '10.0.0.1:80' }] });
    const [backend] = balancer.backends;
    assert.ok(backend !== undefined);
    const { onConnected, onDisconnected } = connectionCounter(balancer, backend);
    onConnected?.({} as never);
    assert.equal(balancer.stateOf(backend).connections, 1);
    onDisconnected?.({} as never, null);
    assert.equal(balancer.stateOf(backend).connections, 0);
  });
});

describe('what is held against a backend', () => {
  test('502, 503 and 504 are, other answers are not', async () => {
    for (const [code, tally] of [
      [200, '1/0'],
      [404, '1/0'],
      [500, '1/0'],
      [502, '0/1'],
      [503, '0/1'],
      [504, '0/1'],
    ] as const) {
      const rig = new BalanceRig({ balancer: { backends: [{ name: 'a', address: '10.0.0.1:80' }] } });
      rig.scripts['a'] = status(code);
      assert.equal(await rig.ask(), code);
      assert.deepEqual(rig.tally(), { a: tally }, String(code));
      await rig.finish();
    }
  });

  test('isFailure and isFault decide otherwise', async () => {
    const rig = new BalanceRig({
      balancer: { backends: [{ name: 'a', address: '10.0.0.1:80' }] },
      balance: { isFailure: (code) => code === 404, isFault: (_error, phase) => phase === 'connected' },
    });
    rig.scripts['a'] = status(404);
    await rig.ask();
    rig.scripts['a'] = 'refuse';
    rig.wires['a']?.[0]?.reset();
    await rig.ask();
    assert.deepEqual(rig.tally(), { a: '0/1' });
    await rig.finish();
  });

  test('a client that goes while it waits says nothing of the backend', async () => {
    const rig = new BalanceRig();
    for (const name of ['a', 'b', 'c']) rig.scripts[name] = (): void => {};
    (await rig.begin()).reset();
    await settle();
    assert.deepEqual(rig.tally(), { a: '0/0', b: '0/0', c: '0/0' });
    await rig.finish();
  });

  test('a request that is not answered in time is', async () => {
    for (const proxy of [{ requestTimeoutMs: 1_000 }, { perTryTimeoutMs: 1_000, maxRetries: 0 }]) {
      const rig = new BalanceRig({ proxy, balancer: { backends: [{ name: 'a', address: '10.0.0.1:80' }] } });
      rig.scripts['a'] = (): void => {};
      const client = await rig.begin();
      await rig.pass(1_000);
      assert.equal(readResponse(client.text).status, 504);
      assert.deepEqual(rig.tally(), { a: '0/1' });
      await rig.finish();
    }
  });

  test('what this program lacks, what the client did, and requests that were refused unread are not', () => {
    const fault = { source: 'upstream', retry: 'ifReused' } as const;
    assert.equal(isBackendFault(ioError('CONNECTION_RESET', 'gone', fault), 'connected'), true);
    assert.equal(isBackendFault(ioError('GOAWAY', 'refused unread', { ...fault, retry: 'always' }), 'connected'), false);
    assert.equal(isBackendFault(ioError('CLIENT', 'gone', { ...fault, source: 'downstream' }), 'connected'), false);
    assert.equal(isBackendFault(ioError('OURS', 'no memory', { ...fault, fault: 'local' }), 'connected'), false);
    assert.equal(isBackendFault(connectError('CONNECT_REFUSED', 'refused', { retry: 'always' }), 'connecting'), true);
    assert.equal(isBackendFault(tlsError('TLS_CERT_UNTRUSTED', 'who is that', { retry: 'never' }), 'connecting'), true);
    assert.equal(isBackendFault(connectError('DESCRIPTORS_EXHAUSTED', 'none left', { retry: 'never' }), 'connecting'), false);
  });

  test('passive health puts a backend out after so many failures in a row, and lets it back', async () => {
    const rig = new BalanceRig({
      balancer: { outliers: { consecutiveFailures: 3, baseEjectionMs: 5_000, maxEjectionMs: 5_000 } },
      proxy: { maxRetries: 0 },
    });
    rig.balancer.start();
    sayTheirNames(rig);
    rig.scripts['b'] = status(503);
    const statuses: number[] = [];
    for (let turn = 0; turn < 30; turn++) statuses.push(await rig.ask());
    assert.equal(statuses.filter((code) => code === 503).length, 3);
    assert.equal(rig.balancer.isReady(rig.backend('b')), false);
    rig.scripts['b'] = saying('b');
    for (const wire of rig.wires['b'] ?? []) wire.reset();
    for (let passed = 0; passed < 5_500; passed += 250) await rig.pass(250);
    assert.equal(rig.balancer.isReady(rig.backend('b')), true);
    assert.ok((await bodies(rig, get, 3)).includes('b'));
    await rig.finish();
  });

  test('an answer that breaks off counts beside its good beginning', async () => {
    const half = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab';
    for (const [outliers, tally] of [
      [true, '1/1'],
      [false, '0/1'],
    ] as const) {
      const rig = new BalanceRig({ balancer: { outliers, backends: [{ name: 'a', address: '10.0.0.1:80' }] } });
      rig.scripts['a'] = (wire): void => when(wire, '\r\n\r\n', () => wire.send(half));
      const client = await rig.begin();
      rig.wires['a']?.[0]?.reset();
      await settle();
      assert.ok(client.isOver);
      assert.deepEqual(rig.tally(), { a: tally });
      await rig.finish();
    }
  });

  test('the latency is that of the try that has answered', async () => {
    for (const answering of [0, 1]) {
      const rig = new BalanceRig({ proxy: { hedgeAfterMs: 100 } });
      for (const name of ['a', 'b', 'c']) rig.scripts[name] = (): void => {};
      const client = await rig.begin();
      const first = Object.keys(rig.wires)[0] as string;
      await rig.pass(100);
      const second = Object.keys(rig.wires).find((name) => name !== first) as string;
      await rig.pass(20);
      const fast = [first, second][answering] as string;
      rig.wires[fast]?.[0]?.send(ok);
      await settle();
      assert.equal(readResponse(client.text).status, 200);
      const { latencyMs, succeeded } = rig.balancer.stateOf(rig.backend(fast));
      assert.deepEqual([Math.round(latencyMs), succeeded], [answering === 0 ? 120 : 20, 1]);
      assert.equal(rig.balancer.stateOf(rig.backend([second, first][answering] as string)).failed, 0);
      client.reset();
      await rig.finish();
    }
  });
});

test('how long answers take is not looked at where nobody wants it', async () => {
  const rig = new BalanceRig({
    balance: { measuresLatency: false },
    balancer: { backends: [{ name: 'a', address: '10.0.0.1:80' }] },
  });
  rig.scripts['a'] = (): void => {};
  const client = await rig.begin();
  await rig.pass(50);
  rig.wires['a']?.[0]?.send(ok);
  await settle();
  client.reset();
  await settle();
  const { latencyMs, succeeded } = rig.balancer.stateOf(rig.backend('a'));
  assert.deepEqual([latencyMs, succeeded], [0, 1]);
  await rig.finish();
});

describe('a sticky cookie', () => {
  const sticky = (): StickyCookie => new StickyCookie({ secrets: ['0123456789abcdef'], name: 'home' });
  const cookieOf = (text: string): string | undefined => /^set-cookie: (home=[^;]*)/im.exec(text)?.[1];

  test('is set once, and leads the client back', async () => {
    const rig = new BalanceRig({ balance: { sticky: sticky() } });
    sayTheirNames(rig);
    const first = await rig.begin();
    const home = readResponse(first.text).body;
    const cookie = cookieOf(first.text);
    assert.ok(cookie !== undefined);
    for (let turn = 0; turn < 5; turn++) {
      const again = await rig.begin(withCookie(cookie));
      assert.equal(readResponse(again.text).body, home);
      assert.equal(cookieOf(again.text), undefined, 'it says where the client is already');
    }
    await rig.finish();
  });

  test('of a backend that is not ready gives another one, and says so', async () => {
    const rig = new BalanceRig({ balance: { sticky: sticky() } });
    sayTheirNames(rig);
    const first = await rig.begin();
    const home = readResponse(first.text).body;
    rig.balancer.drain(rig.backend(home));
    const moved = await rig.begin(withCookie(cookieOf(first.text) ?? ''));
    assert.notEqual(readResponse(moved.text).body, home);
    const next = cookieOf(moved.text);
    assert.ok(next !== undefined);
    const back = await rig.begin(withCookie(next));
    assert.equal(readResponse(back.text).body, readResponse(moved.text).body);
    await rig.finish();
  });

  test('of a backend that refuses is left for a retry, which sets the next one', async () => {
    const rig = new BalanceRig({ balance: { sticky: sticky() } });
    sayTheirNames(rig);
    const first = await rig.begin();
    const home = readResponse(first.text).body;
    rig.scripts[home] = 'refuse';
    for (const wire of rig.wires[home] ?? []) wire.reset();
    await settle();
    const moved = await rig.begin(withCookie(cookieOf(first.text) ?? ''));
    assert.notEqual(readResponse(moved.text).body, home);
    assert.ok(cookieOf(moved.text) !== undefined);
    await rig.finish();
  });

  test('that nobody has signed counts for nothing', async () => {
    const rig = new BalanceRig({ balance: { sticky: sticky() } });
    const client = await rig.begin(withCookie(`home=${'A'.repeat(44)}`));
    assert.ok(cookieOf(client.text) !== undefined);
    await rig.finish();
  });
});

describe('hooks of the program', () => {
  test('are called behind ours with their own context, and as methods', async () => {
    const told: string[] = [];
    class Own {
      readonly name = 'own';
      newContext(): string[] {
        return [];
      }
      requestFilter(_session: unknown, context: string[]): boolean {
        context.push(`${this.name} requestFilter`);
        return false;
      }
      upstreamRequestFilter(_session: unknown, _request: unknown, context: string[]): void {
        context.push('upstreamRequestFilter');
      }
      failToConnect(_session: unknown, _peer: unknown, error: { readonly reason: string }, context: string[]): void {
        context.push(error.reason);
      }
      logging(_session: unknown, _error: unknown, context: string[]): void {
        told.push(...context);
      }
    }
    using balancer = new LoadBalancer({ backends: [{ address: '10.0.0.1:80' }] });
    const hooks = balance(balancer, {}, new Own());
    const context = hooks.newContext({} as never);
    hooks.requestFilter?.({} as never, context);
    hooks.upstreamRequestFilter?.({} as never, {} as never, context);
    const chosen = hooks.upstreamPeer({ refusedCount: 0 } as never, context);
    hooks.failToConnect?.(
      {} as never,
      chosen as never,
      { reason: 'WHY', fault: 'remote', retry: 'always', type: 'connect' } as never,
      context,
    );
    hooks.logging?.({ response: null } as never, null, context);
    assert.deepEqual(told, ['own requestFilter', 'upstreamRequestFilter', 'WHY']);
    assert.equal(hooks.responseFilter, undefined, 'what nobody needs is not there');
    assert.equal(hooks.connectedToUpstream, undefined);
    assert.equal(hooks.upstreamResponseFilter, undefined);
  });
});

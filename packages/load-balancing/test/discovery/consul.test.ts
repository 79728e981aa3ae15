/** `consulDiscovery` against a Consul that a test plays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { consulDiscovery } from '../../src/discovery/consul.ts';
import { FakeConsul } from './fakes/consul.ts';
import { QUICK, Recorder, sendJson } from './fakes/recorder.ts';
import { manual, settled } from './heard.ts';

const TOKEN = 'b1gs33cr3t';

async function started(): Promise<{ consul: FakeConsul; address: string }> {
  const consul = new FakeConsul();
  return { consul, address: await consul.listen() };
}

test('instances become backends, with weights, zones, metadata and the address of their node', async () => {
  const { consul, address } = await started();
  consul.instances = [
    { id: 'b', address: '10.0.0.2', port: 8080, weights: { Passing: 10, Warning: 1 }, meta: { zone: 'eu-1', version: '2' } },
    { id: 'a', port: 8000, nodeMeta: { zone: 'eu-2' }, meta: null },
    { id: 'six', address: '2001:db8::1', port: 80, weights: { Passing: 70_000, Warning: 1 } },
  ];
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK }));
  assert.deepEqual(await recorder.set(), [
    { address: '10.0.0.2:8080', weight: 10, zone: 'eu-1', metadata: { zone: 'eu-1', version: '2' } },
    { address: '10.1.10.12:8000', weight: 1, zone: 'eu-2', metadata: {} },
    { address: '[2001:db8::1]:80', weight: 65_535, zone: '', metadata: {} },
  ]);
  assert.equal(consul.requests[0], 'GET /v1/health/service/app?passing=1');
});

test('the next question waits behind the index, and a change is told; what is equal is not told again', async () => {
  const { consul, address } = await started();
  consul.instances = [{ id: 'a', address: '10.0.0.1' }];
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', waitMs: 60_000, ...QUICK }));
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80']);
  await consul.requested(2);
  assert.equal(consul.requests[1], 'GET /v1/health/service/app?passing=1&index=10&wait=60000ms');
  // A write that changes nothing, and an order that is another.
  consul.change([{ id: 'a', address: '10.0.0.1' }]);
  await consul.requested(3);
  consul.change([
    { id: 'b', address: '10.0.0.2' },
    { id: 'a', address: '10.0.0.1' },
  ]);
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80', '10.0.0.2:80']);
  await consul.requested(4);
  consul.change([
    { id: 'a', address: '10.0.0.1' },
    { id: 'b', address: '10.0.0.2' },
  ]);
  await consul.requested(5);
  consul.change([]);
  assert.deepEqual(await recorder.addresses(), []);
  assert.equal(recorder.pending, 0);
});

test('an index that goes backwards, is zero or missing begins anew', async () => {
  const { consul, address } = await started();
  consul.instances = [{ id: 'a', address: '10.0.0.1' }];
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', waitMs: 1_000, ...QUICK }));
  await recorder.set();
  await consul.requested(2);
  consul.change([], 3);
  assert.deepEqual(await recorder.addresses(), []);
  await consul.requested(4);
  assert.deepEqual(
    consul.requests.slice(2, 4).map((line) => line.split('?')[1]),
    ['passing=1', 'passing=1&index=3&wait=1000ms'],
  );
  for (const index of ['0', '-1', 'x', null]) {
    const asked = consul.requests.length;
    consul.answer = (_request, response) => {
      consul.answer = null;
      sendJson(response, [], { headers: index === null ? {} : { 'X-Consul-Index': index } });
      return true;
    };
    consul.change([]);
    // One answered by what stands above, and what follows it.
    await consul.requested(asked + 2);
    assert.ok(
      consul.requests.slice(asked).some((line) => line.endsWith('?passing=1')),
      `after ${index}`,
    );
  }
});

test('with passingOnly false, instances with warnings have the weight for that, and those in maintenance are out', async () => {
  const { consul, address } = await started();
  const weights = { Passing: 10, Warning: 2 };
  consul.instances = [
    { id: 'a', address: '10.0.0.1', weights },
    { id: 'b', address: '10.0.0.2', weights, status: 'warning' },
    { id: 'c', address: '10.0.0.3', weights, status: 'critical' },
    { id: 'd', address: '10.0.0.4', weights, status: 'maintenance' },
  ];
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', passingOnly: false, ...QUICK }));
  assert.deepEqual(
    (await recorder.set()).map((backend) => [backend.address, backend.weight]),
    [
      ['10.0.0.1:80', 10],
      ['10.0.0.2:80', 2],
    ],
  );
  assert.equal(consul.requests[0], 'GET /v1/health/service/app');
});

test('tags, datacenter, namespace, consistency and token are sent as Consul wants them, and the token stands nowhere else', async () => {
  const { consul, address } = await started();
  const discovery = consulDiscovery({
    address,
    service: 'my app',
    tag: ['v2', 'a&b'],
    datacenter: 'dc2',
    namespace: 'team',
    partition: 'p',
    near: '_agent',
    consistency: 'stale',
    token: TOKEN,
    ...QUICK,
  });
  const recorder = new Recorder(discovery);
  await recorder.set();
  assert.equal(
    consul.requests[0],
    'GET /v1/health/service/my%20app?passing=1&tag=v2&tag=a%26b&dc=dc2&ns=team&partition=p&near=_agent&stale',
  );
  assert.equal(consul.headers[0]?.['x-consul-token'], TOKEN);
  consul.answer = (_request, response) => {
    sendJson(response, TOKEN, { status: 403 });
    return true;
  };
  consul.wake();
  const error = await recorder.failure();
  assert.equal(error.reason, 'DISCOVERY_STATUS');
  for (const text of [discovery.name, error.message, error.stack ?? '', JSON.stringify(error)]) assert.ok(!text.includes(TOKEN));
});

test('a status, garbage, nonsense and too much are failures with a reason each, after which the last set holds and it goes on', async () => {
  const { consul, address } = await started();
  consul.instances = [{ id: 'a', address: '10.0.0.1' }];
  const options = { address, service: 'app', maxBodyBytes: 20_000, maxBackends: 3, ...QUICK };
  const recorder = new Recorder(consulDiscovery(options));
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80']);
  const bodies: [status: number, body: string, reason: string][] = [
    [500, 'rpc error: No cluster leader', 'DISCOVERY_STATUS'],
    [404, '', 'DISCOVERY_STATUS'],
    [301, '', 'DISCOVERY_STATUS'],
    [401, '', 'DISCOVERY_STATUS'],
    [200, '[{"Node":', 'DISCOVERY_MALFORMED'],
    [200, '"\xff"', 'DISCOVERY_MALFORMED'],
    [200, '{}', 'DISCOVERY_MALFORMED'],
    [200, '[1]', 'DISCOVERY_MALFORMED'],
    [200, `[${'0,'.repeat(20_000)}0]`, 'DISCOVERY_TOO_LARGE'],
    [
      200,
      JSON.stringify(Array.from({ length: 4 }, (_, i) => ({ Service: { ID: `${i}`, Address: `10.0.0.${i}`, Port: 1 } }))),
      'DISCOVERY_TOO_LARGE',
    ],
  ];
  for (const [status, body, reason] of bodies) {
    let isServed = false;
    consul.answer = (_request, response) => {
      if (isServed) return false;
      isServed = true;
      response.writeHead(status, { 'X-Consul-Index': '10' });
      response.end(Buffer.from(body, 'latin1'));
      return true;
    };
    consul.wake();
    const error = await recorder.failure();
    assert.equal(error.reason, reason, body.slice(0, 50));
    assert.equal(error.source, 'upstream');
  }
  consul.answer = null;
  consul.change([{ id: 'a', address: '10.0.0.9' }]);
  assert.deepEqual(await recorder.addresses(), ['10.0.0.9:80']);
});

test('a redirect is a status and is not followed, and what was packed though nobody asked for it is no JSON', async () => {
  const { consul, address } = await started();
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK, minRetryMs: 3_600_000, maxRetryMs: 3_600_000 }));
  assert.deepEqual(await recorder.addresses(), []);
  recorder.close();
  for (const [status, headers, body, reason] of [
    [302, { Location: `http://${address}/elsewhere` }, '', 'DISCOVERY_STATUS'],
    [308, { Location: '/elsewhere' }, '[]', 'DISCOVERY_STATUS'],
    [200, { 'Content-Encoding': 'gzip' }, gzipSync('[]'), 'DISCOVERY_MALFORMED'],
  ] as const) {
    consul.answer = (_request, response) => {
      response.writeHead(status, headers).end(body);
      return true;
    };
    const other = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK, minRetryMs: 3_600_000, maxRetryMs: 3_600_000 }));
    assert.equal((await other.failure()).reason, reason);
    other.close();
  }
  assert.ok(!consul.requests.some((line) => line.includes('elsewhere')));
});

test('an instance that cannot be a backend loses only itself, and is told once', async () => {
  const { consul, address } = await started();
  const good = { id: 'a', address: '10.0.0.1' };
  consul.instances = [good, { id: 'no-port', address: '10.0.0.2', port: 0 }, { id: 'no-host', address: '010.0.0.1' }];
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK }));
  const error = await recorder.failure();
  assert.equal(error.reason, 'DISCOVERY_ENTRY_INVALID');
  assert.match(error.message, /"no-port": it has no address or no port, and 1 more/);
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80']);
  await consul.requested(2);
  consul.change([...consul.instances, { id: 'b', address: '10.0.0.3' }]);
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80', '10.0.0.3:80']);
});

test('a connection that breaks in the middle of an answer is a failure, and so is a server that is gone; it comes back by itself', async () => {
  const { consul, address } = await started();
  consul.instances = [{ id: 'a', address: '10.0.0.1' }];
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK }));
  await recorder.set();
  await consul.requested(2);
  consul.answer = (_request, response) => {
    response.writeHead(200, { 'X-Consul-Index': '11', 'Content-Length': '100' });
    response.write('[', () => response.destroy());
    return true;
  };
  consul.wake();
  assert.match((await recorder.failure()).reason, /^(?:H1_|CONNECTION_)/);
  const { port } = consul;
  await consul.stop();
  while ((await recorder.failure()).type !== 'connect') {
    // Whatever was under way when it stopped.
  }
  const again = new FakeConsul();
  again.instances = [{ id: 'b', address: '10.0.0.2' }];
  await again.listen(port);
  assert.deepEqual(await recorder.addressesAfterFailures(), ['10.0.0.2:80']);
  assert.equal(again.requests[0], 'GET /v1/health/service/app?passing=1');
});

test('a server that does not answer is late after the request time-out', async () => {
  const { consul, address } = await started();
  consul.answer = () => true;
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', requestTimeoutMs: 50, ...QUICK }));
  assert.equal((await recorder.failure()).reason, 'HTTP_ANSWER_TIMEOUT');
  consul.answer = null;
  assert.deepEqual(await recorder.addressesAfterFailures(), []);
});

test('a question that waits has the time to wait, a sixteenth of it, and that for an answer; then comes a pause, and one that does not wait', async () => {
  const { consul, address } = await started();
  const { clock, environment } = manual();
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', minIntervalMs: 0, waitMs: 160_000 }), environment);
  await recorder.set();
  await consul.requested(2);
  await settled();
  clock.advance(179_900);
  await settled();
  assert.equal(recorder.pending, 0);
  clock.advance(200);
  assert.equal((await recorder.failure()).reason, 'HTTP_ANSWER_TIMEOUT');
  // Of the first pause, 100 ms, three quarters.
  clock.advance(70);
  await settled();
  assert.equal(consul.requests.length, 2);
  clock.advance(20);
  await consul.requested(3);
  assert.equal(consul.requests[2], 'GET /v1/health/service/app?passing=1');
});

test('after close nothing is told, whatever was under way, and no connection is left', async () => {
  const { consul, address } = await started();
  const closedAtOnce = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK }));
  closedAtOnce.close();
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK }));
  await recorder.set();
  await consul.requested(2);
  assert.equal(consul.blockedCount, 1);
  recorder.close();
  recorder.close();
  await consul.idle();
  assert.equal(consul.connections, 0);
  assert.equal(consul.requests.length, 2);
});

test('looks are at least minIntervalMs apart, whatever the server says', async () => {
  const { consul, address } = await started();
  // Never an index: each question is answered at once.
  consul.answer = (_request, response) => {
    sendJson(response, []);
    return true;
  };
  const recorder = new Recorder(consulDiscovery({ address, service: 'app', ...QUICK, minIntervalMs: 3_600_000 }));
  await recorder.set();
  const other = new Recorder(consulDiscovery({ address, service: 'other', ...QUICK }));
  await other.set();
  await consul.requested(10);
  assert.equal(consul.requests.filter((line) => line.includes('/app?')).length, 1);
});

test('options that cannot work are refused at once', () => {
  const wrong: [Record<string, unknown>, typeof TypeError | typeof RangeError][] = [
    [{ service: '' }, TypeError],
    [{ service: 'a', token: 'a\r\nb' }, TypeError],
    [{ service: 'a', address: 'no-port' }, TypeError],
    [{ service: 'a', consistency: 'x' }, TypeError],
    [{ service: 'a', passingOnly: 1 }, TypeError],
    [{ service: 'a', waitMs: 600_001 }, RangeError],
    [{ service: 'a', minRetryMs: 0 }, RangeError],
    [{ service: 'a', minRetryMs: 10, maxRetryMs: 9 }, RangeError],
    [{ service: 'a', maxBackends: 0 }, RangeError],
  ];
  for (const [options, error] of wrong) assert.throws(() => consulDiscovery(options as never), error, JSON.stringify(options));
  assert.equal(consulDiscovery({ service: 'a' }).name, 'consul://127.0.0.1:8500/a');
});

/** `kubernetesDiscovery` against an API server that a test plays. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import { inClusterOptions, kubernetesDiscovery } from '../../src/discovery/kubernetes.ts';
import { FakeKubernetes } from './fakes/kubernetes.ts';
import { QUICK, Recorder, sendJson } from './fakes/recorder.ts';

const COMMON = { namespace: 'default', service: 'app', tls: null, ...QUICK } as const;
const PATH = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dapp';

async function started(): Promise<{ api: FakeKubernetes; apiServer: string }> {
  const api = new FakeKubernetes();
  return { api, apiServer: await api.listen() };
}

function watches(api: FakeKubernetes): readonly string[] {
  return api.requests.filter((line) => line.includes('watch=1'));
}

async function watched(api: FakeKubernetes, count = 1): Promise<void> {
  while (watches(api).length < count || api.watcherCount === 0) await new Promise((resolve) => setImmediate(resolve));
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'ferrata-kubernetes-'));
  after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('the slices of a service become one set: ready endpoints, with zone, node and pod; names are passed over, and a double is one', async () => {
  const { api, apiServer } = await started();
  const moving = { address: '10.1.0.1', zone: 'eu-1a', node: 'n1', pod: 'app-1' };
  api.put('app-1', {
    endpoints: [
      moving,
      { address: '10.1.0.2', conditions: { ready: null } },
      { address: '10.1.0.3', conditions: {} },
      { address: '10.1.0.4', conditions: { ready: false, serving: false, terminating: false } },
      { address: '10.1.0.5', conditions: { ready: false, serving: true, terminating: true } },
    ],
  });
  api.put('app-2', { endpoints: [moving] });
  api.put('app-3', { addressType: 'IPv6', endpoints: [{ address: '2001:db8::7' }] });
  api.put('app-4', { addressType: 'FQDN', endpoints: [{ address: 'x.example' }] });
  api.put('app-5', { endpoints: null, ports: null });
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
  const plain = { zone: '', metadata: {} };
  assert.deepEqual(await recorder.set(), [
    { address: '10.1.0.1:8080', zone: 'eu-1a', metadata: { node: 'n1', pod: 'app-1' } },
    { address: '10.1.0.2:8080', ...plain },
    { address: '10.1.0.3:8080', ...plain },
    { address: '[2001:db8::7]:8080', ...plain },
  ]);
  await watched(api);
  assert.equal(api.requests[0], `GET ${PATH}&limit=500`);
  assert.match(watches(api)[0] ?? '', /&watch=1&allowWatchBookmarks=true&resourceVersion=105&timeoutSeconds=2[4-9]\d$/);
});

test('if nothing is ready, what ends but still serves is taken, unless that is not wanted', async () => {
  const { api, apiServer } = await started();
  api.put('app-1', {
    endpoints: [
      { address: '10.1.0.1', conditions: { ready: false, serving: true, terminating: true } },
      { address: '10.1.0.2', conditions: { ready: false, serving: false, terminating: true } },
      { address: '10.1.0.3', conditions: { ready: false, serving: true, terminating: false } },
    ],
  });
  assert.deepEqual(await new Recorder(kubernetesDiscovery({ apiServer, ...COMMON })).addresses(), ['10.1.0.1:8080']);
  assert.deepEqual(await new Recorder(kubernetesDiscovery({ apiServer, ...COMMON, useTerminating: false })).addresses(), []);
});

test('the port is chosen by name or number; a slice that has it not is left out and told', async () => {
  const { api, apiServer } = await started();
  const endpoints = [{ address: '10.1.0.1' }];
  const ports = [
    { name: 'http', port: 8080 },
    { name: 'admin', port: 9000 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ];
  api.put('app-1', { endpoints, ports });
  const of = (port?: string | number): Recorder =>
    new Recorder(kubernetesDiscovery({ apiServer, ...COMMON, ...(port === undefined ? {} : { port }) }));
  assert.deepEqual(await of('admin').addresses(), ['10.1.0.1:9000']);
  assert.deepEqual(await of(8080).addresses(), ['10.1.0.1:8080']);
  for (const [port, why] of [
    [undefined, /2 ports of TCP/],
    ['dns', /no port "dns"/],
    [81, /no port 81/],
  ] as const) {
    const recorder = of(port);
    const error = await recorder.failure();
    assert.equal(error.reason, 'DISCOVERY_ENTRY_INVALID');
    assert.match(error.message, why);
    assert.deepEqual(await recorder.addresses(), []);
  }
  api.put('app-1', { endpoints, ports: [{ name: '', port: null }] });
  assert.deepEqual(await of(81).addresses(), ['10.1.0.1:81']);
  assert.match((await of().failure()).message, /no number/);
});

test('slices that are added, changed and deleted are told; a watch that ends in order goes on from the last version, bookmarks included', async () => {
  const { api, apiServer } = await started();
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
  assert.deepEqual(await recorder.addresses(), []);
  await watched(api);
  api.put('app-1', { endpoints: [{ address: '10.1.0.1' }] });
  assert.deepEqual(await recorder.addresses(), ['10.1.0.1:8080']);
  api.put('app-2', { endpoints: [{ address: '10.1.0.2' }] });
  assert.deepEqual(await recorder.addresses(), ['10.1.0.1:8080', '10.1.0.2:8080']);
  api.delete('app-1');
  assert.deepEqual(await recorder.addresses(), ['10.1.0.2:8080']);
  api.bookmark();
  api.endWatches();
  await watched(api, 2);
  api.put('app-2', { endpoints: [{ address: '10.1.0.2', zone: 'z' }] });
  assert.deepEqual((await recorder.set())[0]?.zone, 'z');
  assert.deepEqual(
    watches(api).map((line) => /resourceVersion=(\d+)/.exec(line)?.[1]),
    ['100', '104'],
  );
  assert.equal(recorder.pending, 0);
});

test('a watch that breaks off within a line is a failure, and goes on from the last version without a list', async () => {
  const { api, apiServer } = await started();
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
  await recorder.set();
  await watched(api);
  api.say('{"type":"ADDED","object":{"metadata":{"name":"app-9","resourceV');
  await new Promise((resolve) => setTimeout(resolve, 5));
  api.breakAll();
  api.put('app-1', { endpoints: [{ address: '10.1.0.1' }] });
  const error = await recorder.failure();
  assert.equal(error.reason, 'DISCOVERY_STREAM_ENDED');
  assert.deepEqual(await recorder.addresses(), ['10.1.0.1:8080']);
  assert.equal(api.requests.filter((line) => line.includes('limit=')).length, 1);
});

test('410 Gone, as an ERROR or as a status, lists anew without a failure; another ERROR is one', async () => {
  const { api, apiServer } = await started();
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
  await recorder.set();
  await watched(api);
  api.slices.set('app-1', {
    metadata: { name: 'app-1' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.1.0.1'] }],
    ports: [{ port: 80 }],
  });
  api.fail(410, 'Expired');
  assert.deepEqual(await recorder.addresses(), ['10.1.0.1:80']);
  await watched(api, 2);
  api.slices.clear();
  api.answer = (request, response) => {
    if (request.url?.includes('watch=1') !== true) return false;
    api.answer = null;
    response.writeHead(410).end();
    return true;
  };
  api.endWatches();
  assert.deepEqual(await recorder.addresses(), []);
  await watched(api, 4);
  api.fail(500, 'InternalError');
  const error = await recorder.failure();
  assert.equal(error.reason, 'DISCOVERY_STATUS');
  await watched(api, 5);
});

test('a list comes in pages, and a page that has become too old begins it anew, but not for ever', async () => {
  const { api, apiServer } = await started();
  for (let i = 0; i < 5; i++) api.put(`app-${i}`, { endpoints: [{ address: `10.1.0.${i}` }] });
  let isOld = true;
  api.answer = (request) => {
    if (isOld && request.url?.includes('continue=') === true) {
      isOld = false;
      api.version = 500;
      api.oldest = 500;
    }
    return false;
  };
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON, pageSize: 2 }));
  assert.equal((await recorder.set()).length, 5);
  assert.equal(api.requests.filter((line) => line.includes('limit=2')).length, 5);
  api.answer = (request, response) => {
    if (request.url?.includes('continue=') !== true) return false;
    response.writeHead(410).end();
    return true;
  };
  const other = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON, pageSize: 2 }));
  assert.equal((await other.failure()).reason, 'DISCOVERY_STATUS');
});

test('a page may be empty with more behind it, as all of it was filtered out; a list that does not go on is a failure', async () => {
  const { api, apiServer } = await started();
  api.put('app-1', { endpoints: [{ address: '10.1.0.1' }] });
  let pages = 3;
  api.answer = (request, response) => {
    if (request.url?.includes('watch=1') === true || pages-- <= 0) return false;
    sendJson(response, { metadata: { resourceVersion: '1', continue: 'on' }, items: [] });
    return true;
  };
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
  assert.equal((await recorder.set()).length, 1);
  const slice = { metadata: { name: 'a' }, addressType: 'IPv4', endpoints: [], ports: [] };
  for (const items of [[], [slice]]) {
    api.answer = (_request, response) => {
      sendJson(response, { metadata: { resourceVersion: '1', continue: 'on' }, items });
      return true;
    };
    const other = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
    assert.equal((await other.failure()).reason, 'DISCOVERY_MALFORMED');
    other.close();
  }
});

test('nonsense and too much are failures with a reason each; the last set holds, and a new list mends it', async () => {
  const { api, apiServer } = await started();
  api.put('app-1', { endpoints: [{ address: '10.1.0.1' }] });
  const options = { apiServer, ...COMMON, maxBackends: 3, maxLineBytes: 3_000, maxBodyBytes: 20_000 };
  const recorder = new Recorder(kubernetesDiscovery(options));
  await recorder.set();
  const line = (value: unknown): string => `${JSON.stringify(value)}\n`;
  const metadata = { name: 'app-2', resourceVersion: '7' };
  const endpoints = Array.from({ length: 4 }, (_, i) => ({ addresses: [`10.2.0.${i}`] }));
  const said: [text: string, reason: string][] = [
    ['garbage\n', 'DISCOVERY_MALFORMED'],
    ['null\n', 'DISCOVERY_MALFORMED'],
    [line({ type: 'ADDED', object: {} }), 'DISCOVERY_MALFORMED'],
    [line({ type: 'ADDED', object: { metadata: { resourceVersion: '7' } } }), 'DISCOVERY_MALFORMED'],
    [line({ type: 'WHATEVER', object: { metadata } }), 'DISCOVERY_MALFORMED'],
    [' '.repeat(3_001), 'DISCOVERY_TOO_LARGE'],
    [line({ type: 'ADDED', object: { metadata, addressType: 'IPv4', ports: [{ port: 80 }], endpoints } }), 'DISCOVERY_TOO_LARGE'],
  ];
  for (const [index, [text, reason]] of said.entries()) {
    await watched(api, index + 1);
    api.say(text);
    assert.equal((await recorder.failure()).reason, reason, text.slice(0, 60));
    // The one that was too many belongs to a stream that is still good.
    api.breakAll();
    if (index === said.length - 1) await recorder.failure();
  }
  const lists: [value: unknown, reason: string][] = [
    [[], 'DISCOVERY_MALFORMED'],
    [{ metadata: {}, items: [] }, 'DISCOVERY_MALFORMED'],
    [{ metadata: { resourceVersion: '1', continue: 'x' }, items: [] }, 'DISCOVERY_MALFORMED'],
    [{ metadata: { resourceVersion: '1' }, items: [{}] }, 'DISCOVERY_MALFORMED'],
    [
      { metadata: { resourceVersion: '1' }, items: Array.from({ length: 4 }, (_, i) => ({ metadata: { name: `${i}` } })) },
      'DISCOVERY_TOO_LARGE',
    ],
    [{ metadata: { resourceVersion: '1' }, items: 'x'.repeat(20_000) }, 'DISCOVERY_TOO_LARGE'],
  ];
  for (const [value, reason] of lists) {
    api.answer = (_request, response) => {
      sendJson(response, value);
      return true;
    };
    const other = new Recorder(kubernetesDiscovery(options));
    assert.equal((await other.failure()).reason, reason, JSON.stringify(value).slice(0, 60));
    other.close();
  }
});

test('401, 403, 404 and 500 are failures, after which it goes on', async () => {
  const { api, apiServer } = await started();
  const statuses = [401, 403, 404, 500];
  api.answer = (_request, response) => {
    const status = statuses.shift();
    if (status === undefined) return false;
    response.writeHead(status).end('{}');
    return true;
  };
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
  for (const status of [401, 403, 404, 500]) assert.match((await recorder.failure()).message, new RegExp(`answered ${status}`));
  assert.deepEqual(await recorder.addresses(), []);
});

test('over TLS with the token of a file that is rotated, and authorities that are read again after TLS has failed; the token is told to nobody', async () => {
  const place = folder();
  const tokenFile = join(place, 'token');
  const caFile = join(place, 'ca.crt');
  const [wrong, right] = [await createAuthority(), await createAuthority()];
  const { chain, key } = await right.issue({ names: ['127.0.0.1'] });
  const api = new FakeKubernetes();
  const server = createServer({ cert: chain, key }, api.handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  api.tokens = ['first.token'];
  writeFileSync(tokenFile, 'first.token\n');
  writeFileSync(caFile, wrong.certificate);
  api.put('app-1', { endpoints: [{ address: '10.1.0.1' }] });
  const apiServer = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const options = { namespace: 'default', service: 'app', apiServer, tokenFile, caFile, ...QUICK };
  const recorder = new Recorder(kubernetesDiscovery(options));
  assert.equal((await recorder.failure()).type, 'tls');
  writeFileSync(caFile, right.certificate);
  assert.deepEqual(await recorder.addressesAfterFailures(), ['10.1.0.1:8080']);
  while (api.watcherCount === 0) await new Promise((resolve) => setImmediate(resolve));
  api.tokens = ['second.token'];
  writeFileSync(tokenFile, 'second.token');
  api.endWatches();
  api.put('app-1', { endpoints: [{ address: '10.1.0.2' }] });
  assert.deepEqual(await recorder.addresses(), ['10.1.0.2:8080']);
  while (api.watcherCount === 0) await new Promise((resolve) => setImmediate(resolve));
  api.tokens = [];
  api.endWatches();
  const error = await recorder.failure();
  assert.match(error.message, /401/);
  assert.ok(!`${error.message}${error.stack}`.includes('second'));
});

test('a token or authorities that cannot be read are failures of this side, without their content', async () => {
  const { apiServer } = await started();
  const place = folder();
  writeFileSync(join(place, 'bad'), 'se cret');
  writeFileSync(join(place, 'big'), 'x'.repeat(1_048_577));
  for (const tokenFile of [join(place, 'none'), join(place, 'bad'), join(place, 'big'), place]) {
    const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON, tokenFile }));
    const error = await recorder.failure();
    assert.equal(error.reason, 'DISCOVERY_CREDENTIALS');
    assert.equal(error.fault, 'local');
    assert.ok(!error.message.includes('cret'));
    recorder.close();
  }
  const { tls: _, ...rest } = COMMON;
  const recorder = new Recorder(kubernetesDiscovery({ apiServer, ...rest, caFile: join(place, 'bad') }));
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_CREDENTIALS');
});

test('after close nothing is told, and no connection is left, in the list and in the watch', async () => {
  const { api, apiServer } = await started();
  api.answer = () => true;
  const listing = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON }));
  await api.requested(1);
  listing.close();
  api.answer = null;
  const watching = new Recorder(kubernetesDiscovery({ apiServer, ...COMMON, settleMs: 50 }));
  await watching.set();
  await watched(api);
  api.put('app-1', { endpoints: [{ address: '10.1.0.1' }] });
  await new Promise((resolve) => setTimeout(resolve, 5));
  watching.close();
  await api.idle();
  assert.equal(api.connections, 0);
});

test('a pod finds its API server by the variables that it is given', () => {
  assert.deepEqual(inClusterOptions({ KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }), {
    apiServer: '10.96.0.1:443',
    tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    caFile: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
  });
  const six = inClusterOptions({ KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' });
  assert.equal(six.apiServer, '[fd00::1]:443');
  assert.throws(() => inClusterOptions({}), TypeError);
});

test('options that cannot work are refused at once', () => {
  const wrong: [Record<string, unknown>, typeof TypeError | typeof RangeError][] = [
    [{ namespace: 'a/b', service: 'app' }, TypeError],
    [{ namespace: 'a', service: 'b,c' }, TypeError],
    [{ namespace: 'a', service: 'b', tls: null, caFile: 'x' }, TypeError],
    [{ namespace: 'a', service: 'b', port: 0 }, RangeError],
    [{ namespace: 'a', service: 'b', port: '' }, TypeError],
    [{ namespace: 'a', service: 'b', watchMs: 1 }, RangeError],
    [{ namespace: 'a', service: 'b', useTerminating: 'x' }, TypeError],
  ];
  for (const [options, error] of wrong) assert.throws(() => kubernetesDiscovery(options as never), error, JSON.stringify(options));
  const { name } = kubernetesDiscovery({ namespace: 'a', service: 'b' });
  assert.equal(name, 'kubernetes://kubernetes.default.svc:443/a/b');
});

/** `etcdDiscovery` against the gateway of an etcd that a test plays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { etcdDiscovery } from '../../src/discovery/etcd.ts';
import { endOfPrefix } from '../../src/discovery/internal/etcd-values.ts';
import { FakeEtcd } from './fakes/etcd.ts';
import { QUICK, Recorder, sendJson } from './fakes/recorder.ts';

const PREFIX = '/b/';

async function started(): Promise<{ etcd: FakeEtcd; address: string }> {
  const etcd = new FakeEtcd();
  return { etcd, address: await etcd.listen() };
}

/** Waits until a stream is followed. */
async function watched(etcd: FakeEtcd, count = 1): Promise<void> {
  while (etcd.questions.filter(([path]) => path === '/v3/watch').length < count || etcd.watcherCount === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** From where each watch began. */
function starts(etcd: FakeEtcd): readonly unknown[] {
  const watches = etcd.questions.filter(([path]) => path === '/v3/watch');
  return watches.map(([, question]) => (question['create_request'] as Record<string, unknown>)['start_revision']);
}

test('keys of the prefix become backends: host:port, JSON of a backend, and what etcd’s own naming writes', async () => {
  const { etcd, address } = await started();
  etcd.put('/a/other', '10.9.9.9:80');
  etcd.put(`${PREFIX}1`, '10.0.0.1:80');
  etcd.put(`${PREFIX}2`, { address: '10.0.0.2:80', name: 'two', weight: 3, zone: 'z', priority: 1, metadata: { a: 'b' }, healthPort: 81 });
  etcd.put(`${PREFIX}3`, { Op: 0, Addr: '[::1]:80', Metadata: null });
  etcd.put(`${PREFIX}4`, { address: 'unix:/run/app.sock', isEnabled: false });
  etcd.put('/c/other', '10.9.9.9:80');
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  assert.deepEqual(await recorder.set(), [
    { address: '10.0.0.1:80' },
    { address: '[::1]:80' },
    { name: 'two', weight: 3, priority: 1, zone: 'z', metadata: { a: 'b' }, healthPort: 81, address: '10.0.0.2:80' },
    { isEnabled: false, address: 'unix:/run/app.sock' },
  ]);
});

test('puts and deletions are told, and a stream that breaks off within a line goes on behind the last event', async () => {
  const { etcd, address } = await started();
  etcd.put(`${PREFIX}1`, '10.0.0.1:80');
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80']);
  await watched(etcd);
  etcd.put(`${PREFIX}2`, '10.0.0.2:80');
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80', '10.0.0.2:80']);
  etcd.delete(`${PREFIX}1`);
  assert.deepEqual(await recorder.addresses(), ['10.0.0.2:80']);
  etcd.say('{"result":{"header":{"revision":"99');
  await new Promise((resolve) => setTimeout(resolve, 5));
  etcd.breakAll();
  // Missed while nobody listened.
  etcd.put(`${PREFIX}3`, '10.0.0.3:80');
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_STREAM_ENDED');
  assert.deepEqual(await recorder.addresses(), ['10.0.0.2:80', '10.0.0.3:80']);
  assert.deepEqual(starts(etcd), ['3', '5']);
  assert.equal(etcd.questions.filter(([path]) => path === '/v3/kv/range').length, 1);
});

test('its progress moves the revision from which a watch goes on, and the end of a server that is stopped is a failure', async () => {
  const { etcd, address } = await started();
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  assert.deepEqual(await recorder.addresses(), []);
  await watched(etcd);
  for (let i = 0; i < 5; i++) etcd.put('/elsewhere', String(i));
  etcd.tellProgress();
  etcd.endStreams();
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_STREAM_ENDED');
  await watched(etcd, 2);
  assert.deepEqual(starts(etcd), ['2', '7']);
});

test('history that was compacted away is listed anew, without a failure', async () => {
  const { etcd, address } = await started();
  etcd.put(`${PREFIX}1`, '10.0.0.1:80');
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  await recorder.set();
  await watched(etcd);
  etcd.breakAll();
  etcd.put(`${PREFIX}2`, '10.0.0.2:80');
  etcd.delete(`${PREFIX}1`);
  etcd.compact();
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_STREAM_ENDED');
  assert.deepEqual(await recorder.addresses(), ['10.0.0.2:80']);
  await watched(etcd, 3);
  assert.deepEqual(starts(etcd), ['3', '3', '5']);
});

test('a server whose history is shorter than what was seen, or of another cluster, is listed anew', async () => {
  const { etcd, address } = await started();
  for (let i = 0; i < 9; i++) etcd.put(`${PREFIX}1`, `10.0.0.${i}:80`);
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  await recorder.set();
  await watched(etcd);
  etcd.loseEverything();
  etcd.put(`${PREFIX}2`, '10.1.0.1:80');
  // Not seen by the stream: that one belongs to the life before.
  await recorder.set();
  etcd.breakAll();
  etcd.loseEverything();
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_STREAM_ENDED');
  assert.deepEqual(await recorder.addresses(), []);
  await watched(etcd, 3);
  etcd.clusterId = '1';
  etcd.put(`${PREFIX}3`, '10.1.0.3:80');
  await recorder.set();
  etcd.breakAll();
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_STREAM_ENDED');
  await watched(etcd, 5);
  assert.equal(etcd.questions.filter(([path]) => path === '/v3/kv/range').length, 3);
  assert.equal(recorder.pending, 0);
});

test('many keys come in pages of one revision', async () => {
  const { etcd, address } = await started();
  for (let i = 0; i < 25; i++) etcd.put(`${PREFIX}${String(i).padStart(2, '0')}`, `10.0.0.${i}:80`);
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, pageSize: 10, ...QUICK }));
  assert.equal((await recorder.set()).length, 25);
  const ranges = etcd.questions.filter(([path]) => path === '/v3/kv/range').map(([, { limit, revision }]) => [limit, revision]);
  assert.deepEqual(ranges, [
    ['10', undefined],
    ['10', '26'],
    ['10', '26'],
  ]);
});

test('a value that is no backend loses only itself, is told once, and its content is told to nobody', async () => {
  const { etcd, address } = await started();
  const secret = 'hunter2';
  etcd.put(`${PREFIX}0`, secret);
  etcd.put(`${PREFIX}1`, '10.0.0.1:80');
  etcd.put(`${PREFIX}2`, '');
  etcd.put(`${PREFIX}3`, '{"address":');
  etcd.put(`${PREFIX}4`, { weight: 1 });
  etcd.put(`${PREFIX}5`, { address: '10.0.0.5:80', weight: -1 });
  etcd.put(`${PREFIX}6`, '10.0.0.6:0');
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  const error = await recorder.failure();
  assert.equal(error.reason, 'DISCOVERY_ENTRY_INVALID');
  assert.match(error.message, /"\/b\/0": its value is neither host:port nor JSON of a backend, and 5 more$/);
  assert.ok(!error.message.includes(secret));
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80']);
  await watched(etcd);
  etcd.put(`${PREFIX}7`, '10.0.0.7:80');
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80', '10.0.0.7:80']);
});

test('it logs in, sends the token, and logs in again when the token is no longer good; neither token nor password is told', async () => {
  const { etcd, address } = await started();
  etcd.login = { name: 'app', password: 'correct horse' };
  etcd.put(`${PREFIX}1`, '10.0.0.1:80');
  const discovery = etcdDiscovery({ address, prefix: PREFIX, user: 'app', password: 'correct horse', ...QUICK });
  const recorder = new Recorder(discovery);
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80']);
  await watched(etcd);
  const [first] = etcd.tokens as [string];
  etcd.tokens = ['other'];
  etcd.breakAll();
  etcd.put(`${PREFIX}2`, '10.0.0.2:80');
  const ended = await recorder.failure();
  assert.equal(ended.reason, 'DISCOVERY_STREAM_ENDED');
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80', '10.0.0.2:80']);
  etcd.tokens = ['other'];
  etcd.compact(etcd.revision);
  etcd.login = { name: 'app', password: 'another' };
  etcd.breakAll();
  await recorder.failure();
  const refused = await recorder.failure();
  assert.equal(refused.reason, 'DISCOVERY_STATUS');
  for (const text of [discovery.name, refused.message, refused.stack ?? '', ended.message]) {
    assert.ok(!text.includes('correct horse') && !text.includes(first));
  }
});

test('without credentials, where they are needed, the status is told', async () => {
  const { etcd, address } = await started();
  etcd.login = { name: 'app', password: 'x' };
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  assert.match((await recorder.failure()).message, /etcd answered 400/);
});

test('a list that is nonsense, too large, or has no end is a failure with a reason, and mends itself', async () => {
  const { etcd, address } = await started();
  const header = { cluster_id: '1', revision: '5' };
  const pair = (key: string): object => ({ key: Buffer.from(key).toString('base64'), value: 'MTAuMC4wLjE6ODA=' });
  const many = Array.from({ length: 11 }, (_, i) => pair(`/b/${i}`));
  const answers: [value: unknown, reason: string][] = [
    [[], 'DISCOVERY_MALFORMED'],
    [{ header: {}, kvs: [{}] }, 'DISCOVERY_MALFORMED'],
    [{ header: { revision: 'x' } }, 'DISCOVERY_MALFORMED'],
    [{ header, more: true }, 'DISCOVERY_MALFORMED'],
    [{ header, kvs: [pair('/a')], more: true }, 'DISCOVERY_MALFORMED'],
    [{ header, kvs: many }, 'DISCOVERY_TOO_LARGE'],
    [{ header, kvs: [pair('x'.repeat(20_000))] }, 'DISCOVERY_TOO_LARGE'],
  ];
  const options = { address, prefix: PREFIX, maxBackends: 10, maxBodyBytes: 10_000, ...QUICK };
  let at = 0;
  etcd.answer = (_request, response) => {
    const next = answers[at++];
    if (next === undefined) return false;
    sendJson(response, next[0]);
    return true;
  };
  const recorder = new Recorder(etcdDiscovery(options));
  for (const [value, reason] of answers) assert.equal((await recorder.failure()).reason, reason, JSON.stringify(value).slice(0, 80));
  assert.deepEqual(await recorder.addresses(), []);
});

test('a stream of nonsense, of a line without end, or of too many backends is a failure; the last set holds, and a new list mends it', async () => {
  const { etcd, address } = await started();
  etcd.put(`${PREFIX}0`, '10.0.0.1:80');
  const recorder = new Recorder(etcdDiscovery({ address, prefix: PREFIX, maxBackends: 3, maxLineBytes: 2_000, ...QUICK }));
  await recorder.set();
  const said: [text: string, reason: string][] = [
    ['garbage\n', 'DISCOVERY_MALFORMED'],
    ['[]\n', 'DISCOVERY_MALFORMED'],
    ['{"result":{"header":{"revision":7}}}\n', 'DISCOVERY_MALFORMED'],
    ['{"result":{"header":{"revision":"7"},"events":[{"kv":{}}]}}\n', 'DISCOVERY_MALFORMED'],
    ['x'.repeat(2_001), 'DISCOVERY_TOO_LARGE'],
  ];
  for (const [index, [text, reason]] of said.entries()) {
    await watched(etcd, index + 1);
    etcd.say(text);
    assert.equal((await recorder.failure()).reason, reason, text.slice(0, 40));
  }
  await watched(etcd, said.length + 1);
  for (let i = 1; i < 5; i++) etcd.put(`${PREFIX}${i}`, `10.0.1.${i}:80`);
  while ((await recorder.failure().catch(() => null)) === null) {
    // Sets with as many as are allowed.
  }
  for (let i = 1; i < 5; i++) etcd.delete(`${PREFIX}${i}`);
  etcd.put(`${PREFIX}5`, '10.0.2.5:80');
  let last: readonly string[] = [];
  while (last.join() !== '10.0.0.1:80,10.0.2.5:80') last = await recorder.addressesAfterFailures();
});

test('when a member of the cluster is gone the next one is asked', async () => {
  const { etcd, address } = await started();
  etcd.put(`${PREFIX}1`, '10.0.0.1:80');
  const gone = new FakeEtcd();
  const goneAddress = await gone.listen();
  await gone.stop();
  const recorder = new Recorder(etcdDiscovery({ address: [goneAddress, address], prefix: PREFIX, ...QUICK }));
  assert.equal((await recorder.failure()).type, 'connect');
  assert.deepEqual(await recorder.addresses(), ['10.0.0.1:80']);
});

test('after close nothing is told, and no connection is left, in the list and in the stream', async () => {
  const { etcd, address } = await started();
  etcd.answer = () => true;
  const listing = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK }));
  await etcd.requested(1);
  listing.close();
  etcd.answer = null;
  const watching = new Recorder(etcdDiscovery({ address, prefix: PREFIX, ...QUICK, settleMs: 50 }));
  await watching.set();
  await watched(etcd);
  etcd.put(`${PREFIX}1`, '10.0.0.1:80');
  await new Promise((resolve) => setTimeout(resolve, 5));
  watching.close();
  await etcd.idle();
  assert.equal(etcd.connections, 0);
});

test('the key behind a prefix is the one with its last byte a step higher, and behind 0xff that of the byte before', () => {
  assert.deepEqual([...endOfPrefix(Uint8Array.of(0x61, 0x2f))], [0x61, 0x30]);
  assert.deepEqual([...endOfPrefix(Uint8Array.of(0x61, 0xff, 0xff))], [0x62]);
  assert.deepEqual([...endOfPrefix(Uint8Array.of(0xff))], [0]);
});

test('options that cannot work are refused at once', () => {
  for (const options of [{ prefix: '' }, { prefix: 'a', user: 'b' }, { prefix: 'a', address: [] }, { prefix: 'a', address: 'x' }]) {
    assert.throws(() => etcdDiscovery(options), TypeError, JSON.stringify(options));
  }
  assert.throws(() => etcdDiscovery({ prefix: 'a', pageSize: 0 }), RangeError);
  assert.equal(etcdDiscovery({ prefix: '/b/', user: 'u', password: 'p' }).name, 'etcd://127.0.0.1:2379/b/');
});

/** `dockerDiscovery` against an Engine that a test plays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dockerDiscovery } from '../../src/discovery/docker.ts';
import { FakeDocker } from './fakes/docker.ts';
import { QUICK, Recorder } from './fakes/recorder.ts';
import { settled } from './heard.ts';

async function started(): Promise<{ docker: FakeDocker; socketPath: string }> {
  const docker = new FakeDocker();
  return { docker, socketPath: await docker.start() };
}

async function listed(docker: FakeDocker, count: number): Promise<void> {
  while (docker.listCount < count) await new Promise((resolve) => setImmediate(resolve));
}

async function followed(docker: FakeDocker, count: number): Promise<void> {
  const streams = (): number => docker.requests.filter((line) => line.includes('/events')).length;
  while (streams() < count) await new Promise((resolve) => setImmediate(resolve));
}

test('running containers with the label become backends, with weight, zone and name, by the Engine’s own version of the API', async () => {
  const { docker, socketPath } = await started();
  docker.containers = [
    { name: 'app-1', labels: { 'ferrata.port': '9000', 'ferrata.weight': '3', 'ferrata.zone': 'rack-1' } },
    { name: 'app-2', networks: { front: { ip6: 'fd00::2' } } },
    { name: 'app-3', networks: { host: {} }, ports: [], labels: { 'ferrata.port': '7000' } },
    {
      name: 'twice',
      networks: { b: { ip: '172.17.0.9' } },
      ports: [
        { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 1, Type: 'tcp' },
        { IP: '::', PrivatePort: 80, PublicPort: 1, Type: 'tcp' },
        { PrivatePort: 53, Type: 'udp' },
      ],
    },
    { name: 'sick', status: 'Up 5 minutes (unhealthy)' },
    { name: 'new', status: 'Up 1 second (health: starting)' },
    { name: 'well', status: 'Up 5 minutes (healthy)', networks: { b: { ip: '172.17.0.8' } } },
    { name: 'paused', status: 'Up 5 minutes (Paused)', state: 'paused' },
  ];
  const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK }));
  assert.deepEqual(await recorder.set(), [
    { address: '127.0.0.1:7000', weight: 1, zone: '', metadata: { container: 'app-3' } },
    { address: '172.17.0.2:9000', weight: 3, zone: 'rack-1', metadata: { container: 'app-1' } },
    { address: '172.17.0.8:8080', weight: 1, zone: '', metadata: { container: 'well' } },
    { address: '172.17.0.9:80', weight: 1, zone: '', metadata: { container: 'twice' } },
    { address: '[fd00::2]:8080', weight: 1, zone: '', metadata: { container: 'app-2' } },
  ]);
  const asked = docker.requests.map((line) => decodeURIComponent(line));
  assert.equal(asked[0], 'GET /_ping');
  const events = '["start","die","health_status","pause","unpause","kill","stop","rename","connect","disconnect"]';
  assert.equal(asked[1], `GET /v1.47/events?filters={"type":["container","network"],"event":${events}}`);
  assert.equal(asked[2], 'GET /v1.47/containers/json?filters={"label":["ferrata.enable=true"],"status":["running"]}');
});

test('an event brings a new list, and many events bring few', async () => {
  const { docker, socketPath } = await started();
  const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK, settleMs: 30 }));
  assert.deepEqual(await recorder.addresses(), []);
  docker.change([{ name: 'app-1' }]);
  assert.deepEqual(await recorder.addresses(), ['172.17.0.2:8080']);
  const before = docker.listCount;
  for (let i = 0; i < 500; i++) docker.happened('health_status: healthy');
  docker.change([], 'die');
  assert.deepEqual(await recorder.addresses(), []);
  assert.ok(docker.listCount - before <= 4, `${docker.listCount - before} lists`);
});

test('a network that is connected or disconnected brings a new list; a container without the label does not', async () => {
  const { docker, socketPath } = await started();
  docker.containers = [{ name: 'app-1', networks: { a: { ip: '172.18.0.2' } } }];
  const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK, network: 'b' }));
  assert.deepEqual((await recorder.failure()).reason, 'DISCOVERY_ENTRY_INVALID');
  assert.deepEqual(await recorder.addresses(), []);
  docker.containers = [{ name: 'app-1', networks: { a: { ip: '172.18.0.2' }, b: { ip: '172.19.0.2' } } }];
  docker.say(`${JSON.stringify({ Type: 'container', Action: 'start', Actor: { ID: 'x', Attributes: { image: 'other' } } })}\n`);
  docker.say(`${JSON.stringify({ Type: 'container', Action: 'start', Actor: { ID: 'x', Attributes: { 'ferrata.enable': 'no' } } })}\n`);
  await settled();
  assert.equal(docker.listCount, 1);
  docker.say(
    `${JSON.stringify({ Type: 'network', Action: 'connect', Actor: { ID: 'n', Attributes: { container: 'app-1', name: 'b' } } })}\n`,
  );
  assert.deepEqual(await recorder.addresses(), ['172.19.0.2:8080']);
  assert.equal(docker.listCount, 2);
});

test('without an event it lists anew after refreshMs', async () => {
  const { docker, socketPath } = await started();
  const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK, refreshMs: 1_000 }));
  await recorder.set();
  docker.containers = [{ name: 'app-1' }];
  assert.deepEqual(await recorder.addresses(), ['172.17.0.2:8080']);
});

test('a container that cannot be reached is left out and told', async () => {
  const { docker, socketPath } = await started();
  const two = { a: { ip: '172.18.0.2' }, b: { ip: '172.19.0.2' } };
  const cases: [container: object, why: RegExp, options?: object][] = [
    [{ networks: two }, /in 2 networks/],
    [{ networks: two }, /not in the network "c"/, { network: 'c' }],
    [{ networks: { a: {} } }, /no address/],
    [{ ports: [] }, /0 ports of TCP/],
    [
      {
        ports: [
          { PrivatePort: 1, Type: 'tcp' },
          { PrivatePort: 2, Type: 'tcp' },
        ],
      },
      /2 ports of TCP/,
    ],
    [{ labels: { 'ferrata.port': '0' } }, /label of the port/],
    [{ labels: { 'ferrata.port': '99999' } }, /port/],
    [{ labels: { 'ferrata.weight': 'heavy' } }, /label of the weight/],
    [{ labels: { 'ferrata.weight': '70000' } }, /weight/],
  ];
  for (const [container, why, options] of cases) {
    docker.containers = [
      { name: 'good', networks: { a: { ip: '172.18.0.9' }, c: { ip: '172.18.0.9' } } },
      { name: 'bad', ...container },
    ];
    if (options === undefined) docker.containers = [{ name: 'good', networks: { a: { ip: '172.18.0.9' } } }, ...docker.containers.slice(1)];
    const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK, ...options }));
    const error = await recorder.failure();
    assert.equal(error.reason, 'DISCOVERY_ENTRY_INVALID');
    assert.match(error.message, why);
    assert.match(error.message, /"bad"/);
    assert.deepEqual(await recorder.addresses(), ['172.18.0.9:8080']);
    recorder.close();
  }
  docker.containers = [{ name: 'app', networks: two }];
  assert.deepEqual(await new Recorder(dockerDiscovery({ socketPath, ...QUICK, network: 'b' })).addresses(), ['172.19.0.2:8080']);
});

test('a stream that ends, breaks off within a line, or an Engine that restarts is a failure, after which it lists anew', async () => {
  const { docker, socketPath } = await started();
  const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK }));
  await recorder.set();
  docker.containers = [{ name: 'app-1' }];
  docker.endStreams();
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_STREAM_ENDED');
  assert.deepEqual(await recorder.addresses(), ['172.17.0.2:8080']);
  docker.containers = [];
  docker.say('{"status":"sta');
  await new Promise((resolve) => setTimeout(resolve, 5));
  docker.breakAll();
  assert.equal((await recorder.failure()).reason, 'DISCOVERY_STREAM_ENDED');
  assert.deepEqual(await recorder.addresses(), []);
  await docker.stop();
  while ((await recorder.failure()).type !== 'connect') {
    // Whatever was under way when it stopped.
  }
  const again = new FakeDocker();
  again.containers = [{ name: 'app-2' }];
  again.apiVersion = null;
  await again.start(socketPath);
  assert.deepEqual(await recorder.addressesAfterFailures(), ['172.17.0.2:8080']);
});

test('statuses, garbage and too much are failures with a reason each, and the last set holds', async () => {
  const { docker, socketPath } = await started();
  docker.containers = [{ name: 'app-1' }];
  const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK, maxBackends: 2, maxBodyBytes: 5_000, maxLineBytes: 1_000 }));
  await recorder.set();
  const once = (part: string, status: number, body: string): void => {
    docker.answer = (request, response) => {
      if (request.url?.includes(part) !== true) return false;
      docker.answer = null;
      response.writeHead(status).end(body);
      return true;
    };
  };
  const many = JSON.stringify(Array.from({ length: 3 }, (_, i) => ({ Id: `${i}`, State: 'running' })));
  const lists: [status: number, body: string, reason: string][] = [
    [500, '', 'DISCOVERY_STATUS'],
    [200, '{}', 'DISCOVERY_MALFORMED'],
    [200, '[{}]', 'DISCOVERY_MALFORMED'],
    [200, '[', 'DISCOVERY_MALFORMED'],
    [200, many, 'DISCOVERY_TOO_LARGE'],
    [200, `[${' '.repeat(5_000)}]`, 'DISCOVERY_TOO_LARGE'],
  ];
  for (const [index, [status, body, reason]] of lists.entries()) {
    // A stream each time, a list that was good, and one that was not.
    await followed(docker, index + 1);
    await listed(docker, 2 * index + 1);
    once('/containers/json', status, body);
    docker.happened('start');
    assert.equal((await recorder.failure()).reason, reason, body.slice(0, 40));
  }
  const said = [
    ['nonsense\n', 'DISCOVERY_MALFORMED'],
    ['x'.repeat(1_001), 'DISCOVERY_TOO_LARGE'],
  ] as const;
  for (const [index, [text, reason]] of said.entries()) {
    await followed(docker, lists.length + index + 1);
    docker.say(text);
    assert.equal((await recorder.failure()).reason, reason);
  }
  for (const [part, status] of [
    ['/_ping', 403],
    ['/events', 404],
  ] as const) {
    once(part, status, '');
    docker.breakAll();
    while ((await recorder.failure()).reason !== 'DISCOVERY_STATUS') {
      // The stream that was broken.
    }
  }
});

test('a version that the Engine refuses is a failure', async () => {
  const { socketPath } = await started();
  const recorder = new Recorder(dockerDiscovery({ socketPath, apiVersion: '1.12', ...QUICK }));
  assert.match((await recorder.failure()).message, /Docker answered 400/);
});

test('after close nothing is told, and no connection is left, whatever was under way', async () => {
  const { docker, socketPath } = await started();
  for (const part of ['/_ping', '/events', '/containers/json']) {
    docker.answer = (request) => request.url?.includes(part) === true;
    const asked = docker.requests.filter((line) => line.includes(part)).length;
    const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK }));
    while (docker.requests.filter((line) => line.includes(part)).length === asked) await new Promise((resolve) => setImmediate(resolve));
    recorder.close();
  }
  docker.answer = null;
  const recorder = new Recorder(dockerDiscovery({ socketPath, ...QUICK }));
  await recorder.set();
  recorder.close();
  await docker.idle();
  assert.equal(docker.connections, 0);
});

test('options that cannot work are refused at once', () => {
  assert.throws(() => dockerDiscovery({ socketPath: '' }), TypeError);
  assert.throws(() => dockerDiscovery({ apiVersion: '1.41/../x' }), TypeError);
  assert.throws(() => dockerDiscovery({ label: '' }), TypeError);
  assert.throws(() => dockerDiscovery({ refreshMs: 10 }), RangeError);
  assert.equal(dockerDiscovery().name, 'docker://unix:/var/run/docker.sock/ferrata.enable=true');
});

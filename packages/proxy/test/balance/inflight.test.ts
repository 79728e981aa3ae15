/** Whatever becomes of a request, nothing stays under way at a backend. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { peer } from '@ferrata/upstream';
import { requestFields, valueOf } from '../h2-wire.ts';
import { ok, readResponse, settle, type Wire, when } from '../rig.ts';
import { BalanceRig, type BalanceRigOptions, status } from './rig.ts';

const all = ['a', 'b', 'c'] as const;
const silent = (): void => {};
const reset = (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.reset());
const upgrade = 'GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n';
const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n';
const fail = (): never => {
  throw new Error('a hook throws');
};

interface Kind {
  readonly options?: BalanceRigOptions;
  readonly script?: BalanceRig['scripts'][string];
  readonly run: (rig: BalanceRig) => Promise<number | null>;
  /** What the client is told; null: nothing to be read. */
  readonly status: number | null;
  /** Of all backends together: how many tries ended well, and badly. */
  readonly outcomes: readonly [succeeded: number, failed: number];
}

const statusOf = async (rig: BalanceRig): Promise<number> => rig.ask();

const kinds: Readonly<Record<string, Kind>> = {
  'that is answered': { run: statusOf, status: 200, outcomes: [1, 0] },
  'that is answered 404': { script: status(404), run: statusOf, status: 404, outcomes: [1, 0] },
  'that is answered 503': { script: status(503), run: statusOf, status: 503, outcomes: [0, 1] },
  'that is refused everywhere': { options: { proxy: { maxRetries: 2 } }, script: 'refuse', run: statusOf, status: 502, outcomes: [0, 3] },
  'that is refused, and whose proxy would try for ever': {
    options: { proxy: { maxRetries: 5 } },
    script: 'refuse',
    run: statusOf,
    status: 502,
    outcomes: [0, 6],
  },
  'that is reset': { options: { proxy: { maxRetries: 0 } }, script: reset, run: statusOf, status: 502, outcomes: [0, 1] },
  'that is tried again': {
    script: reset,
    run: async (rig) => {
      const client = await rig.begin();
      return readResponse(client.text).status;
    },
    status: 502,
    outcomes: [0, 2],
  },
  'whose client goes before the answer': {
    script: silent,
    run: async (rig) => {
      const client = await rig.begin();
      assert.equal(
        rig.inflight().reduce((sum, count) => sum + count),
        1,
      );
      client.reset();
      await settle();
      return null;
    },
    status: null,
    outcomes: [0, 0],
  },
  'whose client goes while it is connected for': {
    script: 'hang',
    run: async (rig) => {
      (await rig.begin()).reset();
      await settle();
      return null;
    },
    status: null,
    outcomes: [0, 0],
  },
  'whose client goes within the answer': {
    script: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab')),
    run: async (rig) => {
      (await rig.begin()).reset();
      await settle();
      return null;
    },
    status: null,
    outcomes: [1, 0],
  },
  'that a hook answers': {
    options: { own: { upstreamRequestFilter: (session) => session.respond(418) } },
    run: statusOf,
    status: 418,
    outcomes: [0, 0],
  },
  'whose upstreamRequestFilter throws': { options: { own: { upstreamRequestFilter: fail } }, run: statusOf, status: 500, outcomes: [0, 0] },
  'whose responseFilter throws': { options: { own: { responseFilter: fail } }, run: statusOf, status: 500, outcomes: [1, 0] },
  'whose failToConnect throws': {
    options: { own: { failToConnect: fail } },
    script: 'refuse',
    run: statusOf,
    status: 500,
    outcomes: [0, 1],
  },
  'whose logging throws': { options: { own: { logging: fail } }, run: statusOf, status: 200, outcomes: [1, 0] },
  'whose key throws': { options: { balance: { key: fail } }, run: statusOf, status: 500, outcomes: [0, 0] },
  'whose peer cannot be made': { options: { balance: { peerOf: fail } }, run: statusOf, status: 500, outcomes: [0, 0] },
  'whose isFailure throws': {
    options: { balance: { isFailure: fail } },
    run: statusOf,
    status: 200,
    outcomes: [0, 0],
  },
  'that is tried twice side by side': {
    options: { proxy: { hedgeAfterMs: 100 } },
    script: silent,
    run: async (rig) => {
      const client = await rig.begin();
      await rig.pass(100);
      assert.deepEqual(
        rig.inflight().toSorted((a, b) => a - b),
        [0, 1, 1],
      );
      const [first = ''] = Object.keys(rig.wires);
      rig.wires[first]?.[0]?.send(ok);
      await settle();
      const { status: code } = readResponse(client.text);
      client.reset();
      return code;
    },
    status: 200,
    outcomes: [1, 0],
  },
  'of whose two tries one is lost': {
    options: { proxy: { hedgeAfterMs: 100 } },
    script: silent,
    run: async (rig) => {
      const client = await rig.begin();
      await rig.pass(100);
      const [first = '', second = ''] = Object.keys(rig.wires);
      rig.wires[second]?.[0]?.reset();
      await settle();
      assert.deepEqual(
        rig.inflight().toSorted((a, b) => a - b),
        [0, 0, 1],
      );
      rig.wires[first]?.[0]?.send(ok);
      await settle();
      const { status: code } = readResponse(client.text);
      client.reset();
      return code;
    },
    status: 200,
    outcomes: [1, 1],
  },
  'of whose two tries both are lost': {
    options: { proxy: { hedgeAfterMs: 100 } },
    script: silent,
    run: async (rig) => {
      const client = await rig.begin();
      await rig.pass(100);
      for (const [wire] of Object.values(rig.wires)) wire?.reset();
      await settle();
      const { status: code } = readResponse(client.text);
      client.reset();
      return code;
    },
    status: 502,
    outcomes: [0, 2],
  },
  'that becomes a tunnel': {
    script: (wire) => when(wire, '\r\n\r\n', () => wire.send(switching)),
    run: async (rig) => {
      const client = await rig.begin(upgrade);
      assert.match(client.text, /^HTTP\/1.1 101 /);
      await rig.pass(10_000);
      assert.equal(
        rig.inflight().reduce((sum, count) => sum + count),
        1,
        'as long as the tunnel lasts',
      );
      client.reset();
      await settle();
      return 101;
    },
    status: 101,
    outcomes: [1, 0],
  },
  'that comes by HTTP/2': {
    run: async (rig) => {
      const client = rig.connectH2();
      await settle();
      client.request(requestFields());
      await settle();
      const code = Number(valueOf(client.messages[0]?.fields ?? [], ':status'));
      client.reset();
      await settle();
      return code;
    },
    status: 200,
    outcomes: [1, 0],
  },
  'that goes by HTTP/2, and whose stream is reset': {
    options: { balance: { peerOf: () => peer('10.0.0.1:80', { protocol: 'http2' }) }, proxy: { maxRetries: 0 } },
    run: async (rig) => {
      const client = await rig.begin();
      const [wire] = rig.h2Wires;
      assert.ok(wire !== undefined);
      wire.reset();
      await settle();
      const { status: code } = readResponse(client.text);
      client.reset();
      return code;
    },
    status: 502,
    outcomes: [0, 1],
  },
  'that a subrequest answers': {
    options: {
      own: {
        async requestFilter(session) {
          if (session.isSubrequest) return false;
          await session.respondBy({ request: { target: '/other' } });
          return true;
        },
      },
    },
    run: statusOf,
    status: 200,
    outcomes: [1, 0],
  },
  'with nobody ready': {
    run: (rig) => {
      for (const backend of rig.balancer.backends) rig.balancer.drain(backend);
      return rig.ask();
    },
    status: 503,
    outcomes: [0, 0],
  },
  'that waits for its time, and has none': {
    options: { proxy: { requestTimeoutMs: 1_000 } },
    script: silent,
    run: async (rig) => {
      const client = await rig.begin();
      await rig.pass(1_000);
      const { status: code } = readResponse(client.text);
      client.reset();
      return code;
    },
    status: 504,
    outcomes: [0, 1],
  },
};

for (const outliers of [false, true])
  describe(`a request${outliers ? ', with passive health,' : ''}`, () => {
    for (const [name, { options = {}, script, run, status: wanted, outcomes }] of Object.entries(kinds))
      test(`${name} leaves nothing under way`, async () => {
        const breaker = { maxRetries: 4, maxPending: 100 };
        const rig = new BalanceRig({
          ...options,
          balancer: { breaker, ...(outliers ? { outliers: { consecutiveFailures: 100 } } : {}), ...options.balancer },
        });
        if (script !== undefined) for (const backend of all) rig.scripts[backend] = script;
        const got = await run(rig);
        if (wanted !== null) assert.equal(got, outliers && name === 'whose isFailure throws' ? 500 : wanted);
        await settle();
        const states = rig.balancer.backends.map((backend) => rig.balancer.stateOf(backend));
        const sum = (what: 'succeeded' | 'failed'): number => states.reduce((total, state) => total + state[what], 0);
        assert.deepEqual([sum('succeeded'), sum('failed')], outcomes);
        await rig.finish();
      });
  });

test('a backend that leaves while it has requests under way is forgotten when they end', async () => {
  const rig = new BalanceRig();
  for (const name of all) rig.scripts[name] = silent;
  const clients = [await rig.begin(), await rig.begin(), await rig.begin()];
  const gone = rig.backend('a');
  rig.balancer.update([{ name: 'b', address: '10.0.0.2:80' }]);
  assert.equal(rig.balancer.stateOf(gone).inflight, 1);
  for (const client of clients) client.reset();
  await settle();
  assert.equal(rig.balancer.stateOf(gone).inflight, 0);
  assert.deepEqual(rig.inflight(), [0]);
  await rig.finish();
});

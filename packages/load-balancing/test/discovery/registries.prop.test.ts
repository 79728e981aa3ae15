/**
 * Laws of what registries say: whatever JSON it is, it gives a set or a failure that names the registry's fault, and never an error of ours. What is drawn is any JSON, and
 * answers as they come with one or more of their members changed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isWireError, type WireError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import fc from 'fast-check';
import { checkBackend, type PlainBackend } from '../../src/backend.ts';
import { consulDiscovery } from '../../src/discovery/consul.ts';
import type { Discovery } from '../../src/discovery/discovery.ts';
import { dockerDiscovery } from '../../src/discovery/docker.ts';
import { etcdDiscovery } from '../../src/discovery/etcd.ts';
import { setOfContainers } from '../../src/discovery/internal/docker-containers.ts';
import { backendsOfSlices, readSlice } from '../../src/discovery/internal/endpoint-slices.ts';
import { decodeEtcdValue } from '../../src/discovery/internal/etcd-values.ts';
import { objectOf } from '../../src/discovery/internal/json.ts';
import { kubernetesDiscovery } from '../../src/discovery/kubernetes.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const CONSUL = [
  {
    Node: { ID: '40e4', Node: 'foobar', Address: '10.1.10.12', Datacenter: 'dc1', Meta: { zone: 'a' } },
    Service: { ID: 'app-1', Service: 'app', Address: '', Port: 8_000, Meta: { version: '2' }, Weights: { Passing: 10, Warning: 1 } },
    Checks: [{ CheckID: 'service:app', Status: 'passing' }],
  },
];
const SLICE = {
  metadata: { name: 'app-abc', resourceVersion: '7' },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  endpoints: [
    { addresses: ['10.0.0.1'], conditions: { ready: true, serving: true, terminating: false }, zone: 'a', targetRef: { name: 'pod' } },
    { addresses: ['10.0.0.2'], conditions: { ready: false, serving: true, terminating: true } },
  ],
};
const KUBERNETES = { metadata: { resourceVersion: '7' }, items: [SLICE] };
const KUBERNETES_EVENT = { type: 'MODIFIED', object: SLICE };
const KUBERNETES_ERROR = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } };
const ETCD = {
  header: { cluster_id: '1', member_id: '2', revision: '5' },
  kvs: [{ key: base64('/app/1'), mod_revision: '4', value: base64('10.0.0.1:80') }],
  count: '1',
};
const ETCD_CREATED = { result: { header: { cluster_id: '1', revision: '5' }, created: true } };
const ETCD_EVENT = {
  result: { header: { cluster_id: '1', revision: '6' }, events: [{ type: 'DELETE', kv: { key: base64('/app/1'), mod_revision: '6' } }] },
};
const ETCD_COMPACTED = { result: { header: { cluster_id: '1', revision: '9' }, canceled: true, compact_revision: '8' } };
const DOCKER = [
  {
    Id: '8dfafdbc3a40',
    Names: ['/app-1'],
    State: 'running',
    Status: 'Up 5 minutes (healthy)',
    Ports: [{ PrivatePort: 80, Type: 'tcp' }],
    Labels: { 'ferrata.enable': 'true', 'ferrata.weight': '2' },
    NetworkSettings: { Networks: { bridge: { IPAddress: '172.17.0.2', GlobalIPv6Address: '' } } },
  },
];
const DOCKER_EVENT = { Type: 'container', Action: 'start', Actor: { ID: 'x', Attributes: { 'ferrata.enable': 'true' } } };

/** What JSON may put where something else is awaited. */
const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    '',
    '0',
    '-1',
    '99999999999999999999',
    '10.0.0.1',
    '::1',
    'unix:/x',
    'a@b',
    '[::1',
    'x\r\ny',
    '\u0000',
    1e21,
    -1,
    0.5,
    65_536,
    null,
    {},
    [],
    [null],
    { __proto__: null },
  ),
);

/** An answer with members changed, each found by a walk of drawn steps. */
function mutated(answer: unknown): fc.Arbitrary<unknown> {
  const change = fc.tuple(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 7 }), odd, fc.boolean());
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const root = { answer: structuredClone(answer) };
    for (const [steps, value, isRemoved] of changes) {
      let at: Record<string, unknown> = root;
      let key = 'answer';
      for (const step of steps) {
        const next = at[key];
        if (typeof next !== 'object' || next === null) break;
        const keys = Object.keys(next);
        if (keys.length === 0) break;
        at = next as Record<string, unknown>;
        key = keys[step % keys.length] as string;
      }
      if (isRemoved && !Array.isArray(at)) delete at[key];
      else at[key] = value;
    }
    return root.answer;
  });
}

function said(...answers: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.oneof(odd, ...answers.map(mutated));
}

/** A registry that says whatever it is told to: an answer as a whole, and lines behind which the connection breaks. */
class AnyRegistry {
  readonly #server = createServer((request, response) => this.#answer(request.url ?? '', response));
  answer: unknown = null;
  lines: readonly unknown[] = [];
  /** A list was asked for. */
  onList = (): void => {};

  async listen(path: string | null): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (path === null) this.#server.listen(0, '127.0.0.1', resolve);
    else this.#server.listen(path, resolve);
    await promise;
    return path ?? `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(url: string, response: ServerResponse): void {
    if (url === '/_ping') return void response.end();
    if (!/watch|events/.test(url)) {
      this.onList();
      return void response.end(JSON.stringify(this.answer) ?? 'null');
    }
    const text = this.lines.map((line) => `${JSON.stringify(line) ?? 'null'}\n`).join('');
    // Broken within a chunk: what is said has been read by then.
    response.write(`${text} `, () => response.socket?.destroySoon());
  }
}

/** What is told until the first failure that ends a round or the second list, or the first thing where there is no stream. */
async function heard(discovery: Discovery, registry: AnyRegistry, isStream: boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const errors: WireError[] = [];
  const sets: (readonly PlainBackend[])[] = [];
  let listCount = 0;
  registry.onList = () => {
    listCount++;
    if (isStream && listCount === 2) resolve();
  };
  const watch = discovery.watch(
    {
      onBackends: (backends) => {
        sets.push(backends);
        if (!isStream) resolve();
      },
      onFailed: (error) => {
        errors.push(error);
        if (error.reason !== 'DISCOVERY_ENTRY_INVALID') resolve();
      },
    },
    new HttpEnvironment(),
  );
  try {
    await promise;
  } finally {
    watch.close();
  }
  for (const error of errors) {
    assert.ok(isWireError(error));
    assert.ok(['protocol', 'limit', 'io'].includes(error.type), error.stack);
    assert.equal(error.source, 'upstream', error.message);
  }
  for (const set of sets) {
    const names = set.map((backend) => checkBackend(backend).name);
    assert.equal(new Set(names).size, names.length);
  }
}

interface Kind {
  readonly name: string;
  readonly isUnix?: boolean;
  readonly answers: fc.Arbitrary<unknown>;
  /** A list that is in order, behind which the lines come. */
  readonly list: unknown;
  readonly line: fc.Arbitrary<unknown> | null;
  /** The first line, where the protocol has one. */
  readonly first: readonly unknown[];
  of(address: string): Discovery;
}

const QUICK = { minRetryMs: 1, maxRetryMs: 2, minIntervalMs: 0, settleMs: 0, maxBackends: 50 } as const;

const KINDS: readonly Kind[] = [
  {
    name: 'Consul',
    answers: said(CONSUL),
    list: CONSUL,
    line: null,
    first: [],
    of: (address) => consulDiscovery({ ...QUICK, address, service: 'app', passingOnly: false }),
  },
  {
    name: 'Kubernetes',
    answers: said(KUBERNETES),
    list: KUBERNETES,
    line: said(KUBERNETES_EVENT, KUBERNETES_ERROR),
    first: [],
    of: (address) => kubernetesDiscovery({ ...QUICK, apiServer: address, tls: null, namespace: 'default', service: 'app' }),
  },
  {
    name: 'etcd',
    answers: said(ETCD),
    list: ETCD,
    line: said(ETCD_EVENT, ETCD_COMPACTED, ETCD_CREATED),
    first: [ETCD_CREATED],
    of: (address) => etcdDiscovery({ ...QUICK, address, prefix: '/app/' }),
  },
  {
    name: 'Docker',
    isUnix: true,
    answers: said(DOCKER),
    list: DOCKER,
    line: said(DOCKER_EVENT),
    first: [],
    of: (address) => dockerDiscovery({ ...QUICK, socketPath: address }),
  },
];

describe('whatever a registry says', () => {
  for (const kind of KINDS) {
    const registry = new AnyRegistry();
    const folder = kind.isUnix === true ? mkdtempSync(join(tmpdir(), 'ferrata-any-')) : null;
    let discovery: Discovery;
    before(async () => {
      discovery = kind.of(await registry.listen(folder === null ? null : join(folder, 'any.sock')));
    });
    after(() => {
      registry.close();
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
    });

    test(`${kind.name}: an answer of any JSON gives a set or a failure of the registry`, async () => {
      await fc.assert(
        fc.asyncProperty(kind.answers, async (answer) => {
          registry.answer = answer;
          registry.lines = [];
          await heard(discovery, registry, false);
        }),
        { numRuns: 150 },
      );
    });

    const { line } = kind;
    if (line === null) continue;
    test(`${kind.name}: changes of any JSON give sets or a failure of the registry`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(line, { maxLength: 4 }), async (lines) => {
          registry.answer = kind.list;
          registry.lines = [...kind.first, ...lines];
          await heard(discovery, registry, true);
        }),
        { numRuns: 100 },
      );
    });
  }
});

describe('whatever stands in an entry', () => {
  test('a list of containers is a set or a WireError', () => {
    const reading = { portLabel: 'p', weightLabel: 'ferrata.weight', zoneLabel: 'z', hostAddress: '127.0.0.1' };
    fc.assert(
      fc.property(said(DOCKER), fc.constantFrom(null, 'bridge', '__proto__'), (list, network) => {
        try {
          const { backends } = setOfContainers('Docker', list, { ...reading, network, maxBackends: 10 });
          for (const backend of backends) checkBackend(backend);
        } catch (thrown) {
          if (!isWireError(thrown)) throw thrown;
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('slices are a set or a WireError', () => {
    fc.assert(
      fc.property(
        fc.array(said(SLICE), { maxLength: 3 }),
        fc.constantFrom(null, 80, 'http'),
        fc.boolean(),
        (objects, port, useTerminating) => {
          const slices = objects.flatMap((object, index) => {
            const slice = readSlice(objectOf(object));
            return slice === null ? [] : [[String(index), slice] as const];
          });
          const { backends } = backendsOfSlices(slices, { who: 'Kubernetes', maxBackends: 1_000_000, port, useTerminating });
          for (const backend of backends) checkBackend(backend);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('a value of etcd is a backend or says why it is none, of any bytes', () => {
    const backend = {
      address: '10.0.0.1:80',
      name: 'a',
      weight: 2,
      priority: 0,
      zone: 'z',
      metadata: { a: 'b' },
      isEnabled: true,
      healthPort: 81,
    };
    const values = fc.oneof(
      fc.string(),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')),
      said(backend).map((value) => base64(JSON.stringify(value) ?? '')),
    );
    fc.assert(
      fc.property(values, (value) => {
        const read = decodeEtcdValue(value);
        if ('backend' in read) checkBackend(read.backend);
        else assert.notEqual(read.why, '');
      }),
      { numRuns: 1_000 },
    );
  });
});

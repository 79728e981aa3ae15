/** Discovery by SRV records: tiers, weights, targets that fail. Time by hand; the wire is in `dns-wire.test.ts`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkBackend, type PlainBackend } from '../../src/backend.ts';
import type { DiscoveryWatch } from '../../src/discovery/discovery.ts';
import type { SrvDiscoveryOptions, SrvRecord } from '../../src/discovery/dns-discovery-options.ts';
import { srvDiscovery } from '../../src/discovery/srv-discovery.ts';
import { weightsOfTargets } from '../../src/discovery/srv-weights.ts';
import { type Answer, coded, FakeQueries, records } from './fake-queries.ts';
import { Heard, manual, settled } from './heard.ts';

interface Running {
  readonly queries: FakeQueries;
  readonly heard: Heard;
  readonly watch: DiscoveryWatch;
  advance(ms: number): Promise<void>;
}

const NAME = '_http._tcp.app.example';
const SRV = `SRV ${NAME}`;

async function run(answers: Readonly<Record<string, Answer>>, options: Partial<SrvDiscoveryOptions> = {}): Promise<Running> {
  const { clock, environment } = manual();
  const queries = new FakeQueries(answers);
  const heard = new Heard();
  const watch = srvDiscovery({ name: NAME, queries, ...options }).watch(heard, environment);
  await settled();
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settled();
  };
  return { queries, heard, watch, advance };
}

function srv(name: string, more: Partial<SrvRecord> = {}): SrvRecord {
  return { name, port: 80, priority: 0, weight: 0, ...more };
}

/** `address priority weight`, as they come. */
function shortly(backends: readonly PlainBackend[] | undefined): readonly string[] {
  return (backends ?? []).map(({ address, priority, weight }) => `${address.replace('tcp://', '')} ${priority} ${weight}`);
}

describe('the set', () => {
  test('has each address of each target, with its port, its tier, its weight and its target', async () => {
    const { heard, watch } = await run({
      [SRV]: [
        srv('b.example', { priority: 20, port: 81, weight: 5 }),
        srv('a.example', { priority: 10, port: 80, weight: 60 }),
        srv('c.example', { priority: 10, port: 82, weight: 30 }),
      ],
      'A a.example': records(60, '192.0.2.1'),
      'A b.example': records(60, '192.0.2.2'),
      'AAAA c.example': records(60, '2001:db8::3'),
    });
    assert.deepEqual(shortly(heard.sets[0]), ['192.0.2.1:80 0 60', '[2001:db8::3]:82 0 30', '192.0.2.2:81 1 5']);
    assert.deepEqual(
      heard.sets[0]?.map(({ metadata }) => metadata?.['srvTarget']),
      ['a.example', 'c.example', 'b.example'],
    );
    assert.equal(checkBackend(heard.sets[0]?.[0] as PlainBackend).name, '192.0.2.1:80');
    assert.equal(heard.all.length, 1);
    watch.close();
  });

  test('counts an address and port once, in the first tier', async () => {
    const { heard, watch } = await run({
      [SRV]: [srv('b.example', { priority: 2 }), srv('a.example', { priority: 1 }), srv('b.example', { priority: 2, port: 81 })],
      'A a.example': records(60, '192.0.2.1'),
      'A b.example': records(60, '192.0.2.1'),
    });
    assert.deepEqual(shortly(heard.sets[0]), ['192.0.2.1:80 0 1', '192.0.2.1:81 1 1']);
    watch.close();
  });

  test('is not said again when the records come in another order', async () => {
    const list = [srv('a.example', { weight: 1 }), srv('b.example', { priority: 3 }), srv('a.example', { port: 81 })];
    const { queries, heard, watch, advance } = await run({
      [SRV]: list,
      'A a.example': records(60, '192.0.2.1'),
      'A b.example': records(60, '192.0.2.2'),
    });
    queries.answers[SRV] = list.toReversed();
    await advance(30_000);
    assert.equal(queries.asked.filter((question) => question === SRV).length, 2);
    assert.equal(heard.all.length, 1);
    watch.close();
  });

  test('has at most 128 tiers: those beyond share the last', async () => {
    const list = Array.from({ length: 130 }, (_, index) => srv('a.example', { priority: index * 2, port: index + 1 }));
    const { heard, watch } = await run({ [SRV]: list, 'A a.example': records(60, '192.0.2.1') });
    assert.deepEqual(
      heard.sets[0]?.slice(-4).map(({ priority }) => priority),
      [126, 127, 127, 127],
    );
    watch.close();
  });

  test('is empty where the target is a dot: there decidedly is no such service (RFC 2782)', async () => {
    for (const name of ['', '.']) {
      const { heard, queries, watch } = await run({ [SRV]: [srv(name, { port: 0 })] });
      assert.deepEqual(heard.sets, [[]]);
      assert.equal(heard.errors.length, 0);
      assert.deepEqual(queries.asked, [SRV]);
      watch.close();
    }
  });
});

describe('targets', () => {
  test('one without addresses loses only itself, and that is told once', async () => {
    const { heard, watch, advance } = await run({
      [SRV]: [srv('a.example'), srv('gone.example')],
      'A a.example': records(10, '192.0.2.1'),
    });
    assert.deepEqual(heard.all, ['DNS_TARGET_FAILED', '192.0.2.1:80']);
    assert.match(heard.errors[0]?.message ?? '', /gone\.example/);
    await advance(10_000);
    assert.equal(heard.all.length, 2);
    watch.close();
  });

  test('one that cannot be looked up keeps what it had, and is asked for again soon; one that has no addresses any more goes', async () => {
    const { queries, heard, watch, advance } = await run({
      [SRV]: [srv('a.example'), srv('b.example')],
      'A a.example': records(10, '192.0.2.1'),
      'A b.example': records(10, '192.0.2.2'),
    });
    queries.answers['A b.example'] = coded('ESERVFAIL');
    queries.answers['AAAA b.example'] = coded('ESERVFAIL');
    await advance(10_000);
    assert.deepEqual(heard.all.slice(1), ['DNS_TARGET_FAILED', '192.0.2.1:80 192.0.2.2:80']);
    const { length } = queries.asked;
    await advance(750);
    assert.equal(queries.asked.length, length + 5);
    queries.answers['A b.example'] = coded('ENOTFOUND');
    queries.answers['AAAA b.example'] = coded('ENOTFOUND');
    await advance(1_500);
    assert.equal(heard.all.at(-1), '192.0.2.1:80');
    watch.close();
  });

  test('if none of them has an address, the look has failed, and the set before holds on', async () => {
    const { queries, heard, watch, advance } = await run({ [SRV]: [srv('a.example')], 'A a.example': records(1, '192.0.2.1') });
    queries.answers[SRV] = [srv('b.example'), srv('c.example')];
    await advance(1_000);
    assert.deepEqual(heard.all, ['192.0.2.1:80', 'DNS_TARGET_FAILED']);
    watch.close();
  });

  test('what is no target or no port is passed over, and told', async () => {
    const { heard, watch } = await run({
      [SRV]: [srv('a.example'), srv('192.0.2.9'), srv('a b'), srv('b.example', { port: 0 }), srv('.'), null, { name: 'x' }] as never,
      'A a.example': records(10, '192.0.2.1'),
    });
    assert.deepEqual(heard.all, ['DNS_BAD_TARGET', '192.0.2.1:80']);
    watch.close();
  });

  test('too many of them, or of their addresses, are cut, the last tiers first, and told', async () => {
    const list = Array.from({ length: 40 }, (_, index) => srv(`t${index}.example`, { priority: 100 - index }));
    const answers = Object.fromEntries(
      list.map(({ name }, index) => [`A ${name}`, records(10, `192.0.2.${index}`, `198.51.100.${index}`)]),
    );
    const targets = await run({ ...answers, [SRV]: list }, { maxTargets: 3 });
    assert.equal(targets.heard.all[0], 'DNS_TOO_MANY_TARGETS');
    assert.deepEqual(
      targets.heard.sets[0]?.map(({ metadata }) => metadata?.['srvTarget']),
      ['t39', 't39', 't38', 't38', 't37', 't37'].map((name) => `${name}.example`),
    );
    targets.watch.close();
    const addresses = await run({ ...answers, [SRV]: list }, { maxAddresses: 3 });
    assert.equal(addresses.heard.all[0], 'DNS_TOO_MANY_ADDRESSES');
    assert.equal(addresses.heard.sets[0]?.length, 3);
    addresses.watch.close();
  });

  test('sixteen are looked up at a time', async () => {
    const list = Array.from({ length: 40 }, (_, index) => srv(`t${index}.example`));
    const open = Promise.withResolvers<unknown>();
    const answers = Object.fromEntries(list.map(({ name }) => [`A ${name}`, open.promise]));
    const { queries, heard, watch } = await run({ ...answers, [SRV]: list }, { family: 4 });
    assert.equal(queries.asked.length, 1 + 16);
    open.resolve(records(10, '192.0.2.1'));
    await settled();
    assert.equal(queries.asked.length, 1 + 40);
    assert.equal(heard.all.length, 1);
    watch.close();
  });
});

describe('time and failures', () => {
  test('the least TTL of the addresses decides, within srvTtlMs and the bounds', async () => {
    for (const [ttl, waitMs] of [
      [10, 10_000],
      [60, 30_000],
      [0, 1_000],
    ] as const) {
      const { queries, watch, advance } = await run({ [SRV]: [srv('a.example')], 'A a.example': records(ttl, '192.0.2.1') });
      await advance(waitMs - 1);
      assert.equal(queries.asked.length, 3);
      await advance(1);
      assert.equal(queries.asked.length, 6);
      watch.close();
    }
  });

  for (const [code, reason] of [
    ['ENOTFOUND', 'DNS_NOT_FOUND'],
    ['ESERVFAIL', 'DNS_SERVER_FAILURE'],
  ] as const) {
    test(`${code} for the records is ${reason}, and takes nothing away`, async () => {
      const { queries, heard, watch, advance } = await run({ [SRV]: [srv('a.example')], 'A a.example': records(1, '192.0.2.1') });
      queries.answers[SRV] = coded(code);
      await advance(1_000);
      queries.answers[SRV] = [srv('a.example')];
      await advance(750);
      assert.deepEqual(heard.all, ['192.0.2.1:80', reason, '192.0.2.1:80']);
      watch.close();
    });
  }

  test('no such records are an empty set with negativeIsEmpty', async () => {
    const { heard, watch } = await run({}, { negativeIsEmpty: true });
    assert.deepEqual(heard.sets, [[]]);
    watch.close();
  });

  test('close while targets are looked up asks for no more of them', async () => {
    const list = Array.from({ length: 40 }, (_, index) => srv(`t${index}.example`));
    const open = Promise.withResolvers<unknown>();
    const answers = Object.fromEntries(list.map(({ name }) => [`A ${name}`, open.promise]));
    const { queries, heard, watch } = await run({ ...answers, [SRV]: list }, { family: 4 });
    watch.close();
    open.resolve(records(10, '192.0.2.1'));
    await settled();
    assert.equal(queries.asked.length, 1 + 16);
    assert.deepEqual(heard.all, []);
  });

  test('options are checked at once', () => {
    const make = (options: object): void => void srvDiscovery({ name: NAME, ...options });
    for (const wrong of [{ name: '' }, { name: 'a b' }, { name: 5 }, { port: 80 }, { queries: { resolve4() {}, resolve6() {} } }])
      assert.throws(() => make(wrong), TypeError, JSON.stringify(wrong));
    for (const wrong of [{ srvTtlMs: 0 }, { maxTargets: 0 }, { maxTargets: 4_097 }]) assert.throws(() => make(wrong), RangeError);
    assert.equal(srvDiscovery({ name: NAME }).name, `srv://${NAME}`);
  });
});

describe('weights', () => {
  const weights = (...targets: readonly (readonly [weight: number, addressCount: number])[]): readonly number[] =>
    weightsOfTargets(targets.map(([weight, addressCount]) => ({ weight, addressCount })));

  test('stay as they are where each target has one address, or all have as many', () => {
    assert.deepEqual(weights([60, 1], [30, 1], [10, 1]), [60, 30, 10]);
    assert.deepEqual(weights([60, 2], [30, 2]), [60, 30]);
  });

  test('belong to targets, whatever the number of their addresses', () => {
    assert.deepEqual(weights([1, 1], [1, 3]), [3, 1]);
    assert.deepEqual(weights([2, 2], [3, 3]), [6, 6]);
  });

  test('of 0 are 1 among others, and all alike where all are 0', () => {
    assert.deepEqual(weights([0, 1], [100, 1]), [1, 100]);
    assert.deepEqual(weights([0, 1], [0, 1]), [1, 1]);
    assert.deepEqual(weights(), []);
  });

  test('keep their shares, and never leave their range', () => {
    const target = fc.tuple(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 1, max: 1_024 }));
    fc.assert(
      fc.property(fc.array(target, { minLength: 1, maxLength: 20 }), (targets) => {
        const made = weights(...targets);
        for (const weight of made) assert.ok(Number.isInteger(weight) && weight >= 1 && weight <= 65_535);
        const sums = made.map((weight, index) => weight * (targets[index]?.[1] ?? 0));
        for (const [a, [weightA, countA]] of targets.entries())
          for (const [b, [weightB, countB]] of targets.entries()) {
            // Half a unit may be lost on each address, and whoever has less than one gets one.
            const [shareA, shareB] = [sums[a] as number, sums[b] as number];
            if (weightA > weightB) assert.ok(shareA + countA + countB >= shareB, `${weightA}/${countA} and ${weightB}/${countB}`);
          }
      }),
    );
  });
});

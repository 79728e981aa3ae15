/** Discovery by A and AAAA records: when it asks, what it says, and what failures do. Time by hand; the wire is in `dns-wire.test.ts`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkBackend } from '../../src/backend.ts';
import type { DiscoveryWatch } from '../../src/discovery/discovery.ts';
import { dnsDiscovery } from '../../src/discovery/dns-discovery.ts';
import type { DnsDiscoveryOptions } from '../../src/discovery/dns-discovery-options.ts';
import { type Answer, coded, FakeQueries, records } from './fake-queries.ts';
import { Heard, manual, settled } from './heard.ts';

interface Running {
  readonly queries: FakeQueries;
  readonly heard: Heard;
  readonly watch: DiscoveryWatch;
  advance(ms: number): Promise<void>;
  readonly pending: () => number;
}

async function run(answers: Readonly<Record<string, Answer>>, options: Partial<DnsDiscoveryOptions> = {}): Promise<Running> {
  const { clock, environment } = manual();
  const queries = new FakeQueries(answers);
  const heard = new Heard();
  const watch = dnsDiscovery({ host: 'app.example', port: 80, queries, ...options }).watch(heard, environment);
  assert.deepEqual(heard.all, [], 'nothing is said inside of the call');
  await settled();
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settled();
  };
  return { queries, heard, watch, advance, pending: () => clock.pendingCount };
}

const A = 'A app.example';
const AAAA = 'AAAA app.example';

describe('the set', () => {
  test('has the addresses of both families, in the order of their text, with the port', async () => {
    const { heard, watch } = await run({ [A]: records(60, '192.0.2.2', '192.0.2.1'), [AAAA]: records(60, '2001:db8::1') });
    assert.deepEqual(heard.all, ['192.0.2.1:80 192.0.2.2:80 [2001:db8::1]:80']);
    assert.deepEqual(
      heard.sets[0]?.map((backend) => checkBackend(backend).name),
      ['192.0.2.1:80', '192.0.2.2:80', '[2001:db8::1]:80'],
    );
    watch.close();
  });

  test('has one family if it is asked for one, and asks for no other', async () => {
    for (const [family, question] of [
      [4, A],
      [6, AAAA],
    ] as const) {
      const { heard, queries, watch } = await run({ [A]: records(60, '192.0.2.1'), [AAAA]: records(60, '2001:db8::1') }, { family });
      assert.equal(heard.all.length, 1);
      assert.deepEqual(queries.asked, [question]);
      watch.close();
    }
  });

  test('has the weight that was given', async () => {
    const { heard, watch } = await run({ [A]: records(60, '192.0.2.1') }, { weight: 7 });
    assert.deepEqual(heard.sets, [[{ address: 'tcp://192.0.2.1:80', weight: 7 }]]);
    watch.close();
  });

  test('is not said again when the records come in another order, or twice', async () => {
    const { queries, heard, watch, advance } = await run({ [A]: records(1, '192.0.2.1', '192.0.2.2') });
    for (const order of [
      ['192.0.2.2', '192.0.2.1'],
      ['192.0.2.2', '192.0.2.1', '192.0.2.2'],
    ]) {
      queries.answers[A] = records(1, ...order);
      await advance(1_000);
    }
    assert.equal(queries.asked.filter((question) => question === A).length, 3);
    assert.equal(heard.all.length, 1);
    watch.close();
  });

  test('has what is an address of the family, and nothing else', async () => {
    const odd = [...records(60, '192.0.2.1', '2001:db8::1', 'app', '', '1.2.3'), null, 1, { address: 1 }] as never;
    const { heard, watch } = await run({ [A]: odd });
    assert.deepEqual(heard.all, ['192.0.2.1:80']);
    watch.close();
  });

  test('has the first addresses in their order if there are too many, and that is told once', async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    const { queries, heard, watch, advance } = await run({ [A]: records(1, ...many) });
    assert.equal(heard.errors.length, 1);
    assert.equal(heard.all[0], 'DNS_TOO_MANY_ADDRESSES');
    assert.deepEqual(
      heard.sets.at(-1)?.map(({ address }) => address),
      many
        .toSorted()
        .slice(0, 1_024)
        .map((host) => `tcp://${host}:80`),
    );
    queries.answers[A] = records(1, ...many.toReversed());
    await advance(1_000);
    assert.equal(heard.all.length, 2);
    watch.close();
  });
});

describe('time', () => {
  test('the least TTL decides when it is asked for again', async () => {
    const { queries, heard, watch, advance } = await run({
      [A]: [...records(30, '192.0.2.1'), ...records(10, '192.0.2.2')],
      [AAAA]: records(20, '2001:db8::1'),
    });
    queries.answers[A] = records(30, '192.0.2.3');
    await advance(9_999);
    assert.equal(queries.asked.length, 2);
    await advance(1);
    assert.equal(queries.asked.length, 4);
    assert.equal(heard.all.at(-1), '192.0.2.3:80 [2001:db8::1]:80');
    watch.close();
  });

  test('is held within minTtlMs and maxTtlMs: a TTL of 0 is asked for once a second', async () => {
    for (const [ttl, waitMs] of [
      [0, 1_000],
      [86_400, 300_000],
    ] as const) {
      const { queries, watch, advance } = await run({ [A]: records(ttl, '192.0.2.1') }, { family: 4 });
      await advance(waitMs - 1);
      assert.equal(queries.asked.length, 1);
      await advance(1);
      assert.equal(queries.asked.length, 2);
      watch.close();
    }
  });

  test('a record without a TTL has none', async () => {
    const { queries, watch, advance } = await run({ [A]: [{ address: '192.0.2.1' }] as never }, { family: 4 });
    await advance(1_000);
    assert.equal(queries.asked.length, 2);
    watch.close();
  });
});

describe('failures', () => {
  const reasons: readonly (readonly [code: string, reason: string])[] = [
    ['ESERVFAIL', 'DNS_SERVER_FAILURE'],
    ['EREFUSED', 'DNS_SERVER_FAILURE'],
    ['ETIMEOUT', 'DNS_TIMEOUT'],
    ['ENOTFOUND', 'DNS_NOT_FOUND'],
    ['ENODATA', 'DNS_NOT_FOUND'],
    ['EBADRESP', 'DNS_LOOKUP_FAILED'],
  ];
  for (const [code, reason] of reasons) {
    test(`${code} is ${reason}, and takes nothing away`, async () => {
      const { queries, heard, watch, advance } = await run({ [A]: records(1, '192.0.2.1') }, { family: 4 });
      queries.answers[A] = coded(code);
      await advance(1_000);
      assert.deepEqual(heard.all, ['192.0.2.1:80', reason]);
      // The same set again says that all is well.
      queries.answers[A] = records(1, '192.0.2.1');
      await advance(1_000);
      assert.deepEqual(heard.all, ['192.0.2.1:80', reason, '192.0.2.1:80']);
      watch.close();
    });
  }

  test('are followed by waits that double up to retryMaxMs, three quarters of each at the middle of chance', async () => {
    const { queries, heard, watch, advance } = await run({ [A]: coded('ESERVFAIL') }, { family: 4, retryMinMs: 1_000, retryMaxMs: 5_000 });
    let count = 1;
    for (const waitMs of [750, 1_500, 3_000, 3_750, 3_750]) {
      await advance(waitMs - 1);
      assert.equal(queries.asked.length, count);
      await advance(1);
      assert.equal(queries.asked.length, ++count);
      assert.equal(heard.errors.length, count);
    }
    queries.answers[A] = records(1, '192.0.2.1');
    await advance(3_750);
    queries.answers[A] = coded('ESERVFAIL');
    await advance(1_000);
    const after = queries.asked.length;
    await advance(750);
    assert.equal(queries.asked.length, after + 1, 'an answer sets the waits back');
    watch.close();
  });

  test('of one family leave the other, and what the failed one had; it is told once, and asked again soon', async () => {
    const { queries, heard, watch, advance } = await run({ [A]: records(60, '192.0.2.1'), [AAAA]: records(60, '2001:db8::1') });
    queries.answers[A] = records(60, '192.0.2.2');
    queries.answers[AAAA] = coded('ESERVFAIL');
    await advance(60_000);
    assert.deepEqual(heard.all.slice(1), ['DNS_SERVER_FAILURE', '192.0.2.2:80 [2001:db8::1]:80']);
    await advance(750);
    assert.equal(queries.asked.length, 6);
    assert.equal(heard.all.length, 3);
    queries.answers[AAAA] = coded('ENODATA');
    await advance(1_500);
    assert.equal(heard.all.at(-1), '192.0.2.2:80', 'a family that is given up goes');
    watch.close();
  });

  test('an answer that never comes is one, in time, and is not asked for again while it is awaited', async () => {
    const { queries, heard, watch, advance } = await run(
      { [A]: Promise.withResolvers<unknown>().promise },
      { family: 4, queryTimeoutMs: 2_000 },
    );
    await advance(2_000);
    assert.deepEqual(heard.all, ['DNS_TIMEOUT']);
    await advance(750 + 2_000);
    assert.deepEqual(heard.all, ['DNS_TIMEOUT', 'DNS_TIMEOUT']);
    assert.equal(queries.asked.length, 1);
    watch.close();
  });

  test('queries that throw, or answer with nonsense, are failures', async () => {
    const thrown = await run(
      {},
      {
        family: 4,
        queries: {
          resolve4: () => {
            throw new Error('broken');
          },
          resolve6: () => Promise.resolve([]),
        },
      },
    );
    assert.deepEqual(thrown.heard.all, ['DNS_LOOKUP_FAILED']);
    thrown.watch.close();
    const nonsense = await run({ [A]: Promise.resolve('nonsense') }, { family: 4 });
    assert.deepEqual(nonsense.heard.all, ['DNS_LOOKUP_FAILED']);
    nonsense.watch.close();
  });

  test('no such name is an empty set with negativeIsEmpty, but a broken server is still a failure', async () => {
    const { queries, heard, watch, advance } = await run({ [A]: records(1, '192.0.2.1') }, { negativeIsEmpty: true, negativeTtlMs: 5_000 });
    queries.answers[A] = coded('ENOTFOUND');
    await advance(1_000);
    assert.deepEqual(heard.all, ['192.0.2.1:80', '']);
    const { length } = queries.asked;
    await advance(4_999);
    assert.equal(queries.asked.length, length);
    queries.answers[A] = coded('ESERVFAIL');
    await advance(1);
    assert.deepEqual(heard.all, ['192.0.2.1:80', '', 'DNS_SERVER_FAILURE']);
    watch.close();
  });
});

describe('the end', () => {
  test('nothing is said, asked or armed after close, whatever was under way', async () => {
    const late = Promise.withResolvers<unknown>();
    const { queries, heard, watch, advance, pending } = await run({ [A]: late.promise }, { family: 4 });
    watch.close();
    watch.close();
    assert.equal(queries.cancelled, 1);
    assert.equal(pending(), 0);
    late.resolve(records(1, '192.0.2.1'));
    await settled();
    await advance(1_000_000);
    assert.deepEqual(heard.all, []);
    assert.equal(queries.asked.length, 1);
    assert.equal(pending(), 0);
  });

  test('close between two questions ends the waiting', async () => {
    const { watch, pending } = await run({ [A]: records(1, '192.0.2.1') });
    assert.equal(pending(), 1);
    watch.close();
    assert.equal(pending(), 0);
  });

  test('a listener may close from within, and one that throws is told of it and ends nothing', async () => {
    const { clock, environment } = manual();
    const queries = new FakeQueries({ [A]: records(1, '192.0.2.1') });
    const heard = new Heard();
    const watch = dnsDiscovery({ host: 'app.example', port: 80, queries }).watch(
      {
        onBackends: () => {
          throw new RangeError('not these');
        },
        onFailed: (error) => {
          heard.onFailed(error);
          if (heard.errors.length === 2) watch.close();
          throw new Error('nor that');
        },
      },
      environment,
    );
    await settled();
    assert.deepEqual(heard.all, ['DISCOVERY_SET_REFUSED']);
    clock.advance(1_000);
    await settled();
    assert.equal(heard.errors.length, 2);
    assert.equal(clock.pendingCount, 0);
  });
});

describe('options', () => {
  const make = (options: object): void => void dnsDiscovery({ host: 'app.example', port: 80, ...options });

  test('are checked at once', () => {
    for (const wrong of [
      { host: '' },
      { host: 'a b' },
      { host: '192.0.2.1' },
      { host: '::1' },
      { host: 1 },
      { servers: [] },
      { servers: ['nonsense'] },
      { servers: ['192.0.2.1'], queries: new FakeQueries({}) },
      { queries: {} },
      { negativeIsEmpty: 1 },
      { hots: 'x' },
    ])
      assert.throws(() => make(wrong), TypeError, JSON.stringify(wrong));
    for (const wrong of [
      { port: 0 },
      { port: 65_536 },
      { weight: -1 },
      { family: 5 },
      { minTtlMs: 0 },
      { minTtlMs: 2_000, maxTtlMs: 1_000 },
      { retryMinMs: 2_000, retryMaxMs: 1_000 },
      { queryTimeoutMs: 0 },
      { negativeTtlMs: 0 },
      { maxAddresses: 0 },
      { maxAddresses: 65_537 },
    ])
      assert.throws(() => make(wrong), RangeError, JSON.stringify(wrong));
  });

  test('its name says what is asked for', () => {
    assert.equal(dnsDiscovery({ host: 'app.example', port: 80 }).name, 'dns://app.example:80');
  });
});

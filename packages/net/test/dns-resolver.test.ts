/** Names and what becomes of them: with questions that the test answers and a clock that it moves, and once with a name server on loopback. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import { isWireError, type WireError } from '@ferrata/error';
import { connect, type DnsAnswer, DnsResolver, type DnsResolverOptions, holdSockets, listen } from '../src/index.ts';
import { startDnsServer } from './dns-server.ts';
import { until } from './pairs.ts';

async function settle(): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

function failure(code: string): Error {
  return Object.assign(new Error(`query ${code}`), { code });
}

type Said = readonly string[] | string | null;

/** A name server in name only: what it says of A and AAAA, as addresses, a code of Node's, or null for nothing ever. */
function rig(options: DnsResolverOptions = {}) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const says: { a: Said; aaaa: Said; ttl: number } = { a: ['192.0.2.1'], aaaa: 'ENODATA', ttl: 60 };
  const answer = (said: Said) => {
    if (said === null) return new Promise<never>(() => {});
    if (typeof said === 'string') return Promise.reject(failure(said));
    return Promise.resolve(said.map((address) => ({ address, ttl: says.ttl })));
  };
  const inSystem: string[] = [];
  const resolver = new DnsResolver({
    queries: {
      resolve4: (name) => {
        asked.push(`A ${name}`);
        return answer(says.a);
      },
      resolve6: (name) => {
        asked.push(`AAAA ${name}`);
        return answer(says.aaaa);
      },
    },
    systemLookup: (name) => {
      inSystem.push(name);
      return name === 'localhost' || name === 'hosts.test'
        ? Promise.resolve([{ address: '127.0.0.1', family: 4 }])
        : Promise.reject(failure('ENOTFOUND'));
    },
    clock,
    random: seededRandom(1),
    ...options,
  });
  return { clock, resolver, says, asked, inSystem };
}

const hosts = ({ addresses }: DnsAnswer): string[] => addresses.map(({ address }) => address);

async function rejection(promise: Promise<unknown>): Promise<WireError> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(isWireError(thrown), String(thrown));
    return thrown;
  }
  assert.fail('it was fulfilled');
}

describe('DnsResolver', () => {
  test('asks for A and AAAA at once, one question a name, whoever wants it and however it is written', async () => {
    const { resolver, says, asked } = rig();
    says.aaaa = ['2001:db8::1'];
    const [first, second] = await Promise.all([resolver.resolve('a.test'), resolver.resolve('A.test')]);
    assert.deepEqual(hosts(first).toSorted(), ['192.0.2.1', '2001:db8::1']);
    assert.deepEqual(hosts(second).toSorted(), ['192.0.2.1', '2001:db8::1']);
    assert.deepEqual(asked, ['A a.test', 'AAAA a.test']);
    assert.deepEqual([first.staleMs, first.error], [0, null]);
    await resolver.resolve('a.test');
    assert.equal(asked.length, 2, 'it remembers');
    assert.equal(resolver.size, 1);
  });

  test('an answer holds for its TTL: the least of its records, within bounds', async () => {
    for (const [ttl, holdsMs] of [
      [60, 60_000],
      [0, 1_000],
      [86_400, 300_000],
      [Number.NaN, 1_000],
      [-5, 1_000],
    ] as const) {
      const { resolver, says, asked, clock } = rig();
      says.ttl = ttl;
      await resolver.resolve('a.test');
      clock.advance(holdsMs - 1);
      await resolver.resolve('a.test');
      assert.equal(asked.length, 2, `${ttl}`);
      clock.advance(1);
      await resolver.resolve('a.test');
      assert.equal(asked.length, 4, `${ttl}`);
    }
  });

  test('families alternate, IPv6 first, and each answer begins with another address (RFC 8305 §4)', async () => {
    const { resolver, says } = rig();
    says.a = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
    says.aaaa = ['2001:db8::1', '2001:db8::2'];
    const answers: DnsAnswer[] = [];
    for (let round = 0; round < 6; round++) answers.push(await resolver.resolve('a.test'));
    for (const { addresses } of answers)
      assert.deepEqual(
        addresses.map(({ family }) => family),
        [6, 4, 6, 4, 4],
      );
    const firsts = (family: number): Set<string | undefined> =>
      new Set(answers.map(({ addresses }) => addresses.find((one) => one.family === family)?.address));
    assert.equal(firsts(4).size, 3);
    assert.equal(firsts(6).size, 2);
    const other = rig({ firstFamily: 4 });
    other.says.aaaa = ['2001:db8::1'];
    assert.deepEqual(
      (await other.resolver.resolve('a.test')).addresses.map(({ family }) => family),
      [4, 6],
    );
  });

  for (const [what, a, aaaa, reason] of [
    ['NXDOMAIN', 'ENOTFOUND', 'ENOTFOUND', 'DNS_NOT_FOUND'],
    ['SERVFAIL', 'ESERVFAIL', 'ESERVFAIL', 'DNS_SERVER_FAILURE'],
    ['REFUSED', 'EREFUSED', 'EREFUSED', 'DNS_SERVER_FAILURE'],
    ['a time-out of the servers', 'ETIMEOUT', 'ETIMEOUT', 'DNS_TIMEOUT'],
    ['an empty answer', [], [], 'DNS_NOT_FOUND'],
    ['no such records', 'ENODATA', 'ENODATA', 'DNS_NOT_FOUND'],
    ['no servers', 'ECONNREFUSED', 'ECONNREFUSED', 'DNS_LOOKUP_FAILED'],
    ['addresses that are none', ['nonsense', '300.1.1.1'], ['192.0.2.1'], 'DNS_NOT_FOUND'],
  ] as const) {
    test(`U19: ${what} at first is 502 (${reason}), remembered shortly; later the last good addresses stay, and say how old they are`, async () => {
      const first = rig();
      Object.assign(first.says, { a, aaaa });
      const error = await rejection(first.resolver.resolve('a.test'));
      assert.deepEqual([error.type, error.reason, error.status, error.retry], ['connect', reason, 502, 'always']);
      const another = await rejection(first.resolver.resolve('a.test'));
      assert.notEqual(another, error, 'one for each who asks');
      assert.equal(first.asked.length, 2, 'not asked again at once');
      first.clock.advance(5_000);
      first.says.a = ['192.0.2.9'];
      assert.deepEqual(hosts(await first.resolver.resolve('a.test')), ['192.0.2.9']);

      const { resolver, says, clock, asked } = rig();
      await resolver.resolve('a.test');
      Object.assign(says, { a, aaaa });
      clock.advance(70_000);
      const stale = await resolver.resolve('a.test');
      assert.deepEqual([hosts(stale), stale.staleMs, stale.error?.reason], [['192.0.2.1'], 10_000, reason]);
      assert.equal(asked.length, 4);
      await resolver.resolve('a.test');
      assert.equal(asked.length, 4, 'not asked again at once');
      assert.deepEqual(resolver.counts, { asked: 2, failed: 1, stale: 2 });
      clock.advance(3_600_000);
      assert.equal((await rejection(resolver.resolve('a.test'))).reason, reason);
      clock.advance(5_000);
      Object.assign(says, { a: ['192.0.2.2'], aaaa: 'ENODATA' });
      const fresh = await resolver.resolve('a.test');
      assert.deepEqual([hosts(fresh), fresh.staleMs, fresh.error], [['192.0.2.2'], 0, null]);
    });
  }

  test('U19: a server that is silent is given up in time; whoever has old addresses waits a moment only (RFC 8767)', async () => {
    const silent = rig();
    Object.assign(silent.says, { a: null, aaaa: null });
    const failed = rejection(silent.resolver.resolve('a.test'));
    silent.clock.advance(2_499);
    await settle();
    silent.clock.advance(1);
    assert.equal((await failed).reason, 'DNS_TIMEOUT');
    assert.equal(silent.clock.pendingCount, 0);

    const { resolver, says, clock } = rig();
    await resolver.resolve('a.test');
    clock.advance(60_000);
    Object.assign(says, { a: null, aaaa: null });
    let answer: DnsAnswer | null = null;
    const asking = resolver.resolve('a.test').then((value) => (answer = value));
    clock.advance(499);
    await settle();
    assert.equal(answer, null);
    clock.advance(1);
    await asking;
    assert.ok(answer !== null);
    assert.deepEqual([hosts(answer), (answer as DnsAnswer).staleMs], [['192.0.2.1'], 500]);
  });

  test('U19: IPv6 broken: the addresses of one family wait 50 ms for the other; what comes later is there for the next (RFC 8305 §3)', async () => {
    const { clock, resolver, says, asked } = rig();
    says.aaaa = null;
    const asking = resolver.resolve('a.test');
    await settle();
    clock.advance(50);
    assert.deepEqual(hosts(await asking), ['192.0.2.1']);
    await resolver.resolve('a.test');
    assert.equal(asked.length, 2, 'one question at a time');
    clock.advance(2_450);
    await settle();
    // IPv6 is asked for again soon, and nobody waits for it meanwhile.
    clock.advance(5_000);
    assert.deepEqual(hosts(await resolver.resolve('a.test')), ['192.0.2.1']);
    assert.equal(asked.length, 4);

    const late = Promise.withResolvers<readonly { address: string; ttl: number }[]>();
    const slow = rig({ queries: { resolve4: async () => [{ address: '192.0.2.1', ttl: 60 }], resolve6: () => late.promise } });
    const first = slow.resolver.resolve('a.test');
    await settle();
    slow.clock.advance(50);
    assert.deepEqual(hosts(await first), ['192.0.2.1']);
    late.resolve([{ address: '2001:db8::1', ttl: 60 }]);
    await settle();
    assert.deepEqual(hosts(await slow.resolver.resolve('a.test')), ['2001:db8::1', '192.0.2.1']);
    assert.equal(slow.clock.pendingCount, 0);
  });

  test('U19: a family that is silent holds up no new question for the other, be the old answer of no use (maxStaleMs 0)', async () => {
    const { resolver, says, clock, asked } = rig({ maxStaleMs: 0 });
    says.ttl = 0;
    says.aaaa = null;
    const first = resolver.resolve('a.test');
    await settle();
    clock.advance(50);
    assert.deepEqual(hosts(await first), ['192.0.2.1']);
    // The answer is over after a second, the silence after 2.5.
    clock.advance(1_000);
    says.a = ['192.0.2.2'];
    const second = resolver.resolve('a.test');
    await settle();
    clock.advance(50);
    assert.deepEqual(hosts(await second), ['192.0.2.2']);
    assert.deepEqual(asked, ['A a.test', 'AAAA a.test', 'A a.test'], 'what is on its way is not asked for again');
    // The time of the silent question is over; it is asked anew when the answer is.
    clock.advance(1_500);
    await settle();
    const third = resolver.resolve('a.test');
    await settle();
    clock.advance(50);
    await third;
    assert.deepEqual(asked.slice(3), ['A a.test', 'AAAA a.test']);
  });

  test('a family that fails keeps its last good addresses beside new ones of the other; one that is given up is dropped', async () => {
    const { clock, resolver, says } = rig();
    says.aaaa = ['2001:db8::1'];
    await resolver.resolve('a.test');
    clock.advance(60_000);
    Object.assign(says, { a: 'ESERVFAIL', aaaa: ['2001:db8::2'] });
    const mixed = await resolver.resolve('a.test');
    assert.deepEqual(hosts(mixed), ['2001:db8::2', '192.0.2.1']);
    clock.advance(60_000);
    Object.assign(says, { a: 'ENODATA' });
    assert.deepEqual(hosts(await resolver.resolve('a.test')), ['2001:db8::2']);
  });

  test('U19: of 5 000 addresses 64 are kept, each once', async () => {
    const { resolver, says } = rig();
    says.a = Array.from({ length: 5_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`).flatMap((address) => [address, address]);
    const { addresses } = await resolver.resolve('a.test');
    assert.equal(addresses.length, 64);
    assert.equal(new Set(addresses.map(({ address }) => address)).size, 64);
    says.aaaa = Array.from({ length: 5_000 }, (_, index) => `2001:db8::${(index + 1).toString(16)}`);
    assert.equal((await resolver.resolve('b.test')).addresses.length, 64);
  });

  test('names without a dot, localhost, and those that the DNS does not know are the system’s', async () => {
    const { resolver, asked, inSystem, says, clock } = rig();
    assert.deepEqual(hosts(await resolver.resolve('localhost')), ['127.0.0.1']);
    assert.equal((await rejection(resolver.resolve('printer'))).reason, 'DNS_NOT_FOUND');
    assert.equal((await rejection(resolver.resolve('x.localhost'))).reason, 'DNS_NOT_FOUND');
    assert.deepEqual([asked, inSystem], [[], ['localhost', 'printer', 'x.localhost']]);
    clock.advance(9_999);
    await resolver.resolve('LOCALHOST');
    assert.equal(inSystem.length, 3);
    clock.advance(1);
    await resolver.resolve('localhost');
    assert.equal(inSystem.length, 4);
    Object.assign(says, { a: 'ENOTFOUND', aaaa: 'ENOTFOUND' });
    assert.deepEqual(hosts(await resolver.resolve('hosts.test')), ['127.0.0.1']);
    assert.deepEqual(asked, ['A hosts.test', 'AAAA hosts.test']);
    for (const address of ['192.0.2.1', '::1']) assert.deepEqual(hosts(await resolver.resolve(address)), [address]);
    assert.equal(asked.length, 2);
  });

  test('a bounded number of names: the one used longest ago is forgotten, those that are asked for are not', async () => {
    const { resolver, asked, says } = rig({ maxNames: 2 });
    await resolver.resolve('a.test');
    await resolver.resolve('b.test');
    await resolver.resolve('a.test');
    await resolver.resolve('c.test');
    assert.equal(resolver.size, 2);
    await resolver.resolve('a.test');
    assert.equal(asked.filter((question) => question === 'A a.test').length, 1);
    Object.assign(says, { a: null, aaaa: null });
    void resolver.resolve('d.test');
    void resolver.resolve('e.test');
    const error = await rejection(resolver.resolve('f.test'));
    assert.deepEqual([error.type, error.reason, error.status], ['limit', 'DNS_TOO_MANY_NAMES', 503]);
    resolver.clear();
    assert.equal(resolver.size, 0);
  });

  test('questions that throw, and answers that are none, are failures of that name', async () => {
    const throws = (): never => {
      throw new Error('bug');
    };
    const nonsense = (() => Promise.resolve(5)) as unknown as () => Promise<never[]>;
    for (const [resolve4, resolve6] of [
      [throws, throws],
      [nonsense, nonsense],
      [throws, nonsense],
    ] as const) {
      const { resolver } = rig({ queries: { resolve4, resolve6 } });
      assert.equal((await rejection(resolver.resolve('a.test'))).reason, 'DNS_LOOKUP_FAILED');
    }
  });

  test('close gives up, and answers nobody any more', async () => {
    let isCancelled = false;
    using resolver = new DnsResolver({
      queries: { resolve4: async () => [], resolve6: async () => [], cancel: () => void (isCancelled = true) },
    });
    resolver.close();
    resolver.close();
    assert.ok(isCancelled);
    assert.equal((await rejection(resolver.resolve('a.test'))).reason, 'DNS_CLOSED');
  });

  test('lookup answers as Node asks: one address or all, of one family or both, and later', async () => {
    const { resolver, says } = rig();
    says.aaaa = ['2001:db8::1'];
    const look = (options: object): Promise<unknown[]> =>
      new Promise((resolve) => {
        let isLater = false;
        resolver.lookup('a.test', options, (...answer) => {
          assert.ok(isLater);
          resolve(answer);
        });
        isLater = true;
      });
    const [v4, v6] = [
      { address: '192.0.2.1', family: 4 },
      { address: '2001:db8::1', family: 6 },
    ];
    assert.deepEqual(await look({ all: true }), [null, [v6, v4]]);
    assert.deepEqual(await look({ all: true, family: 4 }), [null, [v4]]);
    assert.deepEqual(await look({ family: 'IPv4' }), [null, '192.0.2.1', 4]);
    assert.deepEqual(await look({ family: 'IPv6' }), [null, '2001:db8::1', 6]);
    assert.deepEqual(await look({}), [null, '2001:db8::1', 6]);
    says.aaaa = 'ENODATA';
    resolver.clear('A.TEST');
    const [error] = await look({ family: 6 });
    assert.equal((error as WireError).reason, 'DNS_NOT_FOUND');
  });

  test('lookup finds the addresses of the family that is wanted, however few an answer may have', async () => {
    const { resolver, says } = rig({ maxAddresses: 1 });
    says.aaaa = ['2001:db8::1'];
    for (const [family, wanted] of [
      [4, '192.0.2.1'],
      [6, '2001:db8::1'],
    ] as const) {
      const found = await new Promise((resolve, reject) => {
        resolver.lookup('a.test', { family, all: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)));
      });
      assert.deepEqual(found, [{ address: wanted, family }]);
    }
  });

  test('what can be no name is not asked for, and not remembered (RFC 1035 §2.3.4)', async () => {
    const { resolver, asked, inSystem } = rig();
    const longest = `${'a'.repeat(61)}.`.repeat(4).slice(0, -1);
    for (const name of ['', '.', `${'a'.repeat(100_000)}.test`, `${longest}.abcdef`, 'a b.test', 'localhost\0.test', 'a\r\n.test']) {
      const error = await rejection(resolver.resolve(name));
      assert.equal(error.reason, 'DNS_NOT_FOUND', name.slice(0, 20));
      assert.ok(error.message.length < 400);
    }
    assert.deepEqual([asked, inSystem, resolver.size], [[], [], 0]);
    assert.equal(`${longest}.abcde`.length, 253);
    await resolver.resolve(`${longest}.abcde.`);
    await resolver.resolve('_a-1.TEST.');
    assert.equal(resolver.size, 2);
  });

  test('the time of an answer begins when it came, and not when that of the other family did', async () => {
    const { resolver, says, clock } = rig();
    Object.assign(says, { aaaa: null, ttl: 2 });
    const first = resolver.resolve('a.test');
    await settle();
    clock.advance(50);
    await first;
    clock.advance(2_450);
    await settle();
    Object.assign(says, { a: null });
    const second = resolver.resolve('a.test');
    await settle();
    clock.advance(500);
    assert.equal((await second).staleMs, 1_000);
  });

  test('who waits when it is closed hears so at once, also if those that are asked cannot be stopped', async () => {
    const { resolver, says } = rig();
    Object.assign(says, { a: null, aaaa: null });
    const waiting = rejection(resolver.resolve('a.test'));
    await settle();
    resolver.close();
    assert.equal((await waiting).reason, 'DNS_CLOSED');
  });

  test('nor does it help to be forgotten: who waits for a name that was cleared hears of the end, too', async () => {
    const { resolver, says } = rig();
    says.a = null;
    says.aaaa = null;
    const waiting = [rejection(resolver.resolve('a.test'))];
    resolver.clear();
    waiting.push(rejection(resolver.resolve('a.test')));
    resolver.close();
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ reason }) => reason),
      ['DNS_CLOSED', 'DNS_CLOSED'],
    );
  });

  test('refuses nonsense', () => {
    for (const options of [
      { minTtlMs: 0 },
      { maxTtlMs: 1, minTtlMs: 2 },
      { negativeTtlMs: -1 },
      { maxNames: 0 },
      { maxAddresses: 1.5 },
      { queryTimeoutMs: Number.POSITIVE_INFINITY },
      { firstFamily: 5 },
    ])
      assert.throws(() => new DnsResolver(options as DnsResolverOptions), RangeError, JSON.stringify(options));
    const queries = { resolve4: async () => [], resolve6: async () => [] };
    for (const options of [
      { queries: {} },
      { queries, servers: ['127.0.0.1'] },
      { servers: [] },
      { servers: ['nonsense'] },
      { systemLookup: 5 },
      { clock: 5 },
      { random: {} },
      { ttl: 5 },
    ])
      assert.throws(() => new DnsResolver(options as DnsResolverOptions), { name: 'TypeError' }, JSON.stringify(options));
  });
});

describe('with a name server, and sockets', () => {
  test('a name is looked up by UDP, connected to by its first address that answers, and remembered', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.abort());
    assert.ok(listener.address.kind === 'ip');
    const { port } = listener.address;
    await using server = await startDnsServer((name, type) => {
      if (name !== 'origin.test') return { rcode: name === 'broken.test' ? 2 : 3 };
      return type === 'A' ? { addresses: ['127.0.0.1'], ttl: 30 } : { addresses: ['2001:db8::1'], ttl: 30 };
    });
    using resolver = new DnsResolver({ servers: [server.address], systemLookup: () => Promise.reject(failure('ENOTFOUND')) });
    const { lookup } = resolver;
    for (let round = 0; round < 2; round++) {
      const stream = await connect(`origin.test:${port}`, { lookup });
      assert.deepEqual(stream.info.remoteAddress, { kind: 'ip', host: '127.0.0.1', port });
      stream.abort();
    }
    assert.deepEqual(server.asked.toSorted(), ['A origin.test', 'AAAA origin.test']);
    const answer = await resolver.resolve('origin.test');
    assert.deepEqual(hosts(answer), ['2001:db8::1', '127.0.0.1']);
    const unknown = await rejection(connect(`unknown.test:${port}`, { lookup }));
    assert.deepEqual([unknown.type, unknown.reason, unknown.status], ['connect', 'DNS_NOT_FOUND', 502]);
    assert.equal(unknown.context, `tcp://unknown.test:${port}`);
    const broken = await rejection(connect(`broken.test:${port}`, { lookup }));
    assert.deepEqual([broken.type, broken.reason, broken.status], ['connect', 'DNS_SERVER_FAILURE', 502]);
  });

  test('a server that is silent: DNS_TIMEOUT, in the time that was given', async () => {
    await using server = await startDnsServer(() => null);
    using resolver = new DnsResolver({ servers: [server.address], queryTimeoutMs: 50 });
    assert.equal((await rejection(resolver.resolve('silent.test'))).reason, 'DNS_TIMEOUT');
    await until(() => server.asked.length >= 2);
  });

  test('an address that is silent is given up for the next after 250 ms: one after the other, not side by side', {
    skip: process.platform !== 'linux' && 'only Linux has all of 127.0.0.0/8, and /proc',
  }, async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.abort());
    assert.ok(listener.address.kind === 'ip');
    const { port } = listener.address;
    // Its queue is full: from then on the kernel drops what wants to connect.
    const [hole] = await holdSockets([{ transport: 'tcp', host: '127.0.0.2', port, backlog: 1 }]);
    const filling = [await connect(`127.0.0.2:${port}`), await connect(`127.0.0.2:${port}`)];
    using resolver = new DnsResolver({
      queries: {
        resolve4: async () => ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, ttl: 60 })),
        resolve6: async () => [],
      },
      random: { ...seededRandom(1), below: () => 0 },
    });
    const before = performance.now();
    const stream = await connect(`origin.test:${port}`, { lookup: resolver.lookup });
    assert.ok(performance.now() - before >= 240);
    assert.deepEqual(stream.info.remoteAddress, { kind: 'ip', host: '127.0.0.1', port });
    // 0200007F is 127.0.0.2, and 02 SYN_SENT.
    const hex = port.toString(16).toUpperCase().padStart(4, '0');
    assert.ok(!readFileSync('/proc/net/tcp', 'latin1').includes(`0200007F:${hex} 02`), 'the first attempt is gone');
    stream.abort();
    for (const one of filling) one.abort();
    await hole?.release();
  });

  test('an address that refuses is followed by the next', async () => {
    await using listener = await listen('127.0.0.1:0', (stream) => stream.abort());
    assert.ok(listener.address.kind === 'ip');
    // Every address of 127.0.0.0/8 leads here, and a listener of one address refuses at the others.
    using resolver = new DnsResolver({
      queries: {
        resolve4: async () => ['127.0.0.3', '127.0.0.2', '127.0.0.1'].map((address) => ({ address, ttl: 1 })),
        resolve6: async () => [],
      },
    });
    const stream = await connect(`origin.test:${listener.address.port}`, { lookup: resolver.lookup });
    assert.ok(stream.info.remoteAddress.kind === 'ip');
    assert.equal(stream.info.remoteAddress.host, '127.0.0.1');
    stream.abort();
  });
});

/** Filters of connections, alone: what they answer, and what they are told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ManualClock } from '@ferrata/clock';
import { memoryPair, type StreamAddress } from '@ferrata/stream';
import { allowOnly, CidrSet, type ConnectionFilter, everyFilter, perSource, refuse, resolveAcceptProxyOptions } from '../src/index.ts';

const unset: StreamAddress = { kind: 'unset' };
const { info } = memoryPair().a;

function ip(host: string): StreamAddress {
  return { kind: 'ip', host, port: 1 };
}

/** A filter that answers as it is told, and writes down its calls. */
function scripted(name: string, calls: string[], answer: () => unknown): ConnectionFilter {
  return {
    shouldAccept: () => {
      calls.push(name);
      return answer() as boolean;
    },
    onClosed: () => void calls.push(`${name} closed`),
  };
}

describe('allowOnly and refuse', () => {
  test('decide by the set, IPv4 in IPv6 included', () => {
    const allow = allowOnly(['10.0.0.0/8']);
    const deny = refuse(new CidrSet(['10.0.0.0/8']));
    for (const [host, isIn] of [
      ['10.9.8.7', true],
      ['::ffff:10.9.8.7', true],
      ['11.0.0.0', false],
      ['::1', false],
    ] as const) {
      assert.equal(allow.shouldAccept(ip(host), info), isIn);
      assert.equal(deny.shouldAccept(ip(host), info), !isIn);
    }
  });

  test('a peer without an IP address is not on the list of the one, nor on that of the other', () => {
    assert.equal(allowOnly(['0.0.0.0/0', '::/0']).shouldAccept(unset, info), false);
    assert.equal(refuse(['0.0.0.0/0', '::/0']).shouldAccept(unset, info), true);
  });

  test('a set that another copy of this package has made is taken as it is; a Set is a list of ranges', () => {
    const foreign = { size: 1, has: (host: string) => host === '192.0.2.1' } as unknown as CidrSet;
    for (const ranges of [foreign, new Set(['192.0.2.1'])]) {
      assert.equal(allowOnly(ranges).shouldAccept(ip('192.0.2.1'), info), true);
      assert.equal(refuse(ranges).shouldAccept(ip('192.0.2.1'), info), false);
    }
    assert.equal(resolveAcceptProxyOptions({ trusted: foreign }).trusted, foreign);
    assert.throws(() => allowOnly({} as CidrSet), TypeError);
  });

  test('a malformed range is a mistake at once', () => {
    assert.throws(() => allowOnly(['10.0.0.0/99']), TypeError);
    assert.throws(() => refuse(['nonsense']), TypeError);
  });
});

describe('everyFilter', () => {
  test('of none accepts, of one is that one', () => {
    assert.equal(everyFilter().shouldAccept(unset, info), true);
    const one = refuse([]);
    assert.equal(everyFilter(one), one);
  });

  test('asks in order, not beyond the first refusal, and tells those before it that it is over', () => {
    const calls: string[] = [];
    const every = everyFilter(
      scripted('a', calls, () => true),
      scripted('b', calls, () => true),
      scripted('c', calls, () => false),
      scripted('d', calls, () => true),
    );
    assert.equal(every.shouldAccept(unset, info), false);
    assert.deepEqual(calls, ['a', 'b', 'c', 'a closed', 'b closed']);
  });

  test('of filters that answer at once it answers at once; all are told of the close', () => {
    const calls: string[] = [];
    const every = everyFilter(
      scripted('a', calls, () => true),
      scripted('b', calls, () => true),
      { shouldAccept: () => true },
    );
    assert.equal(every.shouldAccept(unset, info), true);
    every.onClosed?.(unset, info);
    assert.deepEqual(calls, ['a', 'b', 'a closed', 'b closed']);
  });

  test('waits for a promise, and then asks the others', async () => {
    const calls: string[] = [];
    const every = everyFilter(
      scripted('a', calls, () => Promise.resolve(true)),
      scripted('b', calls, () => Promise.resolve(true)),
      scripted('c', calls, () => true),
    );
    assert.equal(await every.shouldAccept(unset, info), true);
    assert.deepEqual(calls, ['a', 'b', 'c']);
  });

  for (const [what, answer] of [
    ['resolves to false', () => Promise.resolve(false)],
    ['resolves to garbage', () => Promise.resolve('yes')],
    ['rejects', () => Promise.reject(new Error('no'))],
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['answers garbage', () => 1],
    ['answers null', () => null],
  ] as const) {
    test(`a filter that ${what} refuses, and those before it are told`, async () => {
      const calls: string[] = [];
      const every = everyFilter(
        scripted('a', calls, () => true),
        scripted('b', calls, answer),
      );
      const answered = await new Promise((resolve) => resolve(every.shouldAccept(unset, info))).catch(() => 'failed');
      assert.notEqual(answered, true);
      assert.deepEqual(calls, ['a', 'b', 'a closed']);
    });
  }

  for (const isLate of [true, false]) {
    test(`given up, it tells those that have accepted, and the pending one; a late ${isLate} is taken back from that one alone`, async () => {
      const calls: string[] = [];
      const late = Promise.withResolvers<boolean>();
      const every = everyFilter(
        scripted('a', calls, () => true),
        { ...scripted('b', calls, () => late.promise), onGivenUp: () => void calls.push('b given up') },
        scripted('c', calls, () => true),
      );
      const answer = every.shouldAccept(unset, info);
      every.onGivenUp?.(unset, info);
      every.onGivenUp?.(unset, info);
      assert.deepEqual(calls, ['a', 'b', 'b given up', 'a closed']);
      late.resolve(isLate);
      assert.equal(await answer, false);
      assert.deepEqual(calls.slice(4), isLate ? ['b closed'] : []);
    });
  }

  test('given up, a late rejection is nobody’s', async () => {
    const late = Promise.withResolvers<boolean>();
    const every = everyFilter(refuse([]), { shouldAccept: () => late.promise });
    const answer = every.shouldAccept(unset, info);
    every.onGivenUp?.(unset, info);
    late.reject(new Error('late'));
    assert.equal(await answer, false);
  });

  test('a filter that throws from onClosed keeps no other from hearing', () => {
    const calls: string[] = [];
    const bad: ConnectionFilter = {
      shouldAccept: () => true,
      onClosed: () => {
        throw new Error('a bug');
      },
    };
    const every = everyFilter(
      bad,
      scripted('b', calls, () => true),
    );
    assert.equal(every.shouldAccept(unset, info), true);
    assert.throws(() => every.onClosed?.(unset, info), /a bug/);
    assert.deepEqual(calls, ['b', 'b closed']);
  });
});

describe('perSource', () => {
  function accepts(filter: ConnectionFilter, host: string): boolean {
    return filter.shouldAccept(ip(host), info) as boolean;
  }

  test('a source has its burst, then its rate; another source has its own', () => {
    const clock = new ManualClock();
    const filter = perSource({ connectionsPerSecond: 2, burst: 3, clock });
    assert.deepEqual(
      [1, 2, 3, 4].map(() => accepts(filter, '192.0.2.1')),
      [true, true, true, false],
    );
    assert.ok(accepts(filter, '192.0.2.2'));
    clock.advance(501);
    assert.ok(accepts(filter, '192.0.2.1'));
    assert.equal(accepts(filter, '192.0.2.1'), false);
  });

  test('without a burst, the connections of a second may come at once', () => {
    const filter = perSource({ connectionsPerSecond: 0.5, clock: new ManualClock() });
    assert.ok(accepts(filter, '192.0.2.1'));
    assert.equal(accepts(filter, '192.0.2.1'), false);
  });

  test('a source has so many open at once; a close makes room', () => {
    const filter = perSource({ maxConcurrent: 2, clock: new ManualClock() });
    assert.ok(accepts(filter, '192.0.2.1'));
    assert.ok(accepts(filter, '::ffff:192.0.2.1'));
    assert.equal(accepts(filter, '192.0.2.1'), false);
    assert.ok(accepts(filter, '192.0.2.2'));
    filter.onClosed(ip('192.0.2.1'), info);
    assert.ok(accepts(filter, '192.0.2.1'));
    assert.equal(accepts(filter, '192.0.2.1'), false);
  });

  test('a connection refused for its rate holds no place, and one refused for its place takes no token', () => {
    const clock = new ManualClock();
    const filter = perSource({ connectionsPerSecond: 1, burst: 1, maxConcurrent: 1, clock });
    assert.ok(accepts(filter, '192.0.2.1'));
    clock.advance(1_001);
    // No place: the token stays.
    assert.equal(accepts(filter, '192.0.2.1'), false);
    filter.onClosed(ip('192.0.2.1'), info);
    assert.ok(accepts(filter, '192.0.2.1'));
    filter.onClosed(ip('192.0.2.1'), info);
    // No token: the place stays free.
    assert.equal(accepts(filter, '192.0.2.1'), false);
    clock.advance(1_001);
    assert.ok(accepts(filter, '192.0.2.1'));
  });

  test('a /64 of IPv6 is one source, in whatever spelling (RFC 6177 §2)', () => {
    const filter = perSource({ maxConcurrent: 1, clock: new ManualClock() });
    assert.ok(accepts(filter, '2001:db8::1'));
    assert.equal(accepts(filter, '2001:0DB8:0:0:ffff::2'), false);
    assert.ok(accepts(filter, '2001:db8:0:1::1'));
    assert.ok(accepts(filter, 'fe80::1%eth0'));
    assert.equal(accepts(filter, 'fe80::2%eth1'), false);
  });

  test('prefixes may be moved, to any bit', () => {
    const filter = perSource({ maxConcurrent: 1, ipv4PrefixLength: 23, ipv6PrefixLength: 47, clock: new ManualClock() });
    assert.ok(accepts(filter, '192.0.2.1'));
    assert.equal(accepts(filter, '192.0.3.255'), false);
    assert.ok(accepts(filter, '192.0.4.1'));
    assert.ok(accepts(filter, '2001:db8:2::1'));
    assert.equal(accepts(filter, '2001:db8:3::1'), false);
    assert.ok(accepts(filter, '2001:db8:4::1'));
    const whole = perSource({ maxConcurrent: 1, ipv6PrefixLength: 128, clock: new ManualClock() });
    assert.ok(accepts(whole, '2001:db8::1'));
    assert.ok(accepts(whole, '2001:db8::2'));
    assert.equal(accepts(whole, '2001:db8::2'), false);
  });

  test('a peer without an IP address is served and not counted', () => {
    const filter = perSource({ maxConcurrent: 1, connectionsPerSecond: 1, clock: new ManualClock() });
    for (let i = 0; i < 3; i++) assert.ok(filter.shouldAccept(unset, info));
    assert.ok(filter.shouldAccept(ip('no address'), info));
    filter.onClosed(unset, info);
    perSource({ connectionsPerSecond: 1 }).onClosed(ip('192.0.2.1'), info);
  });

  test('threads share one count', async () => {
    const options = { maxConcurrent: 1, connectionsPerSecond: 10 };
    const filter = perSource(options);
    assert.ok(accepts(filter, '192.0.2.1'));
    const script = `
      import { parentPort, workerData } from 'node:worker_threads';
      import { perSource } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const filter = perSource(workerData);
      parentPort.postMessage(filter.shouldAccept({ kind: 'ip', host: '192.0.2.1', port: 2 }, {}));`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), {
      workerData: { ...options, memory: filter.memory },
    });
    const answer = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    assert.equal(answer, false);
  });

  test('memory without the half that a limit needs is refused: the threads would each count by themselves', () => {
    const { memory } = perSource({ maxConcurrent: 1 });
    assert.throws(() => perSource({ maxConcurrent: 1, connectionsPerSecond: 1, memory }), TypeError);
    assert.throws(() => perSource({ maxConcurrent: 1, memory: { rate: null, concurrency: null } }), TypeError);
    assert.throws(() => perSource({ maxConcurrent: 1, memory: {} as never }), TypeError);
    assert.equal(perSource({ maxConcurrent: 1, memory }).memory.concurrency, memory.concurrency);
  });

  test('nonsense is refused', () => {
    assert.throws(() => perSource({}), RangeError);
    for (const wrong of [
      { connectionsPerSecond: 0 },
      { connectionsPerSecond: 1, burst: 0 },
      { connectionsPerSecond: 1, maxSources: 0 },
      { maxConcurrent: 0 },
      { maxConcurrent: 1, ipv4PrefixLength: 33 },
      { maxConcurrent: 1, ipv6PrefixLength: 0 },
    ])
      assert.throws(() => perSource(wrong), RangeError);
    assert.deepEqual(perSource({ maxConcurrent: 1 }).memory.rate, null);
    assert.deepEqual(perSource({ connectionsPerSecond: 1 }).memory.concurrency, null);
  });
});

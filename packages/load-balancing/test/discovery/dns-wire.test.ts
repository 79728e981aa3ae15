/** Discovery by the DNS against a name server on loopback: what c-ares makes of what is on the wire. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpEnvironment } from '@ferrata/http';
import type { Discovery } from '../../src/discovery/discovery.ts';
import { dnsDiscovery } from '../../src/discovery/dns-discovery.ts';
import type { DnsDiscoveryOptions } from '../../src/discovery/dns-discovery-options.ts';
import { srvDiscovery } from '../../src/discovery/srv-discovery.ts';
import { Heard } from './heard.ts';
import { type NameServer, type Say, startNameServer } from './name-server.ts';

const environment = new HttpEnvironment();

function discover(server: NameServer, options: Partial<DnsDiscoveryOptions> = {}): Discovery {
  return dnsDiscovery({
    host: 'app.example',
    port: 80,
    servers: [server.address],
    minTtlMs: 20,
    retryMinMs: 20,
    retryMaxMs: 40,
    ...options,
  });
}

/** Runs a discovery until it has said so much, and ends it. */
async function hear(discovery: Discovery, count: number, meanwhile: (heard: Heard) => Promise<void> = async () => {}): Promise<Heard> {
  const heard = new Heard();
  const watch = discovery.watch(heard, environment);
  try {
    await meanwhile(heard);
    await heard.count(count);
  } finally {
    watch.close();
  }
  return heard;
}

describe('A and AAAA', () => {
  test('IPv6 addresses stand beside IPv4 ones', async () => {
    await using server = await startNameServer((_, type) => ({ addresses: type === 'A' ? ['192.0.2.1'] : ['2001:db8::1'] }));
    assert.deepEqual((await hear(discover(server), 1)).all, ['192.0.2.1:80 [2001:db8::1]:80']);
  });

  test('a TTL of 0 is asked for again after minTtlMs, and what has changed is seen', async () => {
    let last = 1;
    await using server = await startNameServer((_, type) => (type === 'A' ? { addresses: [`192.0.2.${last}`], ttl: 0 } : {}));
    const heard = await hear(discover(server), 2, async (sofar) => {
      await sofar.count(1);
      last = 2;
    });
    assert.deepEqual(heard.all, ['192.0.2.1:80', '192.0.2.2:80']);
  });

  test('SERVFAIL and NXDOMAIN and no records are failures, the set holds on, and is said again when all is well', async () => {
    const good: Say = (_, type) => (type === 'A' ? { addresses: ['192.0.2.1'], ttl: 0 } : {});
    for (const [bad, reason] of [
      [{ rcode: 2 }, 'DNS_SERVER_FAILURE'],
      [{ rcode: 3 }, 'DNS_NOT_FOUND'],
      [{}, 'DNS_NOT_FOUND'],
    ] as const) {
      await using server = await startNameServer(good);
      const heard = await hear(discover(server), 3, async (sofar) => {
        await sofar.count(1);
        server.say = () => bad;
        await sofar.count(2);
        server.say = good;
        while (sofar.all.at(-1) === reason) await sofar.count(sofar.all.length + 1);
      });
      assert.equal(heard.all[0], '192.0.2.1:80');
      assert.equal(heard.all[1], reason);
      assert.equal(heard.all.at(-1), '192.0.2.1:80');
    }
  });

  test('a server that says nothing is a time-out', async () => {
    await using server = await startNameServer(() => null);
    const heard = await hear(discover(server, { queryTimeoutMs: 300 }), 1);
    assert.equal(heard.all[0], 'DNS_TIMEOUT');
  });

  test('answers that are too long for UDP are asked for by TCP: 5 000 addresses, of which maxAddresses are taken', async () => {
    // A message has room for 4 094 A records and 2 340 AAAA records.
    const four = Array.from({ length: 3_500 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    const six = Array.from({ length: 1_500 }, (_, index) => `2001:db8::${(index + 1).toString(16)}`);
    await using server = await startNameServer((_, type) => ({ addresses: type === 'A' ? four : six }));
    const all = await hear(discover(server, { maxAddresses: 5_000 }), 1);
    assert.equal(all.sets[0]?.length, 5_000);
    assert.equal(all.errors.length, 0);
    assert.ok(server.asked.includes('A app.example over TCP'));
    const some = await hear(discover(server), 2);
    assert.equal(some.all[0], 'DNS_TOO_MANY_ADDRESSES');
    assert.equal(some.sets[0]?.length, 1_024);
    assert.deepEqual(some.sets[0], all.sets[0]?.slice(0, 1_024));
  });

  test('close while a question is open says nothing, and leaves nothing', async () => {
    const asked = Promise.withResolvers<void>();
    await using server = await startNameServer(() => {
      asked.resolve();
      return null;
    });
    const heard = new Heard();
    const watch = discover(server).watch(heard, environment);
    await asked.promise;
    watch.close();
    // A second discovery runs its whole course meanwhile: what the first would still say would be there by then.
    await hear(discover(server, { queryTimeoutMs: 100 }), 2);
    assert.deepEqual(heard.all, []);
  });
});

describe('SRV', () => {
  test('priorities, weights and ports come from the wire, and targets are looked up at the same server', async () => {
    await using server = await startNameServer((name, type) => {
      if (type === 'SRV')
        return {
          services: [
            { target: 'b.example', port: 81, priority: 20, weight: 0 },
            { target: 'a.example', port: 80, priority: 10, weight: 70 },
            { target: 'gone.example', port: 80, priority: 10, weight: 70 },
          ],
        };
      if (name === 'a.example') return { addresses: type === 'A' ? ['192.0.2.1'] : ['2001:db8::1'] };
      if (name === 'b.example' && type === 'A') return { addresses: ['192.0.2.2'] };
      return { rcode: name === 'gone.example' ? 3 : 0 };
    });
    const heard = await hear(srvDiscovery({ name: '_http._tcp.app.example', servers: [server.address] }), 2);
    assert.equal(heard.all[0], 'DNS_TARGET_FAILED');
    assert.deepEqual(heard.sets[0], [
      { address: 'tcp://192.0.2.1:80', priority: 0, weight: 70, metadata: { srvTarget: 'a.example' } },
      { address: 'tcp://[2001:db8::1]:80', priority: 0, weight: 70, metadata: { srvTarget: 'a.example' } },
      { address: 'tcp://192.0.2.2:81', priority: 1, weight: 1, metadata: { srvTarget: 'b.example' } },
    ]);
  });

  test('a dot is no service: an empty set', async () => {
    await using server = await startNameServer(() => ({ services: [{ target: '.', port: 0 }] }));
    const heard = await hear(srvDiscovery({ name: '_http._tcp.app.example', servers: [server.address] }), 1);
    assert.deepEqual(heard.sets, [[]]);
  });

  test('a hundred records are asked for by TCP', async () => {
    const services = Array.from({ length: 100 }, (_, index) => ({ target: 'a.example', port: 1_000 + index }));
    await using server = await startNameServer((_, type) =>
      type === 'SRV' ? { services } : type === 'A' ? { addresses: ['192.0.2.1'] } : {},
    );
    const heard = await hear(srvDiscovery({ name: '_http._tcp.app.example', servers: [server.address] }), 1);
    assert.equal(heard.sets[0]?.length, 100);
    assert.ok(server.asked.includes('SRV _http._tcp.app.example over TCP'));
  });
});

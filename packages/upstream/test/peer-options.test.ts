/** Options of a peer that reach its sockets, and those that no socket of Node's could keep. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock, seededRandom } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { requestHead } from '@ferrata/headers';
import { HttpEnvironment } from '@ferrata/http';
import { connect, DnsResolver, holdSockets, listen } from '@ferrata/net';
import { type L4Stream, memoryPair, type StreamInfo } from '@ferrata/stream';
import { type ConnectionTracer, type NameResolver, type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { FakeTls, speaks } from './fake-tls.ts';
import { rejection, settle } from './rig.ts';

/** A listener that keeps what it accepts. */
async function listening(): Promise<{ port: number; accepted: L4Stream[]; close(): Promise<void> }> {
  const accepted: L4Stream[] = [];
  const listener = await listen('127.0.0.1:0', (stream) => {
    accepted.push(stream);
    stream.attach({ onData: () => {}, onDrain: () => {}, onEnd: () => stream.end(), onClose: () => {} });
  });
  assert.ok(listener.address.kind === 'ip');
  return { port: listener.address.port, accepted, close: () => listener.close() };
}

const sourceOf = (info: StreamInfo): string => (info.localAddress.kind === 'ip' ? info.localAddress.host : '');

describe('where connections come from', () => {
  test('#237 localAddress is kept', { skip: process.platform !== 'linux' && 'only Linux has all of 127.0.0.0/8' }, async () => {
    const server = await listening();
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const session = await connector.connect(peer(`127.0.0.1:${server.port}`, { localAddress: '127.0.0.7' }));
    assert.equal(sourceOf(session.stream.info), '127.0.0.7');
    session.close();
    const byName = await connector.connect(peer(`localhost:${server.port}`, { localAddress: '127.0.0.7' }));
    assert.equal(sourceOf(byName.stream.info), '127.0.0.7');
    byName.close();
    connector.close();
    await server.close();
  });

  test('of localAddresses each connection has one, by chance, of the family of the peer', {
    skip: process.platform !== 'linux' && 'only Linux has all of 127.0.0.0/8',
  }, async () => {
    const server = await listening();
    const connector = new UpstreamConnector({ environment: new HttpEnvironment({ random: seededRandom(3) }) });
    const to = peer(`127.0.0.1:${server.port}`, { localAddresses: ['127.0.0.7', '::1', '127.0.0.8', '127.0.0.9'] });
    assert.deepEqual(to.localAddresses, ['127.0.0.7', '127.0.0.8', '127.0.0.9']);
    const sources = new Set<string>();
    for (let round = 0; round < 20; round++) {
      const session = await connector.connect(to);
      sources.add(sourceOf(session.stream.info));
      connector.release(session);
      session.close();
    }
    assert.deepEqual([...sources].toSorted(), ['127.0.0.7', '127.0.0.8', '127.0.0.9']);
    connector.close();
    await server.close();
  });

  test('of a name that has nothing for the family chosen, one of the other family is used', {
    skip: process.platform !== 'linux' && 'only Linux has all of 127.0.0.0/8',
  }, async () => {
    const server = await listening();
    const asked: unknown[] = [];
    using names = new DnsResolver({
      queries: { resolve4: async () => [{ address: '127.0.0.1', ttl: 60 }], resolve6: async () => [] },
    });
    const resolver: NameResolver = {
      lookup: (name, options, callback) => {
        asked.push(options.family);
        names.lookup(name, options, callback);
      },
    };
    const connector = new UpstreamConnector({ environment: new HttpEnvironment({ random: seededRandom(3) }), resolver });
    const to = peer(`origin.test:${server.port}`, { localAddresses: ['::1', '127.0.0.8'] });
    for (let round = 0; round < 12; round++) {
      const session = await connector.connect(to);
      assert.equal(sourceOf(session.stream.info), '127.0.0.8');
      connector.release(session);
      session.close();
    }
    assert.ok(asked.includes(6) && asked.includes(4), 'both were chosen first, at one time or another');
    const neither = peer(`origin.test:${server.port}`, { localAddresses: ['::1', '::2'] });
    assert.equal((await rejection(connector.connect(neither))).reason, 'DNS_NOT_FOUND');
    connector.close();
    await server.close();
  });

  test('with a source address the addresses of a name are tried one after the other, too: those that refuse, and those that are silent', {
    skip: process.platform !== 'linux' && 'only Linux has all of 127.0.0.0/8, and drops what comes to a full queue',
  }, async () => {
    const server = await listening();
    const [hole] = await holdSockets([{ transport: 'tcp', host: '127.0.0.3', port: server.port, backlog: 1 }]);
    assert.ok(hole !== undefined);
    const filling = [await connect(`127.0.0.3:${server.port}`), await connect(`127.0.0.3:${server.port}`)];
    const asked: string[] = [];
    const resolver: NameResolver = {
      lookup: (name, _options, callback) => {
        asked.push(name);
        callback(
          null,
          ['127.0.0.2', '127.0.0.3', '127.0.0.1'].map((address) => ({ address, family: 4 })),
        );
      },
    };
    const environment = new HttpEnvironment();
    const connector = new UpstreamConnector({ environment, resolver });
    const to = peer(`origin.test:${server.port}`, { localAddress: '127.0.0.8', attemptTimeoutMs: 20 });
    const session = await connector.connect(to);
    assert.deepEqual(session.stream.info.remoteAddress, { kind: 'ip', host: '127.0.0.1', port: server.port });
    assert.equal(sourceOf(session.stream.info), '127.0.0.8');
    assert.deepEqual(asked, ['origin.test'], 'looked up once');
    // Where none answers, the last one's failure is told, and whoever gives up goes at once.
    const nobody = peer('origin.test:1', { localAddress: '127.0.0.8' });
    assert.equal((await rejection(connector.connect(nobody))).reason, 'CONNECT_REFUSED');
    const abort = new AbortController();
    const given = rejection(connector.connect(peer(`origin.test:${server.port}`, { localAddress: '127.0.0.8', group: 'b' }), abort.signal));
    await settle();
    abort.abort();
    assert.equal((await given).reason, 'CONNECT_ABORTED');
    connector.release(session);
    connector.close();
    assert.equal(environment.deadlines.size, 0);
    for (const stream of filling) stream.abort();
    await hole.release();
    await server.close();
  });

  test('with a source address a name of which nobody answers costs the time that was given, and says so', async () => {
    const environment = new HttpEnvironment();
    const resolver: NameResolver = {
      // Longer than the whole may take.
      lookup: (_name, _options, callback) => void setTimeout(() => callback(null, [{ address: '127.0.0.1', family: 4 }]), 100),
    };
    const connector = new UpstreamConnector({ environment, resolver });
    for (const connectTimeoutMs of [1, 20]) {
      const error = await rejection(connector.connect(peer('origin.test:1', { localAddress: '127.0.0.1', connectTimeoutMs })));
      assert.deepEqual([error.type, error.reason, error.retry], ['timeout', 'CONNECT_TIMEOUT', 'always']);
      assert.match(error.message, new RegExp(`within ${connectTimeoutMs} ms`));
    }
  });

  test('#231 an address that is not ours: CONNECT_NO_LOCAL_ADDRESS', async () => {
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const error = await rejection(connector.connect(peer('127.0.0.1:1', { localAddress: '203.0.113.1' })));
    assert.deepEqual([error.type, error.reason, error.source], ['connect', 'CONNECT_NO_LOCAL_ADDRESS', 'upstream']);
  });

  test('addresses that cannot be kept are refused', () => {
    const asIf = (localAddresses: unknown): PeerOptions => ({ localAddresses }) as PeerOptions;
    for (const options of [
      asIf('127.0.0.1'),
      asIf(['nonsense']),
      asIf([5]),
      asIf(['::1']),
      { ...asIf(['127.0.0.1']), localAddress: '127.0.0.1' },
    ])
      assert.throws(() => peer('127.0.0.1:80', options), { name: 'TypeError' }, JSON.stringify(options));
    assert.throws(() => peer('h:80', asIf([])), RangeError);
    assert.throws(() => peer('unix:/run/app.sock', asIf(['127.0.0.1'])), TypeError);
    assert.throws(() => peer('unix:/run/app.sock', { localAddress: '127.0.0.1' }), TypeError);
    const keys = [asIf(['127.0.0.1']), asIf(['127.0.0.2']), asIf(['127.0.0.1', '127.0.0.2']), {}].map(
      (options) => peer('h:80', options).key,
    );
    assert.equal(new Set(keys).size, 4);
  });
});

describe('a resolver', () => {
  test('looks up the names of all peers of a connector, and is asked once for many', async () => {
    const server = await listening();
    let count = 0;
    using resolver = new DnsResolver({
      queries: {
        resolve4: async () => {
          count++;
          return [{ address: '127.0.0.1', ttl: 60 }];
        },
        resolve6: async () => [],
      },
    });
    const connector = new UpstreamConnector({ environment: new HttpEnvironment(), resolver });
    const sessions = await Promise.all(['a', 'b', 'c'].map((group) => connector.connect(peer(`origin.test:${server.port}`, { group }))));
    assert.equal(count, 1);
    for (const session of sessions) connector.release(session);
    connector.close();
    await server.close();
  });

  test('is called as the method that it may be', async () => {
    class NoNames {
      readonly asked: string[] = [];
      lookup(name: string, _options: object, callback: (error: NodeJS.ErrnoException, address: string, family: number) => void): void {
        this.asked.push(name);
        callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), '', 0);
      }
    }
    const resolver = new NoNames();
    const connector = new UpstreamConnector({ environment: new HttpEnvironment(), resolver });
    assert.equal((await rejection(connector.connect(peer('origin.test:80')))).reason, 'DNS_NOT_FOUND');
    assert.deepEqual(resolver.asked, ['origin.test']);
  });

  test('one that answers after the wish was given up begins nothing any more', async () => {
    const environment = new HttpEnvironment({ clock: new ManualClock() });
    const answers: (() => void)[] = [];
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    const resolver: NameResolver = { lookup: (_name, _options, callback) => void answers.push(() => callback(null, addresses)) };
    const connector = new UpstreamConnector({ environment, resolver });
    const abort = new AbortController();
    const given = rejection(connector.connect(peer('origin.test:1', { localAddress: '127.0.0.8' }), abort.signal));
    await settle();
    abort.abort();
    assert.equal((await given).reason, 'CONNECT_ABORTED');
    answers[0]?.();
    await settle();
    assert.deepEqual([answers.length, environment.deadlines.size], [1, 0]);
  });

  test('a second look-up, for a source address of the other family, has what is left of totalTimeoutMs', async () => {
    const clock = new ManualClock();
    const failures: (() => void)[] = [];
    const connector = new UpstreamConnector({
      environment: new HttpEnvironment({ clock }),
      resolver: {
        lookup: (_name, _options, callback) =>
          void failures.push(() => callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), '', 0)),
      },
    });
    const localAddresses = ['127.0.0.1', '::1'];
    let reason = '';
    void rejection(connector.connect(peer('origin.test:443', { tls: true, totalTimeoutMs: 1_000, localAddresses }))).then(
      (error) => (reason = error.reason),
    );
    await settle();
    clock.advance(900);
    failures[0]?.();
    await settle();
    assert.deepEqual([failures.length, reason], [2, '']);
    clock.advance(120);
    await settle();
    assert.equal(reason, 'CONNECT_TOTAL_TIMEOUT');
  });

  test('U19: a name that cannot be looked up is 502', async () => {
    const failing = (): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code: 'ESERVFAIL' }));
    using resolver = new DnsResolver({ queries: { resolve4: failing, resolve6: failing } });
    const connector = new UpstreamConnector({ environment: new HttpEnvironment(), resolver });
    const error = await rejection(connector.connect(peer('origin.test:80')));
    assert.deepEqual([error.reason, error.status, error.retry, error.source], ['DNS_SERVER_FAILURE', 502, 'always', 'upstream']);
    assert.throws(() => new UpstreamConnector({ environment: new HttpEnvironment(), resolver: {} as NameResolver }), TypeError);
  });
});

describe('tracer', () => {
  function rig(tracer: ConnectionTracer) {
    const ends: L4Stream[] = [];
    const connector = new UpstreamConnector({
      environment: new HttpEnvironment({ clock: new ManualClock() }),
      connect: async () => {
        const { a, b } = memoryPair();
        b.attach({ onData: () => {}, onDrain: () => {}, onEnd: () => {}, onClose: () => {} });
        ends.push(b);
        return a;
      },
    });
    return { connector, ends, origin: peer('10.0.0.1:80', { tracer }) };
  }

  test('is told of each connection once when it stands and once when it has ended, tunnels included', async () => {
    const told: (readonly ['on' | 'off', StreamInfo, WireError | null])[] = [];
    const { connector, ends, origin } = rig({
      onConnected: (info) => told.push(['on', info, null]),
      onDisconnected: (info, error) => told.push(['off', info, error]),
    });
    const session = await connector.connect(origin);
    assert.deepEqual(
      told.map(([what]) => what),
      ['on'],
    );
    connector.release(session);
    assert.equal(connector.take(origin), session, 'no new connection, nothing to tell');
    connector.release(session);
    ends[0]?.abort();
    await settle();
    assert.deepEqual(
      told.map(([what]) => what),
      ['on', 'off'],
    );
    assert.equal(told[0]?.[1], told[1]?.[1]);

    const through = await connector.connect(origin);
    through.request(
      requestHead('CONNECT', 'h:1', { headers: { Host: 'h:1' } }),
      { bodyLength: 0, upgrade: null },
      {
        onInterim() {},
        onResponse() {},
        onTunnel: (_head, { stream }) => stream.attach({ onData: () => {}, onDrain: () => {}, onEnd: () => {}, onClose: () => {} }),
        onResponseData() {},
        onResponseEnd() {},
        onRequestDrain() {},
        onClientClose() {},
      },
    );
    await settle();
    ends[1]?.write(new TextEncoder().encode('HTTP/1.1 200 OK\r\n\r\n'));
    await settle();
    assert.equal(told.length, 3);
    ends[1]?.abort();
    await settle();
    assert.equal(told.length, 4);
    assert.notEqual(peer('10.0.0.1:80').key, origin.key);
  });

  test('hears of the end of a stream that nobody had read from', async () => {
    const told: string[] = [];
    const tracer = { onConnected: () => void told.push('on'), onDisconnected: () => void told.push('off') };
    const { connector } = rig(tracer);
    const throwing = peer('10.0.0.1:443', {
      tracer,
      tls: new FakeTls(speaks('mine')),
      customProtocols: {
        mine: () => {
          throw new Error('bug');
        },
      },
    });
    assert.equal((await rejection(connector.connect(throwing))).reason, 'CUSTOM_SESSION_THREW');
    await settle();
    assert.deepEqual(told, ['on', 'off']);
  });

  test('what it throws is dropped, and it may follow one of the two only', async () => {
    const throws = (): never => {
      throw new Error('bug');
    };
    for (const tracer of [{ onConnected: throws, onDisconnected: throws }, {}]) {
      const { connector, ends, origin } = rig(tracer);
      connector.release(await connector.connect(origin));
      ends[0]?.abort();
      await settle();
      assert.equal(connector.connectionCount, 0);
    }
    for (const tracer of [5, null, { onConnected: 5 }])
      assert.throws(() => peer('h:80', { tracer } as unknown as PeerOptions), /TypeError: tracer/);
  });
});

describe('other options', () => {
  test('attemptTimeoutMs is how long one address of a name delays the next, and no part of the key', async () => {
    assert.equal(peer('h:80').attemptTimeoutMs, 250);
    assert.equal(peer('h:80', { attemptTimeoutMs: 1_000 }).attemptTimeoutMs, 1_000);
    assert.equal(peer('h:80', { attemptTimeoutMs: 1_000 }).key, peer('h:80').key);
    for (const attemptTimeoutMs of [0, 9, 1.5, Number.NaN, 2 ** 31]) assert.throws(() => peer('h:80', { attemptTimeoutMs }), RangeError);
    assert.throws(() => peer('h:80', { attemptTimeoutMs: 300, via: { proxy: peer('p:80') } }), TypeError);
  });

  test('attemptTimeoutMs holds for sockets: a silent address delays the next by it', {
    skip: process.platform !== 'linux' && 'only Linux has all of 127.0.0.0/8',
  }, async () => {
    const server = await listening();
    // Its queue is full: from then on the kernel drops what wants to connect.
    const [hole] = await holdSockets([{ transport: 'tcp', host: '127.0.0.2', port: server.port, backlog: 1 }]);
    const filling = [await connect(`127.0.0.2:${server.port}`), await connect(`127.0.0.2:${server.port}`)];
    const addresses = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }));
    const resolver: NameResolver = { lookup: (_name, _options, answer) => answer(null, addresses) };
    const connector = new UpstreamConnector({ environment: new HttpEnvironment(), resolver });
    const before = performance.now();
    connector.release(await connector.connect(peer(`origin.test:${server.port}`, { attemptTimeoutMs: 600 })));
    assert.ok(performance.now() - before >= 590);
    for (const one of filling) one.abort();
    connector.close();
    await hole?.release();
    await server.close();
  });

  test('keepAliveMs is what TCP can keep, and part of the key', () => {
    assert.equal(peer('h:80').keepAliveMs, 60_000);
    assert.equal(peer('h:80', { keepAliveMs: 0 }).keepAliveMs, 0);
    assert.notEqual(peer('h:80', { keepAliveMs: 5_000 }).key, peer('h:80').key);
    for (const keepAliveMs of [-1, 999, 1.5, 32_767_001, Number.NaN]) assert.throws(() => peer('h:80', { keepAliveMs }), RangeError);
  });

  test('the pings of HTTP/2 are those of its connections', () => {
    const it = peer('h:80', { protocol: 'http2', http2: { connection: { pingIntervalMs: 7_000, pingTimeoutMs: 3_000 } } });
    assert.deepEqual([it.http2?.connection.pingIntervalMs, it.http2?.connection.pingTimeoutMs], [7_000, 3_000]);
  });

  test('#227 windows out of range are refused by name, and those in range are kept', () => {
    for (const name of ['initialWindowBytes', 'connectionWindowBytes'] as const) {
      for (const bytes of [0, 2_147_483_648])
        assert.throws(() => peer('h:80', { protocol: 'http2', http2: { connection: { [name]: bytes } } }), {
          name: 'RangeError',
          message: new RegExp(name),
        });
    }
    const kept = peer('h:80', { protocol: 'http2', http2: { connection: { initialWindowBytes: 1_000_000, maxWindowBytes: 1_000_000 } } });
    assert.equal(kept.http2?.connection.initialWindowBytes, 1_000_000);
  });

  for (const [name, why] of [
    ['portRange', /IP_LOCAL_PORT_RANGE/],
    ['port_range', /IP_LOCAL_PORT_RANGE/],
    ['fallback', /IP_LOCAL_PORT_RANGE/],
    ['dscp', /IP_TOS/],
    ['tcpFastOpen', /TCP_FASTOPEN_CONNECT/],
    ['tcp_fast_open', /TCP_FASTOPEN_CONNECT/],
    ['tcpRecvBuf', /SO_RCVBUF/],
    ['upstreamTcpSockTweakHook', /before it connects/],
    ['secondKeyshare', /key shares/],
    ['psk', /pre-shared key/],
    ['s2nSecurityPolicy', /s2n/],
    ['maxBlindingDelay', /s2n/],
    ['useSystemCerts', /s2n/],
    ['bindTo', /localAddress/],
    ['verifyCert', /by tls/],
    ['maxH2Streams', /maxStreamsPerConnection/],
    ['h2PingInterval', /pingIntervalMs/],
    ['customL4', /connect/],
    ['extraProxyHeaders', /via/],
    ['tcp_keepalive', /keepAliveMs/],
    ['connection_timeout', /connectTimeoutMs/],
    ['total_connection_timeout', /totalTimeoutMs/],
    ['read_timeout', /connection\.readTimeoutMs/],
    ['write_timeout', /writeTimeoutMs/],
    ['idle_timeout', /idleTimeoutMs/],
    ['scheme', /peerFromUrl/],
    ['max_http_version', /protocol/],
    ['verify_hostname', /by tls/],
    ['alternative_cn', /by tls/],
    ['client_cert_key', /by tls/],
    ['h2_stream_window_size', /windows of http2\.connection/],
    ['h2_connection_window_size', /windows of http2\.connection/],
    ['allow_h1_response_invalid_content_length', /always refused/],
    ['proxy_digest_user_data_hook', /readResponse/],
    ['upstream_tls_handshake_complete_hook', /handshakeComplete/],
    ['group_key', /group/],
    ['resolver', /the connector/],
  ] as const)
    test(`${name} is refused, with the reason`, () => {
      assert.throws(
        () => peer('h:80', { [name]: 1 }),
        (error) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, new RegExp(`cannot take the option "${name}": `));
          assert.match(error.message, why);
          return true;
        },
      );
    });
});

/**
 * What makes two connections unequal is in `Peer.key`: every option there is. The tables are typed by the options, so that one more option is an error until somebody has
 * said on which side it stands.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { createAuthority } from '@ferrata/dev-certificates';
import type { ClientConnectionOptions } from '@ferrata/http1';
import { TlsClient, type TlsClientOptions } from '@ferrata/net';
import { memoryPair } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { type PeerOptions, type PeerViaOptions, peer, peerForClient, type UpstreamProtocol } from '@ferrata/upstream';
import fc from 'fast-check';

/** One option. */
interface Row<Value> {
  /** Different from each other, and from the default. */
  readonly values: readonly [Value, ...Value[]];
  /** The protocols with which a connection is unequal by it; none: it says how connecting goes, or how long something is kept. */
  readonly keyed: readonly UpstreamProtocol[];
}

type Named = Omit<Required<PeerOptions>, 'protocol'>;
type Name = keyof Named;
/** The number of a value in its row, from 1 on; 0: it is not said. */
type Picks = Readonly<Record<Name, number>>;

const PROTOCOLS = ['http1', 'http2', 'auto'] as const;
const NONE: readonly UpstreamProtocol[] = [];

const [open, otherOpen] = [() => assert.fail(), () => assert.fail()];
const proxy = peer('unix:/run/proxy.sock');

/** The options of `via`, each in two forms at least. */
const ways: { readonly [Key in keyof Required<PeerViaOptions>]: readonly PeerViaOptions[] } = {
  proxy: [
    { proxy },
    { proxy: peer('unix:/run/other.sock') },
    { proxy: peer('unix:/run/proxy.sock', { tls: true }) },
    { proxy: peer('p:1') },
    { proxy: peer('p:1', { via: { proxy } }) },
    { proxy: peer('unix:/run/proxy.sock', { sendProxyHeader: 'v2' }) },
  ],
  headers: [
    { proxy, headers: { a: 'b' } },
    { proxy, headers: { a: 'c' } },
    { proxy, headers: [...new Headers({ a: 'b', c: 'd' })] },
  ],
  readResponse: [
    { proxy, readResponse: () => 1 },
    { proxy, readResponse: () => 2 },
  ],
};

const rows: { readonly [Key in Name]: Row<Named[Key]> } = {
  connectTimeoutMs: { values: [500, 700], keyed: NONE },
  attemptTimeoutMs: { values: [20, 30], keyed: NONE },
  tlsTimeoutMs: { values: [500, 700], keyed: NONE },
  totalTimeoutMs: { values: [500, 700], keyed: NONE },
  idleTimeoutMs: { values: [500, 700], keyed: NONE },
  maxConnectionAgeMs: { values: [500, 700], keyed: NONE },
  localAddress: { values: ['127.0.0.1', '127.0.0.2'], keyed: PROTOCOLS },
  localAddresses: { values: [['127.0.0.1'], ['127.0.0.1', '127.0.0.2'], ['::1']], keyed: PROTOCOLS },
  keepAliveMs: { values: [0, 1_000], keyed: PROTOCOLS },
  group: { values: ['', 'a', '["a"]'], keyed: PROTOCOLS },
  connect: { values: [open, otherOpen], keyed: PROTOCOLS },
  via: { values: [...ways.proxy, ...ways.headers, ...ways.readResponse] as [PeerViaOptions, ...PeerViaOptions[]], keyed: PROTOCOLS },
  sendProxyHeader: { values: ['v1', 'v2'], keyed: PROTOCOLS },
  tracer: { values: [{}, {}], keyed: PROTOCOLS },
  tls: { values: [{ minVersion: 'TLSv1.3' }, { verifyCert: false }], keyed: PROTOCOLS },
  // With `http2` there are none.
  customProtocols: { values: [{ mine: open }, { mine: otherOpen }, { yours: open }], keyed: ['http1', 'auto'] },
  connection: {
    values: [
      { readTimeoutMs: 7 },
      { readTimeoutMs: Number.POSITIVE_INFINITY },
      { decoder: { maxStatusLineBytes: 70 } },
      { maxRequests: 7 },
    ],
    keyed: ['http1', 'auto'],
  },
  writeTimeoutMs: { values: [500, 700], keyed: ['http1', 'auto'] },
  http2: {
    values: [
      { connection: { readTimeoutMs: 7 } },
      { connection: { pingIntervalMs: 7_000 } },
      { writeTimeoutMs: 7 },
      { lingerTimeoutMs: 7 },
    ],
    keyed: ['http2', 'auto'],
  },
  maxStreamsPerConnection: { values: [7, 8], keyed: ['http2', 'auto'] },
  maxConnections: { values: [7, 8], keyed: PROTOCOLS },
  maxPending: { values: [0, 8], keyed: PROTOCOLS },
  pendingTimeoutMs: { values: [500, 700], keyed: PROTOCOLS },
};
const names = Object.keys(rows) as Name[];

/** What cannot be said together; the first of each goes before the others. */
const EXCLUDED: readonly (readonly [Name, ...Name[]])[] = [
  ['via', 'connect', 'localAddress', 'localAddresses', 'keepAliveMs', 'attemptTimeoutMs'],
  ['localAddress', 'localAddresses'],
];

function without(picks: Picks, protocol: UpstreamProtocol): Picks {
  const left = { ...picks };
  for (const [first, ...others] of EXCLUDED) if (left[first] > 0) for (const other of others) left[other] = 0;
  if (protocol === 'http2') left.customProtocols = 0;
  return left;
}

function made(picks: Picks, protocol: UpstreamProtocol) {
  const options: PeerOptions = { tls: true, protocol };
  const said = names.filter((name) => picks[name] > 0).map((name) => [name, rows[name].values[picks[name] - 1]]);
  return peer('origin.test:443', { ...options, ...(Object.fromEntries(said) as PeerOptions) });
}

const nothing = Object.fromEntries(names.map((name) => [name, 0])) as Picks;
const client = {
  ...memoryPair().a.info,
  remoteAddress: { kind: 'ip', host: '203.0.113.9', port: 4711 } as const,
  localAddress: { kind: 'ip', host: '203.0.113.1', port: 443 } as const,
};

describe('Peer.key', () => {
  for (const name of names)
    for (const protocol of PROTOCOLS) {
      const { values, keyed } = rows[name];
      const isKeyed = keyed.includes(protocol);
      if (name === 'customProtocols' && protocol === 'http2') continue;
      test(`${protocol}: ${name} is ${isKeyed ? 'in it' : 'not in it'}`, () => {
        const keys = [0, ...values.map((_, index) => index + 1)].map((pick) => made({ ...nothing, [name]: pick }, protocol).key);
        assert.equal(new Set(keys).size, isKeyed ? keys.length : 1);
      });
    }

  test('two peers share connections exactly if nothing that is in it differs, and so do those for upgrades and for one client', () => {
    const some = fc.record(
      Object.fromEntries(names.map((name) => [name, fc.nat(rows[name].values.length)])) as Record<Name, fc.Arbitrary<number>>,
    );
    const few = fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(2)), { maxLength: 2 });
    const protocols = fc.constantFrom(...PROTOCOLS);
    fc.assert(
      fc.property(some, few, protocols, protocols, (first, changes, protocol, otherProtocol) => {
        const changed = { ...first };
        for (const [name, pick] of changes) changed[name] = Math.min(pick, rows[name].values.length);
        const [one, other] = [without(first, protocol), without(changed, otherProtocol)];
        const differs = (spoken: UpstreamProtocol): boolean =>
          names.some((name) => rows[name].keyed.includes(spoken) && one[name] !== other[name]);
        const [a, b] = [made(one, protocol), made(other, otherProtocol)];
        assert.equal(a.key === b.key, protocol === otherProtocol && !differs(protocol), 'itself');
        assert.equal(a.originKey === b.originKey, a.key === b.key);
        assert.equal(peerForClient(a, client).key === peerForClient(b, client).key, a.key === b.key, 'for a client');
        if (protocol !== 'auto' || otherProtocol !== 'auto') return;
        const isSame = names.every(
          (name) => name === 'customProtocols' || !rows[name].keyed.includes('http1') || one[name] === other[name],
        );
        assert.equal(a.forUpgrade?.key === b.forUpgrade?.key, isSame, 'for upgrades');
      }),
      { numRuns: 300 },
    );
  });

  test('a limit that is none is another than one that is not said', () => {
    const unsaid = JSON.parse('{ "readTimeoutMs": null }') as ClientConnectionOptions;
    const [usual, endless] = [
      peer('h:80', { connection: unsaid }),
      peer('h:80', { connection: { readTimeoutMs: Number.POSITIVE_INFINITY } }),
    ];
    assert.deepEqual(
      [usual, endless].map((it) => it.client.connection.readTimeoutMs),
      [60_000, Number.POSITIVE_INFINITY],
    );
    assert.notEqual(usual.key, endless.key);
  });

  test('what a connection keeps of its options is numbers, texts, yes and no: JSON leaves none of them out', () => {
    const { client: http1, http2 } = peer('h:443', { tls: true, protocol: 'auto' });
    const leaves: unknown[] = [http1, http2];
    for (const leaf of leaves)
      if (typeof leaf === 'object' && leaf !== null) leaves.push(...(Object.values(leaf) as unknown[]));
      else assert.ok(leaf === null || ['number', 'string', 'boolean'].includes(typeof leaf), typeof leaf);
    assert.ok(leaves.length > 50);
  });
});

describe('Peer.key and TLS', async () => {
  const authority = await createAuthority();
  const another = await createAuthority({ name: 'Another' });
  const [alice, bob] = await Promise.all([
    authority.issue({ names: ['alice@example.test'], use: 'client' }),
    authority.issue({ names: ['bob@example.test'], use: 'client' }),
  ]);
  const crls = await Promise.all([authority.revocationList([alice.serialNumber]), authority.revocationList([])]);
  const clock = new ManualClock();
  const tlsKey = (tls: TlsClientOptions): string => peer('origin.test:443', { tls }).key;
  const usual = tlsKey({});

  /** An option of TLS, said in different ways. */
  interface TlsRow {
    /** Each way keeps connections apart from those without it, and from the others; else it is how a handshake goes, and what it costs. */
    readonly isKeyed: boolean;
    readonly ways: readonly [TlsClientOptions, ...TlsClientOptions[]];
  }
  const tlsRows: { readonly [Key in keyof Required<TlsClientOptions>]: TlsRow } = {
    serverName: { isKeyed: true, ways: [{ serverName: 'a.test' }, { serverName: 'b.test' }, { serverName: null }] },
    verifyCert: { isKeyed: true, ways: [{ verifyCert: false }] },
    verifyHostname: { isKeyed: true, ways: [{ verifyHostname: false }] },
    alternativeCn: { isKeyed: true, ways: [{ alternativeCn: 'a.test' }, { alternativeCn: 'b.test' }] },
    ca: {
      isKeyed: true,
      ways: [{ ca: authority.certificate }, { ca: another.certificate }, { ca: [authority.certificate, another.certificate] }],
    },
    crl: { isKeyed: true, ways: [{ crl: crls[0] }, { crl: crls[1] }] },
    certificate: { isKeyed: true, ways: [{ certificate: alice.chain, key: alice.key }] },
    key: { isKeyed: true, ways: [{ certificate: bob.chain, key: bob.key }] },
    minVersion: { isKeyed: true, ways: [{ minVersion: 'TLSv1.3' }] },
    maxVersion: { isKeyed: true, ways: [{ maxVersion: 'TLSv1.2' }] },
    ciphers: {
      isKeyed: true,
      ways: [{ ciphers: ['TLS_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'] }, { ciphers: ['TLS_AES_256_GCM_SHA384'] }],
    },
    curves: { isKeyed: true, ways: [{ curves: ['P-256'] }, { curves: ['P-384'] }] },
    alpn: { isKeyed: true, ways: [{ alpn: ['http/1.0'] }] },
    handshakeComplete: { isKeyed: true, ways: [{ handshakeComplete: () => null }, { handshakeComplete: () => null }] },
    keyLog: { isKeyed: true, ways: [{ keyLog: () => {} }, { keyLog: () => {} }] },
    // It opens a key, which is in it.
    passphrase: { isKeyed: false, ways: [{ passphrase: 'secret' }] },
    handshakeTimeoutMs: { isKeyed: false, ways: [{ handshakeTimeoutMs: 7 }] },
    sessions: { isKeyed: false, ways: [{ sessions: false }] },
    maxSessions: { isKeyed: false, ways: [{ maxSessions: 3 }] },
    deadlines: { isKeyed: false, ways: [{ deadlines: new DeadlineQueue({ clock }) }] },
    clock: { isKeyed: false, ways: [{ clock }] },
  };

  test('no TLS is said in two ways, and the defaults in three', () => {
    const none = peer('origin.test:443').key;
    assert.equal(peer('origin.test:443', { tls: false }).key, none);
    const defaults = [true, {}, new TlsClient()].map((tls) => peer('origin.test:443', { tls }).key);
    assert.deepEqual(new Set(defaults), new Set([usual]));
    assert.notEqual(usual, none);
  });

  test('each option that makes connections unequal keeps them apart, and the same values bring them together', () => {
    const keys = new Map([[usual, 'the defaults']]);
    for (const [name, { isKeyed, ways: all }] of Object.entries(tlsRows))
      for (const tls of all) {
        const key = tlsKey(tls);
        assert.equal(keys.get(key), isKeyed ? undefined : 'the defaults', name);
        assert.equal(tlsKey({ ...tls }), key, `${name}, once more`);
        if (isKeyed) keys.set(key, name);
      }
  });
});

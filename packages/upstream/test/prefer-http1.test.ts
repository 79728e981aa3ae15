/** Peers that are asked by HTTP/1.1 for a while, though they take HTTP/2 (RFC 9113 §7, HTTP_1_1_REQUIRED). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { memoryPair } from '@ferrata/stream';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import { FakeTls, speaks } from './fake-tls.ts';

function rig() {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const tls = new FakeTls(speaks('h2', 'http/1.1'));
  const connector = new UpstreamConnector({ environment, connect: async () => memoryPair({ clock }).a });
  return { clock, environment, tls, connector, origin: peer('origin.test:443', { tls, protocol: 'auto' }) };
}

describe('preferHttp1', () => {
  test('#245 the next connection of such a peer offers http/1.1 alone, and an idle one of HTTP/1.1 is used before one of HTTP/2', async () => {
    const { connector, origin, tls, environment, clock } = rig();
    assert.equal((await connector.connect(origin)).protocol, 'http2');
    assert.equal(connector.preferHttp1(origin), true);
    assert.equal(connector.take(origin), null, 'HTTP/2 stands, and is not used');
    const session = await connector.connect(origin);
    assert.equal(session.protocol, 'http1');
    assert.deepEqual(tls.asked[1]?.alpn, ['http/1.1']);
    connector.release(session);
    assert.equal(connector.take(origin), session);
    connector.release(session);
    // Only for a while: a peer may be mended.
    clock.advance(600_000);
    environment.now();
    assert.equal((await connector.connect(origin)).protocol, 'http2');
  });

  test('others are asked as before; what speaks HTTP/2 alone cannot be asked so, and what speaks HTTP/1.1 is', async () => {
    const { connector, origin, tls } = rig();
    connector.preferHttp1(origin);
    const other = peer('other.test:443', { tls, protocol: 'auto' });
    assert.equal((await connector.connect(other)).protocol, 'http2');
    const only = peer('only.test:443', { tls, protocol: 'http2' });
    assert.equal(connector.preferHttp1(only), false);
    assert.equal((await connector.connect(only)).protocol, 'http2');
    assert.equal(connector.preferHttp1(peer('origin.test:443', { tls })), true);
  });

  test('it is remembered of 4 096 peers; the one told of longest ago is forgotten first', async () => {
    const { connector, tls, origin } = rig();
    connector.preferHttp1(origin);
    const others = Array.from({ length: 4_096 }, (_, index) => peer(`p${index}.test:443`, { tls, protocol: 'auto' }));
    for (const other of others.slice(1)) connector.preferHttp1(other);
    assert.equal(connector.take(origin), null);
    assert.equal((await connector.connect(origin)).protocol, 'http1');
    connector.preferHttp1(others[0] as typeof origin);
    assert.equal((await connector.connect(origin)).protocol, 'http2');
    assert.equal((await connector.connect(others[4_095] as typeof origin)).protocol, 'http1');
  });
});

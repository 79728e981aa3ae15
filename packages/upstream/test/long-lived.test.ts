/** What outlives many connections, and must not grow with them: the caller's signal, and the memory of what peers chose. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type Peer, type PeerOptions, peer, UpstreamConnector } from '@ferrata/upstream';
import { FakeTls, speaks } from './fake-tls.ts';
import { rejection, send, settle } from './rig.ts';

function rig() {
  const clock = new ManualClock();
  const connector = new UpstreamConnector({ environment: new HttpEnvironment({ clock }), connect: async () => memoryPair({ clock }).a });
  return { clock, connector };
}

describe('one signal for many connections', () => {
  const { signal } = new AbortController();
  const listenerCount = (): number => getEventListeners(signal, 'abort').length;

  for (const [what, protocol, chosen] of [
    ['HTTP/1', 'http1', 'http/1.1'],
    ['HTTP/2', 'http2', 'h2'],
    ['auto, which becomes HTTP/1', 'auto', 'http/1.1'],
    ['auto, which becomes HTTP/2', 'auto', 'h2'],
  ] as const)
    test(`${what}: nothing listens to it once they are made`, async () => {
      const { connector } = rig();
      const origin = peer('origin.test:443', { protocol, tls: new FakeTls(speaks(chosen)) });
      // The first finds out what is spoken, the others know it.
      for (let round = 0; round < 2; round++) {
        const connecting = Array.from({ length: 4 }, () => connector.connect(origin, signal));
        // Each that waits can be given up.
        if (round === 0) assert.ok(listenerCount() >= 4);
        for (const session of await Promise.all(connecting)) send(session);
        await settle();
        assert.equal(listenerCount(), 0);
      }
    });

  test('nor once they have failed, by themselves, in a handshake, or by time', async () => {
    const failing: readonly PeerOptions[] = [
      { connect: async () => await Promise.reject(new Error('no')) },
      { connect: () => new Promise<L4Stream>(() => {}) },
      { tls: new FakeTls(() => ({ does: 'fail' })) },
      { tls: new FakeTls(() => ({ does: 'nothing' })) },
      { tls: new FakeTls(() => ({ does: 'throw' })) },
    ];
    for (const options of failing)
      for (const protocol of ['http1', 'http2', 'auto'] as const) {
        const { connector, clock } = rig();
        const ends = Array.from({ length: 3 }, () => rejection(connector.connect(peer('x:1', { ...options, protocol }), signal)));
        await settle();
        clock.advance(5_000);
        await Promise.all(ends);
        assert.equal(listenerCount(), 0, protocol);
      }
  });

  test('nor of those who were called to share what the first of them has', async () => {
    const { connector } = rig();
    const tls = new FakeTls(speaks('http/1.1'));
    const origin = peer('origin.test:443', { protocol: 'auto', tls });
    await connector.connect(origin);
    tls.choose = (_offered, index) => (index === 1 ? 'h2' : { does: 'nothing' });
    const sessions = await Promise.all(Array.from({ length: 5 }, () => connector.connect(origin, signal)));
    assert.equal(new Set(sessions).size, 1);
    await settle();
    assert.equal(listenerCount(), 0);
  });
});

test('that a peer chose HTTP/1 is remembered for 4 096 peers; the one told of longest ago is forgotten first', async () => {
  const { connector } = rig();
  const tls = new FakeTls(speaks('http/1.1'));
  const peerOf = (index: number): Peer => peer(`origin-${index}.test:443`, { protocol: 'auto', tls });
  /** Connections that are begun at once for a burst of two: both by those who know, one to find out. */
  const beginsAtOnce = async (origin: Peer): Promise<number> => {
    const before = tls.asked.length;
    const burst = [connector.connect(origin), connector.connect(origin)];
    for (let turn = 0; turn < 10_000 && tls.asked.length === before; turn++) await Promise.resolve();
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    const count = tls.asked.length - before;
    await Promise.all(burst);
    return count;
  };
  for (let index = 0; index < 4_097; index++) await connector.connect(peerOf(index));
  assert.equal(await beginsAtOnce(peerOf(1)), 2);
  assert.equal(await beginsAtOnce(peerOf(4_096)), 2);
  assert.equal(await beginsAtOnce(peerOf(0)), 1);
});

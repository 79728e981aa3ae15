/** Connections in the making for which nobody waits any more. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import type { L4Stream } from '@ferrata/stream';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import { rejection, settle } from './rig.ts';

/** A connector whose connections are never made: each attempt hears of its end by its signal alone. */
function rig() {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const signals: AbortSignal[] = [];
  const connector = new UpstreamConnector({
    environment,
    connect: (_peer, signal) => {
      signals.push(signal);
      return new Promise<L4Stream>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('given up')), { once: true });
      });
    },
  });
  return { clock, environment, signals, connector };
}

const origin = peer('10.0.0.1:80', { protocol: 'http2', maxStreamsPerConnection: 100 });

describe('a shared connection in the making', () => {
  test('goes on without anybody who waits, for whoever comes next, until the connector is closed', async () => {
    const { connector, environment, signals } = rig();
    const abort = new AbortController();
    const end = rejection(connector.connect(origin, abort.signal));
    await settle();
    abort.abort();
    assert.equal((await end).reason, 'CONNECT_ABORTED');
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false],
    );
    const next = new AbortController();
    const second = rejection(connector.connect(origin, next.signal));
    await settle();
    assert.equal(signals.length, 1, 'it is used by the next one');
    next.abort();
    await second;
    connector.close();
    await settle();
    assert.equal(signals[0]?.aborted, true);
    assert.deepEqual([connector.pendingCount, connector.connectionCount], [0, 0]);
    assert.equal(environment.deadlines.size, 0);
  });

  test('goes on after the connector is closed as long as somebody waits, and is given up with the last of them', async () => {
    const { connector, environment, signals } = rig();
    const abort = new AbortController();
    const end = rejection(connector.connect(origin, abort.signal));
    await settle();
    connector.close();
    await settle();
    assert.equal(signals[0]?.aborted, false, 'somebody still waits for it');
    abort.abort();
    await settle();
    assert.equal(signals[0]?.aborted, true);
    assert.equal((await end).reason, 'CONNECT_ABORTED');
    assert.equal(environment.deadlines.size, 0);
  });
});

/** What an application changes for one exchange or keeps for its connection, numbered as in docs/parity.md (#148 to #169). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { responseHead } from '@ferrata/headers';
import type { ServerExchange } from '@ferrata/http';
import { bytes, get, type RawClient, response, ServerRig, settle } from '../rig.ts';

function answer(exchange: ServerExchange): void {
  exchange.sendHead(response(200), 2);
  exchange.sendData(bytes('ok'));
  exchange.sendEnd();
}

/** A rig whose client has sent one request. */
async function asked(head = get()): Promise<{ readonly rig: ServerRig; readonly client: RawClient; readonly exchange: ServerExchange }> {
  const rig = new ServerRig();
  const client = rig.connect({ highWaterBytes: 1 });
  await client.send(head);
  return { rig, client, exchange: rig.last.exchange };
}

describe('parity: what an application changes for one exchange', () => {
  it('#148 how long its connection waits for the next request, or that it does not; a wish of the client to close stands', async () => {
    for (const [idleTimeoutMs, isOpenAfter] of [
      [2_000, 1_000],
      [Number.POSITIVE_INFINITY, 1e9],
    ] as const) {
      const { rig, client, exchange } = await asked();
      exchange.adjust({ idleTimeoutMs });
      answer(exchange);
      await rig.advance(isOpenAfter);
      assert.equal(client.sink.hasEnded, false);
      await rig.advance(1_050);
      assert.equal(client.sink.hasEnded, idleTimeoutMs === 2_000);
    }
    for (const [head, keepAlive] of [
      ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', true],
      [get(), false],
    ] as const) {
      const { client, exchange } = await asked(head);
      exchange.adjust({ keepAlive, idleTimeoutMs: 60_000 });
      answer(exchange);
      await settle();
      assert.match(client.received, /Connection: close/);
      assert.equal(exchange.isConnectionReusable, false);
      assert.equal(client.sink.hasEnded, true);
    }
  });

  it('#152 what is kept for the connection is there in the next exchange, until it is taken away', async () => {
    const rig = new ServerRig();
    const seen: unknown[] = [];
    rig.onRequest = (exchange) => {
      const { connection } = exchange;
      seen.push(connection.context);
      connection.context = connection.requestCount === 1 ? { user: 'ferris' } : undefined;
      answer(exchange);
    };
    const client = rig.connect();
    for (let request = 0; request < 3; request++) await client.send(get());
    await rig.connect().send(get());
    assert.deepEqual(seen, [undefined, { user: 'ferris' }, undefined, undefined]);
  });

  it('#154 that interim responses are dropped, but for the 100 that the client waits for', async () => {
    const expecting = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n';
    for (const [head, dropInterim, expected] of [
      [get(), false, ['100', '102', '200']],
      [get(), true, ['200']],
      [expecting, true, ['100', '200']],
    ] as const) {
      const { client, exchange } = await asked(head);
      exchange.adjust({ dropInterim });
      for (const status of [100, 102]) exchange.sendInterim(responseHead(status));
      answer(exchange);
      await settle();
      assert.deepEqual(
        Array.from(client.received.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status]) => status),
        expected,
      );
    }
  });

  it('#161 how long a write may take: a fixed time, none, or bytes by rate in the place of the time, and then a second at least', async () => {
    const none = Number.POSITIVE_INFINITY;
    for (const [settings, length, expectedMs] of [
      [{ writeTimeoutMs: 60_000 }, 149_000, 60_000],
      [{ writeTimeoutMs: none }, 149_000, none],
      [{ writeTimeoutMs: 60_000, minSendBytesPerSecond: 0 }, 149_000, 60_000],
      [{ writeTimeoutMs: none, minSendBytesPerSecond: 0 }, 149_000, none],
      [{ writeTimeoutMs: 60_000, minSendBytesPerSecond: 5_000 }, 149_000, 29_800],
      [{ writeTimeoutMs: 60_000, minSendBytesPerSecond: 5_000 }, 1, 1_000],
    ] as const) {
      const { rig, client, exchange } = await asked();
      exchange.adjust(settings);
      exchange.sendHead(response(200), length);
      await settle();
      client.stream.pause();
      exchange.sendData(new Uint8Array(length));
      await rig.advance(expectedMs === none ? 1e9 : expectedMs - 20);
      assert.equal(rig.last.closes.length, 0);
      await rig.advance(40);
      assert.equal(rig.last.closes[0]?.reason, expectedMs === none ? undefined : 'H1_WRITE_STALLED');
    }
  });

  it('#168 whether a client that ends its side is gone, before it does and behind that', async () => {
    for (const [before, behind, expected] of [
      [undefined, undefined, 'CLIENT_CLOSED'],
      [true, undefined, 'CLIENT_CLOSED'],
      [false, undefined, undefined],
      [false, true, 'CLIENT_CLOSED'],
      [undefined, false, undefined],
    ] as const) {
      const { rig, client, exchange } = await asked();
      if (before !== undefined) exchange.adjust({ abortOnHalfClose: before });
      assert.equal(exchange.connection.hasClientEnded, false);
      await client.end();
      assert.equal(exchange.connection.hasClientEnded, true);
      if (behind !== undefined) exchange.adjust({ abortOnHalfClose: behind });
      await rig.advance(10_000);
      assert.equal(rig.last.closes[0]?.reason, expected);
      if (expected !== undefined) continue;
      answer(exchange);
      await settle();
      assert.match(client.received, /ok$/);
      assert.deepEqual(rig.last.closes, [null]);
    }
  });

  it('#169 that a client is gone also behind the head of the response: the message tells the two apart', async () => {
    const messages: (string | undefined)[] = [];
    for (const hasHead of [false, true]) {
      const { rig, client, exchange } = await asked();
      exchange.adjust({ abortOnHalfClose: true });
      if (hasHead) exchange.sendHead(response(200), 2);
      await client.end();
      await rig.advance(10_000);
      messages.push(rig.last.closes[0]?.message);
    }
    assert.match(messages[0] ?? '', /^io CLIENT_CLOSED: .* before the response(?! was whole)/);
    assert.match(messages[1] ?? '', /^io CLIENT_CLOSED: .* before the response was whole/);
  });
});

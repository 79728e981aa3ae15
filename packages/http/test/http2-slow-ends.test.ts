/** Ends of HTTP/2 exchanges that depend on what their client does not do: take much, give credit, or read before it has sent all. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { internalError } from '@ferrata/error';
import { respond } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { SettingId } from '@ferrata/http2-framing';
import { memoryPair } from '@ferrata/stream';
import { connectFrames, FramePeer } from './http2-rig.ts';
import { response, ServerRig, settle } from './rig.ts';

describe('a client that takes a little of a full stream', () => {
  it('is served as long as it goes on, though the stream never drains, and given up when it stops', async () => {
    const rig = new ServerRig({ writeTimeoutMs: 5_000 });
    const { a, b } = memoryPair({ clock: rig.clock });
    rig.server.accept(b);
    const peer = await new FramePeer(a).hello([[SettingId.initialWindowSize, 2_000_000]]);
    peer.givesCredit = false;
    await peer.credit(0, 2_000_000);
    await peer.get(1);
    // Some bytes at a time: whatever comes, nothing more is read until the test says so.
    const hear = peer.onData.bind(peer);
    peer.onData = (chunk) => {
      peer.stream.pause();
      hear(chunk);
    };
    const { exchange } = rig.last;
    exchange.sendHead(response(200), BodyLength.chunked);
    // In pieces, so that the stream has many chunks to give, one by one.
    for (let at = 0; at < 24; at++) exchange.sendData(new Uint8Array(10_000));
    await settle();
    const taken: number[] = [];
    for (let turn = 0; turn < 8; turn++) {
      await rig.advance(4_000);
      const before = peer.heard(1).body;
      peer.stream.resume();
      await settle();
      taken.push(peer.heard(1).body - before);
    }
    assert.ok(Math.min(...taken) > 0, 'a little each time');
    assert.equal(rig.last.closes.length, 0);
    // Half of its high-water mark: until then it tells nobody that there is room.
    assert.ok(b.bufferedBytes > 32_768, `${b.bufferedBytes}`);
    await rig.advance(4_000);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(6_000);
    assert.equal(rig.last.closes[0]?.reason, 'H2_CONNECTION_STALLED');
    rig.assertEmpty();
  });
});

describe('a client that has ended its side', () => {
  it('loses an answer that begins later and does not fit into its windows: no credit can come for the rest', async () => {
    const rig = new ServerRig();
    const peer = await connectFrames(rig).hello();
    peer.givesCredit = false;
    await peer.get(1);
    await peer.get(3);
    const [long, short] = rig.followers;
    peer.stream.end();
    await settle();
    assert.ok(long !== undefined && short !== undefined && !long.exchange.isClosed);
    respond(short.exchange, 200, { body: 'fits' });
    respond(long.exchange, 200, { body: new Uint8Array(300_000) });
    await settle();
    assert.deepEqual(short.closes, [null]);
    assert.deepEqual(
      long.closes.map((error) => [error?.reason, error?.source]),
      [['CLIENT_CLOSED', 'downstream']],
    );
    assert.equal(peer.heard(3).text, 'fits');
    assert.ok(peer.heard(1).body > 60_000);
    assert.equal(peer.hasEnded, true);
    await settle();
    rig.assertEmpty();
  });
});

describe('an exchange that ends while its request is paused', () => {
  for (const [end, status] of [
    ['answered', '200'],
    ['aborted', '500'],
  ] as const) {
    it(`(${end}) reads the rest away, for a client that reads nothing before it has sent all, and gives its place back`, async () => {
      const rig = new ServerRig({ http2: { connection: { maxConcurrentStreams: 1, isWindowGrowthEnabled: false } } });
      const peer = await connectFrames(rig).hello([[SettingId.initialWindowSize, 0]]);
      peer.givesCredit = false;
      await peer.post(1);
      const { exchange } = rig.last;
      exchange.pauseRequest();
      for (let at = 0; at < 3; at++) await peer.data(1, new Uint8Array(16_384));
      if (end === 'answered') respond(exchange, 200, { body: 'hi' });
      else exchange.abort(internalError('TEST', 'a bug'));
      await settle();
      // Its answer waits for a window, and nobody is there any more to resume it.
      assert.equal(rig.last.closes.length, 1);
      assert.equal(peer.heard(1).hasEnded, false);
      // More than the window of the stream: only what was thrown away makes room for it.
      for (let at = 0; at < 3; at++) await peer.data(1, new Uint8Array(16_384), at === 2);
      assert.equal(peer.heard(1).reset, null);
      assert.deepEqual(rig.last.heard.slice(-1), [end === 'answered' ? 'close' : 'close TEST']);
      await peer.credit(1, 100);
      assert.equal(peer.status(1), status);
      assert.equal(peer.heard(1).hasEnded, true);
      await peer.get(3);
      respond(rig.last.exchange, 204);
      await settle();
      assert.equal(peer.status(3), '204');
      assert.equal(peer.heard(3).reset, null);
    });
  }
});

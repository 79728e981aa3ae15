/** What counts in windows without being content, and which streams are measured (RFC 9113 §5.2, §6.9.1). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '@ferrata/http2';
import { writeData } from '@ferrata/http2-framing';
import { DEFAULT_WINDOW_BYTES, ReceiveWindow } from '../src/flow-window.ts';
import { WindowGrowth } from '../src/window-growth.ts';
import { POST, RawPeer } from './raw-peer.ts';

test('padding is charged to the window of its stream, and given back: more of it than the window holds passes (RFC 9113 §6.9.1)', () => {
  const peer = new RawPeer(Role.server, { isWindowGrowthEnabled: false });
  peer.headers(1, POST);
  const payload = new Uint8Array(1_000);
  const frameBytes = 1 + payload.length + 255;
  let credit = DEFAULT_WINDOW_BYTES;
  let paddingBytes = 0;
  let heard = 0;
  for (let frames = 0; frames < 400; frames++) {
    assert.ok(credit >= frameBytes, `${frames} frames, and no window is left`);
    peer.write((w) => writeData(w, 1, payload, { padding: 255 })).flush();
    credit -= frameBytes;
    paddingBytes += 256;
    for (; heard < peer.answers.length; heard++) {
      const { type, id, value } = peer.answers[heard] as (typeof peer.answers)[number];
      if (type === 'WINDOW_UPDATE' && id === 1) credit += Number(value);
    }
  }
  assert.ok(paddingBytes > DEFAULT_WINDOW_BYTES);
  // Half a window may be owed, never more; and nobody is given more than was used.
  assert.ok(credit > DEFAULT_WINDOW_BYTES / 2 && credit <= DEFAULT_WINDOW_BYTES, `${credit}`);
  assert.equal(peer.end.fatal, null);
  assert.equal(peer.end.body(1).length, 400 * payload.length);
});

test('padding alone takes the window too: the peer that pads beyond it is refused (RFC 9113 §6.9.1)', () => {
  const peer = new RawPeer(Role.server, { guard: false });
  peer.headers(1, POST).flush();
  const stream = peer.end.streams.get(1);
  assert.ok(stream);
  peer.end.connection.setReadingPaused(stream, true, 0);
  // 63 KiB in frames of 1 KiB, and then the last of the window to the byte.
  for (let frames = 0; frames < 63; frames++) peer.write((w) => writeData(w, 1, new Uint8Array(768), { padding: 255 }));
  peer.write((w) => writeData(w, 1, new Uint8Array(767), { padding: 255 })).flush();
  assert.deepEqual(peer.told('RST_STREAM'), []);
  peer.write((w) => writeData(w, 1, new Uint8Array(0), { padding: 0 })).flush();
  assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 3']);
});

test('a stream is measured when it has brought more than a third of its first window, and not a byte before', () => {
  const third = DEFAULT_WINDOW_BYTES / 3;
  assert.equal(Number.isInteger(third), true);
  for (const pieces of [[third], [1_000, third - 1_000]]) {
    const growth = new WindowGrowth({
      initialStreamWindowBytes: DEFAULT_WINDOW_BYTES,
      maxStreamWindowBytes: 0x10_0000,
      maxReceiveBufferBytes: 0x80_0000,
      isWindowGrowthEnabled: true,
    });
    const window = new ReceiveWindow();
    growth.open(window);
    const take = (bytes: number): boolean => {
      assert.equal(window.receive(bytes), true);
      return growth.receive(window, bytes, 0);
    };
    for (const bytes of pieces) assert.equal(take(bytes), false);
    assert.equal(take(1), true);
  }
});

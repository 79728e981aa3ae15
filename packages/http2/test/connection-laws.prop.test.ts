/** Laws of the whole connection: any cut of the bytes gives the same events and answers, and any bytes give events or one error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { Http2Event, Role } from '@ferrata/http2';
import {
  CLIENT_PREFACE,
  writeData,
  writePing,
  writePriorityUpdate,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import fc from 'fast-check';
import { End } from './connection-harness.ts';
import { GET, POST, RawPeer } from './raw-peer.ts';

/** What clients say: all kinds of frames, requests good and bad. */
function clientBytes(): Uint8Array {
  const peer = new RawPeer(Role.server, {}, true);
  const { writer } = peer;
  writer.writeBytes(CLIENT_PREFACE);
  writeSettings(writer, [
    [3, 50],
    [4, 100_000],
  ]);
  writeSettingsAck(writer);
  peer.headers(1, [...GET, ['cookie', 'a=b'], ['cookie', 'c=d']], { isEndStream: true });
  writePing(writer, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  peer.headers(3, [...POST, ['content-length', '40000']], { maxFrameBytes: 16_384 });
  writeWindowUpdate(writer, 3, 70_000);
  for (let at = 0; at < 4; at++) writeData(writer, 3, new Uint8Array(10_000).fill(65 + at), { padding: at * 10 });
  peer.headers(3, [['x-sum', '7']], { isEndStream: true });
  writePriorityUpdate(writer, 5, 'u=1');
  peer.headers(5, [...GET, ['x-large', 'z'.repeat(20_000)]], { isEndStream: true });
  peer.headers(7, [...GET, ['connection', 'close']], { isEndStream: true });
  peer.headers(9, POST);
  writeData(writer, 9, new Uint8Array(5));
  writeRstStream(writer, 9, 8);
  writeWindowUpdate(writer, 0, 70_000);
  return writer.take();
}

/** What a server says to three requests. */
function serverBytes(): Uint8Array {
  const peer = new RawPeer(Role.client, {}, true);
  const { writer } = peer;
  writeSettings(writer, [[3, 50]]);
  writeSettingsAck(writer);
  peer
    .headers(1, [
      [':status', '103'],
      ['link', '</a>'],
    ])
    .headers(1, [
      [':status', '200'],
      ['content-length', '5'],
    ]);
  peer.headers(3, [[':status', '404']]);
  writeData(writer, 1, Buffer.from('hello'), { isEndStream: true });
  writeData(writer, 3, Buffer.from('not '), { padding: 3 });
  writeRstStream(writer, 5, 7);
  writeData(writer, 3, Buffer.from('found'));
  peer.headers(3, [['grpc-status', '0']], { isEndStream: true });
  return writer.take();
}

interface Outcome {
  readonly stories: unknown;
  readonly fatal: string | null;
}

/** Feeds a fresh connection, which answers every request at its end. @param cuts lengths of the chunks, over and over */
function run(role: Role, bytes: Uint8Array, cuts: readonly number[]): Outcome {
  const end = new End(role);
  if (role === Role.client) {
    for (let count = 0; count < 3; count++) end.connection.request(requestHead('GET', '/', { headers: { Host: 'a' } }), {}, 0);
  }
  end.onEvent = (_end, stream, event) => {
    if (role !== Role.server || event !== Http2Event.end || stream === null || stream.isClosed) return;
    end.connection.sendHead(stream, responseHead(200), -1, '', 0);
    end.connection.sendData(stream, Buffer.from('body'), 0);
    end.connection.sendEnd(stream, HeaderMap.from({ 'X-Sum': '1' }), 0);
  };
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const count = Math.max(1, cuts[turn % cuts.length] ?? bytes.length);
    end.receive(bytes.slice(at, at + count));
    at += count;
    end.take();
  }
  end.connection.receiveEnd(1);
  end.run(1);
  end.take();
  // Pieces of a body may be cut anywhere: what counts is what they make together.
  const ids = [...new Set(end.seen.map(({ id }) => id))];
  const stories = ids.map((id) => [id, end.story(id), end.body(id), end.seen.filter((one) => one.id === id && one.event !== 'data')]);
  return { stories, fatal: end.fatal };
}

for (const [name, role, bytes] of [
  ['server', Role.server, clientBytes()],
  ['client', Role.client, serverBytes()],
] as const) {
  test(`any cut of the bytes gives a ${name} the same events`, () => {
    const whole = run(role, bytes, [bytes.length]);
    assert.equal(whole.fatal, null);
    assert.deepEqual(run(role, bytes, [1]), whole);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 }), (cuts) => {
        assert.deepEqual(run(role, bytes, cuts), whole);
      }),
      { numRuns: 60, seed: 2 },
    );
  });

  test(`any bytes give a ${name} events or one error, which stays`, () => {
    const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(changes, fc.integer({ min: 1, max: 5_000 }), fc.nat(bytes.length), (edits, cut, length) => {
        const changed = bytes.slice(0, length);
        for (const [at, value] of edits) if (at < changed.length) changed[at] = value;
        // Harness and machine throw anything that is no WireError.
        run(role, changed, [cut]);
      }),
      { numRuns: 400, seed: 3 },
    );
  });

  test(`random frames behind the preface give a ${name} events or one error`, () => {
    const frame = fc.record({ type: fc.nat(17), flags: fc.nat(255), id: fc.nat(8), payload: fc.uint8Array({ maxLength: 40 }) });
    const preface = role === Role.server ? CLIENT_PREFACE : new Uint8Array(0);
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 30, size: '+1' }), (frames) => {
        const peer = new RawPeer(role, {}, true);
        peer.writer.writeBytes(preface);
        writeSettings(peer.writer, []);
        for (const { type, flags, id, payload } of frames) {
          peer.writer.writeUint24(payload.length);
          peer.writer.writeByte(type);
          peer.writer.writeByte(flags);
          peer.writer.writeUint32(id);
          peer.writer.writeBytes(payload);
        }
        run(role, peer.writer.take(), [64]);
      }),
      { numRuns: 300, seed: 4 },
    );
  });
}

/**
 * Pieces of bodies may be given away: a proxy frees their memory as soon as the bytes are with the kernel, which is told behind the turn in which
 * they came. Nothing of the connection may look at them then.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import { Http2Event, Role } from '@ferrata/http2';
import { writeData, writePing } from '@ferrata/http2-framing';
import { POST, RawPeer } from './raw-peer.ts';

/** A frame of DATA, and its payload in a buffer of its own. */
function cut(id: number, payload: Uint8Array, isEndStream: boolean): readonly [header: Uint8Array, payload: Uint8Array] {
  const writer = new ByteWriter();
  writeData(writer, id, payload, { isEndStream });
  const bytes = writer.take();
  return [bytes.slice(0, 9), Uint8Array.from(bytes.subarray(9))];
}

for (const isPaused of [false, true]) {
  test(`a piece that is all of its chunk may be freed behind its turn, and nothing is lost${isPaused ? ', also of what waited' : ''}`, () => {
    const peer = new RawPeer(Role.server, { isWindowGrowthEnabled: false });
    const { end } = peer;
    peer.headers(1, POST).headers(3, POST).flush();
    const stream = end.streams.get(1);
    assert.ok(stream);
    end.connection.setReadingPaused(stream, isPaused, 0);
    const given: Uint8Array[] = [];
    let freed = 0;
    end.onEvent = ({ connection }, _stream, event) => {
      const { data } = connection;
      // What `giveAway` of @ferrata/stream takes: chunks that are all of their buffer.
      if (event === Http2Event.data && data.length === data.buffer.byteLength) given.push(data);
    };
    const endTurn = (): void => {
      for (const { buffer } of given.splice(0)) {
        assert.ok(buffer instanceof ArrayBuffer);
        buffer.transfer(0);
        freed++;
      }
    };
    for (const [at, letter] of ['a', 'b', 'c'].entries()) {
      const [header, payload] = cut(1, new Uint8Array(16_384).fill(letter.charCodeAt(0)), at === 2);
      end.receive(header);
      end.receive(payload);
      endTurn();
    }
    end.connection.setReadingPaused(stream, false, 0);
    end.run();
    endTurn();
    assert.equal(freed, 3);
    assert.equal(end.body(1), 'a'.repeat(16_384) + 'b'.repeat(16_384) + 'c'.repeat(16_384));
    assert.equal(end.story(1), 'head data end');
    peer
      .write((w) => writeData(w, 3, new Uint8Array(3).fill(0x61), { isEndStream: true }))
      .write((w) => writePing(w, new Uint8Array(8)))
      .flush();
    assert.equal(end.body(3), 'aaa');
    assert.equal(end.fatal, null);
    assert.deepEqual(peer.told('PING').length, 1);
  });
}

/** What needs a stream and a clock on the client's side of HTTP/1, numbered as in docs/parity.md (#173, #179, #187). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RecordingSink } from '@ferrata/testkit';
import { bytes, ClientFollower, ClientRig, settle, text } from '../rig.ts';

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n';

describe('parity: a connection of a client', () => {
  it('#173 the bytes received of a response are its payload, however it is framed and whatever stands around it', async () => {
    const ok = 'HTTP/1.1 200 OK\r\n';
    for (const [pieces, isEnded] of [
      [[`${ok}Content-Length: 3\r\n\r\nabc`], false],
      [[`${ok}Content-Length: 3\r\n\r\n`, 'a', 'bc'], false],
      [[`${ok}Content-Length: 3\r\n\r\nabcdef`], false],
      [[`${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`, '0\r\n\r\n'], false],
      [[`${ok}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nb`, 'c\r\n0\r\nx: y\r\n\r\n'], false],
      [[`${ok}\r\nab`, 'c'], true],
      [['HTTP/1.1 100 Continue\r\n\r\n', `HTTP/1.1 103 Early Hints\r\n\r\n${ok}Content-Length: 3\r\n\r\nabc`], false],
    ] as const) {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      const exchange = rig.request(follower);
      for (const piece of pieces) await rig.answer(piece);
      if (isEnded) {
        rig.server.end();
        await settle();
      }
      assert.equal(follower.heard.at(-1)?.startsWith('close'), true);
      assert.equal(exchange.responseBytes, 3, pieces.join(''));
    }
  });

  it('#179 a response, a head and a body that are written have their times', async () => {
    const reading = new ClientRig({ connection: { firstByteTimeoutMs: 1_000, readTimeoutMs: 2_000 } });
    const unanswered = new ClientFollower();
    reading.request(unanswered);
    await reading.advance(1_010);
    assert.deepEqual(unanswered.heard, ['close H1_FIRST_BYTE_TIMEOUT']);

    const stalling = new ClientRig({ connection: { readTimeoutMs: 2_000 } });
    const stalled = new ClientFollower();
    stalling.request(stalled);
    await stalling.answer('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab');
    await stalling.advance(2_010);
    assert.deepEqual(stalled.heard, ['200 3', 'data ab', 'close H1_READ_TIMEOUT']);

    for (const body of ['', 'x'.repeat(100)]) {
      const writing = new ClientRig({ writeTimeoutMs: 1_000 }, { highWaterBytes: body === '' ? 10 : 80 });
      writing.server.pause();
      const unread = new ClientFollower();
      const exchange = writing.request(unread, { method: 'POST', bodyLength: body.length });
      if (body !== '') {
        await settle();
        exchange.sendData(bytes(body));
      }
      await writing.advance(1_010);
      assert.deepEqual(unread.heard, ['close H1_WRITE_STALLED']);
      assert.equal(writing.armed, 0);
    }
  });

  it('#187 a switch: what is glued to 101 comes first, both ways are raw behind it, and the end is told', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower, { upgrade: 'websocket' });
    await rig.answer(`${SWITCHED}one `);
    assert.deepEqual(follower.heard, ['tunnel 101', 'close']);
    const { tunnel } = follower;
    assert.ok(tunnel !== null);
    assert.equal(text(tunnel.remaining), 'one ');
    const sink = new RecordingSink();
    tunnel.stream.attach(sink, tunnel.remaining);
    await rig.answer('two');
    tunnel.stream.write(bytes('raw'));
    await settle();
    assert.match(rig.sink.text(), /\r\n\r\nraw$/);
    rig.server.end();
    await settle();
    assert.equal(sink.text(), 'one two');
    assert.equal(sink.hasEnded, true);
  });
});

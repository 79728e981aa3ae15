/** Permessage-deflate (RFC 7692): the classes 12 and 13 of the Autobahn test suite, with zlib and with a compression that anybody can read: each byte twice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { concatBytes, utf8Encode } from '@ferrata/bytes';
import { WireError } from '@ferrata/error';
import { type DeflateParameters, type MakeMessageCompression, type MessageCompression, MessageKind, Role } from '@ferrata/websocket';
import { closePayload, collectGarbage, drive, frame, latin, Script } from './drive.ts';

const plain = { key: null };

const windows: DeflateParameters = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

function halving(): MessageCompression {
  return {
    deflate: (message) => message.filter((_, i) => i % 2 === 0),
    inflate(payload, maxBytes) {
      if (payload[0] === 0xff) throw new Error('bad data');
      if (payload[0] === 0xfe) throw new WireError('limit', 'TYPED', {});
      if (payload.length * 2 > maxBytes) return null;
      return Uint8Array.from({ length: payload.length * 2 }, (_, i) => payload[i >>> 1] as number);
    },
  };
}

const compressed = { isCompressed: true };
const deflating = { deflate: windows, compression: halving, compressFromBytes: 4 };

describe('permessage-deflate (RFC 7692 §6, §7.2)', () => {
  test('messages from compressFromBytes on are compressed, fragments and small ones are not', () => {
    const server = new Script(Role.server, deflating);
    server.connection.sendText('aabb');
    server.connection.sendText('aab');
    server.connection.sendFragment(MessageKind.text, utf8Encode('aabb'), 'last');
    assert.deepEqual(server.takeFrames(), ['1z:ab', '1:aab', '1:aabb']);
  });

  test('with a window of 2^8 nothing is compressed', () => {
    const client = new Script(Role.client, { ...deflating, deflate: { ...windows, clientMaxWindowBits: 8 } });
    client.connection.sendText('aabb');
    assert.deepEqual(client.takeFrames(), ['1:aabb']);
  });

  test('a compressed message is expanded, whole, in fragments, with pings between them, and empty', () => {
    const server = new Script(Role.server, deflating);
    server.receive(frame(1, 'ab', compressed));
    server.receive(frame(1, 'a', { isFinal: false, ...compressed }));
    assert.ok(server.connection.bufferedBytes > 0);
    server.receive(frame(9, 'p'));
    server.receive(frame(0, 'b'));
    server.receive(frame(2, '', compressed));
    server.receive(frame(1, 'plain'));
    assert.deepEqual(server.events, ['text:aabb', 'ping:p', 'text:aabb', 'binary:', 'text:plain']);
    assert.equal(server.connection.bufferedBytes, 0);
  });

  test('RSV1 on a continuation or a control frame is refused, also where compression was agreed on', () => {
    for (const bytes of [
      concatBytes([frame(1, 'a', { isFinal: false, ...compressed }), frame(0, 'b', compressed)]),
      frame(9, 'p', compressed),
    ]) {
      const server = new Script(Role.server, deflating);
      server.receive(bytes);
      assert.deepEqual(server.events, ['error:WS_RESERVED_BITS']);
      assert.equal(server.connection.bufferedBytes, 0);
    }
  });

  test('what is no DEFLATE data, and what expands to no UTF-8, is 1007', () => {
    const bad = new Script(Role.server, deflating);
    bad.receive(frame(1, Uint8Array.of(0xff), compressed));
    assert.deepEqual(bad.events, ['error:WS_DEFLATE_INVALID']);
    assert.deepEqual(bad.takeFrames(), ['8:1007']);
    const typed = new Script(Role.server, deflating);
    typed.receive(frame(1, Uint8Array.of(0xfe), compressed));
    assert.deepEqual(typed.events, ['error:TYPED']);
    const text = new Script(Role.server, deflating);
    text.receive(frame(1, Uint8Array.of(0xc3), compressed));
    assert.deepEqual(text.events, ['error:WS_TEXT_INVALID']);
  });

  test('an expanded message beyond maxMessageBytes or the ratio is 1009', () => {
    const large = new Script(Role.server, { ...deflating, maxMessageBytes: 100 });
    large.receive(frame(2, new Uint8Array(51), compressed));
    assert.deepEqual(large.events, ['error:WS_MESSAGE_TOO_LARGE']);
    const ratio = new Script(Role.server, { ...deflating, maxInflateRatio: 1.5 });
    // Up to 1 MiB any ratio is fine: two equal messages in a row have one of thousands.
    ratio.receive(frame(2, new Uint8Array(0x8_0000), compressed));
    ratio.receive(frame(2, new Uint8Array(0x8_0001), compressed));
    assert.deepEqual([ratio.events.length, ratio.events[1]], [2, 'error:WS_INFLATE_RATIO']);
    assert.deepEqual(ratio.takeFrames(), ['8:1009']);
  });

  test('where compressed messages are gathered they have a limit', () => {
    assert.throws(() => new Script(Role.server, { ...deflating, maxMessageBytes: Number.POSITIVE_INFINITY }), RangeError);
    assert.ok(new Script(Role.server, { maxMessageBytes: Number.POSITIVE_INFINITY }).connection.isOpen);
  });

  test('what compresses is given back as soon as nothing more is said or heard', async () => {
    const made: WeakRef<MessageCompression>[] = [];
    const { deflate, compression } = deflating;
    const counting: MakeMessageCompression = () => {
      const codec = compression();
      made.push(new WeakRef(codec));
      return codec;
    };
    const closed = new Script(Role.client, { deflate, compression: counting });
    closed.receive(frame(8, closePayload(1000), plain));
    const failed = new Script(Role.server, { deflate, compression: counting });
    failed.receive(Uint8Array.of(0x83, 0x80));
    const open = new Script(Role.server, { deflate, compression: counting });
    await new Promise((resolve) => void setImmediate(resolve));
    collectGarbage();
    assert.deepEqual(
      made.map((codec) => codec.deref() === undefined),
      [true, true, false],
    );
    assert.deepEqual(
      [closed, failed, open].map(({ connection }) => connection.isOpen),
      [false, false, true],
    );
  });
});

/** Each message for itself, by zlib. */
function zlib(): MessageCompression {
  return {
    deflate: (message) => deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4),
    inflate(payload, maxBytes) {
      const message = inflateRawSync(concatBytes([payload, Uint8Array.of(0, 0, 0xff, 0xff)]), { finishFlush: constants.Z_SYNC_FLUSH });
      return message.length > maxBytes ? null : message;
    },
  };
}

describe('class 12, messages by zlib, in both roles', () => {
  const options = { deflate: windows, compression: zlib, compressFromBytes: 0 };
  const words = (count: number): Uint8Array => utf8Encode(Array.from({ length: count }, (_, i) => `κόσμε ${(i * 7919) % 1000}`).join(' '));

  for (const [name, role, key] of [
    ['server', Role.server, undefined],
    ['client', Role.client, null],
  ] as const) {
    const sent = (opcode: number, payload: Uint8Array, header: Parameters<typeof frame>[2] = {}): Uint8Array =>
      frame(opcode, payload, key === undefined ? header : { key, ...header });

    for (const count of [1, 10, 100, 1_000, 10_000]) {
      test(`${name}: ${count} words, whole and in fragments of 1, 7 and 64 bytes with pings between them`, () => {
        const text = words(count);
        const payload = zlib().deflate(text);
        assert.deepEqual(drive(role, sent(1, payload, compressed), options).events, [`text:${latin(text)}`]);
        for (const size of [1, 7, 64]) {
          if (payload.length / size > 500) continue;
          const frames: Uint8Array[] = [];
          for (let at = 0; at < payload.length; at += size) {
            const isFinal = at + size >= payload.length;
            frames.push(sent(at === 0 ? 1 : 0, payload.subarray(at, at + size), { isFinal, isCompressed: at === 0 }));
            if (at === 0) frames.push(sent(9, Uint8Array.of(0x70)));
          }
          const { events } = drive(role, concatBytes(frames), { ...options, size: 5 });
          const ping = payload.length > size ? ['ping:p', `text:${latin(text)}`] : [`text:${latin(text)}`, 'ping:p'];
          assert.deepEqual(events, ping, `in fragments of ${size}`);
        }
      });
    }

    test(`${name}: an empty message is the byte 00 (§7.2.3.6), or none`, () => {
      assert.deepEqual(drive(role, sent(2, Uint8Array.of(0), compressed), options).events, ['binary:']);
      assert.deepEqual(drive(role, sent(2, Uint8Array.of(), compressed), options).events, ['binary:']);
    });

    test(`${name}: what it sends is read at the other end`, () => {
      const { connection } = drive(role, Uint8Array.of(), options);
      const text = words(500);
      connection.sendBinary(text);
      connection.sendText('');
      const other = role === Role.server ? Role.client : Role.server;
      assert.deepEqual(drive(other, concatBytes(connection.takeOutput()), options).events, [`binary:${latin(text)}`, 'text:']);
    });
  }
});

/** The bytes that the writers write, and the arguments that they refuse (RFC 9113 §6). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter, latin1Encode } from '@ferrata/bytes';
import {
  writeAltsvc,
  writeData,
  writeFrameHeader,
  writeGoaway,
  writeHeaders,
  writeOrigin,
  writePing,
  writePriority,
  writePriorityUpdate,
  writePushPromise,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeUnknownFrame,
  writeWindowUpdate,
} from '@ferrata/http2-framing';

function written(write: (writer: ByteWriter) => void): string {
  const writer = new ByteWriter({ initialCapacity: 16 });
  write(writer);
  return Buffer.from(writer.take()).toString('hex');
}

const hex = (text: string): string => text.replaceAll(' ', '');
const block = Uint8Array.of(0x82, 0x84);

describe('frames as they are on the wire', () => {
  const expected: readonly (readonly [name: string, bytes: string, write: (writer: ByteWriter) => void])[] = [
    ['a header', '00ffff fa ff 7fffffff', (w) => writeFrameHeader(w, 0xffff, 0xfa, 0xff, 0x7fff_ffff)],
    ['DATA', '000002 00 00 00000001 8284', (w) => writeData(w, 1, block)],
    ['DATA with padding', '000005 00 09 00000001 02 8284 0000', (w) => writeData(w, 1, block, { isEndStream: true, padding: 2 })],
    ['DATA with padding of none', '000003 00 08 00000001 00 8284', (w) => writeData(w, 1, block, { padding: 0 })],
    ['HEADERS', '000002 01 05 00000003 8284', (w) => writeHeaders(w, 3, block, { isEndStream: true })],
    [
      'HEADERS with everything',
      '000009 01 2c 00000003 01 80000001 ff 8284 00',
      (w) => writeHeaders(w, 3, block, { padding: 1, priority: { dependsOn: 1, weight: 256, isExclusive: true } }),
    ],
    ['PRIORITY', '000005 02 00 00000003 00000001 0f', (w) => writePriority(w, 3, { dependsOn: 1, weight: 16 })],
    ['RST_STREAM', '000004 03 00 00000003 ffffffff', (w) => writeRstStream(w, 3, 0xffff_ffff)],
    [
      'SETTINGS',
      '00000c 04 00 00000000 0003 00000064 ffff ffffffff',
      (w) =>
        writeSettings(w, [
          [3, 100],
          [0xffff, 0xffff_ffff],
        ]),
    ],
    ['SETTINGS of a map', '000006 04 00 00000000 0003 00000064', (w) => writeSettings(w, new Map([[3, 100]]))],
    ['empty SETTINGS', '000000 04 00 00000000', (w) => writeSettings(w, [])],
    ['SETTINGS, acknowledged', '000000 04 01 00000000', (w) => writeSettingsAck(w)],
    ['PUSH_PROMISE', '000008 05 0c 00000001 01 00000002 8284 00', (w) => writePushPromise(w, 1, 2, block, { padding: 1 })],
    ['PING', '000008 06 00 00000000 0000000000000001', (w) => writePing(w, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1))],
    ['PING, answered', '000008 06 01 00000000 0000000000000000', (w) => writePing(w, new Uint8Array(8), { isAck: true })],
    ['GOAWAY', '000008 07 00 00000000 7fffffff 00000000', (w) => writeGoaway(w, 0x7fff_ffff, 0)],
    ['GOAWAY with text', '00000a 07 00 00000000 00000005 0000000b 68e9', (w) => writeGoaway(w, 5, 11, 'h\xe9')],
    ['WINDOW_UPDATE', '000004 08 00 00000000 7fffffff', (w) => writeWindowUpdate(w, 0, 0x7fff_ffff)],
    ['ALTSVC', '000005 0a 00 00000000 0001 61 6832', (w) => writeAltsvc(w, 0, 'a', 'h2')],
    ['ALTSVC of a stream', '000004 0a 00 00000001 0000 6832', (w) => writeAltsvc(w, 1, '', 'h2')],
    ['ORIGIN', '000007 0c 00 00000000 0001 61 0002 6262', (w) => writeOrigin(w, ['a', 'bb'])],
    ['PRIORITY_UPDATE', '000007 10 00 00000000 00000005 753d31', (w) => writePriorityUpdate(w, 5, 'u=1')],
    ['any frame', '000002 fa 03 00000007 8284', (w) => writeUnknownFrame(w, { type: 0xfa, flags: 3, streamId: 7, payload: block })],
    ['any frame, empty', '000000 fa 00 00000000', (w) => writeUnknownFrame(w, { type: 0xfa })],
  ];
  for (const [name, bytes, write] of expected) test(name, () => assert.equal(written(write), hex(bytes)));

  test('padding is zeros also where a write that failed left other bytes (RFC 9113 §6.1)', () => {
    const writer = new ByteWriter({ initialCapacity: 32 });
    assert.throws(() => writer.writeLatin1('\xff'.repeat(20) + '\u0100'));
    writer.slab.fill(0xff, writer.makeRoom(20), 20);
    writeData(writer, 1, block, { padding: 4 });
    assert.equal(Buffer.from(writer.take()).toString('hex'), hex('000007 00 08 00000001 04 8284 00000000'));
  });

  test('a block over maxFrameBytes goes on in CONTINUATIONs (RFC 9113 §6.10)', () => {
    const bytes = Buffer.from(
      written((w) => writeHeaders(w, 1, new Uint8Array(40_000), { maxFrameBytes: 20_000 })),
      'hex',
    );
    assert.equal(bytes.length, 9 + 20_000 + 9 + 20_000);
    assert.equal(bytes.toString('hex', 0, 9), hex('004e20 01 00 00000001'));
    assert.equal(bytes.toString('hex', 20_009, 20_018), hex('004e20 09 04 00000001'));
  });
});

describe('misuse is a RangeError and leaves the writer as it was', () => {
  const long = 'x'.repeat(16_385);
  const misuses: readonly (readonly [name: string, write: (writer: ByteWriter) => void])[] = [
    ['DATA on stream 0', (w) => writeData(w, 0, block)],
    ['a stream beyond 31 bits', (w) => writeRstStream(w, 0x8000_0000, 0)],
    ['a stream that is no whole number', (w) => writeRstStream(w, 1.5, 0)],
    ['a stream that is no number', (w) => writeHeaders(w, Number.NaN, block)],
    ['padding of 256', (w) => writeData(w, 1, block, { padding: 256 })],
    ['padding of -1', (w) => writeHeaders(w, 1, block, { padding: -1 })],
    ['padding of half a byte', (w) => writePushPromise(w, 1, 2, block, { padding: 0.5 })],
    ['maxFrameBytes of 100', (w) => writeHeaders(w, 1, block, { maxFrameBytes: 100 })],
    ['maxFrameBytes of 2^24', (w) => writePushPromise(w, 1, 2, block, { maxFrameBytes: 2 ** 24 })],
    ['a stream that depends on itself', (w) => writePriority(w, 3, { dependsOn: 3, weight: 1 })],
    ['a weight of 0', (w) => writeHeaders(w, 3, block, { priority: { dependsOn: 0, weight: 0 } })],
    ['a weight of 257', (w) => writePriority(w, 3, { dependsOn: 0, weight: 257 })],
    ['an error code beyond 32 bits', (w) => writeRstStream(w, 1, 2 ** 32)],
    ['a setting beyond its range', (w) => writeSettings(w, [[4, 2 ** 31]])],
    ['ENABLE_PUSH of 2', (w) => writeSettings(w, [[2, 2]])],
    ['a setting beyond 16 bits', (w) => writeSettings(w, [[0x1_0000, 0]])],
    ['a setting of -1', (w) => writeSettings(w, [[3, -1]])],
    [
      'more settings than any peer takes',
      (w) =>
        writeSettings(
          w,
          Array.from({ length: 2731 }, () => [3, 1] as const),
        ),
    ],
    ['PUSH_PROMISE of stream 0', (w) => writePushPromise(w, 1, 0, block)],
    ['PING of 7 bytes', (w) => writePing(w, new Uint8Array(7))],
    ['GOAWAY with a character of two bytes', (w) => writeGoaway(w, 1, 0, 'a\u0100')],
    ['GOAWAY with too much text', (w) => writeGoaway(w, 1, 0, long)],
    ['GOAWAY with stream -1', (w) => writeGoaway(w, -1, 0)],
    ['WINDOW_UPDATE of 0', (w) => writeWindowUpdate(w, 1, 0)],
    ['WINDOW_UPDATE of 2^31', (w) => writeWindowUpdate(w, 1, 2 ** 31)],
    ['ALTSVC on stream 0 without an origin', (w) => writeAltsvc(w, 0, '', 'h2')],
    ['ALTSVC on a stream with one', (w) => writeAltsvc(w, 1, 'a', 'h2')],
    ['ALTSVC that is too long', (w) => writeAltsvc(w, 1, '', long)],
    ['ORIGIN beyond ASCII', (w) => writeOrigin(w, ['\x80'])],
    ['ORIGIN that is too long', (w) => writeOrigin(w, [long])],
    ['PRIORITY_UPDATE beyond ASCII', (w) => writePriorityUpdate(w, 1, '\x80')],
    ['PRIORITY_UPDATE of stream 0', (w) => writePriorityUpdate(w, 0, 'u=1')],
    ['PRIORITY_UPDATE that is too long', (w) => writePriorityUpdate(w, 1, long)],
    ['a type beyond 8 bits', (w) => writeUnknownFrame(w, { type: 256 })],
    ['flags beyond 8 bits', (w) => writeFrameHeader(w, 0, 0, 256, 0)],
    ['a length beyond 24 bits', (w) => writeFrameHeader(w, 2 ** 24, 0, 0, 0)],
  ];
  for (const [name, write] of misuses) {
    test(name, () => {
      const writer = new ByteWriter();
      writer.writeBytes(latin1Encode('before'));
      assert.throws(() => write(writer), RangeError);
      assert.equal(Buffer.from(writer.take()).toString(), 'before');
    });
  }
});

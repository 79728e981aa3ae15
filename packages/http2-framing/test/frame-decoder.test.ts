/** The frame decoder, section by section of RFC 9113. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isWireError } from '@ferrata/error';
import { FrameDecoder, type FrameDecoderOptions, type FramingReason, Http2ErrorCode } from '@ferrata/http2-framing';

/** A frame: its payload as hex, blanks ignored; its length unless told otherwise. */
function frame(
  type: number,
  flags: number,
  streamId: number,
  payload = '',
  length = Buffer.from(payload.replaceAll(' ', ''), 'hex').length,
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, Buffer.from(payload.replaceAll(' ', ''), 'hex')]);
}

function decoderOf(...frames: readonly Uint8Array[]): FrameDecoder {
  const decoder = new FrameDecoder();
  decoder.feed(Buffer.concat(frames));
  return decoder;
}

/** The first frame of `bytes`, whole in its chunk and, with the same result, in single bytes. */
function first(bytes: Uint8Array): FrameDecoder {
  const whole = decoderOf(bytes);
  assert.equal(whole.next(), true);
  const pieces = new FrameDecoder();
  const given: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    pieces.feed(bytes.subarray(at, at + 1));
    while (pieces.next()) given.push(...payloadOf(pieces));
  }
  assert.deepEqual(given, payloadOf(whole));
  return whole;
}

function payloadOf(decoder: FrameDecoder): number[] {
  return [...decoder.bytes.subarray(decoder.payloadStart, decoder.payloadEnd)];
}

/** Reads all of `bytes` in chunks of `size`. @returns the reason of the refusal */
function refusal(bytes: Uint8Array, options: FrameDecoderOptions, size: number, isEnded: boolean): string | null {
  const decoder = new FrameDecoder(options);
  try {
    for (let at = 0; at < bytes.length; at += size) {
      decoder.feed(bytes.subarray(at, at + size));
      while (decoder.next());
    }
    if (isEnded) decoder.end();
    while (decoder.next());
    return null;
  } catch (error) {
    assert.ok(isWireError(error));
    assert.throws(() => decoder.next(), error);
    assert.equal(decoder.bufferedBytes, 0);
    decoder.feed(Uint8Array.of(1));
    assert.equal(decoder.bufferedBytes, 0);
    return error.reason;
  }
}

/** Refused for this reason, whole and in single bytes. */
function assertRefused(reason: FramingReason, bytes: Uint8Array, options: FrameDecoderOptions = {}): void {
  assert.equal(refusal(bytes, options, bytes.length, false), reason);
  assert.equal(refusal(bytes, options, 1, false), reason);
}

function assertAccepted(bytes: Uint8Array, options: FrameDecoderOptions = {}): void {
  assert.equal(refusal(bytes, options, bytes.length, true), null);
  assert.equal(refusal(bytes, options, 1, true), null);
}

const cases = (list: readonly (readonly [reason: FramingReason, bytes: Uint8Array])[]): void => {
  for (const [reason, bytes] of list) assertRefused(reason, bytes);
};

describe('frame header (RFC 9113 §4.1, §4.2)', () => {
  test('the reserved bit and flags without a meaning are ignored', () => {
    const decoder = first(frame(0, 0xf6, 0x8000_0003, '61'));
    assert.equal(decoder.streamId, 3);
    assert.equal(decoder.flags, 0xf6);
    assert.deepEqual(payloadOf(decoder), [0x61]);
  });

  test('the highest stream is 2^31 - 1', () => {
    assert.equal(first(frame(3, 0, 0xffff_ffff, '00000000')).streamId, 0x7fff_ffff);
  });

  test('a frame that is too long is refused at its header, whatever its type', () => {
    for (const type of [0, 1, 2, 4, 0xfa]) cases([['H2_FRAME_TOO_LARGE', frame(type, 0, 1, '', 16_385)]]);
    const decoder = new FrameDecoder({ maxFrameBytes: 20_000 });
    decoder.feed(frame(0xfa, 0, 1, '', 20_000));
    assert.equal(decoder.next(), false);
  });

  test('unknown types are told as they are, and can be ignored (§5.5)', () => {
    const decoder = first(frame(0xfa, 0xff, 0, '010203'));
    assert.equal(decoder.type, 0xfa);
    assert.equal(decoder.isIgnorable, true);
    assert.deepEqual(payloadOf(decoder), [1, 2, 3]);
  });
});

describe('DATA (RFC 9113 §6.1)', () => {
  test('comes in pieces as the chunks do, of which the first and the last are marked', () => {
    const decoder = new FrameDecoder();
    decoder.feed(frame(0, 1, 1, '616263').subarray(0, 10));
    assert.equal(decoder.next(), true);
    assert.deepEqual([decoder.isFrameStart, decoder.isFrameEnd, decoder.length, payloadOf(decoder)], [true, false, 3, [0x61]]);
    assert.equal(decoder.next(), false);
    assert.equal(decoder.isMidFrame, true);
    decoder.feed(Uint8Array.of(0x62));
    assert.equal(decoder.next(), true);
    assert.deepEqual([decoder.isFrameStart, decoder.isFrameEnd, decoder.length, payloadOf(decoder)], [false, false, 3, [0x62]]);
    assert.equal(decoder.next(), false);
    decoder.feed(Uint8Array.of(0x63));
    assert.equal(decoder.next(), true);
    assert.deepEqual([decoder.isFrameStart, decoder.isFrameEnd, payloadOf(decoder)], [false, true, [0x63]]);
    assert.equal(decoder.isMidFrame, false);
  });

  test('is given in place: no copy', () => {
    const chunk = frame(0, 0, 1, '616263');
    const decoder = decoderOf();
    decoder.feed(chunk);
    assert.equal(decoder.next(), true);
    assert.equal(decoder.bytes, chunk);
    assert.deepEqual([decoder.payloadStart, decoder.payloadEnd], [9, 12]);
  });

  test('an empty one is one piece, the first and the last', () => {
    const decoder = first(frame(0, 1, 1));
    assert.deepEqual([decoder.isFrameStart, decoder.isFrameEnd, decoder.length], [true, true, 0]);
  });

  test('padding is no part of a piece but of the length, and the end comes behind it', () => {
    const decoder = first(frame(0, 8, 1, '02 6162 0000'));
    assert.deepEqual([decoder.length, payloadOf(decoder)], [5, [0x61, 0x62]]);
    assert.deepEqual(payloadOf(first(frame(0, 8, 1, '00 61'))), [0x61]);
    assert.deepEqual(payloadOf(first(frame(0, 8, 1, '02 0000'))), []);
    assert.deepEqual(payloadOf(first(frame(0, 8, 1, '00'))), []);
  });

  test('padding that comes alone gives no piece until the frame ends', () => {
    const bytes = frame(0, 9, 1, '03 61 000000');
    const decoder = new FrameDecoder();
    decoder.feed(bytes.subarray(0, 11));
    assert.equal(decoder.next(), true);
    assert.deepEqual([decoder.isFrameEnd, payloadOf(decoder)], [false, [0x61]]);
    decoder.feed(bytes.subarray(11, 13));
    assert.equal(decoder.next(), false);
    decoder.feed(bytes.subarray(13));
    assert.equal(decoder.next(), true);
    assert.deepEqual([decoder.isFrameStart, decoder.isFrameEnd, payloadOf(decoder)], [false, true, []]);
  });

  test('is refused on stream 0, with padding over its length, without room for the length of its padding', () => {
    cases([
      ['H2_STREAM_ID_MISSING', frame(0, 0, 0, '61')],
      ['H2_PADDING_TOO_LONG', frame(0, 8, 1, '01')],
      ['H2_PADDING_TOO_LONG', frame(0, 8, 1, '03 6161')],
      ['H2_PADDING_TOO_LONG', frame(0, 8, 1, 'ff', 200)],
      ['H2_FRAME_SIZE', frame(0, 8, 1)],
    ]);
  });
});

describe('HEADERS and CONTINUATION (RFC 9113 §4.3, §6.2, §6.10)', () => {
  test('priority and padding are no part of the fragment', () => {
    const decoder = first(frame(1, 0x2d, 5, '02 80000003 ff 8284 0000'));
    assert.deepEqual(payloadOf(decoder), [0x82, 0x84]);
    const { hasPriority, dependsOn, weight, isExclusive, streamError } = decoder;
    assert.deepEqual([hasPriority, dependsOn, weight, isExclusive, streamError], [true, 3, 256, true, 0]);
    assert.equal(first(frame(1, 5, 5, '82')).hasPriority, false);
  });

  test('one that depends on itself is an error of its stream, and its block counts (RFC 7540 §5.3.1)', () => {
    const decoder = first(frame(1, 0x24, 5, '00000005 00 82'));
    assert.equal(decoder.streamError, Http2ErrorCode.protocolError);
    assert.deepEqual(payloadOf(decoder), [0x82]);
  });

  test('a block goes on in CONTINUATIONs until END_HEADERS', () => {
    const decoder = decoderOf(frame(1, 1, 1, '82'), frame(9, 0, 1, '84'), frame(9, 4, 1), frame(6, 0, 0, '0000000000000000'));
    const open: boolean[] = [];
    while (decoder.next()) open.push(decoder.isMidFieldBlock);
    assert.deepEqual(open, [true, true, false, false]);
  });

  test('nothing may come between, not even an unknown frame', () => {
    const open = frame(1, 0, 1, '82');
    for (const other of [
      frame(0, 0, 1, '61'),
      frame(9, 4, 3),
      frame(1, 4, 1),
      frame(0xfa, 0, 0),
      frame(4, 1, 0),
      frame(8, 0, 1, '00000001'),
    ]) {
      assertRefused('H2_CONTINUATION_EXPECTED', Buffer.concat([open, other]));
    }
    assertRefused('H2_CONTINUATION_UNEXPECTED', frame(9, 4, 1, '82'));
    assertRefused('H2_CONTINUATION_UNEXPECTED', Buffer.concat([frame(1, 4, 1, '82'), frame(9, 4, 1)]));
    assertRefused('H2_STREAM_ID_MISSING', Buffer.concat([open, frame(9, 4, 0)]));
  });

  test('CONTINUATIONs are bounded in number, empty ones too (CVE-2026-33871)', () => {
    const empty = frame(9, 0, 1);
    const open = frame(1, 0, 1, '82');
    assertAccepted(Buffer.concat([open, ...Array.from({ length: 7 }, () => empty), frame(9, 4, 1)]));
    assertRefused('H2_CONTINUATIONS_TOO_MANY', Buffer.concat([open, ...Array.from({ length: 9 }, () => empty)]));
    assertRefused('H2_CONTINUATIONS_TOO_MANY', Buffer.concat([open, frame(9, 4, 1)]), { maxContinuations: 0 });
  });

  test('a block is bounded in bytes, at the header of the frame that is over it', () => {
    const options = { maxHeaderBlockBytes: 10 };
    assertAccepted(Buffer.concat([frame(1, 0, 1, '82'.repeat(6)), frame(9, 4, 1, '82'.repeat(4))]), options);
    assertRefused('H2_FIELD_BLOCK_TOO_LARGE', Buffer.concat([frame(1, 0, 1, '82'.repeat(6)), frame(9, 4, 1, '', 5)]), options);
    assertRefused('H2_FIELD_BLOCK_TOO_LARGE', frame(1, 4, 1, '', 11), options);
    // Each block is counted anew.
    assertAccepted(Buffer.concat([frame(1, 4, 1, '82'.repeat(6)), frame(1, 4, 3, '82'.repeat(6))]), options);
  });

  test('is refused on stream 0, and without room for what its flags announce', () => {
    cases([
      ['H2_STREAM_ID_MISSING', frame(1, 4, 0, '82')],
      ['H2_FRAME_SIZE', frame(1, 0x0c, 1)],
      ['H2_FRAME_SIZE', frame(1, 0x24, 1, '00000000')],
      ['H2_FRAME_SIZE', frame(1, 0x2c, 1, '00 00000000')],
      ['H2_PADDING_TOO_LONG', frame(1, 0x0c, 1, '02 82')],
      ['H2_PADDING_TOO_LONG', frame(1, 0x2c, 1, '01 00000000 0f')],
    ]);
  });
});

describe('PRIORITY and RST_STREAM (RFC 9113 §6.3, §6.4)', () => {
  test('PRIORITY has the priority fields', () => {
    const { hasPriority, dependsOn, weight, isExclusive, streamError } = first(frame(2, 0, 5, '00000003 0f'));
    assert.deepEqual([hasPriority, dependsOn, weight, isExclusive, streamError], [true, 3, 16, false, 0]);
  });

  test('PRIORITY of a wrong length is an error of its stream, and so is one that depends on itself', () => {
    for (const payload of ['', '00000003', '00000003 0f 00']) {
      const decoder = first(frame(2, 0, 5, payload));
      assert.deepEqual([decoder.streamError, decoder.hasPriority], [Http2ErrorCode.frameSizeError, false]);
    }
    assert.equal(first(frame(2, 0, 5, '00000005 0f')).streamError, Http2ErrorCode.protocolError);
    assertRefused('H2_STREAM_ID_MISSING', frame(2, 0, 0, '00000003 0f'));
  });

  test('the error of a stream is not that of the next frame', () => {
    const decoder = decoderOf(frame(2, 0, 5), frame(3, 0, 5, '00000008'));
    assert.ok(decoder.next() && decoder.streamError !== 0);
    assert.ok(decoder.next() && decoder.streamError === 0);
  });

  test('RST_STREAM has an error code of 32 bits', () => {
    assert.equal(first(frame(3, 0, 5, 'fffffffe')).errorCode, 0xffff_fffe);
    cases([
      ['H2_STREAM_ID_MISSING', frame(3, 0, 0, '00000008')],
      ['H2_FRAME_SIZE', frame(3, 0, 5, '000008')],
      ['H2_FRAME_SIZE', frame(3, 0, 5, '0000000008')],
    ]);
  });
});

describe('SETTINGS (RFC 9113 §6.5, RFC 8441 §3, RFC 9218 §2.1)', () => {
  test('are given in order, unknown ones included', () => {
    const decoder = first(frame(4, 0, 0, '0003 00000064  ffff ffffffff  0003 00000001'));
    const settings = Array.from({ length: decoder.settingCount }, (_, i) => [decoder.settingIdAt(i), decoder.settingValueAt(i)]);
    assert.deepEqual(settings, [
      [3, 100],
      [0xffff, 0xffff_ffff],
      [3, 1],
    ]);
    assert.throws(() => decoder.settingIdAt(3), RangeError);
    assert.throws(() => decoder.settingValueAt(-1), RangeError);
    assert.equal(first(frame(4, 0, 0)).settingCount, 0);
    assert.equal(first(frame(4, 1, 0)).flags, 1);
  });

  test('are refused on a stream, with a wrong length, as an acknowledgement with a payload', () => {
    cases([
      ['H2_STREAM_ID_UNEXPECTED', frame(4, 0, 1)],
      ['H2_FRAME_SIZE', frame(4, 0, 0, '0003 000000')],
      ['H2_SETTINGS_ACK_NOT_EMPTY', frame(4, 1, 0, '0003 00000064')],
    ]);
  });

  test('are bounded in number (class of CVE-2020-11080)', () => {
    assertAccepted(frame(4, 0, 0, '0003 00000064'.repeat(32)));
    assertRefused('H2_SETTINGS_TOO_MANY', frame(4, 0, 0, '', 33 * 6));
  });

  test('have values in their ranges (§6.5.2)', () => {
    cases([
      ['H2_SETTING_VALUE', frame(4, 0, 0, '0002 00000002')],
      ['H2_SETTING_WINDOW', frame(4, 0, 0, '0004 80000000')],
      ['H2_SETTING_VALUE', frame(4, 0, 0, '0005 00003fff')],
      ['H2_SETTING_VALUE', frame(4, 0, 0, '0005 01000000')],
      ['H2_SETTING_VALUE', frame(4, 0, 0, '0008 00000002')],
      ['H2_SETTING_VALUE', frame(4, 0, 0, '0001 00000000 0009 00000002')],
    ]);
    assertAccepted(frame(4, 0, 0, '0002 00000001 0004 7fffffff 0005 00ffffff 0008 00000001 0009 00000000'));
  });
});

describe('PUSH_PROMISE, PING, GOAWAY (RFC 9113 §6.6–§6.8)', () => {
  test('PUSH_PROMISE has the promised stream and a fragment, and opens a block', () => {
    const decoder = first(frame(5, 8, 1, '01 80000002 82 00'));
    assert.deepEqual([decoder.promisedStreamId, payloadOf(decoder), decoder.isMidFieldBlock], [2, [0x82], true]);
    cases([
      ['H2_STREAM_ID_MISSING', frame(5, 4, 0, '00000002')],
      ['H2_FRAME_SIZE', frame(5, 4, 1, '000002')],
      ['H2_FRAME_SIZE', frame(5, 0x0c, 1, '00000002')],
      ['H2_PADDING_TOO_LONG', frame(5, 0x0c, 1, '01 00000002')],
      ['H2_PROMISED_STREAM_ID', frame(5, 4, 1, '80000000')],
    ]);
  });

  test('PING has eight bytes', () => {
    assert.deepEqual(payloadOf(first(frame(6, 1, 0, '0102030405060708'))), [1, 2, 3, 4, 5, 6, 7, 8]);
    cases([
      ['H2_STREAM_ID_UNEXPECTED', frame(6, 0, 1, '0102030405060708')],
      ['H2_FRAME_SIZE', frame(6, 0, 0, '01020304050607')],
      ['H2_FRAME_SIZE', frame(6, 0, 0, '010203040506070809')],
    ]);
  });

  test('GOAWAY has a stream, a code and debug data', () => {
    const decoder = first(frame(7, 0, 0, 'ffffffff 0000000b 6869'));
    assert.deepEqual([decoder.lastStreamId, decoder.errorCode, payloadOf(decoder)], [0x7fff_ffff, 11, [0x68, 0x69]]);
    cases([
      ['H2_STREAM_ID_UNEXPECTED', frame(7, 0, 1, '00000001 00000000')],
      ['H2_FRAME_SIZE', frame(7, 0, 0, '00000001 000000')],
    ]);
  });
});

describe('WINDOW_UPDATE (RFC 9113 §6.9)', () => {
  test('has an increment without the reserved bit', () => {
    assert.equal(first(frame(8, 0, 0, 'ffffffff')).increment, 0x7fff_ffff);
    assert.equal(first(frame(8, 0, 3, '00000001')).increment, 1);
  });

  test('of 0 is an error of the stream, or of the connection on stream 0', () => {
    assert.equal(first(frame(8, 0, 3, '80000000')).streamError, Http2ErrorCode.protocolError);
    cases([
      ['H2_WINDOW_INCREMENT_ZERO', frame(8, 0, 0, '00000000')],
      ['H2_FRAME_SIZE', frame(8, 0, 3, '000001')],
    ]);
  });
});

describe('extensions', () => {
  test('ALTSVC has its origin on stream 0 and none on a stream, else it is ignored (RFC 7838 §4)', () => {
    const onConnection = first(frame(10, 0, 0, '0001 61 6832'));
    assert.deepEqual([onConnection.altsvcOrigin(), payloadOf(onConnection), onConnection.isIgnorable], ['a', [0x68, 0x32], false]);
    const onStream = first(frame(10, 0, 1, '0000 6832'));
    assert.deepEqual([onStream.altsvcOrigin(), payloadOf(onStream), onStream.isIgnorable], ['', [0x68, 0x32], false]);
    for (const ignored of [frame(10, 0, 0, '0000 68'), frame(10, 0, 1, '0001 61')]) {
      const decoder = first(ignored);
      assert.deepEqual([decoder.isIgnorable, decoder.altsvcOrigin()], [true, '']);
    }
  });

  test('an ALTSVC without room for its origin is an error of the connection, or of its stream (RFC 9113 §4.2)', () => {
    for (const payload of ['', '00', '0002 61']) {
      assertRefused('H2_ALTSVC_LENGTH', frame(10, 0, 0, payload));
      const decoder = first(frame(10, 0, 1, payload));
      assert.deepEqual([decoder.streamError, decoder.isIgnorable], [Http2ErrorCode.frameSizeError, true]);
    }
  });

  test('ORIGIN has origins; on a stream or with flags it is ignored (RFC 8336 §2.1, §2.2)', () => {
    const decoder = first(frame(12, 0, 0, '0001 61 0000 0002 6262'));
    assert.deepEqual([decoder.originCount, decoder.origins()], [3, ['a', '', 'bb']]);
    for (const ignored of [frame(12, 0, 1, '0001 61'), frame(12, 1, 0, '0009'), frame(12, 8, 0)]) {
      const other = first(ignored);
      assert.deepEqual([other.isIgnorable, other.originCount, other.origins()], [true, 0, []]);
    }
    assert.deepEqual(first(frame(12, 0xf0, 0)).origins(), []);
    cases([
      ['H2_ORIGIN_LENGTH', frame(12, 0, 0, '00')],
      ['H2_ORIGIN_LENGTH', frame(12, 0, 0, '0001 61 0002 61')],
    ]);
  });

  test('PRIORITY_UPDATE has a stream and a field value (RFC 9218 §7.1)', () => {
    const decoder = first(frame(16, 0, 0, '80000005 753d31'));
    assert.deepEqual([decoder.prioritizedStreamId, payloadOf(decoder)], [5, [0x75, 0x3d, 0x31]]);
    cases([
      ['H2_STREAM_ID_UNEXPECTED', frame(16, 0, 1, '00000005')],
      ['H2_PRIORITIZED_STREAM_ID', frame(16, 0, 0, '00000000')],
      ['H2_FRAME_SIZE', frame(16, 0, 0, '000005')],
    ]);
  });
});

describe('chunks', () => {
  test('several may wait; what is read and what is kept make what was fed', () => {
    const decoder = new FrameDecoder();
    const ping = frame(6, 0, 0, '0102030405060708');
    decoder.feed(ping.subarray(0, 4));
    decoder.feed(ping.subarray(4, 12));
    decoder.feed(new Uint8Array(0));
    decoder.feed(Buffer.concat([ping.subarray(12), ping]));
    assert.equal(decoder.bufferedBytes, 34);
    assert.ok(decoder.next());
    assert.deepEqual([decoder.consumedBytes, decoder.bufferedBytes], [17, 17]);
    assert.ok(decoder.next());
    assert.equal(decoder.next(), false);
    assert.deepEqual([decoder.consumedBytes, decoder.bufferedBytes], [34, 0]);
  });

  test('a payload that was gathered stays as it is when the next is', () => {
    const decoder = new FrameDecoder();
    const kept: Uint8Array[] = [];
    const bytes = Buffer.concat([frame(0xfa, 0, 0, '01'.repeat(600)), frame(0xfa, 0, 0, '02'.repeat(600))]);
    for (let at = 0; at < bytes.length; at += 100) {
      decoder.feed(bytes.subarray(at, at + 100));
      while (decoder.next()) kept.push(decoder.bytes.subarray(decoder.payloadStart, decoder.payloadEnd));
    }
    assert.deepEqual(kept, [new Uint8Array(600).fill(1), new Uint8Array(600).fill(2)]);
  });

  test('a chunk that has been read is let go', () => {
    const decoder = decoderOf(frame(0, 0, 1, '61'));
    while (decoder.next());
    assert.equal(decoder.bytes.length, 0);
  });

  test('an end inside a frame or a field block is told when everything before has been read', () => {
    for (const [reason, bytes] of [
      ['H2_TRUNCATED_FRAME', frame(6, 0, 0, '0102030405060708').subarray(0, 16)],
      ['H2_TRUNCATED_FRAME', frame(6, 0, 0).subarray(0, 3)],
      ['H2_TRUNCATED_FRAME', frame(0, 0, 1, '61', 2)],
      ['H2_TRUNCATED_FIELD_BLOCK', frame(1, 0, 1, '82')],
    ] as const) {
      const decoder = decoderOf(frame(4, 1, 0), bytes);
      decoder.end();
      assert.ok(decoder.next());
      assert.throws(
        () => {
          while (decoder.next());
        },
        { reason },
      );
      assert.throws(() => decoder.next(), { reason });
    }
  });

  test('after the end nothing may be fed, and the end of nothing is no error', () => {
    const decoder = new FrameDecoder();
    decoder.end();
    assert.equal(decoder.next(), false);
    assert.throws(() => decoder.feed(Uint8Array.of(0)), TypeError);
  });
});

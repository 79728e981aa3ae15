/** Names of numbers, options and errors. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  FRAMING_REASONS,
  FrameDecoder,
  frameTypeName,
  framingError,
  http2ErrorName,
  resolveFrameDecoderOptions,
} from '@ferrata/http2-framing';

describe('names', () => {
  test('are those of RFC 9113 §6 and §7, and hexadecimal where there is none', () => {
    assert.deepEqual([0, 3, 9, 0x0a, 0x0c, 0x10, 0x0b, 0xff].map(frameTypeName), [
      'DATA',
      'RST_STREAM',
      'CONTINUATION',
      'ALTSVC',
      'ORIGIN',
      'PRIORITY_UPDATE',
      '0xb',
      '0xff',
    ]);
    assert.deepEqual([0, 1, 0x0b, 0x0d, 0x0e, 0xffff_ffff].map(http2ErrorName), [
      'NO_ERROR',
      'PROTOCOL_ERROR',
      'ENHANCE_YOUR_CALM',
      'HTTP_1_1_REQUIRED',
      '0xe',
      '0xffffffff',
    ]);
  });
});

describe('options of the decoder', () => {
  test('have the defaults of the README, are frozen, and are resolved once', () => {
    const resolved = resolveFrameDecoderOptions();
    assert.deepEqual(resolved, {
      isResolved: true,
      maxFrameBytes: 16_384,
      maxContinuations: 8,
      maxHeaderBlockBytes: 32_768,
      maxSettings: 32,
    });
    assert.ok(Object.isFrozen(resolved));
    assert.equal(resolveFrameDecoderOptions(resolved), resolved);
  });

  test('that make no sense are refused by name', () => {
    for (const [name, value] of [
      ['maxFrameBytes', 16_383],
      ['maxFrameBytes', 2 ** 24],
      ['maxContinuations', -1],
      ['maxHeaderBlockBytes', 0.5],
      ['maxSettings', 5],
    ] as const) {
      assert.throws(() => new FrameDecoder({ [name]: value }), { name: 'RangeError', message: new RegExp(`^${name} `) });
    }
  });
});

describe('errors', () => {
  test('each have an error code of RFC 9113 §7, the limits their type', () => {
    for (const reason of FRAMING_REASONS) {
      const error = framingError(reason, 'DATA on stream 1');
      assert.ok([1, 3, 6, 11].includes(error.wire.http2Code ?? 0), reason);
      assert.equal(error.type === 'limit', /TOO_(MANY|LARGE)$/.test(reason), reason);
      assert.match(error.message, new RegExp(`${reason}: .* \\(DATA on stream 1\\)$`));
    }
  });
});

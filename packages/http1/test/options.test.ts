import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  RequestDecoder,
  type RequestDecoderOptions,
  ResponseDecoder,
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
} from '../src/index.ts';

describe('options of decoders', () => {
  it('have the defaults that the README names', () => {
    assert.deepEqual(resolveRequestDecoderOptions(), {
      isResolved: true,
      maxHeadBytes: 32_768,
      maxFieldBytes: 16_384,
      maxFieldNameBytes: 256,
      maxFields: 100,
      maxChunkLineBytes: 256,
      maxChunkExtensionBytes: 16_384,
      maxTinyChunks: 65_536,
      maxTrailerBytes: 8_192,
      maxTrailerFields: 32,
      forbiddenTrailers: 'drop',
      maxMethodBytes: 32,
      maxTargetBytes: 8_192,
      maxEmptyLines: 4,
      leniency: { bareLineFeed: false, missingHost: false, nonAsciiTarget: false, repeatedEqualContentLength: false },
    });
    const { maxFields, maxStatusLineBytes } = resolveResponseDecoderOptions();
    assert.deepEqual([maxFields, maxStatusLineBytes], [200, 8_192]);
  });

  it('are resolved once and then shared, frozen', () => {
    const requests = resolveRequestDecoderOptions({ maxFields: 7 });
    assert.equal(resolveRequestDecoderOptions(requests), requests);
    assert.ok(Object.isFrozen(requests));
    const responses = resolveResponseDecoderOptions({});
    assert.equal(resolveResponseDecoderOptions(responses), responses);
  });

  it('refuse nonsense, naming it', () => {
    const nonsense: readonly RequestDecoderOptions[] = [
      { maxHeadBytes: 63 },
      { maxHeadBytes: 2 ** 31 },
      { maxFieldNameBytes: 257 },
      { maxFields: -1 },
      { maxFields: 1.5 },
      { maxTinyChunks: Number.NaN },
      { maxChunkLineBytes: 16 },
      { forbiddenTrailers: 'keep' as 'drop' },
    ];
    for (const options of nonsense) {
      const [name] = Object.keys(options) as [string];
      assert.throws(() => new RequestDecoder(options), { name: 'RangeError', message: new RegExp(name) });
      assert.throws(() => new ResponseDecoder(options), { name: 'RangeError', message: new RegExp(name) });
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteWriter, latin1Decode } from '@ferrata/bytes';
import { HeaderMap } from '@ferrata/headers';
import { CHUNK_END, formatChunkLine, formatLastChunk, writeChunk, writeLastChunk } from '../src/index.ts';
import { bytesOf } from './decoding.ts';

describe('chunked bodies (RFC 9112 §7.1)', () => {
  it('are written as sizes, data and a last chunk', () => {
    const writer = new ByteWriter();
    writeChunk(writer, bytesOf('0123456789abcdef!'));
    writeChunk(writer, bytesOf(''));
    writeChunk(writer, bytesOf('x'), 'a=1;b="q;"');
    writeLastChunk(writer);
    assert.equal(latin1Decode(writer.take()), '11\r\n0123456789abcdef!\r\n1;a=1;b="q;"\r\nx\r\n0\r\n\r\n');
  });

  it('have lines for large data that is not copied', () => {
    assert.equal(`${formatChunkLine(65_536)}…${CHUNK_END}`, '10000\r\n…\r\n');
    assert.equal(formatChunkLine(Number.MAX_SAFE_INTEGER), '1fffffffffffff\r\n');
  });

  it('end with the trailers that may be trailers (RFC 9110 §6.5.1)', () => {
    assert.equal(
      formatLastChunk(
        HeaderMap.from([
          ['X-Sum', '1'],
          ['Host', 'evil'],
          ['x-sum', ''],
        ]),
      ),
      '0\r\nX-Sum: 1\r\nx-sum: \r\n\r\n',
    );
    assert.equal(formatLastChunk(new HeaderMap()), '0\r\n\r\n');
    assert.equal(formatLastChunk(), '0\r\n\r\n');
  });

  it('refuse sizes and extensions that would make another body', () => {
    for (const size of [0, -1, 1.5, Number.NaN, 2 ** 53]) assert.throws(() => formatChunkLine(size), RangeError);
    for (const extension of [';', 'a b', 'a=', 'a="', 'a="\r\n"', 'a;', '\u010a', 'a="\u010a"'])
      assert.throws(() => formatChunkLine(1, extension), TypeError);
  });
});

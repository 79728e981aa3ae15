/** Round trip: what the writers write, the decoders read back; and what the decoders read, the writers make canonical. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import fc from 'fast-check';
import { BodyLength, writeChunk, writeLastChunk, writeRequestHead, writeResponseHead } from '../src/index.ts';
import { cuts, latin1Text, plainFields } from './arbitraries.ts';
import { bytesOf, cutAt, decodeRequests, decodeResponses } from './decoding.ts';

const framingNames = /^(?:content-length|transfer-encoding|connection|upgrade|expect|cookie)$/i;
const fields = plainFields.map((all) => all.filter(([name]) => !framingNames.test(name)));
const pieces = fc.array(latin1Text(30), { maxLength: 4 });
const framing = fc.constantFrom('length', 'chunked');
const trailers = plainFields.map((all) => all.filter(([name]) => /^x-|^\W/i.test(name)));

function writeBody(writer: ByteWriter, kind: string, data: readonly string[], trailerFields: readonly (readonly [string, string])[]): void {
  if (kind === 'length') {
    for (const piece of data) writer.writeLatin1(piece);
    return;
  }
  for (const piece of data) writeChunk(writer, bytesOf(piece));
  writeLastChunk(writer, HeaderMap.from(trailerFields));
}

describe('round trip', () => {
  it('requests', () => {
    fc.assert(
      fc.property(fields, pieces, framing, trailers, cuts, (headers, data, kind, trailerFields, offsets) => {
        const body = data.join('');
        const writer = new ByteWriter();
        const head = requestHead('POST', '/p', { headers: [['Host', 'a'], ...headers] });
        writeRequestHead(writer, head, kind === 'length' ? body.length : BodyLength.chunked);
        writeBody(writer, kind, data, trailerFields);
        const { messages, reason, buffered } = decodeRequests(cutAt(writer.take(), offsets), { ends: true });
        assert.equal(reason, null);
        assert.equal(buffered, 0);
        assert.equal(messages.length, 1);
        const [message] = messages;
        assert.equal(message?.body, body);
        assert.deepEqual(message?.headers.slice(0, -1), [['Host', 'a'], ...headers]);
        assert.deepEqual(message?.trailers, kind === 'length' || trailerFields.length === 0 ? null : trailerFields);
      }),
      { numRuns: 500 },
    );
  });

  it('responses, delimited by the end of the connection too', () => {
    fc.assert(
      fc.property(
        fields,
        pieces,
        fc.constantFrom('length', 'chunked', 'close'),
        fc.integer({ min: 205, max: 299 }),
        cuts,
        (headers, data, kind, status, offsets) => {
          const body = data.join('');
          const writer = new ByteWriter();
          const bodyLength = kind === 'length' ? body.length : kind === 'chunked' ? BodyLength.chunked : BodyLength.untilClose;
          writeResponseHead(writer, responseHead(status, { headers }), { bodyLength });
          writeBody(writer, kind === 'close' ? 'length' : kind, data, []);
          const { messages, reason } = decodeResponses(cutAt(writer.take(), offsets), { ends: true });
          assert.equal(reason, null);
          assert.deepEqual([messages[0]?.status, messages[0]?.body, messages[0]?.isComplete], [status, body, true]);
          assert.deepEqual(kind === 'close' ? messages[0]?.headers : messages[0]?.headers.slice(0, -1), headers);
        },
      ),
      { numRuns: 500 },
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes, utf8Encode } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { cutBytes } from '@ferrata/testkit';
import fc from 'fast-check';
import { Base64Decoder } from '../../src/grpc-web/base64-decoder.ts';
import { GrpcTextEncoder } from '../../src/grpc-web/grpc-text-encoder.ts';
import { frameOf, readFrames, readText } from './naive-grpc-web.ts';

const messages = fc.array(fc.tuple(fc.constantFrom(0, 1), fc.uint8Array({ maxLength: 40 })), { maxLength: 5 });

function decode(chunks: readonly Uint8Array[]): Uint8Array {
  const decoder = new Base64Decoder();
  const bytes = concatBytes(chunks.map((chunk) => decoder.decode(chunk)));
  decoder.end();
  return bytes;
}

describe('any chunking gives the same bytes', () => {
  test('out of base64, in pieces with padding of their own', () => {
    const texts = fc
      .array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 })
      .map((pieces) => utf8Encode(pieces.map((piece) => Buffer.from(piece).toString('base64')).join('')));
    fc.assert(fc.property(cutBytes(texts), ({ bytes, chunks }) => assert.deepEqual(decode(chunks), readText(bytes))));
  });

  test('into base64, and whatever messages have come whole can be read', () => {
    const bodies = messages.map((all) => concatBytes(all.map(([flags, payload]) => frameOf(flags, payload))));
    fc.assert(
      fc.property(cutBytes(bodies), ({ bytes, chunks }) => {
        const encoder = new GrpcTextEncoder();
        let sent = new Uint8Array();
        let came = new Uint8Array();
        for (const chunk of chunks) {
          came = new Uint8Array(concatBytes([came, chunk]));
          sent = new Uint8Array(concatBytes([sent, encoder.encode(chunk) ?? new Uint8Array()]));
          const read = readText(sent);
          assert.deepEqual(readFrames(read), readFrames(came));
          // Of a message under way two bytes may wait.
          assert.ok(came.length - read.length <= 2);
        }
        assert.equal(encoder.end(), null);
        assert.deepEqual(readText(sent), bytes);
      }),
    );
  });

  test('any bytes are base64 or a WireError, whole as cut', () => {
    const outcome = (chunks: readonly Uint8Array[]): Uint8Array | string => {
      try {
        return decode(chunks);
      } catch (error) {
        assert.ok(isWireError(error));
        return error.reason;
      }
    };
    const bytes = fc.array(fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...utf8Encode('AQgw8/+=')) }, fc.nat(255)), { maxLength: 24 });
    fc.assert(
      fc.property(cutBytes(bytes.map((all) => Uint8Array.from(all))), ({ bytes: whole, chunks }) => {
        const decoded = outcome([whole]);
        assert.deepEqual(outcome(chunks), decoded);
        // What is accepted is what Node reads, and the only way to write it with the same padding.
        if (typeof decoded !== 'string') {
          assert.deepEqual(decoded, readText(whole));
          const groups = Buffer.from(whole).toString('latin1').match(/.{4}/gs) ?? [];
          for (const group of groups) assert.equal(Buffer.from(group, 'base64').toString('base64'), group);
        }
      }),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { isFieldName, isFieldValue, isToken } from '@ferrata/headers';
import fc from 'fast-check';
import {
  chunkings,
  cut,
  cutBytes,
  fieldNames,
  fieldValues,
  headerLists,
  http1Pipelines,
  http1Requests,
  http1Responses,
  naiveHttp1,
  naiveHttp1Responses,
  nearMisses,
  tokens,
} from '../../src/index.ts';

describe('chunkings', () => {
  test('make the whole, in pieces of at least one byte', () => {
    fc.assert(
      fc.property(
        fc.nat(300).chain((byteLength) => chunkings(byteLength).map((sizes) => ({ byteLength, sizes }))),
        ({ byteLength, sizes }) => {
          assert.ok(sizes.every((size) => size >= 1));
          assert.equal(
            sizes.reduce((sum, size) => sum + size, 0),
            byteLength,
          );
        },
      ),
    );
  });

  test('cut copies, and puts what is left over into a last piece', () => {
    fc.assert(
      fc.property(cutBytes(fc.uint8Array({ maxLength: 60 })), ({ bytes, chunks }) => {
        assert.deepEqual(concatBytes(chunks), bytes);
        for (const chunk of chunks) assert.notEqual(chunk.buffer, bytes.buffer);
      }),
    );
    assert.deepEqual(
      cut(Uint8Array.of(1, 2, 3), [1]).map((chunk) => [...chunk]),
      [[1], [2, 3]],
    );
    assert.equal(cut(Uint8Array.of(1), [1, 5]).length, 1);
  });
});

describe('fields', () => {
  test('tokens, names, values and lists are valid (RFC 9110 §5)', () => {
    fc.assert(
      fc.property(tokens(), fieldNames(), fieldValues(), headerLists(), (token, name, value, list) => {
        assert.ok(isToken(token) && isFieldName(name) && isFieldValue(value));
        for (const [one, two] of list) assert.ok(isFieldName(one) && isFieldValue(two));
      }),
    );
  });
});

describe('messages', () => {
  test('requests and pipelines mean what they say, to a naive reader (RFC 9112)', () => {
    fc.assert(
      fc.property(http1Pipelines(), (requests) => {
        const reading = naiveHttp1(concatBytes(requests.map(({ bytes }) => bytes)));
        assert.equal(reading.verdict, 'whole', reading.why);
        assert.equal(reading.messages.length, requests.length);
        reading.messages.forEach((message, i) => {
          const { method, target, fields, body, trailers } = requests[i] as (typeof requests)[number];
          assert.deepEqual(
            { ...message, minorVersion: 0 },
            { method, target, minorVersion: 0, fields, body: String.fromCharCode(...body), trailers },
          );
        });
      }),
    );
  });

  test('responses mean what they say, to a naive reader (RFC 9112)', () => {
    fc.assert(
      fc.property(http1Responses(), ({ bytes, requestMethod, status, reason, fields, body }) => {
        const reading = naiveHttp1Responses(bytes, [requestMethod]);
        assert.equal(reading.verdict, 'whole', reading.why);
        const [message] = reading.messages;
        assert.deepEqual(
          [message?.status, message?.reason, message?.fields, message?.body],
          [status, reason, fields, String.fromCharCode(...body)],
        );
      }),
    );
  });

  test('all framings, versions and ends are drawn', () => {
    const requests = fc.sample(http1Requests(), { numRuns: 300, seed: 1 });
    const responses = fc.sample(http1Responses(), { numRuns: 300, seed: 1 });
    for (const framing of ['none', 'length', 'chunked'] as const)
      assert.ok(
        requests.some((request) => request.framing === framing),
        framing,
      );
    for (const framing of ['none', 'length', 'chunked', 'untilClose'] as const)
      assert.ok(
        responses.some((response) => response.framing === framing),
        framing,
      );
    for (const messages of [requests, responses]) {
      assert.ok(messages.some(({ minorVersion }) => minorVersion === 0));
      assert.ok(messages.some(({ keepAlive }) => !keepAlive));
      assert.ok(messages.some(({ trailers }) => trailers.length > 0));
    }
    assert.ok(requests.some(({ method }) => method === 'CONNECT'));
  });
});

describe('nearMisses', () => {
  test('are refused or incomplete often, and valid or changed in the body now and then', () => {
    const verdicts = new Map<string, number>();
    for (const bytes of fc.sample(nearMisses(http1Requests().map((request) => request.bytes)), { numRuns: 500, seed: 2 })) {
      const { verdict } = naiveHttp1(bytes);
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    }
    for (const verdict of ['whole', 'incomplete', 'refused'])
      assert.ok((verdicts.get(verdict) ?? 0) >= 10, `${verdict}: ${verdicts.get(verdict)}`);
  });

  test('are copies, of Buffers too, and so are pieces', () => {
    const valid = Buffer.from('abcd');
    for (const bytes of fc.sample(nearMisses(fc.constant(valid), { maxChanges: 1, pieces: 'none' }), { numRuns: 200, seed: 1 }))
      bytes.fill(0);
    for (const chunk of cut(valid, [1, 2])) chunk.fill(0);
    assert.equal(valid.toString(), 'abcd');
    assert.ok(cut(valid, [1]).every((chunk) => Buffer.isBuffer(chunk)));
  });

  test('change all places of the input alike', () => {
    const valid = new Uint8Array(100);
    const tenths = new Array<number>(10).fill(0);
    for (const bytes of fc.sample(nearMisses(fc.constant(valid), { maxChanges: 1, pieces: 'none' }), { numRuns: 2_000, seed: 1 })) {
      const at = bytes.findIndex((byte) => byte !== 0);
      if (at >= 0) tenths[Math.floor(at / 10)] = (tenths[Math.floor(at / 10)] ?? 0) + 1;
    }
    assert.ok(
      tenths.every((count) => count >= 50 && count <= 200),
      tenths.join(),
    );
  });
});

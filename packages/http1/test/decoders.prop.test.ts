/** The laws of a codec: split, total, conservation, oracle (a naive twin), and linear work. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RequestDecoder, ResponseDecoder } from '../src/index.ts';
import { cuts, methods, pipeline, requestText, responses } from './arbitraries.ts';
import { bytesOf, cutAt, type Decoded, decodeRequests, decodeResponses, everyByte } from './decoding.ts';
import { parseNaively } from './naive-request-parser.ts';

/** All but the count of bytes: after an error a test stops to feed. */
function outcome<Message>(run: Decoded<Message>): unknown {
  return run.reason === null ? run : { ...run, consumed: 0 };
}

describe('split: any cutting of the same bytes gives the same events and the same error', () => {
  it('requests', () => {
    fc.assert(
      fc.property(pipeline, cuts, fc.boolean(), (text, offsets, ends) => {
        const bytes = bytesOf(text);
        assert.deepEqual(outcome(decodeRequests(cutAt(bytes, offsets), { ends })), outcome(decodeRequests([bytes], { ends })));
      }),
      { numRuns: 1500 },
    );
  });

  it('requests, a byte at a time', () => {
    fc.assert(
      fc.property(pipeline, (text) => {
        const bytes = bytesOf(text);
        assert.deepEqual(outcome(decodeRequests(everyByte(bytes))), outcome(decodeRequests([bytes])));
      }),
      { numRuns: 500 },
    );
  });

  it('requests under tight limits', () => {
    const options = {
      maxHeadBytes: 90,
      maxFieldBytes: 24,
      maxFieldNameBytes: 12,
      maxFields: 4,
      maxTargetBytes: 12,
      maxMethodBytes: 5,
      maxTrailerBytes: 30,
      maxTrailerFields: 1,
      maxChunkLineBytes: 32,
      maxChunkExtensionBytes: 40,
      maxTinyChunks: 2,
    };
    fc.assert(
      fc.property(pipeline, cuts, (text, offsets) => {
        const bytes = bytesOf(text);
        assert.deepEqual(outcome(decodeRequests(cutAt(bytes, offsets), { options })), outcome(decodeRequests([bytes], { options })));
      }),
      { numRuns: 1500 },
    );
  });

  it('responses', () => {
    fc.assert(
      fc.property(responses, cuts, methods, fc.boolean(), (text, offsets, asked, ends) => {
        const bytes = bytesOf(text);
        const run = { methods: asked, ends };
        assert.deepEqual(outcome(decodeResponses(cutAt(bytes, offsets), run)), outcome(decodeResponses([bytes], run)));
      }),
      { numRuns: 1500 },
    );
  });

  it('all chunks before the first call of next, or each before its own', () => {
    fc.assert(
      fc.property(pipeline, cuts, (text, offsets) => {
        const decoder = new RequestDecoder();
        const chunks = cutAt(bytesOf(text), offsets);
        for (const chunk of chunks) decoder.feed(chunk);
        let events = '';
        let reason = '';
        try {
          while (decoder.next()) events += decoder.event === 2 ? '.'.repeat(decoder.data.length) : decoder.event;
        } catch (error) {
          reason = (error as { reason: string }).reason;
        }
        const run = decodeRequests(chunks);
        assert.equal(reason, run.reason ?? '');
        assert.equal(events, run.messages.map((message) => `1${'.'.repeat(message.body.length)}${message.isComplete ? '3' : ''}`).join(''));
      }),
      { numRuns: 500 },
    );
  });
});

describe('total: any bytes give events or a WireError', () => {
  const anything = fc.uint8Array({ maxLength: 200 });

  it('random bytes as requests and as responses', () => {
    fc.assert(
      fc.property(anything, cuts, methods, (bytes, offsets, asked) => {
        decodeRequests(cutAt(bytes, offsets), { ends: true });
        decodeResponses(cutAt(bytes, offsets), { ends: true, methods: asked });
      }),
      { numRuns: 500 },
    );
  });
});

describe('conservation: consumed + buffered = fed', () => {
  it('at every moment, for requests and responses', () => {
    fc.assert(
      fc.property(fc.oneof(pipeline, responses), cuts, (text, offsets) => {
        for (const decoder of [new RequestDecoder(), new ResponseDecoder()]) {
          if (decoder instanceof ResponseDecoder) decoder.expect('GET');
          let fed = 0;
          for (const chunk of cutAt(bytesOf(text), offsets)) {
            decoder.feed(chunk);
            fed += chunk.length;
            try {
              do assert.equal(decoder.consumedBytes + decoder.bufferedBytes, fed);
              while (decoder.next());
            } catch (error) {
              if (error instanceof assert.AssertionError) throw error;
            }
            assert.equal(decoder.consumedBytes + decoder.bufferedBytes, fed);
          }
          const consumed = decoder.consumedBytes;
          assert.equal(decoder.takeRemaining().length, fed - consumed, 'takeRemaining gives what is buffered');
          assert.equal(decoder.bufferedBytes, 0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('taking the rest after some events gives the bytes behind them, wherever the chunks were cut', () => {
    fc.assert(
      fc.property(requestText, fc.string({ unit: 'binary-ascii' }), cuts, (request, rest, offsets) => {
        const decoder = new RequestDecoder();
        for (const chunk of cutAt(bytesOf(request + rest), offsets)) decoder.feed(chunk);
        while (decoder.next() && decoder.event !== 3);
        assert.equal(decoder.event, 3);
        assert.deepEqual(decoder.takeRemaining(), bytesOf(rest));
      }),
      { numRuns: 300 },
    );
  });
});

describe('oracle: a naive reading of RFC 9112 agrees', () => {
  it('on the requests found and on whether the input is valid to its end', () => {
    fc.assert(
      fc.property(pipeline, (text) => {
        const naive = parseNaively(text);
        const ours = decodeRequests(text, { ends: true });
        assert.deepEqual(
          ours.messages
            .filter((message) => message.isComplete)
            .map(({ method, target, headers, body, trailers }) => ({ method, target, headers, body, trailers })),
          naive.requests,
        );
        assert.equal(ours.reason === null, naive.isValid);
      }),
      { numRuns: 3000 },
    );
  });

  it('on all undamaged requests', () => {
    fc.assert(
      fc.property(requestText, (text) => {
        assert.equal(decodeRequests(text, { ends: true }).reason, null);
        assert.equal(parseNaively(text).isValid, true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('bounded memory', () => {
  it('never keeps more of an incomplete head than its limit', () => {
    const decoder = new RequestDecoder({ maxHeadBytes: 256 });
    let kept = 0;
    try {
      for (const byte of bytesOf(`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(1000)}`)) {
        decoder.feed(Uint8Array.of(byte));
        decoder.next();
        kept = Math.max(kept, decoder.bufferedBytes);
      }
    } catch (error) {
      assert.equal((error as { reason: string }).reason, 'H1_HEAD_TOO_LARGE');
    }
    assert.equal(kept, 255);
  });
});

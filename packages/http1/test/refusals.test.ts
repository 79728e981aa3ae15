/** Every reason of the decoders, by the shortest input that shows it; whole and a byte at a time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isWireError, timeoutError } from '@ferrata/error';
import { HTTP1_REASONS, http1Error, RequestDecoder, ResponseDecoder } from '../src/index.ts';
import { bytesOf, decodeRequests, decodeResponses, everyByte } from './decoding.ts';
import { refusedRequests, refusedResponses } from './refused-messages.ts';

describe('refused requests', () => {
  for (const [reason, status, ...cases] of refusedRequests) {
    for (const { input, options = {}, ends = false, within } of cases) {
      it(`${reason} for ${show(input)}`, () => {
        const whole = decodeRequests([bytesOf(input)], { options, ends });
        assert.equal(whole.reason, reason);
        assert.equal(whole.status, status);
        const split = decodeRequests(everyByte(bytesOf(input)), { options, ends });
        assert.deepEqual({ ...split, consumed: 0 }, { ...whole, consumed: 0 });
        if (!ends && within === undefined) {
          assert.equal(decodeRequests([bytesOf(input.slice(0, -1))], { options }).reason, null, 'one byte less is no error yet');
        }
        if (within !== undefined) {
          assert.equal(decodeRequests([bytesOf(input.slice(0, within))], { options }).reason, reason, 'refused while incomplete');
        }
      });
    }
  }
});

describe('a decoder that its caller ends with an error', () => {
  const late = timeoutError('LATE');
  const begun = {
    'a request line': 'GET / HT',
    'a head': 'GET / HTTP/1.1\r\nHost: a\r\nX',
    trailers: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y',
    'what is not looked at yet': '',
  };

  for (const [where, input] of Object.entries(begun)) {
    it(`in ${where}: drops what it has and what comes, and throws that error from now on`, () => {
      const decoder = new RequestDecoder();
      decoder.feed(bytesOf(input));
      while (decoder.next());
      decoder.feed(bytesOf('more'));
      decoder.feed(bytesOf('and more'));
      decoder.fail(late);
      decoder.fail(timeoutError('LATER'));
      decoder.feed(bytesOf('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
      assert.equal(decoder.bufferedBytes, 0);
      for (let i = 0; i < 2; i++)
        assert.throws(
          () => decoder.next(),
          (error) => error === late,
        );
    });
  }

  it('keeps an error of its own', () => {
    const decoder = new ResponseDecoder();
    decoder.feed(bytesOf('H'));
    assert.throws(() => decoder.next(), { reason: 'H1_UNEXPECTED_BYTES' });
    decoder.fail(late);
    assert.throws(() => decoder.next(), { reason: 'H1_UNEXPECTED_BYTES' });
    const other = new ResponseDecoder();
    other.expect('GET');
    other.feed(bytesOf('HTTP/1.1 200'));
    assert.equal(other.next(), false);
    other.fail(late);
    assert.throws(() => other.next(), { reason: 'LATE' });
    assert.equal(other.bufferedBytes, 0);
  });
});

describe('refused responses', () => {
  for (const [reason, ...cases] of refusedResponses) {
    for (const { input, ...run } of cases) {
      it(`${reason} for ${show(input)}`, () => {
        const whole = decodeResponses([bytesOf(input)], run);
        assert.equal(whole.reason, reason);
        assert.equal(whole.status, 502, 'RFC 9110 §15.6.3: the client is not to blame');
        assert.deepEqual({ ...decodeResponses(everyByte(bytesOf(input)), run), consumed: 0 }, { ...whole, consumed: 0 });
      });
    }
  }
});

describe('errors', () => {
  it('every reason has a case here', () => {
    const shown = new Set<string>([...refusedRequests.map(([reason]) => reason), ...refusedResponses.map(([reason]) => reason)]);
    assert.deepEqual(
      HTTP1_REASONS.filter((reason) => !shown.has(reason)),
      [],
    );
  });

  it('the first error of a decoder is final: thrown again by next, while what is fed is dropped', () => {
    for (const decoder of [new RequestDecoder(), new ResponseDecoder()]) {
      decoder.feed(bytesOf('\0'));
      let first: unknown;
      assert.throws(
        () => decoder.next(),
        (error) => isWireError((first = error)),
      );
      decoder.feed(bytesOf('GET / HTTP/1.1\r\n'));
      assert.throws(
        () => decoder.next(),
        (error) => error === first,
      );
      assert.equal(decoder.bufferedBytes, 0);
      assert.equal(decoder.consumedBytes, 17);
    }
  });

  it('a connection that closes before any byte of the response may be tried again if it was reused (RFC 9112 §9.3.1)', () => {
    assert.equal(http1Error('H1_CLOSED_BEFORE_RESPONSE', 'response').retry, 'ifReused');
    assert.equal(http1Error('H1_TRUNCATED_BODY', 'response').retry, 'never');
  });

  it('a message begins with type and reason', () => {
    assert.equal(http1Error('H1_BARE_LF', 'request').message, 'protocol H1_BARE_LF: LF without CR');
  });
});

function show(input: string): string {
  const text = JSON.stringify(input);
  return text.length > 90 ? `${text.slice(0, 60)}… (${input.length} bytes)` : text;
}

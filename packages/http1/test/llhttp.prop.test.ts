/**
 * Oracle: llhttp 9, as Node has it, agrees on every message that both take, and refuses nothing that we take but what is named here.
 *
 * Where we are stricter on purpose (fields of Host, transfer codings, versions, targets) is the matter of `refusals.test.ts`; here the inputs are
 * valid, so both must take them and read the same.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { requestText, responseText } from './arbitraries.ts';
import { bytesOf, decodeRequests, decodeResponses } from './decoding.ts';
import { readWithLlhttp } from './llhttp.ts';

/** llhttp looks at Content-Length even in trailers, where we drop it. */
function hasLengthTrailer(text: string): boolean {
  return /\r\ntransfer-encoding:/i.test(text) && /\r\ncontent-length:/i.test(text);
}

/** llhttp knows a fixed list of methods and versions, and hands over all after an upgrade (RFC 9110 §7.8). */
function isForBoth(text: string): boolean {
  return (
    !hasLengthTrailer(text) &&
    !/^(?:\r\n)?(?:get|X-Y) /.test(text) &&
    !text.includes(' HTTP/1.2\r\n') &&
    !/\r\nUpgrade:/i.test(text) &&
    !text.includes('\r\nConnection: close')
  );
}

describe('llhttp agrees', () => {
  it('on pipelined requests', () => {
    fc.assert(
      fc.property(fc.array(requestText.filter(isForBoth), { minLength: 1, maxLength: 3 }), (texts) => {
        const bytes = bytesOf(texts.join(''));
        const ours = decodeRequests([bytes]);
        const theirs = readWithLlhttp('request', bytes);
        assert.equal(ours.reason, null);
        // An HTTP/1.0 request ends the connection for both, but llhttp goes on to call what follows an error.
        if (ours.messages.every((message) => message.keepAlive)) assert.equal(theirs.isValid, true);
        ours.messages.forEach((message, i) => {
          const other = theirs.messages[i];
          assert.deepEqual(
            [other?.method, other?.target, other?.headers, other?.body, other?.isComplete, other?.keepAlive],
            [message.method, message.target, message.headers, message.body, message.isComplete, message.keepAlive],
          );
          const kept = new Set((message.trailers ?? []).map(([name]) => name));
          assert.deepEqual(
            (other?.trailers ?? []).filter(([name]) => kept.has(name)),
            message.trailers ?? [],
          );
        });
      }),
      { numRuns: 500 },
    );
  });

  it('on a response', () => {
    fc.assert(
      fc.property(
        responseText.filter((text) => !hasLengthTrailer(text) && !/\r\nUpgrade:/i.test(text)),
        (text) => {
          const bytes = bytesOf(text);
          const ours = decodeResponses([bytes], { ends: true });
          const theirs = readWithLlhttp('response', bytes, true);
          // A body behind 204 or 304 is no part of it: llhttp tries to read it as the next response, we expect none.
          if (ours.reason === null) assert.equal(theirs.isValid, true);
          else assert.equal(ours.reason, 'H1_UNEXPECTED_BYTES');
          ours.messages.forEach((message, i) => {
            const other = theirs.messages[i];
            assert.deepEqual(
              [other?.status, other?.reason, other?.headers, other?.body],
              [message.status, message.reason, message.headers, message.body],
            );
          });
        },
      ),
      { numRuns: 500 },
    );
  });

  it('both refuse what has split connections before', () => {
    for (const lines of [
      'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n',
      'Content-Length: 1\r\nContent-Length: 2\r\n',
      'Content-Length: +1\r\n',
      'X : y\r\n',
      'X: y\r\n z\r\n',
      'X: a\0\r\n',
      'X: a\rb\r\n',
      ': y\r\n',
      'Transfer-Encoding: xchunked\r\n',
    ]) {
      const bytes = bytesOf(`POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`);
      assert.notEqual(decodeRequests([bytes]).reason, null, lines);
      assert.equal(readWithLlhttp('request', bytes).isValid, false, lines);
    }
  });
});

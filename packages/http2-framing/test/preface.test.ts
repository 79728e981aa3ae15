/** The client preface (RFC 9113 §3.4). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import { CLIENT_PREFACE, prefaceMatch } from '@ferrata/http2-framing';

describe('the client preface', () => {
  test('has the 24 octets of RFC 9113 §3.4', () => {
    assert.equal(Buffer.from(CLIENT_PREFACE).toString('hex'), '505249202a20485454502f322e300d0a0d0a534d0d0a0d0a');
  });

  test('is recognized with anything behind it, and never by a part', () => {
    for (let length = 0; length < 24; length++) assert.equal(prefaceMatch(CLIENT_PREFACE.subarray(0, length)), 'partial');
    assert.equal(prefaceMatch(CLIENT_PREFACE), 'yes');
    assert.equal(prefaceMatch(Uint8Array.of(...CLIENT_PREFACE, 0)), 'yes');
  });

  test('is ruled out by the first byte that differs', () => {
    for (const text of ['G', 'POST / HTTP/1.1', 'PRI * HTTP/1.1\r\n', 'pri']) assert.equal(prefaceMatch(latin1Encode(text)), 'no');
    for (let at = 0; at < 24; at++) {
      const changed = CLIENT_PREFACE.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.equal(prefaceMatch(changed), 'no');
    }
  });
});

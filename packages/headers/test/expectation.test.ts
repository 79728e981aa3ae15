import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asksToContinue, HeaderMap } from '@ferrata/headers';

describe('asksToContinue', () => {
  it('reads Expect, in any case and on any of its lines (RFC 9110 §10.1.1)', () => {
    for (const expect of ['100-continue', '100-Continue', 'other, 100-continue', ['other', '100-continue'], '"open, 100-continue'])
      assert.equal(asksToContinue(HeaderMap.from({ Expect: expect })), true, String(expect));
    for (const expect of ['', '100', '100-continued', 'x100-continue', '"100-continue"'])
      assert.equal(asksToContinue(HeaderMap.from({ Expect: expect })), false, expect);
    assert.equal(asksToContinue(new HeaderMap()), false);
  });
});

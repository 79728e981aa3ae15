import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  FIELD_VALUE_BYTES,
  isFieldName,
  isFieldValue,
  isReasonPhrase,
  isRequestTarget,
  isToken,
  MAX_FIELD_NAME_BYTES,
  TARGET_BYTES,
  TOKEN_BYTES,
} from '../src/index.ts';

function members(table: Uint8Array): string {
  return Array.from(table, (bit, byte) => (bit === 1 ? String.fromCharCode(byte) : '')).join('');
}
const visible = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).join('');
const obsText = Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i)).join('');

describe('byte tables', () => {
  it('have the 77 token characters of RFC 9110 §5.6.2', () => {
    assert.equal(members(TOKEN_BYTES), "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~");
  });

  it('allow in a field value HTAB, SP, VCHAR and obs-text (RFC 9110 §5.5)', () => {
    assert.equal(members(FIELD_VALUE_BYTES), `\t ${visible}${obsText}`);
  });

  it('allow in a request target visible ASCII without the fragment sign (RFC 9112 §3.2)', () => {
    assert.equal(members(TARGET_BYTES), visible.replace('#', ''));
  });
});

describe('checks of text', () => {
  it('know tokens and field names (RFC 9110 §5.1)', () => {
    assert.ok(isToken('GET') && isToken('M-SEARCH') && isToken('__proto__') && isToken('x'.repeat(1000)));
    for (const text of ['', 'a b', 'a:', 'a\r', 'a\0', 'é', '\u0141', '"a"', 'a,b'])
      assert.equal(isToken(text), false, JSON.stringify(text));
    assert.ok(isFieldName('x'.repeat(MAX_FIELD_NAME_BYTES)));
    assert.equal(isFieldName('x'.repeat(MAX_FIELD_NAME_BYTES + 1)), false);
    assert.equal(isFieldName(''), false);
  });

  it('know field values, which have no blank at either end (RFC 9110 §5.5)', () => {
    for (const text of ['', 'a', 'a b', 'a\tb', '\u00ff', '"quoted", x']) assert.ok(isFieldValue(text), JSON.stringify(text));
    for (const text of [' ', ' a', 'a ', '\ta', 'a\t', 'a\rb', 'a\nb', 'a\r\nb', '\0', 'a\u007f', '\u0100', 'a\u010a', '\u{1f600}']) {
      assert.equal(isFieldValue(text), false, JSON.stringify(text));
    }
  });

  it('take nothing but strings for text: an object could show one text to them and another to the wire', () => {
    const shown = { length: 1, charCodeAt: () => 0x61, toString: () => 'a\r\nX: y' } as unknown as string;
    for (const check of [isToken, isFieldName, isFieldValue, isRequestTarget, isReasonPhrase])
      for (const other of [shown, ['a'], [], 1, null, undefined, {}, { length: 0 }])
        assert.equal(check(other as unknown as string), false, check.name);
  });

  it('know request targets (RFC 9112 §3.2)', () => {
    for (const text of ['/', '*', 'a:1', 'http://a/?b', '/{a}|"b"']) assert.ok(isRequestTarget(text), text);
    for (const text of ['', '/ ', '/#a', '/\r', '/\u007f', '/\u00e9', '/\u{1f600}', '/\u010a'])
      assert.equal(isRequestTarget(text), false, JSON.stringify(text));
  });

  it('know reason phrases, which may be empty or blank (RFC 9112 §4)', () => {
    for (const text of ['', ' ', 'OK', 'Très bien']) assert.ok(isReasonPhrase(text), text);
    for (const text of ['a\r\nb', '\0', '\u0141']) assert.equal(isReasonPhrase(text), false, JSON.stringify(text));
  });
});

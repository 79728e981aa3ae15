import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isWireError } from '@ferrata/error';
import { listHas, parseList, parseParameters, parseQualityList, qualityOf, quoteIfNeeded, tokenListHas, unquote } from '../src/index.ts';

describe('parseList', () => {
  it('leaves out blanks and empty elements (RFC 9110 §5.6.1.2)', () => {
    assert.deepEqual(parseList('foo , ,bar,charlie   '), ['foo', 'bar', 'charlie']);
    assert.deepEqual(parseList(''), []);
    assert.deepEqual(parseList(',   ,\t'), []);
    assert.deepEqual(parseList(',\tfoo ,'), ['foo']);
  });

  it('does not divide at commas inside quotes, also behind escaped quotes (RFC 9110 §5.6.4)', () => {
    assert.deepEqual(parseList('a="b,c", "d\\",e", f'), ['a="b,c"', '"d\\",e"', 'f']);
  });

  it('ends an open quote with the value', () => {
    assert.deepEqual(parseList('a, "b, c'), ['a', '"b, c']);
    assert.deepEqual(parseList('"\\'), ['"\\']);
  });

  it('stops at maxItems', () => {
    assert.equal(parseList('a,b,c', { maxItems: 3 }).length, 3);
    assert.throws(
      () => parseList('a,b,c', { maxItems: 2 }),
      (error) => isWireError(error) && error.type === 'limit' && error.reason === 'FIELD_LIST_TOO_LONG',
    );
    assert.equal(parseList('a,'.repeat(1000)).length, 1000);
    assert.throws(() => parseList('a,'.repeat(1001)), /FIELD_LIST_TOO_LONG/);
    assert.deepEqual(parseList(','.repeat(5000)), [], 'empty elements cost nothing and count for nothing');
  });
});

describe('listHas', () => {
  it('finds an element in any case (RFC 9110 §7.6.1)', () => {
    for (const value of ['close', 'Close', 'a, close', 'close,a', ' ,\tCLOSE ,', '"x,y", close']) assert.ok(listHas(value, 'close'), value);
  });

  it('does not find parts of elements, nor anything inside quotes', () => {
    for (const value of ['', 'closed', 'a close', 'clos', '"a, close"', '"close"', 'x-close, -close', 'cl\u000fse'])
      assert.equal(listHas(value, 'close'), false, value);
    assert.equal(listHas('', ''), false);
    assert.equal(listHas('a,,b', ''), false);
    assert.equal(listHas('\u0001', '!'), false, '0x20 apart, but no letters');
  });
});

describe('tokenListHas', () => {
  it('finds a token in any case, wherever quotes stand (RFC 9110 §7.6.1)', () => {
    for (const value of ['close', 'Close', 'a, close', 'close,a', ' ,\tCLOSE ,', '"a,close', '"x,y", close', '"\\",close'])
      assert.ok(tokenListHas(value, 'close'), value);
  });

  it('does not find parts of tokens', () => {
    for (const value of ['', ',', 'closed', 'a close', '"close"', 'close"', 'clos', 'close\xa0', '\x85close', 'x;close'])
      assert.equal(tokenListHas(value, 'close'), false, value);
    assert.equal(tokenListHas('', ''), false);
    assert.equal(tokenListHas('a,,b', ''), false);
  });
});

describe('parseParameters', () => {
  it('reads a media type (RFC 9110 §8.3.1)', () => {
    const { value, parameters } = parseParameters('text/html; Charset=utf-8 ;boundary="a;b\\"c";flag');
    assert.equal(value, 'text/html');
    assert.deepEqual(
      [...parameters],
      [
        ['charset', 'utf-8'],
        ['boundary', 'a;b"c'],
        ['flag', ''],
      ],
    );
  });

  it('reads what begins with parameters', () => {
    assert.deepEqual([...parseParameters(';timeout=5').parameters], [['timeout', '5']]);
    assert.equal(parseParameters(' ;timeout=5').value, '');
  });

  it('lets the first of two count, and passes over what is no parameter', () => {
    const { parameters } = parseParameters('a;b=1;B=2;=3;c d=4;;"x";__proto__=5');
    assert.deepEqual(
      [...parameters],
      [
        ['b', '1'],
        ['__proto__', '5'],
      ],
    );
  });

  it('stops at maxItems', () => {
    assert.throws(() => parseParameters('a;b;c;d', { maxItems: 2 }), /FIELD_LIST_TOO_LONG/);
  });
});

describe('parseQualityList', () => {
  it('reads weights, 1 where there is none (RFC 9110 §12.4.2)', () => {
    assert.deepEqual(parseQualityList('gzip;q=0.5, br, identity; Q=0, *;q=1.000'), [
      { value: 'gzip', quality: 0.5 },
      { value: 'br', quality: 1 },
      { value: 'identity', quality: 0 },
      { value: '*', quality: 1 },
    ]);
  });

  it('keeps parameters before the weight and drops what follows it (RFC 9110 §12.5.1)', () => {
    assert.deepEqual(parseQualityList('text/html;level=1 ; q=0.25 ;ext="a,b", a/b;c="q=0"'), [
      { value: 'text/html;level=1', quality: 0.25 },
      { value: 'a/b;c="q=0"', quality: 1 },
    ]);
  });

  it('leaves out elements with a malformed weight', () => {
    for (const weight of ['', '2', '1.5', '-1', '0.1234', '.5', '1e-1', '"0.5"', '0,5x', ' 0.5']) {
      assert.deepEqual(
        parseQualityList(`a;q=${weight}, b`).find((item) => item.value === 'a'),
        weight === '0,5x' ? { value: 'a', quality: 0 } : undefined,
        weight,
      );
    }
    assert.deepEqual(parseQualityList('a;q=0., b;q=1.'), [
      { value: 'a', quality: 0 },
      { value: 'b', quality: 1 },
    ]);
  });

  it('gives a value its own weight, or that of the star, or none (RFC 9110 §12.5.3)', () => {
    const items = parseQualityList('*;q=0.2, gzip;q=0.5');
    assert.equal(qualityOf(items, 'GZIP'), 0.5);
    assert.equal(qualityOf(items, 'br'), 0.2);
    assert.equal(qualityOf(parseQualityList('gzip'), 'br'), 0);
  });
});

describe('quoting', () => {
  it('leaves tokens, quotes the rest and escapes (RFC 9110 §5.6.4)', () => {
    assert.equal(quoteIfNeeded('token'), 'token');
    assert.equal(quoteIfNeeded(''), '""');
    assert.equal(quoteIfNeeded('a "b" \\c'), '"a \\"b\\" \\\\c"');
    for (const text of ['\r\n', '\0', 'a\u007f', '\u0100']) assert.throws(() => quoteIfNeeded(text), TypeError);
  });

  it('is undone by unquote, which is lenient', () => {
    assert.equal(unquote('token'), 'token');
    assert.equal(unquote('"a \\"b\\" \\\\c"'), 'a "b" \\c');
    assert.equal(unquote('"open'), 'open');
    assert.equal(unquote('"open\\'), 'open');
    assert.equal(unquote('"closed" more'), 'closed');
    assert.equal(unquote('""'), '');
  });
});

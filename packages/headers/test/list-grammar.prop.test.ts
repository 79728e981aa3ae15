import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isFieldValue, listHas, parseList, parseParameters, parseQualityList, quoteIfNeeded, unquote } from '../src/index.ts';

const latin1Text = fc
  .array(
    fc.constantFrom(
      '\t',
      ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).filter((c) => /[\x20-\x7e\x80-\xff]/.test(c)),
    ),
  )
  .map((all) => all.join(''));
const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,8}$/);
const quoted = latin1Text.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`);
const element = fc.oneof(
  token,
  quoted,
  fc.tuple(token, quoted).map(([name, value]) => `${name}=${value}`),
);
const separator = fc.constantFrom(',', ', ', ' ,', '\t, ,', ',,');
/** Text full of what lists are made of, right and wrong. */
const junk = fc.array(fc.constantFrom('a', 'B', ',', ';', '"', '\\', ' ', '\t', '=', 'q', '0', '.', '1')).map((all) => all.join(''));

describe('lists', () => {
  it('give back the elements that they were joined from', () => {
    fc.assert(
      fc.property(fc.array(element), fc.infiniteStream(separator), (elements, separators) => {
        const value = elements.map((one) => one + (separators.next().value as string)).join('');
        assert.deepEqual(parseList(value), elements);
        for (const one of elements) assert.ok(listHas(value, one));
        assert.equal(listHas(value, 'not-an-element'), false);
      }),
    );
  });

  it('agree with themselves on any text: listHas finds what parseList lists, in any case, and nothing else', () => {
    fc.assert(
      fc.property(junk, token, (value, other) => {
        const elements = parseList(value);
        for (const one of elements) assert.ok(listHas(value, one) && listHas(value.toUpperCase(), one));
        assert.equal(
          listHas(value, other),
          elements.some((one) => one.toLowerCase() === other.toLowerCase()),
        );
        for (const one of elements) assert.ok(one.length > 0 && isFieldValue(one));
      }),
      { numRuns: 500 },
    );
  });

  it('take any text without an error but the limit', () => {
    fc.assert(
      fc.property(fc.oneof(junk, latin1Text), (value) => {
        for (const { quality } of parseQualityList(value)) assert.ok(quality >= 0 && quality <= 1);
        parseParameters(value);
        unquote(value);
      }),
      { numRuns: 500 },
    );
  });
});

describe('quoted strings', () => {
  it('go there and back (RFC 9110 §5.6.4)', () => {
    fc.assert(
      fc.property(latin1Text, (text) => {
        assert.equal(unquote(quoteIfNeeded(text)), text);
        assert.equal(parseParameters(`v;p=${quoteIfNeeded(text)};next=1`).parameters.get('p'), text);
        assert.deepEqual(parseList(`a, ${quoteIfNeeded(text)}`)[1], quoteIfNeeded(text));
      }),
    );
  });

  it('go there and back as weights', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ value: token, quality: fc.integer({ min: 0, max: 1000 }).map((n) => n / 1000) }, { noNullPrototype: true })),
        (items) => {
          assert.deepEqual(parseQualityList(items.map(({ value, quality }) => `${value};q=${quality}`).join()), items);
        },
      ),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AcceptedCodings } from '../../src/compression/accept-encoding.ts';

const ALL = ['zstd', 'br', 'gzip'] as const;

describe('Accept-Encoding (RFC 9110 §12.5.3)', () => {
  const rows: readonly [field: string | undefined, chosen: string | null, why: string][] = [
    [undefined, null, 'a client that says nothing gets the plain body'],
    ['', null, 'an empty field asks for no coding'],
    ['gzip', 'gzip', 'one coding'],
    ['GZip', 'gzip', 'names have no case'],
    ['x-gzip', 'gzip', 'the old name of gzip (§8.4.1.3)'],
    ['gzip, br, zstd', 'zstd', 'among equals the server chooses'],
    ['gzip;q=1.0, br;q=0.9, zstd;q=0.8', 'gzip', 'the larger weight wins'],
    ['gzip;q=0.5,br;q=0.5', 'br', 'equal weights below 1 are equal, too'],
    ['br;q=0, gzip', 'gzip', 'weight 0 forbids'],
    ['gzip;q=0', null, 'weight 0 forbids the only one'],
    ['*', 'gzip', 'who lists nothing reads gzip'],
    ['*;q=0', null, 'nothing is acceptable: the plain body'],
    ['identity;q=0', null, 'nothing is acceptable but what is not listed: the plain body'],
    ['gzip;q=0, *', null, 'a coding of its own weight is not under the star'],
    ['br;q=0.1, *;q=0.9', 'gzip', 'the star has a weight'],
    ['identity, gzip;q=0.5', null, 'the plain body is liked better'],
    ['identity;q=0.5, gzip;q=0.5', 'gzip', 'among equals the server saves bytes'],
    ['identity;q=0, gzip;q=0.001', 'gzip', 'the least weight is enough'],
    ['deflate, compress', null, 'codings that are not offered'],
    [' gzip ;q=0.8 , , br ;q=0.9', 'br', 'blanks and empty elements (§5.6.1)'],
    ['gzip;q=2, br;q=0.2', 'br', 'an element with a malformed weight is left out'],
  ];
  for (const [field, chosen, why] of rows) {
    test(`${field === undefined ? 'no field' : `"${field}"`} chooses ${chosen ?? 'the plain body'}: ${why}`, () => {
      assert.equal(new AcceptedCodings(field).choose(ALL), chosen);
    });
  }

  test('whether a coded body may be sent on counts the star, and no field as no', () => {
    assert.equal(new AcceptedCodings('*').accepts('br'), true);
    assert.equal(new AcceptedCodings('br;q=0, *').accepts('br'), false);
    assert.equal(new AcceptedCodings('x-gzip').accepts('gzip'), true);
    assert.equal(new AcceptedCodings(undefined).accepts('gzip'), false);
  });

  test('a field of more than a hundred elements means nothing: it must not cost a response that is there', () => {
    assert.equal(new AcceptedCodings(`${'a,'.repeat(99)}gzip`).choose(['gzip']), 'gzip');
    for (const count of [100, 10_000]) assert.equal(new AcceptedCodings(`${'a,'.repeat(count)}gzip`).choose(['gzip']), null);
  });
});

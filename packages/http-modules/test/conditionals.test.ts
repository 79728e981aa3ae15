import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { responseHead } from '@ferrata/headers';
import { conditionals, withModules } from '@ferrata/http-modules';
import fc from 'fast-check';
import { listMatchesStrongly, listMatchesWeakly } from '../src/internal/entity-tags.ts';
import { parseHttpDate } from '../src/internal/http-date.ts';
import { type Answer, answering, ask, bytes, moduleOptions, through } from './rig.ts';

const LATER = 'Sun, 06 Nov 1994 08:49:38 GMT';
const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT';
const EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT';
const answer = {
  fields: { ETag: '"x"', 'Last-Modified': MODIFIED, 'Content-Type': 'text/plain', 'Cache-Control': 'max-age=9', 'Accept-Ranges': 'bytes' },
  body: 'hello',
};
const get = (fields: Record<string, string>, method = 'GET', of: Parameters<typeof through>[2] = answer): Promise<Answer> =>
  through([conditionals()], { method, fields }, of);

describe('conditional requests (RFC 9110 §13.2.2)', () => {
  const cases: readonly (readonly [string, Record<string, string>, number])[] = [
    ['no condition', {}, 200],
    ['If-None-Match has the tag', { 'If-None-Match': '"a", "x"' }, 304],
    ['If-None-Match has it weakly', { 'If-None-Match': 'W/"x"' }, 304],
    ['If-None-Match *', { 'If-None-Match': '*' }, 304],
    ['If-None-Match has others', { 'If-None-Match': '"a", "b"' }, 200],
    ['If-None-Match outranks If-Modified-Since', { 'If-None-Match': '"a"', 'If-Modified-Since': LATER }, 200],
    ['unmodified since, the same date', { 'If-Modified-Since': MODIFIED }, 304],
    ['unmodified since a later date', { 'If-Modified-Since': LATER }, 304],
    ['modified since an earlier date', { 'If-Modified-Since': EARLIER }, 200],
    ['If-Modified-Since is no date', { 'If-Modified-Since': 'yesterday' }, 200],
    ['If-Match has the tag', { 'If-Match': '"x"' }, 200],
    ['If-Match *', { 'If-Match': '*' }, 200],
    ['If-Match has it weakly only', { 'If-Match': 'W/"x"' }, 412],
    ['If-Match has others', { 'If-Match': '"a"' }, 412],
    ['If-Match outranks If-Unmodified-Since', { 'If-Match': '"x"', 'If-Unmodified-Since': EARLIER }, 200],
    ['changed since If-Unmodified-Since', { 'If-Unmodified-Since': EARLIER }, 412],
    ['not changed since', { 'If-Unmodified-Since': MODIFIED }, 200],
    ['If-Unmodified-Since is no date', { 'If-Unmodified-Since': 'x' }, 200],
    ['If-Match holds, and then If-None-Match', { 'If-Match': '"x"', 'If-None-Match': '"x"' }, 304],
    ['If-Match fails first', { 'If-Match': '"a"', 'If-None-Match': '"x"' }, 412],
  ];
  for (const [name, fields, status] of cases) {
    for (const method of ['GET', 'HEAD']) {
      it(`${method}: ${name} → ${status}`, async () => {
        const got = await get(fields, method);
        assert.deepEqual([got.status, got.body, got.error], [status, status === 200 && method === 'GET' ? 'hello' : '', null]);
      });
    }
  }
  it('a 304 has what updates a copy, and nothing that describes its body (§15.4.5)', async () => {
    const { headers } = await get({ 'If-None-Match': '"x"' });
    assert.deepEqual([headers.get('etag'), headers.get('cache-control'), headers.get('last-modified')], ['"x"', 'max-age=9', MODIFIED]);
    for (const name of ['content-type', 'content-length', 'content-encoding', 'transfer-encoding', 'accept-ranges'])
      assert.equal(headers.has(name), false, name);
  });
  it('hold over HTTP/2, and for a body of unknown length', async () => {
    const application = answering((exchange) => {
      exchange.sendHead(responseHead(200, { headers: { ETag: '"x"' } }), -1);
      exchange.sendData(bytes('hello'));
      exchange.sendEnd();
    });
    const modular = withModules(application, [conditionals()], moduleOptions());
    for (const version of ['http1', 'http2'] as const) {
      for (const [fields, status] of [
        [{ 'If-None-Match': '"x"' }, 304],
        [{ 'If-Match': '"y"' }, 412],
      ] as const) {
        const got = await ask(modular, version, { fields });
        assert.deepEqual([got.status, got.body, got.error], [status, '', null]);
      }
    }
  });
  it('a 412 is kept by no cache in the place of what was asked for', async () => {
    const { headers } = await get({ 'If-Match': '"a"' });
    assert.deepEqual(
      [headers.get('cache-control'), headers.get('content-length'), headers.has('etag'), headers.has('content-type')],
      ['no-store', '0', false, false],
    );
  });
  it('a 412 has no digest of what it does not bring (RFC 9530 §2, §3)', async () => {
    const digests = { 'Content-Digest': 'sha-256=:AA==:', 'Repr-Digest': 'sha-256=:AA==:', 'Content-MD5': 'AA==' };
    for (const [tag, status] of [
      ['"y"', 412],
      ['"x"', 200],
    ] as const) {
      const got = await get({ 'If-Match': tag }, 'GET', { ...answer, fields: { ...answer.fields, ...digests } });
      assert.equal(got.status, status);
      for (const name of Object.keys(digests)) assert.equal(got.headers.has(name), status === 200, name);
    }
  });
  it('without a tag or a date only * says something', async () => {
    const bare = { body: 'hello' };
    assert.equal((await get({ 'If-None-Match': '"x"' }, 'GET', bare)).status, 200);
    assert.equal((await get({ 'If-None-Match': '*' }, 'GET', bare)).status, 304);
    assert.equal((await get({ 'If-Match': '"x"' }, 'GET', bare)).status, 412);
    assert.equal((await get({ 'If-Modified-Since': LATER }, 'GET', bare)).status, 200);
    assert.equal((await get({ 'If-Unmodified-Since': EARLIER }, 'GET', bare)).status, 200);
  });
  it('what is no 200, or neither GET nor HEAD, is left alone (§13.2.1)', async () => {
    assert.equal((await get({ 'If-None-Match': '*' }, 'GET', { ...answer, status: 404 })).status, 404);
    assert.equal((await get({ 'If-None-Match': '*' }, 'POST')).status, 200);
  });
});

describe('lists of entity tags', () => {
  const cases: readonly (readonly [list: string, etag: string, weakly: boolean, strongly: boolean])[] = [
    ['"a"', '"a"', true, true],
    ['W/"a"', '"a"', true, false],
    ['"a"', 'W/"a"', true, false],
    ['W/"a"', 'W/"a"', true, false],
    [' * ', '"a"', true, true],
    ['"b" , "a"\t,"c"', '"a"', true, true],
    ['"x,y", "a"', '"x,y"', true, true],
    ['a', 'a', true, true],
    ['a', '"a"', false, false],
    ['"a"', 'a', false, false],
    ['"ab"', '"a"', false, false],
    ['"a"b, "c"', '"a"', false, false],
    [',,"a",', '"a"', true, true],
    ['"broken, "a"', '"a"', true, true],
    ['', '"a"', false, false],
    ['"a,",",a"', '","', false, false],
    ['W/"a,",",a"', '","', false, false],
  ];
  for (const [list, etag, weakly, strongly] of cases) {
    it(`${list} and ${etag}`, () => {
      assert.deepEqual([listMatchesWeakly(list, etag), listMatchesStrongly(list, etag)], [weakly, strongly]);
    });
  }
  it('are read as what was joined', () => {
    const tag = fc
      .tuple(fc.boolean(), fc.string({ unit: fc.constantFrom('a', ',', '/', 'W'), maxLength: 4 }))
      .map(([weak, opaque]) => `${weak ? 'W/' : ''}"${opaque}"`);
    fc.assert(
      fc.property(fc.array(tag, { maxLength: 5 }), tag, fc.constantFrom(',', ', ', ' ,\t'), (tags, etag, separator) => {
        const bare = (one: string): string => one.replace(/^W\//, '');
        assert.equal(
          listMatchesWeakly(tags.join(separator), etag),
          tags.some((one) => bare(one) === bare(etag)),
        );
        assert.equal(listMatchesStrongly(tags.join(separator), etag), !etag.startsWith('W') && tags.includes(etag));
      }),
    );
  });
});

describe('dates in fields (RFC 9110 §5.6.7)', () => {
  it('are read in all three formats', () => {
    for (const date of [MODIFIED, 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
      assert.equal(parseHttpDate(date), 784_111_777);
    assert.equal(parseHttpDate('Friday, 01-Jan-27 00:00:00 GMT'), Date.UTC(2027, 0, 1) / 1000);
  });
  it('are none if they are something else', () => {
    for (const date of [
      '',
      '0',
      '784111777',
      'Sun, 06 Nov 1994 08:49:37',
      'Sun, 31 Jun 1994 08:49:37 GMT',
      'Sun, 00 Nov 1994 08:49:37 GMT',
      'Sun, 06 Nov 1994 24:49:37 GMT',
      'Sun, 06 Nox 1994 08:49:37 GMT',
    ])
      assert.ok(Number.isNaN(parseHttpDate(date)), date);
  });
  it('are those that are written', () => {
    fc.assert(
      fc.property(fc.nat({ max: 4_000_000_000 }), (seconds) =>
        assert.equal(parseHttpDate(new Date(seconds * 1000).toUTCString()), seconds),
      ),
    );
  });
});

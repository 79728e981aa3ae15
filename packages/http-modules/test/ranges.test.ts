import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { conditionals, ModuleChain, ranges, rewriteBody, withModules } from '@ferrata/http-modules';
import fc from 'fast-check';
import { parseRanges } from '../src/ranges/parse-ranges.ts';
import { framedLength, partFrames, RangeBody } from '../src/ranges/range-body.ts';
import { type Answer, answering, ask, bytes, FakeExchange, moduleOptions, text, through } from './rig.ts';

const BODY = '0123456789';
const answer = {
  fields: { ETag: '"x"', 'Last-Modified': 'Sun, 06 Nov 1994 08:49:37 GMT', 'Content-Type': 'text/plain', 'Cache-Control': 'max-age=9' },
  body: BODY,
};
const get = (fields: Record<string, string>, method = 'GET', of: Parameters<typeof through>[2] = answer): Promise<Answer> =>
  through([ranges({ boundary: () => 'BOUNDARY' })], { method, fields }, of);

describe('the Range field of 10 bytes (RFC 9110 §14.1.2)', () => {
  const cases: readonly (readonly [value: string, found: string | null])[] = [
    ['bytes=0-1', '0-1'],
    ['Bytes=0-9', '0-9'],
    ['BYTES = 5-5', '5-5'],
    ['bytes=5-', '5-9'],
    ['bytes=5-100', '5-9'],
    ['bytes=-3', '7-9'],
    ['bytes=-100', '0-9'],
    ['bytes=0-99999999999999999999999', '0-9'],
    ['bytes=-99999999999999999999999', '0-9'],
    ['bytes=99999999999999999999999-', ''],
    ['bytes=2-1', ''],
    ['bytes=10-11', ''],
    ['bytes=-', ''],
    ['bytes=-0', ''],
    ['bytes=', ''],
    ['bytes= ', ''],
    ['bytes=0-1,3-4 , -2', '0-1 3-4 8-9'],
    ['bytes=0-1,2-3', '0-1 2-3'],
    ['bytes=0-1,10-,3-2,5-5', '0-1 5-5'],
    ['bytes=0-3,2-5', null],
    ['bytes=4-5,0-1', null],
    ['bytes=0-0,0-0', null],
    ['bytes=0-1,x', null],
    ['bytes=0-1,,3-4', null],
    ['bytes=1', null],
    ['bytes=+1-2', null],
    ['lines=0-1', null],
    ['bytes', null],
    ['bytes:0-1', null],
  ];
  for (const [value, found] of cases) {
    it(`${value} → ${found ?? 'ignored'}`, () => {
      assert.equal(
        parseRanges(value, 10, 200)
          ?.map(({ first, last }) => `${first}-${last}`)
          .join(' ') ?? null,
        found,
      );
    });
  }
  it('has 200 members at most', () => {
    const members = Array.from({ length: 201 }, (_, at) => `${2 * at}-${2 * at}`);
    assert.equal(parseRanges(`bytes=${members.slice(0, 200).join(',')}`, 1000, 200)?.length, 200);
    assert.equal(parseRanges(`bytes=${members.join(',')}`, 1000, 200), null);
    assert.equal(parseRanges(`bytes=${','.repeat(1_000_000)}`, 1000, 200), null);
  });
  it('has nothing to give of no bytes', () => {
    for (const value of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) assert.deepEqual(parseRanges(value, 0, 200), []);
  });
});

describe('answers to range requests', () => {
  it('one range is a 206 with its own length (§15.3.7.1)', async () => {
    const { status, headers, body, error } = await get({ Range: 'bytes=2-4' });
    assert.deepEqual([status, body, error], [206, '234', null]);
    assert.deepEqual(
      [headers.get('content-range'), headers.get('content-length'), headers.has('accept-ranges')],
      ['bytes 2-4/10', '3', false],
    );
    assert.deepEqual([headers.get('content-type'), headers.get('etag')], ['text/plain', '"x"']);
  });
  it('several are a multipart body of an exact length (§14.6)', async () => {
    const { status, headers, body, error } = await get({ Range: 'bytes=0-1,-2' });
    const part = (range: string, content: string): string =>
      `\r\n--BOUNDARY\r\nContent-Type: text/plain\r\nContent-Range: bytes ${range}/10\r\n\r\n${content}`;
    assert.deepEqual([status, error], [206, null]);
    assert.equal(body, `${part('0-1', '01')}${part('8-9', '89')}\r\n--BOUNDARY--\r\n`);
    assert.equal(headers.get('content-length'), `${body.length}`);
    assert.equal(headers.get('content-type'), 'multipart/byteranges; boundary=BOUNDARY');
    assert.equal(headers.has('content-range'), false);
  });
  it('parts of what has no type are of application/octet-stream; boundaries are made anew', async () => {
    const boundary = async (): Promise<string> => {
      const { headers, body } = await through([ranges()], { fields: { Range: 'bytes=0-1,4-5' } }, { body: BODY });
      assert.match(body, /Content-Type: application\/octet-stream/);
      return /boundary=([0-9a-f]{16})$/.exec(headers.get('content-type') ?? '')?.[1] ?? assert.fail();
    };
    assert.notEqual(await boundary(), await boundary());
  });
  for (const boundary of ['', 'a b', 'a\r\nX: y', 'ä', 'x'.repeat(71)]) {
    it(`take no boundary that could break their frames: ${JSON.stringify(boundary)}`, async () => {
      const answer = await through([ranges({ boundary: () => boundary })], { fields: { Range: 'bytes=0-0,2-2' } }, { body: '0123' });
      assert.deepEqual([answer.status, answer.body.startsWith('500')], [500, true]);
    });
  }
  it('are not made of several parts whose length no number could say', async () => {
    const last = Number.MAX_SAFE_INTEGER - 1;
    for (const [range, status] of [
      [`bytes=0-1,3-${last}`, 200],
      [`bytes=0-${last}`, 206],
    ] as const) {
      const exchange = new FakeExchange(requestHead('GET', '/', { headers: { Range: range } }));
      const modular = new ModuleChain([ranges()], moduleOptions()).serve(exchange);
      modular?.sendHead(responseHead(200), Number.MAX_SAFE_INTEGER);
      assert.deepEqual([exchange.status, exchange.bodyLength], [status, Number.MAX_SAFE_INTEGER]);
    }
  });
  it('lose the digest of the whole content, in trailers too (RFC 9530 §2)', async () => {
    const application = answering((exchange) => {
      const digests = { 'Content-Digest': 'sha-256=:AA==:', 'Repr-Digest': 'sha-256=:AA==:' };
      exchange.sendHead(responseHead(200, { headers: digests }), 4);
      exchange.sendData(bytes('0123'));
      exchange.sendEnd(HeaderMap.from({ ...digests, 'X-Sum': '1' }));
    });
    const modular = withModules(application, [ranges()], moduleOptions());
    const part = await ask(modular, 'http2', { fields: { Range: 'bytes=1-2' } });
    assert.equal(part.status, 206);
    for (const fields of [part.headers, part.trailers ?? assert.fail()])
      assert.deepEqual([fields.has('content-digest'), fields.has('repr-digest')], [false, true]);
    // Of a 416 no byte is one of the representation (§3).
    const none = await ask(modular, 'http2', { fields: { Range: 'bytes=9-' } });
    assert.deepEqual([none.status, none.headers.has('content-digest'), none.headers.has('repr-digest')], [416, false, false]);
  });
  it('none that can be satisfied is a 416 (§15.5.17)', async () => {
    const { status, headers, body, error } = await get({ Range: 'bytes=10-' });
    assert.deepEqual([status, body, error], [416, '', null]);
    assert.deepEqual(
      [headers.get('content-range'), headers.get('content-length'), headers.get('cache-control')],
      ['bytes */10', '0', 'no-store'],
    );
    for (const name of ['accept-ranges', 'content-type', 'content-encoding', 'transfer-encoding'])
      assert.equal(headers.has(name), false, name);
  });
  it('HEAD gets the same fields', async () => {
    for (const [value, status, length] of [
      ['bytes=2-4', 206, '3'],
      ['bytes=10-', 416, '0'],
      ['bytes=x', 200, '10'],
    ] as const) {
      const { headers, ...got } = await get({ Range: value }, 'HEAD');
      assert.deepEqual([got.status, got.body, got.error, headers.get('content-length')], [status, '', null, length]);
    }
  });
  it('the whole says that ranges may be asked for, unless its origin knows better', async () => {
    for (const method of ['GET', 'HEAD']) assert.equal((await get({}, method)).headers.get('accept-ranges'), 'bytes');
    const none = await get({ Range: 'bytes=0-1' }, 'GET', { fields: { 'Accept-Ranges': 'none' }, body: BODY });
    assert.deepEqual([none.status, none.headers.get('accept-ranges')], [200, 'none']);
  });
  const conditions: readonly (readonly [value: string, status: number])[] = [
    ['"x"', 206],
    ['"y"', 200],
    ['W/"x"', 200],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 206],
    ['Sun, 06 Nov 1994 08:49:38 GMT', 200],
    ['x', 200],
  ];
  for (const [value, status] of conditions) {
    it(`If-Range: ${value} → ${status} (§13.1.5)`, async () => {
      assert.equal((await get({ Range: 'bytes=0-1', 'If-Range': value })).status, status);
    });
  }
  for (const [madeAt, status] of [
    ['Sun, 06 Nov 1994 08:49:38 GMT', 206],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 200],
    ['Sun, 06 Nov 1994 08:49:36 GMT', 200],
    ['now', 200],
  ] as const) {
    it(`If-Range by the date of Last-Modified, 08:49:37, and a Date of ${madeAt} → ${status}: a date of the same second is weak (§8.8.2.2)`, async () => {
      const fields = { Range: 'bytes=0-1', 'If-Range': answer.fields['Last-Modified'] };
      assert.equal((await get(fields, 'GET', { ...answer, fields: { ...answer.fields, Date: madeAt } })).status, status);
    });
  }
  it('If-Range meets no weak tag, and no validator that is not there', async () => {
    const fields = { Range: 'bytes=0-1', 'If-Range': 'W/"x"' };
    assert.equal((await get(fields, 'GET', { fields: { ETag: 'W/"x"' }, body: BODY })).status, 200);
    assert.equal((await get({ ...fields, 'If-Range': '"x"' }, 'GET', { body: BODY })).status, 200);
  });
  it('leave alone what is no 200, no GET or HEAD, or of no known length', async () => {
    const fields = { Range: 'bytes=0-1' };
    assert.equal((await get(fields, 'GET', { status: 404, body: BODY })).status, 404);
    assert.equal((await get(fields, 'POST')).status, 200);
    const same = rewriteBody({ direction: 'response', transform: () => (chunk) => chunk });
    const { status, body, headers } = await through([same, ranges()], { fields }, answer);
    assert.deepEqual([status, body, headers.has('accept-ranges')], [200, BODY, false]);
  });
  it('come behind conditions', async () => {
    const kinds = [ranges(), conditionals()];
    assert.equal((await through(kinds, { fields: { Range: 'bytes=0-1', 'If-None-Match': '"x"' } }, answer)).status, 304);
    assert.equal((await through(kinds, { fields: { Range: 'bytes=0-1', 'If-None-Match': '"y"' } }, answer)).status, 206);
    assert.equal((await through(kinds, { fields: { Range: 'bytes=0-1', 'If-Match': '"y"' } }, answer)).status, 412);
  });
});

describe('ranges cut out of a body that passes by', () => {
  it('are those of the whole, however it is cut, with and without frames', () => {
    const drawn = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd'), minLength: 1, maxLength: 40 });
    const bounds = fc.array(fc.tuple(fc.nat({ max: 6 }), fc.nat({ max: 6 })), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(drawn, bounds, fc.boolean(), fc.array(fc.nat({ max: 9 }), { maxLength: 40 }), (body, gaps, isFramed, cuts) => {
        const members: string[] = [];
        let at = 0;
        for (const [gap, more] of gaps) {
          members.push(`${at + gap}-${at + gap + more}`);
          at += gap + more + 1;
        }
        const found = parseRanges(`bytes=${members.join(',')}`, body.length, 200);
        assert.ok(found !== null);
        if (found.length === 0) return;
        const frames = isFramed ? partFrames(found, body.length, 'B', 'text/plain') : null;
        const expected =
          found.map(({ first, last }, index) => (frames?.heads[index] ?? '') + body.slice(first, last + 1)).join('') + (frames?.end ?? '');
        const cutter = new RangeBody(found, frames);
        const parts: Uint8Array[] = [];
        for (let start = 0, turn = 0; start < body.length; turn++) {
          const size = 1 + (cuts[turn] ?? 0);
          const part = cutter.take(bytes(body.slice(start, start + size)));
          if (part !== null) parts.push(part);
          start += size;
        }
        assert.equal(text(concatBytes(parts)), expected);
        assert.equal(framedLength(found, frames), expected.length);
      }),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { concatBytes, utf8Decode } from '@ferrata/bytes';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { respond } from '@ferrata/http';
import {
  type BodyTransform,
  compression,
  type ModulePiece,
  ranges,
  replaceBytes,
  rewriteBody,
  wholeBody,
  withModules,
} from '@ferrata/http-modules';
import fc from 'fast-check';
import { type Answer, answering, ask, bytes, moduleOptions, text, through } from './rig.ts';

const upper = (chunk: Uint8Array | null): ModulePiece => (chunk === null ? null : bytes(text(chunk).toUpperCase()));
const MESSAGE = { direction: 'response', head: responseHead(200), request: requestHead('GET', '/') } as const;

/** An application that answers with what it was sent. */
const echo = {
  onRequest: (exchange: Parameters<typeof respond>[0]) => {
    const pieces: Uint8Array[] = [];
    return {
      onRequestData: (chunk: Uint8Array) => void pieces.push(chunk),
      onRequestEnd: () => respond(exchange, 200, { body: concatBytes(pieces) }),
      onResponseDrain() {},
      onExchangeClose() {},
    };
  },
};
const post = (transform: BodyTransform, body: readonly string[], fields: Record<string, string> = {}): Promise<Answer> =>
  ask(withModules(echo, [rewriteBody({ direction: 'request', transform })], moduleOptions()), 'http1', { method: 'POST', body, fields });
const get = (transform: BodyTransform, body: string, fields: Record<string, string> = {}, method = 'GET'): Promise<Answer> =>
  through([rewriteBody({ direction: 'response', transform })], { method }, { body, fields });

describe('rewriteBody', () => {
  it('rewrites piece by piece, either way', async () => {
    const transform = { begin: () => upper };
    assert.equal((await get(transform, 'hello')).body, 'HELLO');
    assert.equal((await post(transform, ['hel', 'lo'])).body, 'HELLO');
  });
  it('rewrites what it is told to, and leaves the length of the rest', async () => {
    const kinds = [
      rewriteBody({ direction: 'response', when: (head) => head.headers.get('content-type') === 'text/html', transform: () => upper }),
    ];
    const page = await through(kinds, {}, { body: 'a', fields: { 'Content-Type': 'text/html' } });
    const image = await through(kinds, {}, { body: 'a', fields: { 'Content-Type': 'image/png' } });
    assert.deepEqual([page.body, page.headers.has('content-length')], ['A', false]);
    assert.deepEqual([image.body, image.headers.get('content-length')], ['a', '1']);
  });
  it('leaves coded bodies and parts alone, unless the transform knows the coding', async () => {
    const transform = { begin: () => upper };
    assert.equal((await get(transform, 'gz', { 'Content-Encoding': 'gzip' })).body, 'gz');
    assert.equal((await get(transform, 'id', { 'Content-Encoding': 'identity' })).body, 'ID');
    const part = await through([rewriteBody({ direction: 'response', transform })], {}, { status: 206, body: 'part' });
    assert.equal(part.body, 'part');
    const coded = await through(
      [rewriteBody({ direction: 'response', transform, encoded: true })],
      {},
      { body: 'gz', fields: { 'Content-Encoding': 'gzip' } },
    );
    assert.equal(coded.body, 'GZ');
  });
  it('asks for a body that it can read, and hides that from compression', async () => {
    const asked: (string | undefined)[] = [];
    const application = answering((exchange) => {
      asked.push(exchange.request.headers.combined('accept-encoding'));
      respond(exchange, 200, { headers: { 'Content-Type': 'text/html' }, body: 'hello '.repeat(100) });
    });
    const kinds = [rewriteBody({ direction: 'response', transform: () => upper }), compression()];
    const answer = await ask(withModules(application, kinds, moduleOptions()), 'http1', { fields: { 'Accept-Encoding': 'gzip' } });
    assert.deepEqual([asked, answer.headers.get('content-encoding')], [['identity'], 'gzip']);
    assert.equal(gunzipSync(bytes(answer.body)).toString(), 'HELLO '.repeat(100));
  });
  it('asks for nothing where the transform knows the coding, or it is told so, or the request is what is rewritten', async () => {
    for (const options of [
      { direction: 'response', encoded: true },
      { direction: 'response', identity: false },
      { direction: 'request' },
    ] as const) {
      const asked: (string | undefined)[] = [];
      const application = answering((exchange) => {
        asked.push(exchange.request.headers.combined('accept-encoding'));
        respond(exchange, 200);
      });
      const kinds = [rewriteBody({ ...options, transform: () => upper })];
      await ask(withModules(application, kinds, moduleOptions()), 'http1', {
        method: 'POST',
        body: ['a'],
        fields: { 'Accept-Encoding': 'gzip' },
      });
      assert.deepEqual(asked, ['gzip']);
    }
    assert.throws(() => rewriteBody({ direction: 'request', identity: true, transform: () => upper }), TypeError);
  });
  it('lets nothing slip through in a coding where that is wanted: 415 to a request, 502 for a response', async () => {
    const request = rewriteBody({ direction: 'request', onUnreadable: 'fail', transform: () => upper });
    const response = rewriteBody({ direction: 'response', onUnreadable: 'fail', transform: () => upper });
    const fields = { 'Content-Encoding': 'gzip' };
    const posted = await ask(withModules(echo, [request], moduleOptions()), 'http1', { method: 'POST', body: ['gz'], fields });
    assert.deepEqual([posted.status, (await through([response], {}, { body: 'gz', fields })).status], [415, 502]);
    const identity = { 'Content-Encoding': 'identity, Identity' };
    assert.equal((await through([response], {}, { body: 'id', fields: identity })).body, 'ID');
    assert.equal((await through([response], { method: 'HEAD' }, { body: 'id' })).status, 200);
    assert.throws(() => rewriteBody({ direction: 'request', onUnreadable: 'drop' as 'fail', transform: () => upper }), TypeError);
  });
  it('lets no part of a body slip through either, where that is wanted: Range is not passed on, and a 206 is a 502', async () => {
    const asked: (string | undefined)[] = [];
    const application = answering((exchange) => {
      asked.push(exchange.request.headers.get('range'), exchange.request.headers.get('if-range'));
      respond(exchange, 200, { headers: { 'Content-Type': exchange.request.headers.get('x-type') ?? '', ETag: '"1"' }, body: 'abcdef' });
    });
    const when = ({ headers }: { readonly headers: HeaderMap }): boolean => headers.get('content-type') === 'text/html';
    const strict = rewriteBody({ direction: 'response', onUnreadable: 'fail', when, transform: () => upper });
    const get = (type: string): Promise<Answer> =>
      ask(withModules(application, [strict, ranges()], moduleOptions()), 'http1', {
        fields: { Range: 'bytes=1-2', 'If-Range': '"1"', 'X-Type': type },
      });
    const [page, image] = [await get('text/html'), await get('image/png')];
    assert.deepEqual([page.status, page.body, image.status, image.body], [200, 'ABCDEF', 206, 'bc']);
    assert.deepEqual(asked, [undefined, undefined, undefined, undefined]);
    for (const [type, status] of [
      ['text/html', 502],
      ['Multipart/Byteranges; boundary=a', 502],
      ['image/png', 206],
    ] as const)
      assert.equal((await through([strict], {}, { status: 206, fields: { 'Content-Type': type }, body: 'part' })).status, status, type);
  });
  it('gives a 304 the weak tag that the client has from it (RFC 9111 §4.3.4)', async () => {
    const kinds = [rewriteBody({ direction: 'response', transform: () => upper })];
    for (const [known, tag] of [
      ['W/"1"', 'W/"1"'],
      ['"1"', '"1"'],
    ] as const) {
      const answer = await through(kinds, { fields: { 'If-None-Match': known } }, { status: 304, fields: { ETag: '"1"' } });
      assert.deepEqual([answer.status, answer.headers.get('etag')], [304, tag]);
    }
  });
  it('takes digests of the old bytes out of trailers, too, and leaves those of bodies that pass', async () => {
    for (const [type, digest] of [
      ['text/html', undefined],
      ['image/png', 'sha-256=:AA==:'],
    ] as const) {
      const application = answering((exchange) => {
        exchange.sendHead(responseHead(200, { headers: { 'Content-Type': type } }), -1);
        exchange.sendData(bytes('a'));
        exchange.sendEnd(HeaderMap.from({ 'Repr-Digest': 'sha-256=:AA==:', 'X-Total': '1' }));
      });
      const kinds = [
        rewriteBody({ direction: 'response', when: ({ headers }) => headers.get('content-type') === 'text/html', transform: () => upper }),
      ];
      const { trailers } = await ask(withModules(application, kinds, moduleOptions()), 'http2');
      assert.deepEqual([trailers?.get('repr-digest'), trailers?.get('x-total')], [digest, '1']);
    }
  });
  it('takes back what was true of the old bytes only', async () => {
    const fields = { ETag: '"1"', 'Accept-Ranges': 'bytes', 'Content-MD5': 'x', 'Repr-Digest': 'y' };
    for (const method of ['GET', 'HEAD']) {
      const { headers, error } = await get({ begin: () => upper }, 'hello', fields, method);
      assert.deepEqual([error, headers.get('etag')], [null, 'W/"1"']);
      for (const name of ['accept-ranges', 'content-md5', 'repr-digest', 'content-length']) assert.equal(headers.has(name), false, name);
    }
  });
});

describe('wholeBody', () => {
  const reversed = (options = {}): BodyTransform => wholeBody((body) => body.toReversed(), options);
  it('gets a body as a whole, with a promise and without, of no bytes too', async () => {
    assert.equal((await post(reversed(), ['hel', 'lo', '!'])).body, '!olleh');
    assert.equal(
      (
        await get(
          wholeBody((body) => Promise.resolve(body.toReversed())),
          'hello',
        )
      ).body,
      'olleh',
    );
    assert.equal(
      (
        await get(
          wholeBody(() => bytes('new')),
          '',
        )
      ).body,
      'new',
    );
  });
  it('answers 413 to a request of more bytes, whether it says so or not', async () => {
    assert.equal((await post(reversed({ maxBytes: 5 }), ['hel', 'lo'])).body, 'olleh');
    assert.equal((await post(reversed({ maxBytes: 5 }), ['hel', 'lo!'])).status, 413);
    let asked = 0;
    const application = answering(() => void asked++);
    const kinds = [rewriteBody({ direction: 'request', transform: reversed({ maxBytes: 5 }) })];
    const announced = { method: 'POST', body: ['hello!'], fields: { 'Content-Length': '6' } };
    assert.equal((await ask(withModules(application, kinds, moduleOptions()), 'http2', announced)).status, 413);
  });
  it('makes a 502 of a longer response, or cuts it, if its head is gone', async () => {
    assert.equal((await get(reversed({ maxBytes: 4 }), 'hello')).status, 502);
    const chunked = answering((exchange) => {
      exchange.sendHead(responseHead(200), -1);
      exchange.sendData(bytes('hello'));
      exchange.sendEnd();
    });
    const kinds = [rewriteBody({ direction: 'response', transform: reversed({ maxBytes: 4 }) })];
    for (const version of ['http1', 'http2'] as const) {
      const { body, error } = await ask(withModules(chunked, kinds, moduleOptions()), version);
      assert.equal(body, '');
      assert.notEqual(error, null);
    }
  });
  it('lets a longer one pass as it is, where that is wanted', async () => {
    const transform = reversed({ maxBytes: 4, onTooLarge: 'pass' });
    const known = await get(transform, 'hello');
    assert.deepEqual([known.body, known.headers.get('content-length')], ['hello', '5']);
    assert.equal((await post(transform, ['he', 'll', 'o', '!'])).body, 'hello!');
    assert.equal((await post(transform, ['he', 'll'])).body, 'lleh');
  });
  it('refuses a bound that is none', () => {
    assert.throws(() => wholeBody((body) => body, { maxBytes: -1 }), RangeError);
  });
});

describe('replaceBytes', () => {
  const replaced = (pattern: string, replacement: string, pieces: readonly string[]): string => {
    const transform = replaceBytes(pattern, replacement).begin(MESSAGE);
    return [...pieces.map(bytes), null].map((piece) => text((transform(piece) as Uint8Array | null) ?? bytes(''))).join('');
  };
  it('finds what lies over the borders of pieces', async () => {
    assert.equal(replaced('http://', 'https://', ['see ht', 'tp:/', '/a htt', 'p:/']), 'see https://a http:/');
    assert.equal((await get(replaceBytes('ä', '&auml;'), 'x')).body, 'x');
    assert.equal(utf8Decode(bytes((await get(replaceBytes('l', '<L>'), 'hello')).body)), 'he<L><L>o');
  });
  it('finds what replaceAll finds in the whole, however it is cut', () => {
    const unit = fc.constantFrom('a', 'b');
    fc.assert(
      fc.property(
        fc.string({ unit, minLength: 1, maxLength: 6 }),
        fc.string({ unit: fc.constantFrom('a', 'x'), maxLength: 3 }),
        fc.array(fc.string({ unit, maxLength: 7 }), { maxLength: 10 }),
        (pattern, replacement, pieces) => {
          assert.equal(
            replaced(pattern, replacement, pieces),
            pieces.join('').replaceAll(pattern, () => replacement),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });
  it('gives each recipient bytes of its own, and keeps no part of a body back but what may be the pattern', () => {
    const shared = replaceBytes('ab', 'xy');
    const begin = (): ((chunk: Uint8Array | null) => Uint8Array) => {
      const transform = shared.begin(MESSAGE);
      return (chunk) => transform(chunk) as Uint8Array;
    };
    for (const input of ['ab', 'a']) {
      const first = begin();
      const given = input === 'a' ? (first(bytes('a')), first(null)) : first(bytes('ab'));
      given.fill(0);
      assert.equal(text(begin()(bytes('ab'))), 'xy');
    }
    assert.equal(begin()(bytes('zzzz')).length, 4);
  });
  it('takes time in proportion to the body, also for a pattern that nearly matches everywhere', () => {
    const pattern = `${'a'.repeat(5_000)}b`;
    const transform = replaceBytes(pattern, '').begin(MESSAGE);
    const piece = new Uint8Array(65_536).fill(0x61);
    let length = 0;
    // 2 MiB times 5000 comparisons would not end within the time limit of the test.
    for (let turn = 0; turn < 32; turn++) length += (transform(piece) as Uint8Array | null)?.length ?? 0;
    length += (transform(null) as Uint8Array).length;
    assert.equal(length, 32 * 65_536);
  });
  it('refuses to look for nothing', () => {
    assert.throws(() => replaceBytes('', 'x'), RangeError);
  });
});

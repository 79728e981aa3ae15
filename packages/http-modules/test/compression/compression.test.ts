import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { utf8Encode } from '@ferrata/bytes';
import { requestHead, responseHead } from '@ferrata/headers';
import { type CompressionOptions, compression } from '../../src/index.ts';
import { type DrivenResponse, drive, exchangeOf } from './module-driver.ts';
import { decoded, jsonOf, noiseOf } from './texts.ts';

const JSON_TYPE = 'application/json';
const page = jsonOf(4_000);

interface Outcome {
  readonly coding: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** A page of JSON for a client that accepts gzip, or as given. */
async function respond(
  options: CompressionOptions,
  requestHeaders: Record<string, string>,
  responseHeaders: Record<string, string> = {},
  response: DrivenResponse = {},
  method = 'GET',
): Promise<Outcome> {
  const body = response.body ?? [page];
  const length = body.reduce((sum, piece) => sum + piece.length, 0);
  const usual = { 'Content-Type': JSON_TYPE, 'Content-Length': String(length) };
  const driven = await drive(
    compression(options),
    { method, headers: requestHeaders },
    { ...response, ...(method === 'HEAD' ? {} : { body }), headers: { ...usual, ...responseHeaders } },
  );
  const headers: Record<string, string> = {};
  for (const [name, value] of driven.response.headers) headers[name.toLowerCase()] = value;
  return { coding: headers['content-encoding'], headers, body: driven.body };
}

const GZIP = { 'Accept-Encoding': 'gzip' };

describe('what is compressed', () => {
  for (const coding of ['gzip', 'br', 'zstd'] as const) {
    test(`by ${coding}, and decodes to the original`, async () => {
      const { coding: sent, body } = await respond({}, { 'Accept-Encoding': coding });
      assert.equal(sent, coding);
      assert.ok(body.length < page.length / 3, `${body.length} bytes`);
      assert.deepEqual(decoded(coding, body), page);
    });
  }

  test('a text of 32 bytes with a bound of 20, to fewer bytes', async () => {
    const text = utf8Encode('a'.repeat(32));
    const { coding, body } = await respond({ minBytes: 20 }, GZIP, { 'Content-Type': 'text/plain' }, { body: [text] });
    assert.equal(coding, 'gzip');
    assert.ok(body.length < 32);
    assert.deepEqual(decoded('gzip', body), text);
  });

  test('from the least length on', async () => {
    assert.equal((await respond({}, GZIP, {}, { body: [page.subarray(0, 256)] })).coding, 'gzip');
  });

  test('levels are those of zlib', async () => {
    const large = jsonOf(60_000);
    const fast = await respond({ levels: { gzip: 1 } }, GZIP, {}, { body: [large] });
    const small = await respond({ levels: { gzip: 9 } }, GZIP, {}, { body: [large] });
    assert.deepEqual(new Uint8Array(fast.body), new Uint8Array(gzipSync(large, { level: 1 })));
    assert.deepEqual(new Uint8Array(small.body), new Uint8Array(gzipSync(large, { level: 9 })));
  });

  const types: readonly [type: string | undefined, isCompressed: boolean][] = [
    ['text/html; charset=utf-8', true],
    ['TEXT/HTML', true],
    ['text/plain', true],
    ['application/json', true],
    ['application/wasm', true],
    ['application/octet-stream', true],
    ['binary/octet-stream', true],
    ['font/ttf', true],
    ['image/svg+xml', true],
    ['image/x-icon', true],
    ['image/vnd.microsoft.icon', true],
    ['font/woff2', false],
    ['image/jpeg', false],
    ['image/png', false],
    ['video/mp4', false],
    ['application/zip', false],
    ['application/gzip', false],
    ['application/epub+zip', false],
    ['application/x-7z-compressed', false],
    ['application/pdf', false],
    ['application/grpc', false],
    ['application/grpc-web+proto', false],
    ['', false],
    [`text/${'a'.repeat(300)}`, false],
    [undefined, false],
  ];
  for (const [type, isCompressed] of types) {
    test(`${type?.slice(0, 40) ?? 'a missing type'} is ${isCompressed ? 'compressed' : 'left'}`, async () => {
      const response = { headers: type === undefined ? {} : { 'Content-Type': type }, body: [page] };
      const driven = await drive(compression(), { headers: GZIP }, response);
      assert.equal(driven.response.headers.get('content-encoding'), isCompressed ? 'gzip' : undefined);
      assert.equal(driven.response.headers.has('vary'), isCompressed);
    });
  }

  test('types and exceptions of the caller take the place of the usual ones, but gRPC is never touched', async () => {
    const options = { types: ['image/*', 'application/*+json', 'application/grpc'], exceptTypes: ['image/png'] };
    for (const [type, coding] of [
      ['image/jpeg', 'gzip'],
      ['image/png', undefined],
      ['application/problem+json', 'gzip'],
      ['application/json', undefined],
      ['application/grpc', undefined],
      ['text/html', undefined],
    ] as const)
      assert.equal((await respond(options, GZIP, { 'Content-Type': type })).coding, coding, type);
    assert.equal((await respond({ types: [] }, GZIP)).coding, undefined);
  });
});

describe('what is left as it is', () => {
  const cases: readonly [what: string, headers: Record<string, string>, response: DrivenResponse][] = [
    ['a body under the least length', { 'Content-Length': '255' }, { body: [page.subarray(0, 255)] }],
    ['a body that is coded already', { 'Content-Encoding': 'br' }, {}],
    ['no-transform (RFC 9111 §5.2.2.6)', { 'Cache-Control': 'public, No-Transform' }, {}],
    ['Content-Range with another status', { 'Content-Range': 'bytes */4000' }, { status: 416 }],
    ['204', {}, { status: 204, bodyLength: 0 }],
    ['a body of no bytes', {}, { body: [], bodyLength: 0 }],
  ];
  for (const [what, headers, response] of cases) {
    test(what, async () => {
      const before = { etag: '"x"', ...headers };
      const { headers: after, body } = await respond({}, GZIP, { ETag: '"x"', 'Accept-Ranges': 'bytes', ...headers }, response);
      assert.equal(after['content-encoding'], headers['Content-Encoding']);
      assert.equal(after['etag'], before.etag);
      assert.equal(after['accept-ranges'], 'bytes');
      assert.equal(after['vary'], undefined);
      assert.ok('content-length' in after);
      assert.deepEqual(body, response.body === undefined ? page : (response.body[0] ?? new Uint8Array()));
    });
  }

  test('a part, 206, but for its Vary, which is that of the whole (RFC 9110 §15.3.7)', async () => {
    const cases: readonly [CompressionOptions, headers: Record<string, string>, vary: string | undefined][] = [
      [{}, {}, 'Accept-Encoding'],
      [{}, { 'Content-Type': 'image/png' }, undefined],
      [{}, { 'Content-Type': 'multipart/byteranges; boundary=x' }, undefined],
      [{}, { 'Content-Encoding': 'gzip' }, undefined],
      [{ levels: { gzip: 0, br: 0, zstd: 0 } }, {}, undefined],
      [{ decompress: true }, { 'Content-Encoding': 'gzip' }, 'Accept-Encoding'],
      [{ decompress: ['br'] }, { 'Content-Encoding': 'gzip' }, undefined],
      [{ decompress: true }, { 'Content-Encoding': 'gzip, br' }, undefined],
    ];
    for (const [options, fields, vary] of cases) {
      for (const request of [GZIP, {}]) {
        const part = { ...fields, ETag: '"x"', 'Accept-Ranges': 'bytes', 'Content-Range': 'bytes 0-3999/9000' };
        const { headers, body, coding } = await respond(options, request, part, { status: 206 });
        assert.deepEqual([coding, headers['vary']], [fields['Content-Encoding'], vary]);
        assert.deepEqual([headers['etag'], headers['accept-ranges'], headers['content-length']], ['"x"', 'bytes', '4000']);
        assert.deepEqual(body, page);
      }
    }
  });

  test('a request with no-transform (RFC 9111 §5.2.1.6)', async () => {
    assert.equal((await respond({}, { ...GZIP, 'Cache-Control': 'no-transform' })).coding, undefined);
  });

  test('everything, if all levels are 0; and the coding whose level is 0', async () => {
    const off = await respond({ levels: { gzip: 0, br: 0, zstd: 0 } }, GZIP);
    assert.deepEqual([off.coding, off.headers['vary']], [undefined, undefined]);
    assert.equal((await respond({ levels: { zstd: 0 } }, { 'Accept-Encoding': 'zstd, gzip' })).coding, 'gzip');
  });

  test('CONNECT takes no module', async () => {
    assert.equal((await drive(compression(), { method: 'CONNECT' })).module, null);
  });
});

describe('the head', () => {
  test('loses length, ranges and digests, and its strong ETag is weakened (RFC 9110 §8.8.1)', async () => {
    const { headers } = await respond({}, GZIP, {
      ETag: '"v1"',
      'Accept-Ranges': 'bytes',
      'Content-Digest': 'sha-256=:AA==:',
      'Repr-Digest': 'sha-256=:AA==:',
      'Content-MD5': 'AA==',
    });
    assert.deepEqual(headers, { 'content-type': JSON_TYPE, 'content-encoding': 'gzip', etag: 'W/"v1"', vary: 'Accept-Encoding' });
  });

  test('digests go out of the trailers, too', async () => {
    const response = {
      headers: { 'Content-Type': JSON_TYPE },
      body: [page],
      trailers: { 'Content-Digest': 'sha-256=:AA==:', 'X-Time': '1' },
    };
    const driven = await drive(compression(), { headers: GZIP }, response);
    assert.deepEqual(driven.trailers?.toJSON(), [['X-Time', '1']]);
  });

  for (const [etag, after] of [
    ['W/"v1"', 'W/"v1"'],
    ['""', 'W/""'],
    ['v1', undefined],
    ['"v1', undefined],
    ['"a"b"', undefined],
    ['w/"v1"', undefined],
  ] as const)
    test(`ETag ${etag} becomes ${after ?? 'nothing, as it is malformed'}`, async () => {
      assert.equal((await respond({}, GZIP, { ETag: etag })).headers['etag'], after);
      assert.equal((await respond({ preserveEtag: true }, GZIP, { ETag: etag })).headers['etag'], etag);
    });

  test('of two ETags, which is no meaning, keeps none', async () => {
    const headers = [
      ['Content-Type', JSON_TYPE],
      ['ETag', '"a"'],
      ['ETag', '"b"'],
    ] as const;
    const { response } = await drive(compression(), { headers: GZIP }, { headers, body: [page] });
    assert.equal(response.headers.has('etag'), false);
  });

  for (const [vary, after] of [
    [undefined, 'Accept-Encoding'],
    ['Origin', 'Origin, Accept-Encoding'],
    ['origin, ACCEPT-ENCODING', 'origin, ACCEPT-ENCODING'],
    ['*', '*'],
  ] as const)
    test(`Vary ${vary ?? 'absent'} becomes ${after}`, async () => {
      assert.equal((await respond({}, GZIP, vary === undefined ? {} : { Vary: vary })).headers['vary'], after);
    });

  test('says Vary where the plain body was the choice, too', async () => {
    const { coding, headers, body } = await respond({}, {}, { ETag: '"v1"' });
    assert.deepEqual([coding, headers['vary'], headers['etag'], headers['content-length']], [undefined, 'Accept-Encoding', '"v1"', '4000']);
    assert.deepEqual(body, page);
  });

  test('of an answer to HEAD is that of GET (RFC 9110 §9.3.2)', async () => {
    const fields = { ETag: '"v1"', 'Accept-Ranges': 'bytes' };
    const head = await respond({}, GZIP, fields, { bodyLength: 0 }, 'HEAD');
    assert.deepEqual(head.headers, (await respond({}, GZIP, fields)).headers);
    assert.equal((await respond({}, GZIP, { 'Content-Length': '255' }, { bodyLength: 0 }, 'HEAD')).coding, undefined);
    assert.equal((await respond({}, GZIP, { 'Content-Length': '0' }, { bodyLength: 0 }, 'HEAD')).coding, undefined);
  });

  test('of a 304 has the weak ETag that the client asked by, as the strong one would refresh nothing (RFC 9111 §4.3.4)', async () => {
    const notModified = { status: 304, bodyLength: 0 };
    const ask = (ifNoneMatch: string): Record<string, string> => ({ ...GZIP, 'If-None-Match': ifNoneMatch });
    const weak = await respond({}, ask('"v0", W/"v1"'), { ETag: '"v1"' }, notModified);
    assert.deepEqual([weak.headers['etag'], weak.headers['vary']], ['W/"v1"', 'Accept-Encoding']);
    assert.equal((await respond({}, ask('"v1"'), { ETag: '"v1"' }, notModified)).headers['etag'], '"v1"');
    for (const options of [{ preserveEtag: true }, { codings: [] }])
      assert.equal((await respond(options, ask('W/"v1"'), { ETag: '"v1"' }, notModified)).headers['etag'], '"v1"');
  });

  test('of a 304 is none that a long list of the client could cost', async () => {
    const headers = { ...GZIP, 'If-None-Match': `${'"a", '.repeat(1500)}W/"v1"` };
    assert.equal((await respond({}, headers, { ETag: '"v1"' }, { status: 304, bodyLength: 0 })).headers['etag'], 'W/"v1"');
  });

  test('is left as it is where an origin names a thousand codings', async () => {
    const headers = { 'Content-Encoding': 'a,'.repeat(1001) };
    assert.equal((await respond({ decompress: true }, GZIP, headers)).headers['content-encoding'], 'a,'.repeat(1001));
  });

  test('an identity in Content-Encoding is no coding', async () => {
    assert.equal((await respond({}, GZIP, { 'Content-Encoding': 'identity' })).coding, 'gzip');
  });
});

describe('bodies', () => {
  test('a short one of known length comes by one call at its end', async () => {
    const response = {
      headers: { 'Content-Type': JSON_TYPE, 'Content-Length': '4000' },
      body: [page.subarray(0, 1000), page.subarray(1000)],
    };
    const { pieces } = await drive(compression(), { headers: GZIP }, response);
    assert.deepEqual(pieces.slice(0, 2), [null, null]);
    assert.deepEqual(decoded('gzip', pieces[2] as Uint8Array), page);
  });

  test('a body that is longer than was said is cut, not gathered', async () => {
    const response = { headers: { 'Content-Type': JSON_TYPE }, body: [page], bodyLength: 3_999 };
    await assert.rejects(drive(compression(), { headers: GZIP }, response), { reason: 'COMPRESSION_FAILED' });
  });

  test('a long one of known length comes as it is made, not a piece for each piece', async () => {
    const large = noiseOf(400_000);
    const chunks = Array.from({ length: 400 }, (_, at) => large.subarray(at * 1000, at * 1000 + 1000));
    const response = { headers: { 'Content-Type': JSON_TYPE, 'Content-Length': '400000' }, body: chunks };
    const { pieces, body } = await drive(compression(), { headers: GZIP }, response);
    assert.ok(pieces[0] === null || pieces[0] === undefined || pieces[0].length < 100, 'nothing was flushed');
    assert.ok(
      pieces.slice(0, 200).some((piece) => piece !== null && piece.length > 100),
      'nothing was held to the end',
    );
    assert.deepEqual(decoded('gzip', body), large);
  });

  for (const coding of ['gzip', 'br', 'zstd'] as const) {
    test(`events reach the client one by one, by ${coding}`, async () => {
      const events = ['data: one\n\n', 'data: two\n\n', 'data: three\n\n'].map(utf8Encode);
      for (const options of [{ minBytes: 1 }, { minBytes: 1, flush: 'events' }] as const) {
        for (const bodyLength of [-1, joinedLength(events)]) {
          const response = { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' }, body: events, bodyLength };
          const { pieces } = await drive(compression(options), { headers: { 'Accept-Encoding': coding } }, response);
          const read = partlyDecoded(coding, pieces.slice(0, 3) as Uint8Array[]);
          assert.deepEqual(await read, ['data: one\n\n', 'data: two\n\n', 'data: three\n\n']);
        }
      }
    });

    test(`a body of unknown length is never held while its sender pauses, by ${coding}; unless the options say so`, async () => {
      const response = { headers: { 'Content-Type': JSON_TYPE }, body: [page.subarray(0, 500), page.subarray(500)] };
      const request = { headers: { 'Accept-Encoding': coding } };
      const { pieces } = await drive(compression(), request, response);
      const [first] = await partlyDecoded(coding, [pieces[0] as Uint8Array]);
      assert.equal(first, new TextDecoder().decode(page.subarray(0, 500)));
      const held = await drive(compression({ flush: 'events' }), request, response);
      assert.ok((held.pieces[0]?.length ?? 0) < 100);
      assert.ok(held.body.length <= joinedLength(pieces));
    });

    test(`an empty body of unknown length is one of ${coding}, too`, async () => {
      const response = { headers: { 'Content-Type': JSON_TYPE }, body: [] };
      const { body } = await drive(compression(), { headers: { 'Accept-Encoding': coding } }, response);
      assert.ok(body.length > 0);
      assert.equal(decoded(coding, body).length, 0);
    });
  }

  test('an empty piece gives nothing', async () => {
    const response = { headers: { 'Content-Type': JSON_TYPE }, body: [new Uint8Array(), page] };
    const { pieces, body } = await drive(compression(), { headers: GZIP }, response);
    assert.equal(pieces[0]?.length ?? 0, 0);
    assert.deepEqual(decoded('gzip', body), page);
  });
});

describe('taking off a coding that the client does not accept', () => {
  const coded: readonly [name: string, bytes: Uint8Array][] = [
    ['gzip', gzipSync(page)],
    ['X-GZIP', gzipSync(page)],
    ['br', brotliCompressSync(page)],
    ['zstd', zstdCompressSync(page)],
    ['deflate', deflateSync(page)],
    ['deflate', deflateRawSync(page)],
  ];
  for (const [name, bytes] of coded) {
    test(`${name} of ${bytes.length} bytes, for a client that accepts nothing`, async () => {
      const { headers, body } = await respond(
        { decompress: true },
        {},
        { 'Content-Encoding': name, ETag: '"v1"', 'Accept-Ranges': 'bytes' },
        { body: [bytes] },
      );
      assert.deepEqual(headers, { 'content-type': JSON_TYPE, etag: 'W/"v1"', vary: 'Accept-Encoding' });
      assert.deepEqual(new Uint8Array(body), page);
    });
  }

  test('not if the client accepts it, nor if it is not asked for, nor a second layer, nor what cannot be', async () => {
    const gzipped = new Uint8Array(gzipSync(page));
    const cases: readonly [CompressionOptions, Record<string, string>, string][] = [
      [{ decompress: true }, GZIP, 'gzip'],
      [{ decompress: true }, { 'Accept-Encoding': '*' }, 'gzip'],
      [{ decompress: ['br'] }, {}, 'gzip'],
      [{}, {}, 'gzip'],
      [{ decompress: true }, {}, 'gzip, gzip'],
      [{ decompress: true }, {}, 'dcz'],
    ];
    for (const [options, request, coding] of cases) {
      const { headers, body } = await respond(options, request, { 'Content-Encoding': coding }, { body: [gzipped] });
      assert.equal(headers['content-encoding'], coding);
      assert.deepEqual(body, gzipped);
    }
  });

  test('a client that accepts it is told by Vary that others get the plain body', async () => {
    const { headers } = await respond({ decompress: true }, GZIP, { 'Content-Encoding': 'gzip' }, { body: [gzipSync(page)] });
    assert.equal(headers['vary'], 'Accept-Encoding');
  });

  test('an answer to HEAD has the head that the one to GET would have', async () => {
    const { headers } = await respond({ decompress: true }, {}, { 'Content-Encoding': 'gzip' }, { bodyLength: 0 }, 'HEAD');
    assert.deepEqual(headers, { 'content-type': JSON_TYPE, vary: 'Accept-Encoding' });
  });

  test('an answer to HEAD of no bytes is left, as the one to GET is', async () => {
    for (const options of [{ decompress: true }, { minBytes: 0 }]) {
      const fields: Record<string, string> = { 'Content-Length': '0', ...('decompress' in options ? { 'Content-Encoding': 'br' } : {}) };
      const heads = ['HEAD', 'GET'].map(
        async (method) => (await respond(options, GZIP, fields, { body: [], bodyLength: 0 }, method)).headers,
      );
      assert.deepEqual(await heads[0], await heads[1]);
    }
  });

  test('a malformed body cuts the response with a typed error', async () => {
    const response = { headers: { 'Content-Encoding': 'gzip' }, body: [utf8Encode('this is no gzip')] };
    await assert.rejects(drive(compression({ decompress: true }), {}, response), {
      type: 'protocol',
      reason: 'CONTENT_CODING_MALFORMED',
      status: 502,
    });
  });

  test('a bomb cuts the response with a typed error', async () => {
    const bomb = gzipSync(new Uint8Array(8 * 1024 * 1024));
    const response = { headers: { 'Content-Encoding': 'gzip' }, body: [bomb] };
    await assert.rejects(drive(compression({ decompress: true }), {}, response), { reason: 'INFLATE_RATIO_EXCEEDED', status: 502 });
  });
});

describe('one exchange', () => {
  test('has settings of its own', async () => {
    const response = { headers: { 'Content-Type': JSON_TYPE, ETag: '"v1"' }, body: [page] };
    const request = { headers: { 'Accept-Encoding': 'zstd, gzip' } };
    const kind = compression();
    const adjusted = await drive(kind, request, response, (module) => module.adjust({ levels: { zstd: 0 }, preserveEtag: true }));
    assert.equal(adjusted.response.headers.get('content-encoding'), 'gzip');
    assert.equal(adjusted.response.headers.get('etag'), '"v1"');
    const usual = await drive(kind, request, response);
    assert.equal(usual.response.headers.get('content-encoding'), 'zstd');
    assert.equal(usual.response.headers.get('etag'), 'W/"v1"');
  });

  test('takes no settings once its head is decided on, and no nonsense', async () => {
    const driven = await drive(compression(), { headers: GZIP }, { headers: { 'Content-Type': JSON_TYPE }, body: [page] }, (module) =>
      assert.throws(() => module.adjust({ levels: { gzip: 10 } }), RangeError),
    );
    assert.throws(() => driven.module?.adjust({ levels: { gzip: 1 } }), TypeError);
  });

  test('is decided by what the client sent, even if the request was edited behind', async () => {
    const response = { headers: { 'Content-Type': JSON_TYPE }, body: [page] };
    let edit: (() => void) | null = null;
    const kind = compression();
    const spied = {
      ...kind,
      create: (exchange: Parameters<typeof kind.create>[0]) => {
        edit = () => void exchange.request.headers.delete('accept-encoding');
        return kind.create(exchange);
      },
    };
    const driven = await drive(spied, { headers: GZIP }, response, () => edit?.());
    assert.equal(driven.request.headers.has('accept-encoding'), false);
    assert.equal(driven.response.headers.get('content-encoding'), 'gzip');
  });
});

test('the end of an exchange frees what works on its body, even now', async () => {
  const kind = compression({ decompress: true });
  for (const headers of [{ 'Content-Type': JSON_TYPE }, { 'Content-Encoding': 'gzip' }]) {
    const coding = 'Content-Encoding' in headers ? 'br' : 'gzip';
    const exchange = exchangeOf(requestHead('GET', '/', { headers: { 'Accept-Encoding': coding } }), false);
    const module = kind.create(exchange);
    module?.responseFilter?.(responseHead(200, { headers }), { bodyLength: -1 }, exchange);
    assert.equal(module?.editsResponseBody, true);
    const worksOn = module?.responseBodyFilter?.(coding === 'br' ? gzipSync(noiseOf(1_000_000)) : noiseOf(1_000_000));
    module?.close?.();
    assert.equal(await worksOn, null);
  }
});

describe('options', () => {
  const nonsense: readonly [what: string, options: CompressionOptions][] = [
    ['a level above the most', { levels: { gzip: 10 } }],
    ['a level that is no whole number', { levels: { br: 4.5 } }],
    ['a level below 0', { levels: { zstd: -1 } }],
    ['a level of no coding', { levels: { lzma: 1 } as never }],
    ['a coding that is none', { codings: ['lzma'] as never }],
    ['a coding that is a property of every object', { codings: ['constructor'] as never }],
    ['a coding twice', { codings: ['gzip', 'gzip'] }],
    ['dcz without dictionaries', { codings: ['dcz'] }],
    ['a coding to take off that is none', { decompress: ['dcz'] as never }],
    ['a least length below 0', { minBytes: -1 }],
    ['a type with a parameter', { types: ['text/html; charset=utf-8'] }],
    ['a type in capitals', { exceptTypes: ['Text/html'] }],
    ['a pattern of stars', { types: ['*a*b*c*d*'] }],
    ['a flush that is none', { flush: 'never' as never }],
    ['a ratio of 1', { maxInflateRatio: 1 }],
    ['a bound of no bytes', { maxInflatedBytes: 0 }],
    ['too many dictionaries', { dictionaries: Array.from({ length: 65 }, () => Uint8Array.of(1)) }],
    ['an empty dictionary', { dictionaries: [new Uint8Array()] }],
    ['a dictionary of zstd itself', { dictionaries: [Uint8Array.of(0x37, 0xa4, 0x30, 0xec, 1, 2, 3)] }],
  ];
  for (const [what, options] of nonsense) test(`${what} is a RangeError`, () => assert.throws(() => compression(options), RangeError));

  test('the kind is frozen, and runs behind all others', () => {
    const kind = compression();
    assert.ok(Object.isFrozen(kind));
    assert.deepEqual([kind.name, kind.order], ['compression', -16_384]);
  });
});

/** What each piece makes readable by itself, with the decoder of `node:zlib` in between. */
async function partlyDecoded(coding: 'gzip' | 'br' | 'zstd', pieces: readonly Uint8Array[]): Promise<string[]> {
  const { createBrotliDecompress, createGunzip, createZstdDecompress } = await import('node:zlib');
  const stream = coding === 'gzip' ? createGunzip() : coding === 'br' ? createBrotliDecompress() : createZstdDecompress();
  let text = '';
  stream.on('data', (bytes: Uint8Array) => (text += new TextDecoder().decode(bytes)));
  const read: string[] = [];
  for (const piece of pieces) {
    await new Promise<void>((resolve, reject) => stream.write(piece, (error) => (error ? reject(error) : resolve())));
    read.push(text);
    text = '';
  }
  stream.destroy();
  return read;
}

function joinedLength(pieces: readonly (Uint8Array | null)[]): number {
  return pieces.reduce((sum, piece) => sum + (piece?.length ?? 0), 0);
}

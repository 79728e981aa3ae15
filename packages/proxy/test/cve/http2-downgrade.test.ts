/**
 * Requests over HTTP/2 that would be two over HTTP/1: whatever a stream holds, an HTTP/1 origin reads at most one request of it, the one meant.
 *
 * - h2.CL: CVE-2021-21295, CVE-2021-21409 (Netty), CVE-2021-36740 (Varnish), CVE-2026-33555 (HAProxy): a length that the DATA frames do not have.
 * - h2.TE: CVE-2021-29991 class; fields of the connection in a request: Transfer-Encoding, Connection, Upgrade.
 * - Line ends and blanks in names, values and pseudo-fields: CVE-2021-33193 (Apache), CVE-2021-39240 (HAProxy), CVE-2023-25690 (Apache).
 *
 * The origin reads by code of its own; the client writes its field blocks byte by byte, as no encoder would.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Field, requestFields, valueOf } from '../h2-wire.ts';
import { Rig, settle } from '../rig.ts';
import { ReadingOrigin, smuggled } from './attack.ts';

const post = (...more: Field[]): Field[] => requestFields('POST', '/attack', ...more);

/** A request with one of its pseudo-fields replaced. */
function but(name: string, value: string): Field[] {
  return requestFields('POST', '/attack').map((field) => (field[0] === name ? [name, value] : field));
}

/** Sends fields and body, then an honest request on the same connection. */
async function attackH2(fields: readonly Field[], body: string, trailers: readonly Field[] | null = null) {
  const origin = new ReadingOrigin();
  const rig = new Rig({ origin: origin.serve });
  const client = rig.connectH2();
  const id = client.request(fields, { isEnd: body === '' && trailers === null, isRaw: true });
  if (body !== '') client.data(id, body, trailers === null);
  if (trailers !== null) client.headers(id, trailers, { isRaw: true });
  await settle();
  const honest = rig.connectH2();
  const after = honest.request(requestFields('GET', '/honest'));
  await settle();
  assert.equal(honest.message(after)?.body, '/honest', 'an honest client gets its own answer');
  assert.deepEqual(origin.problems, [], 'the origin reads well-formed requests only');
  assert.ok(!origin.begunTargets.includes('/smuggled'), 'nothing is smuggled');
  await rig.finish(client, honest);
  return { origin, rig, message: client.message(id) };
}

/** Requests that must not reach an origin whole. */
const refused: readonly (readonly [cve: string, what: string, fields: readonly Field[], body: string])[] = [
  ['CVE-2021-21295', 'Content-Length 0 before a body', post(['content-length', '0']), smuggled],
  ['CVE-2021-21409', 'Content-Length 4 before a longer body', post(['content-length', '4']), `abcd${smuggled}`],
  ['CVE-2026-33555', 'the end of the stream before the end of the body', post(['content-length', '100']), 'abcd'],
  ['CVE-2026-33555', 'the end of the stream in place of a body', post(['content-length', '100']), ''],
  ['CVE-2021-36740', 'two lengths', post(['content-length', '4'], ['content-length', String(4 + smuggled.length)]), `abcd${smuggled}`],
  ['CVE-2021-36740', 'a list of lengths', post(['content-length', '4, 100']), `abcd${smuggled}`],
  ['CVE-2021-36740', 'a length with a sign', post(['content-length', '+4']), `abcd${smuggled}`],
  ['CVE-2021-36740', 'a length that is none', post(['content-length', '4x']), `abcd${smuggled}`],
  ['h2.TE', 'Transfer-Encoding: chunked', post(['transfer-encoding', 'chunked']), `0\r\n\r\n${smuggled}`],
  ['h2.TE', 'Transfer-Encoding beside Content-Length', post(['content-length', '5'], ['transfer-encoding', 'chunked']), `0\r\n\r\n`],
  ['h2.TE', 'Transfer-Encoding in capitals', post(['Transfer-Encoding', 'chunked']), `0\r\n\r\n${smuggled}`],
  ['h2.TE', 'Transfer-Encoding with a blank behind it', post(['transfer-encoding ', 'chunked']), `0\r\n\r\n${smuggled}`],
  ['h2.TE', 'Connection', post(['connection', 'content-length']), 'abcd'],
  ['h2.TE', 'Upgrade: h2c', post(['upgrade', 'h2c'], ['http2-settings', 'AAMAAABkAARAAAAAAAIAAAAA']), ''],
  ['h2.TE', 'Keep-Alive', post(['keep-alive', 'timeout=5']), ''],
  ['CVE-2021-39240', 'a line end in a value', post(['x', `a\r\n\r\n${smuggled}`]), ''],
  ['CVE-2021-39240', 'LF in a value', post(['x', 'a\nTransfer-Encoding: chunked']), 'abcd'],
  ['CVE-2021-39240', 'CR in a value', post(['x', 'a\rb']), ''],
  ['CVE-2021-39240', 'NUL in a value', post(['x', 'a\0b']), ''],
  ['CVE-2021-39240', 'a line end in a name', post(['x: a\r\ntransfer-encoding', 'chunked']), `0\r\n\r\n${smuggled}`],
  ['CVE-2021-39240', 'a colon in a name', post(['transfer-encoding: chunked\r\nx', 'a']), `0\r\n\r\n${smuggled}`],
  ['CVE-2021-39240', 'an empty name', post(['', 'a']), ''],
  ['CVE-2021-33193', 'a request line in :method', but(':method', 'GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\nPOST'), ''],
  ['CVE-2021-33193', 'a blank in :method', but(':method', 'GET /smuggled'), ''],
  ['CVE-2023-25690', 'a request line in :path', but(':path', '/a HTTP/1.1\r\nHost: h\r\n\r\nGET /smuggled'), ''],
  ['CVE-2023-25690', 'a blank in :path', but(':path', '/a HTTP/1.1 /smuggled'), ''],
  ['CVE-2023-25690', 'a :path without a slash', but(':path', 'attack'), ''],
  ['CVE-2023-25690', 'an empty :path', but(':path', ''), ''],
  ['CVE-2021-39241', 'a line end in :authority', but(':authority', 'h\r\nTransfer-Encoding: chunked'), `0\r\n\r\n${smuggled}`],
  ['CVE-2021-39241', 'a path in :authority', but(':authority', 'h/smuggled'), ''],
  ['CVE-2021-39241', 'user information in :authority', but(':authority', 'user@h'), ''],
  ['CVE-2021-39241', 'a line end in :scheme', but(':scheme', 'http\r\nx: y'), ''],
  ['CVE-2021-39241', 'a URL in :scheme', but(':scheme', 'http://victim/?'), ''],
  ['pseudo-fields', 'two :path', [...requestFields('POST', '/attack'), [':path', '/smuggled']], ''],
  [
    'pseudo-fields',
    'a pseudo-field behind a field',
    [...requestFields('POST', '/attack').slice(0, 3), ['x', 'a'], [':path', '/attack']],
    '',
  ],
  ['pseudo-fields', 'no :method', requestFields().slice(1), ''],
  ['pseudo-fields', 'an unknown one', post([':evil', 'a']), ''],
  ['pseudo-fields', 'one of a response', post([':status', '200']), ''],
  ['Host', 'another one than :authority', post(['host', 'victim']), ''],
  ['Host', 'two of them', post(['host', 'example.org'], ['host', 'example.org']), ''],
];

describe('a request over HTTP/2 that would be another over HTTP/1 goes nowhere (RFC 9113 §8.1.1, §8.2, §8.3)', () => {
  for (const [cve, what, fields, body] of refused) {
    test(`${cve}: ${what}`, async () => {
      const { origin, message } = await attackH2(fields, body);
      assert.deepEqual(
        origin.targets.filter((target) => target !== '/honest'),
        [],
        'no origin gets a whole request',
      );
      // Either the stream is reset, or there is an answer that says what is wrong; never a success.
      const status = valueOf(message?.fields ?? [], ':status');
      assert.ok(status === undefined ? message?.resetCode !== null || message === undefined : status.startsWith('4'), `${status}`);
    });
  }
});

describe('what only looks like an attack stays within its request', () => {
  test('a body that holds a request is a body, in chunks of its own', async () => {
    const { origin } = await attackH2(post(), smuggled);
    assert.deepEqual(origin.targets, ['/attack', '/honest']);
  });

  test('a body that holds a last chunk is a body', async () => {
    const { origin } = await attackH2(post(), `0\r\n\r\n${smuggled}`);
    assert.deepEqual(origin.targets, ['/attack', '/honest']);
  });

  for (const trailers of [
    [['transfer-encoding', 'chunked']],
    [['content-length', '100']],
    [['host', 'victim']],
    [[':path', '/smuggled']],
    [['x', 'a\r\nTransfer-Encoding: chunked']],
    [['x: a\r\ny', 'b']],
  ] satisfies Field[][]) {
    test(`trailers cannot change the message: ${JSON.stringify(trailers)} (RFC 9110 §6.5.1)`, async () => {
      const { origin } = await attackH2(post(), 'abcd', trailers);
      for (const request of origin.requests) {
        const names = new Set(request.trailers.map(([name]) => name.toLowerCase()));
        for (const name of ['transfer-encoding', 'content-length', 'host', ':path']) assert.ok(!names.has(name), name);
      }
    });
  }
});

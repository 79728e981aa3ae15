/**
 * Requests of which two servers read different numbers, at the proxy: each is answered with an error and the connection ends, wherever its bytes
 * are cut, and no origin gets it whole, nor anything behind it. The codec's own suites (`conformance/http1-*`) have these classes at length; here
 * is one table of the published ones, each by its number.
 *
 * - CVE-2026-2835 (Pingora before 0.8): Transfer-Encoding in HTTP/1.0, lists and repetitions of codings, request bodies up to the close.
 * - Pingora issue 945: Content-Length with Transfer-Encoding.
 * - CVE-2024-22019 (Node): chunk extensions without bound.
 * - CVE-2022-32213, -32214, -32215, CVE-2023-30589, CVE-2024-27982, CVE-2025-23167 (llhttp).
 * - CVE-2026-33870, CVE-2026-2332 (Netty, Jetty): line ends in quoted chunk extensions. CVE-2026-89044 (Netty): `chunked, xchunked`.
 * - CVE-2025-43859 (h11), CVE-2025-22871 (Go): lax ends of chunks.
 * - CVE-2021-40346, CVE-2023-25725, CVE-2023-40225 (HAProxy): lengths of names, empty names, empty Content-Length.
 * - CVE-2019-9900, CVE-2023-27493 (Envoy): NUL and CR in values.
 *
 * @see RFC 9112 §6.1, §6.3, §7.1
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Rig, settle } from '../rig.ts';
import { attack, cuts, ReadingOrigin, smuggled, statusesOf } from './attack.ts';

const head = (fields: string, version = '1.1'): string => `POST /attack HTTP/${version}\r\nHost: h\r\n${fields}\r\n\r\n`;
const te = (value: string): string => `${head(`Transfer-Encoding: ${value}`)}0\r\n\r\n`;
const chunks = (text: string): string => head('Transfer-Encoding: chunked') + text;

/** Name, bytes, status. A status of 0: the head went on before the fault was there; what the origin then gets is cut. */
const table: readonly (readonly [cve: string, what: string, input: string, status: number])[] = [
  ['CVE-2026-2835', 'Transfer-Encoding in HTTP/1.0', `${head('Transfer-Encoding: chunked', '1.0')}0\r\n\r\n`, 400],
  ['CVE-2026-2835', 'the same with keep-alive', `${head('Connection: keep-alive\r\nTransfer-Encoding: chunked', '1.0')}0\r\n\r\n`, 400],
  [
    'CVE-2026-2835',
    'Transfer-Encoding and a length in HTTP/1.0',
    `${head('Content-Length: 5\r\nTransfer-Encoding: chunked', '1.0')}0\r\n\r\n`,
    400,
  ],
  ['CVE-2026-2835', 'chunked twice in a list', te('chunked, chunked'), 400],
  ['CVE-2026-2835', 'chunked twice in two lines', te('chunked\r\nTransfer-Encoding: chunked'), 400],
  ['CVE-2026-2835', 'chunked, identity', te('chunked, identity'), 400],
  ['CVE-2026-2835', 'identity, chunked', te('identity, chunked'), 501],
  ['CVE-2026-2835', 'identity', te('identity'), 400],
  ['CVE-2026-2835', 'an empty coding', te(''), 400],
  ['CVE-2026-2835', 'a list with an empty element', te('chunked,'), 400],
  ['CVE-2026-2835', 'gzip, of which only the close would be the end', te('gzip'), 400],
  ['Pingora 945', 'Content-Length and Transfer-Encoding', `${head('Content-Length: 5\r\nTransfer-Encoding: chunked')}0\r\n\r\n`, 400],
  ['Pingora 945', 'the same the other way round', `${head('Transfer-Encoding: chunked\r\nContent-Length: 5')}0\r\n\r\n`, 400],
  ['Pingora 945', 'an invalid length beside Transfer-Encoding', `${head('Content-Length: x\r\nTransfer-Encoding: chunked')}0\r\n\r\n`, 400],
  ['CVE-2024-22019', 'a chunk extension of 16 KiB', chunks(`1;${'x'.repeat(16_384)}\r\na\r\n0\r\n\r\n`), 0],
  ['CVE-2024-22019', '100 KiB of extensions in all', chunks(`${`1;${'x'.repeat(200)}\r\na\r\n`.repeat(500)}0\r\n\r\n`), 0],
  ['CVE-2022-32213', 'Transfer-Encoding: chunkedchunked', te('chunkedchunked'), 400],
  ['CVE-2022-32214', 'LF without CR between fields', `POST /attack HTTP/1.1\r\nHost: h\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['CVE-2022-32215', 'a folded Transfer-Encoding', te('chunked\r\n , identity'), 400],
  ['CVE-2022-32215', 'a folded line that hides the coding', te('\r\n chunked'), 400],
  ['CVE-2023-30589', 'CR without LF before a field', `POST /attack HTTP/1.1\r\nHost: h\r\nX: y\rContent-Length: 5\r\n\r\nhello`, 400],
  ['CVE-2024-27982', 'a blank before Content-Length', `POST /attack HTTP/1.1\r\n Content-Length: 5\r\nHost: h\r\n\r\nhello`, 400],
  ['CVE-2024-27982', 'a blank before the colon', head('Content-Length : 5'), 400],
  ['CVE-2025-23167', 'a head that ends in CR LF CR X', `POST /attack HTTP/1.1\r\nHost: h\r\n\rX`, 400],
  ['CVE-2026-33870', 'a line end in a quoted extension', chunks(`1;a="\r\nb"\r\na\r\n0\r\n\r\n`), 0],
  ['CVE-2026-2332', 'a quoted extension without its end', chunks(`1;a="b\r\na\r\n0\r\n\r\n`), 0],
  ['CVE-2026-89044', 'chunked, xchunked', te('chunked, xchunked'), 400],
  ['CVE-2026-89044', 'xchunked', te('xchunked'), 400],
  ['CVE-2026-89044', 'a coding with a parameter', te('chunked;q=1'), 400],
  ['CVE-2025-43859', 'chunk data that goes on', chunks('5\r\nhelloXX0\r\n\r\n'), 0],
  ['CVE-2025-43859', 'chunk data without its end', chunks('5\r\nhello0\r\n\r\n'), 0],
  ['CVE-2025-22871', 'LF after a chunk size', chunks('5\nhello\r\n0\r\n\r\n'), 0],
  ['CVE-2025-22871', 'LF after chunk data', chunks('5\r\nhello\n0\r\n\r\n'), 0],
  ['CVE-2025-22871', 'LF after the last size', chunks('5\r\nhello\r\n0\n\r\n'), 0],
  ['CVE-2021-40346', 'a name of 257 bytes', head(`${'a'.repeat(257)}: 1\r\nContent-Length: 0`), 431],
  ['CVE-2021-40346', 'a name of 64 KiB', head(`Content-Length0${'a'.repeat(65_536)}: 1`), 431],
  ['CVE-2023-25725', 'an empty name', head(': x\r\nContent-Length: 0'), 400],
  ['CVE-2023-40225', 'an empty Content-Length', head('Content-Length: '), 400],
  ['CVE-2023-40225', 'an empty Content-Length, and one that is not', head('Content-Length:\r\nContent-Length: 5'), 400],
  ['CVE-2019-9900', 'NUL in a value', head('X: a\0b\r\nContent-Length: 0'), 400],
  ['CVE-2023-27493', 'CR in a value', head('X: a\rb\r\nContent-Length: 0'), 400],
  ['chunk sizes', 'a sign', chunks('+5\r\nhello\r\n0\r\n\r\n'), 0],
  ['chunk sizes', '0x', chunks('0x5\r\nhello\r\n0\r\n\r\n'), 0],
  ['chunk sizes', '2^64 + 5', chunks('10000000000000005\r\nhello\r\n0\r\n\r\n'), 0],
];

describe('a request that two servers could read in two ways goes nowhere', () => {
  for (const [cve, what, input, status] of table) {
    for (const [cut, pieces] of Object.entries(cuts)) {
      // What is long only shows a limit: a few pieces will do.
      if (cut === 'byte by byte' && input.length > 3_000) continue;
      test(`${cve}: ${what}; ${cut}`, async () => {
        const origin = new ReadingOrigin();
        const rig = new Rig({ origin: origin.serve });
        const client = await attack(rig, pieces(input + smuggled));
        assert.deepEqual(origin.targets, [], 'no origin gets a whole request');
        assert.doesNotMatch(rig.origins.map((wire) => wire.text).join(), /smuggled/);
        const [got, ...others] = statusesOf(client);
        assert.deepEqual(others, []);
        if (status === 0) assert.ok(got === 400 || got === 413, `${got}`);
        else assert.equal(got, status);
        assert.ok(client.hasEnded, 'the connection ends');
        assert.ok(
          rig.origins.every((wire) => wire.isOver),
          'an origin that has a part of it sees the end of it',
        );
        client.send(smuggled);
        await settle();
        assert.deepEqual(origin.begunTargets.includes('/smuggled'), false);
        await rig.finish(client);
      });
    }
  }
});

describe('CVE-2026-2835: the end of a connection is never the end of a request', () => {
  for (const version of ['1.0', '1.1']) {
    test(`HTTP/${version} without framing fields has no body: what follows is another request`, async () => {
      const origin = new ReadingOrigin();
      const rig = new Rig({ origin: origin.serve });
      const client = await attack(rig, [
        `POST /attack HTTP/${version}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n`,
        'GET /next HTTP/1.1\r\nHost: h\r\n\r\n',
      ]);
      assert.deepEqual(origin.targets, ['/attack', '/next']);
      assert.equal(origin.requests[0]?.framing, 0);
      await rig.finish(client);
    });
  }

  for (const [what, input] of [
    ['by its length', `POST /attack HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello`],
    ['in chunks', chunks('5\r\nhello\r\n')],
    ['in the trailers', chunks('0\r\nX: y\r\n')],
  ] as const) {
    test(`a body that is cut short (${what}) is cut short for the origin too, and its connection is not used again (CVE-2026-33555)`, async () => {
      const origin = new ReadingOrigin();
      const rig = new Rig({ origin: origin.serve });
      const client = await attack(rig, [input]);
      client.end();
      await settle();
      assert.deepEqual(origin.begunTargets, ['/attack']);
      assert.deepEqual(origin.targets, []);
      assert.ok(rig.origins[0]?.wasReset);
      assert.equal(rig.proxy.connector.connectionCount, 0);
      assert.ok(client.isOver);
      await rig.finish(client);
    });
  }
});

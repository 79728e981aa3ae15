/**
 * Responses of which two readers see different ends, at the proxy: an origin, or whoever writes through it, must not make one client's connection
 * carry another answer than its own, nor the next client get what was left.
 *
 * The classes are those of `request-framing.test.ts`, from the other side (RFC 9112 §6.3): before the head went on, 502; after it, a response that
 * is visibly cut; never a connection that is used again. `fault-list-upstream.test.ts` (U12 to U14) has what follows whole responses.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, Rig, readResponse, settle } from '../rig.ts';
import { attack, ReadingOrigin, responsesOf, statusesOf, tell } from './attack.ts';

const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
const te = (value: string): string => `HTTP/1.1 200 OK\r\nTransfer-Encoding: ${value}\r\n\r\n0\r\n\r\n`;
const chunks = (text: string): string => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text}`;

describe('a response that two readers could end in two places', () => {
  for (const [what, response, status] of [
    [
      'Content-Length and Transfer-Encoding (CVE-2026-1525)',
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      502,
    ],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\n', 502],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n', 502],
    ['an empty length (CVE-2023-40225)', 'HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n', 502],
    ['chunked, xchunked (CVE-2026-89044)', te('chunked, xchunked'), 502],
    ['chunked twice', te('chunked\r\nTransfer-Encoding: chunked'), 502],
    ['Transfer-Encoding in HTTP/1.0 (CVE-2026-2835)', te('chunked').replace('1.1', '1.0'), 502],
    ['a folded field (CVE-2022-32215)', te('chunked\r\n , identity'), 502],
    ['a blank before the colon', te('chunked').replace('Encoding:', 'Encoding :'), 502],
    ['NUL in a value (CVE-2019-9900)', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n', 502],
    ['CR in a value (CVE-2023-27493)', 'HTTP/1.1 200 OK\r\nX: a\rContent-Length: 4\r\nContent-Length: 0\r\n\r\n', 502],
    ['a line end in the reason', 'HTTP/1.1 200 OK\nX: y\r\nContent-Length: 0\r\n\r\n', 502],
    ['an empty name (CVE-2023-25725)', 'HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n', 502],
    ['LF after a chunk size (CVE-2025-22871)', chunks('0\n\r\n'), 0],
    ['chunk data that goes on (CVE-2025-43859)', chunks('2\r\nokXX0\r\n\r\n'), 0],
    ['a line end in a quoted extension (CVE-2026-33870)', chunks('0;a="\r\n"\r\n\r\n'), 0],
    ['extensions without bound (CVE-2024-22019)', chunks(`${`1;${'x'.repeat(200)}\r\na\r\n`.repeat(500)}0\r\n\r\n`), 0],
  ] as const) {
    for (const cut of ['whole', 'byte by byte'] as const) {
      if (cut === 'byte by byte' && response.length > 3_000) continue;
      test(`${what}; ${cut}: ${status === 0 ? 'is cut' : status}, and neither its rest nor its connection is used`, async () => {
        const rig = new Rig({
          origin: (wire, index) => {
            let isAnswered = false;
            wire.onText = () => {
              if (isAnswered || !wire.text.includes('\r\n\r\n')) return;
              isAnswered = true;
              if (index > 0) wire.send(tell('mine'));
              else if (cut === 'whole') wire.send(response + evil);
              else for (const byte of response + evil) wire.send(byte);
            };
          },
        });
        const client = await rig.ask(get);
        assert.doesNotMatch(client.text, /evil/);
        const first = readResponse(client.text);
        if (status === 502) assert.equal(first.status, 502);
        else assert.equal(first.isComplete, false);
        assert.equal(rig.proxy.connector.connectionCount, 0);
        assert.equal(rig.last.outcome, 'upstream_error');
        const other = await rig.ask(get);
        assert.deepEqual(
          responsesOf(other).map(({ body }) => body),
          ['mine'],
        );
        await rig.finish(client, other);
      });
    }
  }

  test('a trailer section cannot frame, route, or set what the head did not (RFC 9110 §6.5.1)', async () => {
    const forbidden = 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nSet-Cookie: a=b\r\nHost: evil\r\n';
    const rig = new Rig({ origin: new ReadingOrigin(() => chunks(`2\r\nok\r\n0\r\n${forbidden}X-Sum: 1\r\n\r\n`)).serve });
    const client = await rig.ask(get);
    const [response] = responsesOf(client);
    assert.deepEqual(response?.trailers, [['X-Sum', '1']]);
    client.send(get);
    await settle();
    assert.deepEqual(statusesOf(client), [200, 200]);
    await rig.finish(client);
  });
});

describe('what an origin says to 1xx, 204, 304 and HEAD has no body, whatever framing it claims (RFC 9112 §6.3)', () => {
  for (const [what, method, response, chunkedAnswers] of [
    // What GET would have had: clients that read of no framing at all drop the connection.
    ['HEAD, chunked', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 2],
    ['HEAD, with neither', 'HEAD', 'HTTP/1.1 200 OK\r\n\r\n', 2],
    ['HEAD, with a length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', 0],
    ['304, chunked', 'GET', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', 0],
    ['304, with a length', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n', 0],
  ] as const) {
    test(`${what}: the answer is whole without one, and both connections go on`, async () => {
      const origin = new ReadingOrigin(() => response);
      const rig = new Rig({ origin: origin.serve });
      const ask = `${method} / HTTP/1.1\r\nHost: h\r\n\r\n`;
      const client = await attack(rig, [ask, ask]);
      assert.deepEqual(statusesOf(client, [method, method]).length, 2);
      assert.equal(rig.origins.length, 1);
      assert.equal(client.text.match(/transfer-encoding: chunked/gi)?.length ?? 0, chunkedAnswers);
      await rig.finish(client);
    });
  }

  for (const [what, response] of [
    ['204 with a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil'],
    ['204, chunked', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
    ['103 with a length', `HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nevil${tell('ok')}`],
    ['100, chunked', `HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n${tell('ok')}`],
  ] as const) {
    test(`${what}: no byte of it reaches a client as a body, a response or a part of one`, async () => {
      const rig = new Rig({ origin: new ReadingOrigin(() => response).serve });
      const client = await rig.ask(get);
      assert.doesNotMatch(client.text, /evil/);
      assert.equal(rig.proxy.connector.connectionCount, 0, 'the connection is not used again');
      client.send(get);
      await settle();
      assert.doesNotMatch(client.text, /evil/);
      await rig.finish(client);
    });
  }
});

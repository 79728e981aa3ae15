/** The two builds of llhttp as oracles, by hand: one shape, the same answers, and where they part. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { latin1Encode } from '@ferrata/bytes';
import { type Http1Oracle, LlhttpOracle, NodeParserOracle, type OracleOptions, type OracleResult } from '../../src/index.ts';

const oracles: Readonly<Record<string, Http1Oracle>> = { LlhttpOracle: new LlhttpOracle(), NodeParserOracle: new NodeParserOracle() };
const head = 'GET / HTTP/1.1\r\nHost: a\r\n';

for (const [name, oracle] of Object.entries(oracles)) {
  const parse = (text: string, options: Partial<OracleOptions> = {}): OracleResult =>
    oracle.parse(latin1Encode(text), { kind: 'request', ...options });

  describe(name, () => {
    test('tells all of a pipelined, chunked request with trailers (RFC 9112 §7.1)', () => {
      const { messages, error } = parse(
        `\r\n${head}\r\nPOST /x?y HTTP/1.1\r\nHost:\ta\r\nX:  b \r\nEmpty:\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n` +
          '2;e=1\r\n\x00\xff\r\n0\r\nX-Sum: 1 \r\nEmpty:\r\n\r\n',
      );
      assert.equal(error, null);
      assert.deepEqual(messages, [
        { start: 'GET', rest: '/', version: '1.1', fields: ['Host: a'], trailers: [], body: '', keepAlive: true, isComplete: true },
        {
          start: 'POST',
          rest: '/x?y',
          version: '1.1',
          fields: ['Host: a', 'X: b', 'Empty: ', 'Transfer-Encoding: chunked', 'Connection: close'],
          trailers: ['X-Sum: 1', 'Empty: '],
          body: '\x00\xff',
          keepAlive: false,
          isComplete: true,
        },
      ]);
    });

    test('keeps the order of more fields than Node tells at once, target included', () => {
      const lines = Array.from({ length: 100 }, (_, index) => `X-${index}: ${'v'.repeat(index)}`);
      const { messages, error } = parse(`GET /long/${'t'.repeat(2_000)} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${head}\r\n`);
      assert.equal(error, null);
      assert.deepEqual(messages[0]?.fields, lines);
      assert.equal(messages[0]?.rest.length, 2_006);
      assert.deepEqual([messages.length, messages[1]?.fields, messages[1]?.rest], [2, ['Host: a'], '/']);
    });

    test('has no opinion on limits', () => {
      assert.equal(parse(`${head}X: ${'a'.repeat(30_000)}\r\n\r\n`).error, null);
    });

    test('goes on behind an upgrade and behind CONNECT', () => {
      const { messages, error } = parse(
        `${head}Connection: upgrade\r\nUpgrade: x\r\n\r\nCONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n${head}\r\n`,
      );
      assert.equal(error, null);
      assert.deepEqual(
        messages.map(({ start, isComplete }) => [start, isComplete]),
        [
          ['GET', true],
          ['CONNECT', true],
          ['GET', true],
        ],
      );
    });

    test('an incomplete message has what came of it', () => {
      const { messages, error } = parse('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel');
      assert.equal(error, null);
      assert.deepEqual([messages[0]?.body, messages[0]?.isComplete], ['hel', false]);
      assert.notEqual(parse('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel', { isEnded: true }).error, null);
    });

    test('names the error that ends it', () => {
      for (const [text, error] of [
        [`${head} folded\r\n\r\n`, 'INVALID_HEADER_TOKEN'],
        ['BREW / HTTP/1.1\r\n\r\n', 'INVALID_METHOD'],
        [`${head}Content-Length: x\r\n\r\n`, 'INVALID_CONTENT_LENGTH'],
        [`${head}Transfer-Encoding: chunked\r\n\r\nx`, 'INVALID_CHUNK_SIZE'],
      ] as const) {
        assert.equal(parse(text).error, error);
      }
    });

    test('reads responses, interim ones and those without a body, by the index of their request (RFC 9112 §6.3)', () => {
      const { messages, error } = parse(
        'HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.0 404 \r\n\r\nto the end',
        { kind: 'response', isBodyless: (index) => index === 0, isEnded: true },
      );
      assert.equal(error, null);
      assert.deepEqual(
        messages.map(({ start, rest, version, body, isComplete }) => [start, rest, version, body, isComplete]),
        [
          ['103', 'Early', '1.1', '', true],
          ['200', 'OK', '1.1', '', true],
          ['404', '', '1.0', 'to the end', true],
        ],
      );
    });

    test('begins anew with each input', () => {
      parse(`${head}X: a\r\nContent-Length: 9\r\n\r\nabc`);
      assert.deepEqual(parse(`${head}\r\n`).messages[0]?.fields, ['Host: a']);
    });
  });
}

test('LlhttpOracle refuses inputs longer than it was made for', () => {
  assert.throws(() => new LlhttpOracle(10).parse(new Uint8Array(11), { kind: 'request' }), RangeError);
});

test('NodeParserOracle cannot name an error in a body that was sent along with an upgrade', () => {
  const text = `${head}Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\nx`;
  assert.equal(oracles['NodeParserOracle']?.parse(latin1Encode(text), { kind: 'request' }).error, 'UNKNOWN');
  assert.equal(oracles['LlhttpOracle']?.parse(latin1Encode(text), { kind: 'request' }).error, 'INVALID_CHUNK_SIZE');
});

test('NodeParserOracle gives back the memory of each parse, refused or not', () => {
  const file = fileURLToPath(new URL('fixtures/parse-often.ts', import.meta.url));
  // A small young generation, so that what grows is not the heap's own room.
  const output = execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--expose-gc', '--max-semi-space-size=1', file], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  // Left open, 20 000 parsers hold some 140 MB.
  assert.ok(Number(output) < 50_000_000, `grown by ${output.trim()} bytes`);
});

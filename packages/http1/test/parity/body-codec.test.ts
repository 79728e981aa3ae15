/** The framing of bodies, read and written, numbered as in docs/parity.md (#194 to #210). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderMap } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import { bytesOf, cutAt, type Decoded, type DecodedRequest, decodeRequests, decodeResponses, everyByte } from '../decoding.ts';
import { bytes, response, ServerTwin } from '../machines.ts';

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\n';
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

/** What is read of a chunked body with its head, in one read, cut anywhere, and a byte at a time: always the same. */
function readChunked(body: string, ends = false): Decoded<DecodedRequest> {
  const input = bytesOf(`${CHUNKED}${body}`);
  const whole = decodeRequests([input], { ends });
  const cuts = [everyByte(input)];
  for (let cut = CHUNKED.length; cut < Math.min(input.length, CHUNKED.length + 100); cut++) cuts.push(cutAt(input, [cut]));
  for (const chunks of cuts) {
    const { messages, reason } = decodeRequests(chunks, { ends });
    assert.equal(reason, whole.reason);
    assert.deepEqual(messages, whole.messages);
  }
  return whole;
}

function assertBody(body: string, expected: string): void {
  const { messages, reason } = readChunked(body);
  assert.equal(reason, null);
  assert.deepEqual([messages[0]?.body, messages[0]?.isComplete], [expected, true]);
}

function assertRefused(body: string, expected: string, ends = false): void {
  const { messages, reason } = readChunked(body, ends);
  assert.equal(reason, expected, JSON.stringify(body));
  assert.equal(messages[0]?.isComplete, false);
}

describe('parity: bodies that are read', () => {
  it('#194 by length: in one read or two, cut short, and with more behind it, which is the next message', () => {
    const input = `${HEAD}Content-Length: 3\r\n\r\nabc`;
    for (let cut = 0; cut <= input.length; cut++) {
      assert.equal(decodeRequests(cutAt(bytesOf(input), [cut])).messages[0]?.body, 'abc');
    }
    const short = decodeRequests(input.slice(0, -1), { ends: true });
    assert.deepEqual([short.reason, short.messages[0]?.body, short.messages[0]?.isComplete], ['H1_TRUNCATED_BODY', 'ab', false]);
    const long = decodeRequests(`${input}${HEAD}Content-Length: 2\r\n\r\nde`);
    assert.deepEqual(
      long.messages.map(({ body, isComplete }) => [body, isComplete]),
      [
        ['abc', true],
        ['de', true],
      ],
    );
  });

  it('#195 to the end of the connection: with bytes in the read of the head, and without', () => {
    const head = 'HTTP/1.1 200 OK\r\n\r\n';
    for (const chunks of [
      [`${head}ab`, 'c'],
      [head, 'abc'],
      [head, 'a', 'b', 'c'],
    ]) {
      const { messages, reason } = decodeResponses(chunks.map(bytesOf), { ends: true });
      assert.deepEqual([messages[0]?.body, messages[0]?.isComplete, reason], ['abc', true, null]);
    }
    const { messages } = decodeResponses(head, { ends: true });
    assert.deepEqual([messages[0]?.body, messages[0]?.isComplete], ['', true]);
  });

  it('#196 in chunks, empty: wherever it is cut', () => {
    assertBody('0\r\n\r\n', '');
  });

  it('#197 in chunks, empty: with a wrong end', () => {
    assertRefused('0\r\nab', 'H1_TRUNCATED_BODY', true);
    assertRefused('0\r\n\rb', 'H1_BARE_CR');
    assertRefused('0\r\n\n', 'H1_BARE_LF');
  });

  it('#198 in chunks: extensions are read up to their limits, of a line and of a body', () => {
    assertBody('1;abc\r\na\r\n0;x="y"\r\n\r\n', 'a');
    assertRefused(`1;${'x'.repeat(300)}\r\na\r\n0\r\n\r\n`, 'H1_CHUNK_LINE_TOO_LONG');
    // Up to 8 KiB, where that is the limit.
    const options = { maxChunkLineBytes: 8_200, maxChunkExtensionBytes: 8_192 };
    for (const [length, expected] of [
      [8_191, null],
      [8_192, 'H1_CHUNK_EXTENSIONS_TOO_LARGE'],
    ] as const) {
      const { reason } = decodeRequests(`${CHUNKED}1;${'x'.repeat(length)}\r\na\r\n0\r\n\r\n`, { options });
      assert.equal(reason, expected);
    }
    const lines = `1;${'x'.repeat(200)}\r\na\r\n`.repeat(100);
    assert.equal(decodeRequests(`${CHUNKED}${lines}0\r\n\r\n`).reason, 'H1_CHUNK_EXTENSIONS_TOO_LARGE');
  });

  it('#199 in chunks, one: wherever it is cut, cut short, or with a wrong end', () => {
    assertBody('1\r\na\r\n0\r\n\r\n', 'a');
    assertRefused('1\r\na\r\n', 'H1_TRUNCATED_BODY', true);
    assertRefused('1\r\na', 'H1_TRUNCATED_BODY', true);
    assertRefused('1\r\nabc', 'H1_CHUNK_END_MISSING');
    assertRefused('1\r\na\rc', 'H1_CHUNK_END_MISSING');
  });

  it('#200 in chunks, several: wherever they are cut, cut short, or with a wrong end of any', () => {
    assertBody('1\r\na\r\n2\r\nbc\r\n0\r\n\r\n', 'abc');
    assertRefused('1\r\nax\r\n2\r\nbc\r\n0\r\n\r\n', 'H1_CHUNK_END_MISSING');
    assertRefused('1\r\na\r\n2\r\nbcx\r\n0\r\n\r\n', 'H1_CHUNK_END_MISSING');
    assertRefused('1\r\na\r\n2\r\n', 'H1_TRUNCATED_BODY', true);
    assertRefused('1\r\na\r\n2\r\nb', 'H1_TRUNCATED_BODY', true);
  });

  it('#201 in chunks: the last line end may be cut anywhere, may not be wrong, and what follows is none of the body', () => {
    assertBody('1\r\na\r\n0\r\n\r\n', 'a');
    assertRefused('1\r\na\r\n0\r\n\rx', 'H1_BARE_CR');
    const { messages, buffered } = decodeRequests(`${CHUNKED}1\r\na\r\n0\r\n\r\nGET`);
    assert.deepEqual([messages.length, messages[0]?.isComplete], [1, true]);
    assert.equal(buffered, 3);
  });

  it('#202 in chunks: trailers are given, wherever they are cut; wrong ends and too many bytes are refused', () => {
    const trailers = 'a: 1\r\nbc: 2\r\nd: 345\r\n';
    const { messages, reason } = readChunked(`1\r\nx\r\n0\r\n${trailers}\r\n`);
    assert.equal(reason, null);
    assert.deepEqual(messages[0]?.trailers, [
      ['a', '1'],
      ['bc', '2'],
      ['d', '345'],
    ]);
    assertRefused('0\r\na: 1\rb: 2\r\n\r\n', 'H1_BARE_CR');
    assertRefused('0\r\na: 1\r\n', 'H1_TRUNCATED_BODY', true);
    assertRefused('0\r\na: 1\r\nxx\r\n', 'H1_FIELD_COLON_MISSING');
    const long = `${'a: '.padEnd(4_000, 'x')}\r\n`;
    assert.equal(decodeRequests(`${CHUNKED}0\r\n${long.repeat(3)}\r\n`).reason, 'H1_TRAILERS_TOO_LARGE');
  });
});

describe('parity: bodies that are written', () => {
  function open(bodyLength: number, head = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'): ServerTwin {
    const twin = new ServerTwin();
    twin.feed(head);
    twin.machine.sendHead(response(200), bodyLength);
    twin.output();
    return twin;
  }

  it('#203 by length: what is too much is a mistake of the caller, of which nothing is sent', () => {
    const exact = open(3);
    exact.machine.sendData(bytes('abc'));
    exact.machine.sendEnd();
    assert.equal(exact.output(), 'abc');
    const long = open(3);
    long.machine.sendData(bytes('ab'));
    assert.throws(() => long.machine.sendData(bytes('cd')), RangeError);
    assert.equal(long.output(), 'ab');
    assert.equal(long.machine.shouldClose, true);
  });

  it('#204 in chunks: sizes are hexadecimal, in small letters, and the last chunk comes with the end', () => {
    const twin = open(BodyLength.chunked);
    twin.machine.sendData(new Uint8Array(0xab));
    assert.match(twin.output(), /^ab\r\n\0{171}\r\n$/);
    twin.machine.sendEnd(HeaderMap.from({ 'X-Sum': '1' }));
    assert.equal(twin.output(), '0\r\nX-Sum: 1\r\n\r\n');
  });

  it('#205 to the end of the connection: bytes as they are, and no end but that', () => {
    const twin = open(BodyLength.untilClose, 'GET / HTTP/1.0\r\n\r\n');
    twin.machine.sendData(bytes('abc'));
    twin.machine.sendEnd();
    assert.equal(twin.output(), 'abc');
    assert.equal(twin.machine.shouldClose, true);
  });

  it('#206 a machine tells how much waits to be written', () => {
    const twin = open(3);
    assert.equal(twin.machine.outputBytes, 0);
    twin.machine.sendData(bytes('ab'));
    assert.equal(twin.machine.outputBytes, 2);
    twin.output();
    assert.equal(twin.machine.outputBytes, 0);
  });

  it('#210 by length: pieces count together, over several turns', () => {
    const twin = open(6);
    for (const piece of ['ab', 'c', '', 'def']) {
      twin.machine.sendData(bytes(piece));
      assert.equal(twin.output(), piece);
    }
    twin.machine.sendEnd();
    assert.equal(twin.machine.shouldClose, false);
    const short = open(6);
    short.machine.sendData(bytes('abc'));
    short.output();
    assert.throws(() => short.machine.sendEnd(), RangeError);
  });
});

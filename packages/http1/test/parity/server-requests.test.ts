/** What a server makes of requests, numbered as in docs/parity.md (#120 to #139). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isWireError } from '@ferrata/error';
import { BodyLength, RequestDecoder } from '@ferrata/http1';
import { bytesOf, cutAt, type Decoded, type DecodedRequest, decodeRequests } from '../decoding.ts';
import { ServerTwin, text } from '../machines.ts';

const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';

/** The only message of a run that went well. */
function only({ messages, reason }: Decoded<DecodedRequest>): DecodedRequest {
  assert.equal(reason, null);
  assert.equal(messages.length, 1);
  return messages[0] as DecodedRequest;
}

describe('parity: heads of requests', () => {
  it('#120 the smallest request is a line and an empty one: in HTTP/1.1 where missingHost lets it in, else it is refused', () => {
    for (const [head, options] of [
      ['GET / HTTP/1.1\r\n\r\n', { leniency: { missingHost: true } }],
      ['GET / HTTP/1.0\r\n\r\n', {}],
    ] as const) {
      const decoder = new RequestDecoder(options);
      decoder.feed(bytesOf(head));
      assert.ok(decoder.next());
      assert.equal(decoder.headBytes, head.length);
      assert.equal(decoder.head.headers.size, 0);
    }
    assert.equal(decodeRequests('GET / HTTP/1.1\r\n\r\n').reason, 'H1_HOST_MISSING');
  });

  it('#121 a head that comes in two reads is one head', () => {
    const input = 'GET /path HTTP/1.1\r\nHost: example.com\r\nFoo: Bar\r\n\r\n';
    for (let cut = 1; cut < input.length; cut++) {
      const { method, target, version, headers } = only(decodeRequests(cutAt(bytesOf(input), [cut])));
      assert.deepEqual([method, target, version], ['GET', '/path', 11]);
      assert.deepEqual(headers, [
        ['Host', 'example.com'],
        ['Foo', 'Bar'],
      ]);
      const decoder = new RequestDecoder();
      decoder.feed(bytesOf(input.slice(0, cut)));
      assert.equal(decoder.next(), false);
      assert.equal(decoder.bufferedBytes, cut, 'what came is kept');
      decoder.feed(bytesOf(input.slice(cut)));
      assert.ok(decoder.next());
      assert.equal(decoder.headBytes, input.length);
    }
  });

  it('#122 control bytes in a target are refused; bytes over 0x7F come percent-encoded, and only where they are let in', () => {
    const options = { leniency: { nonAsciiTarget: true } };
    const reasonOf = (target: string, run = {}): string | null => decodeRequests(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, run).reason;
    assert.equal(reasonOf('/\x01'), 'H1_CONTROL_BYTE');
    assert.equal(reasonOf('/\x01', { options }), 'H1_CONTROL_BYTE');
    assert.equal(reasonOf('/\xf0\x9f'), 'H1_TARGET_INVALID');
    assert.equal(only(decodeRequests('GET /\xf0\x9f HTTP/1.1\r\nHost: a\r\n\r\n', { options })).target, '/%F0%9F');
  });

  it('#123 another protocol is refused at the byte that shows it', () => {
    const decoder = new RequestDecoder();
    decoder.feed(bytesOf('GET / HTP'));
    assert.throws(
      () => decoder.next(),
      (error) => isWireError(error) && error.reason === 'H1_VERSION_INVALID' && error.status === 400,
    );
    decoder.feed(bytesOf('/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    assert.throws(() => decoder.next(), /H1_VERSION_INVALID/, 'the rest is not read');
    assert.throws(() => decoder.head, TypeError);
    assert.equal(decoder.bufferedBytes, 0);
  });

  it('#124 CR CR LF within a head is refused', () => {
    assert.equal(decodeRequests('GET / HTTP/1.1\r\nHost: a\r\r\nFoo: Bar\r\n\r\n').reason, 'H1_BARE_CR');
    assert.equal(decodeRequests('GET / HTTP/1.1\r\nHost: a\r\n\r\r\n').reason, 'H1_BARE_CR');
  });

  it('#125 no request line is mended: a blank or nothing for a target is refused, quotes and angle brackets stay as they came', () => {
    assert.equal(decodeRequests('GET /?a b HTTP/1.1\r\nHost: a\r\n\r\n').reason, 'H1_VERSION_INVALID');
    assert.equal(decodeRequests('GET  HTTP/1.1\r\nHost: a\r\n\r\n').reason, 'H1_TARGET_EMPTY');
    assert.equal(only(decodeRequests('GET /?a="<b>" HTTP/1.1\r\nHost: a\r\n\r\n')).target, '/?a="<b>"');
  });

  it('#126 a head has its time, and waits on where there is none', () => {
    const timely = new ServerTwin({ headTimeoutMs: 1_000 });
    timely.feed('GET / HT');
    assert.equal(timely.machine.nextTimeout(), 1_000);
    assert.equal(timely.machine.handleTimeout(1_000)?.reason, 'H1_HEAD_TIMEOUT');
    const patient = new ServerTwin({ headTimeoutMs: Number.POSITIVE_INFINITY });
    patient.feed('GET / HT');
    assert.equal(patient.machine.handleTimeout(1e12), null);
    assert.deepEqual(patient.feed('TP/1.1\r\nHost: a\r\n\r\n'), ['GET /', 'end']);
  });
});

describe('parity: bodies of requests', () => {
  it('#127 a body by length may come in a read of its own', () => {
    const { body, isComplete } = only(decodeRequests([bytesOf(`${POST}Content-Length: 3\r\n\r\n`), bytesOf('abc')]));
    assert.deepEqual([body, isComplete], ['abc', true]);
  });

  it('#128 a body by length may come with its head', () => {
    const { body, isComplete } = only(decodeRequests(`${POST}Content-Length: 3\r\n\r\nabc`));
    assert.deepEqual([body, isComplete], ['abc', true]);
  });

  it('#129 without a length there is no body, whatever follows; the rest is kept apart', () => {
    for (const [version, isFollowed] of [
      ['1.0', false],
      ['1.1', true],
    ] as const) {
      const input = `POST / HTTP/${version}\r\nHost: a\r\n\r\n`;
      const { bodyLength, body, isComplete } = only(decodeRequests(input, { ends: true }));
      assert.deepEqual([bodyLength, body, isComplete], [0, '', true]);
      const twin = new ServerTwin();
      assert.deepEqual(twin.feed(`${input}abc`), ['POST /', 'end']);
      assert.equal(twin.machine.isRequestDone, true);
      assert.equal(twin.machine.bufferedBytes, 3);
      twin.answer();
      assert.equal(twin.machine.shouldClose, !isFollowed);
    }
  });

  it('#130 HTTP/1.0 may have a body by length', () => {
    assert.equal(only(decodeRequests('POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc')).body, 'abc');
  });

  it('#131 the last chunk without the end of its section is no end', () => {
    const { messages, reason } = decodeRequests(`${POST}Transfer-Encoding: chunked\r\n\r\n0\r\n`, { ends: true });
    assert.equal(reason, 'H1_TRUNCATED_BODY');
    assert.deepEqual([messages[0]?.body, messages[0]?.isComplete], ['', false]);
  });

  it('#132 the last chunk with anything else behind it is no end', () => {
    for (const [junk, expected] of [
      ['abc', 'H1_TRUNCATED_BODY'],
      ['\n', 'H1_BARE_LF'],
      ['\rx', 'H1_BARE_CR'],
      ['abc\r\n\r\n', 'H1_FIELD_COLON_MISSING'],
    ] as const) {
      const { messages, reason } = decodeRequests(`${POST}Transfer-Encoding: chunked\r\n\r\n0\r\n${junk}`, { ends: true });
      assert.equal(reason, expected);
      assert.equal(messages[0]?.isComplete, false);
    }
  });

  it('#133 a chunk may come with the head', () => {
    const { body, isComplete } = only(decodeRequests(`${POST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`));
    assert.deepEqual([body, isComplete], ['a', true]);
  });

  it('#134 what follows the last chunk is kept, and is none of the body', () => {
    const decoder = new RequestDecoder();
    decoder.feed(bytesOf(`${POST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nabc`));
    let pieces = '';
    for (let event = 0; event < 3; event++) {
      assert.ok(decoder.next());
      if (event === 1) pieces += text(decoder.data);
    }
    assert.equal(pieces, 'a');
    assert.equal(text(decoder.takeRemaining()), 'abc');
  });

  it('#135 Transfer-Encoding beside Content-Length is refused, in any letter case; one of them is fine', () => {
    for (const [length, coding] of [
      ['Content-Length', 'Transfer-Encoding'],
      ['content-length', 'transfer-encoding'],
      ['CONTENT-LENGTH', 'TRANSFER-ENCODING'],
    ]) {
      const twice = decodeRequests(`${POST}${length}: 4\r\n${coding}: chunked\r\n\r\n0\r\n\r\n`);
      assert.deepEqual([twice.reason, twice.status], ['H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING', 400]);
      assert.equal(only(decodeRequests(`${POST}${length}: 4\r\n\r\n0\r\n\r`)).bodyLength, 4);
      assert.equal(only(decodeRequests(`${POST}${coding}: chunked\r\n\r\n0\r\n\r\n`)).bodyLength, BodyLength.chunked);
    }
  });

  it('#136 a Content-Length is a number', () => {
    for (const wrong of ['-1', 'abc', '1.5', '', '  ', '12abc', '1 2']) {
      assert.equal(decodeRequests(`${POST}Content-Length: ${wrong}\r\n\r\n`).reason, 'H1_CONTENT_LENGTH_INVALID', wrong);
    }
    for (const length of [0, 123, 999_999]) {
      const { messages, reason } = decodeRequests(`${POST}Content-Length: ${length}\r\n\r\n`);
      assert.deepEqual([messages[0]?.bodyLength, reason], [length, null]);
    }
    assert.equal(only(decodeRequests(`${POST}\r\n`)).bodyLength, 0);
  });

  it('#137 HTTP/1.0 has no Transfer-Encoding, and the error says so', () => {
    const decoder = new RequestDecoder();
    decoder.feed(bytesOf('POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n'));
    assert.throws(() => decoder.next(), /H1_TRANSFER_ENCODING_IN_HTTP10.*Transfer-Encoding/);
    assert.equal(only(decodeRequests(`${POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`)).isComplete, true);
    assert.equal(only(decodeRequests('POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\na')).body, 'a');
  });

  it('#138 a second line of Transfer-Encoding is refused, wherever chunked stands', () => {
    for (const [first, second] of [
      ['gzip', 'chunked'],
      ['chunked', 'chunked'],
      ['chunked', 'gzip'],
    ]) {
      const lines = `Transfer-Encoding: ${first}\r\nTransfer-Encoding: ${second}\r\n\r\n`;
      assert.equal(decodeRequests(`${POST}${lines}`).reason, 'H1_TRANSFER_ENCODING_REPEATED');
      assert.equal(decodeRequests(`${POST}Content-Length: 1\r\n${lines}`).status, 400);
    }
  });

  it('#139 a body has its time, and waits on where there is none', () => {
    const timely = new ServerTwin({ bodyTimeoutMs: 1_000 });
    assert.deepEqual(timely.feed(`${POST}Content-Length: 3\r\n\r\n`), ['POST /']);
    assert.equal(timely.machine.handleTimeout(1_000)?.reason, 'H1_BODY_TIMEOUT');
    const patient = new ServerTwin({ bodyTimeoutMs: Number.POSITIVE_INFINITY, minBodyBytesPerSecond: 0 });
    patient.feed(`${POST}Content-Length: 3\r\n\r\n`);
    assert.equal(patient.machine.handleTimeout(1e12), null);
    patient.now = 1e12;
    assert.deepEqual(patient.feed('abc'), ['data abc', 'end']);
  });
});

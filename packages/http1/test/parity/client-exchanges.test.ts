/** What a client makes of responses, and how it writes requests, numbered as in docs/parity.md (#171 to #193). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderMap, HttpVersion } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import { bytesOf, cutAt, type DecodedResponse, decodeResponses, type ResponseRun } from '../decoding.ts';
import { bytes, ClientTwin, request, text } from '../machines.ts';

/** The only response of a run that went well. */
function only(input: string | readonly Uint8Array[], run: ResponseRun = {}): DecodedResponse {
  const { messages, reason } = decodeResponses(input, run);
  assert.equal(reason, null);
  assert.equal(messages.length, 1);
  return messages[0] as DecodedResponse;
}

/** A client whose GET is out, or what is given. */
function asked(method = 'GET', upgrade: string | null = null): ClientTwin {
  const twin = new ClientTwin();
  twin.send(method, { Host: 'a' }, 0, upgrade);
  return twin;
}

const OK = 'HTTP/1.1 200 OK\r\n';

describe('parity: responses to a client connection', () => {
  it('#171 a response is read whole or in two pieces, with a reason of its own; another protocol is refused', () => {
    const input = 'HTTP/1.1 200 Just Fine\r\nContent-Length: 0\r\n\r\n';
    for (let cut = 0; cut < input.length; cut++) {
      const { status, reason, isComplete } = only(cutAt(bytesOf(input), [cut]));
      assert.deepEqual([status, reason, isComplete], [200, 'Just Fine', true]);
    }
    const { reason, status } = decodeResponses('HTP/1.1 200 OK\r\n\r\n');
    assert.deepEqual([reason, status], ['H1_VERSION_INVALID', 502]);
  });

  it('#172 a body without a length ends with the connection', () => {
    const { bodyLength, body, isComplete } = only(`${OK}\r\nabc`, { ends: true });
    assert.deepEqual([bodyLength, body, isComplete], [BodyLength.untilClose, 'abc', true]);
    assert.equal(decodeResponses(`${OK}\r\nabc`).messages[0]?.isComplete, false);
  });

  it('#173 what is given as body is the payload alone, however it is framed and whatever stands around it', () => {
    for (const [input, ends, payload] of [
      [`${OK}Content-Length: 3\r\n\r\nabc`, false, 'abc'],
      [`${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`, false, 'abc'],
      [`${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nx: y\r\n\r\n`, false, 'abc'],
      [`${OK}\r\nabc`, true, 'abc'],
      [`HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 3\r\n\r\nabc`, false, 'abc'],
      [`${OK}Content-Length: 3\r\n\r\nabcdef`, false, 'abc'],
    ] as const) {
      const { messages } = decodeResponses(input, { ends });
      assert.equal(messages.map(({ body }) => body).join(''), payload);
      assert.equal(messages.at(-1)?.isComplete, true);
    }
  });

  it('#174 a byte beyond the length is no part of the body, and the connection is not used again', () => {
    const twin = asked();
    assert.throws(() => twin.feed(`${OK}Content-Length: 3\r\n\r\nabcd`), /H1_UNEXPECTED_BYTES/);
    assert.equal(twin.machine.isReusable, false);
    const later = asked();
    assert.deepEqual(later.feed(`${OK}Content-Length: 3\r\n\r\nabc`), ['200', 'data abc', 'end']);
    later.machine.receive(bytes('d'), 0);
    assert.equal(later.machine.isReusable, false);
  });

  it('#175 a blank before a colon is refused, or removed where it is let in', () => {
    const input = `${OK}Foo : bar\r\nContent-Length: 0\r\n\r\n`;
    assert.equal(decodeResponses(input).reason, 'H1_FIELD_NAME_BLANK');
    const { headers } = only(input, { options: { leniency: { blankBeforeColon: true } } });
    assert.deepEqual(headers[0], ['Foo', 'bar']);
  });

  it('#176 a name with a byte over 0x7F is refused', () => {
    assert.equal(decodeResponses(`${OK}F\xf6o: bar\r\n\r\n`).reason, 'H1_FIELD_NAME_INVALID');
  });

  it('#177 a line without a name is refused', () => {
    assert.equal(decodeResponses(`${OK};\r\nContent-Length: 0\r\n\r\n`).reason, 'H1_FIELD_NAME_INVALID');
    assert.equal(decodeResponses(`${OK}x\r\nContent-Length: 0\r\n\r\n`).reason, 'H1_FIELD_COLON_MISSING');
    assert.equal(decodeResponses(`${OK}: x\r\n\r\n`).reason, 'H1_FIELD_NAME_EMPTY');
  });

  it('#178 a folded line is refused, or joined by one blank where it is let in', () => {
    const input = `${OK}Foo: bar\r\n  \tbaz\r\nContent-Length: 0\r\n\r\n`;
    assert.equal(decodeResponses(input).reason, 'H1_FIELD_FOLDED');
    const { headers } = only(input, { options: { leniency: { foldedFields: true } } });
    assert.deepEqual(headers[0], ['Foo', 'bar baz']);
  });

  it('#180 a length that is no number is refused, or the body goes to the end where invalidContentLength says so; beside Transfer-Encoding any goes where that is let in', () => {
    const lenient = { leniency: { invalidContentLength: true } };
    for (const wrong of ['-1', 'abc', '1.5', '', '  ', '12abc']) {
      const input = `${OK}Content-Length: ${wrong}\r\n\r\nabc`;
      const { reason, status } = decodeResponses(input, { ends: true });
      assert.deepEqual([reason, status], ['H1_CONTENT_LENGTH_INVALID', 502], wrong);
      const { bodyLength, body, headers, keepAlive, isComplete } = only(input, { ends: true, options: lenient });
      assert.deepEqual([bodyLength, body, headers, keepAlive, isComplete], [BodyLength.untilClose, 'abc', [], false, true], wrong);
    }
    for (const options of [{}, lenient]) {
      for (const length of [0, 123, 999_999]) {
        const { messages, reason } = decodeResponses(`${OK}Content-Length: ${length}\r\n\r\n`, { options });
        assert.deepEqual([messages[0]?.bodyLength, reason], [length, null]);
      }
      assert.equal(only(`${OK}\r\nabc`, { ends: true, options }).bodyLength, BodyLength.untilClose);
    }
    const options = { leniency: { contentLengthWithTransferEncoding: true } };
    for (const length of ['3', 'abc']) {
      const both = `${OK}Content-Length: ${length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
      assert.equal(decodeResponses(both).reason, 'H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING');
      const { bodyLength, headers, keepAlive } = only(both, { options });
      assert.deepEqual([bodyLength, keepAlive], [BodyLength.chunked, false]);
      assert.deepEqual(headers, [['Transfer-Encoding', 'chunked']]);
    }
  });

  it('#182 an interim response comes before the final one and is not final', () => {
    assert.deepEqual(asked().feed('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n'), ['interim 100', '204', 'end']);
    const apart = asked();
    assert.deepEqual(apart.feed('HTTP/1.1 100 Continue\r\n\r\n'), ['interim 100']);
    assert.equal(apart.machine.isBusy, true);
    assert.deepEqual(apart.feed('HTTP/1.1 204 No Content\r\n\r\n'), ['204', 'end']);
  });

  it('#183 100 and 200 in one read, then the body', () => {
    const twin = asked();
    assert.deepEqual(twin.feed(`HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 3\r\n\r\n`), ['interim 100', '200']);
    assert.deepEqual(twin.feed('abc'), ['data abc', 'end']);
  });

  it('#184 several interim responses and the final one in one read', () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
    assert.deepEqual(asked().feed(`${interim}HTTP/1.1 204 No Content\r\n\r\n`), ['interim 100', 'interim 103', '204', 'end']);
  });

  it('#185 after an interim response and a body by length the connection takes another request', () => {
    const twin = asked();
    twin.feed(`HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 3\r\n\r\nabc`);
    assert.equal(twin.machine.isReusable, true);
    assert.match(twin.send(), /^GET \/ /);
  });

  it('#186 an answer to HEAD, and 204 and 304, have no body and keep the connection; 101 that nobody asked for is an error', () => {
    for (const [method, interim, status] of [
      ['HEAD', 0, 200],
      ['HEAD', 1, 200],
      ['HEAD', 3, 200],
      ['GET', 0, 304],
      ['HEAD', 1, 304],
    ] as const) {
      const twin = asked(method);
      const events = twin.feed(`${'HTTP/1.1 100 Continue\r\n\r\n'.repeat(interim)}HTTP/1.1 ${status} X\r\nContent-Length: 10\r\n\r\n`);
      assert.deepEqual(events, [...Array.from({ length: interim }, () => 'interim 100'), `${status}`, 'end']);
      assert.equal(twin.machine.isReusable, true);
    }
    const empty = asked();
    assert.deepEqual(empty.feed('HTTP/1.1 204 No Content\r\n\r\n'), ['204', 'end']);
    assert.equal(empty.machine.isReusable, true);
    assert.throws(() => asked('HEAD').feed('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'), /H1_UNASKED_UPGRADE/);
  });

  it('#188 Connection ends the connection where close is in it, anywhere and in any case', () => {
    for (const [value, goesOn] of [
      ['close', false],
      ['CLOSE', false],
      ['keep-alive, Close', false],
      ['foo,close,bar', false],
      ['keep-alive', true],
      ['foo', true],
    ] as const) {
      const twin = asked();
      twin.feed(`${OK}Connection: ${value}\r\nContent-Length: 0\r\n\r\n`);
      assert.equal(twin.machine.isReusable, goesOn, value);
    }
  });

  it('#189 the time and the number of Keep-Alive are told, wherever they stand; what is no number counts for nothing', () => {
    const none = Number.POSITIVE_INFINITY;
    for (const [value, expectedMs, expectedMax] of [
      ['timeout=5, max=1000', 5_000, 1_000],
      ['max=1000, timeout=5', 5_000, 1_000],
      ['timeout=5', 5_000, none],
      ['max=1000', none, 1_000],
      [' timeout=5 ,max=1 ', 5_000, 1],
      ['timeout=a, max=b', none, none],
      ['timeout=a, max=7', none, 7],
      ['timeout, max', none, none],
      ['foo', none, none],
      ['', none, none],
    ] as const) {
      const twin = asked();
      assert.deepEqual([twin.machine.keepAliveTimeoutMs, twin.machine.keepAliveMaxRequests], [none, none]);
      twin.feed(`${OK}Keep-Alive: ${value}\r\nContent-Length: 0\r\n\r\n`);
      assert.deepEqual([twin.machine.keepAliveTimeoutMs, twin.machine.keepAliveMaxRequests], [expectedMs, expectedMax], value);
      assert.equal(twin.machine.isReusable, true);
    }
  });

  it('#190 Transfer-Encoding in HTTP/1.0, or in two lines, is refused; before a response nothing is known of its chunks', () => {
    const chunks = '\r\n\r\n0\r\n\r\n';
    assert.equal(
      decodeResponses(`HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked${chunks}`).reason,
      'H1_TRANSFER_ENCODING_IN_HTTP10',
    );
    for (const [first, second] of [
      ['gzip', 'chunked'],
      ['chunked', 'gzip'],
    ]) {
      const lines = `Transfer-Encoding: ${first}\r\nTransfer-Encoding: ${second}${chunks}`;
      assert.equal(decodeResponses(`${OK}${lines}`).reason, 'H1_TRANSFER_ENCODING_REPEATED');
    }
    const twin = asked();
    assert.notEqual(twin.machine.responseBodyLength, BodyLength.chunked);
    twin.feed(`${OK}Transfer-Encoding: chunked${chunks}`);
    assert.equal(twin.machine.responseBodyLength, BodyLength.chunked);
    assert.equal(twin.machine.isReusable, true);
  });

  it('#192 after a body that ended with the connection nothing more is sent on it', () => {
    const twin = asked();
    assert.deepEqual(twin.feed(`${OK}\r\nabc`), ['200', 'data abc']);
    twin.machine.receiveEnd();
    assert.deepEqual(twin.events(), ['end']);
    assert.equal(twin.machine.isReusable, false);
  });
});

describe('parity: requests of a client connection', () => {
  it('#181 a target with a control byte or one over 0x7F is not written', () => {
    const twin = new ClientTwin();
    for (const target of ['/\x01', '/\xf0', '/a b']) {
      const head = { method: 'GET', target, version: HttpVersion.http11, headers: HeaderMap.from({ Host: 'a' }) };
      assert.throws(() => twin.machine.sendHead(head, 0, null, 0), TypeError);
    }
    assert.equal(twin.output(), '');
    assert.match(twin.send(), /^GET \/ HTTP\/1\.1\r\n/);
  });

  it('#187 an upgrade: the request ends by its length, then 101, and what is glued to it is the first of the new protocol', () => {
    const twin = asked('GET', 'websocket');
    assert.equal(twin.machine.isRequestDone, true);
    assert.deepEqual(twin.feed('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nraw'), ['tunnel 101']);
    assert.equal(text(twin.machine.takeRemaining()), 'raw');
    assert.equal(twin.machine.isReusable, false);

    const withBody = new ClientTwin();
    withBody.send('POST', { Host: 'a' }, 3, 'websocket');
    withBody.machine.sendData(bytes('abc'), 0);
    withBody.machine.sendEnd(null, 0);
    assert.equal(withBody.output(), 'abc');
    assert.deepEqual(withBody.feed('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'), ['tunnel 101']);
    assert.equal(withBody.machine.isTunnel, true);
  });

  it('#191 a request without a length has no body; one with a length is followed to its last byte', () => {
    const bare = new ClientTwin();
    assert.doesNotMatch(bare.send(), /Content-Length|Transfer-Encoding/);
    assert.equal(bare.machine.isRequestDone, true);
    const twin = new ClientTwin();
    twin.send('POST', { Host: 'a' }, 3);
    for (const piece of ['a', 'bc']) {
      assert.equal(twin.machine.isRequestDone, false);
      twin.machine.sendData(bytes(piece), 0);
    }
    twin.machine.sendEnd(null, 0);
    assert.equal(twin.machine.isRequestDone, true);
    const short = new ClientTwin();
    short.send('POST', { Host: 'a' }, 3);
    short.machine.sendData(bytes('ab'), 0);
    assert.throws(() => short.machine.sendEnd(null, 0), RangeError);
  });

  it('#193 a head on the wire is its request line and its fields as they were given', () => {
    const twin = new ClientTwin();
    twin.machine.sendHead(request('GET', '/x?y', { Host: 'a', 'X-ODD-case': '1' }), 0, null, 0);
    assert.equal(twin.output(), 'GET /x?y HTTP/1.1\r\nHost: a\r\nX-ODD-case: 1\r\n\r\n');
  });
});

/** Upgrades, reuse and responses of a server's connection, numbered as in docs/parity.md (#140 to #167). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { protocolError } from '@ferrata/error';
import { responseHead } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import { decodeRequests } from '../decoding.ts';
import { bytes, response, ServerTwin, text } from '../machines.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';
const ASKS = 'Connection: upgrade\r\nUpgrade: websocket\r\n';
const switched = response(101, { Upgrade: 'websocket' });

describe('parity: upgrades of a server connection', () => {
  it('#140 an upgrade is asked for by a field that Connection nominates, in HTTP/1.1, by any method', () => {
    const upgradeOf = (input: string): string | null | undefined => decodeRequests(input).messages[0]?.upgrade;
    assert.equal(upgradeOf(`${GET}${ASKS}\r\n`), 'websocket');
    assert.equal(upgradeOf(`${GET}CONNECTION: UPGRADE\r\nuPgRaDe: WebSocket\r\n\r\n`), 'WebSocket');
    assert.equal(upgradeOf(`PURGE / HTTP/1.1\r\nHost: a\r\n${ASKS}\r\n`), 'websocket');
    assert.equal(upgradeOf(`${GET}Upgrade: websocket\r\n\r\n`), null);
    assert.equal(upgradeOf(`GET / HTTP/1.0\r\nHost: a\r\n${ASKS}\r\n`), null);
    assert.equal(upgradeOf(`${GET}Connection: upgrade\r\n\r\n`), null);
  });

  it('#141 a request with a body asks for no upgrade: it is answered as any other', () => {
    for (const body of ['Content-Length: 10\r\n\r\n0123456789', 'Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n']) {
      const twin = new ServerTwin();
      assert.deepEqual(twin.feed(`${POST}${ASKS}${body}`), ['POST /', 'data 0123456789', 'end']);
      assert.equal(twin.machine.upgrade, null);
      assert.throws(() => twin.machine.sendTunnelHead(switched), TypeError);
      assert.match(twin.answer(), /^HTTP\/1\.1 200 /);
    }
  });

  it('#142 bytes behind the end of such a body are the next request, never raw', () => {
    const twin = new ServerTwin();
    twin.feed(`${POST}${ASKS}Content-Length: 2\r\n\r\n`);
    assert.deepEqual(twin.feed('ok\x81\x05raw'), ['data ok', 'end']);
    twin.answer();
    assert.throws(() => twin.events(), /H1_/);
  });

  it('#143 bytes that came with the head of an upgrade are the first of the new protocol', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(`${GET}${ASKS}\r\n\x81\x05raw`), ['GET /', 'end']);
    twin.machine.sendTunnelHead(switched);
    assert.equal(text(twin.machine.takeRemaining()), '\x81\x05raw');
  });

  it('#144 nothing is switched before a body was read: 101 is then a mistake of the caller', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(`${POST}${ASKS}Content-Length: 10\r\n\r\n0123`), ['POST /', 'data 0123']);
    assert.throws(() => twin.machine.sendTunnelHead(switched), /asked for no upgrade/);
    assert.equal(twin.output(), '');
    assert.deepEqual(twin.feed('456789'), ['data 456789', 'end']);
  });

  it('#145 100 switches nothing, 101 does', () => {
    const twin = new ServerTwin();
    assert.deepEqual(twin.feed(`${GET}${ASKS}\r\n`), ['GET /', 'end']);
    twin.machine.sendInterim(responseHead(100), 0);
    assert.deepEqual(twin.feed('raw'), []);
    assert.equal(twin.machine.isRequestDone, true);
    twin.machine.sendTunnelHead(switched);
    assert.match(twin.output(), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 101 /);
    assert.equal(text(twin.machine.takeRemaining()), 'raw');
  });

  it('#147 after 101 the machine writes nothing more, no error either', () => {
    const twin = new ServerTwin();
    twin.feed(`${GET}${ASKS}\r\n`);
    twin.machine.sendTunnelHead(switched);
    assert.equal(twin.output(), 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n');
    assert.throws(() => twin.machine.sendHead(response(502), 0), TypeError);
    assert.equal(twin.machine.refuse(protocolError('LATE', 'too late', { wire: { status: 502 } }), ''), 0);
    assert.equal(twin.output(), '');
  });
});

describe('parity: reuse of a server connection', () => {
  it('#148 Connection: close of the request decides; else the connection waits for a minute, or for as long as it is told', () => {
    const closing = new ServerTwin({ idleTimeoutMs: 60_000 });
    closing.feed(`${GET}Connection: close\r\n\r\n`);
    assert.match(closing.answer(200, 'ok', { Connection: 'keep-alive' }), /Connection: close/);
    assert.equal(closing.machine.shouldClose, true);
    for (const fields of ['', 'Connection: keep-alive\r\n']) {
      for (const idleTimeoutMs of [undefined, 1_000, Number.POSITIVE_INFINITY]) {
        const twin = new ServerTwin(idleTimeoutMs === undefined ? {} : { idleTimeoutMs });
        twin.feed(`${GET}${fields}\r\n`);
        assert.doesNotMatch(twin.answer(), /close/);
        assert.deepEqual(twin.events(), []);
        assert.equal(twin.machine.nextTimeout(), idleTimeoutMs ?? 60_000);
      }
    }
  });

  it('#149 the last request that a connection may carry is its last, whatever a head wishes', () => {
    const twin = new ServerTwin({ maxRequests: 1 });
    twin.feed(`${GET}Connection: keep-alive\r\n\r\n`);
    twin.machine.setBounds({ isLast: false });
    twin.machine.setIdleTimeout(60_000);
    assert.match(twin.answer(200, 'ok', { Connection: 'keep-alive', 'Keep-Alive': 'timeout=60' }), /Connection: close/);
    assert.equal(twin.machine.shouldClose, true);
    assert.equal(twin.machine.isReusable, false);
  });

  it('#150 a response that ends with the connection ends it', () => {
    const twin = new ServerTwin();
    twin.feed('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    twin.machine.sendHead(response(200), BodyLength.untilClose);
    assert.equal(twin.machine.isCloseDelimited, true);
    twin.machine.sendEnd();
    assert.equal(twin.machine.shouldClose, true);
  });

  const body = (length: number): string => `Content-Length: ${length}\r\n\r\n${'x'.repeat(length)}`;
  const oneChunk = 'Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n';

  it('#151 where allowPipelining is false a connection goes on only if nothing lies behind its request, whether the body was read or not', () => {
    for (const framed of [body(0), body(5), oneChunk]) {
      for (const extra of ['', 'x', `${GET}\r\n`]) {
        const twin = new ServerTwin({ allowPipelining: false });
        twin.feed(`${POST}${framed}${extra}`);
        const wire = twin.answer();
        assert.equal(wire.includes('Connection: close'), extra !== '');
        assert.deepEqual([twin.events(), twin.machine.shouldClose, twin.machine.isReusable], [[], extra !== '', extra === '']);
      }
    }
    for (const length of [0, 5]) {
      for (const extra of ['', 'x', `${GET}\r\n`]) {
        // Answered before the body was read: nobody wants it any more.
        const unread = new ServerTwin({ allowPipelining: false });
        unread.machine.receive(bytes(`${POST}${body(length)}${extra}`), 0);
        assert.equal(unread.machine.nextEvent(0), true);
        unread.answer();
        assert.deepEqual([unread.events(), unread.machine.shouldClose], [[], extra !== '']);
        // Behind the head of the answer nobody can be told any more.
        const late = new ServerTwin({ allowPipelining: false });
        late.feed(`${POST}${body(length)}`);
        late.machine.sendHead(response(204), 0);
        late.machine.receive(bytes(extra), 0);
        late.machine.sendEnd();
        assert.deepEqual([late.events(), late.machine.shouldClose], [[], extra !== '']);
      }
    }
    const next = new ServerTwin({ allowPipelining: false });
    for (let request = 0; request < 3; request++) {
      assert.deepEqual(next.feed(`${POST}${body(5)}`), ['POST /', 'data xxxxx', 'end']);
      next.answer();
      assert.deepEqual(next.events(), []);
    }
  });

  it('#151 of itself what lies behind is the next request: answered if it is one, refused if not, and never part of the body', () => {
    for (const framed of [body(0), body(5), oneChunk]) {
      for (const cut of ['whole', 'behind the body']) {
        for (const extra of ['', `${GET}\r\n`, '\x00']) {
          const twin = new ServerTwin();
          if (cut === 'whole') {
            twin.feed(`${POST}${framed}${extra}`);
          } else {
            twin.feed(`${POST}${framed}`);
            if (extra !== '') twin.feed(extra);
          }
          assert.match(twin.answer(), /ok$/);
          assertFollowed(twin, extra);
        }
      }
    }
    // Answered before the body came: five bytes are read away, as their end is known.
    for (const extra of ['', `${GET}\r\n`, '\x00']) {
      const twin = new ServerTwin();
      twin.feed(`${POST}Content-Length: 5\r\n\r\n`);
      assert.match(twin.answer(), /ok$/);
      twin.machine.receive(bytes(`xxxxx${extra}`), 0);
      assertFollowed(twin, extra);
    }
  });
});

function assertFollowed(twin: ServerTwin, extra: string): void {
  if (extra === '\x00') assert.throws(() => twin.events(), /H1_CONTROL_BYTE/);
  else assert.deepEqual(twin.events(), extra === '' ? [] : ['GET /', 'end']);
}

describe('parity: responses of a server connection', () => {
  function asked(head = `${GET}\r\n`): ServerTwin {
    const twin = new ServerTwin();
    twin.feed(head);
    return twin;
  }

  it('#153 a head has its fields, and the usual reason or its own', () => {
    const usual = asked();
    usual.machine.sendHead(response(200, { Foo: 'Bar' }), 0);
    assert.equal(usual.output(), 'HTTP/1.1 200 OK\r\nFoo: Bar\r\nContent-Length: 0\r\n\r\n');
    const own = asked();
    own.machine.sendHead(responseHead(200, { reason: 'Just Fine', headers: { Foo: 'Bar' } }), 0);
    assert.equal(own.output(), 'HTTP/1.1 200 Just Fine\r\nFoo: Bar\r\nContent-Length: 0\r\n\r\n');
  });

  it('#154 interim responses go out before the final one; where none are allowed, only the 100 that is waited for does', () => {
    const exchange = (head: string, maxInterimResponses: number): string[] => {
      const twin = new ServerTwin({ maxInterimResponses });
      twin.feed(head);
      for (const status of [100, 102]) twin.machine.sendInterim(responseHead(status), 0);
      twin.machine.sendHead(response(200), 0);
      return Array.from(twin.output().matchAll(/HTTP\/1\.1 (\d+)/g), ([, status = '']) => status);
    };
    const expecting = `${POST}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`;
    assert.deepEqual(exchange(`${GET}\r\n`, 8), ['100', '102', '200']);
    assert.deepEqual(exchange(`${GET}\r\n`, 0), ['200']);
    assert.deepEqual(exchange(expecting, 0), ['100', '200']);
  });

  it('#155 a body by length is written as it is, and ends when it is whole', () => {
    const twin = asked();
    twin.machine.sendHead(response(200), 1);
    twin.output();
    assert.equal(twin.machine.sendData(bytes('a')), true);
    twin.machine.sendEnd();
    assert.equal(twin.output(), 'a');
    assert.equal(twin.machine.answeredCount, 1);
  });

  it('#156 a body of unknown length has chunks in HTTP/1.1, and ends with the connection in HTTP/1.0', () => {
    for (const [head, wire] of [
      [`${GET}\r\n`, /^HTTP\/1\.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n$/],
      ['GET / HTTP/1.0\r\n\r\n', /^HTTP\/1\.1 200 OK\r\nConnection: close\r\n\r\na$/],
    ] as const) {
      const twin = asked(head);
      twin.machine.sendHead(response(200), BodyLength.untilClose);
      twin.machine.sendData(bytes('a'));
      twin.machine.sendEnd();
      assert.match(twin.output(), wire);
    }
  });

  it('#157 a chunk is written with its size, the end as the last chunk', () => {
    const twin = asked();
    twin.machine.sendHead(response(200), BodyLength.chunked);
    twin.output();
    twin.machine.sendData(bytes('a'));
    assert.equal(twin.output(), '1\r\na\r\n');
    twin.machine.sendEnd();
    assert.equal(twin.output(), '0\r\n\r\n');
  });

  it('#159 100 (Continue) is one line and an empty one, once', () => {
    const twin = asked(`${POST}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`);
    twin.machine.sendInterim(responseHead(100), 0);
    assert.equal(twin.output(), 'HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal(twin.output(), '');
  });

  it('#162 a head whose body is not sent is there to be written at once, and the response is over', () => {
    for (const [head, status] of [
      ['HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', 200],
      [`${GET}\r\n`, 204],
    ] as const) {
      const twin = asked(head);
      twin.machine.sendHead(response(status, { 'Content-Length': '10' }), 10);
      assert.match(twin.output(), new RegExp(`^HTTP/1.1 ${status} `));
      twin.machine.sendEnd();
      assert.equal(twin.output(), '');
      assert.equal(twin.machine.answeredCount, 1);
      assert.equal(twin.machine.isPersistent, true);
    }
  });

  it('#163 head, body and end of one turn are one chunk to write', () => {
    const twin = asked();
    twin.machine.sendHead(response(200), 5);
    twin.machine.sendData(bytes('he'));
    twin.machine.sendData(bytes('llo'));
    twin.machine.sendEnd();
    const chunks = twin.machine.takeOutput();
    assert.equal(chunks.length, 1);
    assert.equal(text(concatBytes(chunks)), 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
    assert.equal(twin.machine.answeredCount, 1);
  });

  it('#167 data before a head, and data behind a switch, are mistakes of the caller', () => {
    const early = asked();
    assert.throws(() => early.machine.sendData(bytes('x')), TypeError);
    assert.throws(() => early.machine.sendTunnelHead(switched), TypeError);
    assert.equal(early.output(), '');
    const late = asked(`${GET}${ASKS}\r\n`);
    late.machine.sendTunnelHead(switched);
    assert.throws(() => late.machine.sendData(bytes('x')), TypeError);
    assert.throws(() => late.machine.sendEnd(), TypeError);
    assert.doesNotMatch(late.output(), /x$/);
  });
});

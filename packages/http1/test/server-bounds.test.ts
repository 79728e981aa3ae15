/** The server's machine: bounds of one exchange in place of the options, and the time of an idle connection. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, response, ServerTwin } from './machines.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const part = (length: number, have: string): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${have}`;

describe('the bounds of one exchange', () => {
  it('are those of the options again for the next request', () => {
    const twin = new ServerTwin({ minBodyBytesPerSecond: 0 });
    twin.feed(part(3, 'a'));
    twin.machine.setBounds({ bodyTimeoutMs: 500, maxInterimResponses: 0 });
    assert.equal(twin.machine.nextTimeout(), 500);
    twin.machine.sendInterim(response(103), 0);
    assert.equal(twin.output(), '');
    twin.feed('bc');
    twin.answer();
    twin.feed(part(3, 'a'));
    assert.equal(twin.machine.nextTimeout(), 30_000);
    twin.machine.sendInterim(response(103), 0);
    assert.match(twin.output(), /^HTTP\/1\.1 103 /);
  });

  it('are joined: what is not named stays', () => {
    const twin = new ServerTwin({ minBodyBytesPerSecond: 0 });
    twin.feed(part(3, 'a'));
    twin.machine.setBounds({ bodyTimeoutMs: 500 });
    twin.machine.setBounds({ maxDrainBytes: 1 });
    assert.equal(twin.machine.nextTimeout(), 500);
    assert.match(twin.answer(), /\r\nConnection: close\r\n/);
  });

  it('end a body that stalls for as long', () => {
    const twin = new ServerTwin();
    twin.feed(part(3, 'a'));
    twin.machine.setBounds({ bodyTimeoutMs: 500 });
    assert.equal(twin.machine.handleTimeout(499), null);
    assert.equal(twin.machine.handleTimeout(500)?.reason, 'H1_BODY_TIMEOUT');
  });

  it('drain a rest of so much, or of nothing at all', () => {
    for (const [maxDrainBytes, isKept] of [
      [100, true],
      [99, false],
      [-1, false],
    ] as const) {
      const twin = new ServerTwin({ maxDrainBytes: 10 });
      twin.feed(part(101, 'a'));
      twin.machine.setBounds({ maxDrainBytes });
      assert.equal(twin.answer().includes('close'), !isKept);
      assert.equal(twin.machine.isDrainingRest, isKept);
      assert.equal(twin.machine.isReusable, isKept);
      assert.deepEqual(twin.feed('b'.repeat(100) + GET), isKept ? ['GET /', 'end'] : []);
      assert.equal(twin.machine.isDrainingRest, false);
    }
  });

  it('close behind a head that did not say so, when they change in between', () => {
    for (const bounds of [{ maxDrainBytes: 1 }, { isLast: true }]) {
      const twin = new ServerTwin();
      twin.feed(part(3, 'a'));
      twin.machine.sendHead(response(200), 0);
      twin.machine.setBounds(bounds);
      assert.equal(twin.machine.shouldClose, false);
      twin.machine.sendEnd();
      assert.equal(twin.machine.shouldClose, true);
      assert.doesNotMatch(twin.output(), /close/);
    }
  });

  it('make the answer the last, unless that is taken back; what else closes stays', () => {
    for (const [input, isLast, isKept] of [
      [GET, [true], false],
      [GET, [true, false], true],
      ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', [false], false],
    ] as const) {
      const twin = new ServerTwin();
      twin.feed(input);
      for (const each of isLast) twin.machine.setBounds({ isLast: each });
      assert.equal(twin.answer().includes('Connection: close'), !isKept);
      assert.equal(twin.machine.isReusable, isKept);
    }
  });
});

describe('the time of an idle connection', () => {
  it('may be changed, and stays changed', () => {
    const twin = new ServerTwin();
    twin.machine.setIdleTimeout(7);
    assert.equal(twin.machine.nextTimeout(), 15_000);
    twin.feed(GET);
    twin.answer();
    twin.events();
    assert.equal(twin.machine.nextTimeout(), 7);
    twin.feed(GET);
    twin.answer();
    twin.events();
    assert.equal(twin.machine.nextTimeout(), 7);
    twin.machine.setIdleTimeout(Number.POSITIVE_INFINITY);
    assert.equal(twin.machine.nextTimeout(), Number.POSITIVE_INFINITY);
    twin.machine.setIdleTimeout(9);
    assert.equal(twin.machine.handleTimeout(9), null);
    assert.equal(twin.machine.shouldClose, true);
    assert.equal(twin.machine.isReusable, false);
  });
});

describe('whether a connection can take another request', () => {
  it('is known when its client has ended its side: only what was sent before can follow', () => {
    const twin = new ServerTwin();
    twin.feed(GET + GET);
    twin.machine.receiveEnd();
    assert.equal(twin.machine.isReusable, true);
    twin.answer();
    twin.events();
    assert.equal(twin.machine.isReusable, false);
  });

  it('ends with a tunnel, and with an error', () => {
    const tunnel = new ServerTwin();
    tunnel.feed('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
    tunnel.machine.sendTunnelHead(response(200));
    assert.equal(tunnel.machine.isReusable, false);
    const broken = new ServerTwin();
    broken.machine.receive(bytes('nonsense\r\n\r\n'), 0);
    assert.throws(() => broken.machine.nextEvent(0));
    assert.equal(broken.machine.isReusable, false);
  });
});

/** The client's session: clean or closed, retries that are safe, throws that stay where they belong. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ioError } from '@ferrata/error';
import { BodyLength } from '@ferrata/http1';
import { RecordingSink } from '@ferrata/testkit';
import { bytes, ClientFollower, ClientRig, settle, text } from './rig.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('a client session', () => {
  it('is idle after each exchange, and takes the next from inside the end of the last', async () => {
    const rig = new ClientRig();
    const first = new ClientFollower();
    const second = new ClientFollower();
    let isReused = false;
    first.react = {
      onResponseEnd: () => {
        isReused = rig.request(second).isReused;
      },
    };
    assert.equal(rig.request(first).isReused, false);
    await rig.answer(OK);
    assert.deepEqual(first.heard, ['200 2', 'data ok', 'end', 'close']);
    assert.equal(isReused, true);
    await rig.answer(OK);
    assert.deepEqual(second.heard, ['200 2', 'data ok', 'end', 'close']);
    assert.deepEqual(rig.told, ['idle', 'idle']);
    assert.equal(rig.session.requestCount, 2);
    assert.equal(rig.sink.text(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2));
    rig.session.close();
    assert.equal(rig.armed, 0);
    await settle();
    assert.deepEqual(rig.told, ['idle', 'idle']);
    assert.throws(() => rig.request(first), TypeError);
  });

  it('sends a body, joined with its head in one write', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    const exchange = rig.request(follower, { method: 'POST', bodyLength: 3 });
    assert.equal(exchange.isUnsent, true);
    assert.throws(() => rig.request(new ClientFollower()), TypeError);
    assert.equal(exchange.sendData(bytes('abc')), true);
    exchange.sendEnd();
    assert.equal(exchange.isUnsent, false);
    await rig.answer(OK);
    assert.equal(rig.sink.chunks().length, 1);
    assert.match(rig.sink.text(), /\r\n\r\nabc$/);
    assert.equal(exchange.isClosed, true);
    assert.equal(exchange.sendData(bytes('x')), false);
    exchange.sendEnd();
    exchange.pauseResponse();
    exchange.resumeResponse();
    exchange.cancel(ioError('LATE', ''));
    assert.deepEqual(follower.closes, [null]);
    assert.equal(exchange.info, rig.stream.info);
  });

  it('gives large bodies on early and tells of back-pressure', async () => {
    const rig = new ClientRig({}, { highWaterBytes: 20_000 });
    rig.server.pause();
    const follower = new ClientFollower();
    const exchange = rig.request(follower, { method: 'POST', bodyLength: BodyLength.chunked });
    assert.equal(exchange.sendData(new Uint8Array(16_384)), true);
    assert.equal(exchange.sendData(new Uint8Array(16_384)), false);
    rig.server.resume();
    await settle();
    assert.deepEqual(follower.heard, ['drain']);
    assert.equal(exchange.sendData(new Uint8Array(1)), true);
  });

  it('holds a response back while it is paused', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    const exchange = rig.request(follower);
    follower.react = { onResponse: () => exchange.pauseResponse() };
    await rig.answer(OK);
    assert.deepEqual(follower.heard, ['200 2']);
    exchange.pauseResponse();
    await rig.advance(1_000_000);
    assert.deepEqual(follower.heard, ['200 2']);
    exchange.resumeResponse();
    exchange.resumeResponse();
    assert.deepEqual(follower.heard, ['200 2', 'data ok', 'end', 'close']);
  });

  it('passes interim responses on', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower);
    await rig.answer(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`);
    assert.deepEqual(follower.heard, ['interim 103', '200 2', 'data ok', 'end', 'close']);
  });

  it('tells what the server promises of its idle time', async () => {
    const rig = new ClientRig();
    rig.request(new ClientFollower());
    await rig.answer('HTTP/1.1 204 No Content\r\nKeep-Alive: timeout=5\r\n\r\n');
    assert.equal(rig.session.keepAliveTimeoutMs, 5_000);
    assert.equal(rig.session.isReusable, true);
  });
});

describe('a client session is never used again', () => {
  for (const readBytes of [32_768, 65_536]) {
    it(`after a response that ends with a full read of ${readBytes} bytes: more may wait behind it, and another request would take that for its answer`, async () => {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      rig.request(follower);
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${readBytes - 42}\r\n\r\n`;
      assert.equal(head.length, 42);
      await rig.answer(head + 'x'.repeat(readBytes - head.length));
      assert.equal(follower.heard.at(-1), 'close');
      assert.deepEqual(rig.told, ['close null']);
      assert.equal(rig.session.isReusable, false);
    });
  }

  for (const [name, input, told] of [
    ['after Connection: close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok', 'close null'],
    ['after bytes beyond the response', `${OK}x`, 'close H1_UNEXPECTED_BYTES dirty'],
    ['after a body with 204', 'HTTP/1.1 204 No Content\r\n\r\nok', 'close H1_UNEXPECTED_BYTES dirty'],
  ] as const) {
    it(name, async () => {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      rig.request(follower);
      await rig.answer(input);
      assert.deepEqual(follower.closes, [null]);
      assert.deepEqual(rig.told, [told]);
      assert.equal(rig.session.isReusable, false);
      assert.equal(rig.sink.isClosed, true);
      assert.equal(rig.armed, 0);
    });
  }

  it('after bytes or an end while it is idle', async () => {
    const strayed = new ClientRig();
    await strayed.answer('HTTP/1.1 200 OK\r\n\r\n');
    assert.deepEqual(strayed.told, ['close H1_UNEXPECTED_BYTES dirty']);
    const ended = new ClientRig();
    ended.server.end();
    await settle();
    assert.deepEqual(ended.told, ['close null']);
    const reset = new ClientRig();
    reset.server.abort();
    await settle();
    assert.deepEqual(reset.told, ['close CONNECTION_RESET']);
  });

  it('after bytes that came before the request was sent: they answer somebody else', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.server.write(bytes(OK));
    await Promise.resolve();
    const early = new ClientRig();
    early.request(follower, { method: 'POST', bodyLength: 3 });
    early.session.onData(bytes(OK));
    assert.deepEqual(follower.heard, ['close H1_UNEXPECTED_BYTES']);
    assert.equal(follower.closes[0]?.retry, 'always');
    assert.deepEqual(early.told, ['close H1_UNEXPECTED_BYTES dirty']);
  });

  it('after an answer to half a request (early response)', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    const exchange = rig.request(follower, { method: 'POST', bodyLength: 10 });
    exchange.sendData(bytes('abc'));
    await rig.answer('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    assert.deepEqual(follower.heard, ['413 0', 'end', 'close']);
    assert.deepEqual(rig.told, ['close null']);
    assert.equal(exchange.sendData(bytes('x')), false);
  });

  it('while the server has not read the request it answered', async () => {
    const rig = new ClientRig({}, { highWaterBytes: 10 });
    const follower = new ClientFollower();
    rig.server.pause();
    rig.request(follower);
    await rig.answer(OK);
    assert.deepEqual(follower.closes, [null]);
    assert.deepEqual(rig.told, ['close null']);
  });
});

describe('the error of a lost request', () => {
  it('says "always" when nothing was sent', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.server.abort();
    rig.stream.abort(ioError('CONNECTION_RESET', ''));
    rig.request(follower);
    await settle();
    assert.equal(follower.closes[0]?.retry, 'always');
    assert.equal(follower.closes[0]?.source, 'upstream');
  });

  it('says "ifReused" when the connection ends or breaks without an answer', async () => {
    for (const cut of [(rig: ClientRig) => rig.server.end(), (rig: ClientRig) => rig.server.abort()]) {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      rig.request(follower);
      await settle();
      cut(rig);
      await settle();
      assert.equal(follower.closes.length, 1);
      assert.equal(follower.closes[0]?.retry, 'ifReused');
      assert.equal(rig.told.length, 1);
      assert.equal(rig.armed, 0);
    }
  });

  it('says "never" from the first byte of an answer on', async () => {
    for (const cut of [(rig: ClientRig) => rig.server.end(), (rig: ClientRig) => rig.server.abort()]) {
      for (const part of [OK.slice(0, 5), OK.slice(0, -1), 'HTTP/1.1 100 Continue\r\n\r\n']) {
        const rig = new ClientRig();
        const follower = new ClientFollower();
        rig.request(follower);
        await rig.answer(part);
        cut(rig);
        await settle();
        assert.equal(follower.closes[0]?.retry, 'never');
        assert.equal(follower.heard.includes('end'), false);
      }
    }
  });

  it('says "always" for a broken pipe on a small first write only', () => {
    for (const [size, isSecond, expected] of [
      [3, false, 'always'],
      [3, true, 'ifReused'],
      [9_000, false, 'ifReused'],
    ] as const) {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      const exchange = rig.request(follower, { method: 'POST', bodyLength: isSecond ? size + 20_000 : size });
      if (isSecond) exchange.sendData(new Uint8Array(20_000));
      exchange.sendData(new Uint8Array(size));
      exchange.sendEnd();
      rig.session.onClose(ioError('CONNECTION_BROKEN_PIPE', ''));
      assert.equal(follower.closes[0]?.retry, expected);
    }
  });

  it('comes from the server for a close-delimited body that ends with a reset, not for one that ends in order', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower);
    await rig.answer('HTTP/1.1 200 OK\r\n\r\nabc');
    rig.server.end();
    await settle();
    assert.deepEqual(follower.heard, ['200 -2', 'data abc', 'end', 'close']);
    const cut = new ClientRig();
    const other = new ClientFollower();
    cut.request(other);
    await cut.answer('HTTP/1.1 200 OK\r\n\r\nabc');
    cut.server.abort();
    await settle();
    assert.deepEqual(other.heard, ['200 -2', 'data abc', 'close CONNECTION_RESET']);
  });

  it('is told for a stream that closes without one', () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower);
    rig.session.onClose(null);
    assert.deepEqual(follower.heard, ['close UPSTREAM_CLOSED']);
    rig.session.onClose(null);
    rig.session.onEnd();
    rig.session.onData(bytes('x'));
    assert.equal(follower.closes.length, 1);
  });
});

describe('the end of a client exchange', () => {
  it('comes once with a cancel, and drops the connection', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    const exchange = rig.request(follower);
    follower.react = { onResponseData: () => exchange.cancel(ioError('ENOUGH', '')) };
    await rig.answer(OK);
    assert.deepEqual(follower.heard, ['200 2', 'data ok', 'close ENOUGH']);
    assert.deepEqual(rig.told, ['close ENOUGH']);
    assert.equal(rig.sink.isClosed, true);
    assert.equal(rig.armed, 0);
  });

  it('comes with the close of a busy session', () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower);
    rig.session.close();
    rig.session.close();
    assert.deepEqual(follower.heard, ['close SESSION_CLOSED']);
    assert.deepEqual(rig.told, []);
  });

  for (const name of ['onInterim', 'onResponse', 'onResponseData'] as const) {
    it(`comes when ${name} throws`, async () => {
      const rig = new ClientRig();
      const follower = new ClientFollower();
      follower.react = {
        [name]: () => {
          throw new Error('bug');
        },
      };
      rig.request(follower);
      await rig.answer(`HTTP/1.1 100 Continue\r\n\r\n${OK}`);
      assert.equal(follower.closes.length, 1);
      assert.equal(follower.closes[0]?.reason, 'HANDLER_THREW');
      assert.equal(follower.closes[0]?.source, 'internal');
      assert.deepEqual(rig.told, ['close HANDLER_THREW']);
      assert.equal(rig.armed, 0);
    });
  }

  it('comes when onResponseEnd throws, and leaves the idle connection alone', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    follower.react = {
      onResponseEnd: () => {
        throw new Error('bug');
      },
    };
    rig.request(follower);
    await rig.answer(OK);
    assert.equal(follower.closes[0]?.reason, 'HANDLER_THREW');
    assert.deepEqual(rig.told, ['idle']);
    assert.equal(rig.session.isReusable, true);
  });

  it('comes once even if onClientClose throws, and never harms the next user of the connection', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    const next = new ClientFollower();
    follower.react = {
      onResponseEnd: () => void rig.request(next),
      onClientClose: () => {
        throw new Error('bug');
      },
    };
    rig.request(follower);
    await rig.answer(OK);
    await rig.answer(OK);
    assert.deepEqual(next.closes, [null]);
    next.react = follower.react;
    const alone = new ClientFollower();
    alone.react = { onClientClose: follower.react.onClientClose as () => void };
    rig.request(alone);
    await rig.answer(OK);
    assert.deepEqual(rig.told, ['idle', 'idle', 'idle', 'close HANDLER_THREW']);
  });

  it('comes when onRequestDrain throws', async () => {
    const rig = new ClientRig({}, { highWaterBytes: 10 });
    const follower = new ClientFollower();
    follower.react = {
      onRequestDrain: () => {
        throw new Error('bug');
      },
    };
    rig.request(follower, { method: 'POST', bodyLength: 3 });
    await settle();
    assert.deepEqual(follower.heard, ['drain', 'close HANDLER_THREW']);
    rig.session.onDrain();
  });
});

describe('a tunnel of a client session', () => {
  it('hands the connection over with what was read beyond the head, and nothing is lost until a sink is attached', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower, { upgrade: 'websocket' });
    await rig.answer('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\none ');
    await rig.answer('two ');
    rig.server.end();
    await settle();
    assert.deepEqual(follower.heard, ['tunnel 101', 'close']);
    assert.deepEqual(rig.told, ['close null']);
    assert.equal(rig.armed, 0);
    const { tunnel } = follower;
    assert.ok(tunnel !== null);
    assert.equal(text(tunnel.remaining), 'one ');
    const sink = new RecordingSink();
    tunnel.stream.attach(sink, tunnel.remaining);
    await settle();
    assert.equal(sink.text(), 'one two ');
    assert.equal(sink.hasEnded, true);
  });

  it('is dropped if onTunnel throws', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    follower.react = {
      onTunnel: () => {
        throw new Error('bug');
      },
    };
    rig.request(follower, { upgrade: 'websocket' });
    await rig.answer('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
    assert.deepEqual(follower.heard, ['tunnel 101', 'close HANDLER_THREW']);
    assert.equal(rig.sink.isClosed, true);
  });

  it('that nobody asked for is an error', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower);
    await rig.answer('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
    assert.deepEqual(follower.heard, ['close H1_UNASKED_UPGRADE']);
    assert.equal(follower.closes[0]?.status, 502);
  });
});

describe('time on a client session', () => {
  it('ends a request without an answer after 60 s', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower);
    await rig.advance(59_990);
    assert.deepEqual(follower.heard, []);
    await rig.advance(20);
    assert.deepEqual(follower.heard, ['close H1_FIRST_BYTE_TIMEOUT']);
    assert.equal(follower.closes[0]?.retry, 'never');
    assert.equal(rig.armed, 0);
  });

  it('ends a response that stalls, counted from its last byte', async () => {
    const rig = new ClientRig();
    const follower = new ClientFollower();
    rig.request(follower);
    await rig.advance(50_000);
    await rig.answer(OK.slice(0, -1));
    await rig.advance(59_000);
    assert.equal(follower.closes.length, 0);
    await rig.advance(1_010);
    assert.equal(follower.closes[0]?.reason, 'H1_READ_TIMEOUT');
  });

  it('ends a request that the server does not read, but not one that it reads slowly', async () => {
    const rig = new ClientRig({}, { highWaterBytes: 100_000 });
    const follower = new ClientFollower();
    // Takes one chunk, then waits to be resumed.
    rig.server.attach(new RecordingSink({ onData: () => rig.server.pause() }));
    const exchange = rig.request(follower, { method: 'POST', bodyLength: 200_000 });
    for (let piece = 0; piece < 5; piece++) exchange.sendData(new Uint8Array(20_000));
    await rig.advance(29_000);
    rig.server.resume();
    await rig.advance(1_100);
    assert.deepEqual(follower.heard, []);
    await rig.advance(30_100);
    assert.deepEqual(follower.heard, ['close H1_WRITE_STALLED']);
    assert.equal(rig.armed, 0);
  });

  it('may be longer than the clock can wait', async () => {
    const rig = new ClientRig({ connection: { firstByteTimeoutMs: 1e13 } });
    const follower = new ClientFollower();
    rig.request(follower);
    await rig.advance(6e9);
    assert.deepEqual(follower.heard, []);
  });
});

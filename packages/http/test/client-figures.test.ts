/** `requestBytes`, `responseBytes` and `writePendingMs` of exchanges in the client's role. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { internalError } from '@ferrata/error';
import { BodyLength } from '@ferrata/http1';
import { writeData } from '@ferrata/http2-framing';
import { Http2ClientRig } from './http2-rig.ts';
import { bytes, ClientFollower, ClientRig, settle } from './rig.ts';

describe('the figures of a client exchange over HTTP/1', () => {
  it('count bytes of bodies, without heads, framing and interim responses', async () => {
    const rig = new ClientRig();
    const exchange = rig.request(new ClientFollower(), { method: 'POST', bodyLength: BodyLength.chunked });
    assert.deepEqual([exchange.requestBytes, exchange.responseBytes], [0, 0]);
    exchange.sendData(bytes('hello'));
    exchange.sendData(bytes('!'));
    exchange.sendEnd();
    await rig.answer('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    assert.deepEqual([exchange.requestBytes, exchange.responseBytes], [6, 3]);
    await rig.answer('4\r\ndefg\r\n0\r\n\r\n');
    assert.equal(exchange.isClosed, true);
    assert.deepEqual([exchange.requestBytes, exchange.responseBytes, exchange.writePendingMs], [6, 7, 0]);
  });

  it('leave out what is more than the length announced, as nothing of it is sent', () => {
    const rig = new ClientRig();
    const exchange = rig.request(new ClientFollower(), { method: 'POST', bodyLength: 3 });
    assert.throws(() => exchange.sendData(bytes('four')), RangeError);
    assert.equal(exchange.requestBytes, 0);
  });

  it('add up the times in which the server took nothing, up to the end', async () => {
    const rig = new ClientRig({}, { highWaterBytes: 100 });
    const follower = new ClientFollower();
    const exchange = rig.request(follower, { method: 'POST', bodyLength: BodyLength.chunked });
    await rig.advance(10);
    rig.server.pause();
    exchange.sendData(new Uint8Array(20_000));
    await rig.advance(300);
    assert.equal(exchange.writePendingMs, 300);
    rig.server.resume();
    await rig.advance(1_000);
    assert.deepEqual(follower.heard, ['drain']);
    assert.equal(exchange.writePendingMs, 300);
    rig.server.pause();
    exchange.sendData(new Uint8Array(20_000));
    await rig.advance(40);
    exchange.cancel(internalError('TEST', ''));
    await rig.advance(500);
    assert.equal(exchange.writePendingMs, 340);
  });
});

describe('the figures of a client exchange over HTTP/2', () => {
  it('count bytes of bodies, each exchange its own', async () => {
    const rig = await new Http2ClientRig().hello();
    const first = rig.ask(new ClientFollower(), { method: 'POST', bodyLength: BodyLength.chunked });
    const second = rig.ask(new ClientFollower());
    first.sendData(bytes('hello'));
    first.sendEnd();
    await rig.server.headers(1, { ':status': '200' }, false);
    await rig.server.say((writer) => writeData(writer, 1, bytes('abc'), { isEndStream: true }));
    assert.deepEqual([first.requestBytes, first.responseBytes, first.writePendingMs], [5, 3, 0]);
    assert.deepEqual([second.requestBytes, second.responseBytes, second.writePendingMs], [0, 0, 0]);
  });

  it('add up the times in which the stream was full, up to the drain, the end of the request or that of the exchange', async () => {
    for (const end of ['drain', 'sendEnd', 'cancel'] as const) {
      const rig = await new Http2ClientRig().hello([[4, 0]]);
      const exchange = rig.ask(new ClientFollower(), { method: 'POST', bodyLength: BodyLength.chunked });
      await settle();
      assert.equal(exchange.sendData(new Uint8Array(20_000)), false);
      await rig.advance(300);
      assert.equal(exchange.writePendingMs, 300);
      if (end === 'drain') await rig.server.credit(1, 20_000);
      else if (end === 'sendEnd') exchange.sendEnd();
      else exchange.cancel(internalError('TEST', ''));
      await rig.advance(700);
      assert.equal(exchange.writePendingMs, 300);
      assert.equal(exchange.requestBytes, 20_000);
    }
  });
});

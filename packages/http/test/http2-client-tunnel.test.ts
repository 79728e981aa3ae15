/** Tunnels over HTTP/2 in the client's role, against a server that speaks frames (RFC 9113 §8.5, RFC 8441). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WireError } from '@ferrata/error';
import type { ClientExchange, Tunnel } from '@ferrata/http';
import { Http2ErrorCode, SettingId } from '@ferrata/http2-framing';
import { RecordingSink } from '@ferrata/testkit';
import { Http2ClientRig } from './http2-rig.ts';
import { bytes, ClientFollower, ClientRig, request, settle } from './rig.ts';

const AUTHORITY = 'example.org:443';
const OK = { ':status': '200' };

function ask(rig: Http2ClientRig, follower: ClientFollower, protocol: string | null = null): ClientExchange {
  const head = protocol === null ? request('CONNECT', AUTHORITY, { Host: AUTHORITY }) : request('CONNECT', '/chat');
  return rig.session.request(head, { bodyLength: 0, upgrade: null, protocol }, follower);
}

/** Makes a tunnel on stream 1. */
async function open(settings: readonly (readonly [number, number])[] = []): Promise<{
  rig: Http2ClientRig;
  follower: ClientFollower;
  tunnel: Tunnel;
  sink: RecordingSink;
}> {
  const rig = await new Http2ClientRig().hello(settings);
  const follower = new ClientFollower();
  ask(rig, follower);
  await settle();
  await rig.server.headers(1, OK, false);
  const tunnel = follower.tunnel as Tunnel;
  const sink = new RecordingSink();
  tunnel.stream.attach(sink);
  await settle();
  return { rig, follower, tunnel, sink };
}

describe('a tunnel of an HTTP/2 client session (RFC 9113 §8.5)', () => {
  it('is asked for with a method and an authority alone, on a stream that stays open', async () => {
    const rig = await new Http2ClientRig().hello();
    const exchange = ask(rig, new ClientFollower());
    exchange.sendEnd();
    await settle();
    assert.deepEqual(rig.server.heard(1).heads, [{ ':method': 'CONNECT', ':authority': AUTHORITY }]);
    assert.equal(rig.server.heard(1).hasEnded, false);
  });

  it('is there with any 2xx, its exchange is over, and its place is free when it has ended', async () => {
    for (const status of [200, 201, 204, 299]) {
      const rig = await new Http2ClientRig().hello();
      const follower = new ClientFollower();
      ask(rig, follower);
      await settle();
      await rig.server.headers(1, { ':status': `${status}`, 'content-length': '5' }, false);
      assert.deepEqual(follower.heard, [`tunnel ${status}`, 'close']);
      assert.equal(rig.session.openStreamCount, 1);
      assert.deepEqual(rig.told, []);
      const { stream, remaining } = follower.tunnel as Tunnel;
      assert.equal(remaining.length, 0);
      assert.equal(stream.info.kind, 'http2-tunnel');
      assert.equal(stream.info.below, rig.stream.info);
      const sink = new RecordingSink();
      stream.attach(sink);
      await rig.server.data(1, 'more than five bytes');
      stream.write(bytes('ping'));
      stream.end();
      await settle();
      assert.equal(rig.server.heard(1).text, 'ping');
      assert.equal(rig.server.heard(1).hasEnded, true);
      assert.deepEqual(rig.told, []);
      await rig.server.data(1, '', true);
      assert.deepEqual(sink.kinds(), ['data', 'end', 'close']);
      assert.equal(sink.closeError, null);
      assert.deepEqual(rig.told, ['room', 'idle']);
      assert.equal(rig.server.heard(1).reset, null);
      assert.equal(rig.session.isReusable, true);
    }
  });

  it('may be ended by the server with its answer', async () => {
    const rig = await new Http2ClientRig().hello();
    const follower = new ClientFollower();
    ask(rig, follower);
    await settle();
    await rig.server.headers(1, OK, true);
    const sink = new RecordingSink();
    follower.tunnel?.stream.attach(sink);
    await settle();
    assert.deepEqual(sink.kinds(), ['end']);
    follower.tunnel?.stream.write(bytes('one way'));
    follower.tunnel?.stream.end();
    await settle();
    assert.equal(rig.server.heard(1).text, 'one way');
    assert.equal(sink.closeError, null);
  });

  it('is not there with another status: that is a response, and our side of the stream ends', async () => {
    const rig = await new Http2ClientRig().hello();
    const follower = new ClientFollower();
    ask(rig, follower);
    await settle();
    await rig.server.headers(1, { ':status': '407' }, false);
    assert.equal(rig.server.heard(1).hasEnded, true);
    await rig.server.data(1, 'no', true);
    assert.deepEqual(follower.heard, ['407 -1', 'data no', 'end', 'close']);
    assert.equal(rig.server.heard(1).reset, null);
    assert.deepEqual(rig.told, ['room', 'idle']);
  });

  it('has no body: what is sent to the exchange ends it (RFC 9110 §9.3.6)', async () => {
    const rig = await new Http2ClientRig().hello();
    const follower = new ClientFollower();
    const exchange = ask(rig, follower);
    assert.equal(exchange.sendData(new Uint8Array(0)), false);
    assert.throws(() => exchange.sendData(bytes('x')), RangeError);
    await settle();
    assert.deepEqual(follower.heard, ['close BODY_LENGTH_WRONG']);
    assert.equal(rig.server.heard(1).reset, 'CANCEL');
  });

  it('that is aborted resets its stream, and no other', async () => {
    const { rig, tunnel, sink } = await open();
    const other = new ClientFollower();
    rig.ask(other);
    tunnel.stream.abort();
    await settle();
    assert.equal(rig.server.heard(1).reset, 'CANCEL');
    assert.equal(sink.closeError, null);
    await rig.server.headers(3, OK);
    assert.deepEqual(other.heard, ['200 0', 'end', 'close']);
  });

  it('that the server resets says so, whatever the code', async () => {
    for (const code of [Http2ErrorCode.connectError, Http2ErrorCode.cancel, Http2ErrorCode.noError]) {
      const { rig, sink } = await open();
      await rig.server.reset(1, code);
      assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
      assert.equal(sink.closeError?.wire.http2Code, code);
      assert.equal(sink.closeError?.retry, 'never');
      assert.equal(sink.closeError?.source, 'upstream');
      assert.deepEqual(rig.told, ['room', 'idle']);
    }
  });

  it('that the server has ended and then resets is reset, although a response would only be whole (RFC 9113 §8.1)', async () => {
    for (const isPaused of [false, true]) {
      const { rig, tunnel, sink } = await open();
      if (isPaused) tunnel.stream.pause();
      await rig.server.data(1, 'bye', true);
      await rig.server.reset(1, Http2ErrorCode.noError);
      tunnel.stream.resume();
      await settle();
      assert.equal(sink.closeError?.reason, 'CONNECTION_RESET', `paused: ${isPaused}`);
      assert.equal(tunnel.stream.state, 'closed');
      assert.equal(tunnel.stream.write(bytes('x')), false);
      assert.deepEqual(rig.told, ['room', 'idle']);
    }
  });

  it('that both have ended is not reset by what comes behind', async () => {
    const { rig, tunnel, sink } = await open();
    await rig.server.data(1, '', true);
    tunnel.stream.end();
    await settle();
    await rig.server.reset(1, Http2ErrorCode.noError);
    assert.equal(sink.closeError, null);
    assert.equal(rig.session.isReusable, true);
  });

  it('outlives GOAWAY, and the connection ends with it', async () => {
    const { rig, tunnel, sink } = await open();
    await rig.server.goaway(1);
    assert.equal(rig.session.isReusable, false);
    await rig.server.data(1, 'still here', true);
    tunnel.stream.write(bytes('so are we'));
    tunnel.stream.end();
    await settle();
    assert.equal(sink.text(), 'still here');
    assert.equal(sink.closeError, null);
    assert.equal(rig.server.heard(1).text, 'so are we');
    assert.equal(rig.told.at(-1), 'close null');
  });

  it('ends with its connection, and with its session', async () => {
    for (const [end, reason] of [
      [(rig: Http2ClientRig) => rig.server.stream.abort(), 'CONNECTION_RESET'],
      [(rig: Http2ClientRig) => rig.session.close(), 'SESSION_CLOSED'],
      [(rig: Http2ClientRig) => rig.server.stream.end(), null],
    ] as const) {
      const { rig, follower, sink, tunnel } = await open();
      end(rig);
      await settle();
      assert.ok(sink.closeError instanceof WireError);
      if (reason !== null) assert.equal(sink.closeError.reason, reason);
      assert.equal(sink.closeError.retry, 'never');
      assert.deepEqual(follower.closes, [null], 'the exchange was over');
      assert.equal(tunnel.stream.write(bytes('x')), false);
      tunnel.stream.abort();
      tunnel.stream.pause();
      tunnel.stream.resume();
      tunnel.stream.end();
      assert.equal(rig.session.openStreamCount, 0);
    }
  });

  it('is reset when onTunnel throws', async () => {
    const rig = await new Http2ClientRig().hello();
    const follower = new ClientFollower();
    follower.react = {
      onTunnel: () => {
        throw new Error('a bug');
      },
    };
    ask(rig, follower);
    await settle();
    await rig.server.headers(1, OK, false);
    await settle();
    assert.equal(rig.server.heard(1).reset, 'CANCEL');
    assert.deepEqual(follower.heard, ['tunnel 200', 'close HANDLER_THREW']);
    assert.equal(rig.session.isReusable, true);
  });

  it('takes nothing but DATA: trailers are an error of the stream', async () => {
    const { rig, sink } = await open();
    await rig.server.headers(1, { 'x-trailer': '1' }, true);
    await settle();
    assert.equal(sink.closeError?.reason, 'H2_TUNNEL_TRAILERS');
    assert.equal(rig.server.heard(1).reset, 'PROTOCOL_ERROR');
    assert.equal(rig.session.isReusable, true);
  });

  it('waits for window, and tells when there is some', async () => {
    const { rig, tunnel, sink } = await open([[SettingId.initialWindowSize, 100]]);
    rig.server.givesCredit = false;
    assert.equal(tunnel.stream.write(new Uint8Array(100_000)), false);
    assert.equal(tunnel.stream.write(new Uint8Array(0)), false);
    await settle();
    assert.equal(rig.server.heard(1).body, 100);
    assert.equal(tunnel.stream.bufferedBytes, 99_900);
    assert.equal(sink.drainCount, 0);
    await rig.server.credit(0, 200_000);
    await rig.server.credit(1, 200_000);
    await settle();
    assert.equal(rig.server.heard(1).body, 100_000);
    assert.equal(sink.drainCount, 1);
    assert.equal(tunnel.stream.writev([bytes('a'), new Uint8Array(0), bytes('b')]), true);
  });
});

describe('extended CONNECT of a client session (RFC 8441)', () => {
  it('is sent when the server has offered it, and makes a tunnel', async () => {
    const rig = await new Http2ClientRig().hello([[SettingId.enableConnectProtocol, 1]]);
    assert.equal(rig.session.takesExtendedConnect, true);
    const follower = new ClientFollower();
    ask(rig, follower, 'websocket');
    await settle();
    const [fields] = rig.server.heard(1).heads;
    assert.deepEqual(fields, { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':authority': 'a', ':path': '/chat' });
    await rig.server.headers(1, OK, false);
    assert.deepEqual(follower.heard, ['tunnel 200', 'close']);
  });

  it('is refused before anything is sent where it was not offered, and over HTTP/1', async () => {
    const rig = await new Http2ClientRig().hello();
    assert.equal(rig.session.takesExtendedConnect, false);
    assert.throws(() => ask(rig, new ClientFollower(), 'websocket'), TypeError);
    assert.equal(rig.session.openStreamCount, 0);
    const old = new ClientRig();
    assert.equal(old.session.takesExtendedConnect, false);
    const framing = { bodyLength: 0, upgrade: null, protocol: 'websocket' };
    assert.throws(() => old.session.request(request('CONNECT', '/chat'), framing, new ClientFollower()), TypeError);
    assert.equal(old.session.isReusable, true);
  });

  it('counts against the header list that the server takes (RFC 9113 §6.5.2)', async () => {
    const head = request('CONNECT', '/chat');
    const bare = [':method', 'CONNECT', ':scheme', 'https', ':path', '/chat', ':authority', 'a'];
    const size = bare.join('').length + 4 * 32;
    const settings = [
      [SettingId.enableConnectProtocol, 1],
      [SettingId.maxHeaderListSize, size + 32 + ':protocolwebsocket'.length - 1],
    ] as const;
    const rig = await new Http2ClientRig().hello(settings);
    const framing = { bodyLength: 0, upgrade: null, protocol: 'websocket' };
    assert.throws(() => rig.session.request(head, framing, new ClientFollower()), { reason: 'H2_PEER_HEADER_LIST' });
    assert.equal(rig.session.openStreamCount, 0);
  });
});

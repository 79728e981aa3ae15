/** Tunnels over HTTP/2 in the server's role, against a client that speaks frames (RFC 9113 §8.5, RFC 8441). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, WireError } from '@ferrata/error';
import { type HttpServerOptions, resolveHttp2ServerOptions, respond, type ServerExchange, type Tunnel } from '@ferrata/http';
import { Http2ErrorCode, SettingId } from '@ferrata/http2-framing';
import { RecordingSink } from '@ferrata/testkit';
import { connectFrames, type Fields, type FramePeer } from './http2-rig.ts';
import { bytes, response, ServerRig, settle } from './rig.ts';

const CONNECT: Fields = { ':method': 'CONNECT', ':authority': 'example.org:443' };
const EXTENDED: Fields = { ...CONNECT, ':protocol': 'websocket', ':scheme': 'http', ':path': '/chat', ':authority': 'a' };

class TunnelRig extends ServerRig {
  readonly peer: FramePeer;
  readonly tunnels: Tunnel[] = [];
  status = 200;

  constructor(options: HttpServerOptions = {}) {
    super(options);
    this.onRequest = (exchange) => {
      if (this.status > 0) this.tunnels.push(exchange.openTunnel(response(this.status)));
    };
    this.peer = connectFrames(this);
  }
  /** Makes a tunnel on stream 1. */
  async open(fields = CONNECT, settings: readonly (readonly [number, number])[] = []): Promise<{ tunnel: Tunnel; sink: RecordingSink }> {
    await this.peer.hello(settings);
    await this.peer.headers(1, fields, false);
    await settle();
    const tunnel = this.tunnels[0] as Tunnel;
    const sink = new RecordingSink();
    tunnel.stream.attach(sink);
    return { tunnel, sink };
  }
  get exchange(): ServerExchange {
    return this.last.exchange;
  }
}

describe('a tunnel of an HTTP/2 server session (RFC 9113 §8.5)', () => {
  it('carries bytes as DATA, each end as END_STREAM, and is over when both have ended', async () => {
    const rig = new TunnelRig();
    const { tunnel, sink } = await rig.open();
    const { peer } = rig;
    const head = peer.heard(1).heads[0];
    assert.equal(head?.[':status'], '200');
    assert.equal(head?.['content-length'], undefined);
    assert.equal(tunnel.remaining.length, 0);
    await peer.data(1, 'ping');
    assert.equal(sink.text(), 'ping');
    tunnel.stream.write(bytes('pong'));
    await settle();
    assert.equal(peer.heard(1).text, 'pong');
    await peer.data(1, '', true);
    assert.deepEqual(sink.kinds(), ['data', 'end']);
    assert.equal(tunnel.stream.state, 'peerEnded');
    tunnel.stream.write(bytes('!'));
    tunnel.stream.end();
    await settle();
    assert.equal(peer.heard(1).text, 'pong!');
    assert.equal(peer.heard(1).hasEnded, true);
    assert.equal(peer.heard(1).reset, null);
    assert.equal(sink.closeError, null);
    assert.deepEqual(rig.last.heard, [], 'the exchange is the application’s to close');
    rig.exchange.closeTunnel(null);
    rig.exchange.closeTunnel(applicationError('TOO_LATE'));
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('says what it is', async () => {
    const rig = new TunnelRig();
    const { tunnel } = await rig.open();
    const { info } = tunnel.stream;
    assert.equal(info.kind, 'http2-tunnel');
    assert.equal(info.below, rig.exchange.info);
    assert.equal(info.tls, null);
    assert.equal(rig.exchange.request.target, 'example.org:443');
    assert.equal(rig.exchange.protocol, null);
    assert.equal(rig.exchange.requestBodyLength, 0);
    assert.equal(rig.exchange.status, 200);
  });

  it('gets what the client said before it was answered, its end too (RFC 9110 §9.3.6: it is no body)', async () => {
    const rig = new TunnelRig();
    rig.status = 0;
    await rig.peer.hello();
    await rig.peer.headers(1, CONNECT, false);
    assert.deepEqual(rig.last.heard, ['end']);
    await rig.peer.data(1, 'too ');
    rig.exchange.resumeRequest();
    rig.exchange.pauseRequest();
    rig.exchange.resumeRequest();
    await rig.peer.data(1, 'early', true);
    assert.deepEqual(rig.last.heard, ['end']);
    assert.equal(rig.exchange.requestBytes, 0);
    const { stream } = rig.exchange.openTunnel(response(200));
    const sink = new RecordingSink();
    stream.attach(sink);
    await settle();
    assert.equal(sink.text(), 'too early');
    assert.deepEqual(sink.kinds(), ['data', 'end']);
  });

  it('may be ended by the client from the beginning: END_STREAM on the HEADERS of CONNECT', async () => {
    const rig = new TunnelRig();
    await rig.peer.hello();
    await rig.peer.headers(1, CONNECT, true);
    const sink = new RecordingSink();
    const { stream } = rig.tunnels[0] as Tunnel;
    stream.attach(sink);
    await settle();
    assert.deepEqual(sink.kinds(), ['end']);
    stream.write(bytes('one way'));
    stream.end();
    await settle();
    assert.equal(rig.peer.heard(1).text, 'one way');
    assert.equal(sink.closeError, null);
  });

  it('is asked for by a request that is whole with its head: a handler that throws at its end has refused it', async () => {
    const rig = new TunnelRig();
    rig.status = 0;
    rig.react = {
      onRequestEnd: () => {
        throw new Error('a bug');
      },
    };
    await rig.peer.hello();
    await rig.peer.headers(1, CONNECT, false);
    assert.equal(rig.peer.status(1), '500');
    assert.deepEqual(
      rig.last.closes.map((error) => error?.reason),
      ['HANDLER_THREW'],
    );
  });

  it('is there with 204 as well (RFC 9110 §9.3.6: any 2xx)', async () => {
    const rig = new TunnelRig();
    rig.status = 204;
    const { tunnel, sink } = await rig.open();
    tunnel.stream.write(bytes('pong'));
    await rig.peer.data(1, 'ping');
    assert.equal(rig.peer.status(1), '204');
    assert.equal(rig.peer.heard(1).text, 'pong');
    assert.equal(sink.text(), 'ping');
  });

  it('that is refused leaves nothing: what came early is dropped, and the client may stop', async () => {
    const rig = new TunnelRig();
    rig.status = 0;
    await rig.peer.hello();
    await rig.peer.headers(1, CONNECT, false);
    await rig.peer.data(1, 'too early');
    respond(rig.exchange, 405);
    await settle();
    assert.equal(rig.peer.status(1), '405');
    assert.equal(rig.peer.heard(1).reset, 'NO_ERROR');
    assert.deepEqual(rig.last.heard, ['end', 'close']);
    await rig.peer.get(3);
    assert.equal(rig.followers.length, 2, 'the connection lives');
  });

  it('is made only of 2xx to CONNECT, once (RFC 9110 §9.3.6)', async () => {
    const rig = new TunnelRig();
    rig.status = 0;
    await rig.peer.hello();
    await rig.peer.headers(1, CONNECT, false);
    const { exchange } = rig;
    for (const status of [101, 199, 300, 404]) assert.throws(() => exchange.openTunnel(response(status)), TypeError);
    assert.throws(() => exchange.sendHead(response(200), 0), TypeError);
    exchange.openTunnel(response(299));
    assert.throws(() => exchange.openTunnel(response(200)), TypeError);
    exchange.closeTunnel(null);
    assert.throws(() => exchange.openTunnel(response(200)), TypeError);
    await rig.peer.get(3);
    assert.throws(() => rig.exchange.openTunnel(response(200)), TypeError);
  });

  it('is not made with a head that the client would not take (RFC 9113 §6.5.2)', async () => {
    const rig = new TunnelRig();
    rig.status = 0;
    await rig.peer.hello([[SettingId.maxHeaderListSize, 200]]);
    await rig.peer.headers(1, CONNECT, false);
    assert.throws(() => rig.exchange.openTunnel(response(200, { 'X-Long': 'x'.repeat(200) })), { reason: 'H2_PEER_HEADER_LIST' });
    await settle();
    assert.equal(rig.peer.status(1), '502');
    assert.deepEqual(
      rig.last.closes.map((error) => error?.reason),
      ['H2_PEER_HEADER_LIST'],
    );
  });

  it('that the client resets says so, and its exchange waits to be closed', async () => {
    const rig = new TunnelRig();
    const { tunnel, sink } = await rig.open();
    await rig.peer.reset(1, Http2ErrorCode.cancel);
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
    assert.equal(sink.closeError?.wire.http2Code, Http2ErrorCode.cancel);
    assert.equal(sink.closeError?.source, 'downstream');
    assert.equal(tunnel.stream.write(bytes('x')), false);
    assert.deepEqual(rig.last.closes, []);
    rig.exchange.closeTunnel(sink.closeError ?? null);
    assert.deepEqual(rig.last.closes, [sink.closeError]);
  });

  it('that nobody has attached a sink to closes its exchange when it is gone, as over HTTP/1', async () => {
    for (const end of ['reset', 'abort', 'connection'] as const) {
      const rig = new TunnelRig();
      await rig.peer.hello();
      await rig.peer.headers(1, CONNECT, false);
      await settle();
      assert.equal(rig.last.closes.length, 0);
      if (end === 'reset') await rig.peer.reset(1, Http2ErrorCode.cancel);
      else if (end === 'abort') rig.tunnels[0]?.stream.abort(applicationError('TOO_LATE'));
      else rig.peer.stream.abort();
      await settle();
      const expected = { reset: 'CONNECTION_RESET', abort: 'TOO_LATE', connection: 'CONNECTION_RESET' }[end];
      assert.deepEqual(
        rig.last.closes.map((error) => error?.reason),
        [expected],
        end,
      );
      assert.equal(rig.tunnels[0]?.stream.state, 'closed');
    }
  });

  it('that is aborted resets its stream: CONNECT_ERROR for a failure behind it (RFC 9113 §8.5), else CANCEL, and always for a protocol (RFC 8441 §5)', async () => {
    for (const [fields, error, code] of [
      [CONNECT, applicationError('X'), 'CONNECT_ERROR'],
      [CONNECT, undefined, 'CANCEL'],
      [EXTENDED, applicationError('X'), 'CANCEL'],
      [EXTENDED, undefined, 'CANCEL'],
    ] as const) {
      const rig = new TunnelRig({ http2: { extendedConnect: true } });
      const { tunnel, sink } = await rig.open(fields);
      tunnel.stream.abort(error);
      await settle();
      assert.equal(rig.peer.heard(1).reset, code);
      assert.equal(sink.closeError, error ?? null);
    }
  });

  it('is aborted by closeTunnel, and by the exchange’s abort, unless it has ended', async () => {
    for (const close of [
      (exchange: ServerExchange, error: WireError) => exchange.closeTunnel(error),
      (exchange: ServerExchange, error: WireError) => exchange.abort(error),
    ]) {
      const rig = new TunnelRig();
      const { sink } = await rig.open();
      const error = applicationError('ENOUGH');
      close(rig.exchange, error);
      await settle();
      assert.equal(rig.peer.heard(1).reset, 'CONNECT_ERROR');
      assert.equal(sink.closeError, error);
      assert.deepEqual(rig.last.closes, [error]);
    }
  });

  it('takes nothing but DATA: trailers are an error of the stream (RFC 9113 §8.5)', async () => {
    const rig = new TunnelRig();
    const { sink } = await rig.open();
    await rig.peer.headers(1, { 'x-trailer': '1' }, true);
    assert.equal(sink.closeError?.reason, 'H2_TUNNEL_TRAILERS');
    assert.equal(rig.peer.heard(1).reset, 'PROTOCOL_ERROR');
    await rig.peer.headers(3, CONNECT, false);
    assert.equal(rig.tunnels.length, 2);
  });

  it('ends with its connection, whichever way that ends', async () => {
    for (const end of [
      (rig: TunnelRig) => rig.peer.stream.abort(),
      (rig: TunnelRig) => rig.peer.stream.end(),
      // DATA of the connection itself: a violation.
      (rig: TunnelRig) => rig.peer.stream.write(new Uint8Array(64)),
    ]) {
      const rig = new TunnelRig();
      const { sink } = await rig.open();
      end(rig);
      await settle();
      assert.ok(sink.closeError instanceof WireError);
      assert.equal(sink.closeError.source, 'downstream');
      assert.deepEqual(rig.last.closes, []);
      rig.exchange.closeTunnel(sink.closeError);
      assert.equal(rig.last.closes.length, 1);
      await rig.advance(10_000);
      rig.assertEmpty();
    }
  });

  it('goes on writing to a client that has ended the stream and then the connection’s own side', async () => {
    const rig = new TunnelRig();
    const { tunnel, sink } = await rig.open();
    await rig.peer.data(1, '', true);
    rig.peer.stream.end();
    await settle();
    await rig.advance(5_000);
    assert.deepEqual(sink.kinds(), ['end']);
    tunnel.stream.write(bytes('still here'));
    tunnel.stream.end();
    await settle();
    assert.equal(rig.peer.heard(1).text, 'still here');
    assert.equal(sink.closeError, null);
  });

  it('that waits for window loses what it has when the client’s side of the connection has ended: none can come', async () => {
    const rig = new TunnelRig();
    rig.peer.givesCredit = false;
    const { tunnel, sink } = await rig.open(CONNECT, [[SettingId.initialWindowSize, 10]]);
    await rig.peer.data(1, '', true);
    tunnel.stream.write(bytes('more than ten bytes'));
    await settle();
    assert.equal(rig.peer.heard(1).body, 10);
    assert.equal(tunnel.stream.bufferedBytes, 9);
    rig.peer.stream.end();
    await rig.advance(2_000);
    assert.ok(sink.closeError instanceof WireError);
    assert.equal(tunnel.stream.bufferedBytes, 0);
  });

  it('loses what is written without window after that, too', async () => {
    const rig = new TunnelRig();
    rig.peer.givesCredit = false;
    const { tunnel, sink } = await rig.open(CONNECT, [[SettingId.initialWindowSize, 10]]);
    await rig.peer.data(1, '', true);
    rig.peer.stream.end();
    await settle();
    assert.deepEqual(sink.kinds(), ['end']);
    tunnel.stream.write(bytes('more than ten bytes'));
    await rig.advance(2_000);
    assert.equal(sink.closeError?.reason, 'CLIENT_CLOSED');
    assert.deepEqual(rig.last.closes, []);
    rig.exchange.closeTunnel(sink.closeError ?? null);
    await rig.advance(5_000);
    rig.assertEmpty();
  });

  it('may be silent for as long as it likes', async () => {
    const rig = new TunnelRig({ http2: { connection: { pingIntervalMs: 30_000 } } });
    const { tunnel, sink } = await rig.open();
    for (let seconds = 0; seconds < 40 * 60; seconds += 5) await rig.advance(5_000);
    assert.deepEqual(sink.events, []);
    assert.equal(tunnel.stream.state, 'open');
    await rig.peer.data(1, 'x');
    assert.equal(sink.text(), 'x');
  });

  it('is cut when its client gives no window for what it has to say (class of CVE-2019-9517)', async () => {
    const rig = new TunnelRig();
    rig.peer.givesCredit = false;
    const { tunnel, sink } = await rig.open(CONNECT, [[SettingId.initialWindowSize, 0]]);
    tunnel.stream.write(bytes('x'));
    for (let second = 0; second < 120 && !sink.isClosed; second += 5) await rig.advance(5_000);
    assert.equal(sink.closeError?.reason, 'H2_WRITE_STALLED');
    assert.equal(sink.closeError?.source, 'downstream');
    assert.equal(rig.peer.heard(1).reset, 'CANCEL');
  });

  it('is waited for by a server that drains, and no new one is made', async () => {
    const rig = new TunnelRig();
    const { tunnel, sink } = await rig.open();
    const drained = rig.server.drain(60_000);
    await rig.advance(5_000);
    await rig.peer.data(1, 'last words', true);
    assert.equal(sink.text(), 'last words');
    assert.equal(rig.server.connectionCount, 1);
    tunnel.stream.end();
    await settle();
    rig.exchange.closeTunnel(null);
    await rig.advance(5_000);
    assert.equal(await drained, 0);
    rig.assertEmpty();
  });

  it('is cut off when its writer does not wait: STREAM_WRITE_OVERFLOW', async () => {
    const rig = new TunnelRig();
    rig.peer.givesCredit = false;
    const { tunnel, sink } = await rig.open(CONNECT, [[SettingId.initialWindowSize, 0]]);
    let written = 0;
    while (tunnel.stream.state === 'open' && written < 8_388_608) {
      assert.equal(tunnel.stream.write(new Uint8Array(65_536)), false);
      written += 65_536;
    }
    await settle();
    assert.equal(written, 1_048_576 + 65_536);
    assert.equal(sink.closeError?.reason, 'STREAM_WRITE_OVERFLOW');
    assert.equal(sink.closeError?.fault, 'local');
  });

  it('holds no more than two windows for a reader who takes one chunk at a time', async () => {
    const window = 65_535;
    const rig = new TunnelRig();
    await rig.open();
    const { stream } = rig.tunnels[0] as Tunnel;
    let taken = 0;
    stream.attach(
      new RecordingSink({
        onData: (chunk) => {
          taken += chunk.length;
          stream.pause();
        },
      }),
    );
    let sent = 0;
    let allowed = window;
    for (let round = 0; round < 200; round++) {
      while (sent + 1_000 <= allowed) {
        await rig.peer.data(1, new Uint8Array(1_000));
        sent += 1_000;
      }
      stream.resume();
      await settle();
      // Every credit of the stream is for bytes that were read, or are held within the bound.
      assert.ok(sent - taken <= 2 * window, `${sent - taken} bytes are held`);
      allowed = taken + window;
    }
    assert.ok(taken > 0);
  });
});

describe('extended CONNECT of an HTTP/2 server session (RFC 8441)', () => {
  it('is offered by a setting when it is asked for, and the exchange tells the protocol', async () => {
    const rig = new TunnelRig({ http2: { extendedConnect: true } });
    const { tunnel, sink } = await rig.open(EXTENDED);
    assert.equal(rig.exchange.protocol, 'websocket');
    assert.equal(rig.exchange.request.method, 'CONNECT');
    assert.equal(rig.exchange.request.target, '/chat');
    assert.equal(rig.exchange.upgrade, null);
    await rig.peer.data(1, 'ping');
    assert.equal(sink.text(), 'ping');
    tunnel.stream.end();
    await settle();
    assert.equal(rig.peer.heard(1).hasEnded, true);
  });

  it('is malformed where it was not offered (§4)', async () => {
    const rig = new TunnelRig();
    await rig.peer.hello();
    await rig.peer.headers(1, EXTENDED, false);
    assert.equal(rig.peer.heard(1).reset, 'PROTOCOL_ERROR');
    assert.equal(rig.refusals[0]?.error.reason, 'H2_PROTOCOL_NOT_ENABLED');
  });

  it('may be switched on in either place; the one named extendedConnect counts', () => {
    const connection = { isExtendedConnectEnabled: true };
    assert.equal(resolveHttp2ServerOptions().connection.isExtendedConnectEnabled, false);
    assert.equal(resolveHttp2ServerOptions({ connection }).extendedConnect, true);
    assert.equal(resolveHttp2ServerOptions({ connection, extendedConnect: false }).connection.isExtendedConnectEnabled, false);
    assert.equal(resolveHttp2ServerOptions({ extendedConnect: true }).connection.isExtendedConnectEnabled, true);
    assert.throws(() => resolveHttp2ServerOptions({ extendedConnect: 1 as never }), TypeError);
  });
});

/** One port for HTTP/1 and HTTP/2: told apart by the first bytes of a connection, or by what TLS has agreed on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CLIENT_PREFACE } from '@ferrata/http2-framing';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { connectFrames, FramePeer, requestFields } from './http2-rig.ts';
import { bytes, echoTarget, get, ServerRig, settle } from './rig.ts';

describe('a connection that begins with the client preface (RFC 9113 §3.4)', () => {
  it('is HTTP/2, wherever the preface is cut', async () => {
    for (let cut = 1; cut <= CLIENT_PREFACE.length + 12; cut++) {
      const rig = new ServerRig();
      rig.onRequest = echoTarget;
      const peer = connectFrames(rig);
      const conversation = peer.frames((writer) => {
        writer.writeBytes(CLIENT_PREFACE);
        writer.writeBytes(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
        peer.putHeaders(writer, 1, requestFields('GET', '/two'));
      });
      peer.stream.write(conversation.slice(0, cut));
      await settle();
      assert.equal(rig.server.connectionCount, 1);
      peer.stream.write(conversation.slice(cut));
      await settle();
      assert.equal(peer.heard(1).text, '/two', `cut at ${cut}`);
      assert.equal(rig.server.connectionCount, 1);
    }
  });

  it('is HTTP/2 when it comes byte by byte', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const peer = connectFrames(rig);
    for (const byte of CLIENT_PREFACE) {
      peer.stream.write(Uint8Array.of(byte));
      await settle();
    }
    assert.equal(peer.has('SETTINGS'), true);
    await peer.say((writer) => writer.writeBytes(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0)));
    await peer.get(1, '/slow');
    assert.equal(peer.heard(1).text, '/slow');
  });

  it('has the time of a head for it, and no more', async () => {
    for (let length = 1; length < CLIENT_PREFACE.length; length++) {
      const rig = new ServerRig();
      const client = rig.connect();
      client.stream.write(CLIENT_PREFACE.slice(0, length));
      await rig.advance(9_900);
      assert.equal(client.received, '');
      await rig.advance(200);
      assert.match(client.received, /^HTTP\/1\.1 408 /, `after ${length} bytes`);
      await rig.advance(3_000);
      rig.assertEmpty();
    }
  });

  it('and ends within it is refused as a request would be', async () => {
    for (let length = 1; length < CLIENT_PREFACE.length; length++) {
      const rig = new ServerRig();
      const client = rig.connect();
      client.stream.write(CLIENT_PREFACE.slice(0, length));
      const received = await client.end();
      assert.match(received, /^(HTTP\/1\.1 (400|505) |$)/, `after ${length} bytes`);
      assert.equal(rig.followers.length, 0);
      await rig.advance(3_000);
      assert.equal(rig.server.connectionCount, 0);
    }
  });

  it('and goes on otherwise is HTTP/1, whatever part of it matched', async () => {
    for (const input of [
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
      'PUT / HTTP/1.1\r\nHost: a\r\n\r\n',
      'PRIX / HTTP/1.1\r\nHost: a\r\n\r\n',
    ]) {
      for (let cut = 0; cut < 6; cut++) {
        const rig = new ServerRig();
        rig.onRequest = echoTarget;
        const client = rig.connect();
        if (cut > 0) await client.send(input.slice(0, cut));
        assert.match(await client.send(input.slice(cut)), /^HTTP\/1\.1 200 OK/, `${input.slice(0, 4)} cut at ${cut}`);
      }
    }
    const rig = new ServerRig();
    const client = rig.connect();
    assert.match(await client.send('PRI * HTTP/2.0\r\n\r\nSMTP'), /^HTTP\/1\.1 (400|505) /);
    assert.equal(rig.followers.length, 0);
  });

  it('later than that is a wrong request', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const client = rig.connect();
    await client.send(get());
    client.stream.write(CLIENT_PREFACE);
    await settle();
    assert.match(client.received, /HTTP\/1\.1 (400|505) [^]*$/);
    assert.equal(rig.followers.length, 1);
  });

  it('is refused when HTTP/2 is off', async () => {
    for (const cut of [3, CLIENT_PREFACE.length]) {
      const rig = new ServerRig({ http2: false });
      const client = rig.connect();
      client.stream.write(CLIENT_PREFACE.slice(0, cut));
      await settle();
      client.stream.write(CLIENT_PREFACE.slice(cut));
      await settle();
      assert.match(client.received, /^HTTP\/1\.1 (400|505) /);
      assert.equal(rig.refusals.length, 1);
    }
  });

  it('is drained when the server is', async () => {
    const rig = new ServerRig();
    const peer = connectFrames(rig);
    const drained = rig.server.drain(10_000);
    await peer.hello();
    await settle();
    assert.equal(peer.hasEnded, true);
    assert.equal(
      peer.log.some((frame) => frame.startsWith('GOAWAY')),
      true,
    );
    peer.stream.end();
    assert.equal(await drained, 0);
  });

  it('counts among the connections, and makes room when it is idle', async () => {
    const rig = new ServerRig({ maxConnections: 1 });
    const idle = await connectFrames(rig).hello();
    const client = rig.connect();
    await settle();
    assert.equal(idle.isClosed, true);
    rig.onRequest = echoTarget;
    assert.match(await client.send(get()), /200 OK/);
    assert.equal(rig.server.connectionCount, 1);
  });
});

describe('a connection of which TLS has agreed on h2', () => {
  it('is HTTP/2 at once: our SETTINGS do not wait for the preface', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const peer = new FramePeer(connectAs(rig, 'h2'));
    await settle();
    assert.equal(peer.has('SETTINGS'), true);
    await peer.hello();
    await peer.get(1, '/tls');
    assert.equal(peer.heard(1).text, '/tls');
  });

  it('is refused if it speaks HTTP/1 all the same', async () => {
    const rig = new ServerRig();
    const peer = new FramePeer(connectAs(rig, 'h2'));
    peer.stream.write(bytes(get()));
    await settle();
    assert.equal(rig.followers.length, 0);
    assert.equal(peer.hasEnded, true);
    assert.match(peer.log.at(-1) ?? '', /^GOAWAY 0 PROTOCOL_ERROR/);
  });

  it('is HTTP/1 for any other protocol', async () => {
    const rig = new ServerRig();
    const peer = new FramePeer(connectAs(rig, 'http/1.1'));
    await settle();
    assert.equal(peer.log.length, 0);
  });
});

describe('Upgrade: h2c, which RFC 9113 §3.1 has removed', () => {
  it('is ignored: the request is answered as HTTP/1.1, and the connection stays', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const client = rig.connect();
    const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n';
    const received = await client.send(`GET /up HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`);
    assert.match(received, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(received, /101|upgrade/i);
    assert.match(await client.send(get('/next')), /\/next$/);
  });
});

/** A connection that looks as if it came over TLS. */
function connectAs(rig: ServerRig, alpn: string): L4Stream {
  const { a, b } = memoryPair({ clock: rig.clock });
  const tls = {
    version: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    alpn,
    serverName: null,
    isResumed: false,
    peerCertificate: null,
    isPeerVerified: false,
    extension: undefined,
  };
  Object.defineProperty(b, 'info', { value: { ...b.info, tls } });
  rig.server.accept(b);
  return a;
}

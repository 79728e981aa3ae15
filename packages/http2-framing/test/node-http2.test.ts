/** Node's own HTTP/2 (nghttp2) reads what we write, and we read what it writes, over loopback. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { ByteWriter, latin1Encode } from '@ferrata/bytes';
import {
  CLIENT_PREFACE,
  FrameDecoder,
  FrameFlag,
  FrameType,
  frameTypeName,
  prefaceMatch,
  SettingId,
  writeAltsvc,
  writeData,
  writeGoaway,
  writeHeaders,
  writePing,
  writePriority,
  writePriorityUpdate,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeUnknownFrame,
  writeWindowUpdate,
} from '@ferrata/http2-framing';

/** A frame as the tests look at it; DATA joined. */
interface SeenFrame {
  readonly name: string;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
  readonly errorCode: number;
  readonly increment: number;
  readonly settings: Readonly<Record<number, number>>;
}

/** One end of a connection that speaks in frames: what comes is decoded in chunks of seven bytes. */
class FramePeer {
  readonly seen: SeenFrame[] = [];
  readonly writer = new ByteWriter();
  readonly #socket: Socket;
  readonly #decoder = new FrameDecoder();
  readonly #pieces: Buffer[] = [];
  #preface: Buffer | null;

  constructor(socket: Socket, role: 'client' | 'server') {
    this.#socket = socket;
    this.#preface = role === 'server' ? Buffer.alloc(0) : null;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    // A reset at the end of a test is the other's business.
    socket.on('error', () => {});
    if (role === 'client') this.writer.writeBytes(CLIENT_PREFACE);
  }

  flush(): void {
    this.#socket.write(this.writer.take());
  }

  /** Waits for a frame of this type, perhaps one that has come. */
  async frame(type: number, flag = 0): Promise<SeenFrame> {
    for (;;) {
      const found = this.seen.find((one) => one.name === frameTypeName(type) && (one.flags & flag) === flag);
      if (found !== undefined) return found;
      await once(this.#socket, 'data');
    }
  }

  #receive(chunk: Buffer): void {
    let rest = chunk;
    if (this.#preface !== null) {
      const begun = Buffer.concat([this.#preface, chunk]);
      const match = prefaceMatch(begun);
      assert.notEqual(match, 'no');
      this.#preface = match === 'yes' ? null : begun;
      if (match === 'partial') return;
      rest = begun.subarray(CLIENT_PREFACE.length);
    }
    for (let at = 0; at < rest.length; at += 7) {
      this.#decoder.feed(rest.subarray(at, at + 7));
      while (this.#decoder.next()) this.#note(this.#decoder);
    }
  }

  #note(decoder: FrameDecoder): void {
    const { type, flags, streamId, errorCode, increment, bytes, payloadStart, payloadEnd } = decoder;
    this.#pieces.push(Buffer.from(bytes.subarray(payloadStart, payloadEnd)));
    if (!decoder.isFrameEnd) return;
    assert.equal(decoder.streamError, 0);
    const count = type === FrameType.settings ? decoder.settingCount : 0;
    const settings: Record<number, number> = {};
    for (let i = 0; i < count; i++) settings[decoder.settingIdAt(i)] = decoder.settingValueAt(i);
    const payload = Buffer.concat(this.#pieces.splice(0));
    this.seen.push({ name: frameTypeName(type), flags, streamId, payload, errorCode, increment, settings });
  }
}

/** POST / to http://a, and the response 200, in fields of the static table and one literal. */
const request = Uint8Array.of(0x83, 0x86, 0x84, 0x41, 0x01, 0x61);
const response = Uint8Array.of(0x88);

async function portOf(server: Server | http2.Http2Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('node:http2', { timeout: 20_000 }, () => {
  test('as a server reads our frames of every type that a client sends (RFC 9113 §6)', async () => {
    const server = http2.createServer({ settings: { maxConcurrentStreams: 7 } });
    const port = await portOf(server);
    const sessions = once(server, 'session') as Promise<[http2.ServerHttp2Session]>;
    const bodies: string[] = [];
    server.on('stream', (stream, headers) => {
      stream.setEncoding('latin1');
      stream.on('data', (text: string) => bodies.push(text));
      stream.on('end', () => {
        // The one that was reset ends, too.
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end(`${String(headers[':authority'])} ${bodies.join('')}`);
      });
      stream.on('error', () => {});
    });
    const socket = connect(port, '127.0.0.1');
    try {
      const peer = new FramePeer(socket, 'client');
      const { writer } = peer;
      writeSettings(writer, [
        [SettingId.maxConcurrentStreams, 100],
        [SettingId.initialWindowSize, 70_000],
        [SettingId.noRfc7540Priorities, 1],
      ]);
      writeWindowUpdate(writer, 0, 100_000);
      writeUnknownFrame(writer, { type: 0xfa, flags: 0xff, payload: Uint8Array.of(1, 2, 3) });
      writePriority(writer, 5, { dependsOn: 3, weight: 256, isExclusive: true });
      writePriorityUpdate(writer, 1, 'u=1, i');
      writePing(writer, latin1Encode('01234567'));
      writeHeaders(writer, 1, request, { padding: 9, priority: { dependsOn: 0, weight: 1 } });
      writeData(writer, 1, latin1Encode('hello '), { padding: 255 });
      writeWindowUpdate(writer, 1, 1);
      writeData(writer, 1, latin1Encode('world'), { isEndStream: true });
      writeHeaders(writer, 3, request);
      writeRstStream(writer, 3, 8);
      peer.flush();

      const [session] = await sessions;
      const goaways = once(session, 'goaway') as Promise<[code: number, lastStreamId: number, debug: Buffer]>;
      assert.equal((await peer.frame(FrameType.settings)).settings[SettingId.maxConcurrentStreams], 7);
      await peer.frame(FrameType.settings, FrameFlag.ack);
      assert.equal((await peer.frame(FrameType.ping, FrameFlag.ack)).payload.toString(), '01234567');
      assert.equal((await peer.frame(FrameType.headers)).streamId, 1);
      await peer.frame(FrameType.data, FrameFlag.endStream);
      const echoed = peer.seen.filter(({ name }) => name === 'DATA').map(({ payload }) => payload);
      assert.equal(Buffer.concat(echoed).toString(), 'a hello world');
      assert.equal(session.remoteSettings.initialWindowSize, 70_000);
      assert.equal(session.remoteSettings.maxConcurrentStreams, 100);

      writeSettingsAck(writer);
      writeGoaway(writer, 0, 11, 'calm');
      peer.flush();
      const [code, lastStreamId, debug] = await goaways;
      assert.deepEqual([code, lastStreamId, String(debug)], [11, 0, 'calm']);
    } finally {
      socket.destroy();
      server.close();
    }
  });

  test('as a client is read by us, and reads what a server sends', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket));
    const port = await portOf(server);
    const client = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 80_000, enablePush: false } });
    client.on('error', () => {});
    try {
      await once(client, 'connect');
      if (sockets.length === 0) await once(server, 'connection');
      const [socket] = sockets;
      assert.ok(socket !== undefined);
      const peer = new FramePeer(socket, 'server');
      const { writer } = peer;
      const post = client.request({ ':method': 'POST', ':path': '/' });
      post.on('error', () => {});
      post.write('half');
      post.end(' of it');

      const { settings } = await peer.frame(FrameType.settings);
      assert.deepEqual([settings[SettingId.initialWindowSize], settings[SettingId.enablePush]], [80_000, 0]);
      writeSettings(writer, [[SettingId.maxFrameSize, 20_000]]);
      writeSettingsAck(writer);
      writeUnknownFrame(writer, { type: 0x0b });
      writeAltsvc(writer, 0, 'http://a', 'h2=":1"');
      peer.flush();
      const [alt, origin, streamId] = (await once(client, 'altsvc')) as [string, string, number];
      assert.deepEqual([alt, origin, streamId], ['h2=":1"', 'http://a', 0]);
      await peer.frame(FrameType.settings, FrameFlag.ack);
      assert.equal((await peer.frame(FrameType.headers, FrameFlag.endHeaders)).streamId, 1);
      await peer.frame(FrameType.data, FrameFlag.endStream);
      const sent = peer.seen.filter(({ name }) => name === 'DATA').map(({ payload }) => payload);
      assert.equal(Buffer.concat(sent).toString(), 'half of it');

      const pings = new Promise<Buffer>((resolve) => client.ping(latin1Encode('abcdefgh'), (_error, _ms, payload) => resolve(payload)));
      const ping = await peer.frame(FrameType.ping);
      assert.equal(ping.payload.toString(), 'abcdefgh');
      writePing(writer, ping.payload, { isAck: true });
      peer.flush();
      assert.equal((await pings).toString(), 'abcdefgh');

      client.setLocalWindowSize(200_000);
      assert.ok((await peer.frame(FrameType.windowUpdate)).increment > 0);

      writeHeaders(writer, 1, response, { padding: 3 });
      writeData(writer, 1, latin1Encode('answer'), { padding: 0 });
      peer.flush();
      const [head] = (await once(post, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
      assert.equal(head[':status'], 200);
      const [text] = (await once(post, 'data')) as [Buffer];
      assert.equal(String(text), 'answer');
      post.close(http2.constants.NGHTTP2_CANCEL);
      assert.equal((await peer.frame(FrameType.rstStream)).errorCode, 8);

      client.goaway(11, 0, Buffer.from('calm'));
      const goaway = await peer.frame(FrameType.goaway);
      assert.deepEqual([goaway.errorCode, goaway.payload.toString()], [11, 'calm']);
    } finally {
      client.destroy();
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
});

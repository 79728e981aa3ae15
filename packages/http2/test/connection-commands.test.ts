import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { Http2Connection, Http2Event, type Http2Options, type Http2Stream, Role, resolveHttp2Options } from '@ferrata/http2';
import { SettingId, writeData, writePing, writeRstStream, writeSettings, writeWindowUpdate } from '@ferrata/http2-framing';
import { Pair } from './connection-harness.ts';
import { GET, POST, RawPeer } from './raw-peer.ts';

const get = (headers: Record<string, string> = {}) => requestHead('GET', '/', { headers: { Host: 'a', ...headers } });

function served(peer: RawPeer, fields = GET): Http2Stream {
  const id = peer.end.streams.size * 2 + 1;
  peer.headers(id, fields, { isEndStream: true }).flush();
  const stream = peer.end.streams.get(id);
  assert.ok(stream);
  return stream;
}

describe('commands in a wrong order are misuse, and change nothing', () => {
  test('of the wrong role', () => {
    const server = new RawPeer(Role.server).end.connection;
    assert.throws(() => server.request(get(), {}, 0), TypeError);
    assert.equal(server.availableStreams, 0);
    const client = new RawPeer(Role.client).end.connection;
    const stream = client.request(get(), {}, 0);
    assert.throws(() => client.sendHead(stream, responseHead(200), 0, '', 0), TypeError);
    assert.throws(() => client.sendInterim(stream, responseHead(103), 0), TypeError);
  });

  test('a second head, a body before the head, an end before the head, a body behind the end', () => {
    const peer = new RawPeer(Role.server);
    const { connection } = peer.end;
    const stream = served(peer);
    assert.throws(() => connection.sendData(stream, new Uint8Array(1), 0), TypeError);
    assert.throws(() => connection.sendEnd(stream, null, 0), TypeError);
    connection.sendHead(stream, responseHead(200), -1, '', 0);
    assert.throws(() => connection.sendHead(stream, responseHead(200), -1, '', 0), TypeError);
    assert.throws(() => connection.sendInterim(stream, responseHead(103), 0), TypeError);
    connection.sendData(stream, new Uint8Array(1), 0);
    connection.sendEnd(stream, null, 0);
    assert.equal(connection.sendData(stream, new Uint8Array(0), 0), true);
    assert.throws(() => connection.sendData(stream, new Uint8Array(1), 0), TypeError);
    connection.sendEnd(stream, null, 0);
    peer.read();
    assert.equal(stream.isClosed, true);
  });

  test('statuses and lengths that are none', () => {
    const peer = new RawPeer(Role.server);
    const { connection } = peer.end;
    const stream = served(peer);
    assert.throws(() => connection.sendInterim(stream, responseHead(200), 0), RangeError);
    assert.throws(() => connection.sendInterim(stream, responseHead(101), 0), RangeError);
    assert.throws(() => connection.sendHead(stream, responseHead(103), 0, '', 0), RangeError);
    for (const length of [-2, 0.5, Number.NaN, 2 ** 53])
      assert.throws(() => connection.sendHead(stream, responseHead(200), length, '', 0), RangeError);
    for (const urgency of [-1, 8, 1.5]) assert.throws(() => connection.setPriority(stream, urgency, false), RangeError);
  });

  test('a head that cannot be sent leaves everything as it was: another one can be', () => {
    const pair = new Pair();
    const { connection } = pair.client;
    pair.exchange();
    const wrong = get();
    wrong.headers.append('Host', 'b');
    assert.throws(() => connection.request(wrong, {}, 0), TypeError);
    assert.equal(connection.hasOutput, false);
    const stream = connection.request(get(), {}, 0);
    assert.equal(stream.id, 1);
    pair.server.onEvent = (end, one, event) => {
      if (event !== Http2Event.head || one === null) return;
      const bad = responseHead(200);
      bad.status = 1_000;
      assert.throws(() => end.connection.sendHead(one, bad, 0, '', 0));
      end.connection.sendHead(one, responseHead(204), 0, '', 0);
    };
    pair.exchange();
    assert.equal(pair.client.story(1), 'head end');
  });
});

describe('a body that differs from its announced length', () => {
  test('is reset when it is longer, or shorter, and the program hears of it', () => {
    const peer = new RawPeer(Role.server);
    const { connection } = peer.end;
    const long = served(peer);
    connection.sendHead(long, responseHead(200), 2, '', 0);
    assert.throws(() => connection.sendData(long, new Uint8Array(3), 0), RangeError);
    const short = served(peer);
    connection.sendHead(short, responseHead(200), 2, '', 0);
    connection.sendData(short, new Uint8Array(1), 0);
    assert.throws(() => connection.sendEnd(short, null, 0), RangeError);
    peer.read();
    assert.deepEqual(peer.told('RST_STREAM'), ['RST_STREAM 1 2', 'RST_STREAM 3 2']);
    assert.equal(connection.openStreamCount, 0);
  });
});

test('responses without a body end with their HEADERS, and what a program sends of one is dropped (RFC 9110 §6.4.1)', () => {
  const peer = new RawPeer(Role.server);
  const { connection } = peer.end;
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    const stream = served(peer, [[':method', method], ...GET.slice(1)]);
    connection.sendHead(stream, responseHead(status), 10, '', 0);
    assert.equal(connection.sendData(stream, new Uint8Array(10), 0), !stream.isClosed);
    connection.sendEnd(stream, HeaderMap.from({ 'X-Sum': '1' }), 0);
  }
  peer.read();
  assert.deepEqual(
    peer.answers.filter(({ type }) => type === 'HEADERS').map(({ flags }) => flags & 1),
    [1, 1, 1],
  );
  assert.equal(
    peer.answers.some(({ type }) => type === 'DATA'),
    false,
  );
});

test('extended CONNECT is offered, asked for and carried both ways (RFC 8441)', () => {
  const pair = new Pair({ server: { isExtendedConnectEnabled: true } });
  pair.exchange();
  assert.equal(pair.client.connection.peerSettings.isExtendedConnectEnabled, true);
  const head = requestHead('CONNECT', '/chat', { headers: { Host: 'example.org' } });
  const stream = pair.client.connection.request(head, { bodyLength: -1, protocol: 'websocket' }, 0);
  pair.server.onEvent = (end, one, event) => {
    if (event === Http2Event.head && one !== null) end.connection.sendHead(one, responseHead(200), -1, '', 0);
    if (event === Http2Event.data && one !== null) end.connection.sendData(one, end.connection.data, 0);
    if (event === Http2Event.end && one !== null) end.connection.sendEnd(one, null, 0);
  };
  pair.client.connection.sendData(stream, Buffer.from('ping'), 0);
  pair.exchange();
  assert.equal(pair.server.streams.get(1)?.protocol, 'websocket');
  assert.equal(pair.client.body(1), 'ping');
  pair.client.connection.sendEnd(stream, null, 0);
  pair.exchange();
  assert.equal(pair.client.story(1), 'head data end');
  const plain = new Pair();
  plain.exchange();
  assert.throws(() => plain.client.connection.request(head, { bodyLength: -1, protocol: 'websocket' }, 0), TypeError);
});

test('204 to CONNECT makes a tunnel like any other 2xx: it ends nothing, and DATA follows both ways (RFC 9110 §9.3.6)', () => {
  const pair = new Pair();
  pair.exchange();
  const stream = pair.client.connection.request(requestHead('CONNECT', 'example.org:443'), { bodyLength: -1 }, 0);
  pair.server.onEvent = (end, one, event) => {
    if (event === Http2Event.head && one !== null) end.connection.sendHead(one, responseHead(204), -1, '', 0);
    if (event === Http2Event.data && one !== null) end.connection.sendData(one, end.connection.data, 0);
  };
  pair.client.connection.sendData(stream, Buffer.from('ping'), 0);
  pair.exchange();
  assert.equal(pair.client.body(1), 'ping');
  assert.equal(stream.isClosed, false);
});

test('RST_STREAM(NO_ERROR) behind END_STREAM ends a tunnel, where it only ends the rest of another request (§8.1, §8.5)', () => {
  const peer = new RawPeer(Role.client);
  const { connection } = peer.end;
  const tunnel = connection.request(requestHead('CONNECT', 'example.org:443'), { bodyLength: -1 }, 0);
  const upload = connection.request(requestHead('POST', '/', { headers: { Host: 'example.org' } }), { bodyLength: -1 }, 0);
  for (const { id } of [tunnel, upload]) {
    peer.headers(id, [[':status', '200']]);
    peer.write((w) => writeData(w, id, new Uint8Array(0), { isEndStream: true }));
    peer.write((w) => writeRstStream(w, id, 0));
  }
  peer.flush();
  const told = (id: number) => peer.end.seen.filter((one) => one.id === id).map(({ event }) => event);
  assert.deepEqual(told(tunnel.id), ['head', 'end', 'reset']);
  assert.deepEqual(told(upload.id), ['head', 'end']);
  assert.equal(tunnel.isClosed, true);
});

test('a client opens no more streams than both sides allow (§5.1.2)', () => {
  const peer = new RawPeer(Role.client, { maxConcurrentStreams: 5 });
  const { connection } = peer.end;
  assert.equal(connection.availableStreams, 5);
  peer.write((w) => writeSettings(w, [[SettingId.maxConcurrentStreams, 2]])).flush();
  assert.equal(connection.availableStreams, 2);
  connection.request(get(), {}, 0);
  connection.request(get(), {}, 0);
  assert.throws(() => connection.request(get(), {}, 0), RangeError);
  peer.write((w) => writeRstStream(w, 1, 8)).flush();
  assert.equal(connection.availableStreams, 1);
});

test('a client says priorities by field and by frame, and orders its own DATA by them (RFC 9218 §5, §7.1)', () => {
  const pair = new Pair();
  pair.exchange();
  const stream = pair.client.connection.request(get({ Priority: 'u=1, i' }), { bodyLength: -1 }, 0);
  assert.deepEqual([stream.urgency, stream.isIncremental], [1, true]);
  pair.exchange();
  assert.equal(pair.server.streams.get(1)?.urgency, 1);
  pair.client.connection.setPriority(stream, 6, false);
  pair.exchange();
  assert.deepEqual([pair.server.streams.get(1)?.urgency, pair.server.streams.get(1)?.isIncremental], [6, false]);
});

test('interim responses beyond the limit are dropped by a server, and an error for a client', () => {
  const pair = new Pair({ server: { maxInterimResponses: 5 }, client: { maxInterimResponses: 3, guard: false } });
  pair.server.onEvent = (end, stream, event) => {
    if (event !== Http2Event.head || stream === null) return;
    for (let count = 0; count < 9; count++) end.connection.sendInterim(stream, responseHead(103), 0);
  };
  pair.client.connection.request(get(), {}, 0);
  pair.exchange();
  assert.equal(pair.client.seen.filter(({ event }) => event === 'interim').length, 3);
  assert.equal((pair.client.detail('reset', 1) as unknown[])[0], 'H2_INTERIM_TOO_MANY');
  assert.equal((pair.server.detail('reset', 1) as unknown[])[0], 'H2_STREAM_RESET');
});

test('a response that is whole but not taken survives RST_STREAM(NO_ERROR), by which a server says that it wants no more of the request (§8.1)', () => {
  const peer = new RawPeer(Role.client);
  const { connection } = peer.end;
  const stream = connection.request(requestHead('POST', '/', { headers: { Host: 'a' } }), { bodyLength: -1 }, 0);
  connection.sendData(stream, new Uint8Array(100_000), 0);
  peer.read();
  connection.setReadingPaused(stream, true, 0);
  peer.headers(1, [
    [':status', '413'],
    ['content-length', '3'],
  ]);
  peer
    .write((w) => writeData(w, 1, Buffer.from('big'), { isEndStream: true }))
    .write((w) => writeRstStream(w, 1, 0))
    .flush();
  assert.equal(connection.queuedBytes, 0);
  assert.equal(connection.sendData(stream, new Uint8Array(5), 0), true);
  connection.setReadingPaused(stream, false, 0);
  peer.flush();
  assert.equal(peer.end.story(1), 'head data end');
  assert.equal(peer.end.body(1), 'big');
  assert.equal(stream.isClosed, true);
});

test('answers that a peer forces and does not read are bounded in number (CVE-2019-9517)', () => {
  for (const guard of [undefined, false] as const) {
    const peer = new RawPeer(Role.server, guard === false ? { guard } : {});
    for (let at = 0; at < 300; at++) peer.write((w) => writePing(w, new Uint8Array(8)));
    peer.end.receive(peer.writer.take());
    assert.match(String(peer.end.fatal), /^H2_FLOOD_/);
    assert.deepEqual(peer.read().told('GOAWAY'), [`GOAWAY 0 11`]);
  }
});

test('more new streams than twice the limit while nothing is taken are refused: they were opened to be reset (CVE-2023-44487)', () => {
  const peer = new RawPeer(Role.server, { maxConcurrentStreams: 4, guard: false });
  for (let at = 0; at < 12; at++) peer.headers(2 * at + 1, GET, { isEndStream: true }).write((w) => writeRstStream(w, 2 * at + 1, 8));
  peer.flush();
  assert.equal(peer.end.seen.filter(({ event }) => event === 'head').length, 8);
  assert.equal(peer.end.seen.filter(({ event }) => event === 'refused').length, 4);
});

test('floods end in GOAWAY(ENHANCE_YOUR_CALM) with their reason as text (§10.5)', () => {
  const floods: readonly [string, (peer: RawPeer, at: number) => void][] = [
    ['reset', (p, at) => p.headers(2 * at + 1, GET, { isEndStream: true }).write((w) => writeRstStream(w, 2 * at + 1, 8))],
    ['made reset', (p, at) => p.headers(2 * at + 1, POST).write((w) => writeWindowUpdate(w, 2 * at + 1, 0x7fff_ffff))],
    ['malformed', (p, at) => p.headers(2 * at + 1, [...GET, ['connection', 'close']], { isEndStream: true })],
    ['settings', (p) => p.write((w) => writeSettings(w, [[3, 5]]))],
    ['ping', (p) => p.write((w) => writePing(w, new Uint8Array(8)))],
    ['empty data', (p, at) => (at === 0 ? p.headers(1, POST) : p).write((w) => writeData(w, 1, new Uint8Array(0)))],
  ];
  for (const [name, say] of floods) {
    const peer = new RawPeer(Role.server);
    for (let at = 0; at < 20_000 && peer.end.fatal === null; at++) {
      say(peer, at);
      peer.flush();
    }
    assert.match(String(peer.end.fatal), /^H2_FLOOD_/, name);
    assert.deepEqual(peer.told('GOAWAY'), [`GOAWAY 0 11`], name);
  }
});

test('options are checked, and belong to one role', () => {
  for (const wrong of [
    { maxFrameBytes: 16_383 },
    { maxConcurrentStreams: 0 },
    { initialWindowBytes: 2 ** 31 },
    { connectionWindowBytes: 65_534 },
    { maxReceiveBufferBytes: 1 },
    { maxWindowBytes: 1 },
    { sendLowWaterBytes: 100_000 },
    { idleTimeoutMs: 0 },
    { pingIntervalMs: -1 },
    { minSendBytesPerSecond: Number.NaN },
  ] satisfies Http2Options[]) {
    assert.throws(() => new Http2Connection(Role.server, 0, wrong), RangeError, JSON.stringify(wrong));
  }
  const resolved = resolveHttp2Options(Role.server);
  assert.equal(resolveHttp2Options(Role.server, resolved), resolved);
  assert.throws(() => resolveHttp2Options(Role.client, resolved), RangeError);
  assert.equal(Object.isFrozen(resolved), true);
});

test('queries tell the state of a connection', () => {
  const pair = new Pair();
  const { connection } = pair.client;
  assert.equal(connection.hasOutput, true);
  assert.ok(connection.outputBytes > 24);
  pair.exchange();
  assert.equal(connection.hasPeerSettings, true);
  assert.equal(connection.peerSettings.maxConcurrentStreams, 100);
  assert.ok(connection.receivedBytes > 9);
  assert.equal(connection.isIdle, true);
  const stream = connection.request(requestHead('POST', '/', { headers: { Host: 'a' } }), { bodyLength: -1 }, 0);
  connection.sendData(stream, new Uint8Array(1_000), 0);
  assert.equal(connection.outputBytes > 1_000, true);
  assert.equal(connection.queuedBytes, 1_000);
  assert.equal(connection.isIdle, false);
  assert.equal(connection.openStreamCount, 1);
  assert.equal(connection.stream, null);
});

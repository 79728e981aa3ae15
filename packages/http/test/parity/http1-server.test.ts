/** What needs a stream and a clock on the server's side of HTTP/1, numbered as in docs/parity.md (#146 to #170, #209). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { responseHead } from '@ferrata/headers';
import { RecordingSink } from '@ferrata/testkit';
import { bytes, get, type RawClient, response, ServerRig, settle } from '../rig.ts';

const ASKS = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n';

/** The statuses and bodies that a client has received, without fields. */
const statuses = (client: RawClient): string[] => Array.from(client.received.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status = '']) => status);

describe('parity: a connection of a server', () => {
  it('#146 an upgrade without a body: behind 101 all bytes are raw, to the end of the connection', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(ASKS);
    const { exchange } = rig.last;
    const tunnel = exchange.openTunnel(response(101, { Upgrade: 'websocket' }));
    const sink = new RecordingSink({ onEnd: () => tunnel.stream.end(), onClose: (error) => exchange.closeTunnel(error) });
    tunnel.stream.attach(sink, tunnel.remaining);
    for (const raw of ['\x81\x00', 'GET / HTTP/1.1\r\n\r\n']) await client.send(raw);
    tunnel.stream.write(bytes('\x82\x00'));
    await settle();
    assert.match(client.received, /\r\n\r\n\x82\x00$/);
    await client.end();
    assert.equal(sink.text(), '\x81\x00GET / HTTP/1.1\r\n\r\n');
    assert.equal(sink.hasEnded, true);
    assert.deepEqual(rig.last.closes, [null]);
    rig.assertEmpty();
  });

  it('#152 what a user hangs on a connection is there in each of its exchanges, until it is taken away', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    const seen: unknown[] = [];
    rig.onRequest = (exchange) => {
      seen.push(exchange.info.extension);
      exchange.info.extension = seen.length === 1 ? { user: 'ferris' } : undefined;
      exchange.sendHead(response(204), 0);
      exchange.sendEnd();
    };
    for (let request = 0; request < 3; request++) await client.send(get());
    assert.deepEqual(seen, [seen[0], { user: 'ferris' }, undefined]);
    assert.equal(seen[0] === undefined || seen[0] === null, true);
    const other = rig.connect();
    rig.onRequest = (exchange) => seen.push(exchange.info.extension);
    await other.send(get());
    assert.deepEqual(seen[3], seen[0]);
  });

  it('#168 a client that ends its side while it waits: gone after a grace, and with a longer one still waited for', async () => {
    const impatient = new ServerRig();
    const gone = impatient.connect();
    await gone.send(get());
    await gone.end();
    await impatient.advance(2_010);
    assert.deepEqual(impatient.last.heard, ['end', 'close CLIENT_CLOSED']);
    impatient.assertEmpty();

    const patient = new ServerRig({ halfCloseGraceMs: 1e9 });
    const waiting = patient.connect();
    await waiting.send(get());
    await waiting.end();
    await patient.advance(1_000_000);
    assert.deepEqual(patient.last.heard, ['end']);
    patient.last.exchange.sendHead(response(200), 2);
    patient.last.exchange.sendData(bytes('ok'));
    patient.last.exchange.sendEnd();
    await settle();
    assert.match(waiting.received, /ok$/);
    assert.deepEqual(patient.last.closes, [null]);
  });

  it('#169 a client that ends its side before the head of its answer may be gone; behind it, it is served to the end', async () => {
    const rig = new ServerRig();
    const before = rig.connect();
    await before.send(get());
    const { closes } = rig.last;
    await before.end();
    const behind = rig.connect();
    await behind.send(get());
    const { exchange } = rig.last;
    exchange.sendHead(response(200), 2);
    await behind.end();
    await rig.advance(10_000);
    assert.match(closes[0]?.message ?? '', /CLIENT_CLOSED/);
    assert.equal(exchange.isClosed, false);
    exchange.sendData(bytes('ok'));
    exchange.sendEnd();
    await settle();
    assert.match(behind.received, /ok$/);
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('#170 of a client that ends its side the body is read first; only then it may be gone', async () => {
    const rig = new ServerRig();
    const whole = rig.connect();
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n';
    await whole.send(`${head}abc`);
    const { exchange, heard } = rig.last;
    exchange.pauseRequest();
    await whole.send('def');
    await whole.end();
    assert.deepEqual(heard, ['data abc']);
    exchange.resumeRequest();
    await settle();
    assert.deepEqual(heard, ['data abc', 'data def', 'end']);
    await rig.advance(2_010);
    assert.equal(heard.at(-1), 'close CLIENT_CLOSED');

    const cut = rig.connect();
    await cut.send(`${head}abc`);
    await cut.end();
    assert.deepEqual(rig.last.heard, ['data abc', 'close H1_TRUNCATED_BODY']);
  });
});

describe('parity: what a server writes', () => {
  it('#158 the bytes sent of a response are those of its body alone', async () => {
    for (const bodyLength of [5, -1]) {
      const rig = new ServerRig();
      const client = rig.connect();
      await client.send(get());
      const { exchange } = rig.last;
      exchange.sendHead(response(200, { 'X-Long': 'x'.repeat(1_000) }), bodyLength);
      assert.equal(exchange.responseBytes, 0);
      exchange.sendData(bytes('he'));
      exchange.sendData(bytes('llo'));
      exchange.sendEnd();
      await settle();
      assert.equal(exchange.responseBytes, 5);
    }
  });

  it('#160 a write has its time, and where nothing waits no time runs', async () => {
    const rig = new ServerRig({ writeTimeoutMs: 100 });
    const client = rig.connect({ highWaterBytes: 10 });
    await client.send(get());
    const { exchange } = rig.last;
    exchange.sendHead(response(200), 1_000);
    await rig.advance(10_000);
    assert.equal(rig.last.closes.length, 0);
    client.stream.pause();
    exchange.sendData(new Uint8Array(100));
    await rig.advance(90);
    assert.equal(rig.last.closes.length, 0);
    await rig.advance(30);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
    rig.assertEmpty();
  });

  it('#164 a head and its body that go out in time are counted once', async () => {
    const rig = new ServerRig({ writeTimeoutMs: 100 });
    const client = rig.connect({ highWaterBytes: 10 });
    client.stream.pause();
    await client.send(get());
    const { exchange } = rig.last;
    exchange.sendHead(response(200), 5);
    assert.equal(exchange.responseBytes, 0);
    exchange.sendData(bytes('hello'));
    exchange.sendEnd();
    await rig.advance(50);
    client.stream.resume();
    await rig.advance(1_000);
    assert.equal(exchange.responseBytes, 5);
    assert.match(client.received, /\r\n\r\nhello$/);
    assert.deepEqual(rig.last.closes, [null]);
  });

  it('#165 a time-out within the third of three pieces ends the exchange, and nothing of what waits goes out later', async () => {
    const rig = new ServerRig({ writeTimeoutMs: 100 });
    const client = rig.connect({ highWaterBytes: 500 });
    await client.send(get());
    const { exchange } = rig.last;
    exchange.sendHead(response(200), 2_005);
    exchange.sendData(bytes('hello'));
    await settle();
    client.stream.pause();
    exchange.sendData(new Uint8Array(1_000));
    await settle();
    exchange.sendData(new Uint8Array(1_000));
    await rig.advance(130);
    assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
    // What was taken to be sent, not what the client has read: nobody can know that.
    assert.equal(exchange.responseBytes, 2_005);
    assert.equal(exchange.sendData(bytes('late')), false);
    assert.equal(exchange.responseBytes, 2_005);
    client.stream.resume();
    await settle();
    assert.match(client.received, /\r\n\r\nhello/);
    assert.doesNotMatch(client.received, /late/);
    rig.assertEmpty();
  });

  it('#166 the status is that of the final response, also behind an interim one', async () => {
    const rig = new ServerRig();
    const client = rig.connect();
    await client.send(get());
    const { exchange } = rig.last;
    exchange.sendInterim(responseHead(100));
    assert.equal(exchange.status, 0);
    assert.equal(exchange.hasResponded, false);
    exchange.sendHead(response(200), 0);
    exchange.sendEnd();
    await settle();
    assert.equal(exchange.status, 200);
    assert.deepEqual(statuses(client), ['100', '200']);
  });

  it('#209 of what is said in turns of their own each piece of a body is one write, the last chunk is one, the end of a length none', async () => {
    for (const bodyLength of [5, -1]) {
      const rig = new ServerRig();
      const client = rig.connect();
      await client.send(get());
      const { exchange } = rig.last;
      const writesOf = async (say: () => void): Promise<number> => {
        const before = client.sink.chunks().length;
        say();
        await settle();
        return client.sink.chunks().length - before;
      };
      const writes = [
        await writesOf(() => exchange.sendHead(response(200), bodyLength)),
        await writesOf(() => void exchange.sendData(bytes('he'))),
        await writesOf(() => void exchange.sendData(bytes('llo'))),
        await writesOf(() => exchange.sendEnd()),
      ];
      assert.deepEqual(writes, [1, 1, 1, bodyLength === 5 ? 0 : 1]);
      await client.send(get());
      const inOneTurn = await writesOf(() => {
        const { exchange: next } = rig.last;
        next.sendHead(response(200), bodyLength);
        next.sendData(bytes('he'));
        next.sendData(bytes('llo'));
        next.sendEnd();
      });
      assert.equal(inOneTurn, 1);
    }
  });
});

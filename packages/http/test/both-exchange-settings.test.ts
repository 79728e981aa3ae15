/** What `ExchangeSettings` do alike over both protocols. What each does by itself stands in the files of the two. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BodyLength } from '@ferrata/http1';
import { connectFrames } from './http2-rig.ts';
import { bytes, echoTarget, get, response, ServerRig, settle } from './rig.ts';

/** A client of one request. */
interface Client {
  get(): Promise<unknown>;
  /** The head of a POST of three bytes. */
  post(fields?: Readonly<Record<string, string>>): Promise<unknown>;
  sendBody(): Promise<unknown>;
  /** Ends its side. */
  end(): void;
  /** Of all heads that have come. */
  statuses(): readonly (string | undefined)[];
}

async function http1Client(rig: ServerRig): Promise<Client> {
  const client = rig.connect();
  return {
    get: () => client.send(get()),
    post(fields = {}) {
      const lines = Object.entries({ Host: 'a', 'Content-Length': '3', ...fields }).map(([name, value]) => `${name}: ${value}\r\n`);
      return client.send(`POST / HTTP/1.1\r\n${lines.join('')}\r\n`);
    },
    sendBody: () => client.send('abc'),
    end: () => client.stream.end(),
    statuses: () => Array.from(client.received.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status]) => status),
  };
}

async function http2Client(rig: ServerRig): Promise<Client> {
  const peer = await connectFrames(rig).hello();
  return {
    get: () => peer.get(1),
    post: (fields = {}) => peer.post(1, '/', fields),
    sendBody: () => peer.data(1, 'abc', true),
    end: () => peer.stream.end(),
    statuses: () => peer.heard(1).heads.map((head) => head[':status']),
  };
}

for (const [protocol, connect] of [
  ['HTTP/1', http1Client],
  ['HTTP/2', http2Client],
] as const) {
  describe(`abortOnHalfClose over ${protocol}`, () => {
    it('true ends a response that stands still too, and not one that goes on (parity: #169)', async () => {
      const rig = new ServerRig();
      const client = await connect(rig);
      await client.get();
      const { exchange, closes } = rig.last;
      exchange.adjust({ abortOnHalfClose: true });
      exchange.sendHead(response(200), BodyLength.chunked);
      client.end();
      await settle();
      for (let piece = 0; piece < 5; piece++) {
        await rig.advance(1_900);
        exchange.sendData(bytes('x'));
      }
      assert.equal(closes.length, 0);
      await rig.advance(4_100);
      assert.equal(closes[0]?.reason, 'CLIENT_CLOSED');
      assert.match(closes[0]?.message ?? '', /before the response was whole/);
      await rig.advance(10_000);
      rig.assertEmpty();
    });

    it('begins no grace anew by other settings, however often they are changed', async () => {
      const rig = new ServerRig();
      const client = await connect(rig);
      await client.get();
      const { exchange, closes } = rig.last;
      exchange.adjust({ abortOnHalfClose: true });
      client.end();
      for (let turn = 0; turn < 3 && closes.length === 0; turn++) {
        await rig.advance(900);
        exchange.adjust({ dropInterim: true });
      }
      assert.equal(closes[0]?.reason, 'CLIENT_CLOSED');
    });

    it('may be changed behind the end of the client, and the grace begins with the change', async () => {
      const rig = new ServerRig();
      const client = await connect(rig);
      await client.get();
      const { exchange, closes } = rig.last;
      exchange.adjust({ abortOnHalfClose: false });
      client.end();
      await rig.advance(10_000);
      exchange.adjust({ abortOnHalfClose: true });
      await rig.advance(1_990);
      assert.equal(closes.length, 0);
      await rig.advance(20);
      assert.equal(closes[0]?.reason, 'CLIENT_CLOSED');
    });
  });

  describe(`dropInterim over ${protocol}`, () => {
    it('drops interim responses, but not the 100 that the client waits for, and that once; a status that is none is misuse all the same', async () => {
      const rig = new ServerRig();
      const client = await connect(rig);
      await client.post({ expect: '100-continue' });
      const { exchange } = rig.last;
      exchange.adjust({ dropInterim: true });
      for (const status of [102, 100, 100, 103]) exchange.sendInterim(response(status));
      assert.throws(() => exchange.sendInterim(response(200)), RangeError);
      await client.sendBody();
      echoTarget(exchange);
      await settle();
      assert.deepEqual(client.statuses(), ['100', '200']);
    });

    it('false lets them out again', async () => {
      const rig = new ServerRig();
      const client = await connect(rig);
      await client.get();
      const { exchange } = rig.last;
      exchange.adjust({ dropInterim: true });
      exchange.sendInterim(response(103));
      exchange.adjust({ dropInterim: false });
      exchange.sendInterim(response(102));
      echoTarget(exchange);
      await settle();
      assert.deepEqual(client.statuses(), ['102', '200']);
    });
  });
}

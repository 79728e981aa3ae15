/** Both sessions of HTTP/2 against each other, on a pair that cuts and delays bytes by chance: what was asked is what was heard, and all end once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import { ManualClock, type Random, seededRandom } from '@ferrata/clock';
import { ioError } from '@ferrata/error';
import { HttpVersion } from '@ferrata/headers';
import { type ClientExchange, Http2ClientSession, HttpEnvironment, HttpServer, resolveHttp2ClientOptions } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { type MemoryCarrier, memoryPair } from '@ferrata/stream';
import { ClientFollower, request, response, settle } from './rig.ts';

const EXCHANGES = 40;

/** Cuts what is on its way into pieces of any size. */
function cutting(random: Random): MemoryCarrier {
  return (parcel, deliver) => {
    if (parcel.kind !== 'data') {
      deliver(parcel);
      return;
    }
    for (let at = 0; at < parcel.chunk.length; ) {
      const end = Math.min(parcel.chunk.length, at + 1 + random.below(random.below(10) === 0 ? 20 : 5_000));
      deliver({ kind: 'data', chunk: parcel.chunk.slice(at, end) });
      at = end;
    }
  };
}

/** A body that tells whose it is, at each place. */
function bodyOf(target: string, length: number): string {
  return `<${target}>`.repeat(Math.ceil(length / (target.length + 2))).slice(0, length);
}

class World {
  readonly clock = new ManualClock();
  readonly environment = new HttpEnvironment({ clock: this.clock });
  readonly ends: string[] = [];
  begun = 0;
  readonly random: Random;
  readonly server: HttpServer;
  readonly session: Http2ClientSession;
  readonly followers: { target: string; length: number; follower: ClientFollower; exchange: ClientExchange }[] = [];
  readonly cut: () => void;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const { environment, random } = this;
    const { a, b } = memoryPair({ clock: this.clock, carry: cutting(random), highWaterBytes: 20_000 });
    this.cut = () => b.abort();
    this.server = new HttpServer(
      {
        // Sends back what comes, as fast as it is read, and answers with a token of its own.
        onRequest: (exchange) => {
          this.begun++;
          const { target } = exchange.request;
          exchange.sendHead(response(200, { 'X-Token': target }), BodyLength.chunked);
          let isFull = false;
          let hasEnded = false;
          return {
            onRequestData: (chunk) => {
              if (random.below(20) === 0) {
                exchange.pauseRequest();
                void settle().then(() => isFull || exchange.resumeRequest());
              }
              if (exchange.sendData(chunk)) return;
              isFull = true;
              exchange.pauseRequest();
            },
            onRequestEnd: () => {
              hasEnded = true;
              if (!isFull) exchange.sendEnd();
            },
            onResponseDrain: () => {
              isFull = false;
              if (hasEnded) exchange.sendEnd();
              else exchange.resumeRequest();
            },
            onExchangeClose: (error) => this.ends.push(`${target} ${error?.reason ?? 'whole'}`),
          };
        },
      },
      { environment },
    );
    this.server.accept(b);
    this.session = new Http2ClientSession(a, environment, resolveHttp2ClientOptions(), { onSessionIdle() {}, onSessionClose() {} });
    this.session.start();
  }

  ask(at: number): void {
    const target = `/${at}`;
    const length = this.random.below(3) === 0 ? this.random.below(200_000) : this.random.below(2_000);
    const body = latin1Encode(bodyOf(target, length));
    const follower = new ClientFollower();
    const exchange = this.session.request(request('POST', target), { bodyLength: BodyLength.chunked, upgrade: null }, follower);
    let sent = 0;
    const send = (): void => {
      while (sent < body.length) {
        const end = Math.min(body.length, sent + 1 + this.random.below(30_000));
        const hasRoom = exchange.sendData(body.slice(sent, end));
        sent = end;
        if (!hasRoom && sent < body.length) return;
      }
      exchange.sendEnd();
    };
    follower.react = { onRequestDrain: send };
    this.followers.push({ target, length, follower, exchange });
    send();
  }

  async run(turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      await settle();
      this.clock.advance(1);
    }
  }
}

describe('sessions of HTTP/2 on a pair that cuts bytes by chance', () => {
  for (let seed = 1; seed <= 6; seed++) {
    it(`never mix two exchanges, and lose no byte (seed ${seed})`, async () => {
      const world = new World(seed);
      for (let at = 0; at < EXCHANGES; at++) world.ask(at);
      await world.run(400);
      for (const { target, length, follower } of world.followers) {
        const [head, ...rest] = follower.heard.filter((event) => event !== 'drain');
        assert.equal(head, '200 -1');
        const received = rest.filter((event) => event.startsWith('data ')).map((event) => event.slice(5));
        assert.equal(received.join(''), bodyOf(target, length), target);
        assert.deepEqual(follower.closes, [null]);
      }
      assert.equal(world.ends.length, EXCHANGES);
      assert.equal(
        world.ends.every((end) => end.endsWith(' whole')),
        true,
      );
      assert.equal(world.session.openStreamCount, 0);
      const drained = world.server.drain(10_000);
      await world.run(50);
      world.session.close();
      await world.run(10);
      assert.equal(await drained, 0);
      assert.equal(world.environment.deadlines.size, 0);
    });

    it(`end each exchange once at both ends, whatever is lost, cancelled or aborted (seed ${seed})`, async () => {
      const world = new World(100 + seed);
      for (let at = 0; at < EXCHANGES; at++) {
        world.ask(at);
        if (world.random.below(4) === 0) await settle();
        const victim = world.followers[world.random.below(world.followers.length)];
        if (world.random.below(5) === 0) victim?.exchange.cancel(ioError('GIVEN_UP', 'given up'));
      }
      await world.run(world.random.below(40));
      world.cut();
      await world.run(20);
      for (const { follower } of world.followers) assert.equal(follower.closes.length, 1);
      assert.equal(world.ends.length, world.begun);
      assert.equal(new Set(world.ends.map((end) => end.split(' ')[0])).size, world.begun);
      assert.equal(world.server.connectionCount, 0);
      assert.equal(world.environment.deadlines.size, 0);
    });
  }

  it('speak of themselves as HTTP/2', async () => {
    const world = new World(1);
    const versions: number[] = [];
    world.ask(0);
    const [first] = world.followers;
    if (first !== undefined) first.follower.react = { onResponse: ({ version }) => versions.push(version) };
    await world.run(50);
    assert.deepEqual(versions, [HttpVersion.http2]);
  });
});

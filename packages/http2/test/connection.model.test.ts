/**
 * Two connections, bytes of which arrive in any cut, against a twin that knows nothing but what went over the wire: windows by adding and
 * subtracting, bodies by counting. What must hold at any time: nobody sends more than was granted, bodies arrive whole and in order or end with a
 * reset, and when all is over every stream is closed on both ends and nothing waits.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { type Http2Options, type Http2Stream, Role } from '@ferrata/http2';
import { CLIENT_PREFACE, FrameDecoder, FrameType, Http2ErrorCode, SettingId } from '@ferrata/http2-framing';
import fc from 'fast-check';
import { End } from './connection-harness.ts';

/** What one end may send, by what was delivered to it. */
class Twin {
  readonly #sent = new FrameDecoder({ maxFrameBytes: 1 << 20 });
  readonly #delivered = new FrameDecoder({ maxFrameBytes: 1 << 20 });
  readonly #streams = new Map<number, number>();
  #connection = 65_535;
  #initial = 65_535;
  #skipSent: number;
  #skipDelivered: number;

  constructor(role: Role) {
    this.#skipSent = role === Role.client ? CLIENT_PREFACE.length : 0;
    this.#skipDelivered = role === Role.server ? CLIENT_PREFACE.length : 0;
  }

  /** Bytes that the end has given out. */
  onSent(bytes: Uint8Array): void {
    const skip = Math.min(this.#skipSent, bytes.length);
    this.#skipSent -= skip;
    this.#sent.feed(bytes.subarray(skip));
    while (this.#sent.next()) {
      const { type, streamId, length, isFrameStart } = this.#sent;
      if (type !== FrameType.data || !isFrameStart) continue;
      this.#connection -= length;
      const window = (this.#streams.get(streamId) ?? this.#initial) - length;
      this.#streams.set(streamId, window);
      assert.ok(this.#connection >= 0, 'the window of the connection is negative');
      assert.ok(length === 0 || window >= 0, `the window of stream ${streamId} is negative`);
    }
  }

  /** Bytes that have reached the end. */
  onDelivered(bytes: Uint8Array): void {
    const skip = Math.min(this.#skipDelivered, bytes.length);
    this.#skipDelivered -= skip;
    const frames = this.#delivered;
    frames.feed(bytes.subarray(skip));
    while (frames.next()) {
      if (frames.type === FrameType.windowUpdate) {
        if (frames.streamId === 0) this.#connection += frames.increment;
        else this.#streams.set(frames.streamId, (this.#streams.get(frames.streamId) ?? this.#initial) + frames.increment);
        assert.ok(this.#connection <= 0x7fff_ffff);
      } else if (frames.type === FrameType.settings) {
        for (let at = 0; at < frames.settingCount; at++) {
          if (frames.settingIdAt(at) !== SettingId.initialWindowSize) continue;
          const value = frames.settingValueAt(at);
          for (const [id, window] of this.#streams) this.#streams.set(id, window + value - this.#initial);
          this.#initial = value;
        }
      }
    }
  }
}

interface Exchange {
  readonly client: Http2Stream;
  server: Http2Stream | null;
  readonly isReset: { by: string };
  readonly sent: { up: number; down: number };
  readonly ended: { up: boolean; down: boolean };
}

/** A byte of a body, by its place. */
const byteAt = (id: number, at: number) => (id * 31 + at * 7) & 0xff;

class World {
  readonly client: End;
  readonly server: End;
  readonly twins = { client: new Twin(Role.client), server: new Twin(Role.server) };
  readonly exchanges: Exchange[] = [];
  readonly wires: { up: number[]; down: number[] } = { up: [], down: [] };

  constructor(client: Http2Options, server: Http2Options) {
    this.client = new End(Role.client, { ...client, guard: false });
    this.server = new End(Role.server, { ...server, guard: false });
  }

  take(end: 'client' | 'server', maxBytes: number): void {
    const bytes = this[end].take(maxBytes);
    this.twins[end].onSent(bytes);
    this.wires[end === 'client' ? 'up' : 'down'].push(...bytes);
  }

  deliver(end: 'client' | 'server', count: number): void {
    const bytes = Uint8Array.from(this.wires[end === 'client' ? 'down' : 'up'].splice(0, count));
    if (bytes.length === 0) return;
    this.twins[end].onDelivered(bytes);
    this[end].receive(bytes);
    for (const one of this.exchanges) one.server ??= this.server.streams.get(one.client.id) ?? null;
    this.check();
  }

  request(length: number): void {
    const { connection } = this.client;
    if (connection.availableStreams === 0) return;
    const headers = HeaderMap.from({ Host: 'a', [`X-${length}`]: `value-${length % 7}` });
    const client = connection.request(requestHead('POST', '/', { headers }), { bodyLength: -1 }, 0);
    this.exchanges.push({ client, server: null, isReset: { by: '' }, sent: { up: 0, down: 0 }, ended: { up: false, down: false } });
  }

  body(one: Exchange, way: 'up' | 'down', count: number): void {
    const end = way === 'up' ? this.client : this.server;
    const stream = way === 'up' ? one.client : one.server;
    if (stream === null || stream.isClosed || one.ended[way]) return;
    if (way === 'down' && !stream.isHeadSent) end.connection.sendHead(stream, responseHead(200), -1, '', 0);
    const from = one.sent[way];
    end.connection.sendData(
      stream,
      Uint8Array.from({ length: count }, (_, at) => byteAt(stream.id, from + at)),
      0,
    );
    one.sent[way] += count;
  }

  end(one: Exchange, way: 'up' | 'down', hasTrailers: boolean): void {
    const end = way === 'up' ? this.client : this.server;
    const stream = way === 'up' ? one.client : one.server;
    if (stream === null || stream.isClosed || one.ended[way]) return;
    if (way === 'down' && !stream.isHeadSent) end.connection.sendHead(stream, responseHead(200), -1, '', 0);
    end.connection.sendEnd(stream, hasTrailers ? HeaderMap.from({ 'X-Sum': `${one.sent[way]}` }) : null, 0);
    one.ended[way] = true;
  }

  reset(one: Exchange, way: 'up' | 'down'): void {
    const stream = way === 'up' ? one.client : one.server;
    if (stream === null || stream.isClosed) return;
    (way === 'up' ? this.client : this.server).connection.reset(stream, Http2ErrorCode.cancel, 0);
    one.isReset.by = way;
  }

  pause(one: Exchange, way: 'up' | 'down', isPaused: boolean): void {
    // The reader of `up` is the server.
    const end = way === 'up' ? this.server : this.client;
    const stream = way === 'up' ? one.server : one.client;
    if (stream === null) return;
    end.connection.setReadingPaused(stream, isPaused, 0);
    end.run();
  }

  /** What must hold at any time. */
  check(): void {
    assert.equal(this.client.fatal, null);
    assert.equal(this.server.fatal, null);
    for (const one of this.exchanges) {
      for (const way of ['up', 'down'] as const) {
        const body = (way === 'up' ? this.server : this.client).body(one.client.id);
        assert.ok(body.length <= one.sent[way]);
        for (let at = 0; at < body.length; at++) assert.equal(body.charCodeAt(at), byteAt(one.client.id, at));
      }
    }
  }

  /** Ends all that is open, and carries everything. */
  settle(): void {
    for (let round = 0; round < 50_000; round++) {
      for (const one of this.exchanges) {
        for (const way of ['up', 'down'] as const) {
          this.pause(one, way, false);
          this.end(one, way, false);
        }
      }
      this.take('client', 1 << 30);
      this.take('server', 1 << 30);
      const isQuiet = this.wires.up.length + this.wires.down.length === 0;
      this.deliver('server', 1 << 20);
      this.deliver('client', 1 << 20);
      if (isQuiet && this.exchanges.every((one) => one.client.isClosed)) break;
    }
    this.check();
    for (const end of [this.client, this.server]) {
      assert.equal(end.connection.openStreamCount, 0);
      assert.equal(end.connection.queuedBytes, 0);
      assert.equal(end.connection.isIdle, true);
    }
    for (const one of this.exchanges) {
      const story = [this.server.story(one.client.id), this.client.story(one.client.id)];
      if (one.isReset.by !== '') continue;
      for (const [at, way] of (['up', 'down'] as const).entries()) {
        assert.match(story[at] as string, /^head( data)? end$/);
        assert.equal((at === 0 ? this.server : this.client).body(one.client.id).length, one.sent[way]);
      }
    }
  }
}

type Action = (world: World) => void;

/** Exchanges are chosen by a number that wraps round. */
function onOne(index: number, act: (world: World, one: Exchange) => void): Action {
  return (world) => {
    const one = world.exchanges[index % Math.max(1, world.exchanges.length)];
    if (one !== undefined) act(world, one);
  };
}

class Step implements fc.Command<object, World> {
  readonly #name: string;
  readonly #act: Action;

  constructor(name: string, act: Action) {
    this.#name = name;
    this.#act = act;
  }

  check(): boolean {
    return true;
  }

  run(_model: object, world: World): void {
    this.#act(world);
  }

  toString(): string {
    return this.#name;
  }
}

const way = fc.constantFrom('up' as const, 'down' as const);
const side = fc.constantFrom('client' as const, 'server' as const);
const index = fc.nat(7);

const commands = [
  fc.nat(20).map((length) => new Step(`request(${length})`, (world) => world.request(length))),
  fc.tuple(index, way, fc.nat(3_000)).map(
    ([at, to, count]) =>
      new Step(
        `body(${at}, ${to}, ${count})`,
        onOne(at, (world, one) => world.body(one, to, count)),
      ),
  ),
  fc.tuple(index, way, fc.boolean()).map(
    ([at, to, has]) =>
      new Step(
        `end(${at}, ${to}, ${has})`,
        onOne(at, (world, one) => world.end(one, to, has)),
      ),
  ),
  fc.tuple(index, way).map(
    ([at, to]) =>
      new Step(
        `reset(${at}, ${to})`,
        onOne(at, (world, one) => world.reset(one, to)),
      ),
  ),
  fc.tuple(index, way, fc.boolean()).map(
    ([at, to, is]) =>
      new Step(
        `pause(${at}, ${to}, ${is})`,
        onOne(at, (world, one) => world.pause(one, to, is)),
      ),
  ),
  fc.tuple(side, fc.nat(5_000)).map(([end, count]) => new Step(`take(${end}, ${count})`, (world) => world.take(end, count))),
  fc.tuple(side, fc.nat(5_000)).map(([end, count]) => new Step(`deliver(${end}, ${count})`, (world) => world.deliver(end, count))),
];

const options = fc.record({
  initialWindowBytes: fc.constantFrom(0, 50, 500, 5_000, 65_535, 100_000),
  maxConcurrentStreams: fc.constantFrom(1, 3, 100),
  headerTableBytes: fc.constantFrom(0, 100, 4_096, 10_000),
  sendHighWaterBytes: fc.constantFrom(1, 2_000, 65_536),
});

test('streams and windows behave as their twin says, whatever is done and however bytes arrive (§5.1, §5.2, §6.9)', () => {
  fc.assert(
    fc.property(options, options, fc.commands(commands, { maxCommands: 80, size: '+2' }), (client, server, steps) => {
      // A window of 0 would never let a body through, and one of a byte takes a turn for each.
      const world = new World(
        { ...client, initialWindowBytes: Math.max(7, client.initialWindowBytes) },
        { ...server, initialWindowBytes: Math.max(7, server.initialWindowBytes), maxConcurrentStreams: 100 },
      );
      fc.modelRun(() => ({ model: {}, real: world }), steps);
      world.settle();
    }),
    { numRuns: 200, seed: 9113 },
  );
});

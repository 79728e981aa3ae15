/** Bodies written to a peer that takes them slowly and in pieces, numbered as in docs/parity.md (#161, #207, #208). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BodyLength, MessageEvent, ResponseDecoder } from '@ferrata/http1';
import type { MemoryCarrier } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import fc from 'fast-check';
import { bytes, get, type RawClient, response, ServerRig, settle, text } from '../rig.ts';

/** Delivers what is sent in pieces of these sizes, in turn. */
function inPieces(sizes: readonly number[]): MemoryCarrier {
  let next = 0;
  return (parcel, deliver) => {
    if (parcel.kind !== 'data') {
      deliver(parcel);
      return;
    }
    for (let at = 0; at < parcel.chunk.length; ) {
      const size = sizes[next++ % sizes.length] as number;
      deliver({ kind: 'data', chunk: parcel.chunk.slice(at, at + size) });
      at += size;
    }
  };
}

/** A client that stops after every read; `read` lets one more come. */
class SlowClient {
  readonly #client: RawClient;
  readonly sink: RecordingSink;
  constructor(client: RawClient) {
    this.#client = client;
    this.sink = new RecordingSink({ onData: () => client.stream.pause() });
    client.stream.attach(this.sink);
  }
  /** Takes one piece more. */
  async read(): Promise<void> {
    this.#client.stream.resume();
    await settle();
  }
}

/** The one body in what a client received; null if its end has not come. */
function bodyOf({ sink }: SlowClient): string | null {
  const decoder = new ResponseDecoder();
  decoder.expect('GET');
  decoder.feed(sink.bytes());
  if (sink.hasEnded) decoder.end();
  let body = '';
  while (decoder.next()) {
    if (decoder.event === MessageEvent.data) body += text(decoder.data);
    else if (decoder.event === MessageEvent.end) return body;
  }
  return null;
}

describe('parity: writes to a slow peer', () => {
  it('#207 every byte comes once and in order, by length, in chunks and to the end, whatever pieces the peer takes', async () => {
    const exchange = fc.record({
      version: fc.constantFrom('1.0', '1.1'),
      isLengthKnown: fc.boolean(),
      pieces: fc.array(
        fc.string({ maxLength: 40 }).map((piece) => piece.replaceAll(/[^\x20-\x7e]/g, 'x')),
        { maxLength: 12 },
      ),
      highWaterBytes: fc.integer({ min: 1, max: 60 }),
      cuts: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(exchange, async ({ version, isLengthKnown, pieces, highWaterBytes, cuts }) => {
        const rig = new ServerRig();
        const client = rig.connect({ highWaterBytes, carry: inPieces(cuts) });
        const slow = new SlowClient(client);
        await client.send(get().replace('1.1', version));
        const whole = pieces.join('');
        const { exchange: open } = rig.last;
        open.sendHead(response(200), isLengthKnown ? whole.length : BodyLength.chunked);
        for (const piece of pieces) {
          open.sendData(bytes(piece));
          await slow.read();
        }
        open.sendEnd();
        for (let read = 0; read < 1_000 && bodyOf(slow) === null; read++) await slow.read();
        assert.equal(bodyOf(slow), whole);
        assert.deepEqual(rig.last.closes, [null]);
        assert.equal(open.responseBytes, whole.length);
        rig.server.close();
      }),
      { numRuns: 100 },
    );
  });

  it('#208 a time-out begins anew with each byte that the peer takes, ends a write that gets none, and by default waits half a minute', async () => {
    for (const writeTimeoutMs of [1_000, undefined]) {
      const limit = writeTimeoutMs ?? 30_000;
      const rig = new ServerRig(writeTimeoutMs === undefined ? {} : { writeTimeoutMs });
      const client = rig.connect({ highWaterBytes: 1_000, carry: inPieces([500]) });
      const slow = new SlowClient(client);
      await client.send(get());
      const { exchange } = rig.last;
      exchange.sendHead(response(200), BodyLength.chunked);
      for (let piece = 0; piece < 10; piece++) {
        exchange.sendData(new Uint8Array(1_000));
        await settle();
      }
      for (let read = 0; read < 3; read++) {
        await rig.advance(limit * 0.9);
        await slow.read();
      }
      assert.equal(rig.last.closes.length, 0);
      await rig.advance(limit * 2 + 20);
      assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
      assert.ok(slow.sink.byteLength > 0);
      rig.assertEmpty();
    }
  });

  it('#161 the time of a write is the same for little and for much: a client has it for each of its reads', async () => {
    for (const length of [1, 149_000]) {
      const rig = new ServerRig({ writeTimeoutMs: 5_000 });
      const client = rig.connect({ highWaterBytes: 1 });
      client.stream.pause();
      await client.send(get());
      const { exchange } = rig.last;
      exchange.sendHead(response(200), length);
      exchange.sendData(new Uint8Array(length));
      await rig.advance(4_900);
      assert.equal(rig.last.closes.length, 0);
      await rig.advance(150);
      assert.equal(rig.last.closes[0]?.reason, 'H1_WRITE_STALLED');
    }
  });
});

/** Both ends of a connection through any sequence of blocks, sizes and limits, against the naive twin: the tables are equal after each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HpackDecoder, HpackEncoder, Indexing, STATIC_TABLE } from '@ferrata/hpack';
import fc from 'fast-check';
import { decodeBlock, encodeBlock, type Field } from './fixtures/blocks.ts';
import { NaiveTable } from './fixtures/naive-tables.ts';

interface Model {
  readonly table: NaiveTable;
}

interface Real {
  readonly encoder: HpackEncoder;
  readonly decoder: HpackDecoder;
}

const MAX_TABLE_BYTES = 600;

function assertSameTables({ table }: Model, { encoder }: Real): void {
  assert.deepEqual(encoder.tableFields(), table.fields);
  assert.equal(encoder.tableBytes(), table.bytes());
}

class SendBlock implements fc.Command<Model, Real> {
  readonly #fields: readonly (readonly [Field, Indexing])[];
  readonly #size: number;

  constructor(fields: readonly (readonly [Field, Indexing])[], size: number) {
    this.#fields = fields;
    this.#size = size;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    const { encoder, decoder } = real;
    const blocks: Uint8Array[] = [];
    // Each by itself into the encoder, so that the table is known after each; the block is one all the same.
    for (const [[name, value], indexing] of this.#fields) {
      const isKnown = [...STATIC_TABLE.slice(1), ...model.table.fields].some((field) => field[0] === name && field[1] === value);
      blocks.push(encodeBlock(encoder, [[name, value]], indexing));
      const size = name.length + value.length + 32;
      if (indexing === Indexing.incremental && !isKnown && size <= model.table.capacity) model.table.add([name, value]);
      assertSameTables(model, real);
    }
    const block = Uint8Array.from(blocks.flatMap((bytes) => [...bytes]));
    assert.deepEqual(
      decodeBlock(decoder, block, this.#size),
      this.#fields.map(([field]) => field),
    );
    // A block without any field leaves the size updates owed to the next one.
    if (this.#fields.length > 0) {
      assert.deepEqual(decoder.tableFields(), model.table.fields);
      assert.equal(decoder.tableBytes(), model.table.bytes());
    }
  }

  toString(): string {
    return `block(${JSON.stringify(this.#fields)}, in ${this.#size})`;
  }
}

class Resize implements fc.Command<Model, Real> {
  readonly #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    // The decoder's SETTINGS reach the encoder; its acknowledgement reaches the decoder before the next block.
    real.encoder.setPeerTableBytes(this.#bytes);
    real.decoder.setMaxTableBytes(this.#bytes);
    model.table.resize(Math.min(this.#bytes, MAX_TABLE_BYTES));
    assertSameTables(model, real);
  }

  toString(): string {
    return `resize(${this.#bytes})`;
  }
}

const name = fc.oneof(
  fc.constantFrom('a', 'x-long-name-of-a-field', '__proto__', 'constructor', 'cookie', 'accept', '7'),
  fc.string({ unit: 'binary-ascii', maxLength: 20 }),
);
const value = fc.oneof(
  fc.constantFrom('', '1', '2', 'a-value-of-more-than-13-characters'),
  fc.string({ unit: 'binary-ascii', maxLength: 60 }),
  fc.integer({ min: 200, max: 700 }).map((length) => 'v'.repeat(length)),
);
const indexing = fc.constantFrom(Indexing.incremental, Indexing.incremental, Indexing.incremental, Indexing.without, Indexing.never);
const fields = fc.array(fc.tuple(fc.tuple(name, value), indexing), { maxLength: 12 });
const commands = [
  fc.tuple(fields, fc.constantFrom(1, 2, 7, 1000)).map(([list, size]) => new SendBlock(list, size)),
  fc.constantFrom(0, 31, 40, 100, 300, 600, 4096, 10_000).map((bytes) => new Resize(bytes)),
];

test('both tables are those of the naive twin after any accepted sequence', () => {
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands: 40, size: 'max' }), (sequence) => {
      const setup = (): { model: Model; real: Real } => {
        const model = { table: new NaiveTable(MAX_TABLE_BYTES) };
        const real = {
          encoder: new HpackEncoder({ maxTableBytes: MAX_TABLE_BYTES }),
          decoder: new HpackDecoder({ maxListBytes: 1_000_000 }),
        };
        return { model, real };
      };
      fc.modelRun(setup, sequence);
    }),
    { numRuns: 150 },
  );
});

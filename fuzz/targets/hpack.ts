/**
 * Invariant: any blocks are read as fields or refused with a reason (total), in the same way however they are cut into fragments (split), with a
 * table that keeps to its size and never more bytes than were fed; hpack.js reads the blocks that we accept alike; and the fields, written by the
 * encoder, are read again, after which its table and the decoder's hold the same.
 *
 * The input is blocks of one connection: a byte with its length up to 239, the block, and so on. A length from 240 on is no block, but sets
 * the size of the table, for us alone.
 */
import { ByteWriter } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { HpackDecoder, HpackEncoder, Indexing, resolveHpackDecoderOptions } from '@ferrata/hpack';
import { HpackJsDecoder } from '../oracles/hpack-js.ts';
import { chunkingOf, hashOf } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['hpack'], maxLength: 512 };

type Field = readonly [name: string, value: string];

interface Block {
  readonly bytes: Uint8Array;
  /** What the table may have from now on; null for a block. */
  readonly tableBytes: number | null;
}

interface Reading {
  readonly fields: readonly Field[];
  readonly neverIndexed: readonly boolean[];
  readonly isOverLimit: boolean;
  readonly reason: string | null;
}

const FIRST_SETTING = 240;
const MAX_TABLE_BYTES = 4096;
const usual = resolveHpackDecoderOptions({ maxListBytes: 1_000_000, maxFieldCount: 10_000 });
/** Limits that short inputs reach. */
const tight = resolveHpackDecoderOptions({ maxListBytes: 200, maxFieldCount: 4, maxStringBytes: 24 });
const indexings = Object.values(Indexing);

export function fuzz(data: Uint8Array): void {
  const hash = hashOf(data);
  const limits = (hash & 0x30) === 0 ? tight : usual;
  const whole = new HpackDecoder(limits);
  const cut = new HpackDecoder(limits);
  const other = new HpackJsDecoder(MAX_TABLE_BYTES);
  const again = new RoundTrip(indexings[(hash >>> 6) % indexings.length] ?? Indexing.automatic);
  let maxTableBytes = MAX_TABLE_BYTES;
  for (const { bytes, tableBytes } of blocksOf(data)) {
    if (tableBytes !== null) {
      whole.setMaxTableBytes(tableBytes);
      cut.setMaxTableBytes(tableBytes);
      again.setTableBytes(tableBytes);
      maxTableBytes = Math.max(maxTableBytes, tableBytes);
      continue;
    }
    const reading = read(whole, bytes, () => Number.POSITIVE_INFINITY);
    checkSame('split', read(cut, bytes, chunkingOf(bytes)), reading);
    invariant(whole.tableBytes() <= maxTableBytes, 'bounded memory', () => `the table has ${whole.tableBytes()} bytes`);
    if (reading.reason !== null) return;
    checkSame('tables of two cuts', cut.tableFields(), whole.tableFields());
    compare(other.decode(bytes), reading);
    if (!reading.isOverLimit) again.check(reading);
  }
}

function* blocksOf(data: Uint8Array): Generator<Block> {
  for (let at = 0; at < data.length; ) {
    const head = data[at] ?? 0;
    at += 1;
    if (head >= FIRST_SETTING) {
      yield { bytes: data.subarray(at, at), tableBytes: (head - FIRST_SETTING) * 64 };
      continue;
    }
    yield { bytes: data.slice(at, at + head), tableBytes: null };
    at += head;
  }
}

function read(decoder: HpackDecoder, block: Uint8Array, sizeAt: (at: number) => number): Reading {
  const fields: Field[] = [];
  const neverIndexed: boolean[] = [];
  let isOverLimit = false;
  let reason: string | null = null;
  try {
    for (let at = 0; at < block.length; ) {
      const end = Math.min(block.length, at + sizeAt(at));
      decoder.feed(block, at, end);
      at = end;
      while (decoder.next()) {
        fields.push([decoder.name, decoder.value]);
        neverIndexed.push(decoder.isNeverIndexed);
      }
      invariant(decoder.bufferedBytes() <= at, 'conservation', () => `${decoder.bufferedBytes()} bytes kept of ${at}`);
    }
    isOverLimit = decoder.isOverLimit;
    decoder.end();
  } catch (error) {
    if (!isWireError(error) || error.type === 'internal') throw error;
    reason = error.reason;
    checkFinal(decoder, reason);
  }
  return { fields, neverIndexed, isOverLimit, reason };
}

function checkFinal(decoder: HpackDecoder, reason: string): void {
  let again: unknown = null;
  try {
    decoder.next();
  } catch (error) {
    again = error;
  }
  invariant(isWireError(again) && again.reason === reason, 'the first error is final', () => `${reason}, then ${String(again)}`);
}

/** hpack.js keeps no list limit, and takes no integer of five continuation octets, which we do. */
function compare(theirs: ReturnType<HpackJsDecoder['decode']>, ours: Reading): void {
  if ('refusal' in theirs) {
    invariant(theirs.refusal.includes('Integer does not fit'), 'hpack.js accepts what we accept', () => theirs.refusal);
    return;
  }
  if (ours.isOverLimit) checkSame('hpack.js reads the same before the limit', theirs.fields.slice(0, ours.fields.length), ours.fields);
  else checkSame('hpack.js reads the same', theirs.fields, ours.fields);
}

/** The fields of every block written by our encoder and read again. */
class RoundTrip {
  readonly #encoder = new HpackEncoder();
  readonly #decoder = new HpackDecoder(usual);
  readonly #indexing: Indexing;

  constructor(indexing: Indexing) {
    this.#indexing = indexing;
  }

  setTableBytes(bytes: number): void {
    this.#encoder.setPeerTableBytes(bytes);
    this.#decoder.setMaxTableBytes(bytes);
  }

  check({ fields, neverIndexed }: Reading): void {
    const writer = new ByteWriter();
    this.#encoder.beginBlock(writer);
    fields.forEach(([name, value], i) => {
      this.#encoder.writeField(writer, name, value, neverIndexed[i] === true ? Indexing.never : this.#indexing);
    });
    const reading = read(this.#decoder, writer.take(), () => 7);
    invariant(reading.reason === null, 'what is written is read', () => reading.reason ?? '');
    checkSame('what is written is what is read', reading.fields, fields);
    checkSame('the tables of encoder and decoder', this.#decoder.tableFields(), this.#encoder.tableFields());
    invariant(
      neverIndexed.every((never, i) => !never || reading.neverIndexed[i] === true),
      'never indexed stays so (RFC 7541 §6.2.3)',
      () => JSON.stringify(reading),
    );
  }
}

function checkSame(law: string, actual: unknown, expected: unknown): void {
  const [one, two] = [JSON.stringify(actual), JSON.stringify(expected)];
  invariant(one === two, law, () => `${one} instead of ${two}`);
}

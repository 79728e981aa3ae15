/**
 * A block read as RFC 7541 tells it: the whole of it at once, bit strings for Huffman code, arrays for tables. Shares no code with
 * `@ferrata/hpack`; its tables are those of hpack.js.
 */
import { createRequire } from 'node:module';

const hpackJs = createRequire(import.meta.url)('hpack.js') as {
  readonly huffman: { readonly encode: readonly (readonly [bits: number, code: number])[] };
  readonly 'static-table': { readonly table: readonly { readonly name: string; readonly value: string }[] };
};

/** By its bits: the symbol, 256 for the end of a string. */
const symbols: ReadonlyMap<string, number> = new Map(
  hpackJs.huffman.encode.map(([length, code], symbol) => [code.toString(2).padStart(length, '0'), symbol]),
);

export interface NaiveField {
  readonly name: string;
  readonly value: string;
  readonly isNeverIndexed: boolean;
}

export interface NaiveBlock {
  /** Up to the first error. */
  readonly fields: readonly NaiveField[];
  readonly isValid: boolean;
  /** Newest first. */
  readonly table: readonly NaiveField[];
}

export interface NaiveLimits {
  /** Newest first. */
  readonly table: readonly NaiveField[];
  /** Of the table now. */
  readonly capacity: number;
  /** What a size update may say. */
  readonly maxTableBytes: number;
  readonly maxStringBytes: number;
}

class Malformed extends Error {}

export function naiveHpack(block: Uint8Array, limits: NaiveLimits): NaiveBlock {
  const reading = new NaiveReading(block, limits);
  let isValid = true;
  try {
    reading.read();
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    isValid = false;
  }
  return { fields: reading.fields, isValid, table: reading.table };
}

class NaiveReading {
  readonly fields: NaiveField[] = [];
  table: NaiveField[];
  readonly #block: Uint8Array;
  readonly #limits: NaiveLimits;
  #at = 0;
  #capacity: number;

  constructor(block: Uint8Array, limits: NaiveLimits) {
    this.#block = block;
    this.#limits = limits;
    this.table = [...limits.table];
    this.#capacity = limits.capacity;
  }

  read(): void {
    let updates = 0;
    while (this.#at < this.#block.length) {
      const bits = (this.#block[this.#at] as number).toString(2).padStart(8, '0');
      if (bits.startsWith('001')) {
        // §4.2
        if (this.fields.length > 0 || ++updates > 2) throw new Malformed();
        this.#capacity = this.#integer(5);
        if (this.#capacity > this.#limits.maxTableBytes) throw new Malformed();
        this.#evict();
      } else if (bits.startsWith('1')) {
        // §6.1
        const { name, value } = this.#entry(this.#integer(7));
        this.fields.push({ name, value, isNeverIndexed: false });
      } else {
        // §6.2
        const isIncremental = bits.startsWith('01');
        const index = this.#integer(isIncremental ? 6 : 4);
        const name = index === 0 ? this.#string() : this.#entry(index).name;
        const field = { name, value: this.#string(), isNeverIndexed: bits.startsWith('0001') };
        this.fields.push(field);
        if (isIncremental) this.table.unshift({ ...field, isNeverIndexed: false });
        this.#evict();
      }
    }
  }

  #entry(index: number): { readonly name: string; readonly value: string } {
    const entry = [...hpackJs['static-table'].table, ...this.table][index - 1];
    if (entry === undefined) throw new Malformed();
    return entry;
  }

  /** §4.3, §4.4 */
  #evict(): void {
    while (this.table.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0) > this.#capacity) this.table.pop();
  }

  #octet(): number {
    const octet = this.#block[this.#at++];
    if (octet === undefined) throw new Malformed();
    return octet;
  }

  /** §5.1 */
  #integer(prefixBits: number): number {
    const most = 2 ** prefixBits - 1;
    let value = BigInt(this.#octet() & most);
    if (value < most) return Number(value);
    for (let octets = 0; ; octets++) {
      if (octets === 5) throw new Malformed();
      const octet = this.#octet();
      value += BigInt(octet % 128) << BigInt(7 * octets);
      if (value > 2 ** 31 - 1) throw new Malformed();
      if (octet < 128) return Number(value);
    }
  }

  /** §5.2 */
  #string(): string {
    const isCoded = (this.#block[this.#at] ?? 0) >= 128;
    const length = this.#integer(7);
    if (length > this.#limits.maxStringBytes || this.#at + length > this.#block.length) throw new Malformed();
    const octets = Array.from(this.#block.subarray(this.#at, this.#at + length));
    this.#at += length;
    return isCoded ? decodeBits(octets) : String.fromCharCode(...octets);
  }
}

function decodeBits(octets: readonly number[]): string {
  let text = '';
  let code = '';
  for (const bit of octets.map((octet) => octet.toString(2).padStart(8, '0')).join('')) {
    code += bit;
    const symbol = symbols.get(code);
    if (symbol === undefined) continue;
    if (symbol === 256) throw new Malformed();
    text += String.fromCharCode(symbol);
    code = '';
  }
  if (code.length > 7 || code.includes('0')) throw new Malformed();
  return text;
}

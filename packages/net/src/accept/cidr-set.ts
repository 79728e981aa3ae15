/**
 * A set of IP ranges, for deciding about peers by their address.
 *
 * Rules:
 * - A look-up walks the bits of the address down a binary trie: at most 32 steps for IPv4 and 128 for IPv6, however many ranges there are.
 * - IPv4 in IPv6 is IPv4, both ways: `::ffff:10.1.2.3` is in `10.0.0.0/8`, and `10.1.2.3` is in `::ffff:10.0.0.0/104`. No other IPv6 range holds an
 *   IPv4 address, not even `::/0`: who allows all of IPv6 has said nothing of IPv4.
 * - Ranges are parsed strictly, as they decide who may come in: no leading zeros, no bits behind the prefix, no zone, no blanks.
 *
 * - A node has 8 bytes, and a range one of its own for each bit that no other range shares: up to 256 bytes for an IPv4 address, 1 KiB for an
 *   IPv6 address. Hundred thousand single IPv6 addresses all over the place take some 100 MiB; ranges as registries give them out far less.
 *
 * ```text
 *   #nodes   two words a node: where its child for bit 0 and for bit 1 is; 0: none, −1: all addresses below are in the set
 *            [ v4:0, v4:1, v6:0, v6:1, … ]      the roots are nodes 0 (IPv4) and 1 (IPv6)
 * ```
 */

import { checkMethods } from '../option-checks.ts';
import { parseIp, words } from './ip-bits.ts';

const covered = -1;
const none = 0;

/** An immutable set of ranges. */
export class CidrSet {
  /** How many ranges it was made of. */
  readonly size: number;
  readonly #nodes: Int32Array;

  /**
   * @param ranges `10.0.0.0/8`, `2001:db8::/32`, or single addresses
   * @throws {TypeError} if one of them is malformed; the message names it and says what to write
   */
  constructor(ranges: Iterable<string>) {
    if (typeof ranges === 'string') throw new TypeError('a CidrSet is made of a list of ranges, not of one text');
    const builder = new TrieBuilder();
    let size = 0;
    for (const range of ranges) {
      builder.add(range);
      size++;
    }
    this.size = size;
    this.#nodes = builder.nodes();
  }

  /**
   * Whether an address is in one of the ranges. The zone of a link-local address (`fe80::1%eth0`) does not matter. What is no address is in
   * no range.
   */
  has(host: string): boolean {
    const zone = host.indexOf('%');
    const family = parseIp(zone < 0 ? host : host.slice(0, zone));
    if (family === 'none' || (zone >= 0 && family === 4)) return false;
    const nodes = this.#nodes;
    let node = family === 4 ? 0 : 1;
    for (let bit = family === 4 ? 96 : 0; bit < 128; bit++) {
      node = nodes[2 * node + bitAt(bit)] as number;
      if (node <= 0) return node === covered;
    }
    return false;
  }
}

/**
 * A set as it is, known by its shape, as a program may have this package twice; or one of these ranges.
 *
 * @throws {TypeError} if it is neither, or a range is malformed
 */
export function toCidrSet(ranges: CidrSet | Iterable<string>): CidrSet {
  if (typeof ranges === 'string' || Symbol.iterator in ranges) return new CidrSet(ranges);
  checkMethods('ranges', ranges, 'a CidrSet, or a list of ranges', ['has']);
  return ranges;
}

/** A bit of `words`, 0 being the first of the address. */
function bitAt(bit: number): number {
  return ((words[bit >>> 5] as number) >>> (31 - (bit & 31))) & 1;
}

/** Grows the trie of a set. */
class TrieBuilder {
  #nodes = new Int32Array(64);
  /** The two roots. */
  #count = 2;

  /** @throws {TypeError} if the range is malformed */
  add(range: string): void {
    const prefix = parseRange(range);
    let node = prefix.family === 4 ? 0 : 1;
    const first = prefix.family === 4 ? 96 : 0;
    const last = first + prefix.length - 1;
    // A range of everything has no bit to walk: it covers both children of its root.
    if (prefix.length === 0) {
      this.#nodes[2 * node] = covered;
      this.#nodes[2 * node + 1] = covered;
      return;
    }
    for (let bit = first; bit < last; bit++) {
      const slot = 2 * node + bitAt(bit);
      const next = this.#nodes[slot] as number;
      if (next === covered) return;
      node = next === none ? this.#grow(slot) : next;
    }
    this.#nodes[2 * node + bitAt(last)] = covered;
  }

  nodes(): Int32Array {
    return this.#nodes.slice(0, 2 * this.#count);
  }

  #grow(slot: number): number {
    const node = this.#count++;
    if (2 * this.#count > this.#nodes.length) {
      const larger = new Int32Array(2 * this.#nodes.length);
      larger.set(this.#nodes);
      this.#nodes = larger;
    }
    this.#nodes[slot] = node;
    return node;
  }
}

/** Parses a range; its address is then in `words`. */
function parseRange(range: unknown): { family: 4 | 6; length: number } {
  if (typeof range !== 'string') throw new TypeError(`invalid range ${String(range)}: it is not a text`);
  const slash = range.indexOf('/');
  const address = slash < 0 ? range : range.slice(0, slash);
  const family = parseIp(address);
  if (family === 'none') throw invalid(range, address.includes('%') ? 'a range has no zone' : 'it does not begin with an IP address');
  const isMapped = family === 4 && address.includes(':');
  const most = family === 4 && !isMapped ? 32 : 128;
  const written = slash < 0 ? most : parseLength(range, range.slice(slash + 1), most);
  const length = isMapped ? written - 96 : written;
  if (length < 0) throw invalid(range, 'a range of IPv4 in IPv6 has a prefix of 96 bits or more');
  const extra = firstBitBehind((family === 4 ? 96 : 0) + length);
  // 10.1.2.3/8 may be meant as 10.0.0.0/8 or as one address: only who wrote it knows.
  if (extra < 128) throw invalid(range, `bits behind its prefix of ${written} are set; write the first address of the range`);
  return { family, length };
}

function parseLength(range: string, digits: string, most: number): number {
  const length = Number(digits);
  const isPlain = digits.length > 0 && digits.length <= 3 && String(length) === digits;
  if (!isPlain || !Number.isInteger(length) || length < 0 || length > most)
    throw invalid(range, `a prefix is a whole number from 0 to ${most}, not ${JSON.stringify(digits)}`);
  return length;
}

/** The first bit that is set at or behind a place; 128 if there is none. */
function firstBitBehind(from: number): number {
  for (let bit = from; bit < 128; bit++) if (bitAt(bit) === 1) return bit;
  return 128;
}

function invalid(range: string, why: string): TypeError {
  const shown = range.length > 100 ? `${range.slice(0, 100)}…` : range;
  return new TypeError(`invalid range ${JSON.stringify(shown)}: ${why}`);
}

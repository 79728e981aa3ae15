/**
 * The Huffman code of RFC 7541 Appendix B, and the tables made of it.
 *
 * The code is canonical: codes ascend with their lengths, and among equal lengths with their symbols. So the lengths say all.
 */

/** The symbol behind the 256 octets: its code pads the last octet and may not stand within a string (RFC 7541 §5.2). */
const EOS = 256;

/** Bits of each symbol's code: 16 symbols a line, then EOS. */
// biome-ignore format: sixteen a line
const lengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
   6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
   5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
  13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
   7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
  15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
   6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

/** Bits of each octet's code: 5 to 30. */
export const CODE_LENGTHS: Uint8Array = Uint8Array.from(lengths.slice(0, EOS));

/** Each octet's code, in its lowest bits. */
export const CODES: Int32Array = makeCodes().slice(0, EOS);

/** Bits of the two codes of a pair at most: with the 7 that may be left from before they fit into 31. */
const MAX_PAIR_BITS = 24;

/**
 * Encoding, two characters a step: `PAIRS[first << 7 | second]` is `codes << 5 | bits` of both, or 0 if they have more than {@link MAX_PAIR_BITS}, which is so of
 * control characters only, and of a few signs beside each other. One look-up for a step, where one for each character costs half as much again.
 * 64 KiB for all connections; text touches some 10.
 */
export const PAIRS: Int32Array = makePairs();

/** Set in a step that runs into EOS. */
export const STEP_FAILS: number = 1 << 26;

/**
 * Decoding, an octet a step: `STEPS[state << 8 | octet]`. A state is a node within the code's tree that is no leaf, of which there are 256
 * (257 leaves); 0 is the root. An octet ends at most two codes, as the shortest has 5 bits and at least one of an octet's 8 is needed to begin
 * the first one of three.
 *
 * ```
 *   31     27 26     25 24   23    16 15     8 7         0
 *   |   0    | fails | count | second | first  | next state |
 * ```
 * 256 KiB, of which text touches some 30 KiB: the states of codes up to 8 bits.
 */
export const STEPS: Int32Array = new Int32Array(256 * 256);

/** 1 for the states in which a string may end: the root, and up to 7 ones behind it (RFC 7541 §5.2). */
export const MAY_END: Uint8Array = new Uint8Array(256);

fillSteps();

function makeCodes(): Int32Array {
  const codes = new Int32Array(EOS + 1);
  const symbols = lengths.map((_, symbol) => symbol).toSorted((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  let code = 0;
  let length = 0;
  for (const symbol of symbols) {
    code <<= lengthOf(symbol) - length;
    length = lengthOf(symbol);
    codes[symbol] = code++;
  }
  return codes;
}

function makePairs(): Int32Array {
  const pairs = new Int32Array(128 * 128);
  for (let first = 0; first < 128; first++) {
    for (let second = 0; second < 128; second++) {
      const bits = lengthOf(first) + lengthOf(second);
      if (bits > MAX_PAIR_BITS) continue;
      const codes = ((CODES[first] as number) << lengthOf(second)) | (CODES[second] as number);
      pairs[(first << 7) | second] = (codes << 5) | bits;
    }
  }
  return pairs;
}

function lengthOf(symbol: number): number {
  return lengths[symbol] as number;
}

function fillSteps(): void {
  const children = makeTree();
  for (let state = 0; state < 256; state++) {
    for (let octet = 0; octet < 256; octet++) STEPS[(state << 8) | octet] = stepOf(children, state, octet);
  }
  for (let state = 0, ones = 0; ones <= 7; ones++) {
    MAY_END[state] = 1;
    state = children[(state << 1) | 1] as number;
  }
}

/** The tree: `children[node << 1 | bit]` is a node, or `~symbol` for a leaf. */
function makeTree(): Int16Array {
  const codes = makeCodes();
  const children = new Int16Array(512);
  let nodes = 1;
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0;
    const code = codes[symbol] as number;
    for (let bit = lengthOf(symbol) - 1; bit > 0; bit--) {
      const at = (node << 1) | ((code >>> bit) & 1);
      if (children[at] === 0) children[at] = nodes++;
      node = children[at] as number;
    }
    children[(node << 1) | (code & 1)] = ~symbol;
  }
  return children;
}

function stepOf(children: Int16Array, state: number, octet: number): number {
  let node = state;
  let count = 0;
  let symbols = 0;
  for (let bit = 7; bit >= 0; bit--) {
    const child = children[(node << 1) | ((octet >>> bit) & 1)] as number;
    if (child >= 0) {
      node = child;
      continue;
    }
    if (~child === EOS) return STEP_FAILS;
    symbols |= ~child << (8 * ++count);
    node = 0;
  }
  return (count << 24) | symbols | node;
}

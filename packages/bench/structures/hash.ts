/**
 * What a hash of a key costs: CRC-32 beside zlib's, which Node offers, and the keyed hash beside an unkeyed multiplicative one, which is what
 * a structure would use that trusts its keys.
 */
import { crc32 } from 'node:zlib';
import { crc32Text, TextHasher } from '@ferrata/hash';
import { compareTimes, type RowBench } from '../src/rows.ts';

// Joined from pieces and then flattened by a first reading, as keys mostly are.
const keys = Array.from({ length: 1024 }, (_, i) => `203.0.${i >>> 8}.${i & 255}`);
const hasher = new TextHasher({ k0: 1, k1: 2 });

// A loop for each, so that the call in it has one target, as in a program.
export const hash: RowBench = {
  name: 'hash',
  run: (options) => [
    ...compareTimes(
      {
        operation: 'CRC-32 of an address as text',
        ours: () => {
          let sum = 0;
          for (const key of keys) sum ^= crc32Text(key);
          return sum;
        },
        peers: {
          'node:zlib crc32': () => {
            let sum = 0;
            for (const key of keys) sum ^= crc32(key);
            return sum;
          },
        },
        bars: { 'node:zlib crc32': { maxRatio: 1 } },
        operationsPerCall: keys.length,
      },
      options,
    ),
    ...compareTimes(
      {
        operation: 'keyed hash of an address as text',
        ours: () => {
          let sum = 0;
          for (const key of keys) sum ^= hasher.hash32(key);
          return sum;
        },
        peers: {
          'FNV-1a (no key)': () => {
            let sum = 0;
            for (const key of keys) sum ^= fnv1a(key);
            return sum;
          },
        },
        // What the secret may cost.
        bars: { 'FNV-1a (no key)': { maxRatio: 3 } },
        operationsPerCall: keys.length,
      },
      options,
    ),
  ],
};

function fnv1a(text: string): number {
  let word = 0x811c_9dc5;
  for (let index = 0; index < text.length; index++) word = Math.imul(word ^ text.charCodeAt(index), 0x0100_0193);
  return word >>> 0;
}

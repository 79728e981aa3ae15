/** @ferrata/hash: keyed hashing of text that peers may choose, CRC-32, and a mixer of integers. */

export { crc32, crc32Text } from './crc32.ts';
export { KeyHasher } from './key-hasher.ts';
export { mix32 } from './mix32.ts';
export { TextHasher, type TextHasherKey } from './text-hasher.ts';

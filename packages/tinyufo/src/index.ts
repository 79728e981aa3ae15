/** @ferrata/tinyufo: a cache that keeps what is asked for often: S3-FIFO decides what leaves, TinyLFU whether a newcomer is worth it. */
export { type TinyUfoOptions } from './options.ts';
export { TinyUfo, type TinyUfoEntry } from './tiny-ufo.ts';

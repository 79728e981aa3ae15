/**
 * The memory of a registry: one `SharedArrayBuffer` of a fixed size, laid out as
 *
 * ```
 *  head        32 words of 32 bits, see `word`
 *  writers     a word for each: 0 free, 1 taken
 *  log         definitions of metrics and series, appended by any thread (definition-log.ts)
 *  stripes     1 + maxWriters times maxCells numbers of 64 bits (cells.ts): first the stripe of values that were set,
 *              then one for each writer
 * ```
 *
 * Whoever makes the memory writes the head; everybody else takes all sizes from it, so that threads cannot disagree.
 */
import type { MetricRegistryConfig } from '../options.ts';

const magic = 0x4d455452;
const layoutVersion = 1;
const headWords = 32;

/** Two lines of cache, which processors fetch in pairs: writers in different threads never touch the same pair. */
const stripeAlignment = 128;

/** What stands where in the head. */
const word = {
  magic: 0,
  version: 1,
  maxCells: 2,
  maxTextBytes: 3,
  maxWriters: 4,
  maxSeriesPerMetric: 5,
  maxLabelLength: 6,
  /** Words of the log that are given away. */
  logUsed: 7,
  /** The first record of the log. */
  logRoot: 8,
  /** One more than the highest writer there ever was. */
  writersSeen: 9,
} as const;

/** A registry's memory with the places of its parts. */
export interface MemoryLayout {
  readonly memory: SharedArrayBuffer;
  readonly config: MetricRegistryConfig;
  /** Head, writers and log. */
  readonly words: Int32Array;
  /** The same memory as UTF-16. */
  readonly characters: Uint16Array;
  readonly firstWriterWord: number;
  readonly firstLogWord: number;
  readonly endOfLog: number;
  readonly stripes: Float64Array;
  /** Numbers from one stripe to the next. */
  readonly stripeLength: number;
}

export const layoutWord: Pick<typeof word, 'logUsed' | 'logRoot' | 'writersSeen'> = word;

/** Makes the memory for a new registry. @throws {RangeError} when the platform has not that much */
export function makeMemory(config: MetricRegistryConfig): MemoryLayout {
  const layout = layOut(new SharedArrayBuffer(byteLengthOf(config)), config);
  const { words } = layout;
  words[word.magic] = magic;
  words[word.version] = layoutVersion;
  words[word.maxCells] = config.maxCells;
  words[word.maxTextBytes] = config.maxTextBytes;
  words[word.maxWriters] = config.maxWriters;
  words[word.maxSeriesPerMetric] = config.maxSeriesPerMetric;
  words[word.maxLabelLength] = config.maxLabelLength;
  return layout;
}

/** Finds the parts of a memory made elsewhere. @throws {TypeError} when it is not the memory of a registry, or one of another version */
export function joinMemory(memory: SharedArrayBuffer): MemoryLayout {
  // By its tag: `instanceof` fails for one that was made in another realm.
  if (Object.prototype.toString.call(memory) !== '[object SharedArrayBuffer]') throw new TypeError('memory must be a SharedArrayBuffer');
  if (memory.byteLength < headWords * 4) throw new TypeError('memory is not that of a MetricRegistry: it is too short');
  const head = new Int32Array(memory, 0, headWords);
  const read = (at: number): number => head[at] as number;
  if (read(word.magic) !== magic) throw new TypeError('memory is not that of a MetricRegistry');
  if (read(word.version) !== layoutVersion) {
    throw new TypeError(
      `memory has version ${read(word.version)} of the layout, and this code knows ${layoutVersion}: threads run different releases`,
    );
  }
  const config: MetricRegistryConfig = Object.freeze({
    maxCells: read(word.maxCells),
    maxTextBytes: read(word.maxTextBytes),
    maxWriters: read(word.maxWriters),
    maxSeriesPerMetric: read(word.maxSeriesPerMetric),
    maxLabelLength: read(word.maxLabelLength),
  });
  const byteLength = byteLengthOf(config);
  if (memory.byteLength !== byteLength) throw new TypeError(`memory has ${memory.byteLength} bytes, and its head asks for ${byteLength}`);
  return layOut(memory, config);
}

function layOut(memory: SharedArrayBuffer, config: MetricRegistryConfig): MemoryLayout {
  const firstStripe = firstStripeOf(config);
  const firstLogWord = headWords + config.maxWriters;
  return {
    memory,
    config,
    words: new Int32Array(memory, 0, firstStripe / 4),
    characters: new Uint16Array(memory, 0, firstStripe / 2),
    firstWriterWord: headWords,
    firstLogWord,
    endOfLog: firstLogWord + Math.floor(config.maxTextBytes / 4),
    stripes: new Float64Array(memory, firstStripe),
    stripeLength: stripeBytesOf(config) / 8,
  };
}

function firstStripeOf({ maxWriters, maxTextBytes }: MetricRegistryConfig): number {
  return aligned((headWords + maxWriters) * 4 + maxTextBytes);
}

function stripeBytesOf({ maxCells }: MetricRegistryConfig): number {
  return aligned(maxCells * 8);
}

function byteLengthOf(config: MetricRegistryConfig): number {
  return firstStripeOf(config) + stripeBytesOf(config) * (1 + config.maxWriters);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / stripeAlignment) * stripeAlignment;
}

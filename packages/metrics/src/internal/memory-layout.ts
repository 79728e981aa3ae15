/**
 * The memory of a registry: one `SharedArrayBuffer` of a fixed size, laid out as
 *
 * ```
 *  head        32 words of 32 bits, see `word`
 *  writers     a word for each: in whose hands the stripe is, and how often it was taken (cells.ts)
 *  log         definitions of metrics and series, appended by any thread (definition-log.ts)
 *  stripes     1 + maxWriters times maxCells numbers of 64 bits (cells.ts): first the stripe of values that were set,
 *              then one for each writer
 * ```
 *
 * Whoever makes the memory writes the head; everybody else takes all sizes from it, so that threads cannot disagree.
 *
 * The last eighth of the log and of the numbers is for definitions alone. Series are made for label values that peers choose; without a part
 * that they can't reach, a peer could make a program fail which defines a metric later.
 */
import { type MetricRegistryConfig, resolveMetricRegistryOptions } from '../options.ts';

const magic = 0x4d455452;
const layoutVersion = 1;
const headWords = 32;

/** Two lines of cache, which processors fetch in pairs: writers in different threads never touch the same pair. */
const stripeAlignment = 128;

/** The most memory that options may ask for: far above what anybody can scrape, and within what platforms can index. */
const maxBytes = 2 ** 32;

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
  /** The word after the log, and the one at which the part begins that only definitions may use. */
  readonly endOfLog: number;
  readonly endOfSeriesLog: number;
  /** Numbers that may be in use when a series is made; the others are for definitions. */
  readonly maxSeriesCells: number;
  readonly stripes: Float64Array;
  /** Numbers from one stripe to the next. */
  readonly stripeLength: number;
}

export const layoutWord: Pick<typeof word, 'logUsed' | 'logRoot' | 'writersSeen'> = word;

/** Makes the memory for a new registry. @throws {RangeError} when the options ask for more than is allowed, or than the platform has */
export function makeMemory(config: MetricRegistryConfig): MemoryLayout {
  const layout = layOut(allocate(config), config);
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

/** Finds the parts of a memory made elsewhere. @throws {TypeError} when it is not that of a registry, of another version, or damaged */
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
  const config = checkHead({
    maxCells: read(word.maxCells),
    maxTextBytes: read(word.maxTextBytes),
    maxWriters: read(word.maxWriters),
    maxSeriesPerMetric: read(word.maxSeriesPerMetric),
    maxLabelLength: read(word.maxLabelLength),
  });
  const byteLength = byteLengthOf(config);
  if (memory.byteLength !== byteLength) throw new TypeError(`memory has ${memory.byteLength} bytes, and its head asks for ${byteLength}`);
  const layout = layOut(memory, config);
  const isUsedWithin = isWithin(read(word.logUsed), layout.endOfLog - layout.firstLogWord);
  if (!isUsedWithin || !isWithin(read(word.writersSeen), config.maxWriters))
    throw new TypeError('memory is damaged: its head counts too much');
  return layout;
}

function isWithin(value: number, max: number): boolean {
  return value >= 0 && value <= max;
}

function allocate(config: MetricRegistryConfig): SharedArrayBuffer {
  const { maxCells, maxWriters, maxTextBytes } = config;
  const bytes = byteLengthOf(config);
  const sum = `maxCells (${maxCells}) × 8 × (maxWriters (${maxWriters}) + 1) and maxTextBytes (${maxTextBytes}) are ${bytes} bytes`;
  if (bytes > maxBytes) throw new RangeError(`${sum}, and must be at most ${maxBytes}`);
  try {
    return new SharedArrayBuffer(bytes);
  } catch (cause) {
    // The platform's own words name no option.
    throw new RangeError(`${sum}, which the platform does not give`, { cause });
  }
}

function checkHead(head: MetricRegistryConfig): MetricRegistryConfig {
  try {
    return resolveMetricRegistryOptions(head);
  } catch (cause) {
    throw new TypeError('memory is damaged: its head has options out of their range', { cause });
  }
}

function layOut(memory: SharedArrayBuffer, config: MetricRegistryConfig): MemoryLayout {
  const firstStripe = firstStripeOf(config);
  const firstLogWord = headWords + config.maxWriters;
  const logWords = Math.floor(config.maxTextBytes / 4);
  return {
    memory,
    config,
    words: new Int32Array(memory, 0, firstStripe / 4),
    characters: new Uint16Array(memory, 0, firstStripe / 2),
    firstWriterWord: headWords,
    firstLogWord,
    endOfLog: firstLogWord + logWords,
    endOfSeriesLog: firstLogWord + withoutReserve(logWords),
    maxSeriesCells: withoutReserve(config.maxCells),
    stripes: new Float64Array(memory, firstStripe),
    stripeLength: stripeBytesOf(config) / 8,
  };
}

/** What series may use: all but an eighth. */
function withoutReserve(room: number): number {
  return room - Math.ceil(room / 8);
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

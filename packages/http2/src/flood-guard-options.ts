/**
 * Budgets of the flood guard.
 *
 * A budget is a bucket: it holds `burst` at most, `perSecond` flow in, and each event takes one out. Useful traffic flows into it too (the
 * column "earned" of the README's table), so what a well-behaved peer does in proportion to its traffic never empties it, however fast it is.
 */
import { checkNumber, checkWholeNumber } from '@ferrata/error';

/** A bucket: what may come at once, and what may come for ever. */
export interface FloodBudget {
  /** What the bucket holds. `Infinity` for no limit. */
  readonly burst?: number;
  /** What flows in each second. */
  readonly perSecond?: number;
}

/** A `FloodBudget` with its defaults filled in. */
export type ResolvedFloodBudget = Readonly<Required<FloodBudget>>;

/**
 * Options of a `FloodGuard`. Raising any of them lets each connection have so much more of our processor for the same bytes of its own; the
 * remark says what one event costs.
 */
export interface FloodGuardOptions {
  /**
   * Requests that are given up or broken: RST_STREAM of the peer before the response was whole, and streams that we reset because of the peer's
   * faults. Default 200, 33/s. Each may cost a whole request, also behind us (CVE-2023-44487, CVE-2025-8671).
   */
  readonly resets?: FloodBudget;
  /** From how many streams within some 30 s on at most half of them may be reset. Default 200; `Infinity` for no limit. Costs as `resets`. */
  readonly prematureResetMinStreams?: number;
  /** New streams in one turn (one chunk of input), as a multiple of the concurrent ones. Default 2. Each is a request before any answer left. */
  readonly maxNewStreamsFactor?: number;
  /**
   * Streams beyond the concurrent ones, which are refused, and those behind our last GOAWAY, which are passed over. Default 100, 33/s; at first as many
   * as the concurrent ones if they are more. Each costs a decoded head.
   */
  readonly refusedStreams?: FloodBudget;
  /** PING frames. Default 200, 20/s. Each costs an answer of 17 bytes (CVE-2019-9512). */
  readonly pings?: FloodBudget;
  /** SETTINGS frames. Default 32, 2/s. Each costs an answer, and a walk over all streams (CVE-2019-9515). */
  readonly settings?: FloodBudget;
  /** PRIORITY and PRIORITY_UPDATE frames. Default 200, 20/s. Each costs a parse and a place in the schedule (CVE-2019-9513). */
  readonly priorities?: FloodBudget;
  /** WINDOW_UPDATE frames. Default 2000, 1000/s. Each costs a look at what is blocked. */
  readonly windowUpdates?: FloodBudget;
  /**
   * WINDOW_UPDATE frames of fewer than 256 bytes, and DATA frames of ours that a window of fewer than 256 bytes cut short. Default 1000, 100/s.
   * Each makes us send crumbs (CVE-2019-9511, CVE-2019-9517).
   */
  readonly tinyWindows?: FloodBudget;
  /** Frames without content in a row: DATA, HEADERS and CONTINUATION with no bytes. Default 16; `Infinity` for no limit (CVE-2019-9518). */
  readonly maxConsecutiveEmptyFrames?: number;
  /** Such frames in all. Default 200, 20/s. */
  readonly emptyFrames?: FloodBudget;
  /** DATA frames of 1 to 4 bytes that do not end their stream: fewer than the smallest message of gRPC. Default 10 000, 2000/s. */
  readonly tinyData?: FloodBudget;
  /**
   * Bytes of overhead: each frame is charged with 64 (DATA that ends its stream is not), its padding, and its payload unless that is content; content
   * pays back byte by byte. Default 4 MiB, 4 MiB/s. It costs us 0.2 µs a frame at most to be flooded at this rate.
   */
  readonly overheadBytes?: FloodBudget;
  /** Frames of unknown types, ALTSVC, ORIGIN and GOAWAY. Default 100, 10/s. They are passed over. */
  readonly unknownFrames?: FloodBudget;
  /** Payload bytes of SETTINGS, PRIORITY_UPDATE, unknown frames and the like. Default 256 KiB, 64 KiB/s. */
  readonly controlBytes?: FloodBudget;
  /** Size updates of the HPACK table. Default 100, 10/s. Each may empty the table. */
  readonly tableUpdates?: FloodBudget;
  /** Entries pushed out of the HPACK table. Default 8192, 8192/s. Each is a string made and dropped. */
  readonly tableEvictions?: FloodBudget;
  /** Interim responses (client). Default 200, 20/s. Each costs a decoded head. */
  readonly interimResponses?: FloodBudget;
  /**
   * Small offences: HEADERS and ends of bodies for streams that are gone, but for the first of each, and what else is ignored. Default 1000, 100/s.
   */
  readonly glitches?: FloodBudget;
  /** Answers that the peer forced (acknowledgements, RST_STREAM) and does not take. Default 256. Each holds some 20 bytes. */
  readonly maxQueuedReplies?: number;
}

/** The buckets of a guard, each under the name of its budget, with its place. */
export const Bucket = {
  resets: 0,
  refusedStreams: 1,
  pings: 2,
  settings: 3,
  priorities: 4,
  windowUpdates: 5,
  tinyWindows: 6,
  emptyFrames: 7,
  tinyData: 8,
  overheadBytes: 9,
  unknownFrames: 10,
  controlBytes: 11,
  tableUpdates: 12,
  tableEvictions: 13,
  interimResponses: 14,
  glitches: 15,
} as const;

/** One of the values of the constant of the same name. */
export type Bucket = (typeof Bucket)[keyof typeof Bucket];

type BudgetName = keyof typeof Bucket;

/** All budgets as numbers, by bucket: one pair of arrays for all connections. */
export interface BucketLimits {
  /** To which time fills a bucket. */
  readonly bursts: Float64Array;
  readonly perMs: Float64Array;
  /** To which earning fills it: the burst, or more where what was earned is used a round trip later. */
  readonly caps: Float64Array;
}

/**
 * By how much more than the burst can be earned. A response that leaves at once is acknowledged when it has arrived, all of it at once: by some
 * 32 000 WINDOW_UPDATEs for 16 MiB, if the reader does so by the kilobyte. Saved up and sent for nothing they cost a few milliseconds.
 */
const EARNED_BURSTS: Partial<Record<BudgetName, number>> = { windowUpdates: 32, tinyWindows: 16 };

/** `FloodGuardOptions` with every default filled in. */
export type ResolvedFloodGuardOptions = Readonly<
  Record<BudgetName, ResolvedFloodBudget> & {
    readonly prematureResetMinStreams: number;
    readonly maxNewStreamsFactor: number;
    readonly maxConsecutiveEmptyFrames: number;
    readonly maxQueuedReplies: number;
    /** The budgets again, as a guard reads them. */
    readonly limits: BucketLimits;
  }
>;

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} when a value makes no sense; the message names the option
 */
export function resolveFloodGuardOptions(options: FloodGuardOptions = {}): ResolvedFloodGuardOptions {
  const budgets = {
    resets: budget('resets', 200, 33, options.resets),
    refusedStreams: budget('refusedStreams', 100, 33, options.refusedStreams),
    pings: budget('pings', 200, 20, options.pings),
    settings: budget('settings', 32, 2, options.settings),
    priorities: budget('priorities', 200, 20, options.priorities),
    windowUpdates: budget('windowUpdates', 2_000, 1_000, options.windowUpdates),
    tinyWindows: budget('tinyWindows', 1_000, 100, options.tinyWindows),
    emptyFrames: budget('emptyFrames', 200, 20, options.emptyFrames),
    tinyData: budget('tinyData', 10_000, 2_000, options.tinyData),
    overheadBytes: budget('overheadBytes', 0x40_0000, 0x40_0000, options.overheadBytes),
    unknownFrames: budget('unknownFrames', 100, 10, options.unknownFrames),
    controlBytes: budget('controlBytes', 0x4_0000, 0x1_0000, options.controlBytes),
    tableUpdates: budget('tableUpdates', 100, 10, options.tableUpdates),
    tableEvictions: budget('tableEvictions', 8_192, 8_192, options.tableEvictions),
    interimResponses: budget('interimResponses', 200, 20, options.interimResponses),
    glitches: budget('glitches', 1_000, 100, options.glitches),
  } as const satisfies Record<BudgetName, ResolvedFloodBudget>;
  const names = Object.keys(Bucket) as BudgetName[];
  const inOrder = names.map((name) => budgets[name]);
  return Object.freeze({
    ...budgets,
    prematureResetMinStreams: count('prematureResetMinStreams', options.prematureResetMinStreams ?? 200, 1),
    maxNewStreamsFactor: checkNumber('maxNewStreamsFactor', options.maxNewStreamsFactor ?? 2, { min: 1 }),
    maxConsecutiveEmptyFrames: count('maxConsecutiveEmptyFrames', options.maxConsecutiveEmptyFrames ?? 16, 0),
    maxQueuedReplies: count('maxQueuedReplies', options.maxQueuedReplies ?? 256, 1),
    limits: Object.freeze({
      bursts: Float64Array.from(inOrder, ({ burst }) => burst),
      perMs: Float64Array.from(inOrder, ({ perSecond }) => perSecond / 1000),
      caps: Float64Array.from(names, (name) => budgets[name].burst * (EARNED_BURSTS[name] ?? 1)),
    }),
  });
}

function budget(name: string, burst: number, perSecond: number, given: FloodBudget = {}): ResolvedFloodBudget {
  return Object.freeze({
    burst: checkNumber(`${name}.burst`, given.burst ?? burst, { min: 0 }),
    perSecond: checkNumber(`${name}.perSecond`, given.perSecond ?? perSecond, { min: 0, max: Number.MAX_SAFE_INTEGER }),
  });
}

function count(name: string, value: number, min: number): number {
  return checkWholeNumber(name, value, { min, max: Infinity });
}

/** What happens in one world, as plain data: drawn by fast-check, shrunk by it, printed when a property fails. */
import fc from 'fast-check';

/** One request, as its client sends it, and what the origin makes of it. */
export interface RequestPlan {
  readonly method: string;
  readonly version: '1.1' | '1.0';
  readonly form: 'origin' | 'absolute';
  readonly framing: 'none' | 'length' | 'chunked';
  readonly bodyLength: number;
  /** Sizes of the chunks, in turn. */
  readonly chunkSizes: readonly number[];
  readonly hasTrailers: boolean;
  /** Indices into `REQUEST_FIELDS`. */
  readonly fields: readonly number[];
  readonly asksClose: boolean;
  readonly expectsContinue: boolean;
  readonly asksUpgrade: boolean;
  /** Virtual milliseconds before it is sent. */
  readonly gapMs: number;
  /** What the origin does on the first, the second, … attempt; the last one counts for all that follow. */
  readonly answers: readonly AnswerPlan[];
}

/** One answer of an origin. */
export interface AnswerPlan {
  readonly status: number;
  readonly version: '1.1' | '1.0';
  readonly framing: 'length' | 'chunked' | 'close';
  readonly bodyLength: number;
  readonly chunkSizes: readonly number[];
  readonly hasTrailers: boolean;
  /** Indices into `RESPONSE_FIELDS`. */
  readonly fields: readonly number[];
  readonly interims: readonly number[];
  /** When it begins: after the request's head, or when all of it has come. */
  readonly begins: 'early' | 'late';
  readonly delayMs: number;
  /** Bytes of one write; 0: all at once. */
  readonly pieceBytes: number;
  readonly pauseMs: number;
  /** What becomes of the connection after a whole answer. */
  readonly after: 'keep' | 'sayClose' | 'closeSilently' | 'resetSilently' | 'strayBytes' | 'strayResponse';
  readonly afterMs: number;
  readonly fault: FaultPlan | null;
}

/**
 * Whether an origin says something of its own accord on a connection that is kept. What comes when a request is already on its way is taken for its answer, by whoever speaks
 * HTTP/1: there is nothing in it that tells.
 */
export function hasStrays(plans: Iterable<RequestPlan>): boolean {
  return [...plans].some(({ answers }) => answers.some(({ after }) => after === 'strayResponse'));
}

/** What goes wrong in an answer, at a byte of it (modulo its length). */
export interface FaultPlan {
  readonly kind: 'reset' | 'end' | 'stall' | 'garbage' | 'contradiction' | 'shortLength' | 'storm';
  readonly at: number;
}

/** A slow reader: pauses for so long each time so many bytes have come. */
export interface ReadingPlan {
  readonly everyBytes: number;
  readonly pauseMs: number;
}

/** One client with one connection. */
export interface ClientPlan {
  readonly startMs: number;
  readonly isPipelining: boolean;
  readonly requests: readonly RequestPlan[];
  /** Bytes of one write; 0: all at once. */
  readonly pieceBytes: number;
  readonly pauseMs: number;
  readonly reading: ReadingPlan | null;
  /** `leave`: waits for the last answer, then ends · `stay`: until the server closes · `halfClose`: ends its side with the last request · `reset`, `vanish`: at byte `endAt` of what it sends. */
  readonly ending: 'leave' | 'stay' | 'halfClose' | 'reset' | 'vanish' | 'garbage';
  readonly endAt: number;
}

/** One world. */
export interface WorldPlan {
  /** The seed of the network: its delays, cuts and faults. */
  readonly seed: number;
  /** The chance that an end of a connection has planned faults. */
  readonly faultProbability: number;
  readonly highWaterBytes: number;
  /** How the origins read. */
  readonly originReading: ReadingPlan | null;
  readonly hooks: 'none' | 'slow' | 'bodies' | 'slowBodies';
  /** Whether the second origin, which every fifth request is for, is there at all. */
  readonly hasSecondOrigin: boolean;
  readonly clients: readonly ClientPlan[];
}

/** Fields that a request may carry: what must cross, what must not. */
export const REQUEST_FIELDS: readonly (readonly [string, string])[] = [
  ['Connection', 'X-Private'],
  ['X-Private', 'between us'],
  ['Keep-Alive', 'timeout=5'],
  ['Proxy-Connection', 'keep-alive'],
  ['TE', 'trailers, deflate;q=0.5'],
  ['Proxy-Authorization', 'Basic c2VjcmV0'],
  ['X-Repeated', 'one'],
  ['x-repeated', 'two'],
  ['X-Empty', ''],
  ['X-Latin', 'caf\xe9 \x80'],
  ['Cookie', 'a=1; b=2'],
  ['__proto__', 'polluted'],
  ['Accept', 'text/html, */*;q=0.8'],
];

/** Fields that a response may carry. */
export const RESPONSE_FIELDS: readonly (readonly [string, string])[] = [
  ['Connection', 'X-Hidden'],
  ['X-Hidden', 'between us'],
  ['Keep-Alive', 'timeout=3'],
  ['Proxy-Connection', 'keep-alive'],
  ['Set-Cookie', 'a=1'],
  ['set-cookie', 'b=2; Path=/'],
  ['X-Empty', ''],
  ['X-Latin', 'gr\xfc\xdfe'],
  ['Proxy-Authenticate', 'Basic'],
  ['Date', 'Thu, 01 Jan 1970 00:00:00 GMT'],
];

const lengths = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 3_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 4_000, max: 30_000 }) },
);
const chunkSizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 3 });
const pieces = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constant(1) },
  { weight: 2, arbitrary: fc.integer({ min: 2, max: 300 }) },
);
const rarely = (oneIn: number): fc.Arbitrary<boolean> => fc.integer({ min: 0, max: oneIn - 1 }).map((n) => n === oneIn - 1);
const gaps = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
);

const answerFaults: fc.Arbitrary<FaultPlan> = fc.record({
  kind: fc.constantFrom<FaultPlan['kind']>('reset', 'end', 'stall', 'garbage', 'contradiction', 'shortLength', 'storm'),
  at: fc.integer({ min: 0, max: 4_000 }),
});

function readings(pausesMs: readonly number[]): fc.Arbitrary<ReadingPlan | null> {
  const slow = fc.record({ everyBytes: fc.integer({ min: 1, max: 5_000 }), pauseMs: fc.constantFrom(...pausesMs) });
  return fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: slow });
}

function answers(isRude: boolean): fc.Arbitrary<AnswerPlan> {
  return fc.record({
    status: fc.constantFrom(200, 200, 200, 201, 404, 204, 304, 500),
    version: fc.constantFrom<'1.1' | '1.0'>('1.1', '1.1', '1.1', '1.0'),
    framing: fc.constantFrom<AnswerPlan['framing']>('length', 'chunked', 'length', 'chunked', 'close'),
    bodyLength: lengths,
    chunkSizes,
    hasTrailers: fc.boolean(),
    fields: fc.subarray(RESPONSE_FIELDS.map((_, i) => i)),
    interims: fc.array(fc.constantFrom(100, 102, 103), { maxLength: 2 }),
    begins: isRude ? fc.constantFrom<'early' | 'late'>('late', 'late', 'early') : fc.constant('late' as const),
    delayMs: fc.integer({ min: 0, max: 300 }),
    pieceBytes: pieces,
    pauseMs: fc.integer({ min: 0, max: 20 }),
    after: isRude
      ? fc.constantFrom<AnswerPlan['after']>(
          'keep',
          'keep',
          'keep',
          'sayClose',
          'closeSilently',
          'resetSilently',
          'strayBytes',
          'strayResponse',
        )
      : fc.constantFrom<AnswerPlan['after']>('keep', 'keep', 'sayClose'),
    afterMs: fc.integer({ min: 0, max: 60 }),
    fault: isRude ? fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: answerFaults }) : fc.constant(null),
  });
}

function requests(isRude: boolean): fc.Arbitrary<RequestPlan> {
  return fc.record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'POST', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH'),
    version: fc.constantFrom<'1.1' | '1.0'>('1.1', '1.1', '1.1', '1.1', '1.0'),
    form: fc.constantFrom<'origin' | 'absolute'>('origin', 'origin', 'origin', 'absolute'),
    framing: fc.constantFrom<RequestPlan['framing']>('none', 'none', 'length', 'chunked'),
    bodyLength: lengths,
    chunkSizes,
    hasTrailers: fc.boolean(),
    fields: fc.subarray(REQUEST_FIELDS.map((_, i) => i)),
    asksClose: rarely(8),
    expectsContinue: rarely(8),
    asksUpgrade: rarely(12),
    gapMs: isRude ? gaps : fc.integer({ min: 0, max: 40 }),
    answers: fc.array(answers(isRude), { minLength: 1, maxLength: 2 }),
  });
}

function clients(isRude: boolean): fc.Arbitrary<ClientPlan> {
  return fc.record({
    startMs: gaps,
    isPipelining: rarely(3),
    requests: fc.array(requests(isRude), { minLength: 1, maxLength: 4 }),
    pieceBytes: pieces,
    pauseMs: fc.integer({ min: 0, max: 20 }),
    reading: readings(isRude ? [10, 500, 100_000] : [10, 500]),
    ending: isRude
      ? fc.constantFrom<ClientPlan['ending']>('leave', 'leave', 'stay', 'halfClose', 'reset', 'vanish', 'garbage')
      : fc.constantFrom<ClientPlan['ending']>('leave', 'stay'),
    endAt: fc.integer({ min: 0, max: 4_000 }),
  });
}

/** Worlds in which anything may go wrong. */
export const rudeWorlds: fc.Arbitrary<WorldPlan> = fc.record({
  seed: fc.nat(),
  faultProbability: fc.constantFrom(0, 0, 0.1, 0.3),
  highWaterBytes: fc.constantFrom(65_536, 1_024),
  originReading: readings([10, 500]),
  hooks: fc.constantFrom<WorldPlan['hooks']>('none', 'none', 'slow', 'bodies', 'slowBodies'),
  hasSecondOrigin: rarely(6).map((isMissing) => !isMissing),
  clients: fc.array(clients(true), { minLength: 1, maxLength: 3 }),
});

/** Worlds in which everybody keeps to the rules: all that is asked must be answered whole. */
export const kindWorlds: fc.Arbitrary<WorldPlan> = fc
  .record({
    seed: fc.nat(),
    faultProbability: fc.constant(0),
    highWaterBytes: fc.constantFrom(65_536, 1_024),
    originReading: readings([10, 500]),
    hooks: fc.constantFrom<WorldPlan['hooks']>('none', 'none', 'slow', 'bodies', 'slowBodies'),
    hasSecondOrigin: fc.constant(true),
    clients: fc.array(clients(false), { minLength: 1, maxLength: 3 }),
  })
  .map((plan) => ({ ...plan, originReading: inGoodTime(plan) }));

/** Half of the time (`firstByteTimeoutMs`) that an origin has for its answer once a request has been written. */
const MAX_KIND_READING_MS = 30_000;

/** What a request has beyond its body, as it comes to the origin: head, lines of chunks, trailers. */
const MAX_FRAMING_BYTES = 1_000;

/**
 * How the origins of a kind world read: so that none takes longer for a request than it has for the answer. A request has been written
 * while much of it waits on its way, and whoever has written it cannot know whether an origin that says nothing still reads.
 */
function inGoodTime({ originReading, clients: all }: WorldPlan): ReadingPlan | null {
  if (originReading === null) return null;
  const { everyBytes, pauseMs } = originReading;
  const bodies = all.flatMap(({ requests: asked }) => asked.map(({ framing, bodyLength }) => (framing === 'none' ? 0 : bodyLength)));
  const longest = Math.max(...bodies) + MAX_FRAMING_BYTES;
  return { everyBytes: Math.max(everyBytes, Math.ceil((longest * pauseMs) / MAX_KIND_READING_MS)), pauseMs };
}

/** One exchange with a large body, and somebody who reads slowly or not at all: what the proxy holds must not grow with it. */
export const slowWorlds: fc.Arbitrary<WorldPlan> = fc
  .record({
    seed: fc.nat(),
    isUpload: fc.boolean(),
    framing: fc.constantFrom<'length' | 'chunked'>('length', 'chunked'),
    bodyLength: fc.integer({ min: 300_000, max: 600_000 }),
    highWaterBytes: fc.constantFrom(65_536, 16_384, 1_024),
    hooks: fc.constantFrom<WorldPlan['hooks']>('none', 'slow', 'bodies', 'slowBodies'),
    reading: fc.record({ everyBytes: fc.integer({ min: 1, max: 50_000 }), pauseMs: fc.constantFrom(50, 2_000, 1_000_000) }),
  })
  .map(({ seed, isUpload, framing, bodyLength, highWaterBytes, hooks, reading }) => {
    const answer: AnswerPlan = { ...PLAIN_ANSWER, framing, bodyLength: isUpload ? 10 : bodyLength };
    const request: RequestPlan = { ...PLAIN_REQUEST, method: 'PUT', framing: isUpload ? framing : 'none', bodyLength, answers: [answer] };
    const client: ClientPlan = { ...PLAIN_CLIENT, requests: [request], reading: isUpload ? null : reading };
    return {
      seed,
      faultProbability: 0,
      highWaterBytes,
      originReading: isUpload ? reading : null,
      hooks,
      hasSecondOrigin: true,
      clients: [client],
    };
  });

/** The plainest of everything, for plans written by hand. */
export const PLAIN_ANSWER: AnswerPlan = {
  status: 200,
  version: '1.1',
  framing: 'length',
  bodyLength: 10,
  chunkSizes: [700],
  hasTrailers: false,
  fields: [],
  interims: [],
  begins: 'late',
  delayMs: 0,
  pieceBytes: 0,
  pauseMs: 0,
  after: 'keep',
  afterMs: 0,
  fault: null,
};

export const PLAIN_REQUEST: RequestPlan = {
  method: 'GET',
  version: '1.1',
  form: 'origin',
  framing: 'none',
  bodyLength: 0,
  chunkSizes: [700],
  hasTrailers: false,
  fields: [],
  asksClose: false,
  expectsContinue: false,
  asksUpgrade: false,
  gapMs: 0,
  answers: [PLAIN_ANSWER],
};

export const PLAIN_CLIENT: ClientPlan = {
  startMs: 0,
  isPipelining: false,
  requests: [PLAIN_REQUEST],
  pieceBytes: 1_000,
  pauseMs: 0,
  reading: null,
  ending: 'leave',
  endAt: 0,
};

export const PLAIN_WORLD: WorldPlan = {
  seed: 1,
  faultProbability: 0,
  highWaterBytes: 65_536,
  originReading: null,
  hooks: 'none',
  hasSecondOrigin: true,
  clients: [PLAIN_CLIENT],
};

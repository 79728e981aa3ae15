/** Every stream and every wrapper of `@ferrata/stream` keeps the stream contract. */
import { seededRandom, systemClock } from '@ferrata/clock';
import {
  faulty,
  filtered,
  idleTimeout,
  type L4Stream,
  limited,
  type MemoryCarrier,
  type MemoryPairOptions,
  type MemoryParcel,
  memoryPair,
  rechunked,
  relay,
  tapped,
  traced,
} from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { type CompliancePair, streamCompliance } from '../../src/index.ts';

const deadlines = new DeadlineQueue({ clock: systemClock });

/** A pair with both ends wrapped. */
function wrapped(wrap: (stream: L4Stream) => L4Stream, options: MemoryPairOptions = {}): () => CompliancePair {
  return () => {
    const { a, b } = memoryPair(options);
    return { a: wrap(a), b: wrap(b) };
  };
}

streamCompliance('memoryPair', () => memoryPair());
streamCompliance('memoryPair with room for 100 bytes', () => memoryPair({ highWaterBytes: 100, hardLimitBytes: 10_000_000 }));
streamCompliance('memoryPair with its own defer', () => memoryPair({ defer: (task) => void setImmediate(task) }));
streamCompliance('memoryPair with a slow carrier that cuts', () => memoryPair({ carry: slowCarrier() }), { runs: 10 });

streamCompliance(
  'tapped',
  wrapped((stream) => tapped(stream, {})),
);
streamCompliance(
  'traced',
  wrapped((stream) => traced(stream, () => {})),
);
streamCompliance(
  'idleTimeout',
  wrapped((stream) => idleTimeout(stream, 60_000, deadlines)),
);
streamCompliance(
  'filtered without filters',
  wrapped((stream) => filtered(stream, {})),
);
streamCompliance(
  'rechunked to single bytes',
  wrapped((stream) => rechunked(stream, { incoming: [1] })),
  {
    runs: 5,
    // Each byte is an event of its own here: enough of them to be full, and no more.
    fillBytes: 1_048_576,
  },
);
streamCompliance(
  'rechunked both ways, cutting',
  wrapped((stream) => rechunked(stream, { incoming: [7, 1, 1_000], outgoing: [3_000, 11] })),
);
streamCompliance(
  'rechunked both ways, merging',
  wrapped((stream) => rechunked(stream, { incoming: [500], outgoing: [2_000, 1], merge: true })),
);
streamCompliance('rechunked by a seed', () => {
  const random = seededRandom(1);
  return wrapped((stream) =>
    rechunked(stream, { incoming: () => 1 + random.below(3_000), outgoing: () => 1 + random.below(300), merge: true }),
  )();
});
streamCompliance(
  'faulty without faults',
  wrapped((stream) => faulty(stream, [])),
);
streamCompliance(
  'faulty with delays',
  wrapped((stream) =>
    faulty(
      stream,
      [
        { direction: 'incoming', at: 2, kind: 'delay', ms: 1 },
        { direction: 'outgoing', at: 3, kind: 'delay', ms: 1 },
        { direction: 'outgoing', at: 3_000, kind: 'delay', ms: 2 },
      ],
      { clock: systemClock },
    ),
  ),
  { runs: 10 },
);
streamCompliance(
  'limited without limits',
  wrapped((stream) => limited(stream, { incoming: {}, outgoing: { maxBytes: 1e12 } })),
);
streamCompliance(
  'limited by a high rate',
  wrapped((stream) =>
    limited(stream, { incoming: { bytesPerSecond: 1e9 }, outgoing: { bytesPerSecond: 1e9, burstBytes: 1e8 }, deadlines }),
  ),
);
streamCompliance(
  'all wrappers on top of each other',
  wrapped((stream) =>
    traced(
      limited(faulty(rechunked(idleTimeout(stream, 60_000, deadlines), { incoming: [100] }), []), { outgoing: { maxBytes: 1e9 } }),
      () => {},
    ),
  ),
);
streamCompliance('two pairs joined by a relay', () => {
  const near = memoryPair();
  const far = memoryPair();
  relay(near.b, far.a);
  return { a: near.a, b: far.b };
});

/** Cuts what it carries, and delivers each piece a turn of the event loop later. */
function slowCarrier(): MemoryCarrier {
  return (parcel, deliver) => {
    for (const piece of cut(parcel)) setImmediate(() => deliver(piece));
  };
}

function cut(parcel: MemoryParcel): MemoryParcel[] {
  if (parcel.kind !== 'data' || parcel.chunk.byteLength < 2) return [parcel];
  const middle = parcel.chunk.byteLength >>> 1;
  return [
    { kind: 'data', chunk: parcel.chunk.subarray(0, middle) },
    { kind: 'data', chunk: parcel.chunk.subarray(middle) },
  ];
}

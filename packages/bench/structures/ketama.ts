/**
 * `@ferrata/ketama` beside `hashring` and `consistent-hashing`, all with 160 points a node.
 *
 * Theirs are rings of MD5 (40 digests of four points for `hashring`, 160 digests for `consistent-hashing`), ours is of CRC-32, which nginx
 * demands; a look-up is a hash of the key and a search in each. `hashring` keeps the answers of the last 5000 keys in a cache: keys are many
 * here, so that rings are compared, and once few, so that its cache is.
 */
import { createRequire } from 'node:module';
import { KetamaRing } from '@ferrata/ketama';
import { bytesOf, compareTimes, type StructureBench, type StructureRow, type StructureRunOptions } from './structure-bench.ts';

/** What we use of `hashring`, which has no types. */
type HashRing = new (addresses: readonly string[]) => { get(key: string): string };
/** What we use of `consistent-hashing`, which has none either. */
type ConsistentHashing = new (addresses: readonly string[]) => { getNode(key: string): string };

const require = createRequire(import.meta.url);
const HashRing = require('hashring') as HashRing;
const ConsistentHashing = require('consistent-hashing') as ConsistentHashing;

/** Looks up the node of a key. */
type LookUp = (key: string) => string | undefined;

/** By the name of who makes it: a ring of these addresses. */
const makers: Readonly<Record<'ferrata' | 'hashring' | 'consistent-hashing', (addresses: readonly string[]) => LookUp>> = {
  ferrata: (addresses) => {
    const ring = new KetamaRing(addresses);
    return (key) => ring.node(key);
  },
  hashring: (addresses) => {
    const ring = new HashRing(addresses);
    return (key) => ring.get(key);
  },
  'consistent-hashing': (addresses) => {
    const ring = new ConsistentHashing(addresses);
    return (key) => ring.getNode(key);
  },
};

/**
 * `consistent-hashing` sorts all points anew for each node and counts them anew for each look-up (4 ms of it at a hundred nodes), so it is
 * measured with ten nodes only, and its spread not at all: that of another ring of MD5 stands for it.
 */
const MOST_NODES_OF_CONSISTENT_HASHING = 10;

const KEYS_PER_CALL = 64;
const MANY_KEYS = 65_536;
/** As many as fit the cache of `hashring`. */
const FEW_KEYS = 1024;

export const ketama: StructureBench = {
  name: 'ketama',
  run(options) {
    const sizes = options.isQuick ? [10] : [10, 100, 1000];
    return [
      ...sizes.flatMap((size) => lookUpRows(size, MANY_KEYS, options)),
      ...lookUpRows(100, FEW_KEYS, options),
      ...walkRows(options),
      ...sizes.flatMap((size) => buildRows(size, options)),
      ...(globalThis.gc === undefined ? [] : memoryRows(options)),
      ...spreadRows(options),
    ];
  },
};

function lookUpRows(size: number, keyCount: number, options: StructureRunOptions): readonly StructureRow[] {
  const keys = keysOf(keyCount);
  const addresses = addressesOf(size);
  return compareTimes(
    {
      operation: `look-up, ${size} nodes, ${keyCount} keys`,
      ours: lookUps(makers.ferrata(addresses), keys),
      peers: Object.fromEntries(peersFor(size).map(([name, make]) => [name, lookUps(make(addresses), keys)])),
      operationsPerCall: KEYS_PER_CALL,
      bars: keyCount === MANY_KEYS ? { hashring: { maxRatio: 0.5 }, 'consistent-hashing': { maxRatio: 0.5 } } : {},
    },
    options,
  );
}

function peersFor(size: number): readonly (readonly [string, (addresses: readonly string[]) => LookUp])[] {
  const { ferrata: _, hashring, ...others } = makers;
  return Object.entries(size > MOST_NODES_OF_CONSISTENT_HASHING ? { hashring } : { hashring, ...others });
}

/** Each call looks up the next of the keys, as many as one call does. */
function lookUps(lookUp: LookUp, keys: readonly string[]): () => number {
  let position = 0;
  return () => {
    let length = 0;
    for (let count = 0; count < KEYS_PER_CALL; count++) {
      length += (lookUp(keys[position] as string) as string).length;
      position = position + 1 === keys.length ? 0 : position + 1;
    }
    return length;
  };
}

/** The first three nodes of a key: what fail-over takes. `consistent-hashing` has nothing like it. */
function walkRows(options: StructureRunOptions): readonly StructureRow[] {
  const keys = keysOf(FEW_KEYS);
  const addresses = addressesOf(100);
  const ours = new KetamaRing(addresses);
  const theirs = new HashRing(addresses) as InstanceType<HashRing> & { range(key: string, size: number): readonly string[] };
  return compareTimes(
    {
      operation: 'first 3 nodes of a key, 100 nodes',
      ours: () => {
        let sum = 0;
        for (const key of keys) {
          const walk = ours.nodesFrom(key);
          sum += walk.nextIndex() + walk.nextIndex() + walk.nextIndex();
        }
        return sum;
      },
      peers: {
        hashring: () => {
          let sum = 0;
          for (const key of keys) sum += theirs.range(key, 3).length;
          return sum;
        },
      },
      operationsPerCall: FEW_KEYS,
      bars: { hashring: { maxRatio: 0.5 } },
    },
    options,
  );
}

function buildRows(size: number, options: StructureRunOptions): readonly StructureRow[] {
  const addresses = addressesOf(size);
  const rows = compareTimes(
    {
      operation: `build, ${size} nodes`,
      ours: () => makers.ferrata(addresses),
      peers: Object.fromEntries(peersFor(size).map(([name, make]) => [name, () => make(addresses)])),
      bars: { hashring: { maxRatio: 0.5 }, 'consistent-hashing': { maxRatio: 0.5 } },
    },
    options,
  );
  return rows.map((row) => ({ ...row, unit: 'ms', ours: row.ours / 1e6, theirs: row.theirs / 1e6 }));
}

function memoryRows({ isQuick }: StructureRunOptions): readonly StructureRow[] {
  const addresses = addressesOf(isQuick ? 10 : 1000);
  const points = addresses.length * 160;
  const ours = bytesOf(() => new KetamaRing(addresses)) / points;
  const theirs = bytesOf(() => new HashRing(addresses)) / points;
  return [{ operation: 'a point', unit: 'bytes', ours, peer: 'hashring', theirs, ratio: ours / theirs, bar: { maxRatio: 0.5 } }];
}

/** Means over many rings: of one ring the figures would be chance. */
function spreadRows({ isQuick, note }: StructureRunOptions): readonly StructureRow[] {
  const ringCount = isQuick ? 2 : 20;
  const keys = keysOf(isQuick ? 1000 : 20_000);
  const own = spreadOf(makers.ferrata, ringCount, keys);
  const theirs = spreadOf(makers.hashring, ringCount, keys);
  note(
    `ketama: the spread is the mean over ${ringCount} rings of 10 nodes and ${keys.length} keys each. The largest share is of the mean share; ` +
      'of an 11th node, 9.1 % of the keys are the fair share.',
  );
  return [
    percent('largest share, 10 nodes', own.largestShare, theirs.largestShare, 130),
    percent('keys that an 11th node moves', own.moved, theirs.moved, 11),
  ];
}

function percent(operation: string, ours: number, theirs: number, most: number): StructureRow {
  return { operation, unit: '%', ours, peer: 'hashring', theirs, ratio: ours / theirs, bar: { maxOurs: most } };
}

function spreadOf(
  make: (addresses: readonly string[]) => LookUp,
  ringCount: number,
  keys: readonly string[],
): { largestShare: number; moved: number } {
  let largestShare = 0;
  let moved = 0;
  for (let ring = 0; ring < ringCount; ring++) {
    const addresses = addressesOf(11, ring * 11);
    const before = make(addresses.slice(0, 10));
    const after = make(addresses);
    const counts = new Map<string | undefined, number>();
    for (const key of keys) {
      const address = before(key);
      counts.set(address, (counts.get(address) ?? 0) + 1);
      if (after(key) !== address) moved += 1;
    }
    largestShare += (Math.max(...counts.values()) * 10) / keys.length;
  }
  return { largestShare: (100 * largestShare) / ringCount, moved: (100 * moved) / (ringCount * keys.length) };
}

function addressesOf(count: number, first = 0): readonly string[] {
  return Array.from({ length: count }, (_, index) => `10.1.${(first + index) >>> 8}.${(first + index) & 0xff}:8080`);
}

/** Paths of some twenty characters. */
function keysOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `/objects/${Math.imul(index, 0x9e37_79b1) >>> 0}`);
}

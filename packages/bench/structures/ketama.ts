/**
 * `@ferrata/ketama` beside `hashring` and `consistent-hashing`, all with 160 points a node.
 *
 * Theirs are rings of MD5 (40 digests of four points for `hashring`, 160 digests for `consistent-hashing`), ours is of CRC-32, which nginx
 * demands; a look-up is a hash of the key and a search in each. `hashring` keeps the answers of the last 5000 keys in a cache: keys are many
 * here, so that rings are compared, and once few, so that its cache is.
 */
import { createRequire } from 'node:module';
import { crc32Text, mix32 } from '@ferrata/hash';
import { KetamaRing } from '@ferrata/ketama';
import { type BenchRow, bytesOf, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';

/** What we use of `hashring`, which has no types. */
type HashRing = new (
  addresses: readonly string[],
  algorithm?: 'md5',
  options?: { readonly 'vnode count': number },
) => { get(key: string): string };
/** What we use of `consistent-hashing`, which has none either. */
type ConsistentHashing = new (addresses: readonly string[]) => { getNode(key: string): string };

const require = createRequire(import.meta.url);
const HashRing = require('hashring') as HashRing;
const ConsistentHashing = require('consistent-hashing') as ConsistentHashing;

/** Looks up the node of a key. */
type LookUp = (key: string) => string | undefined;

/** Makes a ring of these addresses. */
type Maker = (addresses: readonly string[]) => LookUp;

const makers: Readonly<Record<'ferrata' | 'hashring' | 'consistent-hashing', Maker>> = {
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
 * measured with ten nodes only, and its spread not at all: that of another ring of MD5 stands for it. A note under the table says so.
 */
const mostNodesOfConsistentHashing = 10;

const keysPerCall = 64;
const manyKeys = 65_536;
/** As many as fit the cache of `hashring`. */
const fewKeys = 1024;

export const ketama: RowBench = {
  name: 'ketama',
  run(options) {
    const sizes = options.isQuick ? [10] : [10, 100, 1000];
    options.note(
      `ketama: consistent-hashing is left out beyond ${mostNodesOfConsistentHashing} nodes, where it takes milliseconds for a look-up; the walk, the ` +
        'memory and the spread are compared with hashring alone.',
    );
    return [
      ...sizes.flatMap((size) => lookUpRows(size, manyKeys, options)),
      ...lookUpRows(100, fewKeys, options),
      ...sizes.flatMap((size) => searchRows(size, options)),
      ...walkRows(options),
      ...sizes.flatMap((size) => buildRows(size, options)),
      ...sizes.map((size) => memoryRow(size)),
      ...spreadRows(options),
    ];
  },
};

function lookUpRows(size: number, keyCount: number, options: RunOptions): readonly BenchRow[] {
  const keys = keysOf(keyCount);
  const addresses = addressesOf(size);
  return compareTimes(
    {
      operation: `look-up, ${size} nodes, ${keyCount} keys`,
      ours: lookUps(makers.ferrata(addresses), keys),
      peers: Object.fromEntries(peersFor(size).map(([name, make]) => [name, lookUps(make(addresses), keys)])),
      operationsPerCall: keysPerCall,
      bars: keyCount === manyKeys ? { hashring: { maxRatio: 0.5 }, 'consistent-hashing': { maxRatio: 0.5 } } : {},
    },
    options,
  );
}

function peersFor(size: number): readonly (readonly [string, Maker])[] {
  const { ferrata: _, hashring, ...others } = makers;
  return Object.entries(size > mostNodesOfConsistentHashing ? { hashring } : { hashring, ...others });
}

/** Each call looks up the next of the keys, as many as one call does. */
function lookUps(lookUp: LookUp, keys: readonly string[]): () => number {
  let position = 0;
  return () => {
    let length = 0;
    for (let count = 0; count < keysPerCall; count++) {
      length += (lookUp(keys[position] as string) as string).length;
      position = position + 1 === keys.length ? 0 : position + 1;
    }
    return length;
  };
}

/** The search alone, from a hash, beside one in halves over as many points. */
function searchRows(size: number, options: RunOptions): readonly BenchRow[] {
  const ring = new KetamaRing(addressesOf(size));
  const hashes = keysOf(manyKeys).map((key) => crc32Text(key));
  const points = Uint32Array.from({ length: ring.pointCount }, (_, index) => mix32(index)).toSorted();
  const owners = Uint16Array.from(points, (_, index) => index % size);
  const searches = (find: (hash: number) => number): (() => number) => {
    let position = 0;
    return () => {
      let sum = 0;
      for (let count = 0; count < keysPerCall; count++) {
        sum += find(hashes[position] as number);
        position = position + 1 === hashes.length ? 0 : position + 1;
      }
      return sum;
    };
  };
  const inHalves = (hash: number): number => {
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((points[middle] as number) < hash) low = middle + 1;
      else high = middle;
    }
    return owners[low === points.length ? 0 : low] as number;
  };
  return compareTimes(
    {
      operation: `look-up of a hash, ${size} nodes`,
      ours: searches((hash) => ring.nodeIndexForHash(hash)),
      peers: { 'search in halves': searches(inHalves) },
      operationsPerCall: keysPerCall,
    },
    options,
  );
}

/** The first three nodes of a key: what fail-over takes. `consistent-hashing` has nothing like it. */
function walkRows(options: RunOptions): readonly BenchRow[] {
  const keys = keysOf(fewKeys);
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
      operationsPerCall: fewKeys,
      bars: { hashring: { maxRatio: 0.5 } },
    },
    options,
  );
}

function buildRows(size: number, options: RunOptions): readonly BenchRow[] {
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

function memoryRow(size: number): BenchRow {
  const addresses = addressesOf(size);
  // Several small rings, since a few KiB alone drown in what else changes.
  const ringCount = Math.ceil(1000 / size);
  const bytesOfOne = (make: () => object): number => bytesOf(() => Array.from({ length: ringCount }, make)) / ringCount;
  const ours = bytesOfOne(() => new KetamaRing(addresses));
  const theirs = bytesOfOne(() => new HashRing(addresses));
  return {
    operation: `a ring of ${size} nodes`,
    unit: 'bytes',
    ours,
    peer: 'hashring',
    theirs,
    ratio: ours / theirs,
    bar: { maxRatio: 0.5 },
  };
}

/** Means over many rings: of one ring the figures would be chance. */
function spreadRows({ isQuick, note }: RunOptions): readonly BenchRow[] {
  const ringCount = isQuick ? 2 : 20;
  const keys = keysOf(isQuick ? 5000 : 60_000);
  const share = (make: Maker): number => meanOver(ringCount, (addresses) => largestShare(make(addresses.slice(1)), keys));
  const moved = (make: Maker): number => meanOver(ringCount, (addresses) => shareMoved(make(addresses.slice(1)), make(addresses), keys));
  note(
    `ketama: the spread is the mean over ${ringCount} rings of 10 nodes and ${keys.length} keys each. The largest share is of the mean share; ` +
      'of an 11th node, 9.1 % of the keys are the fair share.',
  );
  return [
    percent('largest share, 10 nodes', share(makers.ferrata), share(makers.hashring), 130),
    percent('largest share, 10 nodes of 1600 points', share(ringOf1600Points), share(hashRingOf1600Points), 110),
    percent('keys that an 11th node moves', moved(makers.ferrata), moved(makers.hashring), 11),
  ];
}

function ringOf1600Points(addresses: readonly string[]): LookUp {
  const ring = new KetamaRing(addresses, { pointsPerWeight: 1600 });
  return (key) => ring.node(key);
}

/** Four points for each of its virtual nodes. */
function hashRingOf1600Points(addresses: readonly string[]): LookUp {
  const ring = new HashRing(addresses, 'md5', { 'vnode count': 400 });
  return (key) => ring.get(key);
}

function percent(operation: string, ours: number, theirs: number, most: number): BenchRow {
  return { operation, unit: '%', ours, peer: 'hashring', theirs, ratio: ours / theirs, bar: { maxOurs: most } };
}

/** @param measure is given 11 addresses, for each ring others */
function meanOver(ringCount: number, measure: (addresses: readonly string[]) => number): number {
  let sum = 0;
  for (let ring = 0; ring < ringCount; ring++) sum += measure(addressesOf(11, ring * 11));
  return sum / ringCount;
}

/** The keys of the node that has most, in percent of the mean. */
function largestShare(lookUp: LookUp, keys: readonly string[]): number {
  const counts = new Map<string | undefined, number>();
  for (const key of keys) {
    const address = lookUp(key);
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return (100 * 10 * Math.max(...counts.values())) / keys.length;
}

function shareMoved(before: LookUp, after: LookUp, keys: readonly string[]): number {
  let moved = 0;
  for (const key of keys) if (before(key) !== after(key)) moved += 1;
  return (100 * moved) / keys.length;
}

function addressesOf(count: number, first = 0): readonly string[] {
  return Array.from({ length: count }, (_, index) => `10.1.${(first + index) >>> 8}.${(first + index) & 0xff}:8080`);
}

/** Paths of 19 characters, most of them. */
function keysOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `/objects/${Math.imul(index, 0x9e37_79b1) >>> 0}`);
}

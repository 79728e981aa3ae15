/**
 * A consistent-hash ring that sends every key to the node to which nginx's `hash KEY consistent` sends it.
 *
 * Each node owns points on a circle of 2³² hashes, 160 for a unit of its weight; a key belongs to the owner of the first point at or after the
 * key's CRC-32, and behind the last point comes the first. A node that comes takes its keys evenly from all others, one that goes leaves
 * them evenly to all others, and no other key moves.
 *
 * A ring is immutable, and a set of nodes that changes is a new ring, which may take over the points of the one before. The nodes' points
 * are made in `internal/points.ts`, sorted and merged in `internal/table-build.ts`, found in `internal/point-table.ts`.
 *
 * Sources: nginx, `ngx_http_upstream_hash_module.c` (the `stream` module's twin does the same); David Karger et al., "Consistent hashing
 * and random trees", 1997. The name is libketama's (Last.fm, 2007), which hashes with MD5; the points are those of Cache::Memcached::Fast.
 */
import { checkWholeNumber } from '@ferrata/error';
import { hashOf } from './internal/key-hash.ts';
import type { PointTable } from './internal/point-table.ts';
import { makePoints, type Stretch } from './internal/points.ts';
import { buildTable, gone, type TakenOver } from './internal/table-build.ts';
import { RingWalk } from './ring-walk.ts';

/** A node as it is given to a ring. */
export interface KetamaNode {
  /**
   * What the node is called, letter for letter as in nginx's `server` line: `192.0.2.1:80`, `[2001:db8::1]:80`, `unix:/run/app.sock`,
   * `origin.example`. The points depend on nothing else, so another spelling is another node: without a port, in other letters, with
   * a name for the address.
   */
  readonly address: string;
  /** Its share in relation to the others': a whole number from 1. Default 1. */
  readonly weight?: number;
}

/** A node as a ring holds it. */
export interface ResolvedKetamaNode {
  readonly address: string;
  /** The greatest of the weights given for this address. */
  readonly weight: number;
}

/** Options of a ring. */
export interface KetamaRingOptions {
  /**
   * Points for each unit of weight, 1 to 65 536. Default 160, as in nginx; any other number makes a ring of its own. More points spread
   * the keys more evenly, at about 10 bytes and 70 ns of building each.
   */
  readonly pointsPerWeight?: number;
  /**
   * The most points that a ring may have, 1 to 2²⁶. Default 2²¹, 13 107 units of weight: it stops a mistyped weight from taking the
   * process's memory. About 20 bytes a point while building, 10 afterwards.
   */
  readonly maxPoints?: number;
  /**
   * A ring whose points are taken over where its nodes have the same address and weight, so that only those of the others are made and
   * sorted: the ring is the same, sooner. Default: none. Nothing is taken over from a ring with another `pointsPerWeight`, or where an
   * address is given again. The ring before is neither changed nor kept.
   */
  readonly previous?: KetamaRing;
}

/** nginx's: `npoints = weight * 160`. */
const defaultPointsPerWeight = 160;
const defaultMaxPoints = 2 ** 21;

/** The owner of a point is kept in 16 bits. */
const maxNodes = 2 ** 16;

/** What a ring consists of. */
interface RingParts {
  readonly nodes: readonly ResolvedKetamaNode[];
  /** By address: its place in `nodes`. */
  readonly indexes: ReadonlyMap<string, number>;
  /** Of points with one hash the one of the node given first is found: so it is unless a further mention of an address added points. */
  readonly isOrdered: boolean;
  readonly pointsPerWeight: number;
  readonly table: PointTable;
}

/** The ring. */
export class KetamaRing {
  #parts: RingParts;

  /**
   * Builds the ring.
   *
   * @param nodes addresses, or nodes with weights. The order decides only between points with the same hash: the first given has it, as in
   *   an nginx built with a C library whose `qsort` is stable (glibc's). An address given again is the same node, with the greater weight.
   * @throws {TypeError} when `nodes` is a text, or an address is not a text of one letter or more
   * @throws {RangeError} when a weight or an option is out of its range, or the nodes or points are too many
   */
  constructor(nodes: Iterable<KetamaNode | string>, options: KetamaRingOptions = {}) {
    const steps = buildParts(nodes, options, options.previous === undefined ? null : options.previous.#parts);
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    this.#parts = step.value;
  }

  /**
   * Builds the same ring in steps of a few milliseconds at most, for a thread that has other things to do between: `next()` does one, and the last one returns
   * the ring. The nodes are read meanwhile.
   *
   * @throws {TypeError} as the constructor, in one of the steps
   * @throws {RangeError} as the constructor, in one of the steps
   */
  static *inSteps(nodes: Iterable<KetamaNode | string>, options: KetamaRingOptions = {}): Generator<void, KetamaRing, void> {
    const parts = yield* buildParts(nodes, options, options.previous === undefined ? null : options.previous.#parts);
    const ring = new KetamaRing([]);
    ring.#parts = parts;
    return ring;
  }

  /** The number of distinct nodes. */
  get size(): number {
    return this.#parts.nodes.length;
  }

  /** The number of points on the circle; of points with the same hash one counts. */
  get pointCount(): number {
    return this.#parts.table.count;
  }

  /** The distinct nodes in the order given. `nodeIndex` and the like return places in this list. */
  get nodes(): readonly ResolvedKetamaNode[] {
    return this.#parts.nodes;
  }

  /**
   * Finds the node of a key.
   *
   * @param key a text counts as its UTF-8 bytes
   * @returns its address; `undefined` if the ring has no nodes
   * @throws {TypeError} when the key is neither text nor bytes
   */
  node(key: string | Uint8Array): string | undefined {
    return this.nodeForHash(hashOf(key));
  }

  /** Finds the node of a key. @returns its place in `nodes`; −1 if the ring has no nodes */
  nodeIndex(key: string | Uint8Array): number {
    return this.nodeIndexForHash(hashOf(key));
  }

  /**
   * Finds the node of a key whose hash the caller has.
   *
   * @param hash the key's CRC-32, or whatever hash spreads the keys; its low 32 bits count
   */
  nodeForHash(hash: number): string | undefined {
    return this.#parts.nodes[this.nodeIndexForHash(hash)]?.address;
  }

  /** `nodeIndex` of a key whose hash the caller has: see `nodeForHash`. */
  nodeIndexForHash(hash: number): number {
    const table = this.#parts.table;
    return table.count === 0 ? -1 : (table.owners[table.find(hash >>> 0)] as number);
  }

  /**
   * Walks the ring from a key on: first the key's node, then the one that would have the key without the first, and so on, each node once.
   * This is where a key goes while its nodes are down, in the order in which nginx tries them; of an address that its configuration names
   * again nginx tries each mention before it moves on, where the walk has it once.
   */
  nodesFrom(key: string | Uint8Array): RingWalk {
    return this.nodesFromHash(hashOf(key));
  }

  /** `nodesFrom` for a key whose hash the caller has: see `nodeForHash`. */
  nodesFromHash(hash: number): RingWalk {
    return new RingWalk(this.#parts.nodes, this.#parts.table, hash >>> 0);
  }
}

/** Builds what a ring consists of. */
function* buildParts(
  nodes: Iterable<KetamaNode | string>,
  options: KetamaRingOptions,
  previous: RingParts | null,
): Generator<void, RingParts, void> {
  const { pointsPerWeight = defaultPointsPerWeight, maxPoints = defaultMaxPoints } = options;
  checkWholeNumber('pointsPerWeight', pointsPerWeight, { min: 1, max: 65_536 });
  checkWholeNumber('maxPoints', maxPoints, { min: 1, max: 2 ** 26 });
  const { distinct, indexes, stretches, isOrdered } = yield* collect(nodes, Math.floor(maxPoints / pointsPerWeight));
  const canTakeOver = previous !== null && previous.isOrdered && isOrdered && previous.pointsPerWeight === pointsPerWeight;
  const taken = canTakeOver ? takeOver(previous, distinct, indexes) : null;
  yield;
  const missing = taken === null ? stretches : stretches.filter(({ nodeIndex }) => taken.isMissing[nodeIndex] === 1);
  const fresh = yield* makePoints(distinct, missing, pointsPerWeight);
  const table = yield* buildTable(fresh, taken);
  return { nodes: distinct, indexes, isOrdered, pointsPerWeight, table };
}

/** Finds out which nodes of a ring are there again, and which are new or have another weight. */
function takeOver(
  previous: RingParts,
  distinct: readonly ResolvedKetamaNode[],
  indexes: ReadonlyMap<string, number>,
): TakenOver & { readonly isMissing: Uint8Array } {
  const owners = new Int32Array(previous.nodes.length).fill(gone);
  const isMissing = new Uint8Array(distinct.length).fill(1);
  for (const [before, { address, weight }] of previous.nodes.entries()) {
    const now = indexes.get(address);
    if (now === undefined || distinct[now]?.weight !== weight) continue;
    owners[before] = now;
    isMissing[now] = 0;
  }
  return { table: previous.table, owners, isMissing };
}

/** The distinct nodes, and the stretches of points that each mention of a node adds. */
interface Collected {
  readonly distinct: readonly ResolvedKetamaNode[];
  readonly indexes: ReadonlyMap<string, number>;
  readonly stretches: readonly Stretch[];
  readonly isOrdered: boolean;
}

/** About a millisecond. */
const nodesPerStep = 2048;

/**
 * Merges the mentions of an address. nginx makes points for every mention and then drops those with the same hash; a node's points are always
 * the same, so a further mention adds points only as far as its weight goes beyond the earlier ones', at its own place in the order.
 */
function* collect(nodes: Iterable<KetamaNode | string>, maxWeight: number): Generator<void, Collected, void> {
  // A text is iterable too, and would make a node of each letter.
  if (typeof nodes === 'string') throw new TypeError(`nodes must be a list of addresses, not the string ${JSON.stringify(nodes)}`);
  const distinct: ResolvedKetamaNode[] = [];
  const indexes = new Map<string, number>();
  const stretches: Stretch[] = [];
  let total = 0;
  let isOrdered = true;
  for (const given of nodes) {
    const { address, weight = 1 }: KetamaNode = typeof given === 'string' ? { address: given } : given;
    checkAddress(address);
    checkWholeNumber(`weight of ${address}`, weight, { min: 1 });
    const known = indexes.get(address);
    const before = known === undefined ? 0 : (distinct[known] as ResolvedKetamaNode).weight;
    if (weight <= before) continue;
    total += weight - before;
    if (total > maxWeight)
      throw new RangeError(`the weights must add up to at most ${maxWeight} (maxPoints ÷ pointsPerWeight), not ${total}`);
    const nodeIndex = known ?? distinct.length;
    if (nodeIndex >= maxNodes) throw new RangeError(`a ring has at most ${maxNodes} nodes`);
    if (known !== undefined) isOrdered = false;
    indexes.set(address, nodeIndex);
    distinct[nodeIndex] = Object.freeze({ address, weight });
    stretches.push({ nodeIndex, weight: weight - before });
    if (stretches.length % nodesPerStep === 0) yield;
  }
  return { distinct: Object.freeze(distinct), indexes, stretches, isOrdered };
}

function checkAddress(address: unknown): void {
  if (typeof address === 'string' && address !== '') return;
  throw new TypeError(
    `the address of a node must be a string of one character or more, not ${address === '' ? 'an empty one' : String(address)}`,
  );
}

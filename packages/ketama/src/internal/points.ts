/**
 * The points of the nodes, as nginx makes them:
 *
 * ```
 *   point 1    =  CRC-32( host  NUL  port  0 0 0 0 )
 *   point n+1  =  CRC-32( host  NUL  port  point n, its four bytes from the low one )
 * ```
 * Each point follows from the one before, so more weight adds points and moves none. A node's points are distinct: four bytes at the end of a
 * message go into its CRC-32 as an affine map, and since the polynomial is primitive, that map runs through 2³² − 1 values before one comes
 * again. The single value outside of that cycle maps to itself; it is the first point of one name in 2³², whose points are then one.
 */
import { crc32, crc32Text } from '@ferrata/hash';

/** Some weight of a node, as many points as that, behind those that the node has already. */
export interface Stretch {
  readonly nodeIndex: number;
  readonly weight: number;
}

/** Points in the order in which they were made. */
export interface Points {
  readonly hashes: Uint32Array;
  /** The nodes that own them, by index. */
  readonly owners: Uint16Array;
}

/** About two milliseconds. */
const pointsPerStep = 32_768;

/** Makes the points of all stretches in their order, so many at a step. */
export function* makePoints(
  nodes: readonly { readonly address: string }[],
  stretches: readonly Stretch[],
  pointsPerWeight: number,
): Generator<void, Points, void> {
  const total = stretches.reduce((sum, { weight }) => sum + weight * pointsPerWeight, 0);
  const points: Points = { hashes: new Uint32Array(total), owners: new Uint16Array(total) };
  // By node: its last point, from which a further stretch goes on.
  const last = new Uint32Array(nodes.length);
  let start = 0;
  let stepEnd = pointsPerStep;
  for (const { nodeIndex, weight } of stretches) {
    const end = start + weight * pointsPerWeight;
    const { host, port } = splitAddress((nodes[nodeIndex] as { readonly address: string }).address);
    const base = crc32Text(`${host}\0${port}`);
    while (start < end) {
      if (start === stepEnd) {
        yield;
        stepEnd += pointsPerStep;
      }
      const stop = Math.min(end, stepEnd);
      last[nodeIndex] = chain(base, last[nodeIndex] as number, points.hashes, start, stop);
      points.owners.fill(nodeIndex, start, stop);
      start = stop;
    }
  }
  return points;
}

/** Fills a range with points. @returns the last one */
function chain(base: number, previous: number, hashes: Uint32Array, start: number, end: number): number {
  const bytes = new Uint8Array(4);
  let point = previous;
  for (let index = start; index < end; index++) {
    bytes[0] = point;
    bytes[1] = point >>> 8;
    bytes[2] = point >>> 16;
    bytes[3] = point >>> 24;
    point = crc32(bytes, base);
    hashes[index] = point;
  }
  return point;
}

/**
 * Divides an address as nginx does: what follows the last colon is the port if it consists of digits, or of nothing; all else is host, with
 * the brackets of an IPv6 address. Of `unix:/path` the path is the host. No address is refused.
 */
export function splitAddress(address: string): { readonly host: string; readonly port: string } {
  if (/^unix:/i.test(address)) return { host: address.slice(5), port: '' };
  const colon = address.lastIndexOf(':');
  if (colon === -1 || !/^[0-9]*$/.test(address.slice(colon + 1))) return { host: address, port: '' };
  return { host: address.slice(0, colon), port: address.slice(colon + 1) };
}

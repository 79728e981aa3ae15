/** The ends of the protocol matrix: what is spoken with the proxy, and over what; a cell is one of them for the client and one for the origin. */

/** HTTP/1 or HTTP/2. */
export type Protocol = 'http1' | 'http2';
/** What lies below: a connection, TLS over one, or a stream that others have wrapped and that brings one byte at a time. */
export type Carrier = 'plain' | 'tls' | 'virtual';

export interface End {
  readonly name: string;
  readonly protocol: Protocol;
  readonly carrier: Carrier;
}

export const ENDS: readonly End[] = [
  { name: 'H1', protocol: 'http1', carrier: 'plain' },
  { name: 'h2c', protocol: 'http2', carrier: 'plain' },
  { name: 'H1/TLS', protocol: 'http1', carrier: 'tls' },
  { name: 'H2/TLS', protocol: 'http2', carrier: 'tls' },
  { name: 'H1/virtual', protocol: 'http1', carrier: 'virtual' },
  { name: 'H2/virtual', protocol: 'http2', carrier: 'virtual' },
];

/** One pair of ends with the proxy between them. */
export interface Cell {
  readonly name: string;
  readonly down: End;
  readonly up: End;
}

/** Every pair. */
export const CELLS: readonly Cell[] = ENDS.flatMap((down) => ENDS.map((up) => ({ name: `${down.name} × ${up.name}`, down, up })));

/** One side or both have it. */
export function hasTls({ down, up }: Cell): boolean {
  return down.carrier === 'tls' || up.carrier === 'tls';
}

/** Neither wrappers nor TLS. */
export function isPlain({ down, up }: Cell): boolean {
  return down.carrier === 'plain' && up.carrier === 'plain';
}

/** Which positions of a script are taken. */
export interface Sampling {
  /** 1: each one. */
  readonly stride: number;
  readonly seed: number;
}

/** How a cell is run: whole between plain connections; where wrappers, and above all handshakes, cost more than all the rest, every so many bytes. */
export function samplingOf(cell: Cell, seed: number): Sampling {
  if (hasTls(cell)) return { stride: 29, seed };
  return { stride: cell.down.carrier === 'virtual' || cell.up.carrier === 'virtual' ? 3 : 1, seed };
}

/** Of the rows of a table, those that a cell looks at: all of them, or with TLS one in so many, by the seed. */
export function sampledRows<Row>(cell: Cell, rows: readonly Row[], tlsStride: number, { seed }: Sampling): readonly Row[] {
  return hasTls(cell) ? rows.filter((_row, index) => (index + seed) % tlsStride === 0) : rows;
}

/** The positions of a sample from 0 to `end`; the seams are always part of it. */
export function sampledPositions(end: number, seams: readonly number[], { stride, seed }: Sampling): number[] {
  const positions: number[] = [];
  for (let position = 0; position <= end; position++) {
    if (position === 0 || position === end || seams.includes(position) || (position + seed) % stride === 0) positions.push(position);
  }
  return positions;
}

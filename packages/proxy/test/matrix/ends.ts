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

/** Handshakes are dear: these cells are sampled where the others are run whole. */
export function hasTls({ down, up }: Cell): boolean {
  return down.carrier === 'tls' || up.carrier === 'tls';
}

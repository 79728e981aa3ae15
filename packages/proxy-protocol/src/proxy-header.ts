/** What a PROXY header says, in either version. */

/** One end of the connection that the header is about. */
export type ProxyAddress =
  | { readonly kind: 'ip'; readonly host: string; readonly port: number }
  /** `path` as it came, without its padding of NULs; an abstract name begins with NUL. */
  | { readonly kind: 'unix'; readonly path: string };

/** A type-length-value of version 2 (§2.2.1 of the specification); the value is the reader's own. */
export interface ProxyTlv {
  /** 0x00 to 0xff; see `TlvType`. */
  readonly type: number;
  readonly value: Uint8Array;
}

/** A PROXY header. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** `local`: the proxy speaks for itself (health checks), the addresses of the connection hold. Always `proxy` in version 1. */
  readonly command: 'proxy' | 'local';
  /** `unspecified`: UNKNOWN in version 1, AF_UNSPEC in version 2. The addresses are null then. */
  readonly family: 'inet' | 'inet6' | 'unix' | 'unspecified';
  /** `unspecified` only with an unspecified family. */
  readonly transport: 'stream' | 'datagram' | 'unspecified';
  /** Where the connection came from. */
  readonly source: ProxyAddress | null;
  /** Where it went to. */
  readonly destination: ProxyAddress | null;
  /** In order; empty in version 1. */
  readonly tlvs: readonly ProxyTlv[];
}

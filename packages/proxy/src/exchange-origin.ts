/** Where an exchange comes from, and what stands between it and the proxy. */
import type { ModuleServerExchange } from '@ferrata/http-modules';
import type { Peer } from '@ferrata/upstream';

/** What `http` does not tell of an exchange. */
export interface ExchangeOrigin {
  /** The exchange itself, if modules take part; else null. */
  readonly modular: ModuleServerExchange | null;
  /** Null: it is a client's. */
  readonly subrequest: SubrequestFacts | null;
}

/** What a subrequest is told by. */
export interface SubrequestFacts {
  /** What its maker gave along. */
  readonly context: unknown;
  /** 1 for a subrequest of a client's request. */
  readonly depth: number;
  /** Where it goes. Null: wherever `upstreamPeer` says. */
  readonly peer: Peer | null;
}

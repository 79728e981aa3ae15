/** A new connection to a peer for one exchange, told by one callback, as whoever asked may be over by then and must give the connection back. */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import type { Http1ClientSession, HttpEnvironment } from '@ferrata/http';
import type { Peer, UpstreamConnector } from '@ferrata/upstream';

/** Where connections come from. */
export interface ConnectionSource {
  readonly connector: UpstreamConnector;
  readonly environment: HttpEnvironment;
}

/** Called once, later: with a connection that is now the caller's, or with null and the reason. */
export type OnConnection = (session: Http1ClientSession | null, error: WireError | null) => void;

/** @returns what gives the wish up */
export function openConnection(source: ConnectionSource, peer: Peer, onConnection: OnConnection): AbortController {
  const { connector, environment } = source;
  const connecting = new AbortController();
  connector.connect(peer, connecting.signal).then(
    (session) => {
      environment.now();
      onConnection(session, null);
    },
    (thrown: unknown) => {
      environment.now();
      onConnection(null, withSource(toWireError(thrown), 'upstream'));
    },
  );
  return connecting;
}

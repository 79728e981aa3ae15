/**
 * A connection to a peer for one exchange that did not get one at once, told by one callback, as whoever asked may be over by then and must give
 * the connection back.
 */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import type { ClientSession, HttpEnvironment } from '@ferrata/http';
import type { Peer, UpstreamConnector } from '@ferrata/upstream';

/** Where connections come from. */
export interface ConnectionSource {
  readonly connector: UpstreamConnector;
  readonly environment: HttpEnvironment;
}

/** Called once, later: with a connection that is now the caller's, or with null and the reason. */
export type OnConnection = (session: ClientSession | null, error: WireError | null) => void;

/** What is wanted. */
export interface WantedConnection {
  readonly peer: Peer;
  /** A shared connection that has just lost this request: taken again only if there is no other. */
  readonly except: ClientSession | null;
}

/** @returns what gives the wish up */
export function openConnection(source: ConnectionSource, { peer, except }: WantedConnection, onConnection: OnConnection): AbortController {
  const { connector, environment } = source;
  const connecting = new AbortController();
  const { signal } = connecting;
  // Not before whatever brought the request has been read to its end: one that is reset in the very same bytes (CVE-2023-44487) then costs no
  // connection.
  const connect = async (): Promise<ClientSession> => {
    await Promise.resolve();
    signal.throwIfAborted();
    return connector.connect(peer, signal, except);
  };
  connect().then(
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

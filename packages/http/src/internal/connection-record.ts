/** What a server session keeps of its connection for its exchanges, and its server for the session. */
import type { L4Stream } from '@ferrata/stream';
import type { ServerConnectionState } from '../exchange.ts';
import type { RosterMember } from './roster.ts';

/** A session, as far as its record must know it. */
export interface ConnectionSession {
  readonly stream: L4Stream;
}

/** One connection, as its exchanges see it. */
export class ConnectionRecord<Session extends ConnectionSession = ConnectionSession> implements ServerConnectionState, RosterMember {
  readonly session: Session;
  requestCount = 0;
  context: unknown = undefined;
  rosterBefore: RosterMember | null = null;
  rosterBehind: RosterMember | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  get hasClientEnded(): boolean {
    const { state } = this.session.stream;
    return state === 'peerEnded' || state === 'closed';
  }
}

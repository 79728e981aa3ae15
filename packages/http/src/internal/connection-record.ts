/** What a server session keeps of its connection for its exchanges. */
import type { ServerConnectionState } from '../exchange.ts';

/** One connection, as its exchanges see it. */
export class ConnectionRecord implements ServerConnectionState {
  requestCount = 0;
  context: unknown = undefined;
}

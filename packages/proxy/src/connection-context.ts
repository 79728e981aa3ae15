/**
 * What a request leaves on its connection for the next one of the same proxy. It is kept beside the connection: the `context` of that is the application's, and other
 * proxies that the same connection's requests come to have what they have left themselves.
 */
import type { ServerConnectionState } from '@ferrata/http';

/** What the requests of one proxy have left, by their connections. */
export class ConnectionContexts {
  readonly #left = new WeakMap<ServerConnectionState, unknown>();

  /** Takes what was left, once. @returns undefined: there is nothing */
  take(connection: ServerConnectionState): unknown {
    const value = this.#left.get(connection);
    this.#left.delete(connection);
    return value;
  }

  /** Leaves `value`, unless that is undefined. */
  leave(connection: ServerConnectionState, value: unknown): void {
    if (value !== undefined) this.#left.set(connection, value);
  }
}

/** What a request leaves on its connection for the next one of the same proxy: another program's, or another proxy's, is left alone. */
import type { ServerConnectionState } from '@ferrata/http';

interface LeftBehind {
  /** Whose it is. */
  readonly owner: object;
  readonly value: unknown;
}

/** Takes what `owner` has left, once. @returns undefined: there is nothing */
export function takeFromConnection(connection: ServerConnectionState, owner: object): unknown {
  const left = connection.context as Partial<LeftBehind> | null | undefined;
  if (left?.owner !== owner) return undefined;
  connection.context = undefined;
  return left.value;
}

/** Leaves `value`, unless that is undefined. */
export function leaveOnConnection(connection: ServerConnectionState, owner: object, value: unknown): void {
  if (value === undefined) return;
  const left: LeftBehind = { owner, value };
  connection.context = left;
}

/** Checks of what hooks give back: types do not bind programs in JavaScript, and garbage must end one request only. */
import { applicationError, type WireError } from '@ferrata/error';
import type { Peer } from '@ferrata/upstream';

/** True for anything that can be awaited. */
export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** What `requestFilter` gave: true, false, or nothing, which is taken for false. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkAnswered(value: boolean | undefined): boolean {
  if (typeof value === 'boolean') return value;
  if (value === undefined) return false;
  throw garbage('requestFilter', 'a boolean');
}

/** What `upstreamPeer` gave. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkPeer(value: Peer): Peer {
  const given: unknown = value;
  if (typeof given === 'object' && given !== null && 'key' in given && typeof given.key === 'string' && 'client' in given) return value;
  throw garbage('upstreamPeer', 'a peer');
}

/** What a body filter gave; nothing is taken for null. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkPiece(value: Uint8Array | null | undefined): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (value === null || value === undefined) return null;
  throw garbage('a body filter', 'a Uint8Array or null');
}

function garbage(hook: string, wanted: string): WireError {
  return applicationError('HOOK_RETURNED_GARBAGE', `${hook} must return ${wanted}`, { source: 'internal' });
}

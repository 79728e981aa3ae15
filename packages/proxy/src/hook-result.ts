/** What hooks give back, awaited and checked: types do not bind programs in JavaScript, and garbage must end one request only. */
import { applicationError, timeoutError, toWireError, type WireError, withSource } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { Deadline } from '@ferrata/timeout';
import type { Peer } from '@ferrata/upstream';
import type { Awaitable, BodyFilterResult, FailureAnswer } from './proxy-hooks.ts';

/** True for anything that can be awaited. */
export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/**
 * Calls one of the two, once: when the promise of a hook is settled, or when that has taken too long.
 * @returns when it will have taken too long: to be cancelled by whoever does not wait any more
 */
export function whenSettled<T>(
  promise: PromiseLike<T>,
  environment: HttpEnvironment,
  timeoutMs: number,
  onFulfilled: (value: T) => void,
  onFailed: (error: WireError) => void,
): Deadline {
  let isLate = false;
  const deadline = environment.deadlines.after(timeoutMs, () => {
    isLate = true;
    environment.now();
    const message = `a hook's promise was not settled within ${timeoutMs} ms`;
    onFailed(timeoutError('HOOK_TIMEOUT', message, { wire: { status: 500 }, fault: 'local', source: 'internal' }));
  });
  // `resolve` makes a true promise of any thenable, so that it settles once, and later.
  Promise.resolve(promise).then(
    (value) => {
      if (isLate) return;
      deadline.cancel();
      environment.now();
      onFulfilled(value);
    },
    (thrown: unknown) => {
      if (isLate) return;
      deadline.cancel();
      environment.now();
      onFailed(withSource(toWireError(thrown, 'HOOK_REJECTED'), 'internal'));
    },
  );
  return deadline;
}

/**
 * Calls a hook for somebody else who waits for it; `onWait` hears of the time-out of a wait.
 * @throws {WireError} HOOK_THREW; rejects with HOOK_REJECTED or HOOK_TIMEOUT
 */
export function inTime(
  call: () => Awaitable<void> | undefined,
  keeper: Omit<HookKeeper, 'onHookFailed'>,
  onWait: (deadline: Deadline) => void,
): Awaitable<void> {
  let told: Awaitable<void> | undefined;
  try {
    told = call();
  } catch (thrown) {
    throw withSource(toWireError(thrown, 'HOOK_THREW'), 'internal');
  }
  if (!isPromise(told)) return undefined;
  const promise = told;
  return new Promise((resolve, reject) => onWait(whenSettled(promise, keeper.environment, keeper.hookTimeoutMs, resolve, reject)));
}

/** Calls a hook that nobody waits for; its throw or rejection goes to `onFailed`. */
export function unawaited(call: () => unknown, onFailed: ((error: WireError) => void) | undefined): void {
  const tell = (thrown: unknown): void => onFailed?.(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
  try {
    const told = call();
    if (isPromise(told)) told.then(undefined, tell);
  } catch (thrown) {
    tell(thrown);
  }
}

/** Who waits for hooks, and hears of those that fail. */
interface HookKeeper {
  readonly environment: HttpEnvironment;
  readonly hookTimeoutMs: number;
  readonly onHookFailed: ((error: WireError) => void) | undefined;
}

/**
 * Calls a hook that must not fail the request again, then `next`, once: at once, or when its promise is settled or late; with what it gave, or with
 * undefined if it failed. `onWait` hears of the time-out of a wait.
 */
export function heardOut<T>(
  call: () => T | PromiseLike<T> | undefined,
  keeper: HookKeeper,
  onWait: (deadline: Deadline) => void,
  next: (value: T | undefined) => void,
): void {
  const tell = (thrown: unknown): void => keeper.onHookFailed?.(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
  let value: T | undefined;
  try {
    const told = call();
    if (isPromise(told)) {
      const deadline = whenSettled(told, keeper.environment, keeper.hookTimeoutMs, next, (fault) => {
        tell(fault);
        next(undefined);
      });
      onWait(deadline);
      return;
    }
    value = told;
  } catch (thrown) {
    tell(thrown);
  }
  next(value);
}

/** What `requestFilter`, or another hook that says yes or no, gave; nothing is taken for `otherwise`. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkYes(hook: string, value: boolean | undefined, otherwise: boolean): boolean {
  if (typeof value === 'boolean') return value;
  if (value === undefined) return otherwise;
  checkSync(hook, value);
  throw garbage(hook, 'a boolean');
}

/** What a synchronous hook gave: no promise, for which nobody would wait. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkSync<T>(hook: string, value: T): T {
  if (!isPromise(value)) return value;
  value.then(undefined, () => {});
  throw garbage(hook, 'no promise');
}

/** What `upstreamPeer` gave. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkPeer(value: Peer): Peer {
  const given: unknown = value;
  if (typeof given === 'object' && given !== null && 'key' in given && typeof given.key === 'string' && 'client' in given) return value;
  throw garbage('upstreamPeer', 'a peer');
}

/** What a body filter gave; nothing is taken for null, and no delay for the piece alone. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkPiece(value: BodyFilterResult | undefined): BodyFilterResult {
  if (value instanceof Uint8Array) return value;
  if (value === null || value === undefined) return null;
  const { piece, delayMs }: { readonly piece?: unknown; readonly delayMs?: unknown } = value;
  if (typeof delayMs === 'number' && delayMs >= 0 && (piece === null || piece instanceof Uint8Array)) return delayMs > 0 ? value : piece;
  throw garbage('a body filter', 'a Uint8Array, null, or one of them with a delay');
}

/** What `responseTrailerFilter` gave: bytes, or nothing. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkTrailerBytes(value: Uint8Array | null | void): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (value === null || value === undefined) return null;
  throw garbage('responseTrailerFilter', 'a Uint8Array or nothing');
}

/** What `failToProxy` gave. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkFailureAnswer(value: FailureAnswer | void): FailureAnswer {
  if (value === undefined || value === null) return {};
  const { status, keepAlive }: { readonly status?: unknown; readonly keepAlive?: unknown } = value;
  // The members of text and of numbers are undefined, too.
  const isStatus =
    typeof value === 'object' &&
    (status === undefined || status === 0 || (Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599));
  if (isStatus && (keepAlive === undefined || typeof keepAlive === 'boolean')) return value;
  throw garbage('failToProxy', 'nothing, or { status: 400 to 599 or 0, keepAlive }');
}

function garbage(hook: string, wanted: string): WireError {
  return applicationError('HOOK_RETURNED_GARBAGE', `${hook} must return ${wanted}`, { source: 'internal' });
}

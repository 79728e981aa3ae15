/** What hooks give back, awaited and checked: types do not bind programs in JavaScript, and garbage must end one request only. */
import { applicationError, timeoutError, toWireError, type WireError, withSource } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { Peer } from '@ferrata/upstream';

/** True for anything that can be awaited. */
export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** Calls one of the two, once: when the promise of a hook is settled, or when that has taken too long. */
export function whenSettled<T>(
  promise: PromiseLike<T>,
  environment: HttpEnvironment,
  timeoutMs: number,
  onFulfilled: (value: T) => void,
  onFailed: (error: WireError) => void,
): void {
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

/** Calls a hook whose outcome changes nothing, then `next`, once: at once, or when its promise is settled or late; `onWait` comes before a wait. */
export function heardOut(call: () => unknown, keeper: HookKeeper, onWait: () => void, next: () => void): void {
  const tell = (thrown: unknown): void => keeper.onHookFailed?.(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
  try {
    const told = call();
    if (isPromise(told)) {
      onWait();
      whenSettled(told, keeper.environment, keeper.hookTimeoutMs, next, (fault) => {
        tell(fault);
        next();
      });
      return;
    }
  } catch (thrown) {
    tell(thrown);
  }
  next();
}

/** What `newContext` gave: anything but a promise, which nobody would wait for. @throws {WireError} HOOK_RETURNED_GARBAGE */
export function checkContext<Context>(context: Context): Context {
  if (!isPromise(context)) return context;
  context.then(undefined, () => {});
  throw garbage('newContext', 'no promise');
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

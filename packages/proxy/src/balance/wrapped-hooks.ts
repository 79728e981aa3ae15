/** Hooks of a program that are called with a context of its own, which stands within another one. */
import type { ProxyHooks } from '../proxy-hooks.ts';

/** A context within which is another one. */
export interface OuterContext<Context> {
  readonly context: Context;
}

/** Which parameter of each hook is the context; 0: the hook is not passed on. */
const places: Readonly<Record<keyof ProxyHooks<unknown>, number>> = {
  newContext: 0,
  onConnectionReuse: 1,
  earlyRequestFilter: 1,
  allowSpawningSubrequest: 1,
  requestFilter: 1,
  proxyUpstreamFilter: 1,
  upstreamPeer: 0,
  failToConnect: 3,
  connectedToUpstream: 2,
  upstreamRequestFilter: 2,
  requestBodyFilter: 2,
  errorWhileProxy: 3,
  adjustUpstreamModules: 2,
  upstreamResponseFilter: 2,
  upstreamResponseBodyFilter: 2,
  upstreamResponseTrailerFilter: 2,
  responseFilter: 2,
  responseBodyFilter: 2,
  responseTrailerFilter: 2,
  failToProxy: 2,
  suppressErrorLog: 2,
  requestSummary: 1,
  logging: 2,
  persistConnectionContext: 1,
};

type Hook = (...values: readonly unknown[]) => unknown;
type Outer = OuterContext<unknown>;

/**
 * The same hooks for the outer context; those that are not there are not there.
 *
 * A wrapper costs a call, some 10 ns; to find the outer context by the session in a `WeakMap`, set and read once a request, costs 700.
 */
export function hooksWithin<Context, Whole extends OuterContext<Context>>(own: Partial<ProxyHooks<Context>>): Partial<ProxyHooks<Whole>> {
  const wrapped: Record<string, Hook> = {};
  for (const [name, place] of Object.entries(places)) {
    const hook: unknown = own[name as keyof ProxyHooks<Context>];
    if (place === 0 || hook === undefined) continue;
    if (typeof hook !== 'function') throw new TypeError(`${name} must be a function`);
    wrapped[name] = wrapperOf(hook as Hook, own, place);
  }
  return wrapped;
}

function wrapperOf(hook: Hook, own: object, place: number): Hook {
  switch (place) {
    case 1:
      // Of three values where `onConnectionReuse` is told of the one before.
      return (session, outer, previous) => hook.call(own, session, (outer as Outer).context, previous);
    case 2:
      return (session, value, outer) => hook.call(own, session, value, (outer as Outer).context);
    default:
      return (session, peer, error, outer) => hook.call(own, session, peer, error, (outer as Outer).context);
  }
}

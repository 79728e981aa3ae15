/** @ferrata/proxy: an HTTP proxy as a set of typed phases over everything below. */

export { appendForwarded } from './forwarded.ts';
export { HttpProxy, type HttpProxyOptions } from './http-proxy.ts';
export { type Outcome, outcomeOf } from './outcome.ts';
export type { Awaitable, BodyFilterResult, ProxyHooks } from './proxy-hooks.ts';
export type { ProxySession, SessionTiming } from './proxy-session.ts';
export { maySendAgain, RetryBudget } from './retry-policy.ts';

/** @ferrata/proxy: an HTTP proxy as a set of typed phases over everything below. */
export { HttpProxy, type HttpProxyOptions } from './http-proxy.ts';
export type { Awaitable, BodyFilterResult, ProxyHooks } from './proxy-hooks.ts';
export type { ProxySession, SessionTiming } from './proxy-session.ts';
export { type Outcome, outcomeOf } from './outcome.ts';
export { appendForwarded } from './forwarded.ts';
export { RetryBudget, maySendAgain } from './retry-policy.ts';

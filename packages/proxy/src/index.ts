/** @ferrata/proxy: an HTTP proxy as a set of typed phases over everything below. */

// Where a load balancer says where requests go
export { connectionCounter } from './balance/backend-peers.ts';
export { BackendTries } from './balance/backend-tries.ts';
export { balance, type OwnHooks } from './balance/balance.ts';
export { type BalanceOptions, BalancePlan, isBackendFault, type TryPhase } from './balance/balance-options.ts';
// The proxy and its phases
export { type ErrorPage } from './canned-answer.ts';
// Its parts, to put others in their place or to build with
export { leaveConnection, removeVainTrailer, responseLength } from './downstream-response.ts';
export type { ExchangeOrigin, SubrequestFacts } from './exchange-origin.ts';
export { type BodyFilter, type BodyFilterHost, FilteredBody, type FilteredBodyTarget } from './filtered-body.ts';
export { appendForwarded, setForwarded } from './forwarded.ts';
export { HttpProxy } from './http-proxy.ts';
export { type ConnectionSource, type OnConnection, openConnection, type WantedConnection } from './open-connection.ts';
export { type Outcome, outcomeOf } from './outcome.ts';
export { type ProxyCore, proxyCore } from './proxy-core.ts';
export { ProxyExchange } from './proxy-exchange.ts';
export {
  type Awaitable,
  type BodyFilterResult,
  type DelayedPiece,
  delayed,
  type FailureAnswer,
  type HooksOf,
  type ProxyHooks,
} from './proxy-hooks.ts';
export type { HttpProxyOptions, ProxyParts } from './proxy-options.ts';
export type { AnswerableSession, ProxySession, RequestSession, SessionTiming, UpstreamConnection } from './proxy-session.ts';
export { RequestBody } from './request-body.ts';
export { type ResponseHost, ResponseSide, type ResponseSource } from './response-side.ts';
export { isIdempotent, maySendAgain, RetryBudget } from './retry-policy.ts';
// Requests of the proxy's own
export type { CollectedResponse, SubrequestResult } from './subrequest/result-sinks.ts';
export type { Subrequest, SubrequestSink } from './subrequest/subrequest.ts';
export type { RequestEdits, SubrequestInit } from './subrequest/subrequest-init.ts';
export type { PipeOptions, PipeResult, PipeTask, SubrequestPipe } from './subrequest/subrequest-pipe.ts';
export type { CollectInit, OpenInit, PipeInit, Subrequests, WholeSubrequestInit } from './subrequest/subrequests.ts';
export { askForSwitch, grantedHead, refusedSwitch, type SwitchFraming } from './switching.ts';
export { joinTunnel, type TunnelSettings } from './tunnel.ts';
export { type AttemptFollower, type AttemptHost, type AttemptStart, UpstreamAttempt } from './upstream-attempt.ts';
export { type NextHop, upstreamRequest } from './upstream-request.ts';
export { type UpstreamHost, UpstreamSide } from './upstream-side.ts';

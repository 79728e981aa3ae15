/**
 * What a phase may not do does not compile. The compiler checks this file: an error that is expected and does not come is one itself.
 * The functions are never called; that the file runs at all is what the test says.
 */
import { test } from 'node:test';
import type { WireError } from '@ferrata/error';
import type { ReadonlyResponseHead, ResponseHead } from '@ferrata/headers';
import {
  type AnswerableSession,
  appendForwarded,
  type BodyFilterResult,
  delayed,
  type HooksOf,
  HttpProxy,
  type HttpProxyOptions,
  type ProxyHooks,
  type ProxyParts,
  type ProxySession,
  type RequestSession,
} from '@ferrata/proxy';
import type { Peer } from '@ferrata/upstream';

type Hooks = ProxyHooks<{ count: number }>;

/** The session of a phase. */
type SessionOf<Name extends keyof Hooks> = Parameters<NonNullable<Hooks[Name]>>[0];

/** True where both are the same type, each assignable to the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** Compiles for `true` alone. */
function holds<Claim extends true>(): Claim | undefined {
  return undefined;
}

export function sessionsOfPhases(): void {
  // Facts alone: there is no context yet, or the head of the response is gone, or all is over.
  holds<Same<SessionOf<'newContext'>, ProxySession>>();
  holds<Same<SessionOf<'allowSpawningSubrequest'>, ProxySession>>();
  holds<Same<SessionOf<'upstreamResponseBodyFilter'>, ProxySession>>();
  holds<Same<SessionOf<'upstreamResponseTrailerFilter'>, ProxySession>>();
  holds<Same<SessionOf<'responseBodyFilter'>, ProxySession>>();
  holds<Same<SessionOf<'responseTrailerFilter'>, ProxySession>>();
  holds<Same<SessionOf<'suppressErrorLog'>, ProxySession>>();
  holds<Same<SessionOf<'requestSummary'>, ProxySession>>();
  holds<Same<SessionOf<'logging'>, ProxySession>>();
  holds<Same<SessionOf<'persistConnectionContext'>, ProxySession>>();
  // The request may still be edited.
  holds<Same<SessionOf<'onConnectionReuse'>, RequestSession>>();
  holds<Same<SessionOf<'earlyRequestFilter'>, RequestSession>>();
  holds<Same<SessionOf<'requestFilter'>, RequestSession>>();
  // It may still be answered.
  holds<Same<SessionOf<'proxyUpstreamFilter'>, AnswerableSession>>();
  holds<Same<SessionOf<'upstreamPeer'>, AnswerableSession>>();
  holds<Same<SessionOf<'failToConnect'>, AnswerableSession>>();
  holds<Same<SessionOf<'connectedToUpstream'>, AnswerableSession>>();
  holds<Same<SessionOf<'upstreamRequestFilter'>, AnswerableSession>>();
  holds<Same<SessionOf<'requestBodyFilter'>, AnswerableSession>>();
  holds<Same<SessionOf<'errorWhileProxy'>, AnswerableSession>>();
  holds<Same<SessionOf<'adjustUpstreamModules'>, AnswerableSession>>();
  holds<Same<SessionOf<'upstreamResponseFilter'>, AnswerableSession>>();
  holds<Same<SessionOf<'responseFilter'>, AnswerableSession>>();
  holds<Same<SessionOf<'failToProxy'>, AnswerableSession>>();
  // @ts-expect-error the three are not one and the same
  holds<Same<AnswerableSession, ProxySession>>();
}

export function factsAlone(session: ProxySession): void {
  // @ts-expect-error it cannot answer
  void session.respond;
  // @ts-expect-error nor by a subrequest
  void session.respondBy;
  // @ts-expect-error nor fail
  void session.fail;
  // @ts-expect-error the request has been sent on
  session.request.method = 'PUT';
  // @ts-expect-error the request has been sent on
  session.request.target = '/';
  // @ts-expect-error the request has been sent on
  void session.request.headers.set;
  // @ts-expect-error so has the response
  void session.response?.headers.delete;
  // @ts-expect-error a fact
  session.attempt = 2;
  // @ts-expect-error a fact
  session.peer = null;
  // @ts-expect-error a fact
  session.timing.startedAt = 0;
  session.adjust({ keepAlive: false });
  void session.request.headers.get('A');
}

export function answerable(session: AnswerableSession, error: WireError): void {
  session.respond(200, { body: 'yes' });
  session.fail(error);
  // @ts-expect-error edits of the request are for `upstreamRequestFilter` by now
  void session.request.headers.set;
  // @ts-expect-error edits of the request are for `upstreamRequestFilter` by now
  session.request.target = '/';
}

export function editable(session: RequestSession, other: RequestSession): void {
  session.request.headers.set('A', 'b');
  session.request.target = '/';
  session.request.method = 'PUT';
  // @ts-expect-error its head may be edited, not replaced
  session.request = other.request;
}

/** What hooks may be. */
export function hooks(peer: Peer, refuse: WireError): void {
  const least: Hooks = { newContext: () => ({ count: 0 }), upstreamPeer: () => peer };
  const all: Hooks = {
    ...least,
    upstreamRequestFilter: appendForwarded,
    requestFilter: async (session, context) => {
      context.count++;
      if (context.count > 3) throw refuse;
      session.respond(204);
      return true;
    },
    responseFilter: (_session, response) => void response.headers.set('A', 'b'),
    responseBodyFilter: async (_session, chunk) => delayed(chunk, 5),
    failToProxy: () => ({ status: 503, keepAlive: false }),
  };
  void all;
  // @ts-expect-error the two that a proxy with a context needs
  const none: Hooks = { newContext: () => ({ count: 0 }) };
  void none;
  // @ts-expect-error the two that a proxy with a context needs
  const nowhere: Hooks = { upstreamPeer: () => peer };
  void nowhere;
  // @ts-expect-error newContext is synchronous
  const lateContext: Hooks = { ...least, newContext: async () => ({ count: 0 }) };
  void lateContext;
  // @ts-expect-error whether it was answered must be said
  const vague: Hooks = { ...least, requestFilter: () => {} };
  void vague;
  // @ts-expect-error a peer, not its name
  const named: Hooks = { ...least, upstreamPeer: () => '127.0.0.1:80' };
  void named;
  // @ts-expect-error the same, late
  const lateNamed: Hooks = { ...least, upstreamPeer: async () => null };
  void lateNamed;
  // @ts-expect-error synchronous
  const lateSpawn: Hooks = { ...least, allowSpawningSubrequest: async () => true };
  void lateSpawn;
  // @ts-expect-error synchronous
  const lateSummary: Hooks = { ...least, requestSummary: async () => '' };
  void lateSummary;
  // @ts-expect-error bytes, not text
  const text: Hooks = { ...least, responseBodyFilter: () => 'text' };
  void text;
  // @ts-expect-error there is no such phase
  const unknown: Hooks = { ...least, requestFiltre: () => false };
  void unknown;
  const modules: Hooks = {
    ...least,
    // @ts-expect-error upstream modules are told what to do; the head is edited behind them
    adjustUpstreamModules: (_session, response) => void response.headers.set,
  };
  void modules;
  const body: Hooks = {
    ...least,
    responseBodyFilter: (session, chunk) => {
      // @ts-expect-error the head of the response is gone
      void session.respond;
      return chunk;
    },
  };
  void body;
}

/** What options and parts may be. */
export function options(environment: HttpProxyOptions['environment'], hooksOf: Hooks): void {
  const part: Partial<ProxyParts> = { mayRetry: (error, session) => error.retry === 'always' && session.attempt < 3 };
  void new HttpProxy(hooksOf, { environment, parts: part });
  // @ts-expect-error synchronous
  void new HttpProxy(hooksOf, { environment, parts: { mayRetry: async () => true } });
  // @ts-expect-error no such part
  void new HttpProxy(hooksOf, { environment, parts: { joinTunnels: () => {} } });
  // @ts-expect-error clock and timers are somebody's
  void new HttpProxy(hooksOf, {});
  // @ts-expect-error the connector of its own shares the environment
  void new HttpProxy(hooksOf, { environment, upstream: { environment } });
  // @ts-expect-error a page is made at once
  void new HttpProxy(hooksOf, { environment, errorPage: async () => ({ body: '' }) });
}

/** Where requests carry nothing, nobody has to make it. */
export function withoutContext(environment: HttpProxyOptions['environment'], peer: Peer): void {
  const upstreamPeer = (): Peer => peer;
  const proxy: HttpProxy = new HttpProxy({ upstreamPeer }, { environment });
  void proxy;
  const perhaps: HooksOf<{ count: number } | undefined> = { upstreamPeer, logging: (_session, _error, context) => void context?.count };
  void perhaps;
  // @ts-expect-error what hooks count on must be made
  const without: HooksOf<{ count: number }> = { upstreamPeer };
  void without;
  // @ts-expect-error the same
  void new HttpProxy<{ count: number }>({ upstreamPeer }, { environment });
  // @ts-expect-error there is nothing in it
  void new HttpProxy({ upstreamPeer, logging: (_session, _error, context) => void context.count }, { environment });
}

export function heads(readonly: ReadonlyResponseHead, head: ResponseHead, result: BodyFilterResult): void {
  head.status = 201;
  // @ts-expect-error it is only looked at
  readonly.status = 201;
  // @ts-expect-error a delay is made by `delayed`, and stays
  if (result !== null && 'delayMs' in result) result.delayMs = 1;
}

test('the types of phases: see the compiler', () => {});

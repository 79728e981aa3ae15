/** What the exchanges of one proxy share: its hooks and parts, its connections, and its options, checked. */
import { checkNumber, type WireError } from '@ferrata/error';
import type { HttpApplication, HttpEnvironment } from '@ferrata/http';
import { type HttpModuleKind, ModuleChain } from '@ferrata/http-modules';
import { UpstreamConnector } from '@ferrata/upstream';
import type { ErrorPage } from './canned-answer.ts';
import { ConnectionContexts } from './connection-context.ts';
import { unawaited } from './hook-result.ts';
import { openConnection } from './open-connection.ts';
import type { HooksOf } from './proxy-hooks.ts';
import type { HttpProxyOptions, ProxyParts } from './proxy-options.ts';
import { maySendAgain, RetryBudget } from './retry-policy.ts';
import { joinTunnel } from './tunnel.ts';
import { UpgradePeers } from './upgrade.ts';
import { upstreamRequest } from './upstream-request.ts';

/** What the exchanges of one proxy share. */
export interface ProxyCore<Context> {
  readonly application: HttpApplication;
  readonly hooks: HooksOf<Context>;
  readonly parts: ProxyParts;
  readonly connector: UpstreamConnector;
  readonly environment: HttpEnvironment;
  readonly retryBudget: RetryBudget;
  readonly upgradePeers: UpgradePeers;
  readonly connectionContexts: ConnectionContexts;
  /** Null: there are none. */
  readonly modules: ModuleChain | null;
  readonly upstreamModules: ModuleChain | null;
  readonly maxRetries: number;
  readonly maxRefusals: number;
  readonly maxReplayBytes: number;
  readonly perTryTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly hedgeAfterMs: number;
  readonly allowConnect: boolean;
  readonly hookTimeoutMs: number;
  readonly tunnelIdleTimeoutMs: number;
  readonly errorPage: ErrorPage | undefined;
  readonly onError: HttpProxyOptions['onError'];
  readonly onHookFailed: ((error: WireError) => void) | undefined;
}

/**
 * The core of a proxy whose requests `application` answers: subrequests come to it, too.
 *
 * @throws {RangeError} when an option makes no sense
 */
export function proxyCore<Context>(application: HttpApplication, hooks: HooksOf<Context>, options: HttpProxyOptions): ProxyCore<Context> {
  const { environment } = options;
  const hookTimeoutMs = Math.min(
    checkNumber('hookTimeoutMs', options.hookTimeoutMs ?? 60_000, { above: 0 }),
    environment.deadlines.maxDelayMs,
  );
  const chain = (kinds: readonly HttpModuleKind[] = []): ModuleChain | null =>
    kinds.length === 0 ? null : new ModuleChain(kinds, { environment, moduleTimeoutMs: hookTimeoutMs });
  return {
    application,
    hooks,
    parts: {
      mayRetry: (error, { request }) => maySendAgain(error, request.method),
      upstreamRequest,
      openConnection,
      joinTunnel,
      ...given(options.parts),
    },
    connector: options.connector ?? new UpstreamConnector({ ...options.upstream, environment }),
    environment,
    retryBudget: new RetryBudget(options.retryShare ?? 0.2, 3),
    upgradePeers: new UpgradePeers(),
    connectionContexts: new ConnectionContexts(),
    modules: chain(options.modules),
    upstreamModules: chain(options.upstreamModules),
    maxRetries: checkNumber('maxRetries', options.maxRetries ?? 1, { min: 0 }),
    maxRefusals: checkNumber('maxRefusals', options.maxRefusals ?? 3, { min: 0 }),
    maxReplayBytes: checkNumber('maxReplayBytes', options.maxReplayBytes ?? 65_536, { min: 0 }),
    perTryTimeoutMs: timeOf('perTryTimeoutMs', options.perTryTimeoutMs, environment),
    requestTimeoutMs: timeOf('requestTimeoutMs', options.requestTimeoutMs, environment),
    hedgeAfterMs: timeOf('hedgeAfterMs', options.hedgeAfterMs, environment),
    allowConnect: options.allowConnect ?? false,
    hookTimeoutMs,
    tunnelIdleTimeoutMs: checkNumber('tunnelIdleTimeoutMs', options.tunnelIdleTimeoutMs ?? 300_000, { above: 0 }),
    errorPage: options.errorPage,
    onError: options.onError,
    onHookFailed: quiet(options.onHookFailed),
  };
}

/** The last resort for throws must not throw itself: nobody is left to tell, and the request must still end. */
function quiet(told: ((error: WireError) => void) | undefined): ((error: WireError) => void) | undefined {
  if (told === undefined) return undefined;
  return (error) => {
    unawaited(() => told(error), undefined);
  };
}

/** Without what is undefined, which takes no part's place. */
function given(parts: Partial<ProxyParts> = {}): Partial<ProxyParts> {
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
}

/** A time that is for ever unless it is given. @throws {RangeError} */
function timeOf(name: string, timeoutMs: number | undefined, { deadlines }: HttpEnvironment): number {
  if (timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  return Math.min(checkNumber(name, timeoutMs, { above: 0 }), deadlines.maxDelayMs);
}

/** The hooks of the end: of every request, whatever became of it, and of a connection that goes on. */
import type { WireError } from '@ferrata/error';
import type { ServerExchange } from '@ferrata/http';
import { checkSync, unawaited } from './hook-result.ts';
import type { ProxyCore } from './proxy-core.ts';
import type { ProxySession } from './proxy-session.ts';

/** Has the end of a request logged, and what it leaves kept for the next one of its connection. What these hooks throw goes to `onHookFailed`. */
export function tellEnd<Context>(
  { hooks, connectionContexts, onHookFailed }: ProxyCore<Context>,
  { session, exchange, context }: { readonly session: ProxySession; readonly exchange: ServerExchange; readonly context: Context },
  error: WireError | null,
): void {
  if (hooks.logging !== undefined) unawaited(() => hooks.logging?.(session, error, context), onHookFailed);
  if (hooks.persistConnectionContext === undefined || !exchange.isConnectionReusable) return;
  unawaited(() => {
    const value = checkSync('persistConnectionContext', hooks.persistConnectionContext?.(session, context));
    connectionContexts.leave(exchange.connection, value);
  }, onHookFailed);
}

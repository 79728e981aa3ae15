/** What becomes of a request that has failed: who is told, and what the client is answered. */
import { toWireError, type WireError, withSource } from '@ferrata/error';
import { KnownHeader, type ReadonlyRequestHead } from '@ferrata/headers';
import type { ServerExchange } from '@ferrata/http';
import { bareAnswer, type CannedAnswer, cannedAnswer, cutBy } from './canned-answer.ts';
import { leftUnanswered } from './errors.ts';
import { checkFailureAnswer, checkSync, checkYes, unawaited } from './hook-result.ts';
import type { ProxyCore } from './proxy-core.ts';
import type { FailureAnswer } from './proxy-hooks.ts';
import type { AnswerableSession } from './proxy-session.ts';

/** A request that has failed. */
export interface FailedRequest extends AnswerableSession {
  readonly exchange: ServerExchange;
}

/** Whoever keeps a log of errors is told, unless a hook says no. */
export function tellError<Context>(core: ProxyCore<Context>, session: AnswerableSession, error: WireError, context: Context): void {
  const { hooks, onError, onHookFailed } = core;
  unawaited(() => {
    if (checkYes('suppressErrorLog', hooks.suppressErrorLog?.(session, error, context), false)) return undefined;
    const summary = checkSync('requestSummary', hooks.requestSummary?.(session, context)) ?? summaryOf(session.request);
    // Given back, as it may be a promise after all, which somebody must see rejected.
    return onError?.(summary, error, session);
  }, onHookFailed);
}

/**
 * Answers, as `failToProxy` has said, or the error itself says; or ends the exchange, where a response has begun or the fault is the client's.
 *
 * @param answer what `failToProxy` gave, unchecked
 */
export function answerFailure<Context>(
  core: ProxyCore<Context>,
  request: FailedRequest,
  error: WireError,
  answer: FailureAnswer | void,
): void {
  const { exchange } = request;
  const { status = error.status, keepAlive = true } = checked(core, answer);
  if (exchange.isClosed) return;
  // Whoever made a subrequest wants to hear of the error itself.
  if (error.source === 'downstream' || request.isSubrequest) return exchange.abort(error);
  if (request.hasResponded) return exchange.abort(cutBy(error, request.request));
  if (status === 0) return exchange.abort(leftUnanswered(error));
  // One request has failed, and its connection is as good as before; but who hoped to switch protocols may speak the other one already.
  const hopedToSwitch = exchange.upgrade !== null || request.request.headers.hasKnown(KnownHeader.upgrade);
  if (!keepAlive || hopedToSwitch) exchange.adjust({ keepAlive: false });
  try {
    const canned = cannedFor(core, request, error, status);
    request.respond(canned.status, canned.init);
  } catch (thrown) {
    tell(core, thrown);
    exchange.abort(error);
  }
}

function checked<Context>(core: ProxyCore<Context>, answer: FailureAnswer | void): FailureAnswer {
  try {
    return checkFailureAnswer(answer);
  } catch (thrown) {
    tell(core, thrown);
    return {};
  }
}

function cannedFor<Context>(core: ProxyCore<Context>, request: FailedRequest, error: WireError, status: number): CannedAnswer {
  try {
    return cannedAnswer(status, error, request, core.errorPage);
  } catch (thrown) {
    tell(core, thrown);
    return bareAnswer(status);
  }
}

function tell<Context>({ onHookFailed }: ProxyCore<Context>, thrown: unknown): void {
  onHookFailed?.(withSource(toWireError(thrown, 'HOOK_THREW'), 'internal'));
}

/** A request in a line, for logs of errors. */
function summaryOf({ method, target, headers }: ReadonlyRequestHead): string {
  return `${method} ${target}, Host: ${headers.getKnown(KnownHeader.host) ?? ''}`;
}

/** How a request ended, in one word, for logs and metrics. */
import type { WireError } from '@ferrata/error';

/**
 * - `completed`: the client was sent a whole response, or a tunnel ended in order.
 * - `client_abort`: the client's connection ended before that, in the middle of the request perhaps.
 * - `rejected`: the client broke a rule or a limit, or asked for what a proxy refuses.
 * - `timeout`: somebody was too slow; the error's source says on which side.
 * - `upstream_error`: no connection to the upstream, or it failed, or it broke a rule.
 * - `failed`: this program's own fault, or that of a hook.
 */
export type Outcome = 'completed' | 'client_abort' | 'rejected' | 'timeout' | 'upstream_error' | 'failed';

/** Classifies what `logging` is given. */
export function outcomeOf(error: WireError | null): Outcome {
  if (error === null) return 'completed';
  if (error.fault === 'local') return 'failed';
  if (error.type === 'timeout') return 'timeout';
  if (error.source === 'upstream') return 'upstream_error';
  if (error.source === 'downstream') return error.type === 'io' || isTruncated(error) ? 'client_abort' : 'rejected';
  return 'failed';
}

/** HTTP/1 has a word for a message whose connection ended too early, as if it were a malformed one (RFC 9112 §8): whoever ended it has gone. */
function isTruncated({ reason }: WireError): boolean {
  return reason === 'H1_TRUNCATED_BODY' || reason === 'H1_TRUNCATED_HEAD';
}

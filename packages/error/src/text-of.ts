/**
 * What a thrown value says of itself: the message of an `Error`, else its text.
 *
 * Total: user code may throw objects whose conversion to a string throws again (`Object.create(null)`, a revoked proxy), or errors whose message is no text.
 */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'a value without a text form';
  }
}

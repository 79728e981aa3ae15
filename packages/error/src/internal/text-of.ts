/** What a thrown value says of itself. Total: user code may throw objects whose conversion to a string throws again. */
export function textOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return 'a value without a text form';
  }
}

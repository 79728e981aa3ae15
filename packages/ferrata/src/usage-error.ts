/** Wrong use of the command line. */

/** The arguments make no sense; the message says what to write instead. */
export class UsageError extends Error {
  override get name(): string {
    return 'UsageError';
  }
}

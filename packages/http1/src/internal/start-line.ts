/** What the head reader needs of a start line, so that requests and responses share it. */

export interface StartLine {
  /** Behind the LF of the line when `scan` has returned true; relative to the head's first byte. */
  readonly at: number;
  /** Begins the next head. */
  start(): void;
  /**
   * Goes on from where it stopped.
   *
   * @returns true when the line is complete
   * @throws {WireError} at the first byte that breaks a rule or a limit
   */
  scan(bytes: Uint8Array, end: number): boolean;
}

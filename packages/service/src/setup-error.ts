/** What is wrong with how a server was set up by its file or its command line: everything at once, a sentence for each. */

/** The message has a line for each problem. */
export class SetupError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.problems = problems;
  }

  override get name(): string {
    return 'SetupError';
  }
}

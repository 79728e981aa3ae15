/**
 * What the suites share: a list of checks, each passed or failed, held against a list of known failures.
 *
 * The list of a suite stands in its `known-failures.txt`: lines that begin with `#` give a reason, the lines below it are the ids of the
 * cases that fail for that reason; an empty line ends the reason. A known failure that passes is a failure, and so is an entry that names
 * no case: the list can only be true.
 */
import { readFileSync } from 'node:fs';

/** By case id: why it is known to fail. */
export type KnownFailures = ReadonlyMap<string, string>;

/** What became of one case; `problem` is null if it passed. */
export interface Outcome {
  readonly id: string;
  readonly problem: string | null;
}

/** The whole of a suite. */
export interface Summary {
  readonly passed: number;
  /** One line for each failure, made to be read. */
  readonly failures: readonly string[];
  /** The known failures that failed as listed, by reason. */
  readonly known: ReadonlyMap<string, readonly string[]>;
}

/**
 * Parses a list of known failures.
 *
 * @throws {SyntaxError} if an entry stands under no reason, or stands twice
 */
export function parseKnownFailures(text: string, fileName = 'known-failures.txt'): KnownFailures {
  const known = new Map<string, string>();
  let reason = '';
  let isReasonOpen = false;
  text.split('\n').forEach((line, index) => {
    const trimmed = line.trim();
    const place = `${fileName}:${index + 1}`;
    if (trimmed === '') {
      reason = '';
      isReasonOpen = false;
    } else if (trimmed.startsWith('#')) {
      const words = trimmed.slice(1).trim();
      reason = isReasonOpen ? `${reason} ${words}` : words;
      isReasonOpen = true;
    } else {
      isReasonOpen = false;
      if (reason === '') throw new SyntaxError(`${place}: ${trimmed} stands under no reason`);
      if (known.has(trimmed)) throw new SyntaxError(`${place}: ${trimmed} stands twice`);
      known.set(trimmed, reason);
    }
  });
  return known;
}

/** Reads a list of known failures. */
export function readKnownFailures(url: URL): KnownFailures {
  return parseKnownFailures(readFileSync(url, 'utf8'), url.pathname.split('/').slice(-2).join('/'));
}

/** Holds outcomes against the known failures. A known failure that fails counts as passed; one that passes, or that no case has, as failed. */
export function summarise(outcomes: readonly Outcome[], knownFailures: KnownFailures): Summary {
  const failures: string[] = [];
  const known = new Map<string, string[]>();
  const seen = new Set<string>();
  let passed = 0;
  for (const { id, problem } of outcomes) {
    if (seen.has(id)) failures.push(`${id}: two cases have this id`);
    seen.add(id);
    const reason = knownFailures.get(id);
    if (reason === undefined) {
      if (problem === null) passed++;
      else failures.push(`${id}: ${problem}`);
    } else if (problem === null) {
      failures.push(`${id}: passes, though it is listed as failing because: ${reason}`);
    } else {
      passed++;
      const listed = known.get(reason) ?? [];
      listed.push(id);
      known.set(reason, listed);
    }
  }
  for (const id of knownFailures.keys()) {
    if (!seen.has(id)) failures.push(`${id}: is listed as a known failure, but no case has this id`);
  }
  if (outcomes.length === 0) failures.push('no case was run');
  return { passed, failures, known };
}

/**
 * Prints the failures and ends with `N passed, N failed`.
 *
 * @param name the suite
 * @returns the exit code
 */
export function report(name: string, { passed, failures, known }: Summary): number {
  for (const failure of failures) console.log(`FAILED ${name} ${failure}`);
  for (const [reason, ids] of known) console.log(`${name}: ${ids.length} as listed: ${reason}`);
  console.log(`${passed} passed, ${failures.length} failed`);
  return failures.length === 0 ? 0 : 1;
}

/** Runs a check and turns a throw into the problem of its outcome. A check returns a problem, or null if all is well. */
export async function outcomeOf(id: string, check: () => string | null | Promise<string | null>): Promise<Outcome> {
  try {
    return { id, problem: await check() };
  } catch (thrown) {
    return { id, problem: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) };
  }
}

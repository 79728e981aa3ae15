/**
 * The server's file in each part of a server, which must come up whatever has become of the file since it was good.
 *
 * ```
 *   keeper, first generation, upgrade     the file
 *   replacement of a dead generation      the file; if that is no good any more, what was last read from it
 *   worker                                what its main thread has read
 * ```
 */
import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { textOf } from '@ferrata/error';
import { type FileReading, keepFileReading, keptFileReading, unpackFileReading } from './kept-options.ts';
import { roleOfThread } from './role.ts';
import { readServerConfig } from './server-config-file.ts';
import type { ServerFileOptions } from './server-config-keys.ts';
import { SetupError } from './setup-error.ts';

/**
 * Gives the options of the server's file to `use`: those that it has now, or, in a process or thread that takes the place of another, those that were last read from it. Standard
 * error says so. For programs that read their command line themselves; `commandLineOptions` does it for all others.
 *
 * @param file as it was named on the command line
 * @param name what the line on standard error begins with
 * @param use may throw what is wrong with the options, and is then called again with those that were kept, if there are any
 * @returns what `use` returned
 * @throws {SetupError} with all that is wrong with the file; whatever `use` has thrown
 */
export function withServerFile<Result>(file: string, name: string, use: (options: ServerFileOptions) => Result): Result {
  if (!isMainThread) {
    const kept = keptFileReading();
    return use(kept?.file === file ? kept.options : readServerConfig(file));
  }
  // Before anything else: what the environment says to a generation is not for the processes that the program starts.
  const role = roleOfThread();
  let reading: FileReading;
  let result: Result;
  try {
    reading = { file, options: readServerConfig(file) };
    result = use(reading.options);
  } catch (thrown) {
    const kept = role.kind === 'generation' && role.keptOptions !== null ? unpackFileReading(role.keptOptions) : null;
    if (kept?.file !== file) throw thrown;
    reading = kept;
    try {
      result = use(reading.options);
    } catch {
      // What is to be mended is on disk.
      throw thrown;
    }
    const why = thrown instanceof SetupError ? thrown.problems.join('; ') : textOf(thrown);
    say(2, `${name}: the file of options is broken, and what was last read from it is in force until an upgrade succeeds: ${why}\n`);
  }
  keepFileReading(reading);
  return result;
}

/** Writes at once: the process may end right after. */
export function say(descriptor: number, text: string): void {
  try {
    writeSync(descriptor, text);
  } catch {
    // Whoever should read it is gone.
  }
}

/**
 * What has been read from the server's file, on its two ways: to the worker threads of the process, and through the keeper to a generation that takes the place of a dead one.
 *
 * To the keeper it is a text: it hands that on and never looks into it.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import type { ServerFileOptions } from './server-config-keys.ts';

/** More is not kept; a file has no more, and its options are a part of it. The kernel takes 128 KiB in a variable. */
export const MAX_KEPT_OPTIONS_BYTES = 65_536;

/** A file as it was named on the command line, and what was read from it. */
export interface FileReading {
  readonly file: string;
  readonly options: ServerFileOptions;
}

const key = 'ferrata: options of the file';

/** For the threads that start from now on, and for `packFileReading`. */
export function keepFileReading(reading: FileReading): void {
  setEnvironmentData(key, reading);
}

/** What the main thread has kept, in any thread of the process; null: nothing. */
export function keptFileReading(): FileReading | null {
  return (getEnvironmentData(key) as FileReading | undefined) ?? null;
}

/** What has been kept, for the keeper; null: nothing, or too much. */
export function packFileReading(): string | null {
  const reading = keptFileReading();
  if (reading === null) return null;
  const text = JSON.stringify(reading);
  return Buffer.byteLength(text) > MAX_KEPT_OPTIONS_BYTES ? null : text;
}

/** Opens what `packFileReading` has packed; null if it is anything else. What the options are worth is looked at where they are used. */
export function unpackFileReading(text: string): FileReading | null {
  try {
    // JSON writes null for Infinity, and no option is null.
    const reading = JSON.parse(text, (_name, value: unknown) => value ?? Infinity) as Partial<FileReading>;
    const { file, options } = reading;
    return typeof file === 'string' && typeof options === 'object' ? { file, options } : null;
  } catch {
    return null;
  }
}

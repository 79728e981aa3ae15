/**
 * Byte sizes as the command lines write them (`100`, `16k`, `1m`, `1g`) and as people read them.
 */

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** A body size: what it was called, and how many bytes it is. */
export interface NamedSize {
  readonly name: string;
  readonly bytes: number;
}

/**
 * Parses `100`, `16k`, `1m` or `1g`.
 *
 * @throws {RangeError} when it is something else.
 */
export function parseSize(text: string): NamedSize {
  const name = text.trim().toLowerCase();
  const match = /^(\d+)([kmg]?)$/.exec(name);
  const bytes = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  if (match === null || !Number.isSafeInteger(bytes) || bytes === 0) {
    throw new RangeError(`"${text}" is not a size; write 100, 16k, 1m or 1g`);
  }
  return { name, bytes };
}

/** Returns a number of bytes in the unit that suits it: `100 B`, `16 KiB`, `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const size = Math.abs(bytes);
  const [unit, divisor] =
    size >= 2 ** 30 ? ['GiB', 2 ** 30] : size >= 2 ** 20 ? ['MiB', 2 ** 20] : size >= 2 ** 10 ? ['KiB', 2 ** 10] : ['B', 1];
  const value = bytes / divisor;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
}

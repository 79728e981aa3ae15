/** Times as the command line writes them. */
import { UsageError } from './usage-error.ts';

/** @returns whole milliseconds, 1 or more @throws {UsageError} when it is no time, or longer than a day */
export function parseTime(option: string, text: string | undefined, fallbackMs: number): number {
  if (text === undefined) return fallbackMs;
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[found?.[2] ?? 's'] ?? 1_000;
  const time = Number(found?.[1]) * unit;
  if (!(time > 0 && time <= 86_400_000))
    throw new UsageError(`${option} ${text}: write a time above 0 and up to a day, such as 500ms, 3s or 2m`);
  // Whole milliseconds, as the sockets take them: 2.03 s has a fraction in binary.
  return Math.max(1, Math.round(time));
}

/** Words of notices: generations, changes and times as the operator reads them. */
import type { Member } from './member.ts';

/** A generation by its number and process. */
export function nameOf({ number, process: { pid } }: Member): string {
  return `generation ${number}${pid === null ? '' : ` (process ${pid})`}`;
}

/** What has changed, in one line; a configuration may have thousands of lines. */
export function listOf(changes: readonly string[]): string {
  if (changes.length === 0) return '';
  const shown = changes.slice(0, 20).join('; ');
  return `: ${shown}${changes.length > 20 ? `; and ${changes.length - 20} more` : ''}`;
}

/** A time with its unit. */
export function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}

/** The figures of all scenarios as a table. */
import type { FigureLine } from './scenario.ts';

/** One line for each, columns aligned. */
export function figureTable(lines: readonly FigureLine[]): string {
  const rows = [
    ['scenario', 'server', 'sent', 'failed', 'cut', 'sent again', 'slowest, ms', 'seconds', ''],
    ...lines.map(({ scenario, target, sent, failed, cut, retried, slowestMs, seconds, more }) => [
      scenario,
      target,
      String(sent),
      String(failed),
      String(cut),
      String(retried),
      slowestMs.toFixed(0),
      seconds.toFixed(1),
      more,
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column > 1 && column < 8 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/**
 * Plain-text tables for terminals and logs: the first column to the left, figures to the right, colours only on a terminal.
 */

import { styleText } from 'node:util';

/** A cell: its text alone, or its text and how it should look. */
export type Cell = string | { readonly text: string; readonly style: 'red' | 'green' | 'yellow' | 'dim' | 'bold' };

/**
 * Returns the lines of a table. Every row must have as many cells as there are headings.
 *
 * Colours follow what `util.styleText` knows of the standard output: none when it is no terminal or `NO_COLOR` is set.
 *
 * @throws {RangeError} when a row has another number of cells.
 */
export function formatTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  for (const row of rows) {
    if (row.length !== headings.length) throw new RangeError(`a row has ${row.length} cells under ${headings.length} headings`);
  }
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => plainText(row[column] ?? '').length)));
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => padded(cell, widths[column] ?? 0, column))
      .join('  ')
      .trimEnd();
  return [line(headings), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

/** Returns a figure with as many digits as its size deserves: 0.123, 1.23, 12.3, 123, 12 345. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  const size = Math.abs(value);
  if (size >= 10_000) return groupThousands(Math.round(value));
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1 || size === 0) return value.toFixed(2);
  return value.toFixed(3);
}

function groupThousands(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ');
}

function plainText(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text;
}

function padded(cell: Cell, width: number, column: number): string {
  const text = plainText(cell);
  const aligned = column === 0 ? text.padEnd(width) : text.padStart(width);
  // Colour goes on after the padding, because its escape codes have a length but no width.
  return typeof cell === 'string' ? aligned : styleText(cell.style, aligned);
}

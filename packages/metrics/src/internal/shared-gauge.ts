/** One series that goes up and down: a cell of each writer, and one that is set. */
import type { Gauge } from '../series.ts';
import type { Cells } from './cells.ts';

export class SharedGauge implements Gauge {
  readonly firstCell: number;
  readonly #cells: Cells;
  readonly #own: Float64Array;
  readonly #refusedCell: number;

  constructor(cells: Cells, cell: number, refusedCell: number) {
    this.firstCell = cell;
    this.#cells = cells;
    this.#own = cells.own;
    this.#refusedCell = refusedCell;
  }

  set(value: number): void {
    this.#cells.set(this.firstCell, value);
  }

  inc(amount = 1): void {
    const own = this.#own;
    if (Number.isFinite(amount)) own[this.firstCell] = (own[this.firstCell] as number) + amount;
    else own[this.#refusedCell] = (own[this.#refusedCell] as number) + 1;
  }

  dec(amount = 1): void {
    this.inc(-amount);
  }
}

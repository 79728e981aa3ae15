/** One series that only grows: a cell. */
import type { Counter } from '../series.ts';
import { type Cells, maxSum } from './cells.ts';

export class SharedCounter implements Counter {
  readonly firstCell: number;
  readonly #own: Float64Array;
  readonly #refusedCell: number;

  constructor(cells: Cells, cell: number, refusedCell: number) {
    this.firstCell = cell;
    this.#own = cells.own;
    this.#refusedCell = refusedCell;
  }

  inc(amount = 1): void {
    const own = this.#own;
    if (typeof amount === 'number' && amount >= 0) {
      const sum = (own[this.firstCell] as number) + amount;
      if (sum <= maxSum) {
        own[this.firstCell] = sum;
        return;
      }
    }
    own[this.#refusedCell] = (own[this.#refusedCell] as number) + 1;
  }
}

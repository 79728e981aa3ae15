/** One series that goes up and down: a cell of each writer, and one that is set. */
import type { Gauge } from '../series.ts';
import { type Cells, maxSum } from './cells.ts';

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
    if (typeof value === 'number') this.#cells.set(this.firstCell, value);
    else this.#refuse();
  }

  inc(amount = 1): void {
    if (typeof amount === 'number') this.#add(amount);
    else this.#refuse();
  }

  dec(amount = 1): void {
    if (typeof amount === 'number') this.#add(-amount);
    else this.#refuse();
  }

  #add(amount: number): void {
    const own = this.#own;
    const sum = (own[this.firstCell] as number) + amount;
    if (sum <= maxSum && sum >= -maxSum) own[this.firstCell] = sum;
    else this.#refuse();
  }

  #refuse(): void {
    this.#own[this.#refusedCell] = (this.#own[this.#refusedCell] as number) + 1;
  }
}

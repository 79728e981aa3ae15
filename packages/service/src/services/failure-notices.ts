/** Tells the operator of failures that peers can cause at will: the first at once, then one a second at most, with how many there were. */
import { describeThrown } from '../describe-thrown.ts';
import type { ServiceContext } from '../service.ts';

const EACH_MS = 1_000;

/** The failures of one kind, of one service or of a thread. */
export class FailureNotices {
  readonly #context: Pick<ServiceContext<unknown>, 'environment' | 'notify'>;
  readonly #what: string;
  #nextAt = Number.NEGATIVE_INFINITY;
  #untold = 0;

  /** @param what begins the notice: `a handler of a connection failed` */
  constructor(context: Pick<ServiceContext<unknown>, 'environment' | 'notify'>, what: string) {
    this.#context = context;
    this.#what = what;
  }

  add(thrown: unknown): void {
    const now = this.#context.environment.now();
    if (now < this.#nextAt) {
      this.#untold++;
      return;
    }
    this.#nextAt = now + EACH_MS;
    const more = this.#untold === 0 ? '' : ` (and ${this.#untold} more since the last notice)`;
    this.#untold = 0;
    this.#context.notify({ severity: 'error', text: `${this.#what}: ${describeThrown(thrown)}${more}` });
  }
}

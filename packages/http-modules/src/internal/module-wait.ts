/**
 * A promise of a module that an exchange waits for, one at a time, and no longer than it may take.
 *
 * The time-out ends with the wait: of an exchange that is over nothing is left that keeps it alive, however long its modules take.
 */
import type { WireError } from '@ferrata/error';
import type { ResolvedModuleOptions } from '../module-options.ts';
import { moduleThrew, moduleTooSlow } from './module-errors.ts';

type Deadline = ReturnType<ResolvedModuleOptions['environment']['deadlines']['deadline']>;

/** Who waits, and hears one of the two, once. */
export interface ModuleWaiter<T> {
  onSettled(value: T): void;
  onFailed(error: WireError): void;
}

/** The waits of one exchange at one place. */
export class ModuleWait<T> {
  readonly #options: ResolvedModuleOptions;
  #deadline: Deadline | null = null;
  #waiter: ModuleWaiter<T> | null = null;
  /** Whose promise it is, for messages. */
  #name = '';
  /** Tells the promise of this wait from those of waits that are over. */
  #turn = 0;

  constructor(options: ResolvedModuleOptions) {
    this.#options = options;
  }

  /** Waits for a promise, in the place of any other. */
  begin(name: string, promise: PromiseLike<T>, waiter: ModuleWaiter<T>): void {
    const turn = ++this.#turn;
    this.#name = name;
    this.#waiter = waiter;
    this.#deadline ??= this.#options.environment.deadlines.deadline(this.#onLate);
    this.#deadline.arm(this.#options.moduleTimeoutMs);
    // `resolve` makes a true promise of any thenable: it settles once, and later.
    Promise.resolve(promise).then(
      (value) => this.#end(turn)?.onSettled(value),
      (thrown: unknown) => this.#end(turn)?.onFailed(moduleThrew(name, thrown)),
    );
  }

  /** Nobody waits any more, and nobody is told. */
  cancel(): void {
    this.#waiter = null;
    this.#deadline?.cancel();
  }

  /** @returns who has waited; null: nobody does any more */
  #end(turn: number): ModuleWaiter<T> | null {
    const waiter = this.#waiter;
    if (turn !== this.#turn || waiter === null) return null;
    this.cancel();
    this.#options.environment.now();
    return waiter;
  }

  readonly #onLate = (): void => {
    const error = moduleTooSlow(this.#name, this.#options.moduleTimeoutMs);
    this.#end(this.#turn)?.onFailed(error);
  };
}

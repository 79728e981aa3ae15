/** Signals of the process that was started. SIGUSR1 is Node's own: it starts the debugger. */

/** What the operator can ask for by a signal. */
export type KeeperSignal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGUSR2' | 'SIGHUP';

const signals: readonly KeeperSignal[] = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGUSR2', 'SIGHUP'];

/** The part of `process` that is needed. */
export interface SignalSource {
  on(signal: KeeperSignal, listener: () => void): unknown;
  removeListener(signal: KeeperSignal, listener: () => void): unknown;
}

/** Catches signals from its birth on, and keeps those that come before somebody hears them: at most one of each kind beside those that end the server. */
export class Signals implements Disposable {
  readonly #source: SignalSource;
  readonly #listeners: readonly (readonly [KeeperSignal, () => void])[];
  #kept: KeeperSignal[] = [];
  #hear: ((signal: KeeperSignal) => void) | null = null;

  constructor(source: SignalSource = process) {
    this.#source = source;
    this.#listeners = signals.map((signal) => [signal, () => this.#receive(signal)] as const);
    for (const [signal, listener] of this.#listeners) {
      try {
        source.on(signal, listener);
      } catch {
        // Windows has not all of them.
      }
    }
  }

  /** Hands over what was kept, in order, and then each signal as it comes. */
  hear(hear: (signal: KeeperSignal) => void): void {
    this.#hear = hear;
    const kept = this.#kept;
    this.#kept = [];
    for (const signal of kept) hear(signal);
  }

  /** Gives the signals back to Node's own treatment. */
  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) this.#source.removeListener(signal, listener);
    this.#hear = null;
    this.#kept = [];
  }

  #receive(signal: KeeperSignal): void {
    if (this.#hear !== null) return this.#hear(signal);
    // A second SIGINT means more than the first; a hundred SIGHUPs mean what one means.
    const mayRepeat = signal === 'SIGTERM' || signal === 'SIGINT';
    if (mayRepeat ? this.#kept.length < 16 : !this.#kept.includes(signal)) this.#kept.push(signal);
  }
}

/**
 * The addresses of a name, one after the other, for connections that have a source address: Node tries all of them only where it chooses the source itself, and else the first
 * alone; one dead address would then be the end of it, whatever the others are.
 */
import { lookup as lookUpInSystem } from 'node:dns';
import type { ConnectOptions } from '@ferrata/net';

type LookupFunction = NonNullable<ConnectOptions['lookup']>;

/** What one connection does with the addresses of its peer, of one family. The peer's own address, if it has one and no name, is never looked up. */
export class AddressTurns {
  readonly #ask: LookupFunction;
  readonly #onFound: () => void;
  /** Null: not looked up yet. */
  #addresses: readonly unknown[] | null = null;
  #at = 0;

  /**
   * @param ask looks names up; null: the system does
   * @param onFound the address whose turn it is is about to be connected to
   */
  constructor(ask: LookupFunction | null, onFound: () => void) {
    this.#ask = ask ?? lookUpInSystem;
    this.#onFound = onFound;
  }

  /** No other address comes behind the one whose turn it is. */
  get isLast(): boolean {
    return this.#at + 1 >= (this.#addresses?.length ?? 0);
  }

  /** It is the turn of the next one. */
  next(): void {
    this.#at++;
  }

  /** For `connect`: asks once, and answers with the address whose turn it is. What is no address, whoever connects finds out. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    const answer = (addresses: readonly unknown[]): void => {
      this.#onFound();
      callback(null, addresses.slice(this.#at, this.#at + 1) as Parameters<typeof callback>[1]);
    };
    const known = this.#addresses;
    // Later, as Node expects it.
    if (known !== null) return process.nextTick(answer, known);
    const found = (error: NodeJS.ErrnoException | null, addresses: unknown): void => {
      if (error !== null) return callback(error, '', 0);
      this.#addresses = Array.isArray(addresses) ? addresses : [addresses];
      answer(this.#addresses);
    };
    // A promise that rejects is heard of by whoever connects.
    return this.#ask(name, { ...options, all: true }, found);
  };
}

/**
 * Memory that all threads of a generation share, by name.
 *
 * The module of a program runs in every thread, and asks for the same names there. The main thread, where it runs first, makes the memory; workers are born
 * with all that was made until then, and open it.
 */
import { internalError, textOf } from '@ferrata/error';

/** Names are the program's own and few; made of what clients say, say, they would fill the memory, and every worker to come would be born with all of them. */
const MAX_NAMES = 1_000;

/** How one piece of shared memory is made and used. */
export interface SharedSpec<T> {
  /** Makes the memory: called once in a generation, in its main thread. */
  create(): SharedArrayBuffer;
  /** Makes of the memory what the program works with: called in every thread, also in the one that has made it. */
  open(memory: SharedArrayBuffer): T;
}

/** The shared memory that one thread knows. */
export class SharedRegistry {
  readonly #seeded: boolean;
  readonly #memories = new Map<string, SharedArrayBuffer>();
  readonly #opened = new Map<string, unknown>();

  /** @param seeded the memories that a worker was born with; null where they are made */
  constructor(seeded: Readonly<Record<string, SharedArrayBuffer>> | null) {
    this.#seeded = seeded !== null;
    for (const [name, memory] of Object.entries(seeded ?? {})) this.#memories.set(name, memory);
  }

  /**
   * Gives the thing of that name, made of shared memory; the same one each time.
   *
   * @throws {TypeError} for an empty name, and where `create` gives no `SharedArrayBuffer`
   * @throws {RangeError} for more than 1 000 names
   * @throws {WireError} `SHARED_NAME_UNKNOWN` in a worker for a name that the main thread had not asked for when the worker was started
   */
  use<T>(name: string, spec: SharedSpec<T>): T {
    if (typeof name !== 'string' || name === '')
      throw new TypeError(`the name of shared memory must be a text that is not empty: ${textOf(name)}`);
    if (this.#opened.has(name)) return this.#opened.get(name) as T;
    const thing = spec.open(this.#memory(name, spec));
    this.#opened.set(name, thing);
    return thing;
  }

  /** All memories by name, for the `WorkerSeed`. */
  get memories(): Readonly<Record<string, SharedArrayBuffer>> {
    return Object.fromEntries(this.#memories);
  }

  #memory(name: string, spec: SharedSpec<unknown>): SharedArrayBuffer {
    const known = this.#memories.get(name);
    if (known !== undefined) return known;
    if (this.#seeded) {
      throw internalError(
        'SHARED_NAME_UNKNOWN',
        `the main thread has not asked for shared memory "${name}": ask for it at the top of the module, before run(), in every thread`,
      );
    }
    if (this.#memories.size >= MAX_NAMES) throw new RangeError(`there may be ${MAX_NAMES} names of shared memory at most: "${name}"`);
    const made: unknown = spec.create();
    if (!(made instanceof SharedArrayBuffer)) throw new TypeError(`create() of shared memory "${name}" must give a SharedArrayBuffer`);
    this.#memories.set(name, made);
    return made;
  }
}

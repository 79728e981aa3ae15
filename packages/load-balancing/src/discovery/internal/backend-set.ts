/**
 * A set of backends that is being put together of what a registry says.
 *
 * Rules:
 * - What is no backend loses only itself, and is told in one error.
 * - The same name twice is one backend: the first stands.
 * - The order is that of the names, so that two sets of the same backends are equal, in whatever order the registry has them.
 */
import { limitError, protocolError, textOf, type WireError } from '@ferrata/error';
import { checkBackend, type PlainBackend } from '../../backend.ts';

/** Longest name of an entry in a message. */
const MAX_SHOWN = 100;

/** Backends, and what was none. */
export class BackendSet {
  readonly #who: string;
  readonly #max: number;
  readonly #byName = new Map<string, PlainBackend>();
  #refusedCount = 0;
  #firstRefusal = '';

  /** @param max backends and refused entries together */
  constructor(who: string, max: number) {
    this.#who = who;
    this.#max = max;
  }

  get size(): number {
    return this.#byName.size;
  }

  /**
   * Adds a backend, if it is one.
   *
   * @param entry what the registry calls it
   * @throws {WireError} `limit DISCOVERY_TOO_LARGE` when there are too many
   */
  add(entry: string, backend: PlainBackend): void {
    try {
      const { name, address } = checkBackend(backend);
      if (address.kind === 'tcp' && address.port === 0) return this.refuse(entry, 'it has no port');
      if (!this.#byName.has(name)) this.#byName.set(name, backend);
    } catch (thrown) {
      return this.refuse(entry, textOf(thrown));
    }
    this.#checkSize();
  }

  /** Leaves an entry out, and says so. @throws {WireError} `limit DISCOVERY_TOO_LARGE` when there are too many */
  refuse(entry: string, why: string): void {
    this.#refusedCount++;
    if (this.#refusedCount === 1) this.#firstRefusal = `${shown(entry)}: ${why}`;
    this.#checkSize();
  }

  /** By name. */
  get backends(): readonly PlainBackend[] {
    const byName = [...this.#byName].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return byName.map(([, backend]) => backend);
  }

  /** What was left out; null: nothing. */
  get complaint(): WireError | null {
    const count = this.#refusedCount;
    if (count === 0) return null;
    const others = count === 1 ? '' : `, and ${count - 1} more`;
    const message = `${this.#who} has an entry that is no backend: ${this.#firstRefusal}${others}`;
    return protocolError('DISCOVERY_ENTRY_INVALID', message, { source: 'upstream', wire: { status: 502 } });
  }

  #checkSize(): void {
    if (this.#byName.size + this.#refusedCount > this.#max) throw tooMany(this.#who, this.#max);
  }
}

/** More entries than are wanted. */
export function tooMany(who: string, max: number): WireError {
  return limitError('DISCOVERY_TOO_LARGE', `${who} has more than ${max} backends`, { source: 'upstream', wire: { status: 502 } });
}

/** A host and a port as an address; brackets where the host is of IPv6. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A weight of others: what is above the most counts as the most. */
export function cappedWeight(weight: number): number {
  return Math.min(weight, 65_535);
}

function shown(entry: string): string {
  return JSON.stringify(entry.length > MAX_SHOWN ? `${entry.slice(0, MAX_SHOWN)}…` : entry);
}

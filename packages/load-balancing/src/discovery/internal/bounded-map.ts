/** What a registry has told, by its keys: so many entries and so many bytes at most, however it is told, in pages or change by change. */
import { limitError } from '@ferrata/error';
import { tooMany } from './backend-set.ts';

/** The bounds, and who is held to them. */
export interface MapBounds {
  readonly who: string;
  readonly maxBackends: number;
  readonly maxBodyBytes: number;
}

interface Kept<Value> {
  readonly value: Value;
  readonly bytes: number;
}

/** A map that refuses to grow without end. */
export class BoundedMap<Value> {
  readonly #bounds: MapBounds;
  readonly #entries = new Map<string, Kept<Value>>();
  #bytes = 0;

  constructor(bounds: MapBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @param bytes about how much of memory it takes @throws {WireError} `limit DISCOVERY_TOO_LARGE`; the map is as it was */
  set(key: string, value: Value, bytes: number): void {
    const { who, maxBackends, maxBodyBytes } = this.#bounds;
    const before = this.#entries.get(key);
    const total = this.#bytes + bytes - (before?.bytes ?? 0);
    if (before === undefined && this.#entries.size >= maxBackends) throw tooMany(who, maxBackends);
    if (total > maxBodyBytes) {
      const message = `${who} has more than ${maxBodyBytes} bytes of backends`;
      throw limitError('DISCOVERY_TOO_LARGE', message, { source: 'upstream', wire: { status: 502 } });
    }
    this.#entries.set(key, { value, bytes });
    this.#bytes = total;
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }

  *[Symbol.iterator](): IterableIterator<readonly [key: string, value: Value]> {
    for (const [key, { value }] of this.#entries) yield [key, value];
  }
}

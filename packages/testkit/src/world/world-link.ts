/**
 * One direction of a virtual connection: takes what one side sends and delivers it later, cut and merged as chance will have it.
 *
 * Order and bytes are kept, as TCP keeps them; a reset may lose what is still on the way, as TCP does. Faults beyond that are planned with
 * `faulty`, on top.
 */
import { ByteQueue } from '@ferrata/bytes';
import type { Clock, Random } from '@ferrata/clock';
import type { MemoryParcel } from '@ferrata/stream';
import { type EventTrace, fingerprint } from './event-trace.ts';

/** How a link treats what it carries. */
export interface LinkNature {
  /** Time on the way, in milliseconds: at least, at most. */
  readonly minLatencyMs: number;
  readonly maxLatencyMs: number;
  /** The most bytes of one delivery. */
  readonly maxChunkBytes: number;
}

/** What a link works with. */
export interface LinkOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: EventTrace;
  readonly nature: LinkNature;
}

/** One direction of a virtual connection. */
export class WorldLink {
  readonly #options: LinkOptions;
  readonly #deliver: (parcel: MemoryParcel) => void;
  readonly #bytes = new ByteQueue();
  #last: MemoryParcel | null = null;
  #isMoving = false;

  constructor(options: LinkOptions, deliver: (parcel: MemoryParcel) => void) {
    this.#options = options;
    this.#deliver = deliver;
  }

  /** Takes what is sent. */
  carry(parcel: MemoryParcel): void {
    switch (parcel.kind) {
      case 'data':
        this.#bytes.push(parcel.chunk);
        break;
      case 'end':
        this.#last ??= parcel;
        break;
      case 'reset':
        this.#last = parcel;
        // A reset may overtake what the network still holds.
        if (this.#options.random.below(2) === 0) this.#bytes.clear();
        break;
    }
    this.#moveLater();
  }

  #moveLater(): void {
    if (this.#isMoving) return;
    this.#isMoving = true;
    const { clock, random, nature } = this.#options;
    const latencyMs = nature.minLatencyMs + random.next() * (nature.maxLatencyMs - nature.minLatencyMs);
    clock.schedule(latencyMs, () => {
      this.#isMoving = false;
      this.#move();
    });
  }

  /** Delivers one piece of data, or the end once all data is out. */
  #move(): void {
    if (this.#bytes.byteLength > 0) {
      const chunk = this.#bytes.take(this.#pieceSize());
      this.#note(`${chunk.byteLength} ${fingerprint(chunk)}`);
      this.#deliver({ kind: 'data', chunk });
    } else if (this.#last !== null) {
      const last = this.#last;
      this.#last = null;
      this.#note(last.kind);
      this.#deliver(last);
    }
    if (this.#bytes.byteLength > 0 || this.#last !== null) this.#moveLater();
  }

  /** Half of the deliveries take all there is; the others a few bytes, or any number. */
  #pieceSize(): number {
    const { random, nature } = this.#options;
    const most = Math.min(this.#bytes.byteLength, nature.maxChunkBytes);
    switch (random.below(4)) {
      case 0:
        return 1 + random.below(Math.min(most, 8));
      case 1:
        return 1 + random.below(most);
      default:
        return most;
    }
  }

  #note(text: string): void {
    this.#options.trace.add(`${this.#options.clock.now().toFixed(3)} ${this.#options.name} ${text}`);
  }
}

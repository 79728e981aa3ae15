/** One end of a tunnel: what it sends, what it has received, and when it ends. The bytes of both are positional, so that each tells where it belongs. */
import type { Clock } from '@ferrata/clock';
import { positionalBytes } from '@ferrata/testkit';
import type { TunnelPlan } from './tunnel-plan.ts';

/** The seeds of the two directions of a tunnel. */
export const upSeed = (index: number): number => 2 * index + 7;
export const downSeed = (index: number): number => 2 * index + 8;

/** How an end writes, whatever carries it. */
export interface TunnelCarrier {
  /** @returns false: no more until `resume` */
  write(bytes: Uint8Array): boolean;
  end(): void;
  reset(): void;
}

export class TunnelEnd {
  readonly #plan: TunnelPlan;
  readonly #clock: Clock;
  readonly #carrier: TunnelCarrier;
  readonly #bytes: Uint8Array;
  readonly #ending: 'end' | 'reset' | 'follow';
  readonly #wanted: number;
  #at = 0;
  #isWaiting = false;
  #resumeCount = 0;
  #hasEnded = false;
  received = '';
  hasPeerEnded = false;

  constructor(plan: TunnelPlan, index: number, side: 'client' | 'origin', clock: Clock, carrier: TunnelCarrier) {
    this.#plan = plan;
    this.#clock = clock;
    this.#carrier = carrier;
    const isClient = side === 'client';
    this.#bytes = positionalBytes(isClient ? plan.upBytes : plan.downBytes, isClient ? upSeed(index) : downSeed(index));
    this.#wanted = isClient ? plan.downBytes : plan.upBytes;
    if (plan.ending === side) this.#ending = 'end';
    else this.#ending = plan.ending === `${side}Reset` ? 'reset' : 'follow';
  }

  /** Goes on sending. */
  run(): void {
    const { pieceBytes, pauseMs } = this.#plan;
    const size = pieceBytes === 0 ? this.#bytes.length : Math.max(pieceBytes, Math.ceil(this.#bytes.length / 40));
    while (!this.#isWaiting && !this.#hasEnded && this.#at < this.#bytes.length) {
      const piece = this.#bytes.slice(this.#at, this.#at + size);
      this.#at += piece.length;
      const before = this.#resumeCount;
      const hasRoom = this.#carrier.write(piece);
      // What has been told in the course of the write is not told again.
      if (!hasRoom && this.#resumeCount === before) {
        this.#isWaiting = true;
        return;
      }
      if (pauseMs === 0 || this.#at >= this.#bytes.length) continue;
      this.#isWaiting = true;
      this.#clock.schedule(pauseMs, () => this.resume());
    }
    this.#endIfDone();
  }

  resume(): void {
    this.#resumeCount++;
    this.#isWaiting = false;
    this.run();
  }

  take(text: string): void {
    this.received += text;
    this.#endIfDone();
  }

  takeEnd(): void {
    this.hasPeerEnded = true;
    this.#endIfDone();
  }

  /** Whoever ends it waits for all that it is to get; the other one follows. */
  #endIfDone(): void {
    if (this.#hasEnded || this.#isWaiting || this.#at < this.#bytes.length) return;
    if (this.#ending === 'follow' ? !this.hasPeerEnded : this.received.length < this.#wanted) return;
    this.#hasEnded = true;
    if (this.#ending === 'reset') this.#carrier.reset();
    else this.#carrier.end();
  }
}

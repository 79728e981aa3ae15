/** What all listeners have in common: their caps, their counts and their TLS server. */
import type { StreamAddress } from '@ferrata/stream';
import type { AcceptPipeline } from './accept-pipeline.ts';
import type { CloseOptions } from './listener.ts';
import type { TlsServer } from './tls/tls-server.ts';

/** The common part of listeners of this package; not exported from it. */
export abstract class ListenerBase {
  readonly address: StreamAddress;
  readonly #pipeline: AcceptPipeline;

  constructor(pipeline: AcceptPipeline, address: StreamAddress) {
    this.address = address;
    this.#pipeline = pipeline;
  }

  abstract get isClosed(): boolean;
  abstract close(options?: CloseOptions): Promise<void>;

  get tls(): TlsServer | null {
    return this.#pipeline.config.tls;
  }

  get connectionCount(): number {
    return this.#pipeline.config.ownCap.count;
  }

  get acceptedCount(): number {
    return this.#pipeline.acceptedCount;
  }

  get refusedCount(): number {
    return this.#pipeline.refusedCount;
  }

  get shedCount(): number {
    return this.#pipeline.shedCount;
  }

  get headerFailedCount(): number {
    return this.#pipeline.headerFailedCount;
  }

  get handshakeFailedCount(): number {
    return this.#pipeline.handshakeFailedCount;
  }

  get pendingCount(): number {
    return this.#pipeline.pendingCount;
  }

  get waitingCount(): number {
    return this.#pipeline.waitingCount;
  }

  get acceptRate(): number {
    return this.#pipeline.acceptRate();
  }

  get maxConnections(): number {
    return this.#pipeline.config.ownCap.max;
  }

  set maxConnections(max: number) {
    this.#pipeline.config.ownCap.max = max;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Takes a place under both caps for a newcomer. @returns false if one of them is full, or somebody waits for it already */
  tryTakePlace(): boolean {
    const { ownCap, sharedCap } = this.#pipeline.config;
    if (ownCap.hasWaiters() || sharedCap?.hasWaiters() === true) return false;
    return this.tryTakeTurn();
  }

  /** Takes a place under both caps for one who has waited. @returns false if one of them is full */
  tryTakeTurn(): boolean {
    const { ownCap, sharedCap } = this.#pipeline.config;
    // Looked at before any is taken: giving one back would wake whoever waits for it, this listener too, for nothing and for ever.
    if (sharedCap !== null && !sharedCap.hasPlace()) return false;
    if (!ownCap.tryTake()) return false;
    sharedCap?.tryTake();
    return true;
  }

  releasePlace(): void {
    const { ownCap, sharedCap } = this.#pipeline.config;
    ownCap.release();
    sharedCap?.release();
  }

  /** Closes a TLS server that the listener has made, once nobody needs it any more who has been accepted. */
  closeOwnTls(): void {
    const { ownsTls, tls } = this.#pipeline.config;
    if (ownsTls) this.#pipeline.whenIdle(() => this.#pipeline.call(() => tls?.close()));
  }
}

/** What all listeners have in common: their counts, their cap and their TLS server. */
import type { StreamAddress } from '@ferrata/stream';
import type { TlsServer } from '../tls/tls-server.ts';
import type { AcceptPipeline } from './accept-pipeline.ts';

/** The common part of listeners of this package; not exported from it. */
export abstract class ListenerBase {
  readonly address: StreamAddress;
  protected readonly pipeline: AcceptPipeline;

  constructor(pipeline: AcceptPipeline, address: StreamAddress) {
    this.address = address;
    this.pipeline = pipeline;
  }

  abstract close(): Promise<void>;

  get tls(): TlsServer | null {
    return this.pipeline.config.tls;
  }

  get connectionCount(): number {
    return this.pipeline.config.ownCap.count;
  }

  get acceptedCount(): number {
    return this.pipeline.acceptedCount;
  }

  get refusedCount(): number {
    return this.pipeline.refusedCount;
  }

  get shedCount(): number {
    return this.pipeline.shedCount;
  }

  get headerFailedCount(): number {
    return this.pipeline.headerFailedCount;
  }

  get handshakeFailedCount(): number {
    return this.pipeline.handshakeFailedCount;
  }

  get pendingCount(): number {
    return this.pipeline.pendingCount;
  }

  get waitingCount(): number {
    return this.pipeline.waitingCount;
  }

  get acceptRate(): number {
    return this.pipeline.acceptRate();
  }

  get maxConnections(): number {
    return this.pipeline.config.ownCap.max;
  }

  set maxConnections(max: number) {
    this.pipeline.config.ownCap.max = max;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

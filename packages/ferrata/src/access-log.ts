/** One JSON line for each request that was accepted, whatever became of it. */
import type { WireError } from '@ferrata/error';
import type { Refusal } from '@ferrata/http';
import type { ProxySession } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';

/** Where lines go. */
export interface LineSink {
  write(text: string): unknown;
}

/** Lines wait for the end of the tick, or for this many characters: one write for many requests. */
const FLUSH_AT_LENGTH = 65_536;

/** Writes access-log lines. */
export class AccessLog {
  readonly #sink: LineSink;
  readonly #wallNow: () => number;
  #pending = '';
  #isScheduled = false;

  constructor(sink: LineSink, wallNow: () => number) {
    this.#sink = sink;
    this.#wallNow = wallNow;
  }

  /** A request that reached the proxy's phases. */
  logSession(session: ProxySession, error: WireError | null): void {
    const { timing, request } = session;
    this.#line({
      time: this.#time(),
      client: formatAddress(session.client.remoteAddress),
      method: request.method,
      target: request.target,
      status: session.status,
      bytesIn: session.requestBytes,
      bytesOut: session.responseBytes,
      upstream: session.upstream === null ? null : formatAddress(session.upstream.remoteAddress),
      reused: session.isUpstreamReused,
      attempts: session.attempt,
      durationMs: span(timing.startedAt, timing.endedAt),
      connectMs: span(timing.startedAt, timing.connectedAt),
      firstByteMs: span(timing.startedAt, timing.respondedAt),
      outcome: outcomeOf(error),
      error: error === null ? null : error.reason,
    });
  }

  /** A request that was refused before it could be understood. */
  logRefusal(refusal: Refusal): void {
    const { error, status, info } = refusal;
    this.#line({
      time: this.#time(),
      client: formatAddress(info.remoteAddress),
      method: null,
      target: null,
      status,
      bytesIn: 0,
      bytesOut: 0,
      upstream: null,
      reused: false,
      attempts: 0,
      durationMs: null,
      connectMs: null,
      firstByteMs: null,
      outcome: outcomeOf(error),
      error: error.reason,
    });
  }

  /** Writes out what waits. */
  flush(): void {
    this.#isScheduled = false;
    const text = this.#pending;
    this.#pending = '';
    if (text !== '') this.#sink.write(text);
  }

  #line(fields: Readonly<Record<string, string | number | boolean | null>>): void {
    this.#pending += `${JSON.stringify(fields)}\n`;
    if (this.#pending.length >= FLUSH_AT_LENGTH) {
      this.flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => this.flush());
    }
  }

  #time(): string {
    return new Date(this.#wallNow()).toISOString();
  }
}

function outcomeOf(error: WireError | null): string {
  if (error === null) return 'completed';
  if (error.type === 'timeout') return 'timeout';
  if (error.source === 'upstream') return 'upstream_error';
  if (error.source === 'downstream') return error.type === 'io' ? 'client_abort' : 'rejected';
  return 'failed';
}

/** Milliseconds between two times to a thousandth, null where one of them has not come. */
function span(from: number, to: number): number | null {
  return Number.isNaN(to) ? null : Math.round((to - from) * 1000) / 1000;
}

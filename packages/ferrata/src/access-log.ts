/**
 * One JSON line for each request that was accepted, whatever became of it.
 *
 * Lines gather until the end of the tick: one write for many requests. When whoever reads them is too slow, lines are dropped and counted, and
 * traffic goes on; the count follows in a line of its own, `{"time":…,"droppedLines":N}`, as soon as there is room.
 */
import type { WireError } from '@ferrata/error';
import type { Refusal } from '@ferrata/http';
import { formatNetAddress, type NetAddress } from '@ferrata/net';
import type { ProxySession } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';

/** Where lines go. */
export interface LineSink {
  write(text: string): unknown;
  /** False: what is written now would have to wait long. Absent: there is always room. */
  readonly hasRoom?: boolean;
}

/** Lines wait for the end of the tick, or for this many characters. */
const FLUSH_AT_LENGTH = 65_536;

/** Writes access-log lines. */
export class AccessLog {
  readonly #sink: LineSink;
  readonly #wallNow: () => number;
  #pending = '';
  #isScheduled = false;
  #droppedLines = 0;

  /** @param wallNow milliseconds of the wall clock, for the field `time` */
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
      upstream: upstreamOf(session),
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
    if (this.#sink.hasRoom === false) {
      this.#droppedLines++;
      return;
    }
    if (this.#droppedLines > 0) {
      this.#pending += `${JSON.stringify({ time: this.#time(), droppedLines: this.#droppedLines })}\n`;
      this.#droppedLines = 0;
    }
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

/** Who was connected to; if nobody was, or the connection was gone before its address was asked for, who was to be. */
function upstreamOf({ upstream, peer }: ProxySession): string | null {
  if (upstream !== null && upstream.remoteAddress.kind !== 'unset') return formatAddress(upstream.remoteAddress);
  return peer === null ? null : authorityOf(peer.address);
}

function authorityOf(address: NetAddress): string {
  const text = formatNetAddress(address);
  return text.startsWith('tcp://') ? text.slice('tcp://'.length) : text;
}

function outcomeOf(error: WireError | null): string {
  if (error === null) return 'completed';
  if (error.type === 'timeout') return 'timeout';
  if (error.source === 'upstream') return 'upstream_error';
  if (error.source === 'downstream' && error.type === 'io') return 'client_abort';
  return error.source === 'downstream' && error.fault === 'remote' ? 'rejected' : 'failed';
}

/** Milliseconds between two times to a thousandth, null where one of them has not come. */
function span(from: number, to: number): number | null {
  return Number.isNaN(to) ? null : Math.round((to - from) * 1000) / 1000;
}

/**
 * One JSON line for each request that was accepted, whatever became of it.
 *
 * Lines gather for some milliseconds: one write for many requests. Where standard output is no file the main thread writes it, so that each
 * write is a message to that. When whoever reads them is too slow, lines are dropped and counted, and traffic goes on; the count follows in a
 * line of its own, `{"time":…,"droppedLines":N}`, as soon as there is room.
 */
import { type WireError, withSource } from '@ferrata/error';
import { httpVersionName } from '@ferrata/headers';
import type { Refusal } from '@ferrata/http';
import { formatNetAddress, type NetAddress } from '@ferrata/net';
import { outcomeOf, type ProxySession } from '@ferrata/proxy';
import { formatAddress, type StreamInfo } from '@ferrata/stream';

/** Where lines go. */
export interface LineSink {
  write(text: string): unknown;
  /** False: what is written now would have to wait long. Absent: there is always room. */
  readonly hasRoom?: boolean;
}

/** Lines wait for so long, or until they are so many characters. */
const FLUSH_AFTER_MS = 10;
const FLUSH_AT_LENGTH = 65_536;

/** Writes access-log lines. */
export class AccessLog {
  readonly #sink: LineSink;
  readonly #wallNow: () => number;
  #pending = '';
  /** When what waits is written; null: nothing waits. */
  #timer: NodeJS.Timeout | null = null;
  #droppedLines = 0;
  #lastTime = Number.NaN;
  #lastTimeText = '';

  /** @param wallNow milliseconds of the wall clock, for the field `time` */
  constructor(sink: LineSink, wallNow: () => number) {
    this.#sink = sink;
    this.#wallNow = wallNow;
  }

  /** A request that reached the proxy's phases. */
  logSession(session: ProxySession, error: WireError | null): void {
    const { timing, request } = session;
    this.#line({
      client: formatAddress(session.client.remoteAddress),
      protocol: httpVersionName(request.version),
      method: request.method,
      target: request.target,
      status: session.status,
      bytesIn: session.requestBytes,
      bytesOut: session.responseBytes,
      upstream: upstreamOf(session),
      upstreamProtocol: upstreamProtocolOf(session),
      reused: session.isUpstreamReused,
      attempts: session.attempt,
      refusals: session.refusedCount,
      upstreamBytesOut: session.upstreamRequestBytes,
      upstreamBytesIn: session.upstreamResponseBytes,
      durationMs: span(timing.startedAt, timing.endedAt),
      connectMs: span(timing.startedAt, timing.connectedAt),
      firstByteMs: span(timing.startedAt, timing.respondedAt),
      clientPendingMs: thousandth(session.clientWritePendingMs),
      upstreamPendingMs: thousandth(session.upstreamWritePendingMs),
      outcome: outcomeOf(error),
      error: error === null ? null : error.reason,
    });
  }

  /** A request that was refused before it could be understood. */
  logRefusal({ error, status, info }: Refusal): void {
    this.#logNoRequest(error, status, info);
  }

  /** A connection whose PROXY header or TLS handshake failed. @param info of the connection below it */
  logHandshakeFailure(error: WireError, info: StreamInfo): void {
    this.#logNoRequest(withSource(error, 'downstream'), 0, info);
  }

  #logNoRequest(error: WireError, status: number, info: StreamInfo): void {
    this.#line({
      client: formatAddress(info.remoteAddress),
      protocol: null,
      method: null,
      target: null,
      status,
      bytesIn: 0,
      bytesOut: 0,
      upstream: null,
      upstreamProtocol: null,
      reused: false,
      attempts: 0,
      refusals: 0,
      upstreamBytesOut: 0,
      upstreamBytesIn: 0,
      durationMs: null,
      connectMs: null,
      firstByteMs: null,
      clientPendingMs: 0,
      upstreamPendingMs: 0,
      outcome: outcomeOf(error),
      error: error.reason,
    });
  }

  /** Writes out what waits. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#droppedLines > 0 && this.#sink.hasRoom !== false) this.#tellDropped(this.#time());
    const text = this.#pending;
    this.#pending = '';
    if (text !== '') this.#sink.write(text);
  }

  #line(line: AccessLine): void {
    if (this.#sink.hasRoom === false) {
      this.#droppedLines++;
      return;
    }
    const time = this.#time();
    if (this.#droppedLines > 0) this.#tellDropped(time);
    this.#pending += formatLine(time, line);
    if (this.#pending.length >= FLUSH_AT_LENGTH) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_AFTER_MS);
  }

  #tellDropped(time: string): void {
    this.#pending += `{"time":"${time}","droppedLines":${this.#droppedLines}}\n`;
    this.#droppedLines = 0;
  }

  /** Now in ISO 8601, made once a millisecond. */
  #time(): string {
    const now = this.#wallNow();
    if (now !== this.#lastTime) {
      this.#lastTime = now;
      this.#lastTimeText = new Date(now).toISOString();
    }
    return this.#lastTimeText;
  }
}

/** What a line says, beside the time. */
interface AccessLine {
  readonly client: string;
  readonly protocol: string | null;
  readonly method: string | null;
  readonly target: string | null;
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly upstream: string | null;
  readonly upstreamProtocol: string | null;
  readonly reused: boolean;
  readonly attempts: number;
  readonly refusals: number;
  readonly upstreamBytesOut: number;
  readonly upstreamBytesIn: number;
  readonly durationMs: number | null;
  readonly connectMs: number | null;
  readonly firstByteMs: number | null;
  readonly clientPendingMs: number;
  readonly upstreamPendingMs: number;
  readonly outcome: string;
  readonly error: string | null;
}

/** Spelt out: 0.9 µs of CPU a line, measured, against 2.7 µs with an object for `JSON.stringify` and a fresh time text. */
function formatLine(time: string, line: AccessLine): string {
  return (
    `{"time":"${time}","client":${quoted(line.client)},"protocol":${quoted(line.protocol)},"method":${quoted(line.method)},"target":${quoted(line.target)}` +
    `,"status":${line.status},"bytesIn":${line.bytesIn},"bytesOut":${line.bytesOut}` +
    `,"upstream":${quoted(line.upstream)},"upstreamProtocol":${quoted(line.upstreamProtocol)},"reused":${line.reused},"attempts":${line.attempts}` +
    `,"refusals":${line.refusals},"upstreamBytesOut":${line.upstreamBytesOut},"upstreamBytesIn":${line.upstreamBytesIn}` +
    `,"durationMs":${line.durationMs ?? 'null'},"connectMs":${line.connectMs ?? 'null'},"firstByteMs":${line.firstByteMs ?? 'null'}` +
    `,"clientPendingMs":${line.clientPendingMs},"upstreamPendingMs":${line.upstreamPendingMs}` +
    `,"outcome":"${line.outcome}","error":${quoted(line.error)}}\n`
  );
}

/** Whatever is not plain printable ASCII without quote and backslash. */
const needsEscapes = /[^ !#-[\]-~]/;

/** A JSON string, or null. */
function quoted(text: string | null): string {
  if (text === null) return 'null';
  return needsEscapes.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/** Who was connected to; if nobody was, or the connection was gone before its address was asked for, who was to be. */
function upstreamOf({ upstream, peer }: ProxySession): string | null {
  if (upstream !== null && upstream.remoteAddress.kind !== 'unset') return formatAddress(upstream.remoteAddress);
  return peer === null ? null : authorityOf(peer.address);
}

/** What was spoken to whom `upstreamOf` tells, if a connection stood. */
function upstreamProtocolOf({ upstream, peer }: ProxySession): string | null {
  if (upstream === null || peer === null) return null;
  const isHttp2 = peer.protocol === 'auto' ? upstream.tls?.alpn === 'h2' : peer.protocol === 'http2';
  return isHttp2 ? 'HTTP/2' : 'HTTP/1.1';
}

function authorityOf(address: NetAddress): string {
  const text = formatNetAddress(address);
  return text.startsWith('tcp://') ? text.slice('tcp://'.length) : text;
}

/** Milliseconds between two times to a thousandth, null where one of them has not come. */
function span(from: number, to: number): number | null {
  return Number.isNaN(to) ? null : thousandth(to - from);
}

function thousandth(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

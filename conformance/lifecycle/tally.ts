/**
 * What became of requests: each that was sent ends in exactly one of four ways.
 *
 * ```
 *  sent ──┬── answered   whole, with its own token and the right bytes
 *         ├── retried    the server has said that it did not look at it; sent again elsewhere, and counted there
 *         ├── cut        the answer had begun and did not end
 *         └── failed     everything else, by reason
 * ```
 */

import { monotonicMs } from './monotonic.ts';

/** By what a connection is known to whoever has accepted it. */
export interface ClientEnd {
  /** `CLIENT>SERVER`: both are needed, as a client's port may lead to several listeners at once. Null: it had none, or was not connected. */
  readonly ports: string | null;
  /** When the client began to connect, in monotonic milliseconds: its port is another connection's before and after. */
  readonly openedAt: number;
}

/** How a request ended that was not answered. */
export class LoadFailure extends Error {
  /** Stable: what failures are counted by. */
  readonly reason: string;
  /** Part of the answer was there. */
  readonly isCut: boolean;
  /** The client's end, where whoever reports the failure has no connection yet. */
  readonly end: ClientEnd | null;

  constructor(reason: string, isCut = false, end: ClientEnd | null = null) {
    super(reason);
    this.reason = reason;
    this.isCut = isCut;
    this.end = end;
  }

  override get name(): string {
    return 'LoadFailure';
  }
}

/** A connection on which something failed. */
export type FailedConnection = Pick<FailureRecord, 'servedBy' | keyof ClientEnd>;

/** One failure, and what is known of the connection that it happened on. */
export interface FailureRecord extends ClientEnd {
  readonly kind: string;
  readonly reason: string;
  readonly isCut: boolean;
  /** What earlier answers on the connection said of who serves it; null: there was none. */
  readonly servedBy: string | null;
  /** Monotonic milliseconds. */
  readonly at: number;
}

const KEPT_FAILURES = 10_000;

/** Counts of one scenario. */
export class Tally {
  sent = 0;
  answered = 0;
  retried = 0;
  cut = 0;
  failed = 0;
  /** Datagrams that did not come back. */
  lost = 0;
  /** Connections that were opened. */
  connections = 0;
  /** The longest that an answer took, in milliseconds, of those that were not asked to take long. */
  slowestMs = 0;
  readonly failures: FailureRecord[] = [];
  readonly sentByKind = new Map<string, number>();
  readonly answeredByKind = new Map<string, number>();

  send(kind: string): void {
    this.sent++;
    this.sentByKind.set(kind, (this.sentByKind.get(kind) ?? 0) + 1);
  }

  /** @param ms how long it took; absent: it was asked to take long */
  answer(kind: string, ms = 0): void {
    this.answered++;
    this.answeredByKind.set(kind, (this.answeredByKind.get(kind) ?? 0) + 1);
    if (ms > this.slowestMs) this.slowestMs = ms;
  }

  retry(): void {
    this.retried++;
  }

  fail(kind: string, error: unknown, connection: FailedConnection | null): void {
    const isCut = error instanceof LoadFailure && error.isCut;
    if (isCut) this.cut++;
    else this.failed++;
    if (this.failures.length >= KEPT_FAILURES) return;
    const at = monotonicMs();
    const { ports, openedAt } = connection ?? (error instanceof LoadFailure ? error.end : null) ?? { ports: null, openedAt: at };
    this.failures.push({ kind, reason: reasonOf(error), isCut, servedBy: connection?.servedBy ?? null, ports, openedAt, at });
  }

  /** By kind and reason, the most frequent first: for a sentence. */
  failureText(): string {
    const counts = new Map<string, number>();
    for (const { kind, reason, isCut } of this.failures) {
      const text = `${kind}: ${isCut ? 'cut, ' : ''}${reason}`;
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    return [...counts]
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, 8)
      .map(([text, count]) => `${count} × ${text}`)
      .join('; ');
  }

  /** What is wrong with the counts themselves; null if they add up. */
  imbalance(): string | null {
    const { sent, answered, retried, cut, failed } = this;
    if (sent === answered + retried + cut + failed) return null;
    return `${sent} sent, but ${answered} answered, ${retried} retried, ${cut} cut and ${failed} failed`;
  }
}

/** A short text of whatever was thrown, without numbers that differ each time. */
export function reasonOf(error: unknown): string {
  if (error instanceof LoadFailure) return error.reason;
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code ?? (error as { readonly reason?: string }).reason;
  return code ?? error.message.slice(0, 120);
}

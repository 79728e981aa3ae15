/**
 * Who may begin a TLS handshake, and who gives way, when there are more connections than a server has places.
 *
 * ```
 *   silent ──► partial ──► waiting ──► peer ─────────────► (left)        places taken: peer + held, at most `maxHandshakes`
 *      first byte    hello is whole  │ ▲  ▲ │ handshakeComplete takes time
 *                  certificateFor    ▼ │  │ ▼
 *                  takes time:     callback (no place, at most `maxPendingCallbacks`), or held (keeps its place, as there are too many)
 *                                    └──► returning (its certificate is known, it waits for a place again; goes first)
 * ```
 * Rules:
 * - A handshake in OpenSSL costs some 70 KiB and half a millisecond, one before it next to nothing: so each kind is counted by itself, and a burst waits, first come first
 *   served, instead of being cut.
 * - Only a handshake that waits for its *client*, and for too long, while somebody waits for its place, is cut, the oldest first: who opens connections and says no more can hold all
 *   places for that long, no longer. One that waits for the program's own callback is never cut for its age.
 * - Too long is `maxPatienceMs` at first, or `patienceMs` if one was completed that has begun so much later. Each that was cut makes it shorter by its share of the places, down to `minPatienceMs`, and each that
 *   was completed makes it longer again, as does the moment when nobody waits any more: a crowd that is merely slow keeps its time, one that stalls passes quickly, and who is honest behind it has a turn.
 * - Beyond `maxPending` connections, or `maxPendingBytes` of theirs, the oldest of the most numerous kind is cut: a flood of one kind sheds its own.
 * - Every move is O(1), but for the bytes: those are cut oldest first until they fit.
 */
import type { Clock, Wakeup } from '@ferrata/clock';

/**
 * How long a client may take for its part of a handshake while others wait for the place, if one that began so much later is complete: two round trips to the other side of the world.
 * (Not any later one: a busy program does not answer in the order of asking.)
 */
const patienceMs = 1000;
/**
 * The same if none has been faster: all may be slow for one reason that is not theirs (a burst out of one busy program, a slow line), or all are of one attacker. With 2 s a program that
 * opens 1 500 connections at once lost 70 of them on a machine of two cores, with 3 s none. Less if more than twice the places wait.
 */
const maxPatienceMs = 3000;
/**
 * The same when nearly all have stalled: an honest client answers within a round trip, or two after a HelloRetryRequest (RFC 8446 §4.1.4). The default 1 024 places are handed on 1 280 times
 * a second so, about as often as a processor makes handshakes: with less, slow clients lose and nobody gains. With 1 s a client behind 5 000 that stall was served after 5.0 s, with this after 4.3 s.
 */
const minPatienceMs = 800;
/**
 * Handshakes begun in one turn of the event loop, half a millisecond each, of those that have waited: the first one's answer is not to wait for the last one's hello. Who finds a place
 * free begins at once; how many those are in one turn, the sockets that were read in it decide.
 */
const maxBegunATurn = 32;
/** How often is looked again. */
const lookAgainMs = 100;

/** Where a handshake is. */
export type HandshakePhase = 'silent' | 'partial' | 'waiting' | 'returning' | 'peer' | 'callback' | 'held';

/** Why a handshake gives way. */
export type ShedCause = 'tooMany' | 'tooManyBytes' | 'slowPeer';

/** A handshake, as the places see it. The first three fields are theirs. */
export interface PlaceHolder {
  phase: HandshakePhase | null;
  heldBytes: number;
  /** When it got its place. */
  since: number;
  /** It has its place. */
  handleTurn(): void;
  /** It must leave, now. */
  handleShed(cause: ShedCause): void;
}

/** What bounds them; see `TlsServerOptions`. */
export interface PlaceLimits {
  readonly maxHandshakes: number;
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  readonly maxPendingCallbacks: number;
  readonly clock: Clock;
}

type Places = { readonly [Phase in HandshakePhase]: Set<PlaceHolder> };

/** See the file's comment. */
export class HandshakePlaces {
  readonly #limits: PlaceLimits;
  /** Each in the order of coming, so the first is the oldest. */
  readonly #in: Places = {
    silent: new Set(),
    partial: new Set(),
    waiting: new Set(),
    returning: new Set(),
    peer: new Set(),
    callback: new Set(),
    held: new Set(),
  };
  /**
   * Of hellos that are not whole, or wait for a place. What a callback of the program is asked about is bounded by `maxPendingCallbacks`: nobody else is to be cut for it. What has a place
   * gives its hello to OpenSSL at once.
   */
  readonly #bytes = { partial: 0, returning: 0, waiting: 0 };
  #waitedCount = 0;
  /** When the latest of those began that are complete. */
  #latestDone = -Infinity;
  /** How many more were cut as too slow than completed, up to the number of places. */
  #stalledCount = 0;
  #isPumpDue = false;
  #wakeup: Wakeup | null = null;

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  /** How many have had to wait for a place, so far. */
  get waitedCount(): number {
    return this.#waitedCount;
  }

  /** How many wait for a place. */
  get waitingCount(): number {
    return this.#in.waiting.size + this.#in.returning.size;
  }

  /** Bytes of ClientHellos that are not whole, or wait for a place. */
  get heldBytes(): number {
    return this.#bytes.partial + this.#bytes.returning + this.#bytes.waiting;
  }

  enter(holder: PlaceHolder): void {
    this.#move(holder, 'silent');
    this.#checkCount();
  }

  /** @param bytes that the handshake holds now; if they are too many in all, some must leave, and it may be this one */
  hold(holder: PlaceHolder, bytes: number): void {
    if (holder.phase === 'silent' && bytes > 0) this.#move(holder, 'partial');
    this.#count(holder, bytes - holder.heldBytes);
    holder.heldBytes = bytes;
    this.#checkBytes();
  }

  /** The hello is whole. @returns whether it may go on; else `handleTurn` is called later, or `handleShed` */
  request(holder: PlaceHolder): boolean {
    if (this.#freeCount() > 0 && this.waitingCount === 0) {
      this.#move(holder, 'peer');
      return true;
    }
    this.#waitedCount++;
    this.#move(holder, 'waiting');
    this.#checkCount();
    this.#arm();
    return false;
  }

  /** From now on it waits for a callback of the program. */
  beginCallback(holder: PlaceHolder): void {
    this.#move(holder, this.#in.callback.size < this.#limits.maxPendingCallbacks ? 'callback' : 'held');
    this.#schedulePump();
  }

  /** The callback has answered. @returns as `request` */
  endCallback(holder: PlaceHolder): boolean {
    const hasPlace = holder.phase === 'held' || (this.#freeCount() > 0 && this.#in.returning.size === 0);
    this.#move(holder, hasPlace ? 'peer' : 'returning');
    this.#checkBytes();
    // It may be the first in a place whose client is waited for, while others wait for that place.
    this.#arm();
    return hasPlace;
  }

  /** The client has done its part. Call it before `leave`. */
  markDone(holder: PlaceHolder): void {
    this.#latestDone = Math.max(this.#latestDone, holder.since);
    if (this.#stalledCount > 0) this.#stalledCount--;
  }

  leave(holder: PlaceHolder): void {
    this.#move(holder, null);
    holder.heldBytes = 0;
    this.#schedulePump();
  }

  #move(holder: PlaceHolder, phase: HandshakePhase | null): void {
    this.#count(holder, -holder.heldBytes);
    if (holder.phase !== null) this.#in[holder.phase].delete(holder);
    holder.phase = phase;
    if (phase !== null) this.#in[phase].add(holder);
    // That crowd is over; the next one is judged by what it does itself.
    if (this.waitingCount === 0) this.#stalledCount = 0;
    if (phase === null) return;
    this.#count(holder, holder.heldBytes);
    if (phase === 'peer') holder.since = this.#limits.clock.now();
  }

  #count(holder: PlaceHolder, bytes: number): void {
    const { phase } = holder;
    if (phase === 'partial' || phase === 'returning' || phase === 'waiting') this.#bytes[phase] += bytes;
  }

  #freeCount(): number {
    return this.#limits.maxHandshakes - this.#in.peer.size - this.#in.held.size;
  }

  #checkCount(): void {
    const { silent, partial, waiting } = this.#in;
    if (silent.size + partial.size + waiting.size <= this.#limits.maxPending) return;
    const kinds = [silent, partial, waiting].toSorted((one, other) => other.size - one.size);
    first(kinds[0] as Set<PlaceHolder>)?.handleShed('tooMany');
  }

  /** The oldest of the kind that holds most of them, so that few with large hellos cost nobody else. */
  #checkBytes(): void {
    while (this.heldBytes > this.#limits.maxPendingBytes) {
      const { partial, returning, waiting } = this.#bytes;
      const most = Math.max(partial, returning, waiting);
      const kind = most === partial ? 'partial' : most === returning ? 'returning' : 'waiting';
      const oldest = first(this.#in[kind]);
      if (oldest === null) return;
      oldest.handleShed('tooManyBytes');
    }
  }

  /** Not at once: whoever leaves may be deep inside OpenSSL's calls, and a queue of failures would be a recursion. */
  #schedulePump(): void {
    if (this.#isPumpDue || this.waitingCount === 0) return;
    this.#isPumpDue = true;
    setImmediate(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { waiting, returning } = this.#in;
    for (let begun = 0; begun < maxBegunATurn && this.#freeCount() > 0; begun++) {
      const next = first(returning) ?? first(waiting);
      if (next === null) break;
      this.#move(next, 'peer');
      next.handleTurn();
    }
    if (this.#freeCount() > 0) this.#schedulePump();
    this.#arm();
  }

  /** Wakes when the oldest in a place has taken too long, as long as somebody waits. */
  #arm(): void {
    const oldest = this.waitingCount === 0 ? null : first(this.#in.peer);
    if (oldest === null) {
      this.#wakeup?.cancel();
      this.#wakeup = null;
      return;
    }
    const { clock } = this.#limits;
    this.#wakeup ??= clock.schedule(
      Math.max(lookAgainMs, oldest.since + Math.min(patienceMs, this.#patienceWith(oldest)) - clock.now()),
      () => {
        // After the sockets were read: on a busy thread the client's answer may have been here for long.
        setImmediate(() => {
          this.#wakeup = null;
          this.#shedSlow();
        });
      },
    );
  }

  #shedSlow(): void {
    const now = this.#limits.clock.now();
    let needed = this.waitingCount - this.#freeCount();
    for (const holder of this.#in.peer) {
      if (needed-- <= 0 || now - holder.since < this.#patienceWith(holder)) break;
      if (this.#stalledCount < this.#limits.maxHandshakes) this.#stalledCount++;
      holder.handleShed('slowPeer');
    }
    this.#arm();
  }

  #patienceWith({ since }: PlaceHolder): number {
    const { maxHandshakes } = this.#limits;
    const most = since + patienceMs < this.#latestDone ? patienceMs : maxPatienceMs;
    const crowding = Math.min(1, (2 * maxHandshakes) / this.waitingCount);
    return Math.max(minPatienceMs, most * crowding * (1 - this.#stalledCount / maxHandshakes));
  }
}

function first(holders: Set<PlaceHolder>): PlaceHolder | null {
  for (const holder of holders) return holder;
  return null;
}

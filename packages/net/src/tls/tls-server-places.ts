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
 * - Only a handshake that has waited for its *client* for `patienceMs` (and has been overtaken by a later one; else `maxPatienceMs`), while somebody waits for its place, is cut, the
 *   oldest first: who opens connections and says no more can hold all places for that long, no longer. One that waits for the program's own callback is never cut for its age.
 * - Beyond `maxPending` connections, or `maxPendingBytes` of theirs, the oldest of the most numerous kind is cut: a flood of one kind sheds its own.
 * - Every move is O(1), but for the bytes: those are cut oldest first until they fit.
 */
import type { Clock, Wakeup } from '@ferrata/clock';

/** How long a client may take for its part of a handshake while others wait for the place, if later ones have been faster: two round trips to the other side of the world. */
const patienceMs = 1000;
/** The same if none has been faster: all may be slow for one reason that is not theirs (a burst out of one busy program, a slow line), or all are of one attacker. */
const maxPatienceMs = 3000;
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
  /** Of hellos that are not whole. */
  #partialBytes = 0;
  /** Of all others that have not begun. */
  #otherBytes = 0;
  #waitedCount = 0;
  /** When the latest of those began that are complete. */
  #latestDone = -Infinity;
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

  /** Bytes of ClientHellos that OpenSSL has not got yet. */
  get heldBytes(): number {
    return this.#partialBytes + this.#otherBytes;
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
    const { partial, waiting, returning } = this.#in;
    while (this.heldBytes > this.#limits.maxPendingBytes) {
      const oldest = this.#partialBytes < this.#otherBytes ? (first(waiting) ?? first(returning) ?? first(partial)) : first(partial);
      // What callbacks hold is bounded by their number.
      if (oldest === null) return;
      oldest.handleShed('tooManyBytes');
    }
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
    if (holder.phase === 'held' || (this.#freeCount() > 0 && this.#in.returning.size === 0)) {
      this.#move(holder, 'peer');
      return true;
    }
    this.#move(holder, 'returning');
    this.#arm();
    return false;
  }

  /** The client has done its part. Call it before `leave`. */
  markDone(holder: PlaceHolder): void {
    this.#latestDone = Math.max(this.#latestDone, holder.since);
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
    if (phase === null) return;
    this.#in[phase].add(holder);
    this.#count(holder, holder.heldBytes);
    if (phase === 'peer') holder.since = this.#limits.clock.now();
  }

  #count(holder: PlaceHolder, bytes: number): void {
    if (holder.phase === 'partial') this.#partialBytes += bytes;
    else this.#otherBytes += bytes;
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
    while (this.#freeCount() > 0) {
      const next = first(returning) ?? first(waiting);
      if (next === null) break;
      this.#move(next, 'peer');
      next.handleTurn();
    }
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
    this.#wakeup ??= clock.schedule(Math.max(lookAgainMs, oldest.since + patienceMs - clock.now()), () => {
      // After the sockets were read: on a busy thread the client's answer may have been here for long.
      setImmediate(() => {
        this.#wakeup = null;
        this.#shedSlow();
      });
    });
  }

  #shedSlow(): void {
    const now = this.#limits.clock.now();
    let needed = this.waitingCount - this.#freeCount();
    for (const holder of this.#in.peer) {
      const patience = holder.since < this.#latestDone ? patienceMs : maxPatienceMs;
      if (needed-- <= 0 || now - holder.since < patience) break;
      holder.handleShed('slowPeer');
    }
    this.#arm();
  }
}

function first(holders: Set<PlaceHolder>): PlaceHolder | null {
  for (const holder of holders) return holder;
  return null;
}

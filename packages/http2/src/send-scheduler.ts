/**
 * Whose turn it is to send a frame of DATA.
 *
 * ```text
 *  urgency 0   round:  [ sequence ] → [ stream 7 ] → [ stream 9 ] → back to the first
 *                           │
 *                           └ streams that asked to come whole, by number: 1, 5, 11; only the first of them takes the turn
 *  urgency 1   …
 *  …
 *  urgency 7   …            a level is served only while all above it have nothing that can be sent
 * ```
 * Rules:
 * - Ready means: has DATA, and its window is open. A stream that is blocked leaves, and comes back at the end of its round.
 * - Within an urgency nobody starves: each turn is one frame, and the sequence as a whole is one member of the round. Among streams of a
 *   round that stay ready, bytes served differ by at most one frame.
 * - Between urgencies precedence is strict (RFC 9218 §10); only signals change an urgency, and each client is scheduled among its own streams only.
 * - `next` is O(1). Taking a stream into the sequence looks back from its end, where new streams belong.
 *
 * Sources: RFC 9218 §10 (server scheduling), RFC 9113 §5.2 (flow control), §5.3.
 */
import { DEFAULT_PRIORITY, isSequential, URGENCY_COUNT, urgencyOf } from './priority.ts';

/** The place of a stream in the order of sending. One for each stream, kept by its owner. */
export class SendSlot<Owner> {
  readonly owner: Owner;
  /** Number of the stream: the order of the sequence. */
  readonly id: number;
  /** Packed as in `priority.ts`. Change it by `SendScheduler.setPriority` only. */
  priority: number;
  /** Whether a scheduler holds it. */
  isReady: boolean;
  /** Neighbours in the ring; this slot itself while it is in none. For `SendScheduler` alone. */
  next: SendSlot<Owner>;
  previous: SendSlot<Owner>;

  constructor(owner: Owner, id: number, priority: number = DEFAULT_PRIORITY) {
    this.owner = owner;
    this.id = id;
    this.priority = priority;
    this.isReady = false;
    this.next = this;
    this.previous = this;
  }
}

/** What is ready of one urgency. */
class Level<Owner> {
  /** The one whose turn comes first in the round; null if it is empty. */
  round: SendSlot<Owner> | null = null;
  /** The stream of the sequence with the lowest number; null if it is empty. */
  sequence: SendSlot<Owner> | null = null;
  /** Turns of the round before the sequence has its turn: set to the length of the round after each of them. */
  turnsToSequence = 0;
  roundLength = 0;
}

/** Schedules the streams of one connection. */
export class SendScheduler<Owner> {
  readonly #levels: (Level<Owner> | null)[];
  /** Bit u is set while a stream of urgency u is ready. */
  #readyLevels: number;
  #readyCount: number;

  constructor() {
    // Levels come into being when used: most connections know one urgency.
    this.#levels = new Array<Level<Owner> | null>(URGENCY_COUNT).fill(null);
    this.#readyLevels = 0;
    this.#readyCount = 0;
  }

  // Queries.

  /** How many streams are ready. */
  get readyCount(): number {
    return this.#readyCount;
  }

  /** Whether no stream is ready. */
  isEmpty(): boolean {
    return this.#readyCount === 0;
  }

  // Commands.

  /** A stream has something to send and may. Does nothing if it is ready already. */
  add(slot: SendSlot<Owner>): void {
    if (slot.isReady) return;
    const level = this.#levelOf(slot);
    if (isSequential(slot.priority)) {
      level.sequence = insertById(level.sequence, slot);
    } else {
      level.round = insertBefore(level.round, slot);
      level.roundLength++;
    }
    slot.isReady = true;
    this.#readyCount++;
    this.#readyLevels |= 1 << urgencyOf(slot.priority);
  }

  /** A stream has nothing to send, or may not. Does nothing if it is not ready. */
  remove(slot: SendSlot<Owner>): void {
    if (!slot.isReady) return;
    const level = this.#levelOf(slot);
    if (isSequential(slot.priority)) {
      level.sequence = removeFrom(level.sequence, slot);
    } else {
      level.round = removeFrom(level.round, slot);
      level.roundLength--;
    }
    slot.isReady = false;
    this.#readyCount--;
    if (level.round === null && level.sequence === null) this.#readyLevels &= ~(1 << urgencyOf(slot.priority));
  }

  /** Gives a stream another priority, ready or not. */
  setPriority(slot: SendSlot<Owner>, priority: number): void {
    const wasReady = slot.isReady;
    this.remove(slot);
    slot.priority = priority;
    if (wasReady) this.add(slot);
  }

  // Outputs.

  /**
   * The stream whose turn it is: send one frame of it, then `remove` it if it is done or blocked. It stays ready until then, at the end of its
   * round.
   *
   * @returns null if none is ready
   */
  next(): SendSlot<Owner> | null {
    const ready = this.#readyLevels;
    if (ready === 0) return null;
    // The lowest bit that is set.
    const level = this.#levels[31 - Math.clz32(ready & -ready)] as Level<Owner>;
    const { round, sequence } = level;
    // Streams that left the round take their turns with them.
    if (level.turnsToSequence > level.roundLength) level.turnsToSequence = level.roundLength;
    if (round === null || (sequence !== null && level.turnsToSequence <= 0)) {
      level.turnsToSequence = level.roundLength;
      return sequence;
    }
    level.turnsToSequence--;
    level.round = round.next;
    return round;
  }

  #levelOf(slot: SendSlot<Owner>): Level<Owner> {
    const urgency = urgencyOf(slot.priority);
    let level = this.#levels[urgency] ?? null;
    if (level === null) {
      level = new Level<Owner>();
      this.#levels[urgency] = level;
    }
    return level;
  }
}

/** @returns the first of the ring, which stays the same if there is one: before the first is behind the last */
function insertBefore<Owner>(first: SendSlot<Owner> | null, slot: SendSlot<Owner>): SendSlot<Owner> {
  if (first === null) return slot;
  const last = first.previous;
  slot.previous = last;
  slot.next = first;
  last.next = slot;
  first.previous = slot;
  return first;
}

function insertById<Owner>(first: SendSlot<Owner> | null, slot: SendSlot<Owner>): SendSlot<Owner> {
  if (first === null) return slot;
  let behind = first.previous;
  while (behind.id > slot.id && behind !== first) behind = behind.previous;
  if (behind.id > slot.id) {
    // It comes before all others.
    insertBefore(first, slot);
    return slot;
  }
  insertBefore(behind.next, slot);
  return first;
}

/** @returns the first of what is left; the follower, if that was the first */
function removeFrom<Owner>(first: SendSlot<Owner> | null, slot: SendSlot<Owner>): SendSlot<Owner> | null {
  const { next, previous } = slot;
  if (next === slot) return null;
  previous.next = next;
  next.previous = previous;
  slot.next = slot;
  slot.previous = slot;
  return first === slot ? next : first;
}

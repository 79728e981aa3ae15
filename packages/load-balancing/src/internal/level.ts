/**
 * Backends of one level of preference: those of one priority, near or far. They have one picker, which sees those that are ready in dense arrays.
 *
 * `refresh` reads the shared state of each when something in it has changed, and not for each request.
 */
import type { Backend } from '../backend.ts';
import type { Candidates, Picker, SelectionKey } from '../selection/algorithm.ts';
import type { BackendTable } from './backend-table.ts';
import { SlotFlag, SlotWord, Stripe } from './table-layout.ts';

/** What a balancer is asked about each backend beyond its health. */
export interface LevelRules {
  readonly table: BackendTable;
  /** Infinity: no bound. */
  readonly maxRequests: number;
  readonly maxPending: number;
  readonly maxConnections: number;
  /** The share of its weight that a backend has while it warms up, 0 to 1. */
  warmth(warmSince: number): number;
  /** What an answer has taken lately, ms. */
  latencyMs(slot: number): number;
}

/** Which of the backends that are not in order may be picked all the same. */
export type Leniency = 'none' | 'ejected' | 'unhealthy';

const MASKS: Readonly<Record<Leniency, number>> = {
  none: SlotFlag.unhealthy | SlotFlag.ejected | SlotFlag.drained,
  ejected: SlotFlag.unhealthy | SlotFlag.drained,
  unhealthy: SlotFlag.drained,
};

/** Decides whether a backend may have a request. */
export type Accept<Extension> = (backend: Backend<Extension>, isReady: boolean) => boolean;

/** One level. */
export class Level<Extension> implements Candidates {
  readonly backends: readonly Backend<Extension>[];
  readonly memberCount: number;
  readonly ready: Int32Array;
  readyCount = 0;
  readonly weights: Float64Array;
  totalWeight = 0;
  isPlain = true;
  /** The sum of the configured weights of those that should be there, ready or not. */
  configuredWeight = 0;
  /** And of those that are ready. */
  readyWeight = 0;
  readonly picker: Picker;
  readonly #rules: LevelRules;
  readonly #slots: Int32Array;
  readonly #isBounded: boolean;
  #excluded: readonly Backend<Extension>[] = [];
  #accept: Accept<Extension> | null = null;
  /** `accept` has chosen from this level itself. */
  #wasNested = false;

  constructor(backends: readonly Backend<Extension>[], picker: Picker, rules: LevelRules) {
    this.backends = backends;
    this.memberCount = backends.length;
    this.picker = picker;
    this.#rules = rules;
    this.ready = new Int32Array(backends.length);
    this.weights = new Float64Array(backends.length);
    this.#slots = Int32Array.from(backends, ({ slot }) => slot);
    this.#isBounded = rules.maxRequests !== Infinity || rules.maxPending !== Infinity || rules.maxConnections !== Infinity;
  }

  /** Looks which are ready, and with which weight. @param leniency whom to take for ready besides */
  refresh(leniency: Leniency): void {
    const { backends, ready, weights } = this;
    const { table } = this.#rules;
    const mask = MASKS[leniency];
    let count = 0;
    let total = 0;
    let configured = 0;
    let readyWeight = 0;
    for (let member = 0; member < backends.length; member++) {
      const { weight, isEnabled } = backends[member] as Backend<Extension>;
      weights[member] = 0;
      if (weight === 0 || !isEnabled) continue;
      const slot = this.#slots[member] as number;
      const flags = table.word(slot, SlotWord.flags);
      // Whoever was taken out of service by hand is not missing.
      if ((flags & SlotFlag.drained) === 0) configured += weight;
      if ((flags & mask) !== 0) continue;
      const warmth = (flags & SlotFlag.warming) === 0 ? 1 : this.#rules.warmth(table.word(slot, SlotWord.warmSince));
      weights[member] = weight * warmth;
      total += weight * warmth;
      readyWeight += weight;
      ready[count++] = member;
    }
    this.readyCount = count;
    this.totalWeight = total;
    this.configuredWeight = configured;
    this.readyWeight = readyWeight;
    this.picker.refresh?.(this);
  }

  /** @returns null: none of those that are ready is open */
  pick(key: SelectionKey | null, excluded: readonly Backend<Extension>[], accept: Accept<Extension> | null): Backend<Extension> | null {
    if (this.readyCount === 0) return null;
    if (this.#accept !== null) this.#wasNested = true;
    const isAnyone = excluded.length === 0 && accept === null;
    if (isAnyone && this.#accept === null) {
      this.isPlain = !this.#isBounded;
      return this.#backendOf(this.picker.pick(key, this));
    }
    // `accept` is the program's, and may itself select: what it is asked for must hold again afterwards.
    const before = { excluded: this.#excluded, accept: this.#accept, isPlain: this.isPlain };
    this.#excluded = excluded;
    this.#accept = accept;
    this.isPlain = isAnyone && !this.#isBounded;
    this.#wasNested = false;
    try {
      const member = this.picker.pick(key, this);
      // A picker that takes turns was moved on by the choices within this one: it has not asked everybody.
      return this.#backendOf(member === -1 && this.#wasNested ? this.#firstOpen() : member);
    } finally {
      this.#wasNested = true;
      this.#excluded = before.excluded;
      this.#accept = before.accept;
      this.isPlain = before.isPlain;
    }
  }

  #firstOpen(): number {
    for (let index = 0; index < this.readyCount; index++) if (this.isOpen(this.ready[index] as number)) return this.ready[index] as number;
    return -1;
  }

  #backendOf(member: number): Backend<Extension> | null {
    if (member === -1) return null;
    const backend = this.backends[member];
    if (backend === undefined || this.weights[member] === 0) throw new TypeError(`a picker gave ${member}, which is not ready`);
    return backend;
  }

  /** Asks `accept` of those that are not ready. @returns the first that it takes, or null */
  pickUnready(excluded: readonly Backend<Extension>[], accept: Accept<Extension>): Backend<Extension> | null {
    for (let member = 0; member < this.memberCount; member++) {
      const backend = this.backends[member] as Backend<Extension>;
      if (this.weights[member] === 0 && !isAmong(excluded, backend) && accept(backend, false)) return backend;
    }
    return null;
  }

  // ---- Candidates ----------------------------------------------------------------------------------------------------------------

  get isRetry(): boolean {
    return this.#excluded.length > 0;
  }

  isOpen(member: number): boolean {
    if (this.weights[member] === 0) return false;
    if (this.isPlain) return true;
    const backend = this.backends[member] as Backend<Extension>;
    if (isAmong(this.#excluded, backend) || (this.#isBounded && this.#isFull(this.#slots[member] as number))) return false;
    return this.#accept === null || this.#accept(backend, true);
  }

  inflight(member: number): number {
    return this.#rules.table.sum(this.#slots[member] as number, Stripe.inflight);
  }

  latencyMs(member: number): number {
    return this.#rules.latencyMs(this.#slots[member] as number);
  }

  /** By its circuit breaker. */
  #isFull(slot: number): boolean {
    const { table, maxRequests, maxPending, maxConnections } = this.#rules;
    return (
      (maxRequests !== Infinity && table.sum(slot, Stripe.inflight) >= maxRequests) ||
      (maxPending !== Infinity && table.sum(slot, Stripe.pending) >= maxPending) ||
      (maxConnections !== Infinity && areAllBusy(table, slot, maxConnections))
    );
  }
}

/** By slot: a backend whose weight has changed meanwhile is the same one. */
function isAmong<Extension>(backends: readonly Backend<Extension>[], { slot }: Backend<Extension>): boolean {
  for (let index = 0; index < backends.length; index++) if ((backends[index] as Backend<Extension>).slot === slot) return true;
  return false;
}

/** A connection that is idle can take the request. */
function areAllBusy(table: BackendTable, slot: number, maxConnections: number): boolean {
  const connections = table.sum(slot, Stripe.connections);
  return connections >= maxConnections && table.sum(slot, Stripe.inflight) >= connections;
}

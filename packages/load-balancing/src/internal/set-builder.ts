/**
 * From a list of backends, as it is given, to a set that requests can go by. It pauses now and then, and changes nothing that anybody sees.
 *
 * Rules:
 * - All or nothing: what is wrong with one backend refuses the list, and the set before stays.
 * - A name that is given again is the same backend: the first mention counts, with the greatest of the weights.
 * - A backend that is known keeps its slot, and with it its health and what is under way; also its extension.
 */
import type { Random } from '@ferrata/clock';
import { formatNetAddress } from '@ferrata/net';
import { type Backend, type BackendFacts, type BackendInit, checkBackend, nameOf } from '../backend.ts';
import type { LoadBalancerConfig } from '../options.ts';
import type { Members, Picker } from '../selection/algorithm.ts';
import type { BackendStates } from './backend-states.ts';
import type { Claim } from './backend-table.ts';
import { Level, type LevelRules } from './level.ts';
import { Levels } from './levels.ts';

/** How many backends are looked at between two pauses. */
const BATCH = 512;

/** A set in force. */
export interface BackendSet<Extension> {
  readonly backends: readonly Backend<Extension>[];
  readonly byName: ReadonlyMap<string, Backend<Extension>>;
  readonly levels: Levels<Extension>;
  /** By what a request asked for, made when it first did. */
  readonly subsets: Map<string, Levels<Extension>>;
  /** By level: for the next set, whose pickers may go on where these are. */
  readonly pickers: ReadonlyMap<string, Picker>;
}

/** A set that is ready, and what is different in it. */
export interface BuiltSet<Extension> {
  readonly set: BackendSet<Extension>;
  readonly added: readonly Backend<Extension>[];
  /** Of those added, the ones that no thread knew. */
  readonly fresh: ReadonlySet<number>;
  readonly removed: readonly Backend<Extension>[];
  readonly changed: number;
}

/** What sets are built with. */
export class SetBuilder<Extension> {
  readonly #config: LoadBalancerConfig<Extension>;
  readonly #states: BackendStates;
  readonly #rules: LevelRules;
  readonly #random: Random;

  constructor(config: LoadBalancerConfig<Extension>, states: BackendStates, random: Random) {
    this.#random = random;
    this.#config = config;
    this.#states = states;
    this.#rules = {
      ...config.breaker,
      table: states.table,
      warmth: (since) => states.warmth(since),
      latencyMs: (slot) => states.latencyMs(slot),
    };
  }

  /** The set of nobody. */
  empty(): BackendSet<Extension> {
    return { backends: [], byName: new Map(), levels: this.#levelsOf([]), subsets: new Map(), pickers: new Map() };
  }

  /**
   * Builds a set.
   *
   * @returns null: it is the one that is there
   * @throws {TypeError} {RangeError} what is wrong with it
   */
  *build(inits: Iterable<BackendInit<Extension>>, before: BackendSet<Extension>): Generator<void, BuiltSet<Extension> | null, void> {
    if (typeof inits === 'string') throw new TypeError('backends must be a list of them, not a text');
    const checked = yield* checkAll(inits, before.byName, this.#states.table.maxBackends);
    if (isSameList(checked, before.backends)) return null;
    const claimed: Claim[] = [];
    let isBuilt = false;
    try {
      const { backends, added, changed } = yield* this.#make(checked, before, claimed);
      const pickers = new Map<string, Picker>();
      const levels: Level<Extension>[] = [];
      for (const [name, group] of this.#groups(backends)) {
        const picker = yield* this.#pickerFor(group, before.pickers.get(name) ?? null);
        pickers.set(name, picker);
        levels.push(new Level(group, picker, this.#rules));
      }
      const byName = new Map(backends.map((backend) => [backend.name, backend]));
      const removed = before.backends.filter(({ name }) => !byName.has(name));
      const set = { backends, byName, levels: this.#levelsOf(levels), subsets: new Map(), pickers };
      const fresh = new Set(claimed.filter(({ isNew }) => isNew).map(({ slot }) => slot));
      isBuilt = true;
      return { set, added, fresh, removed, changed };
    } finally {
      // It was refused, or overtaken.
      if (!isBuilt) for (const { slot } of claimed) this.#states.table.release(slot);
    }
  }

  /** The part of a set whose metadata say what is wanted. */
  subset({ backends }: BackendSet<Extension>, wanted: Readonly<Record<string, string>>): Levels<Extension> {
    const entries = Object.entries(wanted);
    const part = backends.filter(({ metadata }) => entries.every(([key, value]) => metadata[key] === value));
    const levels: Level<Extension>[] = [];
    for (const group of this.#groups(part).values()) levels.push(new Level(group, runToEnd(this.#pickerFor(group, null)), this.#rules));
    return this.#levelsOf(levels);
  }

  *#make(
    checked: readonly Entry[],
    before: BackendSet<Extension>,
    claimed: Claim[],
  ): Generator<
    void,
    { readonly backends: readonly Backend<Extension>[]; readonly added: Backend<Extension>[]; readonly changed: number },
    void
  > {
    const backends: Backend<Extension>[] = [];
    const added: Backend<Extension>[] = [];
    let changed = 0;
    for (const facts of checked) {
      const known = before.byName.get(facts.name);
      if (known !== undefined && (facts === known || isSame(facts, known))) backends.push(known);
      else {
        const backend = this.#makeOne(facts as BackendFacts, known, claimed);
        backends.push(backend);
        if (known === undefined) added.push(backend);
        else changed++;
      }
      if (backends.length % BATCH === 0) yield;
    }
    return { backends: Object.freeze(backends), added, changed };
  }

  #makeOne({ given, ...facts }: BackendFacts, known: Backend<Extension> | undefined, claimed: Claim[]): Backend<Extension> {
    let slot: number;
    if (known === undefined) {
      const claim = this.#states.table.claim(`${this.#config.name}\n${facts.name}`);
      if (claim === null) throw new RangeError(`there is no room for ${facts.name}: raise maxBackends (${this.#states.table.maxBackends})`);
      ({ slot } = claim);
      claimed.push(claim);
    } else ({ slot } = known);
    const extension = given !== undefined ? (given as Extension) : known !== undefined ? known.extension : this.#config.extend?.(facts);
    return Object.freeze({ ...facts, slot, extension: extension as Extension });
  }

  /** Backends by level, the most wanted first. */
  #groups(backends: readonly Backend<Extension>[]): ReadonlyMap<string, readonly Backend<Extension>[]> {
    const groups = new Map<string, Backend<Extension>[]>();
    const ranks = new Map<string, number>();
    const { zone } = this.#config;
    for (const backend of backends) {
      const rank = backend.priority * 2 + (zone === null || backend.zone === zone ? 0 : 1);
      const name = String(rank);
      const group = groups.get(name);
      if (group === undefined) {
        groups.set(name, [backend]);
        ranks.set(name, rank);
      } else group.push(backend);
    }
    return new Map([...groups].toSorted(([a], [b]) => (ranks.get(a) as number) - (ranks.get(b) as number)));
  }

  *#pickerFor(group: readonly Backend<Extension>[], previous: Picker | null): Generator<void, Picker, void> {
    const { algorithm } = this.#config;
    const members: Members = {
      count: group.length,
      name: (member) => (group[member] as Backend<Extension>).name,
      weight: (member) => (group[member] as Backend<Extension>).weight,
    };
    yield;
    const built = algorithm.build(members, { random: this.#random, previous });
    return 'pick' in built ? built : yield* built;
  }

  #levelsOf(list: readonly Level<Extension>[]): Levels<Extension> {
    const { overprovisioning, panicThreshold } = this.#config;
    return new Levels(list, { overprovisioning, panicThreshold, random: this.#random });
  }
}

/** All steps at once. */
export function runToEnd<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** A backend of the set before, as it is, or one that was looked at. */
type Entry = Backend | BackendFacts;

/** @throws {RangeError} for too many @throws {TypeError} {RangeError} for one that is wrong */
function* checkAll(
  inits: Iterable<BackendInit>,
  known: ReadonlyMap<string, Backend>,
  maxBackends: number,
): Generator<void, readonly Entry[], void> {
  const byName = new Map<string, Entry>();
  let count = 0;
  for (const init of inits) {
    const entry = sameAsKnown(init, known) ?? checkBackend(init);
    const first = byName.get(entry.name);
    if (first === undefined) byName.set(entry.name, entry);
    else if (first.weight < entry.weight) byName.set(entry.name, { ...first, weight: entry.weight });
    if (byName.size > maxBackends) throw new RangeError(`there are more than ${maxBackends} backends: raise maxBackends`);
    if (++count % BATCH === 0) yield;
  }
  return [...byName.values()];
}

/** Most of a large set is what it was: that is seen without reading an address again. */
function sameAsKnown(init: BackendInit, known: ReadonlyMap<string, Backend>): Backend | null {
  if (typeof init !== 'object' || init === null || typeof init.address !== 'string') return null;
  const { address, name = address, weight = 1, priority = 0, zone = '', isEnabled = true, healthPort = null, connect = null } = init;
  const before = known.get(name);
  const isSameInit =
    before !== undefined &&
    (address === before.name ? nameOf(before.address) === address : formatNetAddress(before.address) === address) &&
    weight === before.weight &&
    priority === before.priority &&
    zone === before.zone &&
    isEnabled === before.isEnabled &&
    healthPort === before.healthPort &&
    connect === before.connect &&
    isSameRecord(init.metadata ?? NOTHING, before.metadata);
  return isSameInit ? before : null;
}

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});

/** The same backends in the same order. */
function isSameList(checked: readonly Entry[], backends: readonly Backend[]): boolean {
  return checked.length === backends.length && checked.every((facts, index) => isSame(facts, backends[index] as Backend));
}

/** All but the extension. */
function isSame(facts: Entry, known: Backend): boolean {
  return (
    facts.name === known.name &&
    facts.weight === known.weight &&
    facts.priority === known.priority &&
    facts.zone === known.zone &&
    facts.isEnabled === known.isEnabled &&
    facts.healthPort === known.healthPort &&
    facts.connect === known.connect &&
    formatNetAddress(facts.address) === formatNetAddress(known.address) &&
    isSameRecord(facts.metadata, known.metadata)
  );
}

function isSameRecord(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  if (a === b) return true;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

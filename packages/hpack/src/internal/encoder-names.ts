/**
 * Names as an encoder knows them: those of the static table, made once for all connections, and those that a dynamic table holds.
 *
 * Rules:
 * - Most names on the wire are static ones, and are found without a hash: by length and last character, in an array where nearly each has a place of its own.
 * - The entries of static names never change: what belongs to one connection stands in its table.
 */
import { Indexing } from '../indexing.ts';
import { ENTRY_OVERHEAD, STATIC_NAMES, STATIC_TABLE_LENGTH, STATIC_VALUES } from '../static-table.ts';
import { policyOf, SHORT_COOKIE_LENGTH } from './name-policy.ts';

/** What an encoder knows of a name. */
export class NameEntry {
  readonly name: string;
  /** Index of the name's first entry in the static table; 0 if it is not there. */
  readonly staticIndex: number;
  /** Index of its first entry with a value that is not empty, and behind its last one: the entries of a name stand together. */
  readonly valuesStart: number;
  readonly valuesEnd: number;
  /** What `automatic` means for it; `automatic` again where the table's size decides. */
  readonly policy: Indexing;
  /** Values shorter than this are never indexed. */
  readonly neverBelow: number;
  /** What its entries count beside their values (RFC 7541 §4.1). */
  readonly size: number;
  /** Tells chains of different names apart. */
  readonly salt: number;
  /** Id of its newest entry in the dynamic table. Not kept for a static name, which needs none to be referred to. */
  newestId = 0;
  /** Whether no entry of the dynamic table has it. Not kept for a static name. */
  isForgotten = true;

  constructor(name: string, staticIndex: number, staticEnd: number, salt: number) {
    const policy = staticIndex === 0 ? Indexing.incremental : policyOf(name);
    this.name = name;
    this.staticIndex = staticIndex;
    // An empty value stands alone with its name.
    this.valuesStart = STATIC_VALUES[staticIndex] === '' ? staticEnd : staticIndex;
    this.valuesEnd = staticEnd;
    this.policy = policy === Indexing.incremental ? Indexing.automatic : policy;
    this.neverBelow = name === 'cookie' ? SHORT_COOKIE_LENGTH : 0;
    this.size = name.length + ENTRY_OVERHEAD;
    this.salt = salt;
  }
}

const PLACES = 256;

/** All of the static table. */
const staticNames = new Map<string, NameEntry>();

/** Those of which each has a place of its own by its length and last character: 48 of 52. */
const places = new Array<NameEntry | null>(PLACES).fill(null);

for (let index = 1; index <= STATIC_TABLE_LENGTH; ) {
  const name = STATIC_NAMES[index] as string;
  const end = STATIC_NAMES.lastIndexOf(name) + 1;
  const entry = new NameEntry(name, index, end, index);
  staticNames.set(name, entry);
  // The first one has it: `accept` and `:status`, rather than `expect` and `expires`.
  places[placeOf(name)] ??= entry;
  index = end;
}

/** The entry of a name that nearly all messages have: half of a look-up in a map. @returns null if the name has no place, which says nothing */
export function placedNameOf(name: string): NameEntry | null {
  const entry = places[placeOf(name)] as NameEntry | null;
  return entry?.name === name ? entry : null;
}

/** @returns null if the name is not in the static table */
export function staticNameOf(name: string): NameEntry | null {
  return staticNames.get(name) ?? null;
}

function placeOf(name: string): number {
  const { length } = name;
  return length === 0 ? 0 : (name.charCodeAt(length - 1) + 25 * length) & (PLACES - 1);
}

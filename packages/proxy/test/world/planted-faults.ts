/** Faults that are planted to be found: how they are written down, how the worlds must find them, and those of every world. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AnswerableSession, ProxyHooks } from '@ferrata/proxy';
import fc from 'fast-check';
import type { Breach } from './edge.ts';
import type { LedgerRecord } from './ledger.ts';
import type { Planted } from './proxy-under-test.ts';

/** A fault, the invariants of which at least one must notice it, and the worlds it is planted in. */
export interface PlantedFault<Worlds extends string, Context> {
  readonly invariants: readonly string[];
  readonly worlds: Worlds;
  readonly plant: () => Planted<Context>;
}

export type PlantedFaults<Worlds extends string, Context> = Readonly<Record<string, PlantedFault<Worlds, Context>>>;

/** Hooks in place of, or around, those that keep the books. */
export function hooking<Context>(change: (hooks: ProxyHooks<Context>) => Partial<ProxyHooks<Context>>): Planted<Context> {
  return { hooks: (hooks) => ({ ...hooks, ...change(hooks) }) };
}

/** Faults of the books alone, whatever is spoken. */
export function bookFaults<Context extends LedgerRecord>(): PlantedFaults<'kind' | 'rude', Context> {
  return {
    'logs twice': {
      invariants: ['I12'],
      worlds: 'kind',
      plant: () =>
        hooking((hooks) => ({
          logging: (...args) => {
            hooks.logging?.(...args);
            hooks.logging?.(...args);
          },
        })),
    },
    'does not log what has failed': {
      invariants: ['I12'],
      worlds: 'rude',
      plant: () =>
        hooking((hooks) => ({
          logging: (session, error, record) => (error === null ? hooks.logging?.(session, error, record) : undefined),
        })),
    },
    'leaks a deadline': {
      invariants: ['I13'],
      worlds: 'kind',
      plant: () => ({
        hooks: (hooks, world) => ({
          ...hooks,
          newContext: (session) => {
            world.deadlines.after(36_000_000, () => {});
            return hooks.newContext(session);
          },
        }),
      }),
    },
    'calls a phase after the end': {
      invariants: ['I15'],
      worlds: 'kind',
      plant: () =>
        hooking((hooks) => ({
          logging: (session, error, record) => {
            hooks.logging?.(session, error, record);
            void hooks.upstreamPeer(session as AnswerableSession, record);
          },
        })),
    },
  };
}

/** How worlds look for faults. */
export interface FaultSearch<Worlds extends string, Plan, Context> {
  readonly worlds: Readonly<Record<Worlds, fc.Arbitrary<Plan>>>;
  /** Worlds in which a fault must be found. */
  readonly mostWorlds: number;
  /** Runs one. */
  readonly breachesOf: (plan: Plan, planted: Planted<Context>, worlds: Worlds) => Promise<readonly Breach[]>;
}

/** One test for each fault: the worlds must find it, by one of its invariants. */
export function testFaults<Worlds extends string, Plan, Context>(
  faults: PlantedFaults<Worlds, Context>,
  search: FaultSearch<Worlds, Plan, Context>,
): void {
  for (const [name, { invariants, worlds, plant }] of Object.entries(faults)) {
    test(`${name} breaks ${invariants.join(' or ')}`, async () => {
      for (const plan of fc.sample(search.worlds[worlds], { numRuns: search.mostWorlds, seed: 11 })) {
        const breaches = await search.breachesOf(plan, plant(), worlds);
        if (breaches.some(({ invariant }) => invariants.includes(invariant))) return;
      }
      assert.fail(`not found in ${search.mostWorlds} worlds`);
    });
  }
}

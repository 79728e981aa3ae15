/** Fault plans drawn from a seed. */
import type { Random } from '@ferrata/clock';
import type { Fault, FaultEffect, FaultPlan } from '@ferrata/stream';

/** What `drawFaultPlan` draws from. */
export interface FaultDrawOptions {
  /** The chance that a plan has faults at all, 0 to 1; default 0.5. */
  readonly probability?: number;
  /** Most faults of one plan; default 2. */
  readonly maxFaults?: number;
  /** Offsets lie below this; default 2_000, with a bias to small ones. */
  readonly maxOffset?: number;
  /** Longest delay in milliseconds; default 5_000. */
  readonly maxDelayMs?: number;
  /** Which faults; default those that a network makes: `reset`, `stall`, `end`, `delay`. */
  readonly kinds?: readonly Fault['kind'][];
}

/** A plan for `faulty`. The same state of `random` gives the same plan. */
export function drawFaultPlan(random: Random, options: FaultDrawOptions = {}): FaultPlan {
  const { probability = 0.5, maxFaults = 2, maxOffset = 2_000, maxDelayMs = 5_000, kinds = ['reset', 'stall', 'end', 'delay'] } = options;
  if (random.next() >= probability || kinds.length === 0) return [];
  const plan: Fault[] = [];
  for (let count = 1 + random.below(maxFaults); count > 0; count--) {
    const kind = kinds[random.below(kinds.length)] as Fault['kind'];
    const direction = random.below(2) === 0 ? 'incoming' : 'outgoing';
    // The product of two draws: most faults hit the head of a message, where the states are.
    const at = Math.floor(random.next() * random.next() * maxOffset);
    plan.push({ direction, at, ...drawEffect(random, kind, maxDelayMs) });
  }
  return plan;
}

function drawEffect(random: Random, kind: Fault['kind'], maxDelayMs: number): FaultEffect {
  switch (kind) {
    case 'delay':
      return { kind, ms: random.below(maxDelayMs) };
    case 'truncate':
      return { kind, bytes: 1 + random.below(100) };
    case 'corrupt':
      return { kind, bytes: 1 + random.below(4), mask: 1 + random.below(255) };
    default:
      return { kind };
  }
}

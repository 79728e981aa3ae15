/**
 * I15: the order of the phases of one request, as `ProxyHooks` documents it; each at most once, or once for each attempt; one piece of a body at a
 * time; and nothing but the end after the end.
 */
import type { Phase } from './behaviour-plan.ts';

/** Before anything goes upstream: in this order, each at most once. */
const EARLY: readonly Phase[] = [
  'newContext',
  'onConnectionReuse',
  'earlyRequestFilter',
  'allowSpawningSubrequest',
  'requestFilter',
  'proxyUpstreamFilter',
];

/** What comes back: in this order, each at most once, but for pieces of bodies. */
const LATE: readonly Phase[] = [
  'upstreamResponseFilter',
  'responseFilter',
  'upstreamResponseBodyFilter',
  'upstreamResponseTrailerFilter',
  'responseBodyFilter',
  'responseTrailerFilter',
];

/** What may follow a failure. */
const ENDING: ReadonlySet<Phase> = new Set<Phase>([
  'failToProxy',
  'suppressErrorLog',
  'requestSummary',
  'logging',
  'persistConnectionContext',
]);

/** Each at most once in a request. */
const ONCE: ReadonlySet<Phase> = new Set<Phase>([
  ...EARLY,
  'upstreamResponseFilter',
  'responseFilter',
  'upstreamResponseTrailerFilter',
  'responseTrailerFilter',
  ...ENDING,
]);

/** Of each try: two may be under way side by side, and one that was given up may still be waited for. */
const TRIES: ReadonlySet<Phase> = new Set<Phase>([
  'upstreamPeer',
  'failToConnect',
  'connectedToUpstream',
  'upstreamRequestFilter',
  'adjustUpstreamModules',
]);

const BODIES: ReadonlySet<Phase> = new Set<Phase>(['requestBodyFilter', 'upstreamResponseBodyFilter', 'responseBodyFilter']);

/** The phases of one request, in the order in which they were called. */
export class PhaseOrder {
  readonly #counts = new Map<Phase, number>();
  readonly #pending = new Set<Phase>();
  readonly #ended = new Set<Phase>();
  #last: Phase = 'newContext';
  #early = -1;
  #failed = false;

  count(phase: Phase): number {
    return this.#counts.get(phase) ?? 0;
  }

  /**
   * A phase begins.
   *
   * @param isLastPiece of a body
   * @param attempt how often a peer was asked for, as the session says
   * @returns what is wrong with it, or null
   */
  enter(phase: Phase, isLastPiece: boolean, attempt: number): string | null {
    const before = this.#last;
    const count = this.count(phase) + 1;
    this.#counts.set(phase, count);
    this.#last = phase;
    const problem = this.#problemOf(phase, count, attempt);
    if (BODIES.has(phase) && isLastPiece) this.#ended.add(phase);
    if (phase === 'failToProxy' || phase === 'suppressErrorLog') this.#failed = true;
    return problem === null ? null : `${phase} ${problem}, behind ${before}`;
  }

  /** A phase has given a promise, which is waited for. */
  wait(phase: Phase): void {
    this.#pending.add(phase);
  }

  settle(phase: Phase): void {
    this.#pending.delete(phase);
  }

  #problemOf(phase: Phase, count: number, attempt: number): string | null {
    if (this.count('logging') > 0 && phase !== 'logging' && phase !== 'persistConnectionContext') return 'after the end';
    if (phase === 'persistConnectionContext' && this.count('logging') !== 1) return 'before the end';
    if (this.#failed && !ENDING.has(phase)) return 'after the failure';
    if (ONCE.has(phase) && count > 1) return 'twice';
    if (this.#pending.has(phase) && !TRIES.has(phase)) return 'while it is still waited for';
    if (this.#ended.has(phase)) return 'after the end of the body';
    const early = EARLY.indexOf(phase);
    if (early >= 0) return this.#earlyProblem(early);
    const late = LATE.indexOf(phase);
    if (late >= 0) return this.#lateProblem(phase, late);
    return this.#upstreamProblem(phase, count, attempt);
  }

  #earlyProblem(early: number): string | null {
    if (this.count('upstreamPeer') > 0) return 'after a peer was asked for';
    if (early <= this.#early) return `after ${EARLY[this.#early]}`;
    this.#early = early;
    return [...this.#pending].some((phase) => EARLY.includes(phase)) ? `while ${[...this.#pending].join()} is waited for` : null;
  }

  #upstreamProblem(phase: Phase, count: number, attempt: number): string | null {
    const tries = this.count('upstreamPeer');
    switch (phase) {
      case 'upstreamPeer':
        return attempt === count ? null : `for the ${count}. time in attempt ${attempt}`;
      case 'failToConnect':
      case 'connectedToUpstream':
      case 'upstreamRequestFilter':
      case 'adjustUpstreamModules':
      case 'errorWhileProxy':
        return count > tries ? `for the ${count}. time in ${tries} tries` : null;
      case 'requestBodyFilter':
        return this.count('newContext') === 0 ? 'before the beginning' : null;
      default:
        return null;
    }
  }

  #lateProblem(phase: Phase, late: number): string | null {
    if (this.count('upstreamPeer') === 0) return 'before a peer was asked for';
    for (const later of LATE.slice(late + 1)) {
      // Pieces of a body go through all stages before the next one comes.
      if (!BODIES.has(phase) && this.count(later) > 0 && !(phase === 'upstreamResponseTrailerFilter' && later === 'responseBodyFilter'))
        return `after ${later}`;
    }
    for (const head of ['upstreamResponseFilter', 'responseFilter'] as const)
      if (head !== phase && this.#pending.has(head)) return `while ${head} is waited for`;
    if (phase === 'responseTrailerFilter' && this.count('responseBodyFilter') > 0 && !this.#ended.has('responseBodyFilter'))
      return 'before the end of the body';
    return null;
  }
}

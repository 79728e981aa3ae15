/** Hooks that fail, each in each way, and what becomes of their requests: M5 of the fault list. */
import type { Outcome, ProxyHooks } from '@ferrata/proxy';
import type { Cell } from './ends.ts';

export type HookName = keyof ProxyHooks<object>;

/** How a hook fails; each gives what it gives in place of a good answer. */
export const WAYS = {
  throws: () => {
    throw new Error('boom');
  },
  rejects: () => Promise.reject(new Error('boom')),
  hangs: () => new Promise(() => {}),
  'returns garbage': () => 'garbage',
  'returns a promise of garbage': async () => 42,
} as const satisfies Readonly<Record<string, () => unknown>>;

export type Way = keyof typeof WAYS;

const ALL = Object.keys(WAYS) as Way[];
/** Nobody looks at what it gives. */
const WITHOUT_RESULT: readonly Way[] = ['throws', 'rejects', 'hangs'];
/** Nobody waits for it: a promise is garbage. */
const SYNCHRONOUS: readonly Way[] = ['throws', 'rejects', 'hangs', 'returns a promise of garbage'];

/** What is known of a hook. */
export interface HookFacts {
  readonly ways: readonly Way[];
  /** A promise is garbage. */
  readonly isSync?: true;
  /** The response has begun when it is called. */
  readonly hasResponded?: true;
  /** What it gives when all is well. Default: nothing. */
  readonly gives?: unknown;
  /** What must go wrong, or be there, for it to be called. */
  readonly needs?: 'no connection' | 'a reset' | 'a failure' | 'upstream modules' | 'a request before it';
  /** HTTP/2 does not have it: its requests share their connection, and leave nothing to each other. */
  readonly isHttp1Only?: true;
}

/** What `persistConnectionContext` leaves when all is well. */
export const LEFT = 'left by the request before';

/** Every hook that there is: one that is missing here does not compile. */
export const HOOKS: Readonly<Record<HookName, HookFacts>> = {
  newContext: { ways: SYNCHRONOUS, isSync: true, gives: {} },
  onConnectionReuse: { ways: SYNCHRONOUS, isSync: true, isHttp1Only: true, needs: 'a request before it' },
  earlyRequestFilter: { ways: WITHOUT_RESULT },
  allowSpawningSubrequest: { ways: ALL, isSync: true, gives: false },
  requestFilter: { ways: ALL, gives: false },
  proxyUpstreamFilter: { ways: ALL, gives: true },
  upstreamPeer: { ways: ALL },
  failToConnect: { ways: WITHOUT_RESULT, needs: 'no connection' },
  connectedToUpstream: { ways: WITHOUT_RESULT },
  upstreamRequestFilter: { ways: WITHOUT_RESULT },
  requestBodyFilter: { ways: ALL, gives: null },
  errorWhileProxy: { ways: SYNCHRONOUS, isSync: true, needs: 'a reset' },
  adjustUpstreamModules: { ways: WITHOUT_RESULT, needs: 'upstream modules' },
  upstreamResponseFilter: { ways: WITHOUT_RESULT },
  upstreamResponseBodyFilter: { ways: ALL, gives: null, hasResponded: true },
  upstreamResponseTrailerFilter: { ways: SYNCHRONOUS, isSync: true, hasResponded: true },
  responseFilter: { ways: WITHOUT_RESULT },
  responseBodyFilter: { ways: ALL, gives: null, hasResponded: true },
  responseTrailerFilter: { ways: ALL, gives: null, hasResponded: true },
  failToProxy: { ways: WITHOUT_RESULT, needs: 'a failure' },
  suppressErrorLog: { ways: ['throws', 'returns garbage'], isSync: true, gives: false, needs: 'a failure' },
  requestSummary: { ways: ['throws'], isSync: true, gives: 'a request', needs: 'a failure' },
  logging: { ways: WITHOUT_RESULT },
  persistConnectionContext: { ways: SYNCHRONOUS, isSync: true, isHttp1Only: true, gives: LEFT },
};

/** What the rules say. */
export interface Expected {
  readonly status: number;
  readonly isCut: boolean;
  /** Null: there is no context to log with. */
  readonly log: { readonly outcome: Outcome; readonly reason: string } | null;
  /** How often `failToProxy` is called. */
  readonly failures: number;
  /** It is told to `onHookFailed`, as the request has its end already. */
  readonly isTold: boolean;
}

/** A hook that fails in one way, in one cell. */
export interface HookCase {
  readonly name: string;
  readonly target: string;
  readonly cell: Cell;
  readonly hook: HookName;
  readonly facts: HookFacts;
  readonly way: Way;
}

/** A hook that fails ends its own request, once; those of the end can only be told of. */
export function expectedOf({ cell, hook, facts, way }: HookCase): Expected {
  const failed = { outcome: 'failed', reason: 'HOOK_THREW' } as const;
  const served = { status: 200, isCut: false, log: { outcome: 'completed', reason: '' }, failures: 0, isTold: false } as const;
  if (facts.isHttp1Only === true && cell.down.protocol === 'http2') return served;
  switch (hook) {
    case 'newContext':
      return { status: 500, isCut: false, log: null, failures: 0, isTold: false };
    case 'logging':
      return { ...served, isTold: way !== 'hangs' };
    case 'persistConnectionContext':
      // Nobody waits for it: a promise is garbage, whatever becomes of it.
      return { ...served, isTold: true };
    case 'failToProxy':
    case 'suppressErrorLog':
    case 'requestSummary':
      return { status: 500, isCut: false, log: failed, failures: 1, isTold: true };
    default: {
      const isCut = facts.hasResponded === true;
      return { status: isCut ? 200 : 500, isCut, log: { outcome: 'failed', reason: reasonOf(facts, way) }, failures: 1, isTold: false };
    }
  }
}

function reasonOf({ isSync }: HookFacts, way: Way): string {
  if (way === 'throws') return 'HOOK_THREW';
  if (isSync === true) return 'HOOK_RETURNED_GARBAGE';
  return way === 'rejects' ? 'HOOK_REJECTED' : way === 'hangs' ? 'HOOK_TIMEOUT' : 'HOOK_RETURNED_GARBAGE';
}

/** Cases that run side by side: those of one way to fail, with upstream modules and without. */
export function hookBatches(cell: Cell): HookCase[][] {
  const batches = ALL.flatMap((way) => [true, false].map((hasModules) => casesOf(cell, way, hasModules)));
  return batches.filter((cases) => cases.length > 0);
}

function casesOf(cell: Cell, way: Way, hasModules: boolean): HookCase[] {
  return Object.entries(HOOKS)
    .filter(([, { ways, needs }]) => ways.includes(way) && (needs === 'upstream modules') === hasModules)
    .map(([hook, facts]) => ({ name: `${cell.name}: ${hook} ${way}`, target: `/${hook}`, cell, hook: hook as HookName, facts, way }));
}

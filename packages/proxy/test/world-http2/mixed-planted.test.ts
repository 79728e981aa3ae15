/** Each invariant of the mixed worlds can fail: a fault is planted into the proxy or at its edges, and the worlds must find it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ProxyHooks } from '@ferrata/proxy';
import fc from 'fast-check';
import { LyingStream } from '../world/planted.ts';
import { kindMixedBreachesOf, mixedBreachesOf } from './mixed-invariants.ts';
import { kindMixedWorlds, type MixedPlan, rudeMixedWorlds, stalledMixedWorlds } from './mixed-plan.ts';
import { MAX_HELD_BYTES, type MixedPlanted, type MixedRecord, runMixedWorld } from './mixed-world.ts';

type Hooks = ProxyHooks<MixedRecord>;

/** A fault, the invariants of which at least one must notice it, and the worlds it is planted in. */
interface PlantedFault {
  readonly invariants: readonly string[];
  readonly worlds: 'kind' | 'rude' | 'stalled';
  readonly plant: () => MixedPlanted;
}

/** Hooks in place of, or around, those that keep the books. */
const hooking = (change: (hooks: Hooks) => Partial<Hooks>): MixedPlanted => ({ hooks: (hooks) => ({ ...hooks, ...change(hooks) }) });

/** A stream that goes on reading whatever it is told. */
class Unstoppable extends LyingStream {
  override pause(): void {}
}

const flipped = (chunk: Uint8Array): Uint8Array => chunk.map((byte, i) => (i === chunk.length - 1 ? byte ^ 1 : byte));

const FAULTS: Readonly<Record<string, PlantedFault>> = {
  'changes a byte of an answer': {
    invariants: ['I1', 'I7'],
    worlds: 'kind',
    plant: () => hooking(() => ({ responseBodyFilter: (_session, chunk) => (chunk === null ? chunk : flipped(chunk)) })),
  },
  'changes a byte of a request': {
    invariants: ['I1'],
    worlds: 'kind',
    plant: () => hooking(() => ({ requestBodyFilter: (_session, chunk) => (chunk === null ? chunk : flipped(chunk)) })),
  },
  'loses the end of an answer without a length': {
    invariants: ['I1'],
    worlds: 'kind',
    plant: () =>
      hooking(() => ({ responseBodyFilter: (_session, chunk) => (chunk === null ? chunk : chunk.subarray(0, chunk.length - 1)) })),
  },
  'asks for something else': {
    invariants: ['I5'],
    worlds: 'kind',
    plant: () =>
      hooking(() => ({
        upstreamRequestFilter: (_session, request) => void (request.target = `${request.target}&more`),
      })),
  },
  'gives answers to the wrong requests': {
    invariants: ['I7'],
    worlds: 'kind',
    plant: () => {
      let before = '';
      return hooking(() => ({
        responseFilter: (_session, response) => {
          const own = response.headers.get('x-token') ?? '';
          if (before !== '') response.headers.set('X-Token', before);
          before = own;
        },
      }));
    },
  },
  'loses a field': {
    invariants: ['I22'],
    worlds: 'kind',
    plant: () => hooking(() => ({ responseFilter: (_session, response) => void response.headers.delete('x-latin') })),
  },
  'lets a hop-by-hop field cross': {
    invariants: ['I22'],
    worlds: 'kind',
    plant: () =>
      hooking(() => ({ upstreamRequestFilter: (_session, request) => void request.headers.append('Proxy-Authorization', 'Basic eA==') })),
  },
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
  'does not let go of a connection': {
    invariants: ['I13'],
    worlds: 'rude',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { ignoresAbort: true }) }),
  },
  'calls a phase after the end': {
    invariants: ['I15'],
    worlds: 'kind',
    plant: () =>
      hooking((hooks) => ({
        logging: (session, error, record) => {
          hooks.logging?.(session, error, record);
          void hooks.upstreamPeer(session, record);
        },
      })),
  },
  'goes on reading from an origin for a stream that nobody reads': {
    invariants: ['I16'],
    worlds: 'stalled',
    plant: () => ({ originSide: (stream) => new Unstoppable(stream, {}) }),
  },
  'forgets that a stream has room again': {
    invariants: ['I19'],
    worlds: 'kind',
    plant: () => ({ clientSide: (stream) => new LyingStream(stream, { hidesDrain: true }) }),
  },
  'forgets a request among others': {
    invariants: ['I19'],
    worlds: 'kind',
    plant: () => {
      let count = 0;
      return hooking(() => ({ requestFilter: () => (++count === 3 ? new Promise(() => {}) : false) }));
    },
  },
};

const WORLDS: Readonly<Record<PlantedFault['worlds'], fc.Arbitrary<MixedPlan>>> = {
  kind: kindMixedWorlds,
  rude: rudeMixedWorlds,
  stalled: stalledMixedWorlds,
};

/** Worlds in which a fault must be found. */
const MOST_WORLDS = 100;

describe('a proxy between both versions of HTTP that', () => {
  for (const [name, { invariants, worlds, plant }] of Object.entries(FAULTS)) {
    test(`${name} breaks ${invariants.join(' or ')}`, async () => {
      for (const plan of fc.sample(WORLDS[worlds], { numRuns: MOST_WORLDS, seed: 11 })) {
        const report = await runMixedWorld(plan, plant());
        const breaches = worlds === 'kind' ? kindMixedBreachesOf(report) : mixedBreachesOf(report);
        if (worlds === 'stalled' && report.heldBytes > MAX_HELD_BYTES)
          breaches.push({ invariant: 'I16', what: `${report.heldBytes} bytes` });
        if (breaches.some(({ invariant }) => invariants.includes(invariant))) return;
      }
      assert.fail(`not found in ${MOST_WORLDS} worlds`);
    });
  }
});

/** Each invariant of the mixed worlds can fail: a fault is planted into the proxy or at its edges, and the worlds must find it. */
import { describe } from 'node:test';
import type fc from 'fast-check';
import type { LedgerRecord } from '../world/ledger.ts';
import { LyingStream } from '../world/planted.ts';
import { bookFaults, hooking, type PlantedFaults, testFaults } from '../world/planted-faults.ts';
import { kindMixedBreachesOf, mixedBreachesOf } from './mixed-invariants.ts';
import { kindMixedWorlds, type MixedPlan, rudeMixedWorlds, stalledMixedWorlds } from './mixed-plan.ts';
import { MAX_HELD_BYTES, runMixedWorld } from './mixed-world.ts';

type Worlds = 'kind' | 'rude' | 'stalled';

/** A stream that goes on reading whatever it is told. */
class Unstoppable extends LyingStream {
  override pause(): void {}
}

const flipped = (chunk: Uint8Array): Uint8Array => chunk.map((byte, i) => (i === chunk.length - 1 ? byte ^ 1 : byte));

const FAULTS: PlantedFaults<Worlds, LedgerRecord> = {
  ...bookFaults<LedgerRecord>(),
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
  'does not let go of a connection': {
    invariants: ['I13'],
    worlds: 'rude',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { ignoresAbort: true }) }),
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

const WORLDS: Readonly<Record<Worlds, fc.Arbitrary<MixedPlan>>> = {
  kind: kindMixedWorlds,
  rude: rudeMixedWorlds,
  stalled: stalledMixedWorlds,
};

describe('a proxy between both versions of HTTP that', () => {
  testFaults(FAULTS, {
    worlds: WORLDS,
    mostWorlds: 100,
    breachesOf: async (plan, planted, worlds) => {
      const report = await runMixedWorld(plan, planted);
      if (worlds === 'kind') return kindMixedBreachesOf(report);
      const breaches = mixedBreachesOf(report);
      if (worlds === 'stalled' && report.heldBytes > MAX_HELD_BYTES) breaches.push({ invariant: 'I16', what: `${report.heldBytes} bytes` });
      return breaches;
    },
  });
});

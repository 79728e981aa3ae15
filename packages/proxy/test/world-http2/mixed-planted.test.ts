/** Each invariant of the mixed worlds can fail: a fault is planted into the proxy or at its edges, and the worlds must find it. */
import { describe } from 'node:test';
import type { L4Sink } from '@ferrata/stream';
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

/** A stream that says much before anything was asked. */
class Talkative extends LyingStream {
  override attach(sink: L4Sink, head?: Uint8Array): void {
    super.attach(sink, head);
    if (head === undefined) super.write(new Uint8Array(4_000));
  }
}

/** SETTINGS with large windows, and a WINDOW_UPDATE of the connection: what the peer has never said. */
const LARGE_WINDOWS = Uint8Array.from([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0xf, 0xff, 0xff, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0xf, 0xff, 0xff]);

/** SETTINGS that allow a thousand streams. */
const MANY_STREAMS = Uint8Array.from([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 3, 0xe8]);

/** Bytes in front of the first that come, or behind the first piece that ends with a frame of SETTINGS. */
function forging(bytes: Uint8Array): (chunk: Uint8Array) => Uint8Array {
  let isFirst = true;
  return (chunk) => {
    if (!isFirst) return chunk;
    isFirst = false;
    return Uint8Array.from(Buffer.concat([bytes, chunk]));
  };
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
  'does not see that a connection has closed': {
    invariants: ['I12'],
    worlds: 'kind',
    plant: () => ({ clientSide: (stream) => new LyingStream(stream, { hidesClose: true }) }),
  },
  'tries more often than it may': {
    invariants: ['I14'],
    worlds: 'rude',
    plant: () => ({ options: (options) => ({ ...options, maxRetries: 6 }) }),
  },
  'sends what is not idempotent again': {
    invariants: ['I14'],
    worlds: 'rude',
    plant: () => ({ options: (options) => ({ ...options, parts: { mayRetry: () => true } }) }),
  },
  'arms deadlines without measure': {
    invariants: ['I16'],
    worlds: 'kind',
    plant: () => ({
      hooks: (hooks, world) => ({
        ...hooks,
        newContext: (session) => {
          for (let i = 0; i < 100; i++) world.deadlines.after(50, () => {});
          return hooks.newContext(session);
        },
      }),
    }),
  },
  'sends more than a window holds': {
    invariants: ['I17'],
    worlds: 'stalled',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { incoming: forging(LARGE_WINDOWS) }) }),
  },
  'opens more streams than it may': {
    invariants: ['I17'],
    worlds: 'rude',
    plant: () => ({
      originSide: (stream) => {
        // Behind what the origin has said itself, when it is next heard of.
        let count = 0;
        return new LyingStream(stream, {
          incoming: (chunk) => (++count === 2 ? Uint8Array.from(Buffer.concat([MANY_STREAMS, chunk])) : chunk),
        });
      },
    }),
  },
  'says much to those who have asked for nothing': {
    invariants: ['I18'],
    worlds: 'rude',
    plant: () => ({ clientSide: (stream) => new Talkative(stream, {}) }),
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

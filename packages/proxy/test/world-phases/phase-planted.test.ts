/** Each invariant of the worlds with hooks can fail: a fault is planted into the proxy, and the worlds must find it. */
import { describe } from 'node:test';
import type { HttpModule, HttpModuleKind } from '@ferrata/http-modules';
import { openConnection, type ProxyHooks } from '@ferrata/proxy';
import type { StreamInfo } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';
import fc from 'fast-check';
import type { LedgerRecord } from '../world/ledger.ts';
import { PLAIN_ANSWER, PLAIN_CLIENT, PLAIN_REQUEST, PLAIN_WORLD } from '../world/plan.ts';
import { LyingStream } from '../world/planted.ts';
import { hooking, type PlantedFaults, testFaults } from '../world/planted-faults.ts';
import { kindPhaseWorlds, type PhasePlan, PLAIN_BEHAVIOUR, rudePhaseWorlds } from './behaviour-plan.ts';
import { kindPhaseBreachesOf, phaseBreachesOf } from './phase-invariants.ts';
import { runPhaseWorld } from './phase-world.ts';

type Worlds = 'kind' | 'rude' | 'storm' | 'reuse';
type Hooks = ProxyHooks<LedgerRecord>;

/** The same kinds, with another way to end. */
function closing(kinds: readonly HttpModuleKind[] | undefined, close: (module: HttpModule) => void): readonly HttpModuleKind[] {
  return (kinds ?? []).map((kind) => ({
    ...kind,
    create: (exchange) => {
      const module = kind.create(exchange);
      if (module === null) return null;
      const told = Object.create(module) as HttpModule & { close: () => void };
      told.close = () => close(module);
      return told;
    },
  }));
}

/** Calls a hook once more than it should. */
function twice(
  phase: 'responseFilter' | 'requestFilter' | 'upstreamResponseFilter' | 'earlyRequestFilter' | 'failToProxy',
): ReturnType<typeof hooking<LedgerRecord>> {
  return hooking<LedgerRecord>((hooks) => {
    const hook = hooks[phase] as ((...args: readonly unknown[]) => unknown) | undefined;
    if (hook === undefined) return {};
    const repeated = (...args: readonly unknown[]): unknown => {
      void hook(...args);
      return hook(...args);
    };
    return { [phase]: repeated };
  });
}

const FAULTS: PlantedFaults<Worlds, LedgerRecord> = {
  'hands what one connection has left to another': {
    invariants: ['I7'],
    worlds: 'reuse',
    plant: () => {
      let first: unknown;
      return hooking((hooks) =>
        hooks.onConnectionReuse === undefined
          ? {}
          : {
              onConnectionReuse: (session, record, previous) => {
                first ??= previous;
                hooks.onConnectionReuse?.(session, record, first);
              },
            },
      );
    },
  },
  'shares connections of different identities': {
    invariants: ['I8'],
    worlds: 'kind',
    plant: () => ({
      options: (options) => ({
        ...options,
        parts: {
          openConnection: (core, wanted, on) =>
            openConnection(
              core,
              { ...wanted, peer: peer({ host: 'first', port: 80 }, { group: 'everybody', protocol: wanted.peer.protocol }) },
              on,
            ),
        },
      }),
    }),
  },
  'uses a connection that has ended': {
    invariants: ['I8'],
    worlds: 'rude',
    plant: () => {
      let first: StreamInfo | null = null;
      return hooking((hooks) => ({
        connectedToUpstream: (session, connection, record) => {
          first ??= connection.info;
          return hooks.connectedToUpstream?.(session, { ...connection, info: first, isReused: first !== connection.info }, record);
        },
      }));
    },
  },
  'does not tell that a connection has ended': {
    invariants: ['I12'],
    worlds: 'kind',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { hidesClose: true }) }),
  },
  'forgets to close modules': {
    invariants: ['I13'],
    worlds: 'kind',
    plant: () => ({ options: (options) => ({ ...options, modules: closing(options.modules, () => {}) }) }),
  },
  'closes modules twice': {
    invariants: ['I13'],
    worlds: 'kind',
    plant: () => ({
      options: (options) => ({
        ...options,
        upstreamModules: closing(options.upstreamModules, (module) => {
          module.close?.();
          module.close?.();
        }),
      }),
    }),
  },
  'retries beyond its budget': {
    invariants: ['I14'],
    worlds: 'storm',
    plant: () => ({ options: (options) => ({ ...options, retryShare: 1 }) }),
  },
  'calls responseFilter twice': { invariants: ['I15'], worlds: 'kind', plant: () => twice('responseFilter') },
  'calls requestFilter twice': { invariants: ['I15'], worlds: 'kind', plant: () => twice('requestFilter') },
  'calls earlyRequestFilter twice': { invariants: ['I15'], worlds: 'kind', plant: () => twice('earlyRequestFilter') },
  'calls failToProxy twice': { invariants: ['I15'], worlds: 'rude', plant: () => twice('failToProxy') },
  'filters the request after the response': {
    invariants: ['I15'],
    worlds: 'kind',
    plant: () =>
      hooking((hooks) => ({
        responseFilter: (session, response, record) => {
          void hooks.earlyRequestFilter?.(session as Parameters<NonNullable<Hooks['earlyRequestFilter']>>[0], record);
          return hooks.responseFilter?.(session, response, record);
        },
      })),
  },
  'gives a filter a piece behind the last one': {
    invariants: ['I15'],
    worlds: 'kind',
    plant: () =>
      hooking((hooks) => {
        const filter = hooks.responseBodyFilter;
        if (filter === undefined) return {};
        return {
          responseBodyFilter: (session, chunk, record) => {
            const piece = filter(session, chunk, record);
            if (chunk === null) void filter(session, new Uint8Array(1), record);
            return piece;
          },
        };
      }),
  },
  'calls hooks after the failure': {
    invariants: ['I15'],
    worlds: 'rude',
    plant: () =>
      hooking((hooks) => ({
        failToProxy: (session, error, record) => {
          const answer = hooks.failToProxy?.(session, error, record);
          void hooks.upstreamPeer(session, record);
          return answer;
        },
      })),
  },
  'does not keep the time of a request': {
    invariants: ['I19'],
    worlds: 'rude',
    plant: () => ({
      options: ({ requestTimeoutMs = Number.POSITIVE_INFINITY, ...options }) => ({ ...options, requestTimeoutMs: requestTimeoutMs * 4 }),
    }),
  },
  'sends another path than filters have seen': {
    invariants: ['I22'],
    worlds: 'kind',
    plant: () => ({
      ...hooking<LedgerRecord>((hooks) => ({
        upstreamRequestFilter: (session, request, record) => {
          request.target = request.target.replace('/way/', '/other/../way/');
          return hooks.upstreamRequestFilter?.(session, request, record);
        },
      })),
    }),
  },
};

/** Many requests at once, all of which are lost at first. */
const stormWorlds: fc.Arbitrary<PhasePlan> = fc.nat().map((seed) => ({
  ...PLAIN_WORLD,
  seed,
  clients: [
    {
      ...PLAIN_CLIENT,
      isPipelining: true,
      ending: 'stay',
      requests: Array.from({ length: 7 }, () => ({
        ...PLAIN_REQUEST,
        answers: [
          { ...PLAIN_ANSWER, delayMs: 200, fault: { kind: 'reset' as const, at: 0 } },
          { ...PLAIN_ANSWER, delayMs: 200 },
        ],
      })),
    },
  ],
  clientProtocols: ['http2'],
  originProtocols: ['http1', 'http1'],
  maxStreams: 100,
  maxConnections: 4,
  drainAtMs: -1,
  stalls: 'none',
  behaviour: PLAIN_BEHAVIOUR,
}));

/** Two connections of HTTP/1, each with several requests that leave something for the next. */
const reuseWorlds: fc.Arbitrary<PhasePlan> = stormWorlds.map((plan) => ({
  ...plan,
  clients: [1, 2].map(() => ({ ...PLAIN_CLIENT, requests: [PLAIN_REQUEST, PLAIN_REQUEST, PLAIN_REQUEST] })),
  clientProtocols: ['http1', 'http1'],
  behaviour: { ...PLAIN_BEHAVIOUR, manners: { ...PLAIN_BEHAVIOUR.manners, onConnectionReuse: 'sync', persistConnectionContext: 'sync' } },
}));

const WORLDS: Readonly<Record<Worlds, fc.Arbitrary<PhasePlan>>> = {
  kind: kindPhaseWorlds,
  rude: rudePhaseWorlds,
  storm: stormWorlds,
  reuse: reuseWorlds,
};

describe('a proxy with hooks that', () => {
  testFaults(FAULTS, {
    worlds: WORLDS,
    mostWorlds: 150,
    breachesOf: async (plan, planted, worlds) => {
      const report = await runPhaseWorld(plan, planted);
      return worlds === 'kind' ? kindPhaseBreachesOf(report) : phaseBreachesOf(report);
    },
  });
});

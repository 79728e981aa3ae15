/** Worlds in which both versions of HTTP meet at the proxy: the plans of HTTP/1 worlds, and who speaks what. */
import fc from 'fast-check';
import {
  kindWorlds,
  PLAIN_ANSWER,
  PLAIN_CLIENT,
  PLAIN_REQUEST,
  PLAIN_WORLD,
  type RequestPlan,
  rudeWorlds,
  type WorldPlan,
} from '../world/plan.ts';

export type Protocol = 'http1' | 'http2';

/** One world. */
export interface MixedPlan extends WorldPlan {
  /** Of each client, in turn. */
  readonly clientProtocols: readonly Protocol[];
  /** Of the first and of the second origin. */
  readonly originProtocols: readonly [Protocol, Protocol];
  /** What an origin of HTTP/2 lets be open at once, and how many connections it may get. */
  readonly maxStreams: number;
  readonly maxConnections: number;
  /** When the server begins to drain; −1: never. */
  readonly drainAtMs: number;
  /** Which body of the first request nobody reads. */
  readonly stalls: 'none' | 'download' | 'upload';
}

const protocols = fc.constantFrom<Protocol>('http2', 'http2', 'http1');

/** Requests of one client at most: tokens are dealt out by the eight. */
const MAX_REQUESTS = 7;

function mixed(worlds: fc.Arbitrary<WorldPlan>, drains: fc.Arbitrary<number>): fc.Arbitrary<MixedPlan> {
  return fc
    .record({
      world: worlds,
      // More for each client: streams are cheap, and it takes some to fill a connection.
      more: worlds,
      clientProtocols: fc.array(protocols, { minLength: 3, maxLength: 3 }),
      originProtocols: fc.tuple(protocols, protocols),
      maxStreams: fc.constantFrom(1, 2, 100),
      maxConnections: fc.constantFrom(1, 4),
      drainAtMs: drains,
    })
    .filter(({ clientProtocols, originProtocols }) => clientProtocols[0] === 'http2' || originProtocols.includes('http2'))
    .map(({ world, more, ...rest }) => {
      const clients = world.clients.map((client, i) => ({
        ...client,
        isPipelining: client.isPipelining || (rest.clientProtocols[i] === 'http2' && i % 2 === 0),
        requests: [...client.requests, ...(more.clients[i]?.requests ?? [])].slice(0, MAX_REQUESTS),
      }));
      return { ...world, ...rest, clients, stalls: 'none' };
    });
}

/** Worlds in which anything may go wrong. */
export const rudeMixedWorlds: fc.Arbitrary<MixedPlan> = mixed(
  rudeWorlds,
  fc.oneof({ weight: 4, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 2_000 }) }),
);

/** Worlds in which everybody keeps to the rules: all that is asked must be answered whole. */
export const kindMixedWorlds: fc.Arbitrary<MixedPlan> = mixed(kindWorlds, fc.constant(-1)).map((plan) => {
  if (plan.maxStreams === 100) return plan;
  // Who lets in hardly anything and leaves after each answer may refuse the same request more often than it is tried again.
  const stays = (request: RequestPlan): RequestPlan => ({
    ...request,
    answers: request.answers.map((answer) => ({ ...answer, after: 'keep' })),
  });
  return { ...plan, clients: plan.clients.map((client) => ({ ...client, requests: client.requests.map(stays) })) };
});

/**
 * One client with several large bodies at once, the first of which nobody reads for an hour: what the proxy holds must not grow, and the others
 * must not wait for it.
 */
export const stalledMixedWorlds: fc.Arbitrary<MixedPlan> = fc
  .record({
    seed: fc.nat(),
    isUpload: fc.boolean(),
    origin: fc.constantFrom<Protocol>('http1', 'http2'),
    framing: fc.constantFrom<'length' | 'chunked'>('length', 'chunked'),
    bodyLength: fc.integer({ min: 300_000, max: 500_000 }),
    highWaterBytes: fc.constantFrom(65_536, 16_384),
  })
  // An origin of HTTP/1 that reads nothing is a matter of the other worlds.
  .map(({ seed, isUpload, origin: drawn, framing, bodyLength, highWaterBytes }) => {
    const origin = isUpload ? 'http2' : drawn;
    const answer = { ...PLAIN_ANSWER, framing, bodyLength: isUpload ? 10 : bodyLength };
    const request = { ...PLAIN_REQUEST, method: 'PUT', framing: isUpload ? framing : ('none' as const), bodyLength, answers: [answer] };
    const small = { ...PLAIN_REQUEST, answers: [{ ...PLAIN_ANSWER, bodyLength: 2_000 }] };
    return {
      ...PLAIN_WORLD,
      seed,
      highWaterBytes,
      originReading: null,
      clients: [{ ...PLAIN_CLIENT, isPipelining: true, ending: 'stay' as const, requests: [request, small, small, small] }],
      stalls: isUpload ? ('upload' as const) : ('download' as const),
      clientProtocols: ['http2' as const],
      originProtocols: [origin, origin] as const,
      maxStreams: 100,
      maxConnections: 4,
      drainAtMs: -1,
    };
  });

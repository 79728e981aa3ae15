/** Tunnels through the proxy, as plain data: WebSocket and CONNECT, between clients and origins of either version of HTTP. */
import fc from 'fast-check';
import type { Protocol } from '../world-http2/mixed-plan.ts';

/** One tunnel, from the wish to its end. */
export interface TunnelPlan {
  readonly wish: 'websocket' | 'connect';
  /** What the origin says to the wish: yes; no; nothing; yes with a wrong key, which only a WebSocket over HTTP/1 has; it leaves. */
  readonly answer: 'grant' | 'refuse' | 'silence' | 'wrongKey' | 'leave';
  readonly delayMs: number;
  readonly upBytes: number;
  readonly downBytes: number;
  /** Bytes of one write; 0: all at once. */
  readonly pieceBytes: number;
  readonly pauseMs: number;
  /** Who ends the tunnel, and how, when it has sent all: the other side follows. */
  readonly ending: 'client' | 'origin' | 'clientReset' | 'originReset';
}

/** One world. */
export interface TunnelWorldPlan {
  readonly seed: number;
  readonly faultProbability: number;
  readonly highWaterBytes: number;
  readonly client: Protocol;
  readonly origin: Protocol;
  readonly tunnels: readonly TunnelPlan[];
}

const sizes = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 300, max: 90_000 }) },
);

function tunnels(isRude: boolean): fc.Arbitrary<TunnelPlan> {
  return fc.record({
    wish: fc.constantFrom<TunnelPlan['wish']>('websocket', 'connect'),
    answer: isRude
      ? fc.constantFrom<TunnelPlan['answer']>('grant', 'grant', 'grant', 'refuse', 'silence', 'wrongKey', 'leave')
      : fc.constant('grant' as const),
    delayMs: fc.integer({ min: 0, max: 100 }),
    upBytes: sizes,
    downBytes: sizes,
    pieceBytes: fc.constantFrom(0, 0, 1, 97, 4_000),
    pauseMs: fc.integer({ min: 0, max: 10 }),
    ending: isRude
      ? fc.constantFrom<TunnelPlan['ending']>('client', 'origin', 'clientReset', 'originReset')
      : fc.constantFrom<TunnelPlan['ending']>('client', 'origin'),
  });
}

function worlds(isRude: boolean): fc.Arbitrary<TunnelWorldPlan> {
  return fc.record({
    seed: fc.nat(),
    faultProbability: isRude ? fc.constantFrom(0, 0, 0.3) : fc.constant(0),
    highWaterBytes: fc.constantFrom(65_536, 1_024),
    client: fc.constantFrom<Protocol>('http1', 'http2'),
    origin: fc.constantFrom<Protocol>('http1', 'http2'),
    tunnels: fc.array(tunnels(isRude), { minLength: 1, maxLength: 3 }),
  });
}

/** Worlds in which anything may go wrong. */
export const rudeTunnelWorlds: fc.Arbitrary<TunnelWorldPlan> = worlds(true);

/** Worlds in which every tunnel is granted, and all bytes arrive. */
export const kindTunnelWorlds: fc.Arbitrary<TunnelWorldPlan> = worlds(false);

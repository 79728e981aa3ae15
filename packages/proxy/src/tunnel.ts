/** After 101, or 2xx to CONNECT: two streams joined, and the exchange told when both have closed (RFC 9110 §7.8, §15.2.2). */
import { withSource } from '@ferrata/error';
import type { ResponseHead } from '@ferrata/headers';
import type { HttpEnvironment, ServerExchange, Tunnel } from '@ferrata/http';
import { type Relay, type RelayResult, relay } from '@ferrata/stream';

/** What a tunnel needs of its proxy. */
export interface TunnelSettings {
  readonly environment: HttpEnvironment;
  readonly tunnelIdleTimeoutMs: number;
}

/**
 * Sends the head that grants it to the client, and joins its stream to the upstream's, with what either side has said beyond its head.
 * @throws {TypeError} when the exchange is closed, or the client asked for no upgrade
 */
export function joinTunnel(exchange: ServerExchange, head: ResponseHead, upstream: Tunnel, settings: TunnelSettings): Relay {
  const { environment, tunnelIdleTimeoutMs } = settings;
  const client = openClientTunnel(exchange, head, upstream);
  return relay(client.stream, upstream.stream, {
    headA: client.remaining,
    headB: upstream.remaining,
    idle: { timeoutMs: tunnelIdleTimeoutMs, deadlines: environment.deadlines },
    onDone: ({ error, brokenBy }: RelayResult) => {
      environment.now();
      if (error !== null) withSource(error, brokenBy === 'b' ? 'upstream' : 'downstream');
      exchange.closeTunnel(error);
    },
  });
}

function openClientTunnel(exchange: ServerExchange, head: ResponseHead, upstream: Tunnel): Tunnel {
  try {
    return exchange.openTunnel(head);
  } catch (thrown) {
    // Nobody else holds the upstream's stream any more.
    upstream.stream.abort();
    throw thrown;
  }
}

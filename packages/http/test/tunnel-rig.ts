/** Tunnels in both versions of HTTP, client and server joined by a memory pair. */
import {
  type ClientExchangeHandler,
  type ClientSession,
  type ClientSessionOwner,
  Http1ClientSession,
  Http2ClientSession,
  HttpEnvironment,
  HttpServer,
  type HttpServerOptions,
  resolveHttp1ClientOptions,
  resolveHttp2ClientOptions,
  type Tunnel,
} from '@ferrata/http';
import { type L4Stream, type MemoryPairOptions, memoryPair } from '@ferrata/stream';
import type { CompliancePair } from '@ferrata/testkit';
import { ClientFollower, request, response, ServerFollower } from './rig.ts';

/** What a pair of joined sessions has. */
export interface TunnelRig {
  readonly environment: HttpEnvironment;
  readonly server: HttpServer;
  readonly session: ClientSession;
  readonly told: string[];
  /** The streams below. */
  readonly below: { readonly client: L4Stream; readonly server: L4Stream };
  /** Exchanges on the server's side, in order. Each CONNECT is answered with 200. */
  readonly followers: ServerFollower[];
  /** The server's ends of tunnels, in order. */
  readonly tunnels: Tunnel[];
  /** What to answer to CONNECT; default 200. */
  status: number;
}

export interface TunnelRigOptions extends HttpServerOptions {
  readonly protocol?: 'http1' | 'http2';
  readonly pair?: MemoryPairOptions;
}

/** Joins a client session to a server that makes a tunnel of each CONNECT. */
export function tunnelRig(options: TunnelRigOptions = {}): TunnelRig {
  const { protocol = 'http2', pair, ...serverOptions } = options;
  const environment = new HttpEnvironment();
  const { a, b } = memoryPair(pair);
  const told: string[] = [];
  const owner: ClientSessionOwner = {
    onSessionIdle: () => told.push('idle'),
    onSessionRoom: (session) => told.push(session.isReusable ? 'room' : 'no room'),
    onSessionClose: (_session, error) => told.push(`close ${error?.reason ?? 'null'}`),
  };
  const session =
    protocol === 'http1'
      ? new Http1ClientSession(a, environment, resolveHttp1ClientOptions(), owner)
      : new Http2ClientSession(a, environment, resolveHttp2ClientOptions(), owner);
  const followers: ServerFollower[] = [];
  const tunnels: Tunnel[] = [];
  const server = new HttpServer(
    {
      onRequest: (exchange) => {
        const follower = new ServerFollower(exchange);
        followers.push(follower);
        if (rig.status >= 300) {
          exchange.sendHead(response(rig.status), 0);
          exchange.sendEnd();
        } else if (rig.status > 0) {
          tunnels.push(exchange.openTunnel(response(rig.status)));
        }
        return follower;
      },
    },
    { ...serverOptions, environment },
  );
  const rig: TunnelRig = { environment, server, session, told, below: { client: a, server: b }, followers, tunnels, status: 200 };
  server.accept(b);
  session.start();
  return rig;
}

export const AUTHORITY = 'example.org:443';

/** Asks for a tunnel. */
export function connect(session: ClientSession, handler: ClientExchangeHandler, protocol: string | null = null): void {
  const head = protocol === null ? request('CONNECT', AUTHORITY, { Host: AUTHORITY }) : request('CONNECT', '/chat');
  session.request(head, { bodyLength: 0, upgrade: null, protocol }, handler);
}

/** Makes a tunnel. */
export function openTunnel(
  rig: TunnelRig,
  protocol: string | null = null,
): Promise<{ client: Tunnel; server: Tunnel; follower: ClientFollower }> {
  return new Promise((resolve, reject) => {
    const follower = new ClientFollower();
    follower.react = {
      onTunnel: (_head, client) => resolve({ client, server: rig.tunnels.at(-1) as Tunnel, follower }),
      onClientClose: (error) => reject(error ?? new Error(`no tunnel: ${follower.heard.join(', ')}`)),
    };
    connect(rig.session, follower, protocol);
  });
}

/** A tunnel for `streamCompliance`: `a` is the client's end, or the server's. */
export async function tunnelPair(protocol: 'http1' | 'http2', side: 'client' | 'server'): Promise<CompliancePair> {
  const rig = tunnelRig({ protocol });
  const { client, server } = await openTunnel(rig);
  const close = (): void => {
    rig.session.close();
    rig.below.client.abort();
  };
  return side === 'client' ? { a: client.stream, b: server.stream, close } : { a: server.stream, b: client.stream, close };
}

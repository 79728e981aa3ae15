/**
 * The real proxy in a world between clients and origins of both versions of HTTP.
 *
 * ```text
 *   ClientActor (1.1) ──┐                                                  ┌── OriginActor (1.1)
 *                       ├─world─ HttpServer ─ HttpProxy ─ UpstreamConnector ─world─┤
 *   Http2ClientActor  ──┘                                                  └── Http2OriginActor
 * ```
 * Nothing listens in on frames: what clients and origins have seen is compared, and what the proxy holds is weighed at its edges. Everything
 * comes from the plan, and so happens again with the plan.
 */
import { isDeepStrictEqual } from 'node:util';
import { connectError, type WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { HttpProxy, type ProxyHooks, type ProxySession } from '@ferrata/proxy';
import { type L4Stream, tapped } from '@ferrata/stream';
import { drawFaultPlan, World } from '@ferrata/testkit';
import { type Peer, peer, UpstreamConnector } from '@ferrata/upstream';
import { ClientActor } from '../world/client-actor.ts';
import { Edge } from '../world/edge.ts';
import type { Token } from '../world/messages.ts';
import { OriginActor } from '../world/origin-actor.ts';
import type { RequestPlan } from '../world/plan.ts';
import type { Breach } from '../world/proxy-world.ts';
import { Http2ClientActor } from './http2-client-actor.ts';
import { Http2OriginActor } from './http2-origin-actor.ts';
import type { MixedPlan } from './mixed-plan.ts';
import { type Received, receivedOf } from './records.ts';

/** What one accepted request has come to, as the proxy has it. */
export interface MixedRecord {
  readonly token: Token;
  logged: number;
  error: WireError | null;
  status: number;
  attempts: number;
}

/** Faults planted into the proxy, to see that the invariants notice. */
export interface MixedPlanted {
  readonly clientSide?: (stream: L4Stream) => L4Stream;
  readonly originSide?: (stream: L4Stream) => L4Stream;
  readonly hooks?: (hooks: ProxyHooks<MixedRecord>, world: World) => ProxyHooks<MixedRecord>;
}

/** What is left of a world. */
export interface MixedReport {
  readonly plan: MixedPlan;
  readonly hash: string;
  readonly records: readonly MixedRecord[];
  readonly plans: ReadonlyMap<Token, RequestPlan>;
  readonly clients: readonly (ClientActor | Http2ClientActor)[];
  /** All requests that reached an origin. */
  readonly served: readonly Received[];
  /** Most streams that were open at an origin. */
  readonly maxOpenCount: number;
  readonly breaches: readonly Breach[];
  /** The most bytes that had come in on one side and not gone out on the other, while no exchange was over. */
  readonly heldBytes: number;
  readonly trace: readonly string[];
}

const TOKENS_PER_CLIENT = 8;

/**
 * The most that the proxy may hold for a stream that nobody reads: one window of it, what a stream of the other side may queue, a chunk on its way
 * through, and what the streams below hold.
 */
export const MAX_HELD_BYTES: number = 65_535 + 65_536 + 65_536 + 65_536;

/** Lets a plan happen. */
export async function runMixedWorld(plan: MixedPlan, planted: MixedPlanted = {}): Promise<MixedReport> {
  const world = new World(plan.seed, {
    highWaterBytes: plan.highWaterBytes,
    faults: (random) => drawFaultPlan(random, { probability: plan.faultProbability }),
  });
  const breaches: Breach[] = [];
  const tell = (invariant: string, what: string): void => void breaches.push({ invariant, what });
  const records: MixedRecord[] = [];
  const edges: Edge[] = [];
  const open = new Map<L4Stream, string>();
  const scales = new Scales();
  const wrap = (role: 'client' | 'origin', stream: L4Stream): L4Stream => {
    const name = `${role} ${stream.id}`;
    open.set(stream, name);
    return tapped(stream, {
      onData: (chunk) => scales.in(role, chunk.length),
      onWrite: (chunk) => scales.out(role, chunk.length),
      onClose: () => void open.delete(stream),
      onAbort: () => void open.delete(stream),
    });
  };

  const environment = new HttpEnvironment({ clock: world.clock, deadlines: world.deadlines, random: world.random });
  const connector = new UpstreamConnector({
    environment,
    connect: (to, signal) =>
      new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(connectError('CONNECT_ABORTED', 'nobody waits for it')), { once: true });
        world.connect(to.address.kind === 'tcp' ? to.address.host : '', {
          onConnected: (stream) => {
            if (signal?.aborted) {
              stream.abort();
              return;
            }
            const edged = wrap('origin', stream);
            resolve(planted.originSide?.(edged) ?? edged);
          },
          onConnectFailed: reject,
        });
      }),
  });
  const hooks = ledgerHooks(plan, world, records, tell);
  const proxy = new HttpProxy(planted.hooks?.(hooks, world) ?? hooks, { environment, connector });
  const server = new HttpServer(proxy, { environment, http2: { connection: { maxWindowBytes: 65_535 } } });
  world.listen('proxy', (stream) => {
    const edged = wrap('client', stream);
    server.accept(planted.clientSide?.(edged) ?? edged);
  });

  const plans = new Map<Token, RequestPlan>();
  const attempts = new Map<Token, number>();
  const ledger = { plans, attempts, reading: plan.originReading };
  const origins: (OriginActor | Http2OriginActor)[] = [];
  for (const [i, name] of (['first', 'second'] as const).entries()) {
    if (i === 1 && !plan.hasSecondOrigin) continue;
    world.listen(name, (stream) => {
      if (plan.originProtocols[i] === 'http2') {
        origins.push(new Http2OriginActor(world, stream, ledger, { maxStreams: plan.maxStreams, stallsFirst: plan.stalls === 'upload' }));
        return;
      }
      const edge = new Edge(
        'client',
        `${name} ${stream.id}`,
        () => {},
        () => {},
      );
      edges.push(edge);
      origins.push(new OriginActor(world, edge.wrap(stream), ledger));
    });
  }
  const clients = plan.clients.map((client, i) => {
    const firstToken = 1 + i * TOKENS_PER_CLIENT;
    for (const [j, request] of client.requests.entries()) plans.set(firstToken + j, request);
    return plan.clientProtocols[i] === 'http2'
      ? new Http2ClientActor(world, client, firstToken, plan.stalls === 'download')
      : new ClientActor(world, client, firstToken);
  });
  if (plan.drainAtMs >= 0) world.clock.schedule(plan.drainAtMs, () => void server.drain(60_000));

  await world.run();
  // I13, first half: with nobody's help every connection has come to its end by its own time-outs.
  if (server.connectionCount > 0) tell('I13', `${server.connectionCount} connections of clients never ended`);
  if (connector.connectionCount > 0)
    tell('I13', `${connector.connectionCount} connections to origins never ended (${connector.idleCount} idle)`);
  for (const name of open.values()) tell('I13', `${name} was never let go`);
  server.close();
  proxy.close();
  for (const actor of [...clients, ...origins]) actor.abort();
  await world.run({ forMs: 1_000 });
  const left = {
    deadlines: world.deadlines.size,
    sessions: server.connectionCount,
    connections: connector.connectionCount,
    idle: connector.idleCount,
    streams: world.openStreamCount,
    output: environment.writer.length,
  };
  if (!isDeepStrictEqual(left, { deadlines: 0, sessions: 0, connections: 0, idle: 0, streams: 0, output: 0 }))
    tell('I13', `left over: ${JSON.stringify(left)}`);

  const http2Origins = origins.filter((origin) => origin instanceof Http2OriginActor);
  return {
    plan,
    hash: world.trace.hash,
    records,
    plans,
    clients,
    served: [
      ...http2Origins.flatMap(({ requests }) => requests),
      ...edges.flatMap(({ requests }) => requests.messages.map((message) => receivedOf(message, 'request'))),
    ],
    maxOpenCount: Math.max(0, ...http2Origins.map(({ maxOpenCount }) => maxOpenCount)),
    breaches,
    heldBytes: scales.heldBytes,
    trace: world.trace.lines,
  };
}

/** Weighs what the proxy holds of bodies, by what passes at its edges. Heads and frames make a small difference. */
class Scales {
  heldBytes = 0;
  #download = 0;
  #upload = 0;

  in(role: 'client' | 'origin', bytes: number): void {
    if (role === 'client') this.#upload += bytes;
    else this.#download += bytes;
    this.heldBytes = Math.max(this.heldBytes, this.#download, this.#upload);
  }

  out(role: 'client' | 'origin', bytes: number): void {
    if (role === 'client') this.#download -= bytes;
    else this.#upload -= bytes;
  }
}

/** Hooks that keep the books, with the filters that the plan asks for. */
function ledgerHooks(
  plan: MixedPlan,
  world: World,
  records: MixedRecord[],
  tell: (invariant: string, what: string) => void,
): ProxyHooks<MixedRecord> {
  const { maxConnections } = plan;
  const peers = (['first', 'second'] as const).map((host, i) =>
    plan.originProtocols[i] === 'http2'
      ? peer(
          { host, port: 80 },
          { protocol: 'http2', maxConnections, pendingTimeoutMs: 60_000, http2: { connection: { maxWindowBytes: 65_535 } } },
        )
      : peer({ host, port: 80 }),
  );
  const pause = (): Promise<void> => new Promise((resolve) => void world.clock.schedule(world.random.below(50), resolve));
  const choose = (session: ProxySession): Peer => peers[session.request.headers.get('host')?.startsWith('second') === true ? 1 : 0] as Peer;
  const base: ProxyHooks<MixedRecord> = {
    newContext: (session) => {
      const token = Number(/^t(\d+)$/.exec(session.request.headers.get('x-token') ?? '')?.[1] ?? 0);
      const record: MixedRecord = { token, logged: 0, error: null, status: 0, attempts: 0 };
      records.push(record);
      return record;
    },
    upstreamPeer: (session, record) => {
      if (record.logged > 0) tell('I15', `upstreamPeer of t${record.token} after its end`);
      return choose(session);
    },
    responseFilter: (_session, _response, record) => {
      if (record.logged > 0) tell('I15', `responseFilter of t${record.token} after its end`);
    },
    logging: (session, error, record) => {
      record.logged++;
      record.error = error;
      record.status = session.status;
      record.attempts = session.attempt;
      world.note(`log t${record.token} ${session.status} ${error?.reason ?? 'whole'} ${session.requestBytes} ${session.responseBytes}`);
    },
  };
  switch (plan.hooks) {
    case 'none':
      return base;
    case 'bodies':
      return { ...base, requestBodyFilter: (_session, chunk) => chunk, responseBodyFilter: (_session, chunk) => chunk };
    case 'slowBodies':
      return {
        ...base,
        requestBodyFilter: (_session, chunk) => pause().then(() => chunk),
        responseBodyFilter: (_session, chunk) => pause().then(() => chunk),
      };
    case 'slow':
      return {
        ...base,
        earlyRequestFilter: pause,
        requestFilter: () => pause().then(() => false),
        upstreamRequestFilter: pause,
        responseFilter: pause,
      };
  }
}

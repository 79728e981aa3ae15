/** The real proxy in a world of tunnels, between clients and origins of either version of HTTP, and what must hold there. */
import type { ProxyHooks } from '@ferrata/proxy';
import { type L4Stream, tapped } from '@ferrata/stream';
import { positionalBytes } from '@ferrata/testkit';
import { type Peer, peer } from '@ferrata/upstream';
import type { Breach, TellBreach } from '../world/edge.ts';
import { type LedgerRecord, ledgerHooks } from '../world/ledger.ts';
import { PLAIN_WORLD } from '../world/plan.ts';
import { type Planted, ProxyUnderTest, worldOf } from '../world/proxy-under-test.ts';
import { Http2Audit } from '../world-http2/http2-audit.ts';
import { latin1Of } from '../world-http2/records.ts';
import { Http1TunnelClient, Http1TunnelOrigin } from './http1-tunnel-actors.ts';
import { Http2TunnelClient, Http2TunnelOrigin, type StreamTunnel } from './http2-tunnel-actors.ts';
import { downSeed, type TunnelEnd, upSeed } from './tunnel-end.ts';
import type { TunnelWorldPlan } from './tunnel-plan.ts';

export interface TunnelReport {
  readonly plan: TunnelWorldPlan;
  readonly hash: string;
  readonly trace: readonly string[];
  readonly records: readonly LedgerRecord[];
  readonly breaches: readonly Breach[];
  /** Of each plan, in order: what the client was told, and what came through. */
  readonly tunnels: readonly { readonly status: number; readonly client: TunnelEnd | null; readonly origin: TunnelEnd | null }[];
}

/** A tunnel that carries nothing is ended by the proxy. */
const IDLE_MS = 20_000;

/** Lets a plan happen. */
export async function runTunnelWorld(plan: TunnelWorldPlan, planted: Planted<LedgerRecord> = {}): Promise<TunnelReport> {
  const { seed, faultProbability, highWaterBytes } = plan;
  const world = worldOf({ ...PLAIN_WORLD, seed, faultProbability, highWaterBytes });
  const breaches: Breach[] = [];
  const tell: TellBreach = (invariant, what) => void breaches.push({ invariant, what });
  const records: LedgerRecord[] = [];
  const open = new Map<L4Stream, string>();
  const wrap = (role: 'client' | 'origin', stream: L4Stream): L4Stream => {
    const name = `${role} ${stream.id}`;
    open.set(stream, name);
    const isHttp2 = plan[role] === 'http2';
    const begin = (): Http2Audit | null => (isHttp2 ? new Http2Audit(name, role === 'origin', tell) : null);
    let audit = begin();
    return tapped(stream, {
      onAttach: (head) => void (audit = head === undefined ? audit : begin()),
      onData: (chunk) => audit?.read(chunk),
      onWrite: (chunk) => audit?.wrote(chunk),
      onClose: () => void open.delete(stream),
      onAbort: () => void open.delete(stream),
    });
  };
  const to: Peer = peer({ host: 'origin', port: 80 }, { protocol: plan.origin });
  const hooks: ProxyHooks<LedgerRecord> = ledgerHooks<LedgerRecord>({
    world,
    filters: 'none',
    tell,
    enter: (record) => {
      records.push(record);
      return record;
    },
    choose: () => to,
  });
  const server = { http2: { extendedConnect: true, connection: { maxWindowBytes: 65_535 } } };
  const options = { allowConnect: true, tunnelIdleTimeoutMs: IDLE_MS };
  const proxy = new ProxyUnderTest({ world, hooks, planted, wrap, tell, hasTunnels: true, server, options });
  const origins: (Http1TunnelOrigin | Http2TunnelOrigin)[] = [];
  world.listen('origin', (stream) => {
    const Origin = plan.origin === 'http1' ? Http1TunnelOrigin : Http2TunnelOrigin;
    origins.push(new Origin(world, stream, plan.tunnels));
  });
  const clients =
    plan.client === 'http1'
      ? plan.tunnels.map((one, index) => new Http1TunnelClient(world, one, index))
      : [new Http2TunnelClient(world, plan.tunnels)];
  await proxy.runOut(
    () => [...clients, ...origins],
    () => open.values(),
  );

  for (const { logged } of records) if (logged !== 1) tell('I12', `a tunnel was logged ${logged} times`);
  for (const actor of [...clients, ...origins])
    if ('problem' in actor && actor.problem !== null) tell('I17', `the proxy has broken the protocol: ${actor.problem}`);
  // I9: what has asked for a tunnel has its connection for itself.
  for (const origin of origins)
    if (origin instanceof Http1TunnelOrigin && origin.heads.length > 1)
      tell('I9', `a connection has carried ${origin.heads.length} wishes`);
  const asked: (StreamTunnel | Http1TunnelClient)[] = [];
  for (const client of clients) asked.push(...(client instanceof Http2TunnelClient ? client.tunnels : [client]));
  const served: (StreamTunnel | Http1TunnelOrigin)[] = [];
  for (const origin of origins) served.push(...(origin instanceof Http2TunnelOrigin ? origin.tunnels : [origin]));
  const tunnels = plan.tunnels.map((_, index) => ({
    status: asked[index]?.status ?? 0,
    client: asked[index]?.end ?? null,
    origin: served.find((one) => one.index === index && one.end !== null)?.end ?? null,
  }));
  return { plan, hash: world.trace.hash, trace: world.trace.lines, records, breaches, tunnels };
}

/** All breaches of a world. */
export function tunnelBreachesOf({ plan, breaches, tunnels }: TunnelReport): Breach[] {
  const found: Breach[] = [...breaches];
  for (const [index, { status, client, origin }] of tunnels.entries()) {
    const { upBytes, downBytes, answer, wish } = plan.tunnels[index] as TunnelWorldPlan['tunnels'][number];
    // I1: both ways, what comes out is a beginning of what went in.
    const up = latin1Of(positionalBytes(upBytes, upSeed(index)));
    const down = latin1Of(positionalBytes(downBytes, downSeed(index)));
    if (!up.startsWith(origin?.received ?? '')) found.push({ invariant: 'I1', what: `tunnel ${index} brought other bytes to the origin` });
    if (!down.startsWith(client?.received ?? ''))
      found.push({ invariant: 'I1', what: `tunnel ${index} brought other bytes to the client` });
    // What only we can check is not granted unchecked (RFC 8441 §5).
    const isChecked = answer === 'wrongKey' && wish === 'websocket' && plan.client === 'http2' && plan.origin === 'http1';
    const mayGrant = answer === 'grant' || (answer === 'wrongKey' && !isChecked);
    if (client !== null && !mayGrant)
      found.push({ invariant: 'I9', what: `tunnel ${index} was granted with ${status}, and not by the origin` });
  }
  return found;
}

/** Breaches of worlds in which every tunnel is granted: all bytes arrive, and both ends. */
export function kindTunnelBreachesOf(report: TunnelReport): Breach[] {
  const found = tunnelBreachesOf(report);
  const tell = (what: string): void => void found.push({ invariant: 'I19', what });
  for (const [index, { status, client, origin }] of report.tunnels.entries()) {
    const { upBytes, downBytes } = report.plan.tunnels[index] as TunnelWorldPlan['tunnels'][number];
    if (client === null || origin === null) tell(`tunnel ${index} was not made: ${status}`);
    else if (client.received.length !== downBytes || origin.received.length !== upBytes)
      tell(`tunnel ${index} brought ${client.received.length} of ${downBytes} bytes down, ${origin.received.length} of ${upBytes} up`);
    else if (!client.hasPeerEnded || !origin.hasPeerEnded) tell(`the end of tunnel ${index} has not come through`);
  }
  for (const { error } of report.records) if (error !== null) tell(`a tunnel has failed: ${error.message}`);
  return found;
}

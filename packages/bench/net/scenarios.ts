/**
 * What is measured of streams, and beside whom. Each subject is a process of its own; what it costs is its CPU time (of `idle-tls`: its memory).
 *
 * | scenario | the subject | its peers |
 * |---|---|---|
 * | tls-proxy | `ferrata reverse --listen https://…` | nginx with the same certificate |
 * | handshakes, resumed | a listener of @ferrata/net with TLS | node:tls, nginx |
 * | refused | such a listener, whose filter refuses | its own handshakes |
 * | relay, relay-tls | `relay` between streams | `pipe` between sockets |
 * | websocket, -text, -16k | a server of @ferrata/tunnel that echoes | ws |
 * | idle-tls | a listener with TLS | node:tls |
 */
import { fileURLToPath } from 'node:url';
import type { Contender } from '../proxy/contenders.ts';
import { missingNginx, NGINX_MANY_REQUESTS, NGINX_TO_ORIGIN, nginxTls, nginxUpstream, startNginxWith } from '../proxy/nginx.ts';
import { startOrigin } from '../proxy/origin.ts';
import { residentBytesOf, usageBetween, usageOf } from '../proxy/process-usage.ts';
import { parseSize } from '../proxy/sizes.ts';
import { FERRATA_COMMAND, type RunningProxy, type StartContext, startNode } from '../proxy/start.ts';
import { errorCount, runLoad } from '../proxy/wrk.ts';
import type { LoadResult } from './programs/command-line.ts';

/** What the subject may cost, as a multiple of another contender. */
export interface ScenarioBar {
  readonly than: string;
  readonly limit: number;
}

/** Where a contender is measured. */
export interface NetContext extends StartContext {
  /** Holds `ca.pem`, `server.pem` and `server-key.pem`, for `localhost` and 127.0.0.1. */
  readonly certificates: string;
  readonly loadCores: string;
  /** Of one measurement. */
  readonly seconds: number;
}

/** One contender, one round. */
export interface NetSample {
  /** In the unit of its scenario. */
  readonly cost: number;
  /** Operations a second, as far as the load could. */
  readonly perSecond: number;
  readonly failures: number;
}

/** One of those compared, with its own way to be loaded. */
export interface NetContender extends Omit<Contender, 'start'> {
  readonly start: (context: NetContext) => Promise<RunningProxy>;
  readonly measure: (running: RunningProxy, context: NetContext) => Promise<NetSample>;
}

/** One table. */
export interface NetScenario {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly subject: string;
  readonly bars: readonly ScenarioBar[];
  readonly contenders: readonly NetContender[];
  /** Starts what stands behind the contenders, if anything does. @returns its URL */
  readonly startBehind: (context: Omit<NetContext, 'to'>) => Promise<string>;
}

const programFile = (name: string): string => fileURLToPath(new URL(`./programs/${name}.ts`, import.meta.url));
const nothingBehind = async (): Promise<string> => '';

const FLOW_BYTES = 2 ** 30;
const IDLE_CONNECTIONS = 2_000;
const SETTLE_MS = 1_500;

const byWrk: NetContender['measure'] = (running, context) =>
  cpuTimeOf(running, 1_000, async () => {
    const url = `${running.url.replace(/^http:/, 'https:')}/100`;
    const found = await runLoad(context.processes, { url, connections: 64, seconds: context.seconds, cores: context.loadCores });
    return { operations: found.requests, failures: errorCount(found.errors), durationMs: found.durationMs };
  });
const byHandshakes = byLoad('handshake-load', ['--connections', '8'], 1_000);
const byResumptions = byLoad('handshake-load', ['--connections', '8', '--resume'], 1_000);
const byRefusals = byLoad('handshake-load', ['--connections', '8', '--refuse'], 1_000);
const byFlow = byLoad('flow-load', ['--bytes', String(FLOW_BYTES)], 1);
const byTlsFlow = byLoad('flow-load', ['--bytes', String(FLOW_BYTES), '--tls'], 1);

const tlsServers = (measure: NetContender['measure']): readonly NetContender[] => [
  program('ferrata', 'a listener of @ferrata/net with TLS', { script: 'tls-server', args: [] }, measure),
  program('node:tls', 'tls.createServer', { script: 'tls-server', args: ['--kind', 'node'] }, measure),
  {
    name: 'nginx',
    note: '1 worker, `ssl_session_tickets on`',
    isDefault: true,
    missing: missingNginx,
    start: (context) => startNginx(context, "location / { return 200 'ok'; }"),
    measure,
  },
];

/** All of them, in the order of the tables. */
export const SCENARIOS: readonly NetScenario[] = [
  {
    name: 'tls-proxy',
    title: 'HTTP/1 over TLS in, HTTP/1 out, 100 bytes, 64 connections',
    unit: 'us/request',
    subject: 'ferrata',
    bars: [{ than: 'nginx', limit: 1.5 }],
    startBehind: async ({ processes, loadCores }) => (await startOrigin(processes, loadCores, [parseSize('100')])).url,
    contenders: [
      {
        name: 'ferrata',
        note: 'ferrata reverse --listen https://…, as a user starts it',
        isDefault: true,
        missing: () => null,
        start: startFerrata,
        measure: byWrk,
      },
      {
        name: 'nginx',
        note: '1 worker, upstream keep-alive',
        isDefault: true,
        missing: missingNginx,
        start: (context) => startNginx(context, `location / { ${NGINX_TO_ORIGIN} }`),
        measure: byWrk,
      },
    ],
  },
  {
    name: 'handshakes',
    title: 'full handshakes, TLS 1.3, ECDSA P-256',
    unit: 'us/handshake',
    subject: 'ferrata',
    bars: [],
    startBehind: nothingBehind,
    contenders: tlsServers(byHandshakes),
  },
  {
    name: 'resumed',
    title: 'resumed handshakes, TLS 1.3',
    unit: 'us/handshake',
    subject: 'ferrata',
    bars: [],
    startBehind: nothingBehind,
    contenders: tlsServers(byResumptions),
  },
  {
    name: 'refused',
    title: 'connections that the filter refuses, beside full handshakes of the same listener',
    unit: 'us/connection',
    subject: 'refused',
    bars: [{ than: 'handshake', limit: 0.25 }],
    startBehind: nothingBehind,
    contenders: [
      program('refused', 'a filter that refuses every address', { script: 'tls-server', args: ['--refuse'] }, byRefusals),
      program('handshake', 'no filter', { script: 'tls-server', args: [] }, byHandshakes),
    ],
  },
  {
    name: 'relay',
    title: '1 GiB through a relay, TCP',
    unit: 'ms/GiB',
    subject: 'ferrata',
    bars: [{ than: 'pipe', limit: 1.05 }],
    startBehind: startSink,
    contenders: [
      program('ferrata', '`relay` between two streams', { script: 'relay', args: [] }, byFlow),
      program('pipe', '`pipe` between two sockets', { script: 'relay', args: ['--kind', 'node'] }, byFlow),
    ],
  },
  {
    name: 'relay-tls',
    title: '1 GiB through a relay, TLS in, TCP out',
    unit: 'ms/GiB',
    subject: 'ferrata',
    bars: [],
    startBehind: startSink,
    contenders: [
      program('ferrata', '`relay` between two streams', { script: 'relay', args: ['--tls'] }, byTlsFlow),
      program('pipe', '`pipe` between two sockets', { script: 'relay', args: ['--tls', '--kind', 'node'] }, byTlsFlow),
    ],
  },
  {
    name: 'websocket',
    title: 'WebSocket echo, 64 bytes, 16 connections',
    unit: 'us/message',
    subject: 'ferrata',
    bars: [{ than: 'ws', limit: 1 }],
    startBehind: nothingBehind,
    contenders: webSocketServers('--bytes', '64'),
  },
  {
    name: 'websocket-text',
    title: 'WebSocket echo of text, 64 characters, 16 connections',
    unit: 'us/message',
    subject: 'ferrata',
    bars: [],
    startBehind: nothingBehind,
    contenders: webSocketServers('--bytes', '64', '--text'),
  },
  {
    name: 'websocket-16k',
    title: 'WebSocket echo, 16 KiB, 16 connections',
    unit: 'us/message',
    subject: 'ferrata',
    bars: [{ than: 'ws', limit: 1 }],
    startBehind: nothingBehind,
    contenders: webSocketServers('--bytes', '16384'),
  },
  {
    name: 'idle-tls',
    title: `memory of ${IDLE_CONNECTIONS} idle TLS connections`,
    unit: 'KiB/connection',
    subject: 'ferrata',
    bars: [],
    startBehind: nothingBehind,
    contenders: tlsServers(measureIdle).filter((one) => one.name !== 'nginx'),
  },
];

function webSocketServers(...message: readonly string[]): readonly NetContender[] {
  const measure = byLoad('websocket-load', ['--connections', '16', ...message], 1_000);
  return [
    program('ferrata', 'WebSocketSession of @ferrata/tunnel', { script: 'websocket-echo', args: [] }, measure),
    program('ws', 'WebSocketServer of ws 8', { script: 'websocket-echo', args: ['--kind', 'ws'] }, measure),
  ];
}

function program(
  name: string,
  note: string,
  { script, args }: { readonly script: string; readonly args: readonly string[] },
  measure: NetContender['measure'],
): NetContender {
  return {
    name,
    note,
    isDefault: true,
    missing: () => null,
    start: (context) => {
      const to = context.to === '' ? [] : ['--to', new URL(context.to).host];
      return startNode(name, [programFile(script), '--certificates', context.certificates, ...to, ...args], context);
    },
    measure,
  };
}

function startSink({ processes, loadCores }: Omit<NetContext, 'to'>): Promise<string> {
  return startNode('sink', [programFile('sink')], { processes, cores: loadCores }).then(({ url }) => url);
}

async function startFerrata(context: NetContext): Promise<RunningProxy> {
  const { certificates, to } = context;
  const files = ['--cert', `${certificates}/server.pem`, '--key', `${certificates}/server-key.pem`];
  return await startNode('ferrata', [FERRATA_COMMAND, 'reverse', '--listen', 'https://127.0.0.1:0', ...files, '--to', to], context);
}

async function startNginx(context: NetContext, location: string): Promise<RunningProxy> {
  const parts = {
    connections: 4_096,
    // What a client breaks off is no error here.
    errorLevel: 'crit',
    clientRequests: NGINX_MANY_REQUESTS,
    http: `${nginxTls(context.certificates)} ssl_session_tickets on; ${context.to === '' ? '' : nginxUpstream(context.to)}`,
    listen: 'ssl',
    server: location,
  } as const;
  return await startNginxWith(() => parts, context);
}

// ---- measuring ---------------------------------------------------------------------------------------------------------------------

/** @param perMs how many of the scenario's units of time a millisecond has */
function byLoad(script: string, args: readonly string[], perMs: number): NetContender['measure'] {
  return (running, context) => cpuTimeOf(running, perMs, () => runProgram(script, running, context, args));
}

/** CPU time of the process for each operation of the load. */
async function cpuTimeOf(running: RunningProxy, perMs: number, load: () => Promise<LoadResult>): Promise<NetSample> {
  const before = usageOf(running.process.pid);
  const { operations, failures, durationMs } = await load();
  const { cpuMs } = usageBetween(before, usageOf(running.process.pid));
  if (running.process.exitStatus !== null) throw new Error(`it ended under load with ${running.process.exitStatus}`);
  if (operations === 0) throw new Error('nothing of the load was done');
  return { cost: (cpuMs * perMs) / operations, perSecond: (operations / durationMs) * 1_000, failures };
}

/** Runs a program of load to its end. */
async function runProgram(script: string, { url }: RunningProxy, context: NetContext, args: readonly string[]): Promise<LoadResult> {
  const { process: load, result } = await startLoad(script, url, context, args);
  const found = await result;
  await load.stop();
  return found;
}

async function startLoad(script: string, url: string, context: NetContext, args: readonly string[]) {
  const { processes, certificates, seconds, loadCores } = context;
  const { promise, resolve, reject } = Promise.withResolvers<LoadResult>();
  const all = [programFile(script), '--to', new URL(url).host, '--certificates', certificates, '--seconds', String(seconds), ...args];
  const running = await processes.start({
    name: script,
    command: process.execPath,
    args: all,
    cores: loadCores,
    onLine: (line) => {
      if (line.startsWith('REPORT ')) resolve(JSON.parse(line.slice('REPORT '.length)) as LoadResult);
    },
  });
  void running
    .finished()
    .then((status) => reject(new Error(`${script} ended with ${status} and reported nothing: ${running.errorOutput}`)));
  return { process: running, result: promise } as const;
}

/** What the server's memory grows by while somebody holds many connections, after as many were opened and closed before. */
async function measureIdle(running: RunningProxy, context: NetContext): Promise<NetSample> {
  const { pid } = running.process;
  const args = ['--connections', String(IDLE_CONNECTIONS)];
  const first = await startLoad('idle-load', running.url, context, ['--connections', '200']);
  await first.result;
  await first.process.stop();
  await settle();
  const before = residentBytesOf(pid);
  const second = await startLoad('idle-load', running.url, context, args);
  const { operations, failures, durationMs } = await second.result;
  await settle();
  const bytes = residentBytesOf(pid) - before;
  await second.process.stop();
  return { cost: bytes / 1_024 / operations, perSecond: (operations / durationMs) * 1_000, failures };
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

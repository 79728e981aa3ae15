/** The suite `health`: see `README.md` beside this file. */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { createAuthority } from '@ferrata/dev-certificates';
import { isWireError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import {
  type GrpcCheckOptions,
  grpcCheck,
  type HealthCheck,
  type HttpCheckOptions,
  httpCheck,
  LoadBalancer,
} from '@ferrata/load-balancing';
import { Server as GrpcServer, type handleUnaryCall, ServerCredentials, status } from '@grpc/grpc-js';
import { type Outcome, outcomeOf, report, summarise } from '../runner.ts';

const SERVING = 1;
const NOT_SERVING = 2;

const environment = new HttpEnvironment();
const authority = await createAuthority();
const [served, elsewhere] = await Promise.all([
  authority.issue({ names: ['127.0.0.1', 'app.test'] }),
  authority.issue({ names: ['elsewhere.test'] }),
]);
const ca = { ca: authority.certificate };

/** @returns `well`, or the reason that it is not */
async function look(check: HealthCheck, port: number): Promise<string> {
  const balancer = new LoadBalancer({ backends: [{ address: `127.0.0.1:${port}` }] });
  const [backend] = balancer.backends;
  if (backend === undefined) throw new Error('there is no backend');
  try {
    await check.check(backend, { environment, signal: AbortSignal.timeout(10_000) });
    return 'well';
  } catch (thrown) {
    if (!isWireError(thrown)) throw thrown;
    return thrown.reason;
  } finally {
    check.close?.();
  }
}

function differs(found: string, wanted: string): string | null {
  return found === wanted ? null : `awaited ${wanted}, and it was ${found}`;
}

// ---- gRPC ------------------------------------------------------------------------------------------------------------------------

interface HealthQuestion {
  readonly service: string;
}

/** HealthCheckRequest: the name of the service, or nothing. */
function readRequest(bytes: Buffer): HealthQuestion {
  return { service: bytes.length < 2 ? '' : bytes.subarray(2, 2 + (bytes[1] ?? 0)).toString() };
}

/** HealthCheckResponse. */
function writeResponse(state: number): Buffer {
  return Buffer.from([0x08, state]);
}

const healthService = {
  check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: ({ service }: HealthQuestion): Buffer => Buffer.from([0x0a, service.length, ...Buffer.from(service)]),
    requestDeserialize: readRequest,
    responseSerialize: writeResponse,
    responseDeserialize: (bytes: Buffer): number => bytes[1] ?? 0,
  },
} as const;

const STATES: Readonly<Record<string, number>> = { '': SERVING, 'app.Up': SERVING, 'app.Down': NOT_SERVING };

const answerCheck: handleUnaryCall<HealthQuestion, number> = ({ request: { service } }, answer) => {
  const state = Object.hasOwn(STATES, service) ? STATES[service] : undefined;
  if (service === 'app.Slow') return;
  if (service === 'app.Broken') answer({ code: status.INTERNAL, details: 'line one\r\nline two' });
  else if (state === undefined) answer({ code: status.NOT_FOUND, details: 'unknown service' });
  else answer(null, state);
};

type GrpcCase = readonly [id: string, hasService: boolean, isSecure: boolean, options: GrpcCheckOptions, wanted: string];

const GRPC_CASES: readonly GrpcCase[] = [
  ['server', true, false, {}, 'well'],
  ['service', true, false, { service: 'app.Up' }, 'well'],
  ['connection-kept', true, false, { service: 'app.Up', keepConnection: true }, 'well'],
  ['not-serving', true, false, { service: 'app.Down' }, 'HEALTH_GRPC_NOT_SERVING'],
  ['unknown-service', true, false, { service: 'app.Nothing' }, 'HEALTH_GRPC_SERVICE_UNKNOWN'],
  ['internal-error', true, false, { service: 'app.Broken' }, 'HEALTH_GRPC_STATUS'],
  ['no-health-service', false, false, {}, 'HEALTH_GRPC_UNIMPLEMENTED'],
  ['tls', true, true, { tls: ca }, 'well'],
  ['tls-by-name', true, true, { tls: ca, servername: 'app.test' }, 'well'],
  ['tls-wrong-name', true, true, { tls: ca, servername: 'elsewhere.test' }, 'TLS_HOSTNAME_MISMATCH'],
];

async function checkGrpc([, hasService, isSecure, options, wanted]: GrpcCase): Promise<string | null> {
  const server = new GrpcServer();
  if (hasService) server.addService(healthService, { check: answerCheck });
  const pair = { private_key: Buffer.from(served.key), cert_chain: Buffer.from(served.chain) };
  const credentials = isSecure ? ServerCredentials.createSsl(null, [pair]) : ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  try {
    return differs(await look(grpcCheck({ timeoutMs: 5_000, ...options }), port), wanted);
  } finally {
    server.forceShutdown();
  }
}

/** A method that does not answer is given up by the time that it was told, and by ours. */
async function checkSlowGrpc(): Promise<string | null> {
  const server = new GrpcServer();
  server.addService(healthService, { check: answerCheck });
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  try {
    const found = await look(grpcCheck({ service: 'app.Slow', timeoutMs: 200 }), port);
    // Whichever of the two clocks is first.
    return found === 'HTTP_ANSWER_TIMEOUT' || found === 'HEALTH_GRPC_STATUS' ? null : `a server that does not answer was ${found}`;
  } finally {
    server.forceShutdown();
  }
}

// ---- HTTP ------------------------------------------------------------------------------------------------------------------------

const page: RequestListener = (request, response) => {
  const isUp = request.url === '/up';
  response.writeHead(isUp ? 200 : 503, { 'X-State': isUp ? 'up' : 'down' });
  response.end(`version ${request.httpVersion}`);
};

const key = { key: served.key, cert: served.chain };
const SERVERS: Readonly<Record<string, () => Server>> = {
  http: () => createHttpServer(page),
  https: () => createHttpsServer(key, page),
  http2: () => createSecureServer(key, (request, response) => page(request as never, response as never)),
  'http2-or-1': () => createSecureServer({ ...key, allowHTTP1: true }, (request, response) => page(request as never, response as never)),
  elsewhere: () => createHttpsServer({ key: elsewhere.key, cert: elsewhere.chain }, page),
};

const up = { path: '/up', timeoutMs: 5_000 } as const;
const HTTP_CASES: readonly (readonly [id: string, server: string, options: HttpCheckOptions, wanted: string])[] = [
  ['plain', 'http', { ...up, expectBody: 'version 1.1', expectHeaders: [['X-State', 'up']] }, 'well'],
  ['plain-head', 'http', { ...up, method: 'HEAD' }, 'well'],
  ['plain-down', 'http', { ...up, path: '/down' }, 'HEALTH_STATUS_WRONG'],
  ['plain-wrong-body', 'http', { ...up, expectBody: 'version 3' }, 'HEALTH_BODY_WRONG'],
  ['tls', 'https', { ...up, tls: ca, expectBody: 'version 1.1' }, 'well'],
  ['tls-by-name', 'https', { ...up, tls: ca, servername: 'app.test' }, 'well'],
  ['tls-unknown-authority', 'https', { ...up, tls: true }, 'TLS_CERT_UNTRUSTED'],
  ['tls-wrong-name', 'elsewhere', { ...up, tls: ca }, 'TLS_HOSTNAME_MISMATCH'],
  ['http2-agreed', 'http2', { ...up, tls: ca, expectBody: 'version 2.0' }, 'well'],
  ['http2-down', 'http2', { ...up, path: '/down', tls: ca }, 'HEALTH_STATUS_WRONG'],
  ['http2-kept', 'http2', { ...up, tls: ca, protocol: 'http2', keepConnection: true }, 'well'],
  ['http1-wanted', 'http2-or-1', { ...up, tls: ca, protocol: 'http1', expectBody: 'version 1.1' }, 'well'],
  ['http2-wanted-of-http1', 'https', { ...up, tls: ca, protocol: 'http2' }, 'TLS_ALPN_REFUSED'],
];

async function checkHttp(name: string, options: HttpCheckOptions, wanted: string): Promise<string | null> {
  const make = SERVERS[name];
  if (make === undefined) throw new Error(`no server ${name}`);
  const server = make();
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => void sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return differs(await look(httpCheck(options), (server.address() as AddressInfo).port), wanted);
  } finally {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
}

const outcomes: Outcome[] = [];
for (const one of GRPC_CASES) outcomes.push(await outcomeOf(`grpc/${one[0]}`, () => checkGrpc(one)));
outcomes.push(await outcomeOf('grpc/slow', checkSlowGrpc));
for (const [id, name, options, wanted] of HTTP_CASES) outcomes.push(await outcomeOf(`http/${id}`, () => checkHttp(name, options, wanted)));
process.exitCode = report('health', summarise(outcomes, new Map()));

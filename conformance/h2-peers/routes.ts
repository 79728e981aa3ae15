/** Who talks to whom, and what each of them can do. */
import type { PlanClient } from '../http1-peers/client.ts';
import { CurlClient } from '../http1-peers/curl-client.ts';
import { NODE_METHODS, NodeClient } from '../http1-peers/node-client.ts';
import type { Plan } from '../http1-peers/plan.ts';
import { NodeHttp2Client } from './node-client.ts';
import { canNodeAnswer } from './node-server.ts';
import { OurHttp2Client } from './our-client.ts';
import { canPythonAnswer, PythonClient } from './python.ts';
import type { Where } from './where.ts';

/** The kinds of clients. */
export interface ClientKind {
  /** As ids have it. */
  readonly name: string;
  readonly open: (where: Where) => PlanClient;
  /** Whether the client can be made to send this request, and to take the answer to it. */
  readonly canSend: (one: Plan) => boolean;
  /** Whether one connection is to carry all exchanges. */
  readonly keepsConnection: boolean;
  /** Whether it can have many exchanges under way at once. */
  readonly isParallel: boolean;
}

/** A way from a client to a server. */
export interface Route {
  /** As ids have it: `node-ferrata`. */
  readonly name: string;
  readonly client: ClientKind;
  /** Where the client connects: the server, or what stands in front of it. */
  readonly where: Where;
  /** Whether all that stands behind the client can act this plan out. */
  readonly canCarry: (one: Plan) => boolean;
  /** Whether many exchanges at once come through as each of them does alone. */
  readonly isSteady: boolean;
}

const always = (): boolean => true;

/** `node:http2`. */
export const nodeClient: ClientKind = {
  name: 'node',
  open: (where) => new NodeHttp2Client(where),
  canSend: NodeHttp2Client.canSend,
  keepsConnection: true,
  isParallel: true,
};

/** `node:http`, which speaks HTTP/1.1. */
export const nodeHttp1Client: ClientKind = {
  name: 'node1',
  open: (where) => new NodeClient(portOf(where)),
  canSend: NodeClient.canSend,
  keepsConnection: false,
  isParallel: false,
};

/** `Http2ClientSession` of `@ferrata/http`. */
export const ourClient: ClientKind = {
  name: 'ferrata',
  open: (where) => new OurHttp2Client(where),
  canSend: always,
  keepsConnection: true,
  isParallel: true,
};

/** python3-h2. */
export const pythonClient: ClientKind = {
  name: 'python',
  open: (where) => new PythonClient(portOf(where)),
  canSend: PythonClient.canSend,
  keepsConnection: true,
  isParallel: false,
};

/** curl, a process for each exchange. */
export const curlClient: ClientKind = {
  name: 'curl',
  open: (where) => new CurlClient(portOf(where), { isHttp2: true }),
  canSend: CurlClient.canSend,
  keepsConnection: false,
  isParallel: false,
};

/** Servers that take whatever a plan says. */
export const carriesAll = always;

/** `node:http` as the server at the end knows the methods of its list. */
export function nodeHttp1Carries({ request }: Plan): boolean {
  return NODE_METHODS.has(request.method);
}

/** `node:http2` as the server at the end. */
export const nodeCarries = canNodeAnswer;

/** python3-h2 answers requests that are whole. */
export const pythonCarries = canPythonAnswer;

function portOf(where: Where): number {
  if ('path' in where) throw new TypeError('this client connects to ports only');
  return where.port;
}

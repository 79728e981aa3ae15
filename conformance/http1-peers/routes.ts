/** Who talks to whom: each client of the suite against each server, straight or through our proxy. */
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { HttpProxy } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { serve } from '../rig/serve.ts';
import type { PlanClient } from './client.ts';
import type { Circumstances } from './compare.ts';
import { CurlClient } from './curl-client.ts';
import { NODE_METHODS, NodeClient } from './node-client.ts';
import type { PlanServer } from './node-server.ts';
import { OurClient } from './our-client.ts';
import { lengthOf, type Plan } from './plan.ts';
import { RawClient } from './raw-client.ts';
import { UndiciClient } from './undici-client.ts';

/** The kinds of clients. */
export interface ClientKind {
  /** As ids have it. */
  readonly name: string;
  /** Makes a client of a server on 127.0.0.1; it connects when it is first used. */
  readonly open: (port: number) => PlanClient;
  /** Whether the client can be made to send this request, and to take the answer to it. */
  readonly canSend: (one: Plan) => boolean;
  /** It reads reason phrases as UTF-8 rather than as latin1. */
  readonly hasUtf8Reasons: boolean;
  /** After this exchange the client gives up its connection of its own accord. */
  readonly givesUp: (one: Plan) => boolean;
  /** It has a connection for each exchange, so nothing can be asked behind one. */
  readonly isOneShot: boolean;
}

const never = (): boolean => false;

/** Methods after which undici keeps a connection that has carried a body. */
const UNDICI_BODY_METHODS = new Set(['PUT', 'POST', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);

/** `node:http`, with an agent that keeps connections. */
export const nodeClient: ClientKind = {
  name: 'node',
  open: (port) => new NodeClient(port),
  canSend: NodeClient.canSend,
  hasUtf8Reasons: false,
  // llhttp says of a response to HEAD without framing fields that it ends with its connection, and Node's client believes it.
  givesUp: ({ request, response }) => request.method === 'HEAD' && response.framing !== 'length',
  isOneShot: false,
};

/** undici's `Client`, which has one connection. */
export const undiciClient: ClientKind = {
  name: 'undici',
  open: (port) => new UndiciClient(port),
  canSend: UndiciClient.canSend,
  hasUtf8Reasons: true,
  givesUp: ({ request, response }) =>
    request.method === 'HEAD' ||
    (request.framing !== 'none' && !UNDICI_BODY_METHODS.has(request.method)) ||
    // It does not trust a server that announces a body where there can be none.
    (response.status === 304 && lengthOf(response.body) > 0),
  isOneShot: false,
};

/** The client side of `@ferrata/http`, over `@ferrata/upstream`. */
export const ourClient: ClientKind = {
  name: 'ferrata',
  open: (port) => new OurClient(port),
  canSend: OurClient.canSend,
  hasUtf8Reasons: false,
  givesUp: never,
  isOneShot: false,
};

/** A socket, for what no other client would send: HTTP/1.0, spellings of chunks. */
export const rawClient: ClientKind = {
  name: 'raw',
  open: (port) => new RawClient(port),
  canSend: RawClient.canSend,
  hasUtf8Reasons: false,
  givesUp: never,
  isOneShot: false,
};

/** The command curl, a process for each exchange. */
export const curlClient: ClientKind = {
  name: 'curl',
  open: (port) => new CurlClient(port),
  canSend: CurlClient.canSend,
  hasUtf8Reasons: false,
  givesUp: () => true,
  isOneShot: true,
};

/** The kinds of servers. */
export interface ServerKind {
  /** As ids have it. */
  readonly name: string;
  /** Whether the server takes this request and can be made to send this answer. */
  readonly canAnswer: (one: Plan) => boolean;
  /** The server ends its connection after this exchange of its own accord. */
  readonly givesUp: (one: Plan) => boolean;
}

/** `node:http` knows the methods of its list, and keeps no connection on which an expectation was left without its 100. */
export const nodeServer: ServerKind = {
  name: 'node',
  canAnswer: ({ request }) => NODE_METHODS.has(request.method),
  givesUp: ({ request }) => request.expectation === 'sends',
};

/** Ours cannot end a body with the connection for HTTP/1.1: it has chunks for that. */
export const ourServer: ServerKind = { name: 'ferrata', canAnswer: ({ response }) => response.framing !== 'untilClose', givesUp: never };

/** A way from a client to a server. */
export interface Route extends Circumstances {
  /** `node → proxy → node`, as ids have it: `node-proxy-node`. */
  readonly name: string;
  readonly client: ClientKind;
  readonly server: ServerKind;
  /** Where the client connects: the server, or our proxy in front of it. */
  readonly port: number;
}

/** Whether both ends can act a plan out. */
export function canTravel({ client, server }: Route, one: Plan): boolean {
  return client.canSend(one) && server.canAnswer(one);
}

/** Whether the client's connection is to be used again after an exchange; null: either is right. */
export function isReusable({ client, server, isProxied }: Route, one: Plan): boolean | null {
  const { request, response } = one;
  const isHttp10 = request.minorVersion === 0;
  if (request.connection === 'close' || (isHttp10 && request.connection !== 'keep-alive')) return false;
  if (isHttp10 && response.framing !== 'length') return null;
  // The rest of a body of unknown length is not waited for: our side closes, and says so (RFC 9112 §9.3).
  const isOurs = isProxied || server === ourServer;
  if (response.when === 'early' && request.framing === 'chunked' && isOurs) return false;
  if (response.when !== 'whole') return null;
  if (!isProxied && (response.isLast || response.framing === 'untilClose')) return false;
  return client.givesUp(one) || (!isProxied && server.givesUp(one)) ? null : true;
}

/** Starts our proxy in front of a server. */
export async function startProxy(originPort: number): Promise<PlanServer> {
  const environment = new HttpEnvironment();
  const origin = peer(`127.0.0.1:${originPort}`);
  const proxy = new HttpProxy<null>({ newContext: () => null, upstreamPeer: () => origin }, { environment });
  const server = new HttpServer(proxy, { environment });
  const { port, close } = await serve(server);
  return {
    port,
    close: async () => {
      await close();
      proxy.close();
    },
  };
}

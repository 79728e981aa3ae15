/**
 * A socket that is to listen, with everything that makes it another socket than its neighbour; what the processes of a server know it by.
 *
 * Every process and thread works the specs out by itself, from the same services and the same configuration, and comes to the same keys in the same order.
 */
import { resolve } from 'node:path';
import { formatNetAddress, type NetAddress, parseAddress, toNetAddress } from '@ferrata/net';
import type { ServerPlan } from './server-plan.ts';
import type { ListenAddress, Service } from './service.ts';

/** Plain data (JSON). Two specs with the same `key` are the same socket. */
export interface SocketSpec {
  /**
   * `tcp 127.0.0.1:8080`, `unix /run/app.sock`, `udp [::1]:53`; a second listener with the same text (port 0 only) has `#2` behind it, in the order of services
   * and of their listeners.
   */
  readonly key: string;
  readonly transport: 'tcp' | 'unix' | 'udp';
  /** TCP and UDP. */
  readonly host?: string;
  readonly port?: number;
  /** Unix. */
  readonly path?: string;
  readonly backlog?: number;
  readonly ipv6Only?: boolean;
  readonly mode?: number;
  /** It is accepted on until its generation ends: the admin endpoint tells how the draining goes. */
  readonly isForDraining?: true;
}

/** All sockets of a server. */
export interface ServerSockets {
  /** By the name of the service, in the order of the services; the specs stand in the order of the service's `listeners`. */
  readonly byService: ReadonlyMap<string, readonly SocketSpec[]>;
  /** Of the admin endpoint; null without one. */
  readonly admin: SocketSpec | null;
  /** All of them, that of the admin endpoint last. */
  readonly all: readonly SocketSpec[];
}

/**
 * Works out all sockets of a server, that of its admin endpoint among them.
 *
 * @throws as `socketSpecs`
 */
export function serverSockets(plan: Pick<ServerPlan, 'services' | 'options'>, config: unknown): ServerSockets {
  const seen = new Map<string, SeenKey>();
  const byService = specsOf(plan.services, config, seen);
  const { admin: address } = plan.options;
  const admin = address === null ? null : adminSpec(address, seen);
  return { byService, admin, all: [...byService.values(), admin === null ? [] : [admin]].flat() };
}

/**
 * Works out the sockets of all services for a configuration.
 *
 * @returns by the name of the service, in the order of the services; the specs stand in the order of the service's `listeners`
 * @throws {TypeError} if an address is malformed, or two listeners would have the same one; the message names the services
 * @throws whatever a service's `listeners` throws
 */
export function socketSpecs(services: readonly Service<unknown>[], config: unknown): Map<string, SocketSpec[]> {
  return specsOf(services, config, new Map());
}

function adminSpec(address: NetAddress, seen: Map<string, SeenKey>): SocketSpec {
  const spec = toSpec('admin', { address, ...(address.kind === 'unix' ? { mode: 0o600 } : null) }, seen);
  return { ...spec, isForDraining: true };
}

interface SeenKey {
  readonly service: string;
  count: number;
}

function specsOf(services: readonly Service<unknown>[], config: unknown, seen: Map<string, SeenKey>): Map<string, SocketSpec[]> {
  const byService = new Map<string, SocketSpec[]>();
  for (const service of services) {
    const specs = listenersOf(service, config).map((listen) => toSpec(service.name, listen, seen));
    byService.set(service.name, specs);
  }
  return byService;
}

function listenersOf(service: Service<unknown>, config: unknown): readonly ListenAddress[] {
  const listeners: unknown = service.listeners(config);
  if (Array.isArray(listeners)) return listeners as readonly ListenAddress[];
  throw new TypeError(`listeners of service ${service.name} must give a list of addresses, not ${typeof listeners}`);
}

function toSpec(service: string, listen: ListenAddress, seen: Map<string, SeenKey>): SocketSpec {
  if (typeof listen !== 'object' || listen === null || (listen as { address?: unknown }).address === undefined) {
    throw new TypeError(`a listener of service ${service} has no address`);
  }
  const spec = withoutNumber(service, listen);
  const before = seen.get(spec.key);
  if (before === undefined) {
    seen.set(spec.key, { service, count: 1 });
    return spec;
  }
  // Of port 0 each is another port that the kernel chooses.
  if (spec.port !== 0)
    throw new TypeError(`service ${service} cannot listen on ${spec.key}: ${taker(service, before.service)} does already`);
  before.count += 1;
  return { ...spec, key: `${spec.key}#${before.count}` };
}

function taker(service: string, other: string): string {
  return other === service ? 'it' : `service ${other}`;
}

function withoutNumber(service: string, listen: ListenAddress): SocketSpec {
  const transport: unknown = listen.transport;
  if (transport !== undefined && transport !== 'udp') {
    throw new TypeError(`a listener of service ${service} has the transport ${JSON.stringify(transport)}; it is "udp", or left out`);
  }
  const address = typeof listen.address === 'string' ? parse(listen.address, transport === 'udp') : toNetAddress(listen.address);
  const { backlog, ipv6Only, mode } = listen;
  const options = {
    ...(backlog === undefined ? null : { backlog }),
    ...(ipv6Only === undefined ? null : { ipv6Only }),
    ...(mode === undefined ? null : { mode }),
  };
  if (address.kind === 'unix') {
    if (transport === 'udp') throw new TypeError(`service ${service}: Node has no datagrams over Unix sockets: ${address.path}`);
    // Two spellings of one file are one socket.
    return { key: `unix ${resolve(address.path)}`, transport: 'unix', path: address.path, ...options };
  }
  const host = canonicalHost(address.host);
  const text = formatNetAddress({ kind: 'tcp', host, port: address.port }).slice('tcp://'.length);
  return { key: `${transport ?? 'tcp'} ${text}`, transport: transport ?? 'tcp', host, port: address.port, ...options };
}

/** `udp://` is the scheme of datagrams; the address parser knows those of streams. */
function parse(text: string, isUdp: boolean): ReturnType<typeof parseAddress> {
  return parseAddress(isUdp && /^udp:\/\//i.test(text) ? text.slice('udp://'.length) : text);
}

/** One spelling for one host: names in lower case, IPv6 as RFC 5952 §4 writes it. */
function canonicalHost(host: string): string {
  // A zone (`fe80::1%eth0`) is no part of a URL.
  if (!host.includes(':') || host.includes('%')) return host.toLowerCase();
  return new URL(`http://[${host}]`).hostname.slice(1, -1);
}

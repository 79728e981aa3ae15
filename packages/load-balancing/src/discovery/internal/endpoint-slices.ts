/**
 * Slices of endpoints as a set of backends (discovery.k8s.io/v1).
 *
 * Rules:
 * - A slice holds addresses of one kind; those of names (`FQDN`) are passed over.
 * - An endpoint is ready unless it says that it is not. If none is ready at all, those that end but still serve are taken: they are better than nothing, and
 *   kube-proxy does the same.
 * - Of the addresses of an endpoint the first is used: they are all the same endpoint.
 * - An endpoint may stand in two slices while it moves from one to another; it is one backend.
 */
import { BackendSet, hostPort } from './backend-set.ts';
import { booleanIn, type JsonObject, listIn, numberIn, objectIn, objectOf, textIn } from './json.ts';

/** How slices are read. */
export interface SliceReading {
  readonly who: string;
  readonly maxBackends: number;
  /** Null: the only one. */
  readonly port: string | number | null;
  /** Takes endpoints that end but still serve, if no other is ready. */
  readonly useTerminating: boolean;
}

/** What is kept of a slice. */
export interface EndpointSlice {
  readonly name: string;
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly Endpoint[];
}

interface SlicePort {
  readonly name: string;
  /** Null: any. */
  readonly port: number | null;
}

interface Endpoint {
  readonly host: string;
  readonly state: 'ready' | 'ending' | 'away';
  readonly zone: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Reads a slice, and leaves whatever is not needed, which is most of it. @returns null when it has no name */
export function readSlice(object: JsonObject | null): EndpointSlice | null {
  const name = textIn(objectIn(object, 'metadata'), 'name');
  if (name === null) return null;
  const addressType = textIn(object, 'addressType');
  const isUsable = addressType === 'IPv4' || addressType === 'IPv6';
  // Without a protocol a port is of TCP.
  const ports = listIn(object, 'ports')
    .map(objectOf)
    .filter((port) => (textIn(port, 'protocol') ?? 'TCP') === 'TCP')
    .map((port) => ({ name: textIn(port, 'name') ?? '', port: numberIn(port, 'port') }));
  const endpoints = isUsable ? listIn(object, 'endpoints').map((element) => readEndpoint(objectOf(element))) : [];
  return { name, ports, endpoints };
}

/** The backends of all slices. @throws {WireError} `limit DISCOVERY_TOO_LARGE` */
export function backendsOfSlices(slices: Iterable<readonly [name: string, slice: EndpointSlice]>, reading: SliceReading): BackendSet {
  const set = new BackendSet(reading.who, reading.maxBackends);
  const ending: [entry: string, endpoint: Endpoint, port: number][] = [];
  for (const [name, { ports, endpoints }] of slices) {
    if (endpoints.length === 0) continue;
    const port = portOf(ports, reading.port);
    if (typeof port === 'string') {
      set.refuse(name, port);
      continue;
    }
    for (const endpoint of endpoints) {
      if (endpoint.state === 'ready') addTo(set, { entry: name, endpoint, port });
      else if (endpoint.state === 'ending') ending.push([name, endpoint, port]);
    }
  }
  if (set.size === 0 && reading.useTerminating) for (const [entry, endpoint, port] of ending) addTo(set, { entry, endpoint, port });
  return set;
}

function readEndpoint(endpoint: JsonObject | null): Endpoint {
  const [host] = listIn(endpoint, 'addresses');
  const node = textIn(endpoint, 'nodeName');
  const pod = textIn(objectIn(endpoint, 'targetRef'), 'name');
  return {
    host: typeof host === 'string' ? host : '',
    state: stateOf(objectIn(endpoint, 'conditions')),
    zone: textIn(endpoint, 'zone') ?? '',
    metadata: { ...(node === null ? {} : { node }), ...(pod === null ? {} : { pod }) },
  };
}

/** What does not say whether it is ready is; what ends and does not say whether it serves does not. */
function stateOf(conditions: JsonObject | null): Endpoint['state'] {
  if (booleanIn(conditions, 'ready') ?? true) return 'ready';
  return booleanIn(conditions, 'terminating') === true && booleanIn(conditions, 'serving') === true ? 'ending' : 'away';
}

function addTo(set: BackendSet, { entry, endpoint, port }: { entry: string; endpoint: Endpoint; port: number }): void {
  const { host, zone, metadata } = endpoint;
  if (host === '') set.refuse(entry, 'an endpoint has no address');
  else set.add(entry, { address: hostPort(host, port), zone, metadata });
}

/** The port of a slice's endpoints. @returns text: why there is none */
function portOf(ports: readonly SlicePort[], wanted: string | number | null): number | string {
  if (typeof wanted === 'number') {
    // A port without a number stands for all of them.
    return ports.some(({ port }) => (port ?? wanted) === wanted) ? wanted : `it has no port ${wanted}`;
  }
  const found = ports.filter(({ name }) => wanted === null || name === wanted);
  const [only] = found;
  if (wanted === null && found.length !== 1) return `it has ${found.length} ports of TCP, and none was chosen`;
  if (only === undefined) return `it has no port ${JSON.stringify(wanted)}`;
  return only.port ?? 'its port has no number';
}

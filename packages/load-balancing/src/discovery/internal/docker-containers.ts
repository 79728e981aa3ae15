/** What Docker's list of containers says, as a set of backends. */
import { BackendSet, hostPort } from './backend-set.ts';
import { filledIn, type JsonObject, listIn, malformed, numberIn, objectIn, objectOf, textIn } from './json.ts';

/** How containers are read. */
export interface ContainerReading {
  readonly maxBackends: number;
  readonly portLabel: string;
  readonly weightLabel: string;
  readonly zoneLabel: string;
  /** Null: the only one. */
  readonly network: string | null;
  readonly hostAddress: string;
}

/** The backends of a list. @throws {WireError} `protocol DISCOVERY_MALFORMED` when it is none, `limit DISCOVERY_TOO_LARGE` */
export function setOfContainers(who: string, value: unknown, reading: ContainerReading): BackendSet {
  if (!Array.isArray(value)) throw malformed(`${who} answered with something that is no list`);
  const set = new BackendSet(who, reading.maxBackends);
  for (const element of value) {
    const container = objectOf(element);
    const id = textIn(container, 'Id');
    if (container === null || id === null) throw malformed(`${who} answered with a container that has no id`);
    if (isServing(container)) addTo(set, container, { id, reading });
  }
  return set;
}

function addTo(set: BackendSet, container: JsonObject, { id, reading }: { id: string; reading: ContainerReading }): void {
  const [first] = listIn(container, 'Names');
  // The Engine writes names with a slash in front.
  const name = typeof first === 'string' ? first.replace(/^\//, '') : id.slice(0, 12);
  const labels = objectIn(container, 'Labels');
  const host = hostOf(container, reading);
  if (host.why !== null) return set.refuse(name, host.why);
  const port = portOf(container, labels, reading);
  if (typeof port === 'string') return set.refuse(name, port);
  const weight = textIn(labels, reading.weightLabel) ?? '1';
  if (!/^\d{1,6}$/.test(weight)) return set.refuse(name, 'its label of the weight is no whole number');
  const zone = textIn(labels, reading.zoneLabel) ?? '';
  set.add(name, { address: hostPort(host.address, port), weight: Number(weight), zone, metadata: { container: name } });
}

/**
 * It runs, and its health check, if it has one, has passed. The list tells health only in the words of `Status`: `Up 3 minutes (healthy)`, `(unhealthy)`,
 * `(health: starting)`, `(Paused)`.
 */
function isServing(container: JsonObject): boolean {
  if (textIn(container, 'State') !== 'running') return false;
  const words = /\(([^()]*)\)$/.exec(textIn(container, 'Status') ?? '')?.[1]?.toLowerCase() ?? '';
  return words !== 'unhealthy' && words !== 'paused' && !words.startsWith('health: ');
}

function hostOf(
  container: JsonObject,
  { network, hostAddress }: ContainerReading,
): { readonly address: string; readonly why: string | null } {
  const networks = objectIn(objectIn(container, 'NetworkSettings'), 'Networks');
  const names = Object.keys(networks ?? {});
  const [only] = names;
  const chosen = network ?? (names.length === 1 ? only : undefined);
  if (chosen === undefined) return { address: '', why: `it is in ${names.length} networks, and none was chosen` };
  const settings = objectIn(networks, chosen);
  if (settings === null) return { address: '', why: `it is not in the network ${JSON.stringify(chosen)}` };
  // Sharing the network of the host, it has no address of its own.
  if (chosen === 'host') return { address: hostAddress, why: null };
  const address = filledIn(settings, 'IPAddress') ?? textIn(settings, 'GlobalIPv6Address') ?? '';
  return { address, why: address === '' ? 'it has no address' : null };
}

/** @returns text: why there is none */
function portOf(container: JsonObject, labels: JsonObject | null, { portLabel }: ContainerReading): number | string {
  const label = textIn(labels, portLabel);
  if (label !== null) return /^[1-9]\d{0,4}$/.test(label) ? Number(label) : 'its label of the port is no port';
  const exposed = listIn(container, 'Ports')
    .map(objectOf)
    .filter((port) => (textIn(port, 'Type') ?? 'tcp') === 'tcp')
    .map((port) => numberIn(port, 'PrivatePort'));
  // One that is published at two addresses stands there twice.
  const ports = new Set(exposed.filter((port) => port !== null));
  const [only] = ports;
  if (only === undefined || ports.size > 1) return `it exposes ${ports.size} ports of TCP, and no label names one`;
  return only;
}

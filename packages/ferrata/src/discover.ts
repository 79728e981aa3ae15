/** Where origins are found, as `--discover` writes it: a URL whose scheme says who is asked. */
import {
  consulDiscovery,
  type Discovery,
  dnsDiscovery,
  dockerDiscovery,
  etcdDiscovery,
  fileDiscovery,
  inClusterOptions,
  kubernetesDiscovery,
  mergeDiscoveries,
  srvDiscovery,
} from '@ferrata/load-balancing';
import { UsageError } from './usage-error.ts';

const examples =
  'dns://name:port, srv://_http._tcp.name, file:///path, consul://host:port/service, etcd://host:port/prefix, k8s://namespace/service:port or docker://label';

/** All that is found by any of them. @throws {UsageError} for one that is wrong */
export function discoveryOf(urls: readonly string[]): Discovery {
  const found = urls.map(discoveryFor);
  return found.length === 1 ? (found[0] as Discovery) : mergeDiscoveries(found);
}

/** @throws {UsageError} with what to write */
export function discoveryFor(url: string): Discovery {
  const [, scheme = '', rest = ''] = /^([a-z0-9]+):\/\/(.+)$/.exec(url) ?? [];
  try {
    const made = makers[scheme]?.(rest) ?? null;
    if (made !== null) return made;
  } catch (error) {
    throw new UsageError(`--discover ${url}: ${(error as Error).message}`, { cause: error });
  }
  throw new UsageError(`--discover ${url}: write one of ${examples}`);
}

/** Each gives null for what it cannot read. */
const makers: Readonly<Record<string, (rest: string) => Discovery | null>> = {
  dns: (rest) => {
    const [, host = '', port = ''] = /^([^/:]+):(\d{1,5})$/.exec(rest) ?? [];
    return host === '' ? null : dnsDiscovery({ host, port: Number(port) });
  },
  srv: (rest) => (/^[^/:]+$/.test(rest) ? srvDiscovery({ name: rest }) : null),
  file: (rest) => (rest.startsWith('/') ? fileDiscovery({ path: rest }) : null),
  consul: (rest) => {
    const [, address = '', service = ''] = /^([^/]+:\d{1,5})\/([^/]+)$/.exec(rest) ?? [];
    return address === '' ? null : consulDiscovery({ address, service });
  },
  etcd: (rest) => {
    const [, address = '', prefix = ''] = /^([^/]+:\d{1,5})(\/.+)$/.exec(rest) ?? [];
    return address === '' ? null : etcdDiscovery({ address, prefix });
  },
  k8s: (rest) => {
    const [, namespace = '', service = '', port = ''] = /^([^/:]+)\/([^/:]+):([^/:]+)$/.exec(rest) ?? [];
    if (namespace === '') return null;
    return kubernetesDiscovery({ namespace, service, port: /^\d+$/.test(port) ? Number(port) : port, ...inClusterOptions(process.env) });
  },
  docker: (rest) => dockerDiscovery({ label: rest }),
};

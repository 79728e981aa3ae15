/** Peers of backends: made when they are first asked for, and kept while the backend is the same. */
import type { Backend, LoadBalancer } from '@ferrata/load-balancing';
import { formatNetAddress } from '@ferrata/net';
import { type ConnectionTracer, type Peer, type PeerOptions, peer } from '@ferrata/upstream';

/** Of backends that have left, so many are remembered besides those that are there. */
const SPARE = 64;

interface KnownPeer<Extension> {
  backend: Backend<Extension>;
  readonly peer: Peer;
}

/** The usual peers of the backends of a balancer. */
export class BackendPeers<Extension> {
  readonly #balancer: LoadBalancer<Extension>;
  readonly #known = new Map<string, KnownPeer<Extension>>();

  constructor(balancer: LoadBalancer<Extension>) {
    this.#balancer = balancer;
  }

  of(backend: Backend<Extension>): Peer {
    const known = this.#known.get(backend.name);
    if (known !== undefined && (known.backend === backend || isSamePlace(known.backend, backend))) {
      known.backend = backend;
      return known.peer;
    }
    const made = this.#make(backend);
    this.#known.set(backend.name, { backend, peer: made });
    if (this.#known.size > 2 * this.#balancer.backends.length + SPARE) this.#forgetOthers();
    return made;
  }

  #make(backend: Backend<Extension>): Peer {
    const { connect } = backend;
    const options: PeerOptions = {
      ...(connect === null ? {} : { connect: (_peer, signal) => connect(backend, signal) }),
      // A connection with a tracer costs two calls more: only where the number is wanted.
      ...(this.#balancer.config.breaker.maxConnections === Infinity ? {} : { tracer: connectionCounter(this.#balancer, backend) }),
    };
    return peer(backend.address, options);
  }

  #forgetOthers(): void {
    for (const name of this.#known.keys()) if (this.#balancer.find(name) === null) this.#known.delete(name);
  }
}

/** Its weight may be another: its connections are the same. */
function isSamePlace(a: Backend, b: Backend): boolean {
  return a.slot === b.slot && a.connect === b.connect && formatNetAddress(a.address) === formatNetAddress(b.address);
}

/** It can be asked for as it is. */
export function isPeer(value: unknown): value is Peer {
  return typeof value === 'object' && value !== null && 'key' in value && typeof value.key === 'string' && 'client' in value;
}

/** Counts the connections to a backend, for `breaker.maxConnections`: the `tracer` of a peer that a program makes itself. Make one for each backend, and keep it. */
export function connectionCounter<Extension>(balancer: LoadBalancer<Extension>, backend: Backend<Extension>): ConnectionTracer {
  return {
    onConnected: () => balancer.countConnections(backend, 1),
    onDisconnected: () => balancer.countConnections(backend, -1),
  };
}

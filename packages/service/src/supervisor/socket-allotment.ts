/**
 * Which thread gets which descriptor.
 *
 * A thread that listens on a descriptor owns its number: when the thread closes it, or dies, the number is closed for the whole process. So each thread that is ever
 * born gets descriptors of its own, all of the same sockets; and when few are left, the keeper is asked for a new generation, which comes with new ones.
 *
 * ```
 *  TCP, Unix: one socket, many descriptors:   [3 4 5 6 7 …]                    each thread takes the next one
 *  UDP:       many sockets, many of each:     [8 9 …] [10 11 …] [12 13 …]      socket j belongs to worker j mod threads, and to its replacements
 * ```
 */
import type { InheritedSocket } from '../keeper/generation-messages.ts';
import type { ListenAddress, ServiceSocket } from '../service.ts';
import type { SocketSpec } from '../socket-spec.ts';

/** A listener of a service, and the socket that it is. */
export interface PlacedListener {
  readonly listen: ListenAddress;
  readonly spec: SocketSpec;
}

/** The descriptors that a generation has inherited, as they are given out. */
export class SocketAllotment {
  readonly #sockets: ReadonlyMap<string, HeldSocket>;
  readonly #threads: number;

  constructor(sockets: readonly InheritedSocket[], threads: number) {
    this.#threads = threads;
    this.#sockets = new Map(sockets.map((socket) => [socket.spec.key, holdSocket(socket, threads)]));
  }

  /** Keys of the sockets that there are. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#sockets.keys());
  }

  /** So many more times each worker could be replaced, as far as the scarcest of its sockets goes. `Infinity` without sockets. */
  get spares(): number {
    let least = Infinity;
    for (const { groups, shares } of this.#sockets.values()) {
      for (const group of groups) least = Math.min(least, group.length / shares);
    }
    return Math.floor(least);
  }

  /**
   * Takes descriptors for one thread that is to be born.
   *
   * @param worker its number, 1 and up; 0 for a thread that takes the service alone: then it gets every UDP socket
   * @returns null if one of the sockets has no descriptor left; nothing is taken then
   */
  take(listeners: readonly PlacedListener[], worker: number): readonly ServiceSocket[] | null {
    const taken: ServiceSocket[] = [];
    for (const { listen, spec } of listeners) {
      const held = this.#sockets.get(spec.key);
      if (held === undefined) throw new Error(`no socket ${spec.key} was inherited`);
      // Where descriptors cannot be inherited, the thread listens at the address itself.
      if (held.groups.length === 0) taken.push({ listen, fd: null, address: held.address });
      for (const [index, group] of held.groups.entries()) {
        if (held.isUdp && worker !== 0 && index % this.#threads !== worker - 1) continue;
        const fd = group.shift();
        if (fd === undefined) {
          this.giveBack(taken);
          return null;
        }
        taken.push({ listen, fd, address: held.address });
        held.owners.set(fd, group);
      }
    }
    return taken;
  }

  /** Takes back what a thread has got, but never came to listen on. */
  giveBack(sockets: readonly ServiceSocket[]): void {
    for (const { fd } of sockets) {
      if (fd === null) continue;
      for (const { owners } of this.#sockets.values()) {
        owners.get(fd)?.unshift(fd);
        owners.delete(fd);
      }
    }
  }

  /** Gives out what nobody has taken, for closing: as long as one descriptor of a socket is open, the kernel takes connections on it. */
  takeRest(): readonly number[] {
    return [...this.#sockets.values()].flatMap(({ groups }) => groups.flatMap((group) => group.splice(0)));
  }
}

interface HeldSocket {
  readonly isUdp: boolean;
  readonly address: InheritedSocket['address'];
  /** Descriptors that are free, in the order in which they are taken. */
  readonly groups: readonly number[][];
  /** How many workers live off one group. */
  readonly shares: number;
  /** Of each descriptor that is taken: the group that it belongs to. */
  readonly owners: Map<number, number[]>;
}

function holdSocket({ spec, address, descriptors }: InheritedSocket, threads: number): HeldSocket {
  const isUdp = spec.transport === 'udp';
  return { isUdp, address, groups: descriptors.map((group) => [...group]), shares: isUdp ? 1 : threads, owners: new Map() };
}

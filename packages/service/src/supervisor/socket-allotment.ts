/**
 * Which thread gets which descriptor.
 *
 * A thread that listens on a descriptor owns its number: when the thread closes it, or dies, the number is closed for the whole process. So each thread that is ever
 * born gets descriptors of its own, all of the same sockets; and when few are left, the keeper is asked for a new generation, which comes with new ones.
 *
 * A thread that died may have been given descriptors that it never came to listen on: Node does not know of these, and they are given to the next thread. Which ones it
 * closed is seen from what is behind the number: Node cannot duplicate descriptors, so a number that was closed and used again never is the same socket.
 *
 * ```
 *  TCP, Unix: one socket, many descriptors:   [3 4 5 6 7 …]                    each thread takes the next one
 *  UDP:       many sockets, many of each:     [8 9 …] [10 11 …] [12 13 …]      socket j belongs to worker j mod threads, and to its replacements
 * ```
 */
import type { InheritedSocket } from '../keeper/generation-messages.ts';
import type { ListenAddress, ServiceSocket } from '../service.ts';
import type { SocketSpec } from '../socket-spec.ts';

/** When each worker can be replaced so many more times only, descriptors are low; where there never were many more, with half of them. */
const LOW_SPARES = 4;

/** The descriptors of this process. */
export interface DescriptorTable {
  /** What is behind a number, other for each socket; null: nothing, or it cannot be known. Never throws. */
  identityOf(fd: number): string | null;
  /** Never throws. */
  close(fd: number): void;
}

/** A listener of a service, and the socket that it is. */
export interface PlacedListener {
  readonly listen: ListenAddress;
  readonly spec: SocketSpec;
}

/** Whether each of so many threads can have a descriptor of each socket; of UDP there are as many sockets as there once were threads. */
export function isEnoughFor(sockets: readonly InheritedSocket[], threads: number): boolean {
  return sockets.every(({ spec, descriptors }) => spec.transport === 'udp' || descriptors.every((group) => group.length >= threads));
}

/** The descriptors that a generation has inherited, as they are given out. */
export class SocketAllotment {
  readonly #sockets: ReadonlyMap<string, HeldSocket>;
  readonly #threads: number;
  readonly #table: DescriptorTable;
  /** Of each descriptor that is taken. */
  readonly #owners = new Map<number, Owner>();
  readonly #lowSpares: number;
  #isClosed = false;

  constructor(sockets: readonly InheritedSocket[], threads: number, table: DescriptorTable) {
    this.#threads = threads;
    this.#table = table;
    this.#sockets = new Map(sockets.map((socket) => [socket.spec.key, holdSocket(socket, threads)]));
    // Without those that the first threads take.
    this.#lowSpares = Math.min(LOW_SPARES, (this.#spares - 1) / 2);
  }

  /** Few are left for workers to come: those of a new generation will be needed. */
  get isLow(): boolean {
    return this.#spares < this.#lowSpares;
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
        this.#owners.set(fd, { group, identity: this.#table.identityOf(fd) });
      }
    }
    return taken;
  }

  /** Takes back what no thread was told to listen on. */
  giveBack(sockets: readonly ServiceSocket[]): void {
    for (const { fd } of sockets) {
      const owner = fd === null ? undefined : this.#owners.get(fd);
      if (fd === null || owner === undefined) continue;
      this.#owners.delete(fd);
      if (this.#isClosed) this.#table.close(fd);
      else owner.group.unshift(fd);
    }
  }

  /** Takes back what is left of descriptors of a thread that has ended: those that it never came to listen on. */
  recover(sockets: readonly ServiceSocket[]): void {
    for (const socket of sockets) {
      const owner = socket.fd === null ? undefined : this.#owners.get(socket.fd);
      if (socket.fd === null || owner === undefined) continue;
      if (owner.identity !== null && this.#table.identityOf(socket.fd) === owner.identity) this.giveBack([socket]);
      else this.#owners.delete(socket.fd);
    }
  }

  /** So many more times each worker could be replaced, as far as the scarcest of its sockets goes. `Infinity` without sockets. */
  get #spares(): number {
    let least = Infinity;
    for (const { groups, shares } of this.#sockets.values()) {
      for (const group of groups) least = Math.min(least, group.length / shares);
    }
    return least;
  }

  /** Closes what nobody has, now and later: as long as one descriptor of a socket is open, the kernel takes connections on it. */
  close(): void {
    this.#isClosed = true;
    for (const { groups } of this.#sockets.values()) {
      for (const group of groups) for (const fd of group.splice(0)) this.#table.close(fd);
    }
  }
}

interface Owner {
  /** Where it is taken from, and goes back to. */
  readonly group: number[];
  readonly identity: string | null;
}

interface HeldSocket {
  readonly isUdp: boolean;
  readonly address: InheritedSocket['address'];
  /** Descriptors that are free, in the order in which they are taken. */
  readonly groups: readonly number[][];
  /** How many workers live off one group. */
  readonly shares: number;
}

function holdSocket({ spec, address, descriptors }: InheritedSocket, threads: number): HeldSocket {
  const isUdp = spec.transport === 'udp';
  return { isUdp, address, groups: descriptors.map((group) => [...group]), shares: isUdp ? 1 : threads };
}

/**
 * The listening sockets of a server, which this process holds and never accepts on.
 *
 * A generation gets many descriptors of each: a thread that listens on a descriptor owns that number and closes it with its listener, and Node cannot
 * duplicate a descriptor. Spawning can: the same descriptor in several places of `stdio` becomes as many in the child. What is not used by the first workers is
 * spare, for those that replace them.
 */
import { closeSync } from 'node:fs';
import { textOf } from '@ferrata/error';
import type { HeldSocket, holdSockets, SocketToHold } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import type { SocketSpec } from '../socket-spec.ts';
import type { InheritedSocket } from './generation-messages.ts';
import type { MatchedSocket } from './inherited-sockets.ts';

/** Descriptors of each socket beyond one for each thread, where the limit of descriptors allows it. */
const MAX_SPARES = 64;
/** The share of its descriptors that a generation may spend on spare ones. */
const SPARE_SHARE = 16;
/** The first descriptor of a child behind standard input, output and error. */
const FIRST_DESCRIPTOR = 3;

/** What `HeldListeners` works with. */
export interface HeldListenersOptions {
  readonly hold: typeof holdSockets;
  /** Sockets of a UDP listener: each thread reads one of its own, so that a peer stays with its thread. */
  readonly threads: number;
  /** Descriptors that one process may open; `Infinity` if that is not known. */
  readonly descriptorLimit: number;
  /** A socket could not be let go of. */
  readonly onTrouble: (text: string) => void;
}

/** What a generation is spawned with. */
export interface Inheritance {
  /** What stands in `stdio` from place 3 on. */
  readonly stdio: readonly number[];
  readonly sockets: readonly InheritedSocket[];
}

interface Held {
  readonly spec: SocketSpec;
  readonly address: StreamAddress;
  /** One for TCP and Unix sockets. */
  readonly descriptors: readonly number[];
  readonly release: () => Promise<void>;
  /** It was open before the process began, and whoever opened it holds it, too: the address could not be opened a second time. */
  readonly isPassed: boolean;
}

/** The sockets that are held, by their keys. Opening and releasing run one after the other, in the order in which they were asked for. */
export class HeldListeners {
  readonly #options: HeldListenersOptions;
  readonly #held = new Map<string, Held>();
  /** Sockets that were passed and are not wanted now. To close them would refuse nobody, and they may be wanted again. */
  readonly #parked = new Map<string, Held>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: HeldListenersOptions) {
    this.#options = options;
  }

  get keys(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** The address that a socket really has; null if it is not held. */
  addressOf(key: string): StreamAddress | null {
    return this.#held.get(key)?.address ?? null;
  }

  /** Sentences about what specs say of sockets that are held already, and were opened otherwise: a socket gets its mode and its kind of IPv6 at its birth alone. */
  mismatches(specs: readonly SocketSpec[]): readonly string[] {
    return specs.flatMap((spec) => {
      const held = this.#held.get(spec.key)?.spec;
      if (held === undefined) return [];
      const words = [
        spec.mode === held.mode ? [] : [`mode ${octal(held.mode)} instead of ${octal(spec.mode)}`],
        (spec.ipv6Only ?? false) === (held.ipv6Only ?? false)
          ? []
          : [`ipv6Only ${held.ipv6Only ?? false} instead of ${spec.ipv6Only ?? false}`],
      ].flat();
      return words.length === 0 ? [] : [`${spec.key} is open already, and keeps ${words.join(' and ')} until the server is started anew`];
    });
  }

  /** Takes over sockets that were open before the process began. */
  adopt(sockets: readonly MatchedSocket[]): void {
    for (const { spec, descriptor, address } of sockets) {
      const release = async (): Promise<void> => closeSync(descriptor);
      this.#held.set(spec.key, { spec, address, descriptors: [descriptor], release, isPassed: true });
    }
  }

  /**
   * Opens those that are not held yet: all of them or none.
   *
   * @throws {WireError} of `holdSockets`; the message names the address
   */
  open(specs: readonly SocketSpec[]): Promise<void> {
    return this.#inTurn(() => this.#open(specs));
  }

  /** Closes sockets, but for those that were passed; unknown keys are ignored. From this call on no generation gets them. Never rejects. */
  release(keys: readonly string[]): Promise<void> {
    const leaving = keys.flatMap((key) => this.#held.get(key) ?? []);
    // At once: a generation that is spawned before the turn comes would serve a socket that is let go of behind its back.
    for (const held of leaving) {
      this.#held.delete(held.spec.key);
      if (held.isPassed) this.#parked.set(held.spec.key, held);
    }
    return this.#inTurn(async () => {
      await Promise.all(leaving.filter(({ isPassed }) => !isPassed).map((held) => this.#close(held)));
    });
  }

  /** Closes all of them. Never rejects. */
  async releaseAll(): Promise<void> {
    // The keys are looked up when its turn comes: an opening before it may add some.
    await this.#inTurn(() => Promise.resolve());
    await this.release(this.keys);
    const parked = [...this.#parked.values()];
    this.#parked.clear();
    await Promise.all(parked.map((held) => this.#close(held)));
  }

  /** Lays out the descriptors of all sockets for a generation with so many threads. */
  inheritance(threads: number): Inheritance {
    const stdio: number[] = [];
    const copy = (descriptor: number, count: number): number[] =>
      Array.from({ length: count }, () => FIRST_DESCRIPTOR + stdio.push(descriptor) - 1);
    const held = [...this.#held.values()];
    const spares = this.#spares(held);
    const sockets = held.map(({ spec, address, descriptors }) => {
      // A UDP socket is read by one thread at a time; the others of its port have their own.
      const count = (descriptors.length > 1 ? 1 : threads) + spares;
      return { spec, address, descriptors: descriptors.map((descriptor) => copy(descriptor, count)) };
    });
    return { stdio, sockets };
  }

  #spares(held: readonly Held[]): number {
    const sockets = held.reduce((sum, { descriptors }) => sum + descriptors.length, 0);
    if (sockets === 0) return 0;
    return Math.max(1, Math.min(MAX_SPARES, Math.floor(this.#options.descriptorLimit / SPARE_SHARE / sockets)));
  }

  async #close({ spec: { key }, release }: Held): Promise<void> {
    try {
      await release();
    } catch (thrown) {
      this.#options.onTrouble(`${key} could not be closed: ${textOf(thrown)}`);
    }
  }

  async #open(specs: readonly SocketSpec[]): Promise<void> {
    const missing = specs.filter(({ key }) => !this.#held.has(key) && !this.#parked.has(key));
    if (missing.length > 0) {
      const opened = await this.#options.hold(missing.map((spec) => this.#toHold(spec)));
      for (const [index, spec] of missing.entries()) this.#held.set(spec.key, toHeld(spec, opened[index] as HeldSocket));
    }
    for (const { key } of specs) {
      const parked = this.#parked.get(key);
      if (parked === undefined) continue;
      this.#parked.delete(key);
      this.#held.set(key, parked);
    }
  }

  /** With what means something to its transport: the rest is refused. */
  #toHold({ transport, host, port, path, backlog, ipv6Only, mode }: SocketSpec): SocketToHold {
    const queue = backlog === undefined ? null : { backlog };
    if (transport === 'unix') return { transport, ...where({ path }), ...queue, ...(mode === undefined ? null : { mode }) };
    const target = { ...where({ host, port }), ...(ipv6Only === undefined ? null : { ipv6Only }) };
    return transport === 'udp' ? { transport, ...target, count: this.#options.threads } : { transport, ...target, ...queue };
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(act);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Without what is not there: the types tell absent from undefined. */
function where(parts: { readonly host?: string | undefined; readonly port?: number | undefined; readonly path?: string | undefined }): {
  host?: string;
  port?: number;
  path?: string;
} {
  const { host, port, path } = parts;
  return {
    ...(host === undefined ? null : { host }),
    ...(port === undefined ? null : { port }),
    ...(path === undefined ? null : { path }),
  };
}

function octal(mode: number | undefined): string {
  return mode === undefined ? 'its default' : `0${mode.toString(8)}`;
}

function toHeld(spec: SocketSpec, socket: HeldSocket): Held {
  return { spec, address: socket.address, descriptors: socket.descriptors, release: () => socket.release(), isPassed: false };
}

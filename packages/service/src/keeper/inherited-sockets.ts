/**
 * Sockets that systemd (or whoever speaks its protocol) has opened before the process began: socket activation, sd_listen_fds(3).
 *
 * `LISTEN_PID` says whom the descriptors are for, `LISTEN_FDS` how many there are, from 3 on, `LISTEN_FDNAMES` what the unit calls them. A socket goes to the
 * listener whose key, or whose service, it is named after, or else to the one with its address. A colon ends a name in that list, so the only keys that can be named there
 * are those of Unix sockets.
 */
import type { describeDescriptor } from '@ferrata/net';
import { formatAddress, type StreamAddress } from '@ferrata/stream';
import type { Environment } from '../environment.ts';
import type { SocketSpec } from '../socket-spec.ts';

/** The first descriptor that is passed: behind standard input, output and error. */
const FIRST_DESCRIPTOR = 3;

/** A socket that was passed. */
export interface PassedSocket {
  readonly descriptor: number;
  /** Empty: it has none. */
  readonly name: string;
}

/** A passed socket and the listener that it is for. */
export interface MatchedSocket {
  readonly spec: SocketSpec;
  readonly descriptor: number;
  readonly address: StreamAddress;
}

/** What became of the sockets that were passed. */
export interface SocketMatch {
  readonly matched: readonly MatchedSocket[];
  /** Sentences about those that nobody wants: they stay open and unused, as they are not ours to close. */
  readonly unmatched: readonly string[];
}

/** Names of the variables, none of which is for the processes that are spawned. */
export const listenVariables = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;

/**
 * Reads the environment.
 *
 * @returns nothing unless the sockets are meant for this very process: a parent may have left its own variables standing
 */
export function passedSockets(env: Environment, pid: number): PassedSocket[] {
  const count = Number(env['LISTEN_FDS']);
  if (env['LISTEN_PID'] !== String(pid) || !Number.isSafeInteger(count) || count < 1 || count > 10_000) return [];
  const names = env['LISTEN_FDNAMES']?.split(':') ?? [];
  return Array.from({ length: count }, (_, index) => ({ descriptor: FIRST_DESCRIPTOR + index, name: names[index] ?? '' }));
}

/**
 * Finds the listener of each passed socket.
 *
 * A name wins over an address, so that a unit may listen elsewhere than the configuration says, behind a network namespace, say. Of one service with several
 * listeners the sockets that bear its name go to those with their address first, and then in order.
 *
 * @param byService the specs by the name of their service
 */
export function matchSockets(
  passed: readonly PassedSocket[],
  byService: ReadonlyMap<string, readonly SocketSpec[]>,
  describe: typeof describeDescriptor,
): SocketMatch {
  const unmatched: string[] = [];
  const known = passed.flatMap((socket) => {
    const found = describe(socket.descriptor);
    // What cannot be described may still be named; what has a name and is something else (a FIFO, a netlink socket) fails when it is listened on.
    return [{ ...socket, transport: found?.transport ?? null, address: found?.address ?? { kind: 'unset' } }];
  });
  const matched = new Map<string, MatchedSocket>();
  const left = new Set(known);
  const take = (socket: (typeof known)[number], specs: readonly SocketSpec[], isFit: (spec: SocketSpec) => boolean): void => {
    const spec = specs.find((each) => !matched.has(each.key) && isTransport(each, socket.transport) && isFit(each));
    if (spec === undefined || !left.delete(socket)) return;
    matched.set(spec.key, { spec, descriptor: socket.descriptor, address: socket.address });
  };
  const all = [...byService.values()].flat();
  for (const socket of known) take(socket, all, (spec) => spec.key === socket.name);
  for (const socket of left) take(socket, byService.get(socket.name) ?? [], (spec) => isAt(spec, socket.address));
  for (const socket of left) take(socket, byService.get(socket.name) ?? [], () => true);
  for (const socket of left) take(socket, all, (spec) => isAt(spec, socket.address));
  for (const socket of left) {
    const name = socket.name === '' ? '' : ` named ${JSON.stringify(socket.name)}`;
    unmatched.push(
      `the inherited socket ${socket.descriptor}${name} (${socket.transport ?? 'of an unknown kind'} ${formatAddress(socket.address)}) belongs to no listener`,
    );
  }
  return { matched: [...matched.values()], unmatched };
}

function isTransport(spec: SocketSpec, transport: SocketSpec['transport'] | null): boolean {
  return transport === null || spec.transport === transport;
}

/** Port 0 is any port: it has to be named. */
function isAt(spec: SocketSpec, address: StreamAddress): boolean {
  if (address.kind === 'unix') return spec.key === `unix ${address.path}`;
  if (address.kind !== 'ip' || spec.host === undefined) return false;
  return spec.port === address.port && spec.port !== 0 && (spec.host === address.host || (isAny(spec.host) && isAny(address.host)));
}

/** systemd's `ListenStream=80` opens `[::]:80`, which takes IPv4 too. */
function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

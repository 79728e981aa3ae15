/**
 * The thread that holds listening sockets without accepting on them. Started by `holdSockets`, and by nobody else.
 *
 * ```text
 *   loaded ──turn──► opens all, in one stretch ──► held: asleep ──turn──► closes what is to be released ──► asleep … ──► the last one: ends
 *                               │
 *                               └── one fails: closes all, says which, ends
 * ```
 * Node accepts on a socket as soon as the event loop polls. So from the first `listen` on the loop never turns here: what Node puts off, it puts off by ticks
 * and promises, which run before the loop goes on; then the thread sleeps in `Atomics.wait`, and closes by itself, within one call, when woken. Nothing in
 * this file may wait for a timer, a look-up, a message or a file.
 */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, isIPv6, type Server } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { isWireError, textOf } from '@ferrata/error';
import { Gate, type HolderMessage, type HolderRequest, type HolderSeed, type HolderSocket } from './holder-messages.ts';
import { closeServer, openSocketFile, type SocketFile } from './unix-socket-file.ts';

/** A socket that is open. */
interface Opened {
  readonly servers: readonly Server[];
  readonly datagrams: readonly Socket[];
  readonly file: SocketFile | null;
}

/** Only in a thread of its own: whoever imports this file otherwise gets nothing of it. */
const seed = (workerData as { readonly ferrataHolder?: HolderSeed } | null)?.ferrataHolder;
if (seed !== undefined) {
  say({ kind: 'loaded' });
  Atomics.wait(seed.gate, Gate.turn, 0);
  void hold(seed);
}

async function hold({ requests, gate }: HolderSeed): Promise<void> {
  const opened: (Opened | null)[] = requests.map(() => null);
  let index = -1;
  try {
    // Unix sockets first, and nothing else between: the umask of the whole process is narrowed meanwhile.
    const files = requests.map((request, at) => {
      if (request.transport !== 'unix') return null;
      const file = listenAtPath(request, gate);
      opened[at] = file.opened;
      return file;
    });
    Atomics.store(gate, Gate.opened, 1);
    Atomics.notify(gate, Gate.opened);
    for (const [at, request] of requests.entries()) {
      index = at;
      opened[at] = await (files[at]?.done() ?? open(request as Exclude<HolderRequest, { transport: 'unix' }>));
    }
    index = -1;
    say({ kind: 'held', sockets: describe(requests, opened as Opened[]) });
  } catch (error) {
    for (const each of opened) if (each !== null) closeQuietly(each);
    const code = (error as NodeJS.ErrnoException).code ?? '';
    say({ kind: 'failed', index, code, reason: isWireError(error) ? error.reason : null, text: textOf(error) });
    return;
  }
  sleep(opened as Opened[], gate);
}

/** Until all are released. */
function sleep(opened: readonly Opened[], gate: Int32Array): void {
  const held = new Set(opened.keys());
  while (held.size > 0) {
    const turn = Atomics.load(gate, Gate.turn);
    for (const index of held) {
      if (Atomics.load(gate, Gate.firstSocket + index) === 0) continue;
      held.delete(index);
      say({ kind: 'released', index, failure: closeQuietly(opened[index] as Opened) });
    }
    if (held.size > 0) Atomics.wait(gate, Gate.turn, turn);
  }
}

/** @returns what went wrong; null if nothing did */
function closeQuietly({ servers, datagrams, file }: Opened): string | null {
  let failure: string | null = null;
  for (const server of servers) {
    try {
      // Node closes the descriptor within this call, and removes the file.
      if (server.listening) closeServer(server, file, false);
    } catch (error) {
      failure = textOf(error);
    }
  }
  for (const socket of datagrams) socket.close();
  return failure;
}

/** Bound within this call; whether it has worked out, a tick tells. */
function listenAtPath(
  { path, backlog, mode }: Extract<HolderRequest, { transport: 'unix' }>,
  gate: Int32Array,
): { readonly opened: Opened | null; done(): Promise<Opened> } {
  const server = createServer();
  const listening = settled(server);
  server.listen({ path, backlog, exclusive: true });
  if (!server.listening) return { opened: null, done: () => listening as Promise<never> };
  const umask = Atomics.load(gate, Gate.umask);
  let file: SocketFile | null = null;
  let refusal: { readonly error: unknown } | null = null;
  try {
    // Under an umask that was narrowed for another one, a socket without a mode gets what it would have got.
    file = openSocketFile({ kind: 'unix', path }, mode ?? (umask < 0 ? null : 0o777 & ~umask));
  } catch (error) {
    refusal = { error };
  }
  const opened = { servers: [server], datagrams: [], file };
  const done = async (): Promise<Opened> => {
    await listening;
    if (refusal !== null) throw refusal.error;
    return opened;
  };
  return { opened, done };
}

async function open(request: Exclude<HolderRequest, { transport: 'unix' }>): Promise<Opened> {
  if (request.transport === 'udp') return openDatagrams(request);
  const { host, port, backlog, ipv6Only } = request;
  const server = createServer();
  const listening = settled(server);
  server.listen({ host, port, backlog, ipv6Only, exclusive: true });
  await listening;
  return { servers: [server], datagrams: [], file: null };
}

/** The first one chooses the port; the others share it. */
async function openDatagrams({ host, port, ipv6Only, count }: Extract<HolderRequest, { transport: 'udp' }>): Promise<Opened> {
  const datagrams: Socket[] = [];
  try {
    for (let at = 0; at < count; at++) {
      const socket = createSocket({
        type: isIPv6(host) ? 'udp6' : 'udp4',
        reusePort: count > 1,
        ipv6Only,
        // It is an address already. Node's own look-up would be one more thing to go through.
        lookup: (address, _options, done) => done(null, address, isIPv6(address) ? 6 : 4),
      });
      datagrams.push(socket);
      const bound = settled(socket);
      socket.bind({ address: host, port: datagrams[0] === socket ? port : (datagrams[0] as Socket).address().port, exclusive: true });
      await bound;
    }
  } catch (error) {
    for (const socket of datagrams) socket.close();
    throw error;
  }
  return { servers: [], datagrams, file: null };
}

/** Settles by a tick at the latest, never by a turn of the loop. */
function settled(socket: Server | Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('error', reject);
  socket.on('listening', resolve);
  promise.catch(() => {});
  return promise;
}

function say(message: HolderMessage): void {
  parentPort?.postMessage(message);
}

// ---- numbers of descriptors ---------------------------------------------------------------------------------------------------------

function describe(requests: readonly HolderRequest[], opened: readonly Opened[]): HolderSocket[] {
  const numbers = descriptors();
  // Handles stand in the report in the order in which they were made: Unix sockets were first.
  const take = (kind: keyof typeof numbers): number => {
    const number = numbers[kind].shift();
    if (number === undefined) throw new Error('Node’s report does not tell the descriptors of this thread');
    return number;
  };
  const sockets = opened.map(({ servers, datagrams, file }, at): HolderSocket => {
    const kind = handleOf[requests[at]?.transport ?? 'tcp'];
    const address = (servers[0] ?? datagrams[0])?.address() ?? null;
    return {
      address: address === null || typeof address === 'string' ? null : { host: address.address, port: address.port },
      file,
      descriptors: [...servers, ...datagrams].map(() => take(kind)),
    };
  });
  if (Object.values(numbers).some(({ length }) => length > 0)) throw new Error('this thread has descriptors that it has not opened');
  return sockets;
}

const handleOf = { tcp: 'tcp', unix: 'pipe', udp: 'udp' } as const;

/** Node's one public place that tells the numbers of descriptors: the diagnostic report, which lists the handles of this thread's loop. */
function descriptors(): Record<'tcp' | 'pipe' | 'udp', number[]> {
  const { report } = process as unknown as { report: { excludeNetwork: boolean; getReport(): unknown } };
  const before = report.excludeNetwork;
  // Otherwise it looks up the name of each address, which may take many seconds.
  report.excludeNetwork = true;
  try {
    const { libuv } = report.getReport() as { libuv: readonly { readonly type: string; readonly fd?: number }[] };
    const numbersOf = (type: string): number[] => libuv.flatMap((handle) => (handle.type === type ? (handle.fd ?? []) : []));
    return { tcp: numbersOf('tcp'), pipe: numbersOf('pipe'), udp: numbersOf('udp') };
  } finally {
    report.excludeNetwork = before;
  }
}

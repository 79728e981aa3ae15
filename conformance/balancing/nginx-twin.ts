/**
 * Our balancer beside a real nginx: whom each sends the same requests to, one after another.
 *
 * One nginx is both sides: it listens on a socket for each `upstream` block, and on those of the servers of these. It is asked one request at a time, and says by `$upstream_addr` whom it chose;
 * as it is one process, that is one sequence. Ours is asked as often.
 */
import { Agent } from 'node:http';
import type { Random } from '@ferrata/clock';
import { connectError } from '@ferrata/error';
import { type Backend, ketama, LoadBalancer, roundRobin, type SelectionAlgorithm, smoothWeighted } from '@ferrata/load-balancing';
import type { PeerProgram } from '@ferrata/tools/peers';
import { askSocket, type NginxProcess, startNginxProcess, triedBy } from '../rig/nginx-process.ts';
import { type Outcome, outcomeOf } from '../runner.ts';

/** For `providePrograms`. */
export const NGINX: PeerProgram = { command: 'nginx', debianPackage: 'nginx', purpose: 'whose turns ours must equal' };

/** A `server` line. */
interface Server {
  readonly weight: number;
  readonly isDown?: boolean;
  readonly isBackup?: boolean;
  /** Nobody listens there. */
  readonly isGone?: boolean;
}

/** An `upstream` block. */
interface Upstream {
  readonly id: string;
  /** `$uri` decides. */
  readonly isHashed: boolean;
  readonly servers: readonly Server[];
}

const MAX_SERVERS = 24;
const TURNS = 250;
const KEYS = 400;

const weighing = (...weights: readonly number[]): readonly Server[] => weights.map((weight) => ({ weight }));
const turnsOf = (id: string, servers: readonly Server[]): Upstream => ({ id, isHashed: false, servers });

const FIXED: readonly Upstream[] = [
  turnsOf('5-1-1', weighing(5, 1, 1)),
  turnsOf('1-1-1', weighing(1, 1, 1)),
  turnsOf('4-3-2-1', weighing(4, 3, 2, 1)),
  turnsOf('7-7-1', weighing(7, 7, 1)),
  turnsOf('1-100', weighing(1, 100)),
  turnsOf('one', weighing(3)),
  turnsOf('down', [{ weight: 3 }, { weight: 9, isDown: true }, { weight: 2 }, { weight: 1 }]),
  turnsOf('backup', [{ weight: 3 }, { weight: 5, isBackup: true }, { weight: 2 }]),
  turnsOf('only-backups', [
    { weight: 4, isDown: true },
    { weight: 3, isBackup: true },
    { weight: 1, isBackup: true },
    { weight: 1, isDown: true },
  ]),
];

const RINGS: readonly Upstream[] = [
  { id: 'ring', isHashed: true, servers: weighing(1, 2, 1, 5, 1, 3, 1) },
  { id: 'ring-down', isHashed: true, servers: Array.from({ length: 12 }, (_, place) => ({ weight: 1, isDown: place === 4 })) },
  { id: 'ring-gone', isHashed: true, servers: Array.from({ length: 20 }, (_, place) => ({ weight: 1, isGone: place === 7 })) },
];

const RANDOM_UPSTREAMS = 12;

/** Compares. @returns an outcome for each upstream @throws {Error} with what nginx said, when it does not come up */
export async function compareWithNginx(random: Random): Promise<readonly Outcome[]> {
  const drawn = Array.from({ length: RANDOM_UPSTREAMS }, (_, index) => turnsOf(`random-${index}`, randomServers(random)));
  const upstreams = [...FIXED, ...drawn, ...RINGS];
  const backends = Array.from({ length: MAX_SERVERS }, (_, place) => `backend-${place}`);
  const nginx = await startNginxProcess([...upstreams.map(({ id }) => id), ...backends], (socketOf) =>
    configuration(upstreams, backends, socketOf),
  );
  const outcomes: Outcome[] = [];
  try {
    for (const upstream of upstreams) {
      const twin = new Twin(upstream, nginx);
      outcomes.push(await outcomeOf(`nginx/${upstream.id}`, async () => await twin.compare()));
      twin.close();
    }
  } finally {
    await nginx.stop();
  }
  return outcomes;
}

/** Some of them down, some for when no other is left. */
function randomServers(random: Random): readonly Server[] {
  const count = 2 + random.below(7);
  const servers = Array.from({ length: count }, (_, place): Server => {
    const kind = place === 0 ? 0 : random.below(6);
    return { weight: 1 + random.below(20), isDown: kind === 1, isBackup: kind === 2 };
  });
  // Sometimes the backups have to serve.
  return random.below(4) === 0
    ? [...servers.map((server) => (server.isBackup === true ? server : { ...server, isDown: true })), { weight: 2, isBackup: true }]
    : servers;
}

function configuration(upstreams: readonly Upstream[], backends: readonly string[], socketOf: (name: string) => string): string {
  const lineOf = ({ weight, isDown = false, isBackup = false, isGone = false }: Server, place: number): string => {
    const flags = `${isDown ? ' down' : ''}${isBackup ? ' backup' : ''} ${isGone ? 'max_fails=1 fail_timeout=1h' : 'max_fails=0'}`;
    return `    server ${addressOf(socketOf, place, isGone)} weight=${weight}${flags};`;
  };
  const blocks = upstreams.map(
    ({ id, isHashed, servers }) => `  upstream ${id} {
${isHashed ? '    hash $uri consistent;\n' : ''}${servers.map(lineOf).join('\n')}
  }
  server {
    listen unix:${socketOf(id)};
    add_header X-Tried $upstream_addr always;
    location / { proxy_pass http://${id}; }
  }`,
  );
  return `  keepalive_requests 100000;
  proxy_next_upstream error timeout;
${blocks.join('\n')}
  server {
${backends.map((name) => `    listen unix:${socketOf(name)};`).join('\n')}
    location / { return 204; }
  }`;
}

function addressOf(socketOf: (name: string) => string, place: number, isGone: boolean): string {
  return `unix:${socketOf(isGone ? `nobody-${place}` : `backend-${place}`)}`;
}

/** Both for one upstream. */
class Twin {
  readonly #upstream: Upstream;
  readonly #nginx: NginxProcess;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(upstream: Upstream, nginx: NginxProcess) {
    this.#upstream = upstream;
    this.#nginx = nginx;
  }

  async compare(): Promise<string | null> {
    return this.#upstream.isHashed ? await this.#compareKeys() : await this.#compareTurns();
  }

  close(): void {
    this.#agent.destroy();
  }

  async #compareTurns(): Promise<string | null> {
    const theirs: string[] = [];
    for (let turn = 0; turn < TURNS; turn++) theirs.push((await this.#ask('/')).join(', '));
    for (const algorithm of [smoothWeighted(), roundRobin()]) {
      using ours = this.#balancer(algorithm);
      for (const [turn, address] of theirs.entries()) {
        const name = ours.select()?.name ?? 'nobody';
        if (name !== address) return `turn ${turn}: nginx has ${this.#placeOf(address)}, ${algorithm.name} ${this.#placeOf(name)}`;
      }
    }
    return null;
  }

  async #compareKeys(): Promise<string | null> {
    using ours = this.#balancer(ketama());
    // Whose a key is, ready or not.
    using homes = this.#balancer(ketama());
    const gone = ours.backends.filter((_, place) => this.#upstream.servers[place]?.isGone === true);
    let isKnown = false;
    let metGone = 0;
    for (let index = 0; index < KEYS; index++) {
      const key = `/assets/${index * 7919}/app-${index}.js`;
      const theirs = await this.#ask(key);
      // As soon as nginx has met it, it passes it over; ours is told, as by a health check.
      if (!isKnown && theirs.length > 1) {
        const walk = walkOf(ours, key, theirs.length);
        if (walk.join(', ') !== theirs.join(', '))
          return `${key}: nginx tried ${theirs.map((name) => this.#placeOf(name)).join(', ')}, ours ${walk.map((name) => this.#placeOf(name)).join(', ')}`;
        for (const backend of gone)
          ours.setHealthy(backend, false, { check: 'by hand', error: connectError('CONNECT_REFUSED', 'as nginx has found') });
        isKnown = true;
        continue;
      }
      const name = ours.select(key)?.name ?? 'nobody';
      if (name !== theirs.join(', '))
        return `${key}: nginx has ${theirs.map((tried) => this.#placeOf(tried)).join(', ')}, ours ${this.#placeOf(name)}`;
      if (gone.some(({ name: lost }) => homes.select(key)?.name === lost)) metGone++;
    }
    if (gone.length > 0 && (!isKnown || metGone === 0)) return `no key of ${KEYS} met the server that is gone, so nothing was seen`;
    return null;
  }

  #balancer(algorithm: SelectionAlgorithm): LoadBalancer {
    return new LoadBalancer({
      algorithm,
      // nginx calls backups when no other is left, and not before.
      overprovisioning: Infinity,
      backends: this.#upstream.servers.map(({ weight, isDown = false, isBackup = false, isGone = false }, place) => ({
        address: addressOf(this.#nginx.socketOf, place, isGone),
        weight,
        isEnabled: !isDown,
        priority: isBackup ? 1 : 0,
      })),
    });
  }

  async #ask(path: string): Promise<readonly string[]> {
    return triedBy(await askSocket({ agent: this.#agent, socketPath: this.#nginx.socketOf(this.#upstream.id), path }));
  }

  /** For people. */
  #placeOf(address: string): string {
    return /(\w+-\d+)\.sock/.exec(address)?.[1] ?? address;
  }
}

/** Whom ours tries for a key, if each try fails. */
function walkOf(balancer: LoadBalancer, key: string, length: number): readonly string[] {
  const tried: Backend[] = [];
  while (tried.length < length) {
    const next = balancer.select(key, { exclude: tried as Backend<undefined>[] });
    if (next === null) break;
    tried.push(next);
  }
  return tried.map(({ name }) => name);
}

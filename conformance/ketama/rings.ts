/**
 * The rings that nginx and ours are asked about: those of the committed vectors, each for one rule of nginx's, and random ones for the live run.
 *
 * Nobody listens at their addresses, and no packet for them leaves the machine: they are addresses of the loopback network, ports of
 * `localhost` and paths of sockets that don't exist. nginx chooses a server, fails to connect, and says whom it tried.
 */
import type { Random } from '@ferrata/clock';

/** A `server` line of an `upstream` block. */
export interface RingServer {
  readonly address: string;
  readonly weight?: number;
  /** Marked `down`: it keeps its points, and its keys go to the next node. */
  readonly isDown?: boolean;
  /** What `$upstream_addr` calls it, if not by its address; several for a name that has several addresses. */
  readonly shownAs?: string | readonly string[];
}

/** An `upstream` block. */
export interface Ring {
  /** Lower-case letters, digits and hyphens. */
  readonly id: string;
  readonly servers: readonly RingServer[];
  /** How many servers nginx tries for each key: more than one shows the order of fail-over. */
  readonly tries: number;
}

/**
 * The rings of the committed vectors.
 *
 * nginx gives up after passing 20 points of nodes that are down or were tried, and takes any node. Rings with either are of many nodes of
 * equal weight, so that this doesn't happen.
 */
export function vectorRings(): readonly Ring[] {
  const many = addresses(1000, (index) => `127.70.${index >>> 8}.${index & 0xff}:8080`);
  return [
    { id: 'two', tries: 1, servers: addresses(2, (index) => `127.0.0.1:${6443 + index}`) },
    { id: 'ipv4', tries: 1, servers: addresses(10, (index) => `127.64.${index}.${255 - index}:${index ** 5 + 1}`) },
    {
      id: 'no-port',
      tries: 1,
      servers: [
        ...addresses(5, (index) => `127.65.0.${index + 1}`).map(({ address }) => ({ address, shownAs: `${address}:80` })),
        ...addresses(5, (index) => `127.65.1.${index + 1}:80`),
      ],
    },
    {
      id: 'ipv6',
      tries: 1,
      servers: [
        { address: '[::1]', shownAs: '[::1]:80' },
        ...addresses(5, (index) => `[::1]:${8000 + index}`),
        { address: '[0:0:0:0:0:0:0:1]:8100', shownAs: '[::1]:8100' },
        { address: '[0::1]:8101', shownAs: '[::1]:8101' },
        { address: '[::FFFF:127.0.0.1]:8102', shownAs: '[::ffff:127.0.0.1]:8102' },
      ],
    },
    {
      id: 'unix',
      tries: 1,
      servers: [
        ...addresses(6, (index) => `unix:/nonexistent/${index}.sock`),
        { address: 'unix:/nonexistent/host:80' },
        { address: '127.66.0.1:80' },
      ],
    },
    {
      id: 'weights',
      tries: 1,
      servers: [1, 2, 3, 5, 8, 50, 100].map((weight, index) => ({ address: `127.67.0.${index}:8080`, weight })),
    },
    {
      id: 'duplicates',
      tries: 1,
      servers: [
        { address: '127.68.0.1:80', weight: 2 },
        { address: '127.68.0.2:80' },
        { address: '127.68.0.1:80' },
        { address: '127.68.0.3:80', weight: 4 },
        { address: '127.68.0.2:80', weight: 6 },
        { address: '127.68.0.2:80', weight: 3 },
      ],
    },
    {
      id: 'duplicates-fail-over',
      tries: 4,
      servers: [
        ...addresses(10, (index) => `127.71.0.${index}:80`).map((server, index) => (index === 4 ? { ...server, weight: 3 } : server)),
        ...addresses(5, (index) => `127.71.0.${index}:80`),
        { address: '127.71.0.0:80' },
      ],
    },
    {
      id: 'host-names',
      tries: 1,
      servers: [
        named('localhost', 80),
        ...Array.from({ length: 5 }, (_, index) => named(`localhost:${8080 + index}`, 8080 + index)),
        named('LocalHost:8090', 8090),
        { address: '127.72.0.1:8080' },
      ],
    },
    {
      id: 'down',
      tries: 1,
      servers: addresses(30, (index) => `127.69.0.${index}:80`).map((server, index) => ({ ...server, isDown: index % 5 === 0 })),
    },
    { id: 'fail-over', tries: 4, servers: addresses(40, (index) => `unix:/nonexistent/fail-over/${index}`) },
    { id: 'many', tries: 1, servers: many },
    { id: 'many-reversed', tries: 1, servers: many.toReversed() },
  ];
}

/** A key of the one point that two servers of the ring `many` have in common, 18 and 698: it goes to the one that stands first. */
const TIE_KEY = 'tie-1502110317-5593';

/** The keys of the committed vectors: paths, numbers, addresses, long ones, short ones, and text beyond ASCII. */
export function vectorKeys(): readonly string[] {
  const keys = ['a', '/', '__proto__', 'constructor', '%00', 'ключ', '鍵', '🔑', 'é', 'x'.repeat(4000), TIE_KEY];
  for (let index = 0; index < 150; index++) keys.push(`/assets/${index}/app.js?v=${index * 7919}`);
  for (let index = 0; index < 100; index++) keys.push(String(index * index * 101));
  for (let index = 0; index < 100; index++) keys.push(`198.51.100.${index}`);
  for (let index = 0; index < 40; index++) keys.push(`user-${'é🔑'.repeat(index % 4)}${index}`);
  return keys;
}

/** Makes a ring by chance: of weights and repeated addresses, of nodes that are down, or with fail-over, of repeated addresses too. */
export function randomRing(id: string, random: Random, { hasIpv6 }: { readonly hasIpv6: boolean }): Ring {
  const kind = random.below(4);
  if (kind === 0) return { id, tries: 1, servers: weightedServers(random, hasIpv6) };
  const count = 20 + random.below(60);
  if (kind === 1 || kind === 2) {
    const distinct = addresses(count, (index) => `unix:/nonexistent/${id}/${random.uint32()}-${index}`);
    return kind === 1
      ? { id, tries: 3, servers: distinct }
      : { id, tries: 4, servers: [...distinct, ...distinct.filter(() => random.below(2) === 0)] };
  }
  const servers = addresses(count, (index) => randomAddress(random, index, hasIpv6));
  return { id, tries: 1, servers: servers.map((server) => ({ ...server, isDown: random.below(10) === 0 })) };
}

/** Makes a key by chance: text of any length to 40, of characters that a field value may have. */
export function randomKey(random: Random): string {
  const alphabet = ['a', 'b', 'Z', '0', '9', '/', '-', '.', '%', '~', 'é', 'ж', '鍵', '🔑'];
  return Array.from({ length: 1 + random.below(40) }, () => alphabet[random.below(alphabet.length)]).join('');
}

function weightedServers(random: Random, hasIpv6: boolean): readonly RingServer[] {
  const distinct = addresses(2 + random.below(60), (index) => randomAddress(random, index, hasIpv6));
  const repeated = distinct.filter(() => random.below(8) === 0);
  return [...distinct, ...repeated].map((server) => (random.below(2) === 0 ? server : { ...server, weight: 1 + random.below(12) }));
}

/** @param index makes the address unlike the others of its ring */
function randomAddress(random: Random, index: number, hasIpv6: boolean): string {
  const kind = random.below(hasIpv6 ? 3 : 2);
  if (kind === 0) return `unix:/nonexistent/${random.uint32()}-${index}`;
  if (kind === 1) return `127.${1 + random.below(250)}.${random.below(256)}.${index}:${1 + random.below(65_535)}`;
  return `[::1]:${1 + index * 250 + random.below(250)}`;
}

/** A server called by a name that the machine's own table of hosts has. */
function named(address: string, port: number): RingServer {
  return { address, shownAs: [`127.0.0.1:${port}`, `[::1]:${port}`] };
}

function addresses(count: number, addressOf: (index: number) => string): readonly RingServer[] {
  return Array.from({ length: count }, (_, index) => ({ address: addressOf(index) }));
}

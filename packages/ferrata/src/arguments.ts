/** The command line of `ferrata`, parsed once into what the program needs. Every wrong argument gets a sentence that says what to write. */
import { parseArgs } from 'node:util';
import { type NetAddress, parseAddress } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import type { OriginAddress } from './reverse-proxy.ts';

/** What `ferrata reverse` was asked to do. Times in milliseconds. */
export interface ReverseArguments {
  /** Where to accept connections; at least one, none twice. */
  readonly listen: readonly NetAddress[];
  /** The origins, which take turns; at least one, none of them among `listen`. */
  readonly to: readonly OriginAddress[];
  /** Requests at once on one connection to an origin that speaks HTTP/2. Default 100. */
  readonly upstreamStreams: number;
  /** Connections at once to one origin that speaks HTTP/2. Default 64. */
  readonly upstreamConnections: number;
  /** Whether each request gets a JSON line on standard output. Default: no. */
  readonly hasAccessLog: boolean;
  /** Until a connection to an origin stands. Default 3 s. */
  readonly connectTimeoutMs: number;
  /** Until an origin sends the first, and then the next, byte of its response. Default 60 s. */
  readonly readTimeoutMs: number;
  /** How long a client's connection may stay without a request. Default 60 s. */
  readonly idleTimeoutMs: number;
  /** How long running requests get to end after SIGTERM or SIGINT. Default 30 s. */
  readonly graceMs: number;
  /** The most that a request's head may measure, 64 bytes to 16 MiB. Default 32 768. */
  readonly maxHeaderBytes: number;
  /** Worker threads, 1 to 1024. Default 1. */
  readonly threads: number;
}

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'reverse'; readonly arguments: ReverseArguments };

/** The arguments make no sense; the message says what to write instead. */
export class UsageError extends Error {
  override get name(): string {
    return 'UsageError';
  }
}

/** What `ferrata --help` prints. */
export const help = `ferrata: a reverse proxy

  ferrata reverse --listen URL [--listen URL…] --to URL [--to URL…] [options]

  --listen URL            where to accept connections: http://127.0.0.1:8080, http://[::1]:0 (any free port), http://unix:/path.sock
                          each of them takes HTTP/1 and HTTP/2 (h2c, by its preface)
  --to URL                where requests go, written the same way; several take turns;
                          h2c://127.0.0.1:3000 or h2c://unix:/path.sock for an origin that speaks HTTP/2
  --upstream-streams N    h2c: requests at once on one connection to an origin (100)
  --upstream-connections N
                          h2c: connections at once to one origin (64)
  --access-log            one JSON line on standard output for each request
  --connect-timeout TIME  until a connection to an origin stands (3s)
  --read-timeout TIME     until an origin sends the first, and then the next, byte of its response (60s)
  --idle-timeout TIME     how long a client's connection may stay without a request (60s)
  --max-header-bytes N    size of a request's head (32768)
  --threads N             worker threads (1)
  --grace TIME            after SIGTERM or SIGINT: time for running requests to end (30s)
  --help, --version

  TIME is a number with a unit, 500ms, 3s or 2m; without a unit it is seconds.
  Prints \`ready URL\` for each listener once it accepts. A first SIGTERM or SIGINT ends in order, a second one at once.
`;

const options = {
  listen: { type: 'string', multiple: true },
  to: { type: 'string', multiple: true },
  'upstream-streams': { type: 'string' },
  'upstream-connections': { type: 'string' },
  'access-log': { type: 'boolean' },
  'connect-timeout': { type: 'string' },
  'read-timeout': { type: 'string' },
  'idle-timeout': { type: 'string' },
  'max-header-bytes': { type: 'string' },
  threads: { type: 'string' },
  grace: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

/** @throws {UsageError} when the arguments make no sense */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parse(argv);
  if (values.help === true) return { kind: 'help' };
  if (values.version === true) return { kind: 'version' };
  const [command, ...rest] = positionals;
  if (command === undefined)
    throw new UsageError('say what to do: ferrata reverse --listen http://127.0.0.1:8080 --to http://127.0.0.1:3000');
  if (command !== 'reverse') throw new UsageError(`there is no command '${command}'; write: ferrata reverse --listen URL --to URL`);
  if (rest.length > 0) throw new UsageError(`'${rest.join(' ')}' belongs to no option; each address needs --listen or --to in front of it`);
  const listen = values.listen ?? [];
  const to = values.to ?? [];
  if (listen.length === 0) throw new UsageError('say where to accept connections: --listen http://127.0.0.1:8080');
  if (to.length === 0) throw new UsageError('say where requests go: --to http://127.0.0.1:3000');
  const addresses = { listen: listen.map((url) => parseUrl('--listen', url)), to: to.map(parseOrigin) };
  checkTogether(addresses.listen, addresses.to);
  return {
    kind: 'reverse',
    arguments: {
      ...addresses,
      upstreamStreams: parseCount('--upstream-streams', values['upstream-streams'], { fallback: 100, least: 1, most: 10_000 }),
      upstreamConnections: parseCount('--upstream-connections', values['upstream-connections'], { fallback: 64, least: 1, most: 10_000 }),
      hasAccessLog: values['access-log'] ?? false,
      connectTimeoutMs: parseTime('--connect-timeout', values['connect-timeout'], 3_000),
      readTimeoutMs: parseTime('--read-timeout', values['read-timeout'], 60_000),
      idleTimeoutMs: parseTime('--idle-timeout', values['idle-timeout'], 60_000),
      graceMs: parseTime('--grace', values.grace, 30_000),
      maxHeaderBytes: parseCount('--max-header-bytes', values['max-header-bytes'], { fallback: 32_768, least: 64, most: 16_777_216 }),
      threads: parseCount('--threads', values.threads, { fallback: 1, least: 1, most: 1_024 }),
    },
  };
}

/** Addresses that are each right and make no sense together. */
function checkTogether(listen: readonly NetAddress[], to: readonly OriginAddress[]): void {
  const listening = new Set<string>();
  for (const address of listen) {
    const url = formatUrl(address);
    if (listening.has(url)) throw new UsageError(`--listen ${url} is written twice; once is enough`);
    if (!isAnyPort(address)) listening.add(url);
  }
  for (const address of to) {
    const url = formatUrl(address);
    if (isAnyPort(address)) throw new UsageError(`--to ${url}: port 0 is only for --listen; write the port of the origin`);
    if (listening.has(formatUrl({ ...address, protocol: 'http1' })))
      throw new UsageError(`--to ${url}: that is where the proxy itself listens; write the address of the origin`);
  }
}

function isAnyPort(address: NetAddress): boolean {
  return address.kind === 'tcp' && address.port === 0;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
  } catch (error) {
    // Node's sentence ends with advice on '--' that fits no option of ours.
    const [sentence = ''] = (error as Error).message.split(/\. To |\.\n| To specify/);
    throw new UsageError(`${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}; ferrata --help lists the options`, { cause: error });
  }
}

function parseOrigin(url: string): OriginAddress {
  const address = parseUrl('--to', url);
  return schemeOf(url) === 'h2c' ? { ...address, protocol: 'http2' } : address;
}

function schemeOf(url: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
}

function parseUrl(option: string, url: string): NetAddress {
  const example = option === '--listen' ? 'http://127.0.0.1:8080' : 'http://127.0.0.1:3000';
  const scheme = schemeOf(url);
  if (scheme === 'https') throw new UsageError(`${option} ${url}: TLS is not supported yet; write http://`);
  if (scheme === 'h2c' && option === '--listen')
    throw new UsageError(
      `${option} ${url}: write http${url.slice(scheme.length)}; an http:// listener speaks both, HTTP/1 and HTTP/2 without TLS`,
    );
  if (scheme !== 'http' && scheme !== 'h2c')
    throw new UsageError(`${option} ${url}: write the address as a URL, such as ${example} or http://unix:/path.sock`);
  const rest = url.slice(`${scheme}://`.length);
  if (rest.startsWith('unix:')) return address(option, url, rest);
  const authority = rest.endsWith('/') ? rest.slice(0, -1) : rest;
  const path = /[/?#]/.exec(authority);
  if (path !== null)
    throw new UsageError(
      `${option} ${url}: only an address, without '${authority.slice(path.index)}'; write ${scheme}://${authority.slice(0, path.index)}`,
    );
  const hasPort = authority.startsWith('[') ? authority.includes(']:') : authority.includes(':');
  return address(option, url, hasPort ? authority : `${authority}:80`);
}

function address(option: string, url: string, text: string): NetAddress {
  try {
    return parseAddress(text);
  } catch (error) {
    throw new UsageError(`${option} ${url}: ${(error as Error).message}`, { cause: error });
  }
}

function parseTime(option: string, text: string | undefined, fallbackMs: number): number {
  if (text === undefined) return fallbackMs;
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[found?.[2] ?? 's'] ?? 1_000;
  const time = Number(found?.[1]) * unit;
  if (!(time > 0 && time <= 86_400_000))
    throw new UsageError(`${option} ${text}: write a time above 0 and up to a day, such as 500ms, 3s or 2m`);
  // Whole milliseconds, as the sockets take them: 2.03 s has a fraction in binary.
  return Math.max(1, Math.round(time));
}

function parseCount(option: string, text: string | undefined, range: { fallback: number; least: number; most: number }): number {
  if (text === undefined) return range.fallback;
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= range.least && count <= range.most))
    throw new UsageError(`${option} ${text}: write a whole number from ${range.least} to ${range.most}`);
  return count;
}

/** An address as the command line writes it: `http://127.0.0.1:8080`, `http://unix:/path.sock`, `h2c://127.0.0.1:3000`. */
export function formatUrl(where: OriginAddress | StreamAddress): string {
  const scheme = 'protocol' in where && where.protocol === 'http2' ? 'h2c' : 'http';
  switch (where.kind) {
    case 'unix':
      return `${scheme}://unix:${where.path}`;
    case 'unset':
      return `${scheme}://-`;
    default:
      return where.host.includes(':') ? `${scheme}://[${where.host}]:${where.port}` : `${scheme}://${where.host}:${where.port}`;
  }
}

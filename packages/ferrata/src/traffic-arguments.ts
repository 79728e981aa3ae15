/** The arguments that say what becomes of requests: where they go, what is changed in them, and what is wrong with all of it together. */
import type { CompressionCoding } from '@ferrata/http-modules';
import { CidrSet } from '@ferrata/net';
import { discoveryFor } from './discover.ts';
import { type HeaderDirection, parseHeaderEdits } from './header-edits.ts';
import { parseWeight } from './load-balance.ts';
import { originsOf, prefixProblem, type Route, type Routing, routesOf } from './routes.ts';
import { formatPlace, formatUrl, type ListenAddress, type OriginAddress, parseOrigin } from './urls.ts';
import { UsageError } from './usage-error.ts';

/** A coding that `--compress` can name. */
export type NamedCoding = Exclude<CompressionCoding, 'dcz'>;

/** On which sides PROXY headers are spoken. */
export type ProxyProtocolSides = 'in' | 'out' | 'both';

/** What `parseArgs` says of an option, as far as it matters here. */
export interface GivenOption {
  readonly kind: string;
  readonly name?: string;
  readonly value?: string | undefined;
}

/** The codings in the order in which they are preferred where the client has no preference. */
const USUAL_CODINGS: readonly NamedCoding[] = ['zstd', 'br', 'gzip'];

/**
 * Puts each `--to` to the `--route` that is written before it, or to `/`.
 *
 * @returns the origins of `/` in `to`, those of the other prefixes in `routes`
 * @throws {UsageError} for a prefix that is none, has no origin, or is written twice
 */
export function groupOrigins(given: readonly GivenOption[]): Required<Routing> {
  const groups: GivenRoute[] = [{ prefix: '/', to: [], discover: [] }];
  let before = '';
  for (const { kind, name = '', value = '' } of given) {
    if (kind !== 'option') continue;
    const group = groups.at(-1) as GivenRoute;
    if (name === 'to') group.to.push(parseOrigin(value));
    else if (name === 'discover') {
      discoveryFor(value);
      group.discover.push(value);
    } else if (name === 'route') groups.push({ prefix: parsePrefix('--route', value), to: [], discover: [] });
    else if (name === 'weight' || name === 'backup') {
      if (before !== 'to')
        throw new UsageError(
          `--${name} belongs directly behind a --to: --to http://127.0.0.1:3000 --${name}${name === 'weight' ? ' 2' : ''}`,
        );
      const origin = group.to.pop() as OriginAddress;
      group.to.push(name === 'weight' ? { ...origin, weight: parseWeight('--weight', value) } : { ...origin, isBackup: true });
      continue;
    }
    before = name;
  }
  for (const { prefix, to, discover } of groups) {
    const [first] = discover;
    if (prefix !== '/' && to.length === 0 && discover.length === 0)
      throw new UsageError(`--route ${prefix}: say where its requests go, behind it: --route ${prefix} --to http://127.0.0.1:3000`);
    if (to.length > 0 && first !== undefined)
      throw new UsageError(`--discover ${first}: the route ${prefix} has --to, too; write one or the other`);
  }
  const used = groups.slice(0, 1).filter(isUsed).concat(groups.slice(1)).map(routeOf);
  checkPrefixes(used, (prefix) =>
    prefix === '/' && groups[0] !== undefined && isUsed(groups[0])
      ? 'a --to before any --route is for / already; write all its origins in one place'
      : `--route ${prefix} is written twice; write it once, with all its --to behind it`,
  );
  return splitRoutes(used);
}

interface GivenRoute {
  readonly prefix: string;
  readonly to: OriginAddress[];
  readonly discover: string[];
}

function isUsed({ to, discover }: GivenRoute): boolean {
  return to.length > 0 || discover.length > 0;
}

function routeOf({ prefix, to, discover }: GivenRoute): Route {
  return discover.length === 0 ? { prefix, to } : { prefix, to, discover };
}

/** @throws {UsageError} when it is no prefix */
export function parsePrefix(option: string, text: string): string {
  const problem = prefixProblem(text);
  if (problem !== null) throw new UsageError(`${option} ${text}: ${problem}`);
  return text;
}

/** Adds the routes of a file to those of the command line. @throws {UsageError} where both have one */
export function joinRoutings(first: Required<Routing>, second: Required<Routing>, file: string): Required<Routing> {
  const all = [first, second].flatMap(({ to, routes }) => [...(to.length === 0 ? [] : [{ prefix: '/', to }]), ...routes]);
  checkPrefixes(all, (prefix) => `${file}: the command line has origins for ${prefix}, too; write them in one place`);
  return splitRoutes(all);
}

/** @throws {UsageError} */
function checkPrefixes(routes: readonly Route[], sentence: (prefix: string) => string): void {
  const seen = new Set<string>();
  for (const { prefix } of routes) {
    if (seen.has(prefix)) throw new UsageError(sentence(prefix));
    seen.add(prefix);
  }
}

/** What is for `/`, and the rest. */
export function splitRoutes(routes: readonly Route[]): Required<Routing> {
  // One that has more to it than origins stays a route.
  const plain = routes.find(({ prefix, discover, balancing }) => prefix === '/' && discover === undefined && balancing === undefined);
  return { to: plain?.to ?? [], routes: routes.filter((route) => route !== plain) };
}

/** @throws {UsageError} for one that is wrong, with what to write */
export function checkHeaderOption(option: string, texts: readonly string[], direction: HeaderDirection): readonly string[] {
  try {
    parseHeaderEdits(texts, direction);
  } catch (error) {
    throw new UsageError(`${option} ${(error as Error).message}`, { cause: error });
  }
  return texts;
}

/**
 * What `parseArgs` cannot take as it is written: `--compress` may stand alone, and what `--header-up` takes may begin with a minus sign.
 * @returns the same arguments, their values joined to them
 */
export function withJoinedValues(argv: readonly string[]): readonly string[] {
  const joined: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] as string;
    const next = argv[index + 1];
    if ((argument === '--compress' || argument === '--sticky') && (next === undefined || next.startsWith('-') || next === 'reverse'))
      joined.push(`${argument}=`);
    else if ((argument === '--header-up' || argument === '--header-down') && next !== undefined && /^-[^-]/.test(next)) {
      joined.push(`${argument}=${next}`);
      index++;
    } else joined.push(argument);
  }
  return joined;
}

/** @returns null: nothing is compressed @throws {UsageError} for a coding that is none, or is there twice */
export function parseCompress(text: string | undefined): readonly NamedCoding[] | null {
  if (text === undefined) return null;
  if (text === '') return USUAL_CODINGS;
  const codings = text.split(',').map((name) => {
    const coding = USUAL_CODINGS.find((known) => known === name.trim().toLowerCase());
    if (coding === undefined) throw new UsageError(`--compress ${text}: write a list of gzip, br and zstd, or nothing for all of them`);
    return coding;
  });
  if (new Set(codings).size < codings.length) throw new UsageError(`--compress ${text}: a coding is in it twice`);
  return codings;
}

/** @throws {UsageError} for sides that there are not, and where it is not said who is trusted, or nobody of a listener can be */
export function parseProxyProtocol(
  sides: string | undefined,
  from: readonly string[],
  listen: readonly ListenAddress[],
): { readonly proxyProtocol: ProxyProtocolSides | null; readonly proxyProtocolFrom: readonly string[] } {
  if (sides !== undefined && sides !== 'in' && sides !== 'out' && sides !== 'both')
    throw new UsageError(`--proxy-protocol ${sides}: write in (listeners), out (origins) or both`);
  const proxyProtocol = sides ?? null;
  const isRead = proxyProtocol === 'in' || proxyProtocol === 'both';
  if (isRead && from.length === 0)
    throw new UsageError(
      `--proxy-protocol ${proxyProtocol}: say whose headers are believed, as whoever sends one may say anything: --proxy-protocol-from 10.0.0.0/8`,
    );
  if (!isRead && from.length > 0)
    throw new UsageError('--proxy-protocol-from is for listeners that read PROXY headers; write --proxy-protocol in with it');
  const proxyProtocolFrom = from.flatMap((text) => text.split(',')).map((range) => range.trim());
  if (proxyProtocolFrom.includes('all') && proxyProtocolFrom.length > 1)
    throw new UsageError('--proxy-protocol-from all: everybody is believed then; write no ranges beside it');
  for (const range of proxyProtocolFrom) if (range !== 'all') checkRange(range);
  const local = listen.find(({ kind }) => kind === 'unix');
  if (isRead && local !== undefined && !proxyProtocolFrom.includes('all'))
    throw new UsageError(
      `--listen ${formatUrl(local)}: who comes by a Unix socket has no address that could be in a range; write --proxy-protocol-from all`,
    );
  return { proxyProtocol, proxyProtocolFrom };
}

function checkRange(range: string): void {
  try {
    new CidrSet([range]);
  } catch (error) {
    throw new UsageError(
      `--proxy-protocol-from ${range}: ${(error as Error).message.replace(/^invalid range .*?": /, '')}; write a range such as 10.0.0.0/8, an address, or all`,
      { cause: error },
    );
  }
}

/** Addresses that are each right and make no sense together. @throws {UsageError} */
export function checkListeners(listen: readonly ListenAddress[]): void {
  const listening = new Map<string, string>();
  for (const address of listen) {
    const url = formatUrl(address);
    const before = listening.get(formatPlace(address));
    if (before === url) throw new UsageError(`--listen ${url} is written twice; once is enough`);
    if (before !== undefined) throw new UsageError(`--listen ${url}: ${before} listens there already; give each of them a port of its own`);
    if (!isAnyPort(address)) listening.set(formatPlace(address), url);
  }
}

/** What is to be known of all origins at once. */
export interface OriginChecks {
  readonly listen: readonly ListenAddress[];
  readonly isVerifying: boolean;
  readonly caFiles: readonly string[];
}

/** @throws {UsageError} for an origin that cannot be one, and where what is said of TLS has no origin */
export function checkOrigins(routing: Routing, { listen, isVerifying, caFiles }: OriginChecks): void {
  const origins = originsOf(routing);
  const isDiscovering = routesOf(routing).some(({ discover }) => discover !== undefined);
  if (origins.length === 0 && !isDiscovering) throw new UsageError('say where requests go: --to http://127.0.0.1:3000');
  const listening = new Set(listen.filter((address) => !isAnyPort(address)).map(formatPlace));
  for (const address of origins) {
    const url = formatUrl(address);
    if (isAnyPort(address)) throw new UsageError(`--to ${url}: port 0 is only for --listen; write the port of the origin`);
    if (listening.has(formatPlace(address)))
      throw new UsageError(`--to ${url}: that is where the proxy itself listens; write the address of the origin`);
  }
  const hasSecure = origins.some(({ isSecure }) => isSecure === true);
  if (!hasSecure && (!isVerifying || caFiles.length > 0))
    throw new UsageError(`${isVerifying ? '--ca' : '--no-verify'} is for https:// origins, and there is none; write --to https://HOST`);
}

function isAnyPort(address: ListenAddress | OriginAddress): boolean {
  return address.kind === 'tcp' && address.port === 0;
}

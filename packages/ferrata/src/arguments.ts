/** The command line of `ferrata`, parsed once into what the program needs. Every wrong argument gets a sentence that says what to write. */
import { type CertArguments, parseCertArguments, wantsCertHelp } from './cert-arguments.ts';
import { type LoadBalancing, parseLoadBalancing, type WrittenBalancing } from './load-balance.ts';
import { parseCount, parseOptions } from './parse-options.ts';
import { parseTime } from './parse-time.ts';
import type { Route } from './routes.ts';
import {
  checkHeaderOption,
  checkListeners,
  checkOrigins,
  groupOrigins,
  type NamedCoding,
  type ProxyProtocolSides,
  parseCompress,
  parseProxyProtocol,
  withJoinedValues,
} from './traffic-arguments.ts';
import { formatUrl, type ListenAddress, type OriginAddress, parseListener } from './urls.ts';
import { UsageError } from './usage-error.ts';

/** A certificate of a listener, with its chain, and the key of it: files of PEM. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** What `ferrata reverse` was asked to do. Times in milliseconds. */
export interface ReverseArguments {
  /** Where to accept connections; at least one, none twice. */
  readonly listen: readonly ListenAddress[];
  /** The origins of all paths that none of `routes` takes, in turn; none of them is among `listen`. May be empty where there are others. */
  readonly to: readonly OriginAddress[];
  /** The origins of paths that begin with a prefix, which is never `/`. */
  readonly routes: readonly Route[];
  /** Routes and changes of fields in YAML, beside those of the command line; null: none. A reload reads it again. */
  readonly routeFile: string | null;
  /** How requests are shared out. Absent: they take turns. */
  readonly balancing?: LoadBalancing;
  /** Where the secret of sticky cookies is; absent: one is drawn at the start. */
  readonly stickySecretFile?: string;
  /** Changes of the fields of requests, as `parseHeaderEdit` reads them, in their order. */
  readonly headerUp: readonly string[];
  /** The same for responses of origins. */
  readonly headerDown: readonly string[];
  /** How responses may be compressed, the favourite first; null: not at all. */
  readonly compress: readonly NamedCoding[] | null;
  /** On which sides connections begin with a PROXY header; null: on none. */
  readonly proxyProtocol: ProxyProtocolSides | null;
  /** Whose PROXY headers are believed: ranges of addresses, or `all` alone. */
  readonly proxyProtocolFrom: readonly string[];
  /** How often a request that was sent may be sent again. Default 1. */
  readonly retries: number;
  /** For `https://` listeners, chosen by the name that the client asks for; the first is for those who ask for none, or for another. */
  readonly certificates: readonly CertificateFiles[];
  /** Whether origins have to prove who they are. Default: yes. */
  readonly isVerifying: boolean;
  /** Whom to trust as authorities for origins, files of PEM. Default none: those that Node comes with. */
  readonly caFiles: readonly string[];
  /** Requests at once on one connection to an origin that speaks HTTP/2. Default 100. */
  readonly upstreamStreams: number;
  /**
   * Connections of each thread at once to one origin. Default: 64 of HTTP/2; to an origin of HTTP/1 alone as many as are asked for; 1 024 of HTTP/1
   * over TLS.
   */
  readonly upstreamConnections?: number;
  /** Whether each request gets a JSON line on standard output. Default: no. */
  readonly hasAccessLog: boolean;
  /** Until a connection to an origin stands. Default 3 s. */
  readonly connectTimeoutMs: number;
  /** Until an origin sends the first, and then the next, byte of its response. Default 60 s. */
  readonly readTimeoutMs: number;
  /** How long a client's connection may stay without a request. Default 60 s. */
  readonly idleTimeoutMs: number;
  /** The most that a request's head may measure, 64 bytes to 16 MiB. Default 32 768. */
  readonly maxHeaderBytes: number;
  /** Only looks at the arguments, and at the files that they name. Default: no. */
  readonly isTest: boolean;
  /** Options of the server in YAML, for what the command line does not say; null: none. */
  readonly configFile: string | null;
  /** Of the server, whatever it serves. */
  readonly server: ServerArguments;
}

/** What a server can be told beside what it serves; what is not there stands in `configFile`, or has its default. */
export interface ServerArguments {
  /** Worker threads, 1 to 256. Default 1. */
  readonly threads?: number;
  /** How long running requests get to end after SIGTERM, or when another generation has taken over. Default 30 s. */
  readonly graceMs?: number;
  readonly pidFile?: string;
  /** `127.0.0.1:9000`, `unix:/run/ferrata-admin.sock`. */
  readonly admin?: string;
  readonly user?: string | number;
  readonly group?: string | number;
}

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'reverse'; readonly arguments: ReverseArguments }
  | { readonly kind: 'certHelp' }
  | { readonly kind: 'cert'; readonly arguments: CertArguments };

/** What `ferrata --help` prints. */
export const help = `ferrata: a reverse proxy

  ferrata reverse --listen URL [--listen URL…] --to URL [--to URL…] [--route PREFIX --to URL…] [options]
  ferrata cert dev NAME…  makes a certificate for development; see ferrata cert --help

  --listen URL            where to accept connections: http://127.0.0.1:8080, http://[::1]:0 (any free port), http://unix:/path.sock
                          each of them takes HTTP/1 and HTTP/2: h2c by its preface, over https:// by ALPN
  --cert FILE --key FILE  for https:// listeners: a certificate with its chain, and its key, as PEM; several pairs are chosen from by the
                          name that the client asks for, the first is the default. Files that change are read again
  --to URL                where requests go, written the same way; several take turns;
                          https:// speaks HTTP/2 or HTTP/1, as the origin chooses;
                          h2c://127.0.0.1:3000 or h2c://unix:/path.sock for an origin that speaks HTTP/2 without TLS
  --weight N              behind a --to: its share in relation to the others (1)
  --backup                behind a --to: it gets requests as far as the others of its route are not ready
  --discover URL          in place of --to: where origins are found, dns://name:port, srv://_http._tcp.name, file:///path,
                          consul://host:port/service, etcd://host:port/prefix, k8s://namespace/service:port, docker://label;
                          several are taken together. They are spoken to by HTTP/1 without TLS
  --lb HOW                round-robin, random, least-requests, p2c, ewma, ketama, maglev, bounded or hash (round-robin)
  --lb-key WHAT           for ketama, maglev, bounded and hash: ip, uri, path, header:NAME, cookie:NAME, query:NAME (uri)
  --sticky[=NAME]         a cookie that leads clients back to the origin that they had
  --sticky-secret-file FILE
                          what signs it; without it a secret is drawn at the start, and does not survive a restart
  --health WHAT           checks origins: a path to ask for, tcp or grpc
  --health-interval TIME  --health-timeout TIME  --health-status LIST
                          how often (5s), how long (1s), and which statuses are good (200-399)
  --outliers              puts origins out for a while by what becomes of requests, not only while they cannot be connected to
  --slow-start TIME       how long an origin that is new, or comes back, takes to get its whole share (0)
  --route PREFIX          the --to behind it are for paths that begin with it, /api for /api and /api/x; the longest prefix wins.
                          --to before any --route are for all other paths
  --route-file FILE       routes and changes of fields as YAML, read again at a reload; see the README
  --header-up 'N: value'  sets a field of requests to origins; '+N: value' adds a line, '-N' removes the field; may be repeated
  --header-down 'N: value'
                          the same for responses of origins
  --compress[=LIST]       compresses responses for clients that take it: gzip, br, zstd; without a list all of them
  --retries N             how often a request that got no byte of answer may be sent again, if that cannot do it twice (1)
  --proxy-protocol WHERE  in: connections of clients begin with a PROXY header; out: those to origins do; both
  --proxy-protocol-from CIDR
                          in: the sources whose headers are believed; may be repeated; all: whoever connects
  --ca FILE               https:// origins: the authorities to trust, as PEM, instead of Node's own; may be repeated
  --no-verify             https:// origins: takes anybody for the origin, whatever its certificate
  --h2-upstream-streams N
                          HTTP/2: requests at once on one connection to an origin (100); also --upstream-streams
  --upstream-connections N
                          connections at once to one origin, of each thread (HTTP/2 64, http:// as many as asked for,
                          HTTP/1 over TLS 1024)
  --access-log            one JSON line on standard output for each request
  --connect-timeout TIME  until a connection to an origin stands (3s)
  --read-timeout TIME     until an origin sends the first, and then the next, byte of its response (60s)
  --idle-timeout TIME     how long a client's connection may stay without a request (60s)
  --max-header-bytes N    size of a request's head (32768)
  --threads N             worker threads (1)
  --grace TIME            after SIGTERM, or an upgrade: time for running requests to end (30s)
  --pid-file FILE         where to write the number of the process while it runs
  --admin ADDRESS         health, readiness, reload, upgrade by HTTP: 127.0.0.1:9000 or unix:/path.sock
  --user NAME, --group NAME
                          whom to become when the listeners are open
  --conf FILE             options of the server as YAML, for what is not written here; see the README
  --test                  looks at the arguments and the files that they name, and ends: 0 if all is well, 2 if not
  --help, --version

  TIME is a number with a unit, 500ms, 3s or 2m; without a unit it is seconds.
  Prints \`ready URL\` for each listener once it accepts. Signals: SIGTERM ends in order, SIGINT at once, SIGHUP reads certificates,
  authorities and --route-file again, SIGQUIT or SIGUSR2 starts the program anew without losing a connection.
`;

const options = {
  listen: { type: 'string', multiple: true },
  to: { type: 'string', multiple: true },
  route: { type: 'string', multiple: true },
  'route-file': { type: 'string' },
  weight: { type: 'string', multiple: true },
  backup: { type: 'boolean', multiple: true },
  discover: { type: 'string', multiple: true },
  lb: { type: 'string' },
  'lb-key': { type: 'string' },
  sticky: { type: 'string' },
  'sticky-secret-file': { type: 'string' },
  health: { type: 'string' },
  'health-interval': { type: 'string' },
  'health-timeout': { type: 'string' },
  'health-status': { type: 'string' },
  outliers: { type: 'boolean' },
  'slow-start': { type: 'string' },
  'header-up': { type: 'string', multiple: true },
  'header-down': { type: 'string', multiple: true },
  compress: { type: 'string' },
  retries: { type: 'string' },
  'proxy-protocol': { type: 'string' },
  'proxy-protocol-from': { type: 'string', multiple: true },
  cert: { type: 'string', multiple: true },
  key: { type: 'string', multiple: true },
  ca: { type: 'string', multiple: true },
  'no-verify': { type: 'boolean' },
  'h2-upstream-streams': { type: 'string' },
  'upstream-streams': { type: 'string' },
  'upstream-connections': { type: 'string' },
  'access-log': { type: 'boolean' },
  'connect-timeout': { type: 'string' },
  'read-timeout': { type: 'string' },
  'idle-timeout': { type: 'string' },
  'max-header-bytes': { type: 'string' },
  threads: { type: 'string' },
  grace: { type: 'string' },
  conf: { type: 'string' },
  'pid-file': { type: 'string' },
  admin: { type: 'string' },
  user: { type: 'string' },
  group: { type: 'string' },
  test: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

/** @throws {UsageError} when the arguments make no sense */
export function parseCommand(argv: readonly string[]): Command {
  if (argv[0] === 'cert') return parseCert(argv.slice(1));
  const { values, positionals, tokens } = parseOptions(withJoinedValues(argv), options, 'ferrata --help');
  if (values.help === true) return { kind: 'help' };
  if (values.version === true) return { kind: 'version' };
  const [command, ...rest] = positionals;
  if (command === undefined)
    throw new UsageError('say what to do: ferrata reverse --listen http://127.0.0.1:8080 --to http://127.0.0.1:3000');
  if (command !== 'reverse') throw new UsageError(`there is no command '${command}'; write: ferrata reverse --listen URL --to URL`);
  if (rest.length > 0) throw new UsageError(`'${rest.join(' ')}' belongs to no option; each address needs --listen or --to in front of it`);
  const routeFile = values['route-file'] ?? null;
  if (routeFile === '') throw new UsageError('--route-file needs a value');
  if ((values.listen ?? []).length === 0) throw new UsageError('say where to accept connections: --listen http://127.0.0.1:8080');
  const listen = (values.listen ?? []).map(parseListener);
  checkListeners(listen);
  const routing = groupOrigins(tokens);
  const verification = verificationOf(values['no-verify'] ?? false, values.ca ?? []);
  // What a file has is known when it is read.
  if (routeFile === null) checkOrigins(routing, { listen, ...verification });
  return {
    kind: 'reverse',
    arguments: {
      listen,
      ...routing,
      routeFile,
      ...balancingOf(values),
      headerUp: checkHeaderOption('--header-up', values['header-up'] ?? [], 'up'),
      headerDown: checkHeaderOption('--header-down', values['header-down'] ?? [], 'down'),
      compress: parseCompress(values.compress),
      ...parseProxyProtocol(values['proxy-protocol'], values['proxy-protocol-from'] ?? [], listen),
      certificates: pairs(values.cert ?? [], values.key ?? [], listen),
      ...verification,
      upstreamStreams: upstreamStreamsOf(values),
      ...upstreamConnectionsOf(values['upstream-connections']),
      retries: parseCount('--retries', values.retries, { fallback: 1, least: 0, most: 100 }),
      hasAccessLog: values['access-log'] ?? false,
      connectTimeoutMs: parseTime('--connect-timeout', values['connect-timeout'], 3_000),
      readTimeoutMs: parseTime('--read-timeout', values['read-timeout'], 60_000),
      idleTimeoutMs: parseTime('--idle-timeout', values['idle-timeout'], 60_000),
      maxHeaderBytes: parseCount('--max-header-bytes', values['max-header-bytes'], { fallback: 32_768, least: 64, most: 16_777_216 }),
      isTest: values.test ?? false,
      configFile: values.conf ?? null,
      server: serverArguments(values),
    },
  };
}

function parseCert(argv: readonly string[]): Command {
  return wantsCertHelp(argv) ? { kind: 'certHelp' } : { kind: 'cert', arguments: parseCertArguments(argv) };
}

function serverArguments(values: {
  readonly threads?: string | undefined;
  readonly grace?: string | undefined;
  readonly conf?: string | undefined;
  readonly 'pid-file'?: string | undefined;
  readonly admin?: string | undefined;
  readonly user?: string | undefined;
  readonly group?: string | undefined;
}): ServerArguments {
  const { threads, grace, conf, 'pid-file': pidFile, admin, user, group } = values;
  for (const [option, value] of Object.entries({ conf, 'pid-file': pidFile, admin, user, group }))
    if (value === '') throw new UsageError(`--${option} needs a value`);
  return {
    ...(threads === undefined ? {} : { threads: parseCount('--threads', threads, { fallback: 1, least: 1, most: 256 }) }),
    ...(grace === undefined ? {} : { graceMs: parseTime('--grace', grace, 0) }),
    ...(pidFile === undefined ? {} : { pidFile }),
    ...(admin === undefined ? {} : { admin }),
    ...(user === undefined ? {} : { user: accountOf(user) }),
    ...(group === undefined ? {} : { group: accountOf(group) }),
  };
}

/** A number is the number itself: nobody has such a name. */
function accountOf(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

function balancingOf(
  values: WrittenBalancing & { readonly 'sticky-secret-file'?: string | undefined },
): Pick<ReverseArguments, 'balancing' | 'stickySecretFile'> {
  const balancing = parseLoadBalancing(values);
  const { 'sticky-secret-file': stickySecretFile } = values;
  if (stickySecretFile === '') throw new UsageError('--sticky-secret-file needs the name of a file');
  return { ...(balancing === undefined ? {} : { balancing }), ...(stickySecretFile === undefined ? {} : { stickySecretFile }) };
}

/** Unwritten, it is what is usual for each version of HTTP. */
function upstreamConnectionsOf(text: string | undefined): Pick<ReverseArguments, 'upstreamConnections'> {
  return text === undefined
    ? {}
    : { upstreamConnections: parseCount('--upstream-connections', text, { fallback: 64, least: 1, most: 10_000 }) };
}

/** Both names are one option. */
function upstreamStreamsOf(values: {
  readonly 'h2-upstream-streams'?: string | undefined;
  readonly 'upstream-streams'?: string | undefined;
}): number {
  const { 'h2-upstream-streams': text, 'upstream-streams': other } = values;
  if (text !== undefined && other !== undefined)
    throw new UsageError('--h2-upstream-streams and --upstream-streams are the same option; write one of them');
  const option = other === undefined ? '--h2-upstream-streams' : '--upstream-streams';
  return parseCount(option, text ?? other, { fallback: 100, least: 1, most: 10_000 });
}

/** The certificates in the order of their options, each with the key that is written at the same place among its own. */
function pairs(certs: readonly string[], keys: readonly string[], listen: readonly ListenAddress[]): CertificateFiles[] {
  const secure = listen.find(({ isSecure }) => isSecure === true);
  if (certs.length !== keys.length)
    throw new UsageError(
      `--cert and --key belong together, and there are ${certs.length} of the one and ${keys.length} of the other; write --cert FILE --key FILE for each certificate`,
    );
  for (const file of [...certs, ...keys]) if (file === '') throw new UsageError('--cert and --key need the name of a file');
  if (secure !== undefined && certs.length === 0)
    throw new UsageError(
      `--listen ${formatUrl(secure)}: say with which certificate, by --cert FILE --key FILE; ferrata cert dev localhost makes one to try with`,
    );
  if (secure === undefined && certs.length > 0)
    throw new UsageError('--cert and --key are for https:// listeners, and there is none; write --listen https://127.0.0.1:8443');
  return certs.map((certificateFile, index) => ({ certificateFile, keyFile: keys[index] as string }));
}

function verificationOf(isOff: boolean, caFiles: readonly string[]): Pick<ReverseArguments, 'isVerifying' | 'caFiles'> {
  if (isOff && caFiles.length > 0) throw new UsageError('--no-verify and --ca contradict each other; with --ca, origins are verified');
  if (caFiles.includes('')) throw new UsageError('--ca needs the name of a file');
  return { isVerifying: !isOff, caFiles };
}

/** The configuration that every thread of `ferrata reverse` works by: what the command line says, and what is in the files that it names. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isWireError, type WireError } from '@ferrata/error';
import { CertificateStore, loadCertificate, readPlainFile, TlsClient, type TlsClientOptions } from '@ferrata/net';
import type { CertificateFiles, ReverseArguments } from './arguments.ts';
import { shellFile } from './cert-usage.ts';
import type { ReverseProxyOptions } from './reverse-options.ts';
import { readRouteFile } from './route-file.ts';
import { checkOrigins, joinRoutings, splitRoutes } from './traffic-arguments.ts';
import { UsageError } from './usage-error.ts';

/** A certificate with what was in its files when they were good. */
export interface KeptCertificate extends CertificateFiles {
  /** The beginning of the SHA-256 of both: what is told when they change. */
  readonly fingerprint: string;
  /** Both as PEM: a thread that takes the place of another serves them while the files cannot be used. By its name, nobody is shown it. */
  readonly certificateAndKey: string;
}

/** Plain data, the same for all threads. */
export interface ReverseConfig
  extends Pick<
    ReverseArguments,
    | 'listen'
    | 'to'
    | 'routes'
    | 'compress'
    | 'retries'
    | 'proxyProtocol'
    | 'proxyProtocolFrom'
    | 'isVerifying'
    | 'upstreamStreams'
    | 'upstreamConnections'
    | 'hasAccessLog'
    | 'connectTimeoutMs'
    | 'readTimeoutMs'
    | 'idleTimeoutMs'
    | 'maxHeaderBytes'
    | 'balancing'
  > {
  /** What sticky cookies are signed with, if a file says it. */
  readonly secretSticky?: string;
  /** Changes of fields, which may hold credentials. By its name, nobody is shown them. */
  readonly secretHeaders: { readonly up: readonly string[]; readonly down: readonly string[] };
  readonly certificates: readonly KeptCertificate[];
  /** Whom to trust as authorities for origins, as PEM: a thread that takes the place of another needs no file for it. None: those that Node comes with. */
  readonly authorities: readonly { readonly file: string; readonly pem: string }[];
}

/**
 * Reads and checks all files.
 *
 * @throws {UsageError} that names the file, and says what is wrong with it
 */
export function loadReverseConfig(args: ReverseArguments): ReverseConfig {
  const { listen, isVerifying, upstreamStreams, upstreamConnections, hasAccessLog, compress, retries, proxyProtocol } = args;
  const { connectTimeoutMs, readTimeoutMs, idleTimeoutMs, maxHeaderBytes, proxyProtocolFrom } = args;
  return {
    listen,
    ...trafficOf(args),
    isVerifying,
    upstreamStreams,
    ...(upstreamConnections === undefined ? {} : { upstreamConnections }),
    hasAccessLog,
    compress,
    retries,
    proxyProtocol,
    proxyProtocolFrom,
    connectTimeoutMs,
    readTimeoutMs,
    idleTimeoutMs,
    maxHeaderBytes,
    ...(args.balancing === undefined ? {} : { balancing: args.balancing }),
    ...(args.stickySecretFile === undefined ? {} : { secretSticky: readSecret(args.stickySecretFile) }),
    certificates: args.certificates.map(keepCertificate),
    authorities: args.caFiles.map((file) => ({ file, pem: readAuthorities(file) })),
  };
}

/** What the command line says, with what the file has beside it. */
function trafficOf(args: ReverseArguments): Pick<ReverseConfig, 'to' | 'routes' | 'secretHeaders'> {
  const { to, routes, routeFile, headerUp, headerDown } = args;
  if (routeFile === null) return { to, routes, secretHeaders: { up: headerUp, down: headerDown } };
  const file = readRouteFile(routeFile);
  const routing = joinRoutings({ to, routes }, splitRoutes(file.routes), `--route-file ${routeFile}`);
  try {
    checkOrigins(routing, args);
  } catch (error) {
    // At a reload nobody has just written the command line.
    throw new UsageError(`--route-file ${routeFile}, beside the command line: ${(error as Error).message}`, { cause: error });
  }
  return { ...routing, secretHeaders: { up: [...headerUp, ...file.headerUp], down: [...headerDown, ...file.headerDown] } };
}

/** What is to be said of certificates that are served all the same: that one has expired, say. */
export async function certificateConcerns(certificates: readonly CertificateFiles[]): Promise<readonly string[]> {
  if (certificates.length === 0) return [];
  using store = new CertificateStore(certificates, { watch: false, recheckMs: Infinity });
  const { outcomes } = await store.reload();
  return outcomes.flatMap(({ concern }) => (concern === null ? [] : [concern.message]));
}

/** Whom to trust. */
export function upstreamTlsOf({ isVerifying, authorities }: Pick<ReverseConfig, 'isVerifying' | 'authorities'>): TlsClientOptions {
  return { verifyCert: isVerifying, ...(authorities.length === 0 ? {} : { ca: authorities.map(({ pem }) => pem) }) };
}

/** What version 2 can say that version 1 cannot is that a connection is nobody's: that of a client on a Unix socket. */
const SENT_PROXY_HEADER = 'v2';

/** On which sides PROXY headers are spoken. */
export function proxyProtocolOf({
  proxyProtocol,
  proxyProtocolFrom,
}: Pick<ReverseConfig, 'proxyProtocol' | 'proxyProtocolFrom'>): Pick<ReverseProxyOptions, 'acceptProxy' | 'sendProxyHeader'> {
  const trusted = proxyProtocolFrom.includes('all') ? 'all' : proxyProtocolFrom;
  return {
    ...(proxyProtocol === 'in' || proxyProtocol === 'both' ? { acceptProxy: { trusted } } : {}),
    ...(proxyProtocol === 'out' || proxyProtocol === 'both' ? { sendProxyHeader: SENT_PROXY_HEADER } : {}),
  };
}

/** What the certificates of a configuration are, for a look at whether those of another one are the same. */
export function certificatesMark({ certificates }: Pick<ReverseConfig, 'certificates'>): string {
  return certificates.map(({ fingerprint }) => fingerprint).join(' ');
}

/** The same of the authorities. */
export function authoritiesMark({ authorities }: Pick<ReverseConfig, 'authorities'>): string {
  return authorities.map(({ pem }) => pem).join('\n');
}

function keepCertificate(files: CertificateFiles): KeptCertificate {
  try {
    const { certificatePem, keyPem } = loadCertificate(files);
    const certificateAndKey = certificatePem + keyPem;
    return { ...files, fingerprint: createHash('sha256').update(certificateAndKey).digest('hex').slice(0, 16), certificateAndKey };
  } catch (error) {
    if (!isWireError(error)) throw error;
    throw new UsageError(`${error.message}${keyAdvice(error, files)}`, { cause: error });
  }
}

function readSecret(file: string): string {
  let text: string;
  try {
    text = Buffer.from(readPlainFile(file)).toString('utf8').trim();
  } catch (error) {
    throw new UsageError(`--sticky-secret-file ${file}: it cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (Buffer.byteLength(text) < 16)
    throw new UsageError(`--sticky-secret-file ${file}: it has fewer than 16 bytes; write some by openssl rand -hex 32`);
  return text;
}

function readAuthorities(file: string): string {
  let text: string;
  try {
    text = Buffer.from(readPlainFile(file)).toString('utf8');
  } catch (error) {
    throw new UsageError(`--ca ${file}: it cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new UsageError(`--ca ${file}: there is no certificate in PEM in it`);
  try {
    // Each file by itself, so that the sentence names the right one.
    new TlsClient({ ca: text });
  } catch (error) {
    throw new UsageError(`--ca ${file}: there is something in it that is no certificate: ${(error as Error).message}`, { cause: error });
  }
  return text;
}

/** PEM says so by its label (RFC 7468 §11) or, in the older forms, by a header (RFC 1421 §4.6.1.1). */
const encryptedKey = /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m;

/** What to do about a key that OpenSSL would only call unreadable; empty if that is not it. */
function keyAdvice({ reason }: WireError, { keyFile }: CertificateFiles): string {
  if (reason !== 'TLS_KEY_UNREADABLE') return '';
  try {
    if (encryptedKey.test(readFileSync(keyFile, 'utf8')))
      return `; --key ${keyFile} is encrypted, and the command asks for no passphrase: decrypt it by openssl pkey -in ${shellFile(keyFile)} -out FILE`;
  } catch {
    // Then the error tells of it.
  }
  return '';
}

/** Options of a TLS server, checked once. */
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber, type WireError } from '@ferrata/error';
import type { StreamInfo } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { checkAlpn, isList } from './alpn.ts';
import type { CertificateSource } from './certificate-source.ts';
import type { CertificateReload } from './certificate-store.ts';
import { resolveCiphers } from './cipher-names.ts';
import { type HandshakeComplete, handshakeFunction, type ReadHandshake } from './handshake-extension.ts';
import { type Pem, pemBlocks } from './pem.ts';
import { TicketKeys } from './ticket-keys.ts';
import { type TlsProfileName, type TlsVersion, tlsProfile } from './tls-profiles.ts';
import { defaultHardLimitBytes } from './tls-stream.ts';

/** Whether clients are to show certificates, and which are good. */
export interface ClientCertificateOptions {
  /**
   * `optional`: a client may have none; one that it shows must be good all the same, or the connection is refused: a name that nobody has verified is worse than none.
   * `required`: a client without is refused.
   */
  readonly mode: 'optional' | 'required';
  /** The authorities that are trusted, as PEM; nobody else's, also not those of the system. */
  readonly ca: Pem | readonly Pem[];
  /**
   * Intermediate authorities between a client's certificate and a root of `ca`, at most, 0 to 100, by the shortest chain of what the client has sent and `ca` that is
   * signed and valid throughout. Default 100, as OpenSSL. Fewer: less of what an authority may delegate.
   */
  readonly maxDepth?: number;
  /**
   * Lists of what the authorities have revoked, as PEM: one of each authority in the chain, roots and intermediates, and none that has run out: a certificate that can't be looked up
   * so is refused. Default: none is asked. A new list needs a new server; sessions live on for `sessionTimeoutMs`.
   */
  readonly crl?: Pem | readonly Pem[];
}

/** Settings of a TLS server. */
export interface TlsServerOptions {
  /** The first is the default one. Needed unless there is `certificateFor`. */
  readonly certificates?: readonly CertificateSource[];
  /**
   * Chooses a certificate for a connection; null: from `certificates`. Asked for each handshake, with the name that the client sends (in lower case) or null if it sends
   * none. May take time, within that of the handshake; a throw or a rejection ends it. The same object is loaded once: give a new object for a new certificate.
   */
  readonly certificateFor?: (name: string | null, info: StreamInfo) => CertificateSource | null | Promise<CertificateSource | null>;
  /** Whether files of certificates are watched, and read again when they change. Default true. */
  readonly watch?: boolean;
  /** Versions and ciphers, by Mozilla's guideline. Default `intermediate`; `modern` is TLS 1.3 only. */
  readonly profile?: TlsProfileName;
  /** Cipher suites, by IANA's or OpenSSL's names, those of TLS 1.3 among them. Default: those of the profile. */
  readonly ciphers?: readonly string[];
  /** Groups of the key exchange, the preferred first, by OpenSSL's names. Default: those of the profile. */
  readonly curves?: readonly string[];
  /** Default: that of the profile. Below `TLSv1.2` nothing is safe (RFC 8996). */
  readonly minVersion?: TlsVersion;
  /** Default: that of the profile. */
  readonly maxVersion?: TlsVersion;
  /**
   * Protocols, the preferred first (RFC 7301). A client that offers only others is served without ALPN, as one that offers none. Not so if the list is `['h2']`
   * alone, or with `requireAlpn`: then such a client gets the alert `no_application_protocol`. Default: none.
   */
  readonly alpn?: readonly string[];
  /** Refuses clients whose ALPN lists none of ours; see `alpn`. One that does not know ALPN is served still. Default false. */
  readonly requireAlpn?: boolean;
  /** Keys of session tickets, to be shared with other threads; false: no resumption. Default: keys of this server's own. */
  readonly tickets?: TicketKeys | false;
  /** Default: none are asked for. */
  readonly clientCertificates?: ClientCertificateOptions;
  /** From `accept` to the answer of `handshakeComplete`, 1 to 3 600 000. Default 10 000. Longer: slow clients get through, and so do those who only hold a place. */
  readonly handshakeTimeoutMs?: number;
  /**
   * Handshakes that OpenSSL has begun, at most, 1 to 1 000 000. Default 1 024. A client that comes when all places are taken waits for one, first come first served; of those that have a
   * place, the oldest that keeps us waiting is cut for it: after 3 s, after 1 s if one that began so much later is complete; less, down to 500 ms, as more were cut than completed, or more
   * than twice as many wait. More: some 75 KiB each, for those who only hold a place. Fewer: a flood of clients that stall passes more slowly, and others wait for longer behind it.
   */
  readonly maxHandshakes?: number;
  /**
   * Connections whose handshake has not begun, at most, 1 to 1 000 000: their ClientHello is not whole, or they wait for a place. Default 8 192. Beyond, the oldest of the most
   * numerous kind is cut: of those that are silent, those with a piece of a hello, and those with a whole one. More: a descriptor and 2 KiB each.
   */
  readonly maxPending?: number;
  /**
   * Bytes of ClientHellos of all of them, from `maxHelloBytes` on. Default 16 777 216. Beyond, the oldest that hold some are cut. Those that wait for `certificateFor` are not counted: their
   * number is bounded, and each holds at most `maxHelloBytes` and a chunk.
   */
  readonly maxPendingBytes?: number;
  /**
   * Handshakes that wait for `certificateFor` or `handshakeComplete` without taking a place, at most, 0 to 1 000 000. Default 1 024; those beyond keep their places meanwhile. None is cut but
   * by `handshakeTimeoutMs`. More: some 75 KiB each in `handshakeComplete`, up to `maxHelloBytes` and a chunk each in `certificateFor`.
   */
  readonly maxPendingCallbacks?: number;
  /** Bytes of a ClientHello, 1 024 to 131 072. Default 32 768: a browser's has 2 KiB. */
  readonly maxHelloBytes?: number;
  /**
   * How long a session may be resumed, 1 000 to 604 800 000 (7 days, RFC 8446 §4.6.1). Default 7 200 000 (2 hours). Longer: whoever was let in by a certificate that has been revoked
   * since comes back without its being looked at again, for as long; one that has expired is refused.
   */
  readonly sessionTimeoutMs?: number;
  /** Unsent bytes on top of which a further write aborts a stream with `STREAM_WRITE_OVERFLOW`. Default 1 048 576; `Infinity`: never. */
  readonly hardLimitBytes?: number;
  /** Called with each completed handshake; may take time, within that of the handshake. What it gives is `TlsDigest.extension`; a throw or a rejection refuses. */
  readonly handshakeComplete?: HandshakeComplete;
  /** Called with lines of NSS's key log, by which recorded traffic can be read. Default: none are made. */
  readonly keyLog?: (line: string) => void;
  /**
   * Called with failures that end no handshake: `TLS_KEY_LOG_THREW`; `TLS_CRL_EXPIRED` when the server is made with a list that has run out;
   * `TLS_CERTIFICATE_EXPIRED` and `TLS_CERTIFICATE_NOT_YET_VALID` once for each that `certificateFor` gives (for `certificates` see `onReload`). Default: nothing.
   */
  readonly onError?: (error: WireError) => void;
  /** Called when a certificate was replaced, or could not be; see `CertificateStoreOptions.onReload`. */
  readonly onReload?: (reload: CertificateReload) => void;
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Where the time-outs wait. Default: a queue of the server's own. */
  readonly deadlines?: DeadlineQueue;
}

/** `ClientCertificateOptions` with every field settled. */
export interface ClientCertificateConfig {
  readonly mode: 'optional' | 'required';
  readonly ca: readonly string[];
  readonly maxDepth: number;
  readonly crl: readonly string[];
}

/** `TlsServerOptions` with every field settled. */
export interface TlsServerConfig {
  readonly certificates: readonly CertificateSource[];
  readonly certificateFor: NonNullable<TlsServerOptions['certificateFor']> | null;
  readonly watch: boolean;
  /** Joined as OpenSSL wants them. */
  readonly ciphers: string;
  readonly curves: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  readonly honorCipherOrder: boolean;
  readonly alpn: readonly string[];
  readonly requiresAlpn: boolean;
  readonly tickets: TicketKeys | null;
  readonly clientCertificates: ClientCertificateConfig | null;
  readonly handshakeTimeoutMs: number;
  readonly maxHandshakes: number;
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  readonly maxPendingCallbacks: number;
  readonly maxHelloBytes: number;
  readonly sessionTimeoutMs: number;
  readonly hardLimitBytes: number;
  readonly handshakeComplete: ReadHandshake<unknown> | null;
  readonly keyLog: ((line: string) => void) | null;
  readonly onError: ((error: WireError) => void) | null;
  readonly onReload: ((reload: CertificateReload) => void) | null;
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
}

const versions: readonly TlsVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a value out of range @throws {TypeError} for one of a wrong type, and if there is no certificate
 */
export function resolveTlsServerOptions(options: TlsServerOptions): TlsServerConfig {
  const profile = tlsProfile(options.profile ?? 'intermediate');
  const { certificates = [], alpn = [], clock = options.deadlines?.clock ?? systemClock } = options;
  if (!isList(certificates)) throw new TypeError('certificates must be a list');
  if (certificates.length === 0 && options.certificateFor === undefined)
    throw new TypeError('a TLS server needs certificates, or certificateFor');
  const protocols = checkAlpn('alpn', alpn);
  if (options.requireAlpn === true && protocols.length === 0) throw new RangeError('requireAlpn needs alpn');
  // Node reads and writes others in different encodings; there are none (RFC 7301 §6, and IANA's list).
  const odd = protocols.find((name) => !/^[\x20-\x7e]+$/.test(name));
  if (odd !== undefined) throw new RangeError(`alpn must be of ASCII, not ${odd}`);
  const maxHelloBytes = checkWholeNumber('maxHelloBytes', options.maxHelloBytes ?? 32_768, { min: 1024, max: 131_072 });
  const minVersion = checkVersion('minVersion', options.minVersion ?? profile.minVersion);
  const maxVersion = checkVersion('maxVersion', options.maxVersion ?? profile.maxVersion);
  if (versions.indexOf(minVersion) > versions.indexOf(maxVersion)) {
    throw new RangeError(`minVersion ${minVersion} is above maxVersion ${maxVersion}`);
  }
  return Object.freeze({
    certificates: Object.freeze([...certificates]),
    certificateFor: checkCallback('certificateFor', options.certificateFor),
    watch: options.watch ?? true,
    ciphers: (options.ciphers === undefined ? profile.ciphers : resolveCiphers(options.ciphers)).join(':'),
    curves: checkCurves(options.curves ?? profile.curves).join(':'),
    minVersion,
    maxVersion,
    honorCipherOrder: options.ciphers === undefined ? profile.honorCipherOrder : true,
    alpn: protocols,
    requiresAlpn: (options.requireAlpn ?? false) || (protocols.length === 1 && protocols[0] === 'h2'),
    tickets: resolveTickets(options.tickets, clock),
    clientCertificates: options.clientCertificates === undefined ? null : resolveClientCertificates(options.clientCertificates),
    handshakeTimeoutMs: checkWholeNumber('handshakeTimeoutMs', options.handshakeTimeoutMs ?? 10_000, { min: 1, max: 3_600_000 }),
    maxHandshakes: checkWholeNumber('maxHandshakes', options.maxHandshakes ?? 1024, { min: 1, max: 1_000_000 }),
    maxPending: checkWholeNumber('maxPending', options.maxPending ?? 8192, { min: 1, max: 1_000_000 }),
    maxPendingBytes: checkWholeNumber('maxPendingBytes', options.maxPendingBytes ?? 16_777_216, { min: maxHelloBytes }),
    maxPendingCallbacks: checkWholeNumber('maxPendingCallbacks', options.maxPendingCallbacks ?? 1024, { max: 1_000_000 }),
    maxHelloBytes,
    sessionTimeoutMs: checkWholeNumber('sessionTimeoutMs', options.sessionTimeoutMs ?? 7_200_000, { min: 1000, max: 604_800_000 }),
    hardLimitBytes: checkWholeNumber('hardLimitBytes', options.hardLimitBytes ?? defaultHardLimitBytes, { min: 65_536, max: Infinity }),
    handshakeComplete: handshakeFunction(options.handshakeComplete),
    keyLog: checkCallback('keyLog', options.keyLog),
    onError: checkCallback('onError', options.onError),
    onReload: checkCallback('onReload', options.onReload),
    clock,
    deadlines: options.deadlines ?? new DeadlineQueue({ clock }),
  });
}

function resolveTickets(tickets: TicketKeys | false | undefined, clock: Clock): TicketKeys | null {
  if (tickets === undefined) return new TicketKeys({ clock });
  if (tickets === false) return null;
  if (!(tickets instanceof TicketKeys)) throw new TypeError('tickets must be TicketKeys, or false');
  return tickets;
}

function resolveClientCertificates(options: ClientCertificateOptions): ClientCertificateConfig {
  const { mode } = options;
  if (mode !== 'optional' && mode !== 'required')
    throw new RangeError(`clientCertificates.mode must be optional or required, not ${String(mode)}`);
  return Object.freeze({
    mode,
    ca: pemBlocks('clientCertificates.ca', options.ca, 'CERTIFICATE'),
    maxDepth: checkWholeNumber('clientCertificates.maxDepth', options.maxDepth ?? 100, { max: 100 }),
    crl: options.crl === undefined ? [] : pemBlocks('clientCertificates.crl', options.crl, 'X509 CRL'),
  });
}

function checkCurves(curves: readonly string[]): readonly string[] {
  if (!isList(curves) || curves.length === 0 || !curves.every((name) => typeof name === 'string' && /^[\w-]+$/.test(name))) {
    throw new RangeError('curves must be a list of names of groups');
  }
  return curves;
}

function checkVersion(option: string, version: TlsVersion): TlsVersion {
  if (!versions.includes(version)) throw new RangeError(`${option} must be one of ${versions.join(', ')}, not ${version}`);
  return version;
}

function checkCallback<F extends (...given: never[]) => unknown>(option: string, callback: F | undefined): F | null {
  if (callback === undefined) return null;
  if (typeof callback !== 'function') throw new TypeError(`${option} must be a function`);
  return callback;
}

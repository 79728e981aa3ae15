/** Options of `TlsClient`, checked once. */

import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import type { DeadlineQueue } from '@ferrata/timeout';
import { delayRange } from '../delay-range.ts';
import { identityOf } from '../identity.ts';
import { checkBoolean, checkMethods } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { checkAlpn } from './alpn.ts';
import { resolveCiphers } from './cipher-names.ts';
import { type HandshakeComplete, handshakeFunction, type ReadHandshake } from './handshake-extension.ts';
import { type Pem, pemBlocks, pemText } from './pem.ts';
import { checkServerName } from './tls-client-name.ts';

/** The versions that a client speaks. */
export type TlsClientVersion = 'TLSv1.2' | 'TLSv1.3';

/** What a client does once a handshake is made and verified: an extension, or a function of its own. */
export type ClientHandshakeComplete = HandshakeComplete;

/** How to speak TLS to servers. */
export interface TlsClientOptions {
  /**
   * The name that the server is asked for (SNI, RFC 6066 §3), and that its certificate must be for; an IP address is never sent, only checked. `null`: send no name;
   * the certificate must still be for the host connected to. Default: the host connected to.
   */
  readonly serverName?: string | null;
  /**
   * Verifies that the server's certificate comes from an authority of `ca` and holds today. Default true. Without it everybody on the path can be the server: the
   * name is not looked at either then.
   */
  readonly verifyCert?: boolean;
  /**
   * Verifies that the certificate is for the server's name, by its alternative names (RFC 9525 §2); underscores in the first label of the server's name
   * are also tried as hyphens. Default true.
   */
  readonly verifyHostname?: boolean;
  /** A further name that the certificate may be for: among its alternative names, as `serverName` (the common name is never looked at). Default: none. */
  readonly alternativeCn?: string;
  /** The authorities to trust, in place of Node's own. Default: those that Node comes with. */
  readonly ca?: Pem | readonly Pem[];
  /** Lists of revoked certificates. With them, every certificate of a chain needs the list of its authority. Default: none. */
  readonly crl?: Pem | readonly Pem[];
  /** The client's certificate, with the intermediate ones behind it. Default: none is shown. */
  readonly certificate?: Pem;
  /** The key of `certificate`. */
  readonly key?: Pem;
  /** Opens `key`, if it is encrypted. */
  readonly passphrase?: string;
  /** The protocols to offer by ALPN (RFC 7301), the preferred one first; `alpnProtocols` has the usual lists. Default: none, which servers take as HTTP/1. */
  readonly alpn?: readonly string[];
  /** Default `TLSv1.2`. */
  readonly minVersion?: TlsClientVersion;
  /** Default `TLSv1.3`. */
  readonly maxVersion?: TlsClientVersion;
  /** Suites of TLS 1.2 and 1.3, in OpenSSL's names or IANA's, the preferred one first. Default: those of Node. */
  readonly ciphers?: readonly string[];
  /** Groups of the key exchange in OpenSSL's names, the preferred one first: `X25519`, `P-256`. Default: those of OpenSSL. */
  readonly curves?: readonly string[];
  /**
   * Time from the first byte of the handshake to a verified connection, `handshakeComplete` included. Default 5 000. Raising it makes a server that stalls hold
   * its request for longer.
   */
  readonly handshakeTimeoutMs?: number;
  /**
   * Called when the server is verified, before anybody gets the stream. What it returns, or its promise brings, is `TlsDigest.extension`; a throw or a
   * rejection refuses the connection with `TLS_REFUSED`.
   */
  readonly handshakeComplete?: ClientHandshakeComplete;
  /** Gets the secrets of each connection, line by line (the format of SSLKEYLOGFILE): whoever has them can read the traffic. Default: nobody. */
  readonly keyLog?: (line: string) => void;
  /** Keeps sessions, so that the next connection to the same server costs no signature. Default true. */
  readonly sessions?: boolean;
  /** Sessions kept, one a server; the least recently used one goes first. Default 256, each of about 2 KiB. */
  readonly maxSessions?: number;
  /** Keeps the time-outs together with a great many others; none may be longer than its `maxDelayMs`. Default: a wake-up of its own from `clock`. */
  readonly deadlines?: DeadlineQueue;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

/** `TlsClientOptions` with every field settled. */
export interface TlsClientConfig {
  /** Undefined: the host connected to. */
  readonly serverName: string | null | undefined;
  readonly verifyCert: boolean;
  readonly verifyHostname: boolean;
  readonly alternativeCn: string | null;
  /** One certificate a text. */
  readonly ca: readonly string[] | null;
  /** One list a text. */
  readonly crl: readonly string[] | null;
  readonly certificate: string | null;
  readonly key: string | null;
  readonly passphrase: string | null;
  readonly alpn: readonly string[] | null;
  readonly minVersion: TlsClientVersion;
  readonly maxVersion: TlsClientVersion;
  readonly ciphers: string | null;
  readonly curves: string | null;
  readonly handshakeTimeoutMs: number;
  readonly handshakeComplete: ReadHandshake<unknown> | null;
  readonly keyLog: ((line: string) => void) | null;
  readonly sessions: boolean;
  readonly maxSessions: number;
  readonly deadlines: DeadlineQueue | null;
  readonly clock: Clock;
}

/** Below is what RFC 8996 has laid to rest; OpenSSL takes it only with ciphers of no security level. */
const versions: readonly TlsClientVersion[] = ['TLSv1.2', 'TLSv1.3'];

const names: Readonly<Record<keyof TlsClientOptions, true>> = {
  serverName: true,
  verifyCert: true,
  verifyHostname: true,
  alternativeCn: true,
  ca: true,
  crl: true,
  certificate: true,
  key: true,
  passphrase: true,
  alpn: true,
  minVersion: true,
  maxVersion: true,
  ciphers: true,
  curves: true,
  handshakeTimeoutMs: true,
  handshakeComplete: true,
  keyLog: true,
  sessions: true,
  maxSessions: true,
  deadlines: true,
  clock: true,
};

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a number out of range, a version that is none, protocols that ALPN cannot carry
 * @throws {TypeError} for an option that is none, or of the wrong kind, a name that is none, a certificate without a key or a key without one, a callback that
 *   cannot be called
 */
export function resolveTlsClientOptions(options: TlsClientOptions): TlsClientConfig {
  checkOptionNames('TlsClient', options, names);
  const minVersion = checkVersion('minVersion', options.minVersion ?? 'TLSv1.2');
  const maxVersion = checkVersion('maxVersion', options.maxVersion ?? 'TLSv1.3');
  if (versions.indexOf(minVersion) > versions.indexOf(maxVersion))
    throw new RangeError(`minVersion ${minVersion} is above maxVersion ${maxVersion}`);
  if ((options.certificate === undefined) !== (options.key === undefined)) throw new TypeError('certificate and key belong together');
  const { serverName, alternativeCn, alpn, passphrase, clock, deadlines } = options;
  if (passphrase !== undefined && typeof passphrase !== 'string') throw new TypeError('passphrase must be text');
  if (clock !== undefined) checkMethods('clock', clock, 'a Clock', ['now', 'schedule']);
  return Object.freeze({
    serverName: serverName === undefined || serverName === null ? serverName : checkServerName('serverName', serverName),
    verifyCert: checkBoolean('verifyCert', options.verifyCert, true),
    verifyHostname: checkBoolean('verifyHostname', options.verifyHostname, true),
    alternativeCn: alternativeCn === undefined ? null : checkServerName('alternativeCn', alternativeCn),
    ca: options.ca === undefined ? null : pemBlocks('ca', options.ca, 'CERTIFICATE'),
    crl: options.crl === undefined ? null : pemBlocks('crl', options.crl, 'X509 CRL'),
    certificate: options.certificate === undefined ? null : pemBlocks('certificate', options.certificate, 'CERTIFICATE').join(''),
    key: checkKey(options.key),
    passphrase: passphrase ?? null,
    alpn: alpn === undefined ? null : checkAlpn('alpn', alpn),
    minVersion,
    maxVersion,
    ciphers: options.ciphers === undefined ? null : resolveCiphers(options.ciphers).join(':'),
    curves: checkNames('curves', options.curves),
    handshakeTimeoutMs: checkWholeNumber('handshakeTimeoutMs', options.handshakeTimeoutMs ?? 5_000, delayRange(deadlines)),
    handshakeComplete: handshakeFunction(options.handshakeComplete),
    keyLog: checkFunction('keyLog', options.keyLog),
    sessions: checkBoolean('sessions', options.sessions, true),
    maxSessions: checkWholeNumber('maxSessions', options.maxSessions ?? 256, { min: 1, max: 1_000_000 }),
    deadlines: deadlines ?? null,
    clock: clock ?? systemClock,
  });
}

/**
 * The identity of everything that makes two connections unequal. Keys and certificates go into it by their digests, callbacks by their identity; what only
 * changes how long connecting takes (time-outs, sessions, clock) does not.
 */
export function identityKey(config: TlsClientConfig): string {
  const { serverName, verifyCert, verifyHostname, alternativeCn, alpn, minVersion, maxVersion, ciphers, curves } = config;
  const facts = [
    serverName === undefined ? ['host'] : serverName,
    verifyCert,
    verifyHostname,
    alternativeCn,
    config.ca?.map(digest) ?? null,
    config.crl?.map(digest) ?? null,
    config.certificate === null ? null : digest(config.certificate),
    config.key === null ? null : digest(config.key),
    alpn,
    minVersion,
    maxVersion,
    ciphers,
    curves,
    config.handshakeComplete === null ? null : identityOf(config.handshakeComplete),
    config.keyLog === null ? null : identityOf(config.keyLog),
  ];
  return `tls:${digest(JSON.stringify(facts))}`;
}

function digest(value: string): string {
  return createHash('sha256').update(value).digest('base64url');
}

function checkVersion(name: string, version: TlsClientVersion): TlsClientVersion {
  if (!versions.includes(version)) throw new RangeError(`${name} must be one of ${versions.join(', ')}, not ${JSON.stringify(version)}`);
  return version;
}

function checkKey(value: Pem | undefined): string | null {
  if (value === undefined) return null;
  const text = pemText(value);
  // An empty one would be taken for "not given".
  if (text === '') throw new TypeError('key is empty');
  return text;
}

function checkNames(name: string, value: readonly string[] | undefined): string | null {
  if (value === undefined) return null;
  if (!Array.isArray(value) || value.length === 0 || value.some((one) => typeof one !== 'string' || one === ''))
    throw new TypeError(`${name} must be a list of names`);
  return value.join(':');
}

function checkFunction<T>(name: string, value: T | undefined): T | null {
  if (value === undefined) return null;
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function`);
  return value;
}

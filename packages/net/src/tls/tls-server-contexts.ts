/**
 * What OpenSSL needs to know for a server's handshakes, made once for each certificate and used by many: Node's `tls.Server` objects, which never listen.
 *
 * Why several for one certificate: a handshake's settings are fixed before its first byte. One answers clients that share a protocol with us by ALPN, another those
 * that share none (Node refuses them as soon as it knows protocols at all). And OpenSSL knows one ticket key at a time: clients with a ticket of the previous
 * key are handed to the server that has that key, until the next rotation. (They are given tickets of that key again, so a client that never
 * goes away makes one full handshake every other rotation.)
 *
 * `emit('connection', …)` is how Node wants connections handed to a server that does not listen. Each handshake emits on an object of its own that inherits from the server: so
 * the events that Node sends back arrive with that object as `this`, and find their handshake without any map.
 */

import { constants, createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { addContext, isWireError, textOf, toWireError, type WireError } from '@ferrata/error';
import { callUser } from '@ferrata/stream';
import { warn } from '../warn.ts';
import { certificateError } from './certificate-error.ts';
import type { LoadedCertificate } from './certificate-load.ts';
import { isInFiles } from './certificate-source.ts';
import { isNamed, type TicketKeyPair } from './ticket-keys.ts';
import type { TlsServerConfig } from './tls-server-options.ts';

/** Who hears of a handshake. */
export interface HandshakeEvents {
  handleSecure(socket: TLSSocket): void;
  /** May come more than once, and after the connection was closed. */
  handleFailure(error: unknown, socket: TLSSocket): void;
  /** What to staple; null: nothing. */
  readonly staple: Uint8Array | null;
}

/** A server as one handshake sees it. */
interface HandshakeView extends Server {
  handshake: HandshakeEvents;
}

/** What decides which server takes a connection. */
export interface ContextChoice {
  readonly certificate: LoadedCertificate;
  /** Whether ALPN is used. */
  readonly withAlpn: boolean;
  /** As `ClientHello.ticketName`. */
  readonly ticketName: Uint8Array | null;
}

/** The servers of one certificate and one ticket key. */
interface Variants {
  readonly ticketKey: Uint8Array | null;
  withAlpn: Server | null;
  withoutAlpn: Server | null;
}

interface Entry {
  generation: number;
  current: Variants;
  previous: Variants | null;
}

/** Has a server for each combination, made when it is first needed. */
export class ServerContexts {
  readonly #config: TlsServerConfig;
  /** By certificate: when one is replaced, what was made for it goes with it, once the last handshake is through. */
  readonly #entries = new WeakMap<LoadedCertificate, Entry>();

  constructor(config: TlsServerConfig) {
    this.#config = config;
  }

  /** Tries the settings without any certificate. @throws {WireError} `TLS_SETTINGS_REFUSED` if OpenSSL does not take them */
  checkSettings(): void {
    try {
      createSecureContext(secureSettings(this.#config));
    } catch (error) {
      throw settingsRefused(error);
    }
  }

  /** @throws {WireError} `TLS_SETTINGS_REFUSED` if OpenSSL does not take the settings with this certificate */
  serverFor(choice: ContextChoice): Server {
    const { current, previous } = this.#entryOf(choice.certificate);
    const { ticketName } = choice;
    const previousKey = previous?.ticketKey ?? null;
    const isOfPrevious = ticketName !== null && previousKey !== null && isNamed(previousKey, ticketName);
    const variants = isOfPrevious && previous !== null ? previous : current;
    if (choice.withAlpn) return (variants.withAlpn ??= this.#make(choice, variants.ticketKey));
    return (variants.withoutAlpn ??= this.#make(choice, variants.ticketKey));
  }

  #entryOf(certificate: LoadedCertificate): Entry {
    const { tickets } = this.#config;
    const found = this.#entries.get(certificate);
    if (found !== undefined && (tickets === null || tickets.refresh() === found.generation)) return found;
    const entry = nextEntry(found, tickets?.read() ?? null);
    this.#entries.set(certificate, entry);
    return entry;
  }

  #make({ certificate, withAlpn }: ContextChoice, ticketKey: Uint8Array | null): Server {
    const { keyLog, onError } = this.#config;
    try {
      const server = createServer(nodeOptions(this.#config, certificate, withAlpn, ticketKey));
      server.on('secureConnection', tellSecure);
      server.on('tlsClientError', tellFailure);
      // With such a listener Node makes a detour through JavaScript in each handshake.
      if (mayStaple(certificate)) server.on('OCSPRequest', tellStaple);
      if (keyLog !== null) server.on('keylog', (line) => tellKeys(keyLog, line, onError));
      return server;
    } catch (error) {
      if (isWireError(error)) throw error;
      throw addContext(settingsRefused(error), certificate.label);
    }
  }
}

/** Begins the handshake on what a `TlsCarrier` has as host. */
export function startHandshake(server: Server, host: Duplex, handshake: HandshakeEvents): void {
  const view = Object.create(server) as HandshakeView;
  view.handshake = handshake;
  const { allowHalfOpen } = host;
  // The TLS socket takes this over as it is made. A peer that ends before the handshake is complete ends it; `handleSecure` sets it right again.
  host.allowHalfOpen = false;
  view.emit('connection', host as Socket);
  host.allowHalfOpen = allowHalfOpen;
}

function nextEntry(found: Entry | undefined, keys: TicketKeyPair | null): Entry {
  if (keys === null) return { generation: 0, current: variants(null), previous: null };
  const isNext = found !== undefined && found.generation + 1 === keys.generation;
  const previous = isNext ? found.current : keys.previous === null ? null : variants(keys.previous);
  return { generation: keys.generation, current: variants(keys.current), previous };
}

function variants(ticketKey: Uint8Array | null): Variants {
  return { ticketKey, withAlpn: null, withoutAlpn: null };
}

function mayStaple({ source, ocspResponse }: LoadedCertificate): boolean {
  return ocspResponse !== null || (isInFiles(source) ? source.ocspFile : source.ocspResponse) !== undefined;
}

function settingsRefused(error: unknown): WireError {
  return certificateError('TLS_SETTINGS_REFUSED', `OpenSSL does not take the settings: ${textOf(error)}`, error);
}

/** What does not depend on the certificate. */
function secureSettings(config: TlsServerConfig): SecureContextOptions {
  const { clientCertificates } = config;
  return {
    ciphers: config.ciphers,
    ecdhCurve: config.curves,
    minVersion: config.minVersion,
    maxVersion: config.maxVersion,
    honorCipherOrder: config.honorCipherOrder,
    // A server that is given no ticket keys must not make up some of its own: what it can't share, other threads can't resume.
    secureOptions: config.tickets === null ? constants.SSL_OP_NO_TICKET : 0,
    ...(clientCertificates === null ? {} : { ca: [...clientCertificates.ca] }),
    ...(clientCertificates === null || clientCertificates.crl.length === 0 ? {} : { crl: [...clientCertificates.crl] }),
  };
}

function nodeOptions(config: TlsServerConfig, certificate: LoadedCertificate, withAlpn: boolean, ticketKey: Uint8Array | null): TlsOptions {
  const { clientCertificates, handshakeTimeoutMs, sessionTimeoutMs } = config;
  return {
    ...secureSettings(config),
    cert: certificate.certificatePem,
    key: certificate.keyPem,
    sessionIdContext: sessionIdContext(config, certificate),
    sessionTimeout: Math.ceil(sessionTimeoutMs / 1000),
    // Ours comes first, and covers more; Node's default is two minutes.
    handshakeTimeout: handshakeTimeoutMs + 1000,
    requestCert: clientCertificates !== null,
    // So that OpenSSL tells a client without a certificate what is missing; the rest is judged by `TlsHandshake`.
    rejectUnauthorized: clientCertificates?.mode === 'required',
    ...(ticketKey === null ? {} : { ticketKeys: Buffer.from(ticketKey) }),
    ...(withAlpn && config.alpn.length > 0 ? { ALPNProtocols: [...config.alpn] } : {}),
  };
}

/**
 * A session is resumed only where it could have begun: by the same certificate, with the same demands on the client's. Keys may be shared among servers that differ in
 * these, and a session of the lenient one must be worth nothing to the strict one (CVE-2025-23419). At most 32 characters.
 */
function sessionIdContext({ clientCertificates }: TlsServerConfig, certificate: LoadedCertificate): string {
  const identity = JSON.stringify([certificate.certificate.sha256, clientCertificates]);
  return createHash('sha256').update(identity).digest('hex').slice(0, 32);
}

/** Node's socket keeps the view as long as it lives, and through it the handshake, more than 1 KiB: so that is taken out. */
const completed: HandshakeEvents = Object.freeze({ handleSecure() {}, handleFailure() {}, staple: null });

function tellSecure(this: Server, socket: TLSSocket): void {
  const view = this as HandshakeView;
  const { handshake } = view;
  view.handshake = completed;
  handshake.handleSecure(socket);
}

function tellFailure(this: Server, error: Error, socket: TLSSocket): void {
  (this as HandshakeView).handshake.handleFailure(error, socket);
}

function tellStaple(this: Server, _certificate: Buffer, _issuer: Buffer, answer: (error: Error | null, response: Buffer) => void): void {
  const { staple } = (this as HandshakeView).handshake;
  // Node takes null for "nothing", though its types don't say so.
  answer(null, (staple === null ? null : Buffer.from(staple)) as Buffer);
}

/** A debugging aid that fails takes nothing else along; nor does one that reports it. */
function tellKeys(keyLog: (line: string) => void, line: Buffer, onError: ((error: WireError) => void) | null): void {
  callUser(
    () => keyLog(line.toString('latin1')),
    (thrown) => callUser(() => onError?.(toWireError(thrown, 'TLS_KEY_LOG_THREW')), warn),
  );
}

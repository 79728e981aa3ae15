/**
 * TLS of the listeners in one thread, also where the files of its certificates cannot be used when it begins: a thread that takes the place of a dead one serves what was good last.
 *
 * ```
 *   files good ──► served, and watched by the TlsServer
 *   files bad  ──► what the configuration has kept of them is served ── files good again ──► served, and watched
 *                        └── looked at every two seconds, and at each reload ──┘
 * ```
 */
import type { Clock, Wakeup } from '@ferrata/clock';
import { isWireError, type WireError } from '@ferrata/error';
import {
  type CertificateInFiles,
  type CertificateInMemory,
  type CertificateReload,
  type CertificateSource,
  CertificateStore,
  type LoadedCertificate,
  loadCertificate,
  type ReloadReport,
  type TlsServer,
  type TlsServerOptions,
} from '@ferrata/net';
import type { KeptCertificate } from './reverse-config.ts';

/** How often files that could not be used are looked at again. */
const LOOK_AGAIN_MS = 2_000;

/** What it is made of. */
export interface ListenerTlsOptions {
  /** Told of what becomes of the certificates; never from inside the constructor. */
  readonly onReload: (reload: CertificateReload) => void;
  readonly clock: Clock;
  /** Makes the server. @throws {WireError} for a certificate that cannot be used */
  readonly serverFor: (certificates: Pick<TlsServerOptions, 'certificates' | 'certificateFor' | 'onReload'>) => TlsServer;
}

/** The TLS of the listeners. */
export class ListenerTls {
  readonly server: TlsServer;
  readonly #files: readonly CertificateInFiles[];
  readonly #options: ListenerTlsOptions;
  /** By its place among all: what stood in for files that could not be used. */
  readonly #standIns: ReadonlyMap<number, LoadedCertificate>;
  /** All files, since they can be used again. */
  #store: CertificateStore | null = null;
  #lookAgain: Wakeup | null = null;
  #isClosed = false;
  readonly #sources = new WeakMap<LoadedCertificate, CertificateSource>();

  /** @throws {WireError} for a certificate of which neither the files nor what was kept of them can be used */
  constructor(certificates: readonly KeptCertificate[], options: ListenerTlsOptions) {
    this.#options = options;
    this.#files = certificates.map(({ certificateFile, keyFile }) => ({ certificateFile, keyFile }));
    const { onReload, serverFor } = options;
    const standIns = new Map<number, LoadedCertificate>();
    this.#standIns = standIns;
    try {
      this.server = serverFor({ certificates: this.#files, onReload });
      return;
    } catch (error) {
      if (!isWireError(error)) throw error;
    }
    const failures = this.#files.map(failureOf);
    const sources = certificates.map((kept, index): CertificateSource => {
      if (failures[index] === null) return this.#files[index] ?? inMemory(kept);
      const source = inMemory(kept);
      standIns.set(index, loadCertificate(source));
      return source;
    });
    // Those whose files are good are watched by the server as ever.
    this.server = serverFor({ certificates: sources, onReload, certificateFor: (name) => this.#fromFiles(name) });
    // They have been mended between the two.
    if (standIns.size === 0) return;
    queueMicrotask(() => {
      for (const [index, certificate] of standIns) this.#tell(index, certificate, failures[index] ?? null, false);
    });
    this.#lookLater();
  }

  /** Reads the files again, now. Never rejects. @returns why they cannot be used; null: they can */
  async reload(): Promise<WireError | null> {
    const failure = failureIn(await this.server.reload());
    if (this.#standIns.size === 0 || this.#isClosed) return failure;
    return this.#store === null ? this.#takeFiles() : failureIn(await this.#store.reload());
  }

  /** Ends watching, and the handshakes under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#lookAgain?.cancel();
    this.#store?.close();
    await this.server.close();
  }

  #lookLater(): void {
    this.#lookAgain = this.#options.clock.schedule(LOOK_AGAIN_MS, () => {
      if (this.#store === null && this.#takeFiles() !== null) this.#lookLater();
    });
  }

  /** From now on what the files hold is served, if all of them can be used. */
  #takeFiles(): WireError | null {
    try {
      this.#store = new CertificateStore(this.#files, { onReload: this.#options.onReload, clock: this.#options.clock });
    } catch (error) {
      if (isWireError(error)) return error;
      throw error;
    }
    this.#lookAgain?.cancel();
    for (const [index, standIn] of this.#standIns) {
      const certificate = this.#store.certificates[index] ?? standIn;
      this.#tell(index, certificate, null, certificate.certificatePem !== standIn.certificatePem);
    }
    return null;
  }

  /** Null: those that the server has. One source for one content: what is made of it is kept for the object. */
  #fromFiles(name: string | null): CertificateSource | null {
    if (this.#store === null) return null;
    const certificate = this.#store.find(name);
    const known = this.#sources.get(certificate);
    if (known !== undefined) return known;
    const source: CertificateInMemory = { certificate: certificate.certificatePem, key: certificate.keyPem };
    this.#sources.set(certificate, source);
    return source;
  }

  #tell(index: number, certificate: LoadedCertificate, error: WireError | null, isReplaced: boolean): void {
    const source = this.#files[index];
    if (source === undefined) return;
    this.#options.onReload({ source, label: source.certificateFile, error, concern: null, isReplaced, certificate });
  }
}

function inMemory({ certificateAndKey }: KeptCertificate): CertificateInMemory {
  return { certificate: certificateAndKey, key: certificateAndKey };
}

function failureOf(files: CertificateInFiles): WireError | null {
  try {
    loadCertificate(files);
    return null;
  } catch (error) {
    if (isWireError(error)) return error;
    throw error;
  }
}

function failureIn({ outcomes }: ReloadReport): WireError | null {
  return outcomes.find(({ error }) => error !== null)?.error ?? null;
}

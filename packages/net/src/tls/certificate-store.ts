/**
 * The certificates of a server: found by name, and replaced while it runs.
 *
 * ```
 *            files change, reload(), recheck
 *                        |
 *                        v
 *   serving <---- read each source ----> same content: keep the object
 *      ^                 |               new and good: a new LoadedCertificate, a new index
 *      |                 |               bad: keep the old one, say so
 *      +-----------------+
 * ```
 * Rules: a handshake sees one index or the next, never a half of each; connections that are open keep what they began with; a bad file never takes a
 * good certificate away; each source stands for itself. While a certificate and its key are replaced one after the other they don't fit: that is a
 * bad state like any other, the old pair is served, and the event of the second file brings the new one.
 */
import { type Clock, systemClock, type Wakeup } from '@ferrata/clock';
import { checkNumber, isWireError, toWireError, type WireError } from '@ferrata/error';
import { certificateError, messageOf } from './certificate-error.ts';
import {
  assembleCertificate,
  type CertificateMaterial,
  certificateConcern,
  digestOfMaterial,
  type LoadedCertificate,
  readMaterial,
  readMaterialSync,
} from './certificate-load.ts';
import { type CertificateSource, checkCertificateSource, isInFiles, labelOf } from './certificate-source.ts';
import { FileWatcher } from './file-watcher.ts';
import { ocspConcern } from './ocsp-response.ts';
import { ServerNameIndex } from './server-name.ts';

/** What has become of one source. */
export interface CertificateReload {
  readonly source: CertificateSource;
  /** What messages call it: its file, or its names. */
  readonly label: string;
  /** Why it was not taken, and the old one stays; null if it was. */
  readonly error: WireError | null;
  /**
   * `TLS_CERTIFICATE_EXPIRED` or `TLS_CERTIFICATE_NOT_YET_VALID` of what is served now; else `TLS_OCSP_MISMATCH`, `TLS_OCSP_EXPIRED` or `TLS_OCSP_UNREADABLE` of
   * its `ocspFile`, which is not stapled then; null if all is well.
   */
  readonly concern: WireError | null;
  /** Whether another certificate (or key) is served since. */
  readonly isReplaced: boolean;
  /** What is served now. */
  readonly certificate: LoadedCertificate;
}

/** What a reload has done: one entry for each source, in their order. */
export interface ReloadReport {
  readonly outcomes: readonly CertificateReload[];
  readonly replacedCount: number;
  readonly failedCount: number;
}

/** Options of `CertificateStore`. */
export interface CertificateStoreOptions {
  /**
   * Called when a source was replaced, when it could not be (once for each different failure), when it is good again without having changed, and when a
   * certificate that is served is found to be outside its validity (once each). Never from inside the constructor. Default: nothing.
   */
  readonly onReload?: (reload: CertificateReload) => void;
  /** Whether to watch the files. Default true. */
  readonly watch?: boolean;
  /** Quiet after a change of files before they are read, 0 to 60 000. Default 100. Longer spares readings of half a pair, and is felt as delay. */
  readonly settleMs?: number;
  /**
   * Time between two looks at all sources without an event, from 1 000 on; `Infinity`: never. Default 60 000. For file systems that tell nothing of their changes (NFS),
   * OCSP responses from functions, and certificates that expire. Costs one reading of each file.
   */
  readonly recheckMs?: number;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

const OCSP_TIMEOUT_MS = 5000;

/** One source, and what is known of it. */
interface Slot {
  readonly source: CertificateSource;
  /** Of what was read last and was good: the key itself is held in one place only. */
  digest: string;
  certificate: LoadedCertificate;
  /** Why what is in its `ocspFile` is not stapled. */
  ocspConcern: WireError | null;
  /** The message of the last failure; '' if the last reading was good. */
  failure: string;
  /** The reason of the last concern that was told; '' if there was none. */
  concern: string;
}

/** Holds the certificates of a server. */
export class CertificateStore {
  readonly #slots: Slot[];
  readonly #onReload: ((reload: CertificateReload) => void) | null;
  readonly #clock: Clock;
  readonly #recheckMs: number;
  readonly #watcher: FileWatcher | null;
  #index: ServerNameIndex<LoadedCertificate>;
  #recheck: Wakeup | null = null;
  #running: Promise<ReloadReport> | null = null;
  /** The reading that begins when the running one has ended: whoever asks meanwhile shares it. */
  #queued: Promise<ReloadReport> | null = null;
  #isClosed = false;

  /**
   * Loads all certificates, and begins to watch their files.
   *
   * @param sources the first is the default one; at least one
   * @throws {TypeError} @throws {RangeError} @throws {WireError} as `loadCertificate`, for the first one that can't be loaded
   */
  constructor(sources: readonly CertificateSource[], options: CertificateStoreOptions = {}) {
    checkSources(sources);
    const settleMs = checkNumber('settleMs', options.settleMs ?? 100, { min: 0, max: 60_000 });
    this.#recheckMs = checkNumber('recheckMs', options.recheckMs ?? 60_000, { min: 1000 });
    this.#onReload = options.onReload ?? null;
    this.#clock = options.clock ?? systemClock;
    const paths = options.watch === false ? [] : sources.flatMap(filesOf);
    // Watch first, read then: a change between the two is seen by one of them.
    this.#watcher =
      paths.length === 0 ? null : new FileWatcher(paths, { settleMs, clock: this.#clock, onChange: () => this.#reloadUnasked() });
    try {
      this.#slots = sources.map(loadSlot);
    } catch (error) {
      this.#watcher?.close();
      throw error;
    }
    for (const slot of this.#slots) this.#staple(slot, slot.certificate.ocspResponse);
    this.#index = this.#makeIndex();
    queueMicrotask(() => this.#tellConcerns());
    for (const slot of this.#slots) void this.#askForFirstOcsp(slot);
    this.#armRecheck();
  }

  /** The certificates that are served now, in the order of their sources. */
  get certificates(): readonly LoadedCertificate[] {
    return this.#slots.map(({ certificate }) => certificate);
  }

  /**
   * The certificate for a name that a client asks for: the one that has it, else one with a wildcard for it, else the first.
   *
   * @param name in any case, with or without a dot at the end; null: the client has named none
   */
  find(name: string | null): LoadedCertificate {
    return this.#index.find(name);
  }

  /** Reads all sources again, now. Never rejects: what failed is in the report, and to `onReload`. */
  reload(): Promise<ReloadReport> {
    if (this.#running === null) return this.#start();
    this.#queued ??= this.#running.then(() => {
      this.#queued = null;
      return this.#start();
    });
    return this.#queued;
  }

  /** Ends watching. What is loaded stays, and can be found and reloaded. */
  close(): void {
    this.#isClosed = true;
    this.#watcher?.close();
    this.#recheck?.cancel();
    this.#recheck = null;
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #start(): Promise<ReloadReport> {
    this.#running = this.#reloadAll().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  #reloadUnasked(): void {
    if (!this.#isClosed) void this.reload();
  }

  async #reloadAll(): Promise<ReloadReport> {
    const outcomes: CertificateReload[] = [];
    const told: CertificateReload[] = [];
    for (const slot of this.#slots) {
      const before = slot.failure;
      // One after the other: a server with a thousand certificates must not open a thousand files at once.
      const [error, isReplaced] = await this.#reloadSlot(slot);
      const concern = this.#concernOf(slot);
      const isNewConcern = (concern?.reason ?? '') !== slot.concern;
      slot.failure = error?.message ?? '';
      slot.concern = concern?.reason ?? '';
      const outcome = { source: slot.source, label: labelOf(slot.source), error, concern, isReplaced, certificate: slot.certificate };
      outcomes.push(outcome);
      if (isReplaced || slot.failure !== before || (isNewConcern && concern !== null)) told.push(outcome);
    }
    if (told.some(({ isReplaced }) => isReplaced)) this.#index = this.#makeIndex();
    for (const outcome of told) this.#tell(outcome);
    return {
      outcomes,
      replacedCount: outcomes.filter(({ isReplaced }) => isReplaced).length,
      failedCount: outcomes.filter(({ error }) => error !== null).length,
    };
  }

  async #reloadSlot(slot: Slot): Promise<readonly [error: WireError | null, isReplaced: boolean]> {
    try {
      const material = await readMaterial(slot.source);
      if (digestOfMaterial(material) === slot.digest) {
        this.#staple(slot, material.ocspResponse);
        return [await this.#refreshOcsp(slot), false];
      }
      const [certificate, digest] = await assembleWhole(slot.source, material);
      slot.certificate = certificate;
      slot.digest = digest;
      this.#staple(slot, certificate.ocspResponse);
      return [null, true];
    } catch (error) {
      return [asReloadError(error), false];
    }
  }

  /** Takes the response of an `ocspFile`, unless it is not for this certificate, or not for today. One from memory is the program's own affair. */
  #staple(slot: Slot, response: Uint8Array | null): void {
    if (!isInFiles(slot.source)) return;
    slot.ocspConcern = response === null ? null : ocspConcern(slot.certificate, response, this.#clock.wallNow());
    slot.certificate.ocspResponse = slot.ocspConcern === null ? response : null;
  }

  #concernOf({ certificate, ocspConcern: concern }: Slot): WireError | null {
    return certificateConcern(certificate, this.#clock.wallNow()) ?? concern;
  }

  /** Asks the function that knows the newest OCSP response, if there is one. The old response stays if it fails. @returns why it failed */
  async #refreshOcsp({ source, certificate }: Slot): Promise<WireError | null> {
    if (isInFiles(source) || typeof source.ocspResponse !== 'function') return null;
    try {
      const response: unknown = await this.#withTimeout(source.ocspResponse());
      if (response !== null && !(response instanceof Uint8Array)) throw new TypeError('ocspResponse must give bytes (DER) or null');
      certificate.ocspResponse = response;
      return null;
    } catch (error) {
      return certificateError('TLS_OCSP_UNREADABLE', `${certificate.label}: ocspResponse has failed: ${messageOf(error)}`, error);
    }
  }

  async #askForFirstOcsp(slot: Slot): Promise<void> {
    const error = await this.#refreshOcsp(slot);
    if (error === null || this.#isClosed) return;
    const { source, certificate } = slot;
    slot.failure = error.message;
    this.#tell({ source, label: certificate.label, error, concern: null, isReplaced: false, certificate });
  }

  /** A function that never answers must not hold up the certificates behind it, nor all reloads to come. */
  #withTimeout<T>(answer: T | Promise<T>): T | Promise<T> {
    if (!(answer instanceof Promise)) return answer;
    return new Promise<T>((resolve, reject) => {
      const wakeup = this.#clock.schedule(OCSP_TIMEOUT_MS, () => reject(new Error(`no answer within ${OCSP_TIMEOUT_MS} ms`)));
      answer.then(resolve, reject).finally(() => wakeup.cancel());
    });
  }

  #makeIndex(): ServerNameIndex<LoadedCertificate> {
    return new ServerNameIndex(this.#slots.map(({ certificate }) => ({ names: certificate.names, value: certificate })));
  }

  #tellConcerns(): void {
    if (this.#isClosed) return;
    for (const slot of this.#slots) {
      const { source, certificate } = slot;
      const concern = this.#concernOf(slot);
      slot.concern = concern?.reason ?? '';
      if (concern !== null) this.#tell({ source, label: certificate.label, error: null, concern, isReplaced: false, certificate });
    }
  }

  /** A callback that throws or rejects ends nothing: the certificates are served whatever it thinks of them. */
  #tell(reload: CertificateReload): void {
    if (this.#onReload === null) return;
    try {
      const result: unknown = this.#onReload(reload);
      if (result instanceof Promise) result.catch(ignore);
    } catch {
      // As above.
    }
  }

  #armRecheck(): void {
    if (this.#recheckMs === Infinity || this.#isClosed) return;
    this.#recheck = this.#clock.schedule(this.#recheckMs, () => {
      this.#watcher?.follow();
      void this.reload().finally(() => this.#armRecheck());
    });
  }
}

function checkSources(sources: readonly CertificateSource[]): void {
  if (!Array.isArray(sources) || sources.length === 0) throw new TypeError('at least one certificate is needed');
  for (const source of sources as readonly CertificateSource[]) checkCertificateSource(source);
}

function loadSlot(source: CertificateSource): Slot {
  const material = readMaterialSync(source);
  return {
    source,
    digest: digestOfMaterial(material),
    certificate: assembleCertificate(source, material),
    ocspConcern: null,
    failure: '',
    concern: '',
  };
}

/** Files may be swapped between two readings. What fails is read once more, and only what is the same then has failed. */
async function assembleWhole(
  source: CertificateSource,
  material: CertificateMaterial,
): Promise<readonly [LoadedCertificate, digest: string]> {
  const digest = digestOfMaterial(material);
  try {
    return [assembleCertificate(source, material), digest];
  } catch (error) {
    const again = await readMaterial(source);
    const digestAgain = digestOfMaterial(again);
    if (digestAgain === digest) throw error;
    return [assembleCertificate(source, again), digestAgain];
  }
}

function filesOf(source: CertificateSource): string[] {
  if (!isInFiles(source)) return [];
  const { certificateFile, keyFile, ocspFile } = source;
  return ocspFile === undefined ? [certificateFile, keyFile] : [certificateFile, keyFile, ocspFile];
}

/** A source was checked when the store was made: what is thrown now is about what was read, whatever its class. */
function asReloadError(error: unknown): WireError {
  if (isWireError(error)) return error;
  return error instanceof TypeError ? certificateError('TLS_CERTIFICATE_UNREADABLE', messageOf(error), error) : toWireError(error);
}

function ignore(): void {
  // Nobody is left to tell.
}

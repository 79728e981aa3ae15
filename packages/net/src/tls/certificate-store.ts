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
 * good certificate away; each source stands for itself: one that hangs holds up the others for one time-out at most, and a function that is asked
 * for an OCSP response none of them. While a certificate and its key are replaced one after the other they don't fit: that is a bad state like any other,
 * the old pair is served, and the event of the second file brings the new one.
 */

import { type Clock, systemClock, type Wakeup } from '@ferrata/clock';
import { checkNumber, isWireError, textOf, type WireError } from '@ferrata/error';
import { callUser } from '@ferrata/stream';
import { checkBoolean, checkFunction, checkMethods } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { Deadlines } from './certificate-deadlines.ts';
import { certificateError } from './certificate-error.ts';
import {
  type CertificateMaterial,
  type CertificatePaths,
  digestOfMaterial,
  pathsOf,
  readMaterial,
  readMaterialSync,
} from './certificate-files.ts';
import { assembleCertificate, certificateConcern, type LoadedCertificate } from './certificate-load.ts';
import { type CertificateSource, checkCertificateSource, isInFiles, labelOf } from './certificate-source.ts';
import { FileWatcher } from './file-watcher.ts';
import { isStapled, ocspConcern } from './ocsp-response.ts';
import { ServerNameIndex } from './server-name.ts';

/** What has become of one source. */
export interface CertificateReload {
  readonly source: CertificateSource;
  /** What messages call it: its file, or its names. */
  readonly label: string;
  /**
   * What has failed, if anything: it was not taken, and the old one stays; or, with `TLS_OCSP_UNREADABLE`, its function for the OCSP response has failed,
   * and the old response stays, whatever has become of the certificate (`isReplaced`).
   */
  readonly error: WireError | null;
  /**
   * `TLS_CERTIFICATE_EXPIRED` or `TLS_CERTIFICATE_NOT_YET_VALID` of what is served now; else `TLS_OCSP_REVOKED` of its `ocspFile`, or `TLS_OCSP_MISMATCH`,
   * `TLS_OCSP_NOT_YET_VALID`, `TLS_OCSP_EXPIRED`, `TLS_OCSP_UNREADABLE`: then that is not stapled; else `TLS_CERTIFICATE_UNWATCHED`: changes of its files
   * are not told by the system, and seen every `recheckMs` only; null if all is well.
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
   * Called when a source was replaced, when it could not be (once for each different failure), when it is good again without having changed, and when there is
   * a new concern (once each). Never from inside the constructor, nor after `close()`. What it throws, or rejects with, is dropped. Default: nothing.
   */
  readonly onReload?: (reload: CertificateReload) => void;
  /** Whether to watch the files. Default true. */
  readonly watch?: boolean;
  /**
   * Quiet after a change of files before they are read, 0 to 60 000. Default 100. Longer spares readings of half a pair, and is felt as delay. Files that go
   * on changing are read after 2 000, or twice as much as this, whichever is longer.
   */
  readonly settleMs?: number;
  /**
   * Time between two looks at all sources without an event, from 1 000 on; `Infinity`: never. Default 60 000. For file systems that tell nothing of their changes (NFS),
   * OCSP responses from functions, and certificates that expire. Costs one reading of each file.
   */
  readonly recheckMs?: number;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

const optionNames: Readonly<Record<keyof CertificateStoreOptions, true>> = {
  onReload: true,
  watch: true,
  settleMs: true,
  recheckMs: true,
  clock: true,
};

const OCSP_TIMEOUT_MS = 5000;
/** For all files of one source together. */
const READ_TIMEOUT_MS = 5000;

/** One source, and what is known of it. */
interface Slot {
  readonly source: CertificateSource;
  readonly paths: CertificatePaths | null;
  /** Of what was read last and was good: the key itself is held in one place only. */
  digest: string;
  certificate: LoadedCertificate;
  /** What is to be said of what is in its `ocspFile`. */
  ocspConcern: WireError | null;
  /** Its files are still being read: a file system that hangs must not be asked again by each reload. */
  isReading: boolean;
  /** How often its function was asked for a response: only the answer to the last question counts. */
  questions: number;
  /** The message of the last failure of its material; '' if the last reading was good. */
  failure: string;
  /** The same of its function. */
  ocspFailure: string;
  /** The reason of the last concern that was told; '' if there was none. */
  concern: string;
}

/** What came of reading one source. */
interface Reading {
  readonly slot: Slot;
  readonly error: WireError | null;
  readonly concern: WireError | null;
  readonly isReplaced: boolean;
}

/** Holds the certificates of a server. */
export class CertificateStore {
  readonly #slots: readonly Slot[];
  readonly #slotsByPath = new Map<string, Slot[]>();
  readonly #onReload: ((reload: CertificateReload) => void) | null;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #recheckMs: number;
  readonly #watcher: FileWatcher | null;
  #index: ServerNameIndex<LoadedCertificate>;
  #recheck: Wakeup | null = null;
  #isReading = false;
  /** The reading of all that begins when the running one has ended: whoever asks meanwhile shares it. */
  #queued: PromiseWithResolvers<ReloadReport> | null = null;
  /** What has changed while something was read. */
  readonly #changed = new Set<Slot>();
  #isClosed = false;

  /**
   * Loads all certificates, and begins to watch their files.
   *
   * @param sources the first is the default one; at least one
   * @throws {TypeError} for an option that is none, or of the wrong kind @throws {RangeError} for a number out of range
   * @throws {TypeError} @throws {WireError} as `loadCertificate`, for the first one that can't be loaded
   */
  constructor(sources: readonly CertificateSource[], options: CertificateStoreOptions = {}) {
    checkSources(sources);
    checkOptionNames('CertificateStore', options, optionNames);
    const { onReload, clock } = options;
    if (onReload !== undefined) checkFunction('onReload', onReload);
    if (clock !== undefined) checkMethods('clock', clock, 'a Clock', ['now', 'wallNow', 'schedule']);
    const isWatching = checkBoolean('watch', options.watch, true);
    const settleMs = checkNumber('settleMs', options.settleMs ?? 100, { min: 0, max: 60_000 });
    this.#recheckMs = checkNumber('recheckMs', options.recheckMs ?? 60_000, { min: 1000 });
    this.#onReload = onReload ?? null;
    this.#clock = clock ?? systemClock;
    this.#deadlines = new Deadlines(this.#clock);
    const allPaths = sources.map(pathsOf);
    // Watch first, read then: a change between the two is seen by one of them.
    this.#watcher = isWatching ? this.#watch(allPaths.flatMap(listOf), settleMs) : null;
    try {
      this.#slots = sources.map((source, index) => loadSlot(source, allPaths[index] ?? null));
    } catch (error) {
      this.#watcher?.close();
      throw error;
    }
    for (const slot of this.#slots) {
      for (const path of listOf(slot.paths)) this.#slotsByPath.set(path, [...(this.#slotsByPath.get(path) ?? []), slot]);
      this.#staple(slot, slot.certificate.ocspResponse);
    }
    this.#index = this.#makeIndex();
    queueMicrotask(() => this.#tellConcerns());
    for (const slot of this.#slots) void this.#refreshOcsp(slot);
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
    if (!this.#isReading) return this.#start(this.#slots);
    this.#queued ??= Promise.withResolvers();
    return this.#queued.promise;
  }

  /** Ends watching. What is loaded stays, and can be found and reloaded. Nothing is told any more. */
  close(): void {
    this.#isClosed = true;
    this.#watcher?.close();
    this.#recheck?.cancel();
    this.#recheck = null;
    this.#changed.clear();
    this.#deadlines.cancelAll('the store of certificates was closed');
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #watch(paths: readonly string[], settleMs: number): FileWatcher | null {
    if (paths.length === 0) return null;
    return new FileWatcher(paths, {
      settleMs,
      clock: this.#clock,
      onChange: (changed) => this.#reloadChanged(changed),
      onFailure: () => this.#tellConcerns(),
    });
  }

  #reloadChanged(paths: ReadonlySet<string>): void {
    if (this.#isClosed) return;
    for (const path of paths) for (const slot of this.#slotsByPath.get(path) ?? []) this.#changed.add(slot);
    if (!this.#isReading) this.#startWithChanged();
  }

  #startWithChanged(): void {
    const slots = this.#slots.filter((slot) => this.#changed.has(slot));
    if (slots.length > 0) void this.#start(slots);
  }

  async #start(slots: readonly Slot[]): Promise<ReloadReport> {
    this.#isReading = true;
    const readings: Reading[] = [];
    for (const slot of slots) {
      this.#changed.delete(slot);
      // One after the other: a server with a thousand certificates must not open a thousand files at once.
      readings.push(await this.#read(slot));
    }
    // Files that change meanwhile don't wait for answers, nor these for each other.
    this.#isReading = false;
    const answers = readings.map(({ slot }) => this.#refreshOcsp(slot));
    this.#goOn();
    const ocspErrors = await Promise.all(answers);
    const outcomes = readings.map((reading, index) => outcomeOf(reading, ocspErrors[index] ?? null));
    return {
      outcomes,
      replacedCount: outcomes.filter(({ isReplaced }) => isReplaced).length,
      failedCount: outcomes.filter(({ error }) => error !== null).length,
    };
  }

  #goOn(): void {
    const queued = this.#queued;
    this.#queued = null;
    if (queued === null) this.#startWithChanged();
    else queued.resolve(this.#start(this.#slots));
  }

  async #read(slot: Slot): Promise<Reading> {
    const before = slot.failure;
    let error: WireError | null = null;
    let isReplaced = false;
    try {
      isReplaced = await this.#replace(slot);
    } catch (thrown) {
      error = asReloadError(slot, thrown);
    }
    slot.failure = error?.message ?? '';
    const concern = this.#concernOf(slot);
    const isNewConcern = concern !== null && concern.reason !== slot.concern;
    slot.concern = concern?.reason ?? '';
    const reading: Reading = { slot, error, concern, isReplaced };
    if (isReplaced || slot.failure !== before || isNewConcern) this.#tell(outcomeOf(reading, null));
    return reading;
  }

  /** @returns whether there is another certificate now */
  async #replace(slot: Slot): Promise<boolean> {
    const material = await this.#readMaterial(slot);
    if (digestOfMaterial(material) === slot.digest) {
      this.#staple(slot, material.ocspResponse);
      return false;
    }
    const [certificate, digest] = await this.#assemble(slot, material);
    slot.certificate = certificate;
    slot.digest = digest;
    this.#staple(slot, certificate.ocspResponse);
    // At once: those that are read after this one may take their time.
    this.#index = this.#makeIndex();
    return true;
  }

  /** Files may be swapped between two readings. What fails is read once more, and only what is the same then has failed. */
  async #assemble(slot: Slot, material: CertificateMaterial): Promise<readonly [LoadedCertificate, digest: string]> {
    const digest = digestOfMaterial(material);
    try {
      return [assembleCertificate(slot.source, material), digest];
    } catch (error) {
      const again = await this.#readMaterial(slot);
      const digestAgain = digestOfMaterial(again);
      if (digestAgain === digest) throw error;
      return [assembleCertificate(slot.source, again), digestAgain];
    }
  }

  async #readMaterial(slot: Slot): Promise<CertificateMaterial> {
    if (slot.paths === null) return readMaterial(slot.source, null);
    if (slot.isReading) throw new Error('its files could not be read in time, and still are not');
    slot.isReading = true;
    const reading = readMaterial(slot.source, slot.paths).finally(() => {
      slot.isReading = false;
    });
    return this.#deadlines.within(reading, READ_TIMEOUT_MS, 'the files');
  }

  /** Takes the response of an `ocspFile`, unless it is not for this certificate, or not for today. One from memory is the program's own affair. */
  #staple(slot: Slot, response: Uint8Array | null): void {
    if (slot.paths === null) return;
    slot.ocspConcern = response === null ? null : ocspConcern(slot.certificate, response, this.#clock.wallNow());
    slot.certificate.ocspResponse = isStapled(slot.ocspConcern) ? response : null;
  }

  #concernOf({ certificate, ocspConcern: concern, paths, source }: Slot): WireError | null {
    return certificateConcern(certificate, this.#clock.wallNow()) ?? concern ?? this.#watchConcern(labelOf(source), paths);
  }

  #watchConcern(label: string, paths: CertificatePaths | null): WireError | null {
    for (const path of listOf(paths)) {
      const failure = this.#watcher?.failureOf(path) ?? null;
      if (failure === null) continue;
      const until = this.#recheckMs === Infinity ? 'go unseen' : `are seen every ${this.#recheckMs} ms only`;
      return certificateError('TLS_CERTIFICATE_UNWATCHED', `${label}: changes of its files ${until}: ${textOf(failure)}`, failure);
    }
    return null;
  }

  /** Asks the function that knows the newest OCSP response, if there is one. The old response stays if it fails. @returns why it failed; never rejects */
  async #refreshOcsp(slot: Slot): Promise<WireError | null> {
    const { source, certificate } = slot;
    if (isInFiles(source)) return null;
    const { ocspResponse } = source;
    if (typeof ocspResponse !== 'function') return null;
    const question = ++slot.questions;
    let error: WireError | null = null;
    try {
      // Asked in a turn of its own: what it does there, and that it throws, must not happen inside of the constructor or between two readings.
      const answer = Promise.resolve().then(() => ocspResponse.call(source));
      const response: unknown = await this.#deadlines.within(answer, OCSP_TIMEOUT_MS, 'the function');
      if (response !== null && !(response instanceof Uint8Array)) throw new TypeError('ocspResponse must give bytes (DER) or null');
      // An answer that was overtaken by the next question may be the older one, or for the certificate before.
      if (question === slot.questions) certificate.ocspResponse = response;
    } catch (thrown) {
      error = certificateError('TLS_OCSP_UNREADABLE', `${certificate.label}: ocspResponse has failed: ${textOf(thrown)}`, thrown);
    }
    if (question !== slot.questions) return error;
    const before = slot.ocspFailure;
    slot.ocspFailure = error?.message ?? '';
    if (slot.ocspFailure !== before) this.#tell(outcomeOf({ slot, error, concern: this.#concernOf(slot), isReplaced: false }, null));
    return error;
  }

  #makeIndex(): ServerNameIndex<LoadedCertificate> {
    return new ServerNameIndex(this.#slots.map(({ certificate }) => ({ names: certificate.names, value: certificate })));
  }

  /** The new ones. */
  #tellConcerns(): void {
    if (this.#isClosed) return;
    for (const slot of this.#slots) {
      const concern = this.#concernOf(slot);
      const isNew = concern !== null && concern.reason !== slot.concern;
      slot.concern = concern?.reason ?? '';
      if (isNew) this.#tell(outcomeOf({ slot, error: null, concern, isReplaced: false }, null));
    }
  }

  /** A callback that throws or rejects ends nothing: the certificates are served whatever it thinks of them. */
  #tell(reload: CertificateReload): void {
    const onReload = this.#onReload;
    if (onReload !== null && !this.#isClosed) callUser(() => onReload(reload), ignore);
  }

  #armRecheck(): void {
    if (this.#recheckMs === Infinity || this.#isClosed) return;
    this.#recheck = this.#clock.schedule(this.#recheckMs, () => {
      void this.reload().finally(() => {
        // Looking at directories holds up the thread, so not where the readings have just shown that the file system hangs.
        const answering = this.#slots.filter(({ isReading }) => !isReading);
        this.#watcher?.follow(answering.flatMap(({ paths }) => listOf(paths)));
        this.#armRecheck();
      });
    });
  }
}

function checkSources(sources: readonly CertificateSource[]): void {
  if (!Array.isArray(sources) || sources.length === 0) throw new TypeError('at least one certificate is needed');
  for (const source of sources as readonly CertificateSource[]) checkCertificateSource(source);
}

function loadSlot(source: CertificateSource, paths: CertificatePaths | null): Slot {
  const material = readMaterialSync(source, paths);
  return {
    source,
    paths,
    digest: digestOfMaterial(material),
    certificate: assembleCertificate(source, material),
    ocspConcern: null,
    isReading: false,
    questions: 0,
    failure: '',
    ocspFailure: '',
    concern: '',
  };
}

function listOf(paths: CertificatePaths | null): string[] {
  if (paths === null) return [];
  return [...new Set([paths.certificate, paths.key, ...(paths.ocsp === null ? [] : [paths.ocsp])])];
}

function outcomeOf({ slot, error, concern, isReplaced }: Reading, ocspError: WireError | null): CertificateReload {
  const { source, certificate } = slot;
  return { source, label: labelOf(source), error: error ?? ocspError, concern, isReplaced, certificate };
}

/** A source was checked when the store was made: what is thrown now is about what was read, whatever its class. */
function asReloadError({ source }: Slot, error: unknown): WireError {
  return isWireError(error) ? error : certificateError('TLS_CERTIFICATE_UNREADABLE', `${labelOf(source)}: ${textOf(error)}`, error);
}

function ignore(): void {
  // Nobody is left to tell.
}

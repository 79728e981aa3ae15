/**
 * Backends that a file lists, which is read again when it changes.
 *
 * ```text
 *   hint of the directory ──► quiet for debounceMs ──┐
 *                                                    ├──► another file, or another state of it? ──► read ──► good: said ──► hint …
 *   every recheckMs ─────────────────────────────────┘                                               └── bad: told once, the set before holds on
 * ```
 * Rules:
 * - Write another file and rename it over this one: then nobody ever sees half of it. One that is written in place is read when it is quiet, and JSON that is cut off is no JSON; a list
 *   of lines that is cut off may look whole.
 * - A file that vanishes, and one that cannot be read or understood, changes nothing: the set before holds on. Each content is told once.
 * - Watching may miss changes, and tells of none on some file systems (NFS): so the file is looked at every `recheckMs`, too, which costs one `stat`.
 */
import { createHash } from 'node:crypto';
import { isAbsolute, sep } from 'node:path';
import type { Wakeup } from '@ferrata/clock';
import { checkNumber, checkWholeNumber, ioError, protocolError, textOf, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import type { PlainBackend } from '../backend.ts';
import { type BackendFileFormat, readBackendFile } from './backend-file.ts';
import { DirectoryWatch } from './directory-watch.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { FileUnsettledError, lookAtFile, readWholeFile } from './file-look.ts';
import { WatchedSink } from './watched-sink.ts';

/** Options of `fileDiscovery`. */
export interface FileDiscoveryOptions {
  /** Of the file; a relative one is seen from the working directory of now. */
  readonly path: string;
  /** Default: JSON if the text begins with a brace, else lines. */
  readonly format?: BackendFileFormat;
  /** Quiet after a change before the file is read, 0 to 60 000 ms. Default 100. Raising it spares readings of half a file, and is felt as delay. */
  readonly debounceMs?: number;
  /** Time between two looks without a hint, 100 ms or more; `Infinity`: never. Default 5 000. Lowering it costs a `stat` each time. */
  readonly recheckMs?: number;
  /** The greatest file that is read, 1 to 1 073 741 824 bytes. Default 16 777 216. Reading one of that size stops the thread for some 100 ms. */
  readonly maxBytes?: number;
  /** Backends in it, 1 to 1 048 576. Default 65 536. */
  readonly maxBackends?: number;
}

interface FileConfig extends Required<Omit<FileDiscoveryOptions, 'format'>> {
  readonly format: BackendFileFormat | null;
}

/** A file that is written without end is read at last: after this, or twice `debounceMs`. */
const MAX_DELAY_MS = 2_000;
/** A file that was always being written when it was read, so many times, is told as one that cannot be read. */
const MAX_UNSETTLED = 10;
/** File systems write times down in steps of up to so much: within it the same time does not mean the same content. */
const TIME_STEP_MS = 2_000;

const optionNames: Readonly<Record<keyof FileDiscoveryOptions, true>> = {
  path: true,
  format: true,
  debounceMs: true,
  recheckMs: true,
  maxBytes: true,
  maxBackends: true,
};

/**
 * Makes a discovery of a file.
 *
 * @throws {TypeError} for an option that is none, or of the wrong kind
 * @throws {RangeError} for a number out of range
 */
export function fileDiscovery(options: FileDiscoveryOptions): Discovery {
  for (const name of Object.keys(options))
    if (!Object.hasOwn(optionNames, name))
      throw new TypeError(
        `fileDiscovery has no option ${JSON.stringify(name.slice(0, 100))}; it knows ${Object.keys(optionNames).join(', ')}`,
      );
  const { path, format = null, debounceMs = 100, recheckMs = 5_000, maxBytes = 16_777_216, maxBackends = 65_536 } = options;
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw new TypeError('path must be the path of a file');
  if (format !== null && format !== 'json' && format !== 'lines' && typeof format !== 'function')
    throw new TypeError(`format must be json, lines or a function, not ${String(format)}`);
  const config: FileConfig = Object.freeze({
    // `link/../a` is for the kernel to follow, which goes up from where the link leads.
    path: isAbsolute(path) ? path : `${process.cwd()}${sep}${path}`,
    format,
    debounceMs: checkNumber('debounceMs', debounceMs, { min: 0, max: 60_000 }),
    recheckMs: checkNumber('recheckMs', recheckMs, { min: 100 }),
    maxBytes: checkWholeNumber('maxBytes', maxBytes, { min: 1, max: 1_073_741_824 }),
    maxBackends: checkWholeNumber('maxBackends', maxBackends, { min: 1, max: 1_048_576 }),
  });
  return { name: `file:${path}`, watch: (sink, environment) => new FileWatch(config, sink, environment) };
}

class FileWatch implements DiscoveryWatch {
  readonly #config: FileConfig;
  readonly #sink: WatchedSink;
  readonly #environment: HttpEnvironment;
  readonly #directories: DirectoryWatch;
  #recheck: Wakeup | null = null;
  #debounce: Wakeup | null = null;
  /** When the first hint came that has not been followed yet. */
  #hintedAt = 0;
  #isReading = false;
  /** A hint came while the file was read. */
  #isHinted = false;
  /** The file itself has changed: it is read even if it looks the same. */
  #mustRead = true;
  /** Which file in which state was read last. */
  #identity = '';
  /** Of the content that was read last, good or bad; '' if the last look found none. */
  #digest = '';
  /** Why the last look found none, as it was told; '' if it found one. */
  #failure = '';
  /** Looks in a row that found it being written. */
  #unsettled = 0;

  constructor(config: FileConfig, sink: DiscoverySink, environment: HttpEnvironment) {
    this.#config = config;
    this.#sink = new WatchedSink(sink);
    this.#environment = environment;
    // Watch first, read then: a change between the two is seen by one of them.
    this.#directories = new DirectoryWatch(config.path, { onHint: (isOwn) => this.#hint(isOwn) });
    void this.#look();
  }

  close(): void {
    this.#sink.close();
    this.#directories.close();
    this.#recheck?.cancel();
    this.#debounce?.cancel();
    this.#recheck = null;
    this.#debounce = null;
  }

  #hint(isOwn: boolean): void {
    if (this.#sink.isClosed) return;
    if (isOwn) this.#mustRead = true;
    if (this.#isReading) this.#isHinted = true;
    else this.#soon();
  }

  /** Once it is quiet. */
  #soon(): void {
    const { clock } = this.#environment;
    const { debounceMs } = this.#config;
    const now = clock.now();
    if (this.#debounce === null) this.#hintedAt = now;
    this.#debounce?.cancel();
    const latest = this.#hintedAt + Math.max(MAX_DELAY_MS, 2 * debounceMs);
    this.#debounce = clock.schedule(Math.max(0, Math.min(debounceMs, latest - now)), () => void this.#look());
  }

  /** Never rejects, and is never run twice at once: a file system that hangs is not asked again. */
  async #look(): Promise<void> {
    this.#debounce?.cancel();
    this.#debounce = null;
    this.#recheck?.cancel();
    this.#recheck = null;
    this.#isReading = true;
    this.#isHinted = false;
    // Before it is read: what changes in a directory that links lead to since now would be told by nobody else.
    await this.#directories.follow();
    try {
      await this.#readIfChanged();
    } catch (thrown) {
      this.#takeNoContent(thrown);
    }
    this.#isReading = false;
    if (this.#sink.isClosed) return;
    if (this.#isHinted || this.#unsettled > 0) this.#soon();
    if (this.#config.recheckMs !== Infinity)
      this.#recheck = this.#environment.clock.schedule(this.#config.recheckMs, () => void this.#look());
  }

  async #readIfChanged(): Promise<void> {
    const { path, maxBytes } = this.#config;
    if (!this.#mustRead && (await lookAtFile(path)).text === this.#identity) return;
    // A hint that comes while it is read is about what comes after it.
    this.#mustRead = false;
    const { text, modifiedAt, bytes } = await readWholeFile(path, maxBytes);
    // What was written within the same step of time would look the same: the next look reads it once more.
    this.#identity = this.#environment.clock.wallNow() - modifiedAt < TIME_STEP_MS ? '' : text;
    this.#unsettled = 0;
    this.#failure = '';
    const digest = createHash('sha256').update(bytes).digest('base64');
    if (digest === this.#digest) return;
    this.#digest = digest;
    this.#takeContent(bytes);
  }

  #takeContent(bytes: Uint8Array): void {
    const { path, format, maxBackends } = this.#config;
    let backends: readonly PlainBackend[];
    try {
      backends = readBackendFile(bytes, format, maxBackends);
    } catch (error) {
      const details = { fault: 'local', wire: { status: 500 }, cause: error } as const;
      this.#sink.onFailed(protocolError('DISCOVERY_FILE_INVALID', `${path}: ${textOf(error)}`, details));
      return;
    }
    this.#sink.onBackends(backends);
  }

  #takeNoContent(thrown: unknown): void {
    this.#mustRead = true;
    // Whoever writes is given time: the last good content is still that of a moment ago.
    if (thrown instanceof FileUnsettledError && ++this.#unsettled < MAX_UNSETTLED) return;
    this.#unsettled = 0;
    this.#identity = '';
    this.#digest = '';
    const error = fileError(this.#config.path, thrown);
    if (error.message === this.#failure) return;
    this.#failure = error.message;
    this.#sink.onFailed(error);
  }
}

function fileError(path: string, thrown: unknown): WireError {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  const details = { fault: 'local', wire: { status: 500 }, cause: thrown } as const;
  if (code === 'ENOENT' || code === 'ENOTDIR') return ioError('DISCOVERY_FILE_MISSING', `there is no file ${path}`, details);
  if (thrown instanceof FileUnsettledError)
    return ioError('DISCOVERY_FILE_UNSETTLED', `${path} was always being written when it was read`, details);
  return ioError('DISCOVERY_FILE_UNREADABLE', `${path} can't be read: ${textOf(thrown)}`, details);
}

/**
 * Tells when one of some files may have become another one, without looking at them again and again.
 *
 * ```
 * /etc/tls/tls.crt -> ..data/tls.crt         watched: /etc/tls (the link, and ..data),
 * /etc/tls/..data  -> ..2026_11_22           /etc/tls/..2026_11_22 (the file)
 * ```
 * Rules: directories are watched, not files, as a file is replaced by renaming another one over it, and a watch on the old one would never hear of it; and each directory
 * that holds a link on the way, as Kubernetes and certbot swap links. Where a directory is missing, the nearest that is there is watched. After each
 * event the way is gone again, so that what a link points to now is watched from then on. Events are only hints: who is told reads the files, and compares.
 */
import { type FSWatcher, lstatSync, readlinkSync, statSync, watch } from 'node:fs';
import { basename, dirname, parse, resolve, sep } from 'node:path';
import type { Clock, Wakeup } from '@ferrata/clock';

/** As many as Linux follows (path_resolution(7)). */
const MAX_LINKS = 40;
/** A file that is written without end is read at last. */
const MAX_DELAY_MS = 2000;

/** Options of `FileWatcher`. */
export interface FileWatcherOptions {
  /** Quiet after an event before `onChange` is called. */
  readonly settleMs: number;
  readonly clock: Clock;
  readonly onChange: () => void;
}

interface Watched {
  readonly watcher: FSWatcher;
  /** Which directory it was: another one may have its name by now. */
  readonly identity: string;
  /** It was itself removed or renamed. Its successor may have the same inode. */
  isGone: boolean;
}

/** Watches files. Does not keep a program alive. */
export class FileWatcher {
  readonly #paths: readonly string[];
  readonly #settleMs: number;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #directories = new Map<string, Watched>();
  #wakeup: Wakeup | null = null;
  /** When the first event came that has not been told of yet. */
  #pendingSince = 0;
  #isClosed = false;

  constructor(paths: readonly string[], options: FileWatcherOptions) {
    this.#paths = [...new Set(paths.map((path) => resolve(path)))];
    this.#settleMs = options.settleMs;
    this.#clock = options.clock;
    this.#onChange = options.onChange;
    this.follow();
  }

  /** The directories that are watched now. */
  get directories(): readonly string[] {
    return [...this.#directories.keys()];
  }

  close(): void {
    this.#isClosed = true;
    this.#wakeup?.cancel();
    for (const directory of this.#directories.keys()) this.#forget(directory);
  }

  /** Watches what is on the way to the files now, and nothing else. Also takes up again what could not be watched before. */
  follow(): void {
    const wanted = new Set(this.#paths.flatMap(directoriesOnTheWay));
    for (const directory of this.#directories.keys()) if (!wanted.has(directory)) this.#forget(directory);
    for (const directory of wanted) {
      const identity = identityOf(directory);
      const known = this.#directories.get(directory);
      if (known?.identity === identity && !known.isGone) continue;
      this.#forget(directory);
      if (identity !== '') this.#watch(directory, identity);
    }
  }

  #watch(directory: string, identity: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, (event, name) => {
        // inotify tells the removal of the directory itself under its own name.
        if (event === 'rename' && (name === null || name === basename(directory))) watched.isGone = true;
        this.#noteEvent();
      });
      const watched: Watched = { watcher, identity, isGone: false };
      // Out of watches (ENOSPC): whoever looks without an event, too, finds what has changed.
      watcher.on('error', () => this.#forget(directory));
      this.#directories.set(directory, watched);
    } catch {
      // As above.
    }
  }

  #forget(directory: string): void {
    const watched = this.#directories.get(directory);
    this.#directories.delete(directory);
    watched?.watcher.close();
  }

  #noteEvent(): void {
    if (this.#isClosed) return;
    const now = this.#clock.now();
    if (this.#wakeup === null) this.#pendingSince = now;
    this.#wakeup?.cancel();
    const delayMs = Math.max(0, Math.min(this.#settleMs, this.#pendingSince + MAX_DELAY_MS - now));
    this.#wakeup = this.#clock.schedule(delayMs, () => this.#settle());
  }

  #settle(): void {
    this.#wakeup = null;
    if (this.#isClosed) return;
    this.follow();
    this.#onChange();
  }
}

/** The directories in which a change may make `path` another file: those that hold a link on the way to it, and that of the file itself. */
export function directoriesOnTheWay(path: string): string[] {
  const found = new Set<string>();
  let links = 0;
  let { root: at } = parse(path);
  let rest = path.slice(at.length).split(sep).filter(isStep);
  while (rest.length > 0) {
    const [step = '', ...further] = rest;
    const next = resolve(at, step);
    const target = linkTarget(next);
    if (target === 'missing') {
      found.add(at);
      return [...found];
    }
    if (target !== 'no link' && ++links <= MAX_LINKS) {
      found.add(at);
      const full = resolve(at, target.to);
      ({ root: at } = parse(full));
      rest = [...full.slice(at.length).split(sep).filter(isStep), ...further];
      continue;
    }
    at = next;
    rest = further;
  }
  found.add(dirname(at));
  return [...found];
}

function isStep(step: string): boolean {
  return step !== '';
}

function linkTarget(path: string): 'missing' | 'no link' | { readonly to: string } {
  try {
    return lstatSync(path).isSymbolicLink() ? { to: readlinkSync(path) } : 'no link';
  } catch {
    return 'missing';
  }
}

function identityOf(directory: string): string {
  try {
    const { dev, ino } = statSync(directory);
    return `${dev}:${ino}`;
  } catch {
    return '';
  }
}

/**
 * Tells which of some files may have become another one, without looking at them again and again.
 *
 * Rules: directories are watched, not files, as a file is replaced by renaming another one over it, and a watch on the old one would never hear of it: each
 * directory on the way to a file, and in it the names on the way only (`file-way.ts`), as Kubernetes and certbot swap links, and others whole folders. What
 * else happens there, an access log beside the certificates, costs one look into a map. After an event the ways concerned are gone again, so that what
 * a link points to now is watched from then on. Events are only hints: who is told reads the files, and compares.
 */
import { type FSWatcher, watch } from 'node:fs';
import { basename } from 'node:path';
import type { Clock, Wakeup } from '@ferrata/clock';
import { type LinkCache, lookAt, type WayStep, wayTo } from './file-way.ts';

/** A file that is written without end is read at last: after this, or twice `settleMs`. */
const MAX_DELAY_MS = 2000;
/** A way that changes while it is gone is gone again, so many times. */
const MAX_PASSES = 5;

/** Options of `FileWatcher`. */
export interface FileWatcherOptions {
  /** Quiet after an event before `onChange` is called. */
  readonly settleMs: number;
  readonly clock: Clock;
  /** The files that may have changed. */
  readonly onChange: (paths: ReadonlySet<string>) => void;
  /** A watch has ended by itself. See `failureOf`. */
  readonly onFailure: () => void;
}

interface Watched {
  readonly watcher: FSWatcher;
  /** Which directory it is: another one may have its name by now. */
  readonly identity: string;
  /** It was itself removed or renamed. Its successor may have the same inode. */
  isGone: boolean;
}

interface Directory {
  /** The files whose ways look up a name here. */
  readonly names: Map<string, Set<string>>;
  watched: Watched | null;
  /** Why it can't be watched. */
  failure: Error | null;
}

/** Watches files. Does not keep a program alive. */
export class FileWatcher {
  readonly #ways: Map<string, readonly WayStep[]>;
  readonly #settleMs: number;
  readonly #maxDelayMs: number;
  readonly #clock: Clock;
  readonly #onChange: (paths: ReadonlySet<string>) => void;
  readonly #onFailure: () => void;
  readonly #directories = new Map<string, Directory>();
  #changed = new Set<string>();
  #wakeup: Wakeup | null = null;
  /** When the first event came that has not been told of yet. */
  #pendingSince = 0;
  #isClosed = false;

  /** @param paths absolute */
  constructor(paths: readonly string[], options: FileWatcherOptions) {
    this.#ways = new Map(paths.map((path) => [path, []]));
    this.#settleMs = options.settleMs;
    this.#maxDelayMs = Math.max(MAX_DELAY_MS, 2 * options.settleMs);
    this.#clock = options.clock;
    this.#onChange = options.onChange;
    this.#onFailure = options.onFailure;
    this.follow(paths);
  }

  /** The directories that are watched now. */
  get directories(): readonly string[] {
    return [...this.#directories].filter(([, { watched }]) => watched !== null).map(([path]) => path);
  }

  close(): void {
    this.#isClosed = true;
    this.#wakeup?.cancel();
    for (const { watched } of this.#directories.values()) watched?.watcher.close();
    this.#directories.clear();
  }

  /**
   * Why changes of a file may go unnoticed; null if they are told. A directory further up that nobody but its owner may list can't be watched, and is
   * no failure: only that it is replaced as a whole goes unnoticed.
   */
  failureOf(path: string): Error | null {
    for (const { directory, isEssential } of this.#ways.get(path) ?? []) {
      const failure = this.#directories.get(directory)?.failure ?? null;
      if (failure !== null && (isEssential || !isForbidden(failure))) return failure;
    }
    return null;
  }

  /** Watches what is on the ways to these files now, and nothing else. Also takes up again what could not be watched before. Looks at them at once. */
  follow(paths: readonly string[]): void {
    if (this.#isClosed) return;
    // What changes between a look and the watch that follows it is told by nobody: another look, until no watch is new.
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      const cache: LinkCache = new Map();
      const touched = new Set<string>();
      for (const path of paths) this.#note(path, cache, touched);
      if (!this.#renewWatches(touched, cache)) return;
    }
  }

  #note(path: string, cache: LinkCache, touched: Set<string>): void {
    for (const { directory, name } of this.#ways.get(path) ?? []) {
      touched.add(directory);
      const names = this.#directories.get(directory)?.names;
      const files = names?.get(name);
      if (files?.delete(path) === true && files.size === 0) names?.delete(name);
    }
    const steps = wayTo(path, cache);
    this.#ways.set(path, steps);
    for (const { directory, name } of steps) {
      touched.add(directory);
      const { names } = this.#directoryAt(directory);
      const files = names.get(name);
      if (files === undefined) names.set(name, new Set([path]));
      else files.add(path);
    }
  }

  #directoryAt(path: string): Directory {
    let directory = this.#directories.get(path);
    if (directory === undefined) {
      directory = { names: new Map(), watched: null, failure: null };
      this.#directories.set(path, directory);
    }
    return directory;
  }

  /** @returns whether a watch is new */
  #renewWatches(touched: ReadonlySet<string>, cache: LinkCache): boolean {
    let isNew = false;
    for (const path of touched) {
      const directory = this.#directoryAt(path);
      if (directory.names.size === 0) {
        directory.watched?.watcher.close();
        this.#directories.delete(path);
        continue;
      }
      const stats = lookAt(path, cache);
      const identity = stats?.isDirectory() === true ? `${stats.dev}:${stats.ino}` : '';
      if (directory.watched?.identity === identity && !directory.watched.isGone) continue;
      directory.watched?.watcher.close();
      directory.watched = null;
      directory.failure = null;
      // Where there is no directory, the one above it tells when there is.
      if (identity === '') continue;
      this.#watch(path, directory, identity);
      isNew ||= directory.watched !== null;
    }
    return isNew;
  }

  #watch(path: string, directory: Directory, identity: string): void {
    const ownName = basename(path);
    try {
      const watcher = watch(path, { persistent: false }, (event, name) => {
        if (directory.watched !== watched) return;
        // inotify tells the removal of the directory itself under its own name. Without a name, anything may have changed.
        if (name === null || (event === 'rename' && name === ownName)) {
          watched.isGone = true;
          for (const files of directory.names.values()) this.#noteEvent(files);
        } else {
          const files = directory.names.get(name);
          if (files !== undefined) this.#noteEvent(files);
        }
      });
      const watched: Watched = { watcher, identity, isGone: false };
      directory.watched = watched;
      watcher.on('error', (error: Error) => {
        watcher.close();
        if (this.#isClosed || directory.watched !== watched) return;
        directory.watched = null;
        directory.failure = error;
        this.#onFailure();
      });
    } catch (error) {
      // Out of watches (ENOSPC), or not to be listed (EACCES): whoever looks without an event, too, finds what has changed.
      directory.failure = error as Error;
    }
  }

  #noteEvent(files: ReadonlySet<string>): void {
    if (this.#isClosed) return;
    for (const file of files) this.#changed.add(file);
    const now = this.#clock.now();
    if (this.#wakeup === null) this.#pendingSince = now;
    this.#wakeup?.cancel();
    const delayMs = Math.max(0, Math.min(this.#settleMs, this.#pendingSince + this.#maxDelayMs - now));
    this.#wakeup = this.#clock.schedule(delayMs, () => this.#settle());
  }

  #settle(): void {
    this.#wakeup = null;
    if (this.#isClosed) return;
    const changed = this.#changed;
    this.#changed = new Set();
    this.follow([...changed]);
    this.#onChange(changed);
  }
}

function isForbidden(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM';
}

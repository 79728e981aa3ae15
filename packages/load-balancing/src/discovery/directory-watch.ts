/**
 * Hints that a file may have changed: its directory is watched, and the one that its links lead to.
 *
 * Rules: directories are watched, not files, as a file is replaced by renaming another one over it, and Kubernetes renames a link beside it (`..data`). A hint says no more than
 * that somebody should look; what cannot be watched gives none.
 */
import { type FSWatcher, watch } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Who is told. */
export interface DirectoryHints {
  /** @param isOwn it was the file itself; else something beside it, which may be a link that leads to it */
  onHint(isOwn: boolean): void;
}

/** Watches the directories of one file. Does not keep a program alive. */
export class DirectoryWatch {
  readonly #path: string;
  readonly #hints: DirectoryHints;
  /** By directory. */
  readonly #watchers = new Map<string, FSWatcher>();
  #isClosed = false;

  /** @param path absolute */
  constructor(path: string, hints: DirectoryHints) {
    this.#path = path;
    this.#hints = hints;
    this.#watch(path);
  }

  /** Directories that are watched. */
  get size(): number {
    return this.#watchers.size;
  }

  /** Watches where the links lead to now, and what could not be watched before. Never rejects. */
  async follow(): Promise<void> {
    let target = this.#path;
    try {
      target = await realpath(this.#path);
    } catch {
      // There is no file: its own directory tells when there is.
    }
    if (this.#isClosed) return;
    const wanted = new Set([dirname(this.#path), dirname(target)]);
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      this.#watchers.delete(directory);
      watcher.close();
    }
    this.#watch(this.#path);
    this.#watch(target);
  }

  close(): void {
    this.#isClosed = true;
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(path: string): void {
    const directory = dirname(path);
    if (this.#watchers.has(directory)) return;
    const [ownName, directoryName] = [basename(path), basename(directory)];
    try {
      const watcher = watch(directory, { persistent: false }, (event, name) => {
        if (this.#watchers.get(directory) !== watcher) return;
        // The directory itself was removed or renamed: another one may have its name by now, and is watched the next time.
        if (event === 'rename' && name === directoryName) this.#drop(directory, watcher);
        this.#hints.onHint(name === null || name === ownName);
      });
      watcher.on('error', () => this.#drop(directory, watcher));
      this.#watchers.set(directory, watcher);
    } catch {
      // No such directory, not to be listed, or out of watches: whoever looks without a hint, too, finds what has changed.
    }
  }

  #drop(directory: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watchers.get(directory) === watcher) this.#watchers.delete(directory);
  }
}

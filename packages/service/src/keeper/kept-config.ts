/**
 * A configuration on its way from the generation that serves it to the keeper, and back to one that takes the place of a dead one.
 *
 * The keeper only keeps the bytes and never looks into them: whatever a program puts into its configuration is its own.
 */
import { deserialize, serialize } from 'node:v8';
import { textOf } from '@ferrata/error';
import { MAX_KEPT_OPTIONS_BYTES } from '../kept-options.ts';
import type { AttemptReason } from './attempt.ts';
import type { LastGood } from './generation-messages.ts';

/** A configuration of more bytes is not kept: each reload sends it to the keeper. */
export const MAX_KEPT_CONFIG_BYTES = 4 * 1024 * 1024;

/** The bytes, or why there are none. */
export type PackedConfig = { readonly bytes: Uint8Array; readonly why: null } | { readonly bytes: null; readonly why: string };

/** Packs a configuration: plain data, `Map`, `Set`, `BigInt`, `Date` and typed arrays among them. Never throws. */
export function packConfig(config: unknown): PackedConfig {
  try {
    const bytes = serialize(config);
    if (bytes.length <= MAX_KEPT_CONFIG_BYTES) return { bytes, why: null };
    return { bytes: null, why: `it has ${bytes.length} bytes, and ${MAX_KEPT_CONFIG_BYTES} are kept at most` };
  } catch (thrown) {
    return { bytes: null, why: textOf(thrown) };
  }
}

/**
 * Opens what `packConfig` has packed: a copy of its own each time.
 *
 * @throws {Error} if the bytes are not that, or of a later version of V8 than this one
 */
export function unpackConfig(bytes: Uint8Array): unknown {
  return deserialize(bytes);
}

/** So long must a configuration have been in force before it counts as a good one. */
const PROOF_MS = 30_000;

/** So many generations in a row end before that time is over, and the good one before it is served again. One may have ended for another reason. */
const EARLY_DEATHS = 2;

/**
 * The keeper's copies of the configuration in force, of the one before it, and of the options of the server's file.
 *
 * A generation that takes the place of a dead one gets a copy for the case that the configuration on disk is broken. If what is on disk is read well and yet nothing comes of it (its sockets cannot
 * be opened, a service does not start with it), the next attempt takes the copy at once; should that fail, too, the one after looks at the disk again: by then it may have been mended.
 *
 * ```
 *   taken on ── in force for 30 s ──► good
 *      └─ two generations have died of it before ──► the good one before it is served, until a reload or an upgrade succeeds
 * ```
 */
export class KeptConfig {
  readonly #now: () => number;
  #good: Uint8Array | null = null;
  /** In force since then (`Infinity`: while nobody serves), and not yet known to be good. */
  #trial: { readonly bytes: Uint8Array; readonly since: number; readonly deaths: number } | null = null;
  #insteadBecause: string | null = null;
  #fileOptions: string | null = null;

  /** @param now the time, in milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * A generation serves with it. Without any, or with one that is too large, none is kept: an older one is not in force any more.
   *
   * @param reason why the generation was started, or `reload`. One that replaces a dead one may have had no look at the disk: nobody has said that what is there was mended
   */
  keep(bytes: Uint8Array | null | undefined, reason: AttemptReason): void {
    this.#judgeTrial();
    if (reason !== 'replace') this.#insteadBecause = null;
    if (!(bytes instanceof Uint8Array) || bytes.length > MAX_KEPT_CONFIG_BYTES) {
      this.#good = null;
      this.#trial = null;
      return;
    }
    const { deaths } = this.#trial !== null && isSame(this.#trial.bytes, bytes) ? this.#trial : { deaths: 0 };
    const isKnown = this.#good !== null && isSame(this.#good, bytes);
    this.#trial = isKnown ? null : { bytes, since: this.#now(), deaths };
  }

  /** A generation runs with them. Without any, or with too many, none are kept. */
  keepFileOptions(text: string | null | undefined): void {
    this.#fileOptions = typeof text === 'string' && Buffer.byteLength(text) <= MAX_KEPT_OPTIONS_BYTES ? text : null;
  }

  /** For a generation that takes the place of a dead one, should the file be no good by then; null: none are kept. */
  get fileOptions(): string | null {
    return this.#fileOptions;
  }

  /** For a generation that takes the place of a dead one; null: nothing is kept. */
  offer(): LastGood | null {
    const config = this.#trial?.bytes ?? this.#good;
    return config === null ? null : { config, insteadBecause: this.#insteadBecause };
  }

  /** Somebody says that it has been mended: the next one looks there. */
  lookAtDisk(): void {
    this.#insteadBecause = null;
  }

  /** Nobody serves, and a generation did not become ready. One that was to replace a dead one has been offered what is kept; all others have looked at the disk. */
  handleFailedStart(why: string, reason: AttemptReason): void {
    const hasTakenCopy = reason === 'replace' && this.#insteadBecause !== null;
    this.#insteadBecause = hasTakenCopy || this.offer() === null ? null : why;
  }

  /** The generation that serves with it has died. */
  handleDeath(): void {
    this.#judgeTrial();
    if (this.#trial === null) return;
    const deaths = this.#trial.deaths + 1;
    this.#trial = { ...this.#trial, since: Number.POSITIVE_INFINITY, deaths };
    if (deaths < EARLY_DEATHS || this.#good === null) return;
    this.#trial = null;
    this.#insteadBecause = `${deaths} generations in a row have ended within ${PROOF_MS / 1_000} s of taking it on`;
  }

  #judgeTrial(): void {
    if (this.#trial === null || this.#now() - this.#trial.since < PROOF_MS) return;
    this.#good = this.#trial.bytes;
    this.#trial = null;
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

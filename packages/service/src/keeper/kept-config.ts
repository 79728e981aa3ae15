/**
 * A configuration on its way from the generation that serves it to the keeper, and back to one that takes the place of a dead one.
 *
 * The keeper only keeps the bytes and never looks into them: whatever a program puts into its configuration is its own.
 */
import { deserialize, serialize } from 'node:v8';
import { textOf } from '@ferrata/error';
import { MAX_KEPT_OPTIONS_BYTES } from '../kept-options.ts';
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

/**
 * The keeper's copy of the configuration in force, and of the options of the server's file.
 *
 * A generation that takes the place of a dead one gets it for the case that the configuration on disk is broken. If what is on disk is read well and yet nothing comes of it (its sockets cannot
 * be opened, a service does not start with it), the next attempt takes the copy at once; should that fail, too, the one after looks at the disk again: by then it may have been mended.
 */
export class KeptConfig {
  #bytes: Uint8Array | null = null;
  #insteadBecause: string | null = null;
  #fileOptions: string | null = null;

  /** A generation serves with it. Without any, or with one that is too large, none is kept: an older one is not in force any more. */
  keep(bytes: Uint8Array | null | undefined): void {
    this.#bytes = bytes instanceof Uint8Array && bytes.length <= MAX_KEPT_CONFIG_BYTES ? bytes : null;
    this.#insteadBecause = null;
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
    return this.#bytes === null ? null : { config: this.#bytes, insteadBecause: this.#insteadBecause };
  }

  /** Such a generation did not become ready. */
  handleFailedStart(why: string): void {
    this.#insteadBecause = this.#insteadBecause === null ? why : null;
  }
}

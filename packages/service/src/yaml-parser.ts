/**
 * The parser of YAML, loaded when the first file is read: that takes some 40 ms of processor time and 10 MiB, which every process and thread of a server would
 * pay, and most read no file.
 */
import { createRequire } from 'node:module';
import type * as yaml from 'yaml';

/** The package `yaml`. */
export type Yaml = typeof yaml;

/** Loads it; from the second time on for nothing. */
export function loadYaml(): Yaml {
  return createRequire(import.meta.url)('yaml') as Yaml;
}

/** The packages of this repository as its commands see them: name, folder, floor, manifest. Read from disk, nothing cached. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the repository. */
export const root: string = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The floors of packages, lowest first, and the two kinds that stand beside them. */
export const floors = ['floor0', 'floor1', 'floor2', 'floor3', 'floor4', 'floor5', 'floor6', 'kit', 'beside'] as const;
export type Floor = (typeof floors)[number];

/** The parts of a package.json that the tools read. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly private?: boolean;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** One folder of packages/. */
export interface Package {
  /** The folder's name: `http1`. */
  readonly id: string;
  /** The name on npm: `@ferrata/http1`. */
  readonly name: string;
  /** Absolute path. */
  readonly folder: string;
  readonly floor: Floor;
  readonly isPublished: boolean;
  readonly manifest: Manifest;
}

/** Reads all packages, sorted by floor, then by name. */
export function readPackages(repository: string = root): readonly Package[] {
  const folder = join(repository, 'packages');
  return readdirSync(folder)
    .filter((id) => existsSync(join(folder, id, 'package.json')))
    .map((id) => readPackage(join(folder, id), id))
    .toSorted((a, b) => floors.indexOf(a.floor) - floors.indexOf(b.floor) || (a.id < b.id ? -1 : 1));
}

/** True for packages that do no I/O: floors 0, 1 and 2. */
export function isPure(entry: Package): boolean {
  return entry.floor === 'floor0' || entry.floor === 'floor1' || entry.floor === 'floor2';
}

/** Finds a package by its folder (`http1`) or its name (`@ferrata/http1`). */
export function findPackage(packages: readonly Package[], wanted: string): Package | undefined {
  return packages.find((entry) => entry.id === wanted || entry.name === wanted);
}

/** Parses a JSON file; comments are not allowed in it. */
export function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}

function readPackage(folder: string, id: string): Package {
  const manifest = readJson<Manifest>(join(folder, 'package.json'));
  const { tags } = readJson<{ tags: readonly string[] }>(join(folder, 'turbo.json'));
  const floor = floors.find((known) => tags.includes(known));
  if (floor === undefined)
    throw new Error(`packages/${id}/turbo.json names no floor; one of ${floors.join(', ')} has to be among its tags`);
  return { id, name: manifest.name, folder, floor, isPublished: manifest.private !== true, manifest };
}

/** The committed vectors: what a real nginx answered, and the check of a ring of ours against such answers. */
import { readFileSync } from 'node:fs';
import { KetamaRing } from '@ferrata/ketama';
import type { Ring } from './rings.ts';

/** The file's content. */
export interface Vectors {
  /** The version of the nginx that answered. */
  readonly nginx: string;
  readonly keys: readonly string[];
  readonly rings: readonly AnsweredRing[];
}

/** A ring, and for each key the servers that nginx tried, as places in `servers`. */
export interface AnsweredRing extends Ring {
  readonly answers: readonly (readonly number[])[];
}

/** Where they stand. */
export const vectorsUrl: URL = new URL('fixtures/vectors.json', import.meta.url);

/** Reads the committed vectors. */
export function readVectors(): Vectors {
  return JSON.parse(readFileSync(vectorsUrl, 'utf8')) as Vectors;
}

/**
 * Compares ours with nginx's answers.
 *
 * @param answers for each key the addresses that nginx tried, in order
 * @returns how many keys differ and the first of them; null if none does
 */
export function compareRing(ring: Ring, keys: readonly string[], answers: readonly (readonly string[])[]): string | null {
  if (answers.length !== keys.length) return `${answers.length} answers for ${keys.length} keys`;
  const ours = new KetamaRing(ring.servers);
  const up = ring.servers.filter(({ isDown = false }) => !isDown).map(({ address }) => address);
  const differences = keys.flatMap((key, index) => {
    const expected = (answers[index] ?? []).join(', ');
    const actual = take(ours.nodesFrom(key), up, ring.tries).join(', ');
    return actual === expected ? [] : [`${JSON.stringify(key.slice(0, 60))}: nginx tried ${expected}, ours are ${actual}`];
  });
  return differences.length === 0 ? null : `${differences.length} of ${keys.length} keys differ; ${differences[0] ?? ''}`;
}

/**
 * What nginx tries if it goes along a walk of ours: servers that are up, of an address that stands in several lines each of them in a row.
 *
 * @param up an address for each line
 */
function take(walk: Iterable<string>, up: readonly string[], tries: number): readonly string[] {
  const taken: string[] = [];
  for (const address of walk) {
    taken.push(...up.filter((line) => line === address));
    if (taken.length >= tries) break;
  }
  return taken.slice(0, tries);
}

/** A ring of the vectors, with addresses for places. */
export function answeredAddresses({ servers, answers }: AnsweredRing): readonly (readonly string[])[] {
  return answers.map((places) => places.map((place) => servers[place]?.address ?? `(no server ${place})`));
}

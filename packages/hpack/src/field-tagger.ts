/**
 * What the user of a decoder remembers of each field: a number that is computed once, when a field is read as a literal, and comes back with
 * every later reference to it. HTTP/2 keeps there which known name it is and whether the value has been found valid.
 */
import { STATIC_TABLE } from './static-table.ts';

/** Gives fields their tags. One for many decoders. */
export interface FieldTagger {
  /**
   * Called once for each literal that is given out or enters the table. If it throws, the decoder's `next` throws the same, with nothing consumed.
   *
   * @returns a signed 32-bit number
   */
  tag(name: string, value: string): number;
  /** Tags of the static table by index, 1 to 61; index 0 is not used. */
  readonly staticTags: Int32Array;
}

/** Makes a tagger of a function, which is called for the 61 static fields at once. */
export function makeFieldTagger(tag: (name: string, value: string) => number): FieldTagger {
  return { tag, staticTags: Int32Array.from(STATIC_TABLE, ([name, value], index) => (index === 0 ? 0 : tag(name, value))) };
}

/** The stories of hpack-test-case, as `fixtures/stories/SOURCE.md` says: blocks of seven encoders, and plain fields to be encoded. */
import { readdirSync, readFileSync } from 'node:fs';

export type Field = readonly [name: string, value: string];

/** One block of a story. */
export interface StoryCase {
  /** SETTINGS_HEADER_TABLE_SIZE, acknowledged just before this block; null: as before. */
  readonly tableBytes: number | null;
  /** Hexadecimal; empty in `raw-data`. */
  readonly wire: string;
  readonly fields: readonly Field[];
}

/** Blocks of one connection. */
export interface Story {
  /** `folder/file`, without `.json`. */
  readonly id: string;
  readonly cases: readonly StoryCase[];
}

interface StoryFile {
  readonly cases: readonly {
    readonly header_table_size?: number;
    readonly wire?: string;
    readonly headers: readonly Readonly<Record<string, string>>[];
  }[];
}

const folder = new URL('fixtures/stories/', import.meta.url);

/** The folders that hold encoded blocks. */
export function encoders(): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'raw-data')
    .map((entry) => entry.name)
    .toSorted();
}

/** All stories of a folder. */
export function readStories(name: string): readonly Story[] {
  const stories = new URL(`${name}/`, folder);
  return readdirSync(stories)
    .filter((file) => file.endsWith('.json'))
    .toSorted()
    .map((file) => {
      const { cases } = JSON.parse(readFileSync(new URL(file, stories), 'utf8')) as StoryFile;
      return {
        id: `${name}/${file.slice(0, -'.json'.length)}`,
        cases: cases.map(({ header_table_size: tableBytes, wire, headers }) => ({
          tableBytes: tableBytes ?? null,
          wire: wire ?? '',
          fields: headers.flatMap((field) => Object.entries(field)),
        })),
      };
    });
}

/**
 * The links of Markdown files that lead to other files of the repository: each has to lead somewhere.
 *
 * Addresses with a scheme and anchors alone are not looked at, nor is what stands in code.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { root } from '../workspace.ts';
import type { StepResult } from './steps.ts';
import { counted } from './totals.ts';

/** One link to a file. */
export interface Link {
  /** Its line in the text, from 1. */
  readonly line: number;
  /** The path as it stands there, without its anchor, percent-encoding undone. */
  readonly path: string;
}

/** Finds the relative links of a Markdown text: `[…](path)`, pictures, and definitions `[…]: path`. */
export function extractLinks(markdown: string): readonly Link[] {
  const links: Link[] = [];
  let fence = '';
  for (const [index, line] of markdown.split('\n').entries()) {
    const [, mark = ''] = /^\s*(?:[-*>]\s+)*(`{3,}|~{3,})/.exec(line) ?? [];
    if (fence !== '') {
      if (mark.startsWith(fence) && line.trim() === mark) fence = '';
      continue;
    }
    if (mark !== '') {
      fence = mark;
      continue;
    }
    const prose = line.replaceAll(/(`+)(?!`).*?(?<!`)\1(?!`)/g, '');
    const found = [...prose.matchAll(/\]\(\s*<?([^\s)>]+)/g), ...prose.matchAll(/^\s*\[[^\]]+\]:\s*<?([^\s>]+)/g)];
    for (const [, target = ''] of found) {
      const path = decodeURIComponent(target.replace(/[#?].*$/, ''));
      if (path !== '' && !/^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(path)) links.push({ line: index + 1, path });
    }
  }
  return links;
}

/** Folders whose texts are not ours. */
const FOREIGN = new Set(['node_modules', 'dist', 'coverage', 'corpora', 'fixtures']);

/** The Markdown files of some folders of the repository, sorted; `.` is all of it. */
export function linkingFiles(folders: readonly string[], repository: string = root): readonly string[] {
  const patterns = folders.flatMap((folder) => (folder === '.' ? ['**/*.md', '.changeset/*.md'] : [`${folder}/**/*.md`]));
  return globSync(patterns, { cwd: repository, exclude: (path) => FOREIGN.has(basename(path)) }).toSorted();
}

/** Looks at the links of some Markdown files, given by their paths in the repository. */
export function checkLinks(files: readonly string[], repository: string = root): StepResult {
  const problems: string[] = [];
  let passed = 0;
  for (const file of files) {
    for (const { line, path } of extractLinks(readFileSync(join(repository, file), 'utf8'))) {
      // A path from `/` on is one from the root of the repository, as GitHub reads it.
      const target = path.startsWith('/') ? join(repository, path) : join(repository, dirname(file), path);
      if (existsSync(target)) passed += 1;
      else problems.push(`${file}:${line}: ${path} does not exist`);
    }
  }
  return {
    passed,
    failed: problems.length,
    note: `${counted(passed + problems.length, 'link')} in ${counted(files.length, 'file')}`,
    output: problems.join('\n'),
  };
}

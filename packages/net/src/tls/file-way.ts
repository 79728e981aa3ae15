/**
 * The way to a file, as the kernel goes it (path_resolution(7)): each name that is looked up, and the directory it is looked up in.
 *
 * ```
 * /etc/tls/tls.crt -> ..data/tls.crt         / etc, /etc tls, /etc/tls tls.crt,
 * /etc/tls/..data  -> ..2026_11_22           /etc/tls ..data, /etc/tls ..2026_11_22, /etc/tls/..2026_11_22 tls.crt
 * ```
 * Rules: names are taken one by one, and never put together first: `..` behind a link goes up from where the link leads. A change of any of these
 * entries may make the path another file; a change of none can't, but for the content of the file itself, which is told under its name, too.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, parse, sep } from 'node:path';

/** As many as Linux follows. */
const MAX_LINKS = 40;
const SEPARATORS = sep === '/' ? /\/+/ : /[\\/]+/;

/** One look-up. */
export interface WayStep {
  /** Where: a path without links. */
  readonly directory: string;
  readonly name: string;
  /** What is found there decides of what is next: a link, the file itself, or nothing. Other steps are directories that may be replaced as a whole. */
  readonly isEssential: boolean;
}

/** What `lstat` said of paths: for one pass over many ways, which have much in common. */
export type LinkCache = Map<string, Stats | null>;

/** The steps to `path`, which must be absolute. Ends where something is missing. */
export function wayTo(path: string, cache: LinkCache = new Map()): WayStep[] {
  const steps: WayStep[] = [];
  let links = 0;
  let { root: at } = parse(path);
  let rest = namesOf(path.slice(at.length));
  while (rest.length > 0) {
    const [name = '', ...further] = rest;
    rest = further;
    if (name === '..') {
      at = dirname(at);
      continue;
    }
    const next = at.endsWith(sep) ? at + name : at + sep + name;
    const target = targetOf(next, cache);
    steps.push({ directory: at, name, isEssential: rest.length === 0 || target !== 'no link' });
    if (target === 'missing') break;
    if (target === 'no link') {
      at = next;
      continue;
    }
    if (++links > MAX_LINKS) break;
    const { root } = parse(target.to);
    if (root !== '') at = root;
    rest = [...namesOf(target.to.slice(root.length)), ...rest];
  }
  return steps;
}

/** What `lstat` says; null if there is nothing. */
export function lookAt(path: string, cache: LinkCache): Stats | null {
  const known = cache.get(path);
  if (known !== undefined) return known;
  let found: Stats | null = null;
  try {
    found = lstatSync(path);
  } catch {
    // Missing, or not to be looked at: the same for us.
  }
  cache.set(path, found);
  return found;
}

function namesOf(path: string): string[] {
  return path.split(SEPARATORS).filter((name) => name !== '' && name !== '.');
}

function targetOf(path: string, cache: LinkCache): 'missing' | 'no link' | { readonly to: string } {
  const stats = lookAt(path, cache);
  if (stats === null) return 'missing';
  if (!stats.isSymbolicLink()) return 'no link';
  try {
    return { to: readlinkSync(path) };
  } catch {
    return 'missing';
  }
}

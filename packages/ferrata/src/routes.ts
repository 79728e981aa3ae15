/**
 * Which origins a request goes to: groups of them by the beginning of the path, the longest that fits.
 *
 * A prefix fits on the borders of segments: `/api` takes `/api`, `/api/x` and `/api?x`, never `/apix`. The target is passed on as it came, so whatever is decided here
 * must hold for the path as the origin will read it, and origins read in many ways: some decode `%2f`, some merge `//`, some cut `;…` off a segment, some take `\` for `/`. So a path that has
 * any of that is read a second time, by all of these habits at once, and refused if that reading has another group. No habit alone, nor any few of them, can then lead elsewhere: each
 * of them changes, splits or drops single segments, and leaves those that make up a prefix as they are, so what one reading begins with, all further
 * ones begin with. That holds where their order does not matter, so a parameter with a hidden separator is refused: `/;%2fx/api` is `/api` to who cuts
 * before he decodes, and `/x/api` to who cuts afterwards.
 *
 * Segments `.` and `..` move others, and are refused in every spelling; clients resolve them before they ask (RFC 3986 §5.2.4). So are encoded control
 * characters, as there are origins that end a path at NUL, and ASCII in encodings that are none: `%u002f`, and UTF-8 that is longer than it need be
 * (RFC 3629 §3, §10).
 */
import { isRequestTarget } from '@ferrata/headers';
import type { LoadBalancing } from './load-balance.ts';
import type { OriginAddress } from './urls.ts';

/** Origins for one part of all paths. */
export interface Route {
  /** `/api`, or `/` for what no other takes. */
  readonly prefix: string;
  /** They take turns; at least one, unless they are discovered. */
  readonly to: readonly OriginAddress[];
  /** Who is asked for origins, as `--discover` writes it; then `to` is empty. Default: nobody. */
  readonly discover?: readonly string[];
  /** How they are shared out. Default: as for all routes. */
  readonly balancing?: LoadBalancing;
}

/** What a proxy can be told of where requests go. */
export interface Routing {
  readonly to?: readonly OriginAddress[];
  readonly routes?: readonly Route[];
}

/** How often an encoding may be encoded again: nobody does it twice in good faith, and each time costs a look at the whole path. */
const MAX_ENCODINGS = 3;

/** All routes, `to` being that of `/`. */
export function routesOf({ to = [], routes = [] }: Routing): readonly Route[] {
  return to.length === 0 ? routes : [{ prefix: '/', to }, ...routes];
}

/** All origins, in the order in which they were given. */
export function originsOf(routing: Routing): readonly OriginAddress[] {
  return routesOf(routing).flatMap(({ to }) => to);
}

/** Why a text is no prefix, as the end of a sentence; null if it is one. */
export function prefixProblem(prefix: string): string | null {
  if (!prefix.startsWith('/')) return 'a prefix begins with a slash, such as /api';
  if (prefix === '/') return null;
  if (prefix.includes('*'))
    return `a prefix has no *, as it takes all that lies below; write ${prefix.slice(0, prefix.indexOf('*')).replace(/\/+$/, '') || '/'}`;
  if (prefix.endsWith('/')) return `without the slash at its end it takes all that lies below; write ${prefix.replace(/\/+$/, '') || '/'}`;
  if (!isRequestTarget(prefix) || /[%;?\\]/.test(prefix)) return 'a prefix is a path in plain ASCII, without %, ;, ? and backslash';
  const isPlain = prefix
    .slice(1)
    .split('/')
    .every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  return isPlain ? null : 'a prefix has no empty segments, and none that are . or ..';
}

/** Finds the group of a path. */
export class RouteTable<Group extends object> {
  readonly #groups: ReadonlyMap<string, Group>;
  readonly #root: Group | null;
  /** There is nothing but `/`: whatever the path is, it goes there. */
  readonly #isSingle: boolean;
  readonly #longestPrefix: number;

  /** @throws {TypeError} for a prefix that is none, or is there twice @throws {RangeError} without any */
  constructor(groups: readonly (readonly [prefix: string, group: Group])[]) {
    if (groups.length === 0) throw new RangeError('a proxy needs an origin: give to, or routes');
    for (const [prefix] of groups) {
      const problem = prefixProblem(prefix);
      if (problem !== null) throw new TypeError(`${prefix}: ${problem}`);
    }
    this.#groups = new Map(groups);
    if (this.#groups.size < groups.length) throw new TypeError('there are two routes of one prefix');
    this.#root = this.#groups.get('/') ?? null;
    this.#isSingle = this.#root !== null && groups.length === 1;
    this.#longestPrefix = Math.max(...groups.map(([prefix]) => prefix.length));
  }

  /**
   * @param target in origin-form, or `*`, which goes where `/` goes
   * @returns the group, null if there is none for it, or `doubtful` if it depends on how the path is read
   */
  find(target: string): Group | null | 'doubtful' {
    if (this.#isSingle) return this.#root;
    const query = target.indexOf('?');
    const path = query < 0 ? target : target.slice(0, query);
    const group = this.#longest(path);
    if (!takesAnotherReading.test(path)) return group;
    const reading = otherReading(path);
    return reading !== null && this.#longest(reading) === group ? group : 'doubtful';
  }

  #longest(path: string): Group | null {
    let end = path.length <= this.#longestPrefix ? path.length : path.lastIndexOf('/', this.#longestPrefix);
    for (; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const group = this.#groups.get(path.slice(0, end));
      if (group !== undefined) return group;
    }
    return this.#root;
  }
}

/** Most paths have nothing of it. */
const takesAnotherReading = /[%;\\]|\/\/|\/\.{1,2}(?:\/|$)/;

/** A separator within a parameter, itself or encoded, from the `;` next to it on, itself or encoded. */
const hiddenSeparator = /(?:;|%3b)(?:(?!%3b)[^/;])*(?:\\|%2f|%5c)/i;

/** Control characters; ASCII as `%u00…`; bytes of UTF-8 that say ASCII, or other characters, in more bytes than they need. */
const noHonestText =
  /[\u0000-\u001f\u007f]|%[uU]00|[\u00c0\u00c1][\u0080-\u00bf]|\u00e0[\u0080-\u009f][\u0080-\u00bf]|\u00f0[\u0080-\u008f][\u0080-\u00bf]/;

/** The path as the origin would read it that has every habit. @returns null where that is nobody's honest path */
function otherReading(path: string): string | null {
  const text = decoded(path);
  if (text === null || noHonestText.test(text)) return null;
  let reading = '';
  for (const segment of text.split(/[/\\]/)) {
    // `..;` is `..` to whoever cuts parameters off (RFC 3986 §3.3), and `?` ends the path for who decodes before looking for its end.
    const name = segment.replace(/[;?#].*/s, '');
    if (name === '.' || name === '..') return null;
    if (name !== '') reading += `/${name}`;
  }
  return reading === '' ? '/' : reading;
}

/** Without any encoding. @returns null where it is encoded too often, or it matters what is done between two rounds */
function decoded(path: string): string | null {
  let text = path;
  for (let round = 0; round <= MAX_ENCODINGS; round++) {
    if (hiddenSeparator.test(text)) return null;
    const next = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (next === text) return text;
    text = next;
  }
  return null;
}

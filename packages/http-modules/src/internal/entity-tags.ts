/** Comparison of an entity tag with those that a client names. @see RFC 9110 §8.8.3, §13.1.1, §13.1.2 */
import { isBlankAt } from './blanks.ts';

const COMMA = ',';

/**
 * Whether a list has a tag, by weak comparison: weak and strong tags with the same text are the same.
 *
 * The list is scanned whatever it looks like: a tag without quotes only meets one without, and what is broken only meets nothing.
 *
 * @param etag null: there is none, and only `*` matches
 */
export function listMatchesWeakly(list: string, etag: string | null): boolean {
  if (list.trim() === '*') return true;
  return etag !== null && listHasTag(list, isWeak(etag) ? etag.slice(2) : etag, true);
}

/** Whether a list has a tag, by strong comparison: a weak tag is the same as none, not even itself. */
export function listMatchesStrongly(list: string, etag: string | null): boolean {
  if (list.trim() === '*') return true;
  return etag !== null && !isWeak(etag) && listHasTag(list, etag, false);
}

/** Whether a list has a tag just as it is written, weak or strong. */
export function listNames(list: string, etag: string): boolean {
  return listHasTag(list, etag, false);
}

/** Whether a tag says that it is weak. */
export function isWeak(etag: string): boolean {
  return etag.startsWith('W/');
}

/** Each step moves on, and looks at no more than the tag's length: linear for tags as servers make them. */
function listHasTag(list: string, tag: string, ignoresWeakness: boolean): boolean {
  if (tag === '') return false;
  let at = skipSeparators(list, 0);
  while (at < list.length) {
    if (ignoresWeakness && list.startsWith('W/', at)) at += 2;
    if (list.startsWith(tag, at)) {
      let end = at + tag.length;
      while (isBlankAt(list, end)) end++;
      // Commas may stand inside a tag, so its end is where the tag looked for ends.
      if (end === list.length || list[end] === COMMA) return true;
    }
    const next = endOfTag(list, at);
    if (next < 0) return false;
    at = skipSeparators(list, next);
  }
  return false;
}

/** Behind the tag that begins at `at`: the commas within its quotes divide nothing. What is no whole tag ends at the next comma, -1 if there is none. */
function endOfTag(list: string, at: number): number {
  const quote = list.startsWith('W/', at) ? at + 2 : at;
  if (list[quote] === '"') {
    const end = list.indexOf('"', quote + 1) + 1;
    let next = end;
    while (isBlankAt(list, next)) next++;
    if (end > 0 && (next === list.length || list[next] === COMMA)) return next;
  }
  return list.indexOf(COMMA, at);
}

function skipSeparators(list: string, start: number): number {
  let at = start;
  while (isBlankAt(list, at) || list[at] === COMMA) at++;
  return at;
}

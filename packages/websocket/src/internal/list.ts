/**
 * Lists of field values, split by hand: what a peer sends is looked at once, whatever it is. (A regular expression that trims blanks looks at a run
 * of them in the middle once for each of its places.)
 */

/**
 * The elements of a comma-separated list, without blanks around them; empty ones are passed over (RFC 9110 §5.6.1).
 *
 * @returns null if there are more than `max` elements, or more than `max` empty ones
 */
export function splitList(value: string, max: number): string[] | null {
  const elements: string[] = [];
  let empty = 0;
  for (let start = 0; start <= value.length; ) {
    const comma = value.indexOf(',', start);
    const end = comma < 0 ? value.length : comma;
    const element = trimBlanks(value.slice(start, end));
    if (element !== '') elements.push(element);
    // RFC 9110 §5.6.1.2: "a reasonable number", not thousands.
    else empty++;
    if (elements.length > max || empty > max) return null;
    start = end + 1;
  }
  return elements;
}

/** Without spaces and tabs at both ends. */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

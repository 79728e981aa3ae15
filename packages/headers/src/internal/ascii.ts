/** Looks at parts of strings without cutting them out. */

/** Whether `text` from `start` up to `end` equals `other` when the case of A to Z is ignored; a part beyond the text equals nothing. */
export function equalsWithin(text: string, start: number, end: number, other: string): boolean {
  if (end - start !== other.length) return false;
  for (let i = 0; i < other.length; i++) {
    const a = text.charCodeAt(start + i);
    const b = other.charCodeAt(i);
    // 0x20 is the only bit in which the two cases of a letter differ.
    if (a !== b && ((a ^ b) !== 0x20 || !isLowerLetter(a | 0x20))) return false;
  }
  return true;
}

/** Space or horizontal tab: the optional white space of RFC 9110 §5.6.3. */
export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function isLowerLetter(code: number): boolean {
  return code >= 0x61 && code <= 0x7a;
}

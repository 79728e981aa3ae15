/** Optional white space of field values. @see RFC 9110 §5.6.3 */

/** Whether a blank stands at a place; false behind the end. */
export function isBlankAt(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 0x20 || code === 0x09;
}

/**
 * Takes the line ends out of folded field values, where `foldedFields` lets them in.
 *
 * A folded length or coding is still refused: nobody has a reason to write one, and a reader that takes the second line for something else
 * frames another message (CVE-2022-32215).
 *
 * @see RFC 9112 §5.2
 */
import { HeaderMap, KnownHeader } from '@ferrata/headers';
import { http1Error, type MessageSide } from '../errors.ts';
import { trimBlanks } from './ascii.ts';

/**
 * @returns the same fields, each fold replaced by one SP; none of its values has a line end
 * @throws {WireError} H1_FIELD_FOLDED when Content-Length or Transfer-Encoding is folded
 */
export function unfoldFields(folded: HeaderMap, side: MessageSide): HeaderMap {
  const headers = new HeaderMap();
  for (let line = 0; line < folded.size; line++) {
    const id = folded.idAt(line);
    const value = folded.valueAt(line);
    if (!value.includes('\n')) {
      headers.appendTrusted(folded.nameAt(line), id, value);
      continue;
    }
    if (id === KnownHeader.contentLength || id === KnownHeader.transferEncoding) throw http1Error('H1_FIELD_FOLDED', side);
    headers.appendTrusted(folded.nameAt(line), id, unfold(value));
  }
  return headers;
}

/** Piece by piece: one pattern for a fold and the blanks around it would walk long blanks again and again. */
function unfold(value: string): string {
  const pieces: string[] = [];
  for (const piece of value.split('\n')) {
    // Inside a value that has been scanned CR stands before LF only.
    const text = trimBlanks(piece.endsWith('\r') ? piece.slice(0, -1) : piece);
    if (text !== '') pieces.push(text);
  }
  return pieces.join(' ');
}

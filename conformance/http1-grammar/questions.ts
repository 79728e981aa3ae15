/** What our decoder says of a text. */
import { isWireError } from '@ferrata/error';
import { MessageEvent, RequestDecoder } from '@ferrata/http1';

/** @returns the reason why the head of a request is refused, or null */
export function reasonFor(text: string): string | null {
  const decoder = new RequestDecoder();
  decoder.feed(Uint8Array.from(Buffer.from(text, 'latin1')));
  try {
    return decoder.next() ? null : 'not a whole head';
  } catch (error) {
    if (!isWireError(error)) throw error;
    return error.reason;
  }
}

/** @returns what a chunk size of one character stands for: as many bytes as the chunk then has; null if it is refused */
export function readsChunkSize(char: string): number | null {
  const decoder = new RequestDecoder();
  const text = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${char}\r\n`;
  decoder.feed(Uint8Array.from(Buffer.from(`${text}${'.'.repeat(16)}`, 'latin1')));
  let size = 0;
  try {
    while (decoder.next()) {
      if (decoder.event === MessageEvent.data) size += decoder.data.length;
    }
    return size;
  } catch (error) {
    if (!isWireError(error)) throw error;
    // What stands behind the chunk is no CRLF, so a size that is one ends in an error too, after its data.
    return size > 0 ? size : null;
  }
}

/** @returns whether a chunk extension is accepted */
export function readsExtension(extension: string): boolean {
  const decoder = new RequestDecoder();
  decoder.feed(
    Uint8Array.from(
      Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${extension}\r\nx\r\n0\r\n\r\n`, 'latin1'),
    ),
  );
  try {
    while (decoder.next()) {
      if (decoder.event === MessageEvent.end) return true;
    }
    return false;
  } catch (error) {
    if (!isWireError(error)) throw error;
    return false;
  }
}

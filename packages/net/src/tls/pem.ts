/**
 * PEM (RFC 7468): blocks of base64 between two lines that say what they hold.
 *
 * ```
 * -----BEGIN CERTIFICATE-----     label
 * MIIB…                           base64 in lines, CRLF or LF
 * -----END CERTIFICATE-----       the same label
 * ```
 * Rules: text before, between and after the blocks is an explanation, and skipped (§5.2); a block that is begun must end, with its own label; what is in
 * it must be base64 to the last character. So a file that was cut in two while it was written is an error, and not a shorter chain.
 */
import { Buffer } from 'node:buffer';
import { utf8Decode } from '@ferrata/bytes';
import { certificateError } from './certificate-error.ts';

/** PEM, as text or as the bytes of a file. */
export type Pem = string | Uint8Array;

/** One block. */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, `X509 CRL`, … */
  readonly label: string;
  readonly der: Uint8Array;
  /** The block itself, with its two lines and an LF. */
  readonly text: string;
}

const BEGIN = '-----BEGIN ';
const END = '-----END ';
const DASHES = '-----';
/** RFC 7468 §3: base64 of RFC 4648 §4, with padding. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** PEM as text. @throws {TypeError} if it is neither text nor bytes */
export function pemText(pem: Pem): string {
  if (typeof pem === 'string') return pem;
  if (pem instanceof Uint8Array) return utf8Decode(pem);
  throw new TypeError(`PEM is given as a string or as bytes, not as ${pem === null ? 'null' : typeof pem}`);
}

/**
 * The blocks of `pem`, in their order, those of one label only.
 *
 * @param what what is looked for, for the message: `the certificate`
 * @throws {WireError} `TLS_PEM_MALFORMED` when a block doesn't end, or holds something else than base64
 */
export function parsePem(pem: Pem, label: string, what: string): PemBlock[] {
  const text = pemText(pem);
  const blocks: PemBlock[] = [];
  let at = text.indexOf(BEGIN);
  while (at >= 0) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    const found = labelEnd < 0 ? '' : text.slice(at + BEGIN.length, labelEnd);
    const ending = `${END}${found}${DASHES}`;
    const bodyStart = labelEnd + DASHES.length;
    const bodyEnd = labelEnd < 0 ? -1 : text.indexOf(END, bodyStart);
    if (bodyEnd < 0 || !text.startsWith(ending, bodyEnd)) {
      throw certificateError('TLS_PEM_MALFORMED', `${what}: the block that begins at character ${at} does not end`);
    }
    if (found === label) {
      const body = text.slice(bodyStart, bodyEnd).replaceAll(/[ \t\r\n]/g, '');
      if (body === '' || !BASE64.test(body)) {
        throw certificateError('TLS_PEM_MALFORMED', `${what}: the block that begins at character ${at} is not base64`);
      }
      blocks.push({ label, der: new Uint8Array(Buffer.from(body, 'base64')), text: `${text.slice(at, bodyEnd)}${ending}\n` });
    }
    at = text.indexOf(BEGIN, bodyEnd + ending.length);
  }
  return blocks;
}

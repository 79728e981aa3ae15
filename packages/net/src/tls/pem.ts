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
import { X509Certificate } from 'node:crypto';
import { utf8Decode } from '@ferrata/bytes';
import { isWireError, textOf } from '@ferrata/error';
import { bareTextOf, certificateError } from './certificate-error.ts';

/** PEM, as text or as the bytes of a file. */
export type Pem = string | Uint8Array;

/** One block. */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, `X509 CRL`, … */
  readonly label: string;
  readonly der: Uint8Array;
  /** The block in the strict form of RFC 7468 §3, whatever form it was given in: it may have been indented, or all in one line. */
  readonly text: string;
}

const BEGIN = '-----BEGIN ';
const END = '-----END ';
const DASHES = '-----';
/** What no base64 has in it (RFC 4648 §4). A class alone: a pattern with groups would need stack for each repetition, and overflow it. */
const NOT_BASE64 = /[^A-Za-z0-9+/]/;
/** The longest lists of revoked certificates have a few megabytes. */
export const MAX_PEM_LENGTH = 16_777_216;
/** RFC 7468 §2: base64 characters a line; OpenSSL reads no line that begins with a space, and none above 76 in some versions. */
const LINE = /.{1,64}/g;

/** PEM as text. @throws {TypeError} if it is neither text nor bytes */
export function pemText(pem: Pem): string {
  if (typeof pem === 'string') return pem;
  if (pem instanceof Uint8Array) return utf8Decode(pem);
  throw new TypeError(`PEM is given as a string or as bytes, not as ${pem === null ? 'null' : typeof pem}`);
}

/**
 * The blocks of `pem`, in their order, those of one label only. `X509 CERTIFICATE` is read as `CERTIFICATE` (RFC 7468 §5.1, and OpenSSL's own tools).
 *
 * @param what what is looked for, for the message: `the certificate`
 * @throws {WireError} `TLS_PEM_MALFORMED` when a block doesn't end, or holds something else than base64; above 16 MiB; for a `TRUSTED CERTIFICATE`, where certificates are
 *   looked for: to leave it out, or its demands, without a word would be to trust otherwise than was asked
 */
export function parsePem(pem: Pem, label: string, what: string): PemBlock[] {
  const text = pemText(pem);
  if (text.length > MAX_PEM_LENGTH) {
    throw certificateError('TLS_PEM_MALFORMED', `${what}: it has ${text.length} characters, and at most ${MAX_PEM_LENGTH} are read`);
  }
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
    if (label === 'CERTIFICATE' && found === 'TRUSTED CERTIFICATE') {
      const remedy = 'write the certificate alone (openssl x509 -in … -out …)';
      throw certificateError('TLS_PEM_MALFORMED', `${what}: a TRUSTED CERTIFICATE block has demands of OpenSSL's own in it: ${remedy}`);
    }
    if (found === label || (label === 'CERTIFICATE' && found === 'X509 CERTIFICATE')) {
      const body = text.slice(bodyStart, bodyEnd).replaceAll(/[ \t\r\n]+/g, '');
      if (!isBase64(body)) {
        throw certificateError('TLS_PEM_MALFORMED', `${what}: the block that begins at character ${at} is not base64`);
      }
      const lines = body.match(LINE)?.join('\n') ?? '';
      blocks.push({
        label,
        der: new Uint8Array(Buffer.from(body, 'base64')),
        text: `${BEGIN}${label}${DASHES}\n${lines}\n${END}${label}${DASHES}\n`,
      });
    }
    at = text.indexOf(BEGIN, bodyEnd + ending.length);
  }
  return blocks;
}

/**
 * The blocks of an option, one strict text each: of a text with several, OpenSSL or Node would read the first one only, or leave out without a word what
 * it does not take, so that nobody would know why a server or a client is not trusted.
 *
 * @param label each `CERTIFICATE` must be one
 * @throws {TypeError} if there is none, if one cannot be read, and for what is no PEM
 */
export function pemBlocks(option: string, pems: Pem | readonly Pem[], label: 'CERTIFICATE' | 'X509 CRL'): readonly string[] {
  const list = (Array.isArray(pems) ? pems : [pems]) as readonly Pem[];
  // An empty list would be taken for "not given": everybody's authorities would be trusted, nobody's revocations asked for.
  if (list.length === 0) throw new TypeError(`${option} is an empty list`);
  return Object.freeze(list.flatMap((pem) => blocksOf(option, pem, label)));
}

function blocksOf(option: string, pem: Pem, label: string): string[] {
  const blocks = readBlocks(option, pem, label);
  if (blocks.length === 0) throw new TypeError(`${option} holds no ${label} block`);
  return blocks.map(({ text }) => text);
}

function readBlocks(option: string, pem: Pem, label: string): PemBlock[] {
  try {
    const blocks = parsePem(pem, label, option);
    if (label === 'CERTIFICATE') for (const { der } of blocks) new X509Certificate(der);
    return blocks;
  } catch (cause) {
    // Ours names the option already.
    throw new TypeError(isWireError(cause) ? bareTextOf(cause) : `${option}: ${textOf(cause)}`, { cause });
  }
}

/** RFC 7468 §3: base64 of RFC 4648 §4, with padding. */
function isBase64(body: string): boolean {
  if (body === '' || body.length % 4 !== 0) return false;
  const padding = body.endsWith('==') ? 2 : body.endsWith('=') ? 1 : 0;
  return !NOT_BASE64.test(padding === 0 ? body : body.slice(0, -padding));
}

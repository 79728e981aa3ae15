/**
 * Invariant: a chunked body is read as a naive reader of the grammar reads it, and as two builds of llhttp do: accepted, refused or left open alike, with the
 * same bytes, the same trailers and the same end; and in the same way however it is cut (split).
 *
 * The input is the body; a fixed head stands before it, and a second request behind it if the last byte is even.
 */
import { mayBeTrailer, wellKnownId } from '@ferrata/headers';
import { resolveRequestDecoderOptions } from '@ferrata/http1';
import { checkAgreement } from '../oracles/agreement.ts';
import { readNaively } from '../oracles/naive-chunked.ts';
import { readRequests } from '../oracles/reading.ts';
import { chunkingOf, compareTranscripts, type DecodedMessage, fieldsOf, hashOf, latin1 } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['chunked'], maxLength: 512 };

const HEAD = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 'latin1');
const NEXT = Buffer.from('GET /next HTTP/1.1\r\nHost: a\r\n\r\n', 'latin1');
const limits = resolveRequestDecoderOptions();
export function fuzz(data: Uint8Array): void {
  const hasNext = ((data.at(-1) ?? 1) & 1) === 0;
  const message = Uint8Array.from(Buffer.concat(hasNext ? [HEAD, data, NEXT] : [HEAD, data]));
  const isEnded = (hashOf(data) & 0x40) !== 0;
  const whole = readRequests(message, { isEnded });
  compareTranscripts(whole, readRequests(message, { isEnded, chunkSizeAt: chunkingOf(message) }), 'split');
  const [ours] = whole.messages;
  invariant(ours !== undefined, 'the fixed head is read', () => whole.reason ?? '');
  compareWithNaive(ours, whole.reason, latin1(message.subarray(HEAD.length)));
  checkAgreement(message, whole, { kind: 'request' });
}

function compareWithNaive(ours: DecodedMessage, reason: string | null, text: string): void {
  const naive = readNaively(text, limits);
  const show = (): string =>
    `ours ${reason ?? (ours.isComplete ? 'complete' : 'open')} ${JSON.stringify(ours.body)}, naive ${JSON.stringify(naive)}`;
  // Limits that the naive reader does not have.
  if (reason === 'H1_CHUNK_EXTENSIONS_TOO_LARGE' || reason === 'H1_TRAILER_FIELDS_TOO_MANY') return;
  switch (naive.outcome) {
    case 'complete': {
      invariant(ours.isComplete, 'what the grammar allows is accepted', show);
      invariant(ours.body === naive.body, 'the body is that of the grammar', show);
      const kept = naive.trailers.filter((line) => mayBeTrailer(wellKnownId(line.slice(0, line.indexOf(':')))));
      const trailers = ours.trailers === null ? '' : fieldsOf(ours.trailers);
      invariant(trailers === kept.map((line) => `${line}\n`).join(''), 'the trailers are those of the grammar', show);
      return;
    }
    case 'invalid':
      invariant(!ours.isComplete && reason !== null, 'what the grammar forbids is refused', show);
      return;
    default:
      // A line that has no end yet may be refused for a byte in it.
      invariant(!ours.isComplete, 'a body without its end is open', show);
      invariant(naive.body.startsWith(ours.body), 'data is handed out only as far as it is there', show);
  }
}

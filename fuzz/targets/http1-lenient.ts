/**
 * Invariant: whichever leniencies are on, any bytes are read or refused with a reason (total), in the same way however they are cut (split), with
 * every byte accounted for (conservation); what is accepted strictly is read in exactly the same way; what is accepted beyond that was refused
 * for a reason that one of the leniencies in force is there for, does not go beyond what that leniency says, line by line, and is, written again,
 * one strict message of the same meaning.
 *
 * The first byte: bit 0 for responses, the methods of two requests above. The second one: which leniencies are on.
 */
import { KnownHeader } from '@ferrata/headers';
import {
  BodyLength,
  type RequestLeniency,
  type ResponseLeniency,
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
} from '@ferrata/http1';
import {
  readRequests,
  readResponses,
  readWrittenRequest,
  readWrittenResponse,
  writeReadRequest,
  writeReadResponse,
} from '../oracles/reading.ts';
import { checkRoundTrip } from '../oracles/reencode.ts';
import { sectionsOf } from '../oracles/sections.ts';
import { chunkingOf, compareTranscripts, type DecodedMessage, describe, hashOf, latin1, type Transcript } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['http1', 'chunked', 'lenient'], maxLength: 512 };

/** For what reason a strict decoder refuses what each leniency lets in; new ones at the end, as inputs of the corpus mean their places. */
const REQUEST_LENIENCIES: Readonly<Record<keyof RequestLeniency, readonly string[]>> = {
  bareLineFeed: ['H1_BARE_LF', 'H1_METHOD_INVALID'],
  nonAsciiTarget: ['H1_TARGET_INVALID'],
  repeatedEqualContentLength: ['H1_CONTENT_LENGTH_REPEATED', 'H1_CONTENT_LENGTH_INVALID'],
  missingHost: ['H1_HOST_MISSING'],
};
const RESPONSE_LENIENCIES: Readonly<Record<keyof ResponseLeniency, readonly string[]>> = {
  bareLineFeed: ['H1_BARE_LF'],
  blankAfterChunkSize: ['H1_CHUNK_EXTENSION_INVALID'],
  blankBeforeColon: ['H1_FIELD_NAME_BLANK'],
  contentLengthWithTransferEncoding: ['H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING'],
  emptyLinesBeforeResponse: ['H1_VERSION_INVALID', 'H1_CONTROL_BYTE', 'H1_BARE_LF', 'H1_UNEXPECTED_BYTES'],
  foldedFields: ['H1_FIELD_FOLDED'],
  repeatedEqualContentLength: ['H1_CONTENT_LENGTH_REPEATED', 'H1_CONTENT_LENGTH_INVALID'],
  invalidContentLength: ['H1_CONTENT_LENGTH_INVALID'],
};
const METHODS = ['GET', 'HEAD', 'CONNECT', 'POST'] as const;

export function fuzz(input: Uint8Array): void {
  const plan = input[0] ?? 0;
  const mask = input[1] ?? 0;
  const data = input.subarray(2);
  const isEnded = (hashOf(input) & 0x40) !== 0;
  const chunkSizeAt = chunkingOf(input);
  if ((plan & 1) === 0) {
    const { leniency, reasons } = chosen(REQUEST_LENIENCIES, mask);
    const limits = resolveRequestDecoderOptions({ leniency });
    const whole = readRequests(data, { limits, isEnded });
    compareTranscripts(whole, readRequests(data, { limits, isEnded, chunkSizeAt }), 'split');
    compareWithStrict(whole, readRequests(data, { isEnded }), reasons);
    checkLines(data, whole, leniency);
    for (const message of whole.messages) if (isWritableRequest(message)) checkRoundTrip(message, writeReadRequest, readWrittenRequest);
    return;
  }
  const methods = [METHODS[(plan >> 1) & 3], METHODS[(plan >> 3) & 3]] as const;
  const { leniency, reasons } = chosen(RESPONSE_LENIENCIES, mask);
  const limits = resolveResponseDecoderOptions({ leniency });
  const whole = readResponses(data, { methods: methods as readonly string[], limits, isEnded });
  compareTranscripts(whole, readResponses(data, { methods: methods as readonly string[], limits, isEnded, chunkSizeAt }), 'split');
  compareWithStrict(whole, readResponses(data, { methods: methods as readonly string[], isEnded }), reasons);
  checkLines(data, whole, leniency);
  const [first] = whole.messages;
  if (first?.isComplete === true) checkWriting(first, methods[0] as string);
}

/** The leniencies whose bits are set, and the reasons they are there for. */
function chosen<Name extends string>(
  all: Readonly<Record<Name, readonly string[]>>,
  mask: number,
): { readonly leniency: Partial<Record<Name, boolean>>; readonly reasons: ReadonlySet<string> } {
  const names = (Object.keys(all) as Name[]).filter((_, bit) => (mask & (1 << bit)) !== 0);
  return {
    leniency: Object.fromEntries(names.map((name) => [name, true])) as Partial<Record<Name, boolean>>,
    reasons: new Set(names.flatMap((name) => all[name])),
  };
}

function compareWithStrict(lenient: Transcript, strict: Transcript, reasons: ReadonlySet<string>): void {
  const both = (): string => `${describe(strict)}\n  and\n${describe(lenient)}`;
  if (strict.reason === null) {
    compareTranscripts(lenient, strict, 'what is accepted strictly is read in the same way');
    return;
  }
  if (strict.reason === lenient.reason && describe(strict) === describe(lenient)) return;
  const isSame = (message: DecodedMessage, index: number): boolean => {
    const other = lenient.messages[index];
    return other !== undefined && tell(other) === tell(message);
  };
  invariant(strict.messages.filter(({ isComplete }) => isComplete).every(isSame), 'what came before it is read in the same way', both);
  invariant(reasons.has(strict.reason), 'a leniency lets in what it is there for, and nothing else', both);
}

/** What no leniency lets in, looked for in the lines as they came: a reason of the strict decoder does not tell it from what one does let in. */
function checkLines(data: Uint8Array, { messages }: Transcript, { foldedFields = false }: ResponseLeniency): void {
  const input = latin1(data);
  for (const [index, sections] of sectionsOf(input, messages).entries()) {
    const { fieldLines, trailerLines, hasBareFeedInBody } = sections;
    const show = (): string => JSON.stringify([sections, input]);
    const fields: { readonly name: string; value: string; isFolded: boolean }[] = [];
    for (const line of fieldLines) {
      const field = fields.at(-1);
      if (/^[\t ]/.test(line)) {
        invariant(field !== undefined && foldedFields, 'a fold is let in by its leniency alone (RFC 9112 §5.2)', show);
        field.isFolded = true;
        field.value += ` ${line}`;
      } else {
        const colon = line.indexOf(':');
        fields.push({ name: line.slice(0, colon).trim().toLowerCase(), value: line.slice(colon + 1), isFolded: false });
      }
    }
    const lengths = fields.filter(({ name }) => name === 'content-length');
    const codings = fields.filter(({ name }) => name === 'transfer-encoding');
    invariant(![...lengths, ...codings].some(({ isFolded }) => isFolded), 'what frames a message is never folded', show);
    const numbers = new Set(lengths.flatMap(({ value }) => value.split(',').map((one) => one.trim())));
    invariant(numbers.size <= 1 || codings.length > 0, 'only equal lengths are one', show);
    const message = messages[index] as DecodedMessage;
    const isFinal = !message.start.startsWith('1');
    invariant(lengths.length * codings.length === 0 || !message.keepAlive || !isFinal, 'nothing follows both framing fields', show);
    // What is not whole may have been refused for just this.
    if (!message.isComplete) continue;
    invariant(!trailerLines.some((line) => /^[\t ]/.test(line)), 'a trailer is never folded', show);
    invariant(!hasBareFeedInBody, 'LF alone ends no line behind the head (RFC 9112 §2.2)', show);
  }
}

function tell(message: DecodedMessage): string {
  return describe({ messages: [message], reason: null, consumedBytes: 0 });
}

function isWritableRequest({ headers, isComplete }: DecodedMessage): boolean {
  return isComplete && headers.hasKnown(KnownHeader.host);
}

function checkWriting(message: DecodedMessage, method: string): void {
  checkRoundTrip(
    message,
    (writer, written) => writeReadResponse(writer, written, method),
    (bytes) => readWrittenResponse(bytes, method, message.bodyLength === BodyLength.untilClose),
  );
}

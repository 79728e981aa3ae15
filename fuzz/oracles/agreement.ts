/**
 * What we accept, two builds of llhttp must frame in the same way: the WebAssembly of undici (9.3) and Node's own parser (9.4). We are the
 * stricter one, so only this direction is checked; where they refuse what we accept, the reason must be one of the list below.
 */
import {
  type Http1Oracle,
  LlhttpOracle,
  NodeParserOracle,
  type OracleMessage,
  type OracleOptions,
  type OracleResult,
} from '@ferrata/testkit';
import { invariant } from '../src/target.ts';
import { type Sections, sectionsOf } from './sections.ts';
import { type DecodedMessage, fieldsOf, latin1, type Transcript } from './transcript.ts';

/** llhttp's methods of HTTP. Others it refuses; we take any token (RFC 9110 §9.1). */
const LLHTTP_METHODS = new Set(
  (
    'DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY ' +
    'CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK QUERY'
  ).split(' '),
);

type Kind = OracleOptions['kind'];

/** An independent parser, and what is known of it. */
interface Reader {
  readonly name: string;
  readonly oracle: Http1Oracle;
  /** A framing field of which it takes a tab after the value for a part of it. */
  readonly keepsTabs: RegExp;
}

/** Made when first used: loading the WebAssembly takes some milliseconds. */
let readers: readonly Reader[] | null = null;

function allReaders(): readonly Reader[] {
  readers ??= [
    { name: 'llhttp', oracle: new LlhttpOracle(), keepsTabs: /^(?:content-length|transfer-encoding):.*\t[\t ]*$/i },
    { name: 'Node', oracle: new NodeParserOracle(), keepsTabs: /^transfer-encoding:.*\t[\t ]*$/i },
  ];
  return readers;
}

/** A message of ours at which one of them has stopped. */
interface Stop {
  readonly mine: DecodedMessage;
  /** The message as it stands in the input: nothing that stands elsewhere excuses anything. */
  readonly sections: Sections;
  readonly kind: Kind;
  readonly reader: Reader;
}

/** A reason for which llhttp may refuse what we accept. */
interface Exception {
  readonly why: string;
  /** Errors of llhttp that it covers. */
  readonly errors: readonly string[];
  /** What must be true of the message for it to apply. */
  readonly applies: (stop: Stop) => boolean;
}

/** What llhttp says of bytes behind what it took for the last message. */
const CLOSED = 'CLOSED_CONNECTION';
/** What Node says of an error behind a request that asked for another protocol, whatever it is. */
const UNNAMED = 'UNKNOWN';

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+";
const QUOTED = '"(?:[^"\\\\]|\\\\.)*"';
const chunkLine = (blanks: string): RegExp =>
  new RegExp(`^[0-9A-Fa-f]+(?:${blanks};${blanks}${TOKEN}(?:${blanks}=${blanks}(?:${TOKEN}|${QUOTED}))?)*$`);
const TIGHT_CHUNK_LINE = chunkLine('');
const CHUNK_LINE = chunkLine('[\\t ]*');
const CONTROL_TRAILER = /^(?:connection|proxy-connection|upgrade|content-length|transfer-encoding):/i;

/** Where llhttp is the stricter one; every other refusal of what we accept is a finding. */
const EXCEPTIONS: readonly Exception[] = [
  {
    why: 'any token is a method (RFC 9110 §9.1)',
    errors: ['INVALID_METHOD'],
    applies: ({ mine, kind }) => kind === 'request' && !LLHTTP_METHODS.has(mine.start),
  },
  {
    why: 'PRI is a method as any other; llhttp knows it as the preface of HTTP/2 alone',
    errors: ['INVALID_CONSTANT', 'INVALID_VERSION'],
    applies: ({ mine, kind }) => kind === 'request' && mine.start === 'PRI',
  },
  {
    why: 'a higher minor version is read as 1.1 (RFC 9110 §2.5)',
    errors: ['INVALID_VERSION'],
    applies: ({ sections, kind }) => (kind === 'request' ? / HTTP\/1\.[2-9]$/ : /^HTTP\/1\.[2-9] /).test(sections.startLine),
  },
  {
    why: 'blanks around ";" and "=" of a chunk extension are grammar (RFC 9112 §7.1.1)',
    errors: ['INVALID_CHUNK_SIZE', 'STRICT'],
    // The first line that is not the plainest is where llhttp stops.
    applies: ({ sections }) => CHUNK_LINE.test(sections.chunkLines.find((line) => !TIGHT_CHUNK_LINE.test(line)) ?? ''),
  },
  {
    why: 'a tab after a value is a blank (RFC 9112 §5.1); llhttp 9.3 takes it for a part of Content-Length and Transfer-Encoding, 9.4 of the latter',
    errors: ['INVALID_CONTENT_LENGTH', 'INVALID_TRANSFER_ENCODING'],
    applies: keepsTab,
  },
  {
    why: 'fields that frame a message or rule its connection are dropped from trailers (RFC 9110 §6.5.1); llhttp obeys some there and refuses others',
    errors: ['UNEXPECTED_CONTENT_LENGTH', 'INVALID_CONTENT_LENGTH', 'INVALID_TRANSFER_ENCODING', CLOSED],
    applies: ({ sections: { trailerLines } }) => trailerLines.some((line) => CONTROL_TRAILER.test(line)),
  },
  {
    why: 'an interim response says nothing of the connection beyond itself (RFC 9110 §15.2)',
    errors: [CLOSED],
    applies: ({ mine, kind }) => kind === 'response' && isInterim(mine) && (mine.version === 10 || mine.headers.has('connection')),
  },
];

/**
 * Compares a reading of ours with those of all independent parsers.
 *
 * @param ours what became of `data` when it was read as a whole
 * @throws {InvariantBroken} if one of them frames differently what we accepted
 */
export function checkAgreement(data: Uint8Array, ours: Transcript, options: OracleOptions): void {
  for (const reader of allReaders()) compare(reader, { kind: options.kind, data, ours, theirs: reader.oracle.parse(data, options) });
}

/** What each independent parser makes of an input, by its name. */
export function readByAll(data: Uint8Array, options: OracleOptions): readonly (readonly [name: string, result: OracleResult])[] {
  return allReaders().map(({ name, oracle }) => [name, oracle.parse(data, options)]);
}

interface Comparison {
  readonly kind: Kind;
  readonly data: Uint8Array;
  readonly ours: Transcript;
  readonly theirs: OracleResult;
}

function compare(reader: Reader, { kind, data, ours, theirs }: Comparison): void {
  const { name } = reader;
  const sections = sectionsOf(latin1(data), ours.messages);
  for (const [index, mine] of ours.messages.entries()) {
    const other = theirs.messages[index];
    const stop: Stop = { mine, sections: sections[index] as Sections, kind, reader };
    const hasStopped = theirs.error !== null && index >= theirs.messages.length - 1;
    const error = hasStopped ? nameOf(theirs.error, data, stop) : '';
    const isExcused = hasStopped && isExcepted(stop, error);
    const show = (): string => `${theirs.error ?? 'no error'}; message ${index}: ours ${tellOurs(mine)}, ${name} ${tellTheirs(other)}`;
    if (other === undefined && isExcused) return;
    invariant(other !== undefined, `${name} accepts what we accept`, show);
    const theirFields = other.fields.map((line) => `${line}\n`).join('');
    invariant(other.start === mine.start && other.rest === mine.rest, `${name} reads the same start line`, show);
    invariant(fieldsOf(mine.headers) === theirFields, `${name} reads the same fields`, show);
    if (mine.isTunnel) return;
    if (kind === 'response' && isReadOtherwise(stop)) return;
    if (isExcused && !other.isComplete) {
      const [shorter, longer] = other.body.length < mine.body.length ? [other.body, mine.body] : [mine.body, other.body];
      invariant(longer.startsWith(shorter), `${name} reads the same beginning of a body`, show);
      return;
    }
    if (mine.isComplete) {
      invariant(other.isComplete, `${name} finds the same end`, show);
      invariant(other.body === mine.body, `${name} reads the same body`, show);
      invariant(hasTrailers(other, mine), `${name} reads the same trailers`, show);
    } else if (ours.reason === null) {
      invariant(!other.isComplete && other.body === mine.body, `${name} waits where we wait`, show);
    } else {
      invariant(other.body.startsWith(mine.body), `${name} reads the same beginning of a body`, show);
      return;
    }
    // After this we read nothing; llhttp calls what follows an error.
    if (!mine.keepAlive) return;
    // It takes this message for the last one. Any other error is that of the next one, which is excused by itself or not at all.
    if (isExcused && error === CLOSED) return;
  }
  if (ours.reason === null) {
    invariant(theirs.messages.length === ours.messages.length, `${name} finds no further message`, () =>
      tellTheirs(theirs.messages[ours.messages.length]),
    );
  }
}

/** Where the two part for a known reason, and no error says so: they find other ends, and there is nothing more to compare. */
function isReadOtherwise(stop: Stop): boolean {
  const { headers } = stop.mine;
  // 1xx has no body whatever its fields say (RFC 9112 §6.3); llhttp reads one by them.
  if (isInterim(stop.mine)) return headers.has('transfer-encoding') || headers.has('content-length');
  // It does not find `chunked` before the tab, and so reads up to the close.
  return headers.has('transfer-encoding') && keepsTab(stop);
}

function isInterim({ start }: DecodedMessage): boolean {
  return start.startsWith('1');
}

function keepsTab({ sections, reader }: Stop): boolean {
  return sections.fieldLines.some((line) => reader.keepsTabs.test(line));
}

function isExcepted(stop: Stop, error: string): boolean {
  return EXCEPTIONS.some(({ errors, applies }) => errors.includes(error) && applies(stop));
}

/** An error without a name has one where the message is read by itself; one that has none there either excuses nothing. */
function nameOf(error: string, data: Uint8Array, { reader, sections, kind }: Stop): string {
  return error === UNNAMED ? (reader.oracle.parse(data.subarray(sections.at), { kind }).error ?? UNNAMED) : error;
}

/** Fields that may not be trailers are dropped by us, so ours are some of theirs, in order. */
function hasTrailers(theirs: OracleMessage, ours: DecodedMessage): boolean {
  let at = 0;
  for (const [name, value] of ours.trailers ?? []) {
    at = theirs.trailers.indexOf(`${name}: ${value}`, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

function tellOurs({ start, rest, headers, body, isComplete }: DecodedMessage): string {
  return JSON.stringify([start, rest, fieldsOf(headers), body, isComplete]);
}

function tellTheirs(message: OracleMessage | undefined): string {
  return message === undefined
    ? 'nothing'
    : JSON.stringify([message.start, message.rest, message.fields, message.body, message.isComplete]);
}

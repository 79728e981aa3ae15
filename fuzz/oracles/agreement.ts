/**
 * What we accept, two builds of llhttp must frame in the same way: the WebAssembly of undici (9.3) and Node's own parser (9.4). We are the
 * stricter one, so only this direction is checked; where they refuse what we accept, the reason must be one of the list below.
 */
import { BodyLength } from '@ferrata/http1';
import {
  type Http1Oracle,
  LlhttpOracle,
  NodeParserOracle,
  type OracleMessage,
  type OracleOptions,
  type OracleResult,
} from '@ferrata/testkit';
import { invariant } from '../src/target.ts';
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
  /** Framing fields of which it takes a tab after the value for a part of it. */
  readonly keepsTabs: RegExp;
}

/** Made when first used: loading the WebAssembly takes some milliseconds. */
let readers: readonly Reader[] | null = null;

function allReaders(): readonly Reader[] {
  readers ??= [
    { name: 'llhttp', oracle: new LlhttpOracle(), keepsTabs: /\n(?:content-length|transfer-encoding):[^\n]*\t[\t ]*\r/i },
    { name: 'Node', oracle: new NodeParserOracle(), keepsTabs: /\ntransfer-encoding:[^\n]*\t[\t ]*\r/i },
  ];
  return readers;
}

/** A reason for which llhttp may refuse what we accept. */
interface Exception {
  readonly why: string;
  /** Errors of llhttp that it covers. */
  readonly errors: readonly string[];
  /** What must be true of the input for it to apply. */
  readonly applies: (message: DecodedMessage, input: string, kind: Kind) => boolean;
}

/** What Node says of an error behind a request that asked for another protocol, whatever it is. */
const UNNAMED = 'UNKNOWN';

/** Where llhttp is the stricter one; every other refusal of what we accept is a finding. */
const EXCEPTIONS: readonly Exception[] = [
  {
    why: 'any token is a method (RFC 9110 §9.1)',
    // The last one is for PRI, which llhttp knows as the preface of HTTP/2 alone.
    errors: ['INVALID_METHOD', 'INVALID_CONSTANT', 'INVALID_VERSION'],
    applies: ({ start }, _, kind) => kind === 'request' && !LLHTTP_METHODS.has(start),
  },
  {
    why: 'a higher minor version is read as 1.1 (RFC 9110 §2.5)',
    errors: ['INVALID_VERSION'],
    applies: (_, input) => /HTTP\/1\.[2-9][ \r]/.test(input),
  },
  {
    why: 'blanks around ";" and "=" of a chunk extension are grammar (RFC 9112 §7.1.1)',
    errors: ['INVALID_CHUNK_SIZE', 'STRICT'],
    applies: ({ bodyLength }, input) => bodyLength === BodyLength.chunked && /[ \t][;=]|[;=][ \t]/.test(input),
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

function compare({ name, keepsTabs }: Reader, { kind, data, ours, theirs }: Comparison): void {
  const input = latin1(data);
  for (const [index, mine] of ours.messages.entries()) {
    const other = theirs.messages[index];
    if ((isFramed(mine) && keepsTabs.test(input)) || hasControlTrailer(mine, input)) return;
    const isLastOfTheirs = index >= theirs.messages.length - 1;
    if (isLastOfTheirs && other?.isComplete !== true && theirs.error !== null && isExcepted(mine, theirs.error, { input, kind })) return;
    const show = (): string => `${theirs.error ?? 'no error'}; message ${index}: ours ${tellOurs(mine)}, ${name} ${tellTheirs(other)}`;
    invariant(other !== undefined, `${name} accepts what we accept`, show);
    const theirFields = other.fields.map((line) => `${line}\n`).join('');
    invariant(other.start === mine.start && other.rest === mine.rest, `${name} reads the same start line`, show);
    invariant(fieldsOf(mine.headers) === theirFields, `${name} reads the same fields`, show);
    if (mine.isTunnel) return;
    if (kind === 'response' && hasFramedInterim(mine)) return;
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
  }
  if (ours.reason === null) {
    invariant(theirs.messages.length === ours.messages.length, `${name} finds no further message`, () =>
      tellTheirs(theirs.messages[ours.messages.length]),
    );
  }
}

/**
 * 1xx has no body whatever its fields say (RFC 9112 §6.3); llhttp reads one by them, and takes the version or Connection of an interim response
 * for the last word on the connection. Where the two part, there is nothing more to compare.
 */
function hasFramedInterim({ start, version, headers }: DecodedMessage): boolean {
  return (
    start.startsWith('1') &&
    (version === 10 || headers.has('transfer-encoding') || headers.has('content-length') || headers.has('connection'))
  );
}

/**
 * Fields that frame a message or rule its connection are dropped where they stand in a trailer section (RFC 9110 §6.5.1); llhttp obeys some of
 * them there and refuses others.
 */
function hasControlTrailer({ bodyLength }: DecodedMessage, input: string): boolean {
  return bodyLength === BodyLength.chunked && CONTROL_TRAILER.test(input);
}

const CONTROL_TRAILER = /\n0+(?:[ \t]*;[^\n]*)?\r\n(?:[^\n]+\n)*(?:connection|proxy-connection|upgrade|content-length|transfer-encoding):/i;

/**
 * A tab after a value is a blank (RFC 9112 §5.1). llhttp 9.3 makes it part of Content-Length and Transfer-Encoding, 9.4 of the latter alone, and
 * reads a response with `chunked` and a tab up to the close.
 */
function isFramed({ headers }: DecodedMessage): boolean {
  return headers.has('content-length') || headers.has('transfer-encoding');
}

function isExcepted(message: DecodedMessage, error: string, { input, kind }: { readonly input: string; readonly kind: Kind }): boolean {
  return EXCEPTIONS.some(({ errors, applies }) => (error === UNNAMED || errors.includes(error)) && applies(message, input, kind));
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

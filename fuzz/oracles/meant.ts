/** Compares bytes that were written with the messages that were meant: nobody may read others, or more, or a part as a whole. */
import { mayBeTrailer, wellKnownId } from '@ferrata/headers';
import { BodyLength } from '@ferrata/http1';
import { type NaiveFields, naiveHttp1, naiveHttp1Responses, type OracleMessage } from '@ferrata/testkit';
import { invariant } from '../src/target.ts';
import { readByAll } from './agreement.ts';
import { latin1 } from './transcript.ts';

/** What a program wanted to say. */
export interface MeantMessage {
  /** Method, or status code. */
  readonly start: string;
  /** Request target, or reason phrase. */
  readonly rest: string;
  readonly fields: NaiveFields;
  /** As it was announced. */
  readonly bodyLength: number;
  /** What was sent of the body. */
  body: string;
  /** What was given as trailers; sent in chunked bodies, but for those that may not be trailers. */
  trailers: NaiveFields;
  /** The end was sent, too. */
  isEnded: boolean;
  /** More, or less, was given than announced. */
  isBroken: boolean;
  /** An error page of our own: only its status was chosen. */
  readonly isPage?: boolean;
}

/** A message as somebody read it. */
interface Read {
  readonly start: string;
  readonly rest: string;
  readonly fields: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

/** Fields that are the writer's own business: framing and connection, and what it adds. */
const OWN = /^(?:connection|keep-alive|proxy-connection|upgrade|http2-settings|content-length|transfer-encoding|date):/i;

/** Why a strict reader may refuse a request that is one message all the same: it says something that no request should say, clearly. */
const UNWANTED = new Set([
  'a fragment',
  'CONNECT needs host and port',
  'none of the forms of a target',
  'not exactly one valid Host',
  'CONNECT with a body',
]);

/** @throws {InvariantBroken} if a reader finds anything else in `bytes` than the requests meant */
export function checkRequestsMeant(bytes: Uint8Array, meant: readonly MeantMessage[]): void {
  const { messages, verdict, why } = naiveHttp1(bytes);
  const told = messages.map(({ method, target, fields, body, trailers }) => read(method, target, fields, body, trailers));
  const show = (): string => `${verdict} ${why}: ${JSON.stringify(latin1(bytes))}, meant ${JSON.stringify(meant)}`;
  invariant(verdict !== 'refused' || UNWANTED.has(why), 'what is written is accepted', show);
  checkRead(told, meant, { show, isWhole: verdict !== 'refused' });
  for (const [name, { messages: theirs }] of readByAll(bytes, { kind: 'request' })) checkTheirs(theirs, meant, { name, show });
}

/** @throws {InvariantBroken} if a reader finds anything else in `bytes` than the responses meant */
export function checkResponsesMeant(bytes: Uint8Array, meant: readonly MeantMessage[], methods: readonly string[]): void {
  const { messages, verdict, why } = naiveHttp1Responses(bytes, methods);
  const told = messages.map(({ status, reason, fields, body, trailers }) => read(String(status), reason, fields, body, trailers));
  const show = (): string => `${verdict} ${why}: ${JSON.stringify(latin1(bytes))}, meant ${JSON.stringify(meant)}`;
  invariant(verdict !== 'refused', 'what is written is accepted', show);
  checkRead(told, meant, { show, isWhole: true });
  const isBodyless = (index: number): boolean => methods[index] === 'HEAD';
  const hasTunnel = meant.some(({ start }) => start === '101' || (methods[0] === 'CONNECT' && start.startsWith('2')));
  if (hasTunnel) return;
  for (const [name, { messages: theirs }] of readByAll(bytes, { kind: 'response', isBodyless })) checkTheirs(theirs, meant, { name, show });
}

interface Judging {
  readonly show: () => string;
  /** Everything was read as far as it goes: what was ended must have been found. */
  readonly isWhole: boolean;
}

function checkRead(told: readonly Read[], meant: readonly MeantMessage[], { show, isWhole }: Judging): void {
  invariant(told.length <= meant.length, 'nobody reads more messages than were meant', show);
  const ended = meant.findIndex(({ isEnded }) => !isEnded);
  invariant(!isWhole || told.length >= (ended < 0 ? meant.length : ended), 'what was ended is whole', show);
  for (const [index, message] of told.entries()) checkMessage(message, meant[index] as MeantMessage, show);
}

/** llhttp may refuse what we write (it knows fewer methods), but what it reads whole is what was meant. */
function checkTheirs(
  theirs: readonly OracleMessage[],
  meant: readonly MeantMessage[],
  { name, show }: { readonly name: string; readonly show: () => string },
): void {
  invariant(theirs.length <= meant.length, `${name} reads no more messages than were meant`, show);
  for (const [index, message] of theirs.entries()) if (message.isComplete) checkMessage(message, meant[index] as MeantMessage, show);
}

function checkMessage(message: Read, meant: MeantMessage, show: () => string): void {
  invariant(message.start === meant.start, 'the start line is the one meant', show);
  if (meant.isPage === true) return;
  invariant(message.rest === meant.rest, 'the start line is the one meant', show);
  const fields = meant.fields.map(([name, value]) => `${name}: ${value}`).filter((line) => !OWN.test(line));
  const readFields = message.fields.filter((line) => !OWN.test(line));
  invariant(readFields.join('\n') === fields.join('\n'), 'the fields are those meant', show);
  invariant(message.body === meant.body, 'the body is the one meant', show);
  // Whoever announced a length and sent as much has said it all.
  invariant(meant.isEnded || meant.bodyLength >= 0 || meant.bodyLength === BodyLength.untilClose, 'only what was ended is whole', show);
  const trailers = meant.trailers.filter(([name]) => mayBeTrailer(wellKnownId(name))).map(([name, value]) => `${name}: ${value}`);
  invariant(message.trailers.length === 0 || message.trailers.join('\n') === trailers.join('\n'), 'the trailers are those meant', show);
}

function read(start: string, rest: string, fields: NaiveFields, body: string, trailers: NaiveFields): Read {
  const lines = (pairs: NaiveFields): string[] => pairs.map(([name, value]) => `${name}: ${value}`);
  return { start, rest, fields: lines(fields), body, trailers: lines(trailers) };
}

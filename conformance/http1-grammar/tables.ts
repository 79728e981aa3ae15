/**
 * The tables of llhttp's grammar, each entry as a question that our tables and our decoders answer as well. There are two grammars: that of 2018, in
 * the npm package `llhttp` 1.0.1, and that of llhttp 9, which undici carries beside its parser.
 */
import { FIELD_VALUE_BYTES, TARGET_BYTES, TOKEN_BYTES } from '@ferrata/headers';
import * as llhttp1 from 'llhttp/lib/llhttp/constants.js';
import * as llhttp9 from 'undici/lib/llhttp/constants.js';
import { readsChunkSize, readsExtension, reasonFor } from './questions.ts';

/** A byte, a method or a field name; what llhttp says of it and what we say. */
export interface Question {
  readonly id: string;
  readonly theirs: unknown;
  /** Each way in which we answer: all must say the same. */
  readonly ours: readonly unknown[];
}

/** A list of llhttp: characters, and numbers of bytes. */
type CharList = readonly (string | number)[];

/** What one version of llhttp has. */
export interface Grammar {
  readonly name: string;
  readonly token: CharList;
  readonly value: CharList;
  readonly target: CharList;
  /** What its loose mode lets into targets besides. */
  readonly looseTarget: CharList;
  readonly digits: CharList;
  readonly hexValues: Readonly<Record<string, number>>;
  readonly major: object;
  readonly minor: object;
  /** Bytes of a quoted string without its quotes, and those that may stand behind its backslash; null if there is no such table. */
  readonly quoted: { readonly plain: CharList; readonly escaped: CharList } | null;
  readonly methods: readonly string[];
  readonly specialFields: readonly string[];
}

const methodNames9 = new Map(Object.entries(llhttp9.METHODS).map(([name, number]) => [number, name]));

/** Both versions. */
export const GRAMMARS: readonly Grammar[] = [
  {
    name: 'llhttp1',
    token: llhttp1.STRICT_TOKEN,
    value: llhttp1.HEADER_CHARS,
    target: llhttp1.STRICT_URL_CHAR,
    looseTarget: llhttp1.URL_CHAR.filter((one) => !llhttp1.STRICT_URL_CHAR.includes(one)),
    digits: llhttp1.NUM,
    hexValues: llhttp1.HEX_MAP,
    major: llhttp1.MAJOR,
    minor: llhttp1.MINOR,
    quoted: null,
    methods: Object.keys(llhttp1.METHOD_MAP),
    specialFields: Object.keys(llhttp1.SPECIAL_HEADERS),
  },
  {
    name: 'llhttp9',
    token: llhttp9.TOKEN,
    value: llhttp9.HEADER_CHARS,
    target: llhttp9.URL_CHAR,
    looseTarget: [],
    digits: llhttp9.NUM,
    hexValues: llhttp9.HEX_MAP,
    major: llhttp9.MAJOR,
    minor: llhttp9.MINOR,
    quoted: { plain: llhttp9.QUOTED_STRING, escaped: llhttp9.HTAB_SP_VCHAR_OBS_TEXT },
    // Its other lists are of ICE and RTSP.
    methods: llhttp9.METHODS_HTTP.map((number) => methodNames9.get(number) ?? ''),
    specialFields: Object.keys(llhttp9.SPECIAL_HEADERS),
  },
];

/** All questions about single bytes. */
export function byteQuestions(grammar: Grammar): readonly Question[] {
  const [token, value, target, looseTarget, digits] = [
    bytesOf(grammar.token),
    bytesOf(grammar.value),
    bytesOf(grammar.target),
    bytesOf(grammar.looseTarget),
    bytesOf(grammar.digits),
  ];
  const quoted = grammar.quoted === null ? null : { plain: bytesOf(grammar.quoted.plain), escaped: bytesOf(grammar.quoted.escaped) };
  const questions: Question[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const ask = (table: string, theirs: unknown, ...ours: readonly unknown[]): void => {
      questions.push({ id: `${grammar.name}/${table}/${byte.toString(16).padStart(2, '0')}`, theirs, ours });
    };
    const char = String.fromCharCode(byte);
    ask('name', token.has(byte), TOKEN_BYTES[byte] !== 0, isAccepted(`GET / HTTP/1.1\r\nHost: a\r\nx${char}x: 1\r\n\r\n`));
    ask('value', value.has(byte), FIELD_VALUE_BYTES[byte] !== 0, isAccepted(`GET / HTTP/1.1\r\nHost: a\r\nX: x${char}x\r\n\r\n`));
    ask('target', target.has(byte), TARGET_BYTES[byte] !== 0, isAccepted(`GET /x${char}x HTTP/1.1\r\nHost: a\r\n\r\n`));
    // What llhttp lets into targets only in its loose mode, we refuse.
    if (looseTarget.has(byte)) ask('loose-target', false, isAccepted(`GET /x${char}x HTTP/1.1\r\nHost: a\r\n\r\n`));
    ask('chunk-size', grammar.hexValues[char] ?? null, readsChunkSize(char));
    ask('content-length', digits.has(byte), isAccepted(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1${char}1\r\n\r\n`));
    ask('minor-version', Object.hasOwn(grammar.minor, char), isAccepted(`GET / HTTP/1.${char}\r\nHost: a\r\n\r\n`));
    // A version that is one, but not ours, has a reason of its own.
    const reason = reasonFor(`GET / HTTP/${char}.1\r\nHost: a\r\n\r\n`);
    ask('major-version', Object.hasOwn(grammar.major, char), reason === null || reason === 'H1_VERSION_UNSUPPORTED');
    if (quoted !== null) {
      ask('quoted', quoted.plain.has(byte), readsExtension(`a="x${char}x"`));
      ask('escaped', quoted.escaped.has(byte), readsExtension(`a="x\\${char}x"`));
    }
  }
  return questions;
}

/** Every method that llhttp knows is one here: CONNECT with an authority, all others with a path. */
export function methodQuestions({ name, methods }: Grammar): readonly Question[] {
  return methods.map((method) => ({
    id: `${name}/method/${method}`,
    theirs: true,
    ours: [isAccepted(`${method} ${method === 'CONNECT' ? 'a:1' : '/'} HTTP/1.1\r\nHost: a\r\n\r\n`)],
  }));
}

function isAccepted(text: string): boolean {
  return reasonFor(text) === null;
}

function bytesOf(list: CharList): ReadonlySet<number> {
  return new Set(list.map((one) => (typeof one === 'number' ? one : one.charCodeAt(0))));
}

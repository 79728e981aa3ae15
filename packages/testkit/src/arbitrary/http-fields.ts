/** Tokens, field names and values, header lists: valid ones, with the unusual ones among them. */
import fc from 'fast-check';

const tokenCharacters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".split('');

/** A token (RFC 9110 §5.6.2), one character or more. */
export function tokens(maxLength = 12): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...tokenCharacters), minLength: 1, maxLength });
}

/** Names that objects have without being asked: ordinary field names, and a trap for code that keeps fields in plain objects. */
const trapNames = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '0', '-1'];

const ordinaryNames = [
  'Accept',
  'accept-encoding',
  'Cookie',
  'User-Agent',
  'X-Request-Id',
  'x-forwarded-for',
  'ETag',
  'Cache-Control',
  'Via',
  'VARY',
];

/** Names that frame, route or end: never drawn by `fieldNames`, since they would change what a message means. */
const meaningfulNames = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'http2-settings',
]);

/** A field name that carries no meaning for framing, routing or the connection. */
export function fieldNames(): fc.Arbitrary<string> {
  return fc
    .oneof(
      { weight: 4, arbitrary: fc.constantFrom(...ordinaryNames) },
      { weight: 1, arbitrary: fc.constantFrom(...trapNames) },
      { weight: 4, arbitrary: tokens() },
    )
    .filter((name) => !meaningfulNames.has(name.toLowerCase()));
}

const inner = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0x21, max: 0x7e }) },
  { weight: 3, arbitrary: fc.constantFrom(0x20, 0x09, 0x2c, 0x3b, 0x22) },
  { weight: 1, arbitrary: fc.integer({ min: 0x80, max: 0xff }) },
);

/** A field value (RFC 9110 §5.5): latin1, no blank at either end, perhaps empty. */
export function fieldValues(maxLength = 40): fc.Arbitrary<string> {
  const drawn = fc.array(inner, { maxLength }).map((codes) => String.fromCharCode(...codes).replace(/^[ \t]+|[ \t]+$/g, ''));
  return fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom('', 'close', 'chunked', '0', 'a, b', '"quoted, \\" comma"', 'keep-alive') },
    { weight: 4, arbitrary: drawn },
  );
}

/** One field line. */
export type FieldLine = readonly [name: string, value: string];

/** Field lines in order, some names repeated. */
export function headerLists(maxLength = 8): fc.Arbitrary<readonly FieldLine[]> {
  return fc.array(fc.tuple(fieldNames(), fieldValues()), { maxLength });
}

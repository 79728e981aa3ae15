/**
 * Invariant: a `HeaderMap` under any list of operations answers as a naive list of pairs does, and throws `TypeError` for exactly the names and
 * values that the grammar forbids; the list and authority readers take any text, and agree with their own writers.
 *
 * The first byte chooses: an even one begins operations, each an operation byte, a name and, where it needs one, a value (see `OperationReader`);
 * an odd one means that the rest is a field value.
 */
import {
  formatAuthority,
  HeaderMap,
  isFieldName,
  isFieldValue,
  type KnownHeader,
  knownName,
  listHas,
  parseAuthority,
  parseList,
  parseParameters,
  parseQualityList,
  qualityOf,
  quoteIfNeeded,
  removeHopByHop,
  unquote,
  wellKnownId,
} from '@ferrata/headers';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['headers'], maxLength: 512 };

export function fuzz(data: Uint8Array): void {
  if (((data[0] ?? 0) & 1) === 0) compareWithTwin(data.subarray(1));
  else readValue(Buffer.from(data.subarray(1)).toString('latin1'));
}

/** Names that operations choose from: well known, unknown, spelled in several ways, and traps. */
const NAMES = (
  'Host host HOST Content-Length content-length Connection connection Set-Cookie set-cookie TE te Upgrade X-A x-a X-a X-B x-forwarded-for ' +
  'X-Forwarded-Custom Keep-Alive Transfer-Encoding __proto__ constructor 42 toString'
).split(' ');

/** One spelling of each. */
const DIFFERENT_NAMES = [...new Map(NAMES.map((name) => [name.toLowerCase(), name])).values()];

/** Values that mean something to the operations that read them. */
const VALUES = [
  '',
  'a',
  'close',
  'keep-alive',
  'close, x-a',
  'x-b, host',
  'trailers',
  '__proto__',
  'a, b',
  'x-forwarded-custom, content-length',
];

/** A line of the twin; `key` is the name in lower case. */
interface Line {
  readonly name: string;
  readonly value: string;
  readonly key: string;
}

/** What a `HeaderMap` should do, in the plainest way. */
class Twin {
  lines: Line[] = [];

  valuesOf(key: string): string[] {
    const values: string[] = [];
    for (const line of this.lines) if (line.key === key) values.push(line.value);
    return values;
  }

  append(name: string, value: string): void {
    this.lines.push({ name, value, key: lower(name) });
  }

  set(name: string, value: string): void {
    const key = lower(name);
    const first = this.lines.findIndex((line) => line.key === key);
    if (first < 0) return this.append(name, value);
    this.lines[first] = { ...(this.lines[first] as Line), value };
    this.lines = this.lines.filter((line, index) => index <= first || line.key !== key);
  }

  delete(name: string): number {
    return this.keep((line) => line.key !== lower(name));
  }

  /** @returns how many lines were removed */
  keep(isKept: (line: Line) => boolean): number {
    const { length } = this.lines;
    this.lines = this.lines.filter(isKept);
    return length - this.lines.length;
  }
}

/** ASCII only: `toLowerCase` alone would make a Kelvin sign a k. */
function lower(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Limits that keep an execution short; the index of long maps begins at 25 lines. */
const MAX_OPERATIONS = 32;
const MAX_LINES = 80;

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
const VALUE = /^(?![\t ])[\t\x20-\x7e\x80-\xff]*(?<![\t ])$/;

function compareWithTwin(data: Uint8Array): void {
  const input = new OperationReader(data);
  let map = new HeaderMap();
  const twin = new Twin();
  for (let count = 0; input.hasMore && count < MAX_OPERATIONS; count++) operate(input, map, twin, (copy) => (map = copy));
  compareAll(map, twin);
}

function operate(input: OperationReader, map: HeaderMap, twin: Twin, replace: (copy: HeaderMap) => void): void {
  const operation = input.byte() % 14;
  switch (operation) {
    case 0:
    case 1:
    case 2: {
      const name = input.name();
      const value = input.value();
      const isValid = NAME.test(name) && VALUE.test(value);
      check(isFieldName(name) === NAME.test(name), 'isFieldName follows the grammar', name);
      check(isFieldValue(value) === VALUE.test(value), 'isFieldValue follows the grammar', value);
      const isSet = operation === 2;
      const threw = throwsTypeError(() => (isSet ? map.set(name, value) : map.append(name, value)));
      check(threw !== isValid, 'insertion validates', `${name}: ${value}`);
      if (isValid && isSet) twin.set(name, value);
      else if (isValid) twin.append(name, value);
      return;
    }
    case 3: {
      const name = input.name();
      check(map.delete(name) === twin.delete(name), 'delete counts as the twin', name);
      return;
    }
    case 4: {
      // Enough lines for the index of long maps.
      const name = input.name();
      if (!NAME.test(name) || twin.lines.length > MAX_LINES) return;
      for (let count = 0; count < 30; count++) {
        map.append(name, String(count));
        twin.append(name, String(count));
      }
      return;
    }
    case 5: {
      const id = input.knownId();
      check(map.deleteKnown(id) === twin.delete(knownName(id)), 'deleteKnown counts as the twin', knownName(id));
      return;
    }
    case 6: {
      const id = input.knownId();
      const value = input.value();
      const isValid = VALUE.test(value);
      check(throwsTypeError(() => map.setKnown(id, value)) !== isValid, 'insertion validates', value);
      if (!isValid) return;
      // The spelling of a line that was added is the map's own choice.
      twin.set(map.nameAt(map.indexOfKnown(id)), value);
      check(lower(map.nameAt(map.indexOfKnown(id))) === knownName(id), 'setKnown sets its own name', knownName(id));
      return;
    }
    case 7: {
      const copy = map.clone();
      map.append('only-in-the-original', '1');
      replace(copy);
      return;
    }
    case 8:
      map.clear();
      twin.lines = [];
      return;
    case 9:
      removeHopByHop(map);
      removeHopByHopOf(twin);
      return;
    case 10: {
      const letter = input.byte();
      const isGone = (name: string): boolean => (name.charCodeAt(0) & 3) === (letter & 3);
      check(map.deleteWhere(isGone) === twin.keep(({ name }) => !isGone(name)), 'deleteWhere counts as the twin', String(letter));
      return;
    }
    default:
      compareName(map, twin, input.name());
  }
}

function compareName(map: HeaderMap, twin: Twin, name: string): void {
  const key = lower(name);
  const values = twin.valuesOf(key);
  const details = (): string => `${name} in ${JSON.stringify(twin.lines)}`;
  invariant(map.get(name) === values[0], 'get is the first value', details);
  invariant(map.has(name) === values.length > 0, 'has is right', details);
  invariant(map.count(name) === values.length, 'count is right', details);
  invariant(map.getAll(name).join('\n') === values.join('\n'), 'getAll gives all in order', details);
  const combined = key === 'set-cookie' ? values[0] : values.length === 0 ? undefined : values.join(', ');
  invariant(map.combined(name) === combined, 'combined joins', details);
  const id = wellKnownId(name);
  if (id === 0) return;
  invariant(knownName(id) === key, 'wellKnownId is exact', details);
  invariant(map.getKnown(id) === values[0] && map.countKnown(id) === values.length, 'known queries agree', details);
  invariant(map.hasKnown(id) === values.length > 0, 'the presence bit is exact', details);
}

function compareAll(map: HeaderMap, twin: Twin): void {
  const details = (): string => `${JSON.stringify([...map])} instead of ${JSON.stringify(twin.lines)}`;
  invariant(map.size === twin.lines.length, 'the size is right', details);
  for (let line = 0; line < map.size; line++) {
    const { name, value } = twin.lines[line] as Line;
    invariant(map.nameAt(line) === name && map.valueAt(line) === value, 'the lines are right and in order', details);
    invariant(map.idAt(line) === wellKnownId(name), 'each line has the number of its name', details);
  }
  for (const name of DIFFERENT_NAMES) compareName(map, twin, name);
}

const HOP_BY_HOP =
  /^(connection|keep-alive|proxy-connection|te|transfer-encoding|upgrade|http2-settings|proxy-authenticate|proxy-authorization)$/;

/** RFC 9110 §7.6.1, with the nominations that are not obeyed: well-known names and those that proxies add. */
function removeHopByHopOf(twin: Twin): void {
  const nominated = new Set(
    twin.valuesOf('connection').flatMap((value) => value.split(',').map((name) => lower(name.replace(/^[ \t]+|[ \t]+$/g, '')))),
  );
  const isRemovable = (name: string): boolean =>
    nominated.has(name) && wellKnownId(name) === 0 && !name.startsWith('x-forwarded-') && name !== 'close';
  twin.keep(({ key }) => !HOP_BY_HOP.test(key) && !isRemovable(key));
}

function readValue(text: string): void {
  const items = parseList(text);
  for (const item of items) {
    invariant(item !== '' && item === item.replace(/^[ \t]+|[ \t]+$/g, ''), 'list items are trimmed and not empty', () =>
      JSON.stringify([text, item]),
    );
    invariant(listHas(text, item), 'listHas finds what parseList finds', () => JSON.stringify([text, item]));
  }
  invariant(!text.includes('"') || items.join('').length <= text.length, 'items are parts of the value', () => text);
  if (!text.includes('"')) {
    const plain = text
      .split(',')
      .map((item) => item.replace(/^[ \t]+|[ \t]+$/g, ''))
      .filter((item) => item !== '');
    invariant(String(items) === String(plain), 'without quotes a list is split at commas', () => JSON.stringify([text, items, plain]));
  }
  const isStable = String(parseList(items.join(', '))) === String(items);
  // An open quote swallows what comes after it; only the last item can have one, so joining in order is stable.
  invariant(isStable, 'parse after join is parse', () => JSON.stringify([text, items]));
  const { parameters } = parseParameters(text);
  for (const [name, value] of parameters) {
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) continue;
    const again = parseParameters(`;${name}=${quoteIfNeeded(value)}`).parameters.get(name);
    invariant(again === value, 'parameters survive writing', () => JSON.stringify([text, name, value, again]));
  }
  const weights = parseQualityList(text);
  invariant(
    weights.every(({ quality }) => quality >= 0 && quality <= 1),
    'weights are from 0 to 1',
    () => text,
  );
  for (const { value, quality } of weights.slice(0, 1)) {
    invariant(qualityOf(weights, value) === quality, 'qualityOf finds the first item', () => JSON.stringify([text, value]));
  }
  if (/^[\t\x20-\x7e\x80-\xff]+$/.test(text)) {
    invariant(unquote(quoteIfNeeded(text)) === text, 'unquote after quote is the text', () => JSON.stringify(text));
  }
  const authority = parseAuthority(text);
  if (authority !== null) {
    const again = parseAuthority(formatAuthority(authority));
    invariant(again?.host === authority.host && again.port === authority.port, 'an authority survives writing', () =>
      JSON.stringify([text, again]),
    );
    invariant(!/[@\s/?#\\]/.test(authority.host), 'a host has no delimiter in it', () => text);
  }
}

function check(holds: boolean, law: string, details: string): void {
  invariant(holds, law, () => JSON.stringify(details));
}

function throwsTypeError(action: () => void): boolean {
  try {
    action();
    return false;
  } catch (error) {
    if (error instanceof TypeError) return true;
    throw error;
  }
}

/**
 * Reads operations from bytes: a name or value byte below 0x80 chooses from the table, one from 0x80 on is followed by as many characters as its
 * low six bits say.
 */
class OperationReader {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  get hasMore(): boolean {
    return this.#at < this.#data.length;
  }

  byte(): number {
    return this.#data[this.#at++] ?? 0;
  }

  name(): string {
    return this.#text(NAMES);
  }

  value(): string {
    return this.#text(VALUES);
  }

  /** The number of a well-known name. */
  knownId(): KnownHeader {
    return (1 + (this.byte() % 62)) as KnownHeader;
  }

  #text(table: readonly string[]): string {
    const choice = this.byte();
    if (choice < 0x80) return table[choice % table.length] as string;
    const length = choice & 0x3f;
    let text = '';
    // 0xfe stands for a character that is no byte.
    for (let count = 0; count < length && this.hasMore; count++) {
      const byte = this.byte();
      text += byte === 0xfe ? '\u212a' : String.fromCharCode(byte);
    }
    return text;
  }
}

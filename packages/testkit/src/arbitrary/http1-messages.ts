/**
 * Valid HTTP/1 messages in every framing, as bytes, together with what they mean.
 *
 * What varies is what two recipients must read alike: blanks around values, the case of names, extensions and case of chunk sizes, trailers,
 * the order of fields. What they mean is written down while they are made, not parsed back.
 */
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import fc from 'fast-check';
import { type FieldLine, headerLists, tokens } from './http-fields.ts';

/** How a body is delimited. */
export type Framing = 'none' | 'length' | 'chunked' | 'untilClose';

/** What a message means, whatever its bytes look like. */
export interface MessageMeaning {
  /** 0 or 1. */
  readonly minorVersion: number;
  /** All field lines in order, those of the framing included. */
  readonly fields: readonly FieldLine[];
  readonly framing: Framing;
  readonly body: Uint8Array;
  readonly trailers: readonly FieldLine[];
  /** True if the connection goes on after the message. */
  readonly keepAlive: boolean;
}

/** A request drawn. */
export interface DrawnRequest extends MessageMeaning {
  readonly bytes: Uint8Array;
  readonly method: string;
  readonly target: string;
}

/** A response drawn, with the method of the request it answers. */
export interface DrawnResponse extends MessageMeaning {
  readonly bytes: Uint8Array;
  readonly requestMethod: string;
  readonly status: number;
  readonly reason: string;
}

/** A valid request, of HTTP/1.1 mostly. */
export function http1Requests(): fc.Arbitrary<DrawnRequest> {
  const shape = fc.record({
    line: requestLines(),
    host: fc.constantFrom('a', 'example.com', 'example.com:8080', '[::1]:80', '127.0.0.1'),
    fields: headerLists(),
    minorVersion: minorVersions(),
    body: bodies(['none', 'length', 'chunked']),
    connection: connectionOptions(),
    spacing: spacings(),
  });
  return shape.map(({ line: [method, target], host, fields, minorVersion, body, connection, spacing }) => {
    const mayChunk = minorVersion === 1 && method !== 'CONNECT';
    const framed = method === 'CONNECT' ? noBody : !mayChunk && body.framing === 'chunked' ? asLength(body) : body;
    const lines = insertAll(fields, [['Host', host], ...framingLines(framed), ...connectionLines(connection)], spacing);
    const head = formatHead(`${method} ${target} HTTP/1.${minorVersion}`, lines, spacing);
    return {
      bytes: concatBytes([latin1Encode(head), framed.wire]),
      method,
      target,
      minorVersion,
      fields: lines,
      framing: framed.framing,
      body: framed.content,
      trailers: framed.trailers,
      keepAlive: staysOpen(connection, minorVersion),
    };
  });
}

/** A valid final response to a request with some method. Close-delimited ones end with the bytes. */
export function http1Responses(): fc.Arbitrary<DrawnResponse> {
  const shape = fc.record({
    requestMethod: fc.constantFrom('GET', 'GET', 'POST', 'HEAD'),
    status: fc.constantFrom(200, 200, 201, 204, 206, 301, 304, 404, 418, 500, 599, 999),
    reason: fc.constantFrom('OK', '', 'Not Found', 'with  blanks', 'l\xe0tin'),
    fields: headerLists(),
    minorVersion: minorVersions(),
    body: bodies(['length', 'chunked', 'untilClose']),
    connection: connectionOptions(),
    spacing: spacings(),
  });
  return shape.map(({ requestMethod, status, reason, fields, minorVersion, body, connection, spacing }) => {
    const hasNoBody = requestMethod === 'HEAD' || status === 204 || status === 304;
    const framed = hasNoBody ? noBody : minorVersion === 0 && body.framing === 'chunked' ? asLength(body) : body;
    const lines = insertAll(fields, [...framingLines(framed), ...connectionLines(connection)], spacing);
    const head = formatHead(`HTTP/1.${minorVersion} ${status} ${reason}`, lines, spacing);
    return {
      bytes: concatBytes([latin1Encode(head), framed.wire]),
      requestMethod,
      status,
      reason,
      minorVersion,
      fields: lines,
      framing: framed.framing,
      body: framed.content,
      trailers: framed.trailers,
      keepAlive: framed.framing !== 'untilClose' && staysOpen(connection, minorVersion),
    };
  });
}

/** Requests one after the other on one connection, up to and including the first that ends it. */
export function http1Pipelines(maxLength = 4): fc.Arbitrary<readonly DrawnRequest[]> {
  return fc.array(http1Requests(), { minLength: 1, maxLength }).map((all) => {
    const last = all.findIndex((request) => !request.keepAlive);
    return last < 0 ? all : all.slice(0, last + 1);
  });
}

const pathCharacters = '/abc.-_~%20?&=;:@!$\'()*+,|"{}'.split('');

function requestLines(): fc.Arbitrary<readonly [method: string, target: string]> {
  const methods = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH') },
    { weight: 1, arbitrary: tokens(8) },
  );
  const paths = fc.string({ unit: fc.constantFrom(...pathCharacters), maxLength: 20 }).map((path) => `/${path}`);
  const plain = fc.tuple(
    methods.filter((method) => method !== 'CONNECT' && method !== 'PRI'),
    fc.oneof({ weight: 5, arbitrary: paths }, { weight: 1, arbitrary: paths.map((path) => `http://other.example:81${path}`) }),
  );
  return fc.oneof(
    { weight: 12, arbitrary: plain },
    { weight: 1, arbitrary: fc.constant(['OPTIONS', '*'] as const) },
    { weight: 1, arbitrary: fc.constant(['CONNECT', 'example.com:443'] as const) },
  );
}

function minorVersions(): fc.Arbitrary<0 | 1> {
  return fc.oneof({ weight: 5, arbitrary: fc.constant(1 as const) }, { weight: 1, arbitrary: fc.constant(0 as const) });
}

type ConnectionOption = 'none' | 'close' | 'keep-alive';

function connectionOptions(): fc.Arbitrary<ConnectionOption> {
  return fc.constantFrom<ConnectionOption[]>('none', 'none', 'none', 'close', 'keep-alive');
}

function connectionLines(option: ConnectionOption): FieldLine[] {
  return option === 'none' ? [] : [['Connection', option]];
}

function staysOpen(option: ConnectionOption, minorVersion: number): boolean {
  return option === 'keep-alive' || (option === 'none' && minorVersion === 1);
}

interface DrawnBody {
  readonly framing: Framing;
  readonly content: Uint8Array;
  readonly wire: Uint8Array;
  readonly trailers: readonly FieldLine[];
}

const noBody: DrawnBody = { framing: 'none', content: new Uint8Array(0), wire: new Uint8Array(0), trailers: [] };

function asLength(body: DrawnBody): DrawnBody {
  return { framing: 'length', content: body.content, wire: body.content, trailers: [] };
}

function framingLines(body: DrawnBody): FieldLine[] {
  if (body.framing === 'length') return [['Content-Length', String(body.content.byteLength)]];
  return body.framing === 'chunked' ? [['Transfer-Encoding', 'chunked']] : [];
}

function bodies(framings: readonly Framing[]): fc.Arbitrary<DrawnBody> {
  return fc.constantFrom(...framings).chain((framing) => {
    switch (framing) {
      case 'none':
        return fc.constant(noBody);
      case 'chunked':
        return chunkedBodies();
      default:
        return contents(200).map((content): DrawnBody => ({ framing, content, wire: content, trailers: [] }));
    }
  });
}

/** Content, now and then such that looks like the end of a chunked body or like another request. */
function contents(maxLength: number): fc.Arbitrary<Uint8Array> {
  const traps = fc
    .constantFrom('0\r\n\r\n', '\r\n', 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n')
    .map((text) => latin1Encode(text));
  return fc.oneof({ weight: 5, arbitrary: fc.uint8Array({ maxLength }) }, { weight: 1, arbitrary: traps });
}

function chunkedBodies(): fc.Arbitrary<DrawnBody> {
  const extensions = fc.constantFrom('', '', '', ';a', ';a=1;b="x; y"', ' ; name = "\\""');
  const digits = fc.constantFrom('lower', 'upper', 'padded');
  const chunk = fc.tuple(
    contents(40).filter((content) => content.byteLength > 0),
    extensions,
    digits,
  );
  const trailers = fc.array(fc.tuple(fc.constantFrom('X-Sum', 'x-trailer', 'Server-Timing'), fc.constantFrom('', '1', 'a b')), {
    maxLength: 3,
  });
  return fc.tuple(fc.array(chunk, { maxLength: 5 }), trailers).map(([chunks, trailerLines]) => {
    const wire = chunks.flatMap(([content, extension, style]) => [
      latin1Encode(`${sizeText(content.byteLength, style)}${extension}\r\n`),
      content,
      latin1Encode('\r\n'),
    ]);
    wire.push(latin1Encode(`0\r\n${trailerLines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`));
    return {
      framing: 'chunked',
      content: concatBytes(chunks.map(([content]) => content)),
      wire: concatBytes(wire),
      trailers: trailerLines,
    };
  });
}

function sizeText(size: number, style: string): string {
  const text = size.toString(16);
  if (style === 'upper') return text.toUpperCase();
  return style === 'padded' ? text.padStart(4, '0') : text;
}

/** What may vary between the tokens of a head; `places` say where the fields with a meaning stand among the others. */
interface Spacing {
  readonly beforeValue: string;
  readonly afterValue: string;
  readonly places: readonly number[];
  readonly nameCase: 'as is' | 'lower' | 'upper';
}

function spacings(): fc.Arbitrary<Spacing> {
  return fc.record({
    beforeValue: fc.constantFrom(' ', ' ', '', '\t', '  \t'),
    afterValue: fc.constantFrom('', '', ' ', '\t '),
    places: fc.array(fc.nat(20), { minLength: 4, maxLength: 4 }),
    nameCase: fc.constantFrom('as is' as const, 'lower' as const, 'upper' as const),
  });
}

function insertAll(fields: readonly FieldLine[], meaningful: readonly FieldLine[], spacing: Spacing): FieldLine[] {
  const lines = [...fields];
  meaningful.forEach(([name, value], i) => {
    const place = (spacing.places[i] ?? 0) % (lines.length + 1);
    const spelling = spacing.nameCase === 'lower' ? name.toLowerCase() : spacing.nameCase === 'upper' ? name.toUpperCase() : name;
    lines.splice(place, 0, [spelling, value]);
  });
  return lines;
}

function formatHead(startLine: string, lines: readonly FieldLine[], { beforeValue, afterValue }: Spacing): string {
  return `${startLine}\r\n${lines.map(([name, value]) => `${name}:${beforeValue}${value}${afterValue}\r\n`).join('')}\r\n`;
}

/**
 * Names in certificates: distinguished names (RFC 5280 §4.1.2.4, appendix A) and alternative names (§4.2.1.6), from their DER to typed values.
 *
 * Rule: no text is ever put together of several names, nor taken apart: a name may hold commas, quotes, NUL and line ends, and who splits text takes
 * parts of one name for others (CVE-2021-44531 to 44533). A value that breaks the rules of its own type is never text: an attribute becomes `#` and its
 * DER in hexadecimal, an alternative name becomes one of the kind `other`, so that it can't be mistaken for a name, and those beside it stay readable.
 */
import { formatIpv4, formatIpv6Groups, latin1Decode, toHex, utf8Decode } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import type { DistinguishedName, NameAttribute, SubjectAltName } from '@ferrata/stream';
import { DerReader, DerTag, decodeObjectIdentifier, malformedCertificate } from './der-reader.ts';

const COMMON_NAME = '2.5.4.3';
const ORGANISATION = '2.5.4.10';
const ORGANISATIONAL_UNIT = '2.5.4.11';

/** The tags of a GeneralName: context class, the number in the low bits; 0x20 where it is constructed. */
const GeneralName = { email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86, ip: 0x87, registeredId: 0x88 } as const;

/** Reads a Name: the reader must have just read its SEQUENCE. @throws {WireError} `TLS_CERTIFICATE_MALFORMED` */
export function readDistinguishedName(sequence: DerReader): DistinguishedName {
  const attributes: NameAttribute[] = [];
  const relativeNames = sequence.inside();
  while (!relativeNames.isAtEnd()) {
    relativeNames.expect(DerTag.set, 'a relative distinguished name');
    const set = relativeNames.inside();
    if (set.isAtEnd()) throw malformedCertificate('a relative distinguished name without attributes');
    while (!set.isAtEnd()) {
      set.expect(DerTag.sequence, 'an attribute of a name');
      const attribute = set.inside();
      attribute.expect(DerTag.objectIdentifier, 'the type of an attribute');
      const oid = decodeObjectIdentifier(attribute.content());
      if (!attribute.next()) throw malformedCertificate('an attribute without a value');
      const value = readText(attribute) ?? `#${toHex(attribute.element())}`;
      attribute.expectEnd('the value of an attribute');
      attributes.push({ oid, value });
    }
  }
  return {
    attributes,
    commonName: firstValue(attributes, COMMON_NAME),
    organisation: firstValue(attributes, ORGANISATION),
    organisationalUnit: firstValue(attributes, ORGANISATIONAL_UNIT),
  };
}

/** Reads GeneralNames: the content of the extension, DER of a SEQUENCE. @throws {WireError} `TLS_CERTIFICATE_MALFORMED` */
export function readAlternativeNames(der: Uint8Array): SubjectAltName[] {
  const outer = new DerReader(der);
  outer.expect(DerTag.sequence, 'the list of alternative names');
  outer.expectEnd('the list of alternative names');
  const names: SubjectAltName[] = [];
  const reader = outer.inside();
  while (reader.next()) names.push(readGeneralName(reader));
  return names;
}

function readGeneralName(reader: DerReader): SubjectAltName {
  const { tag } = reader;
  switch (tag) {
    case GeneralName.dns: {
      const name = asciiText(reader.content());
      if (name !== null) return { kind: 'dns', name };
      break;
    }
    case GeneralName.email: {
      const address = asciiText(reader.content());
      if (address !== null) return { kind: 'email', address };
      break;
    }
    case GeneralName.uri: {
      const uri = asciiText(reader.content());
      if (uri !== null) return { kind: 'uri', uri };
      break;
    }
    case GeneralName.ip: {
      const address = formatIp(reader.content());
      if (address !== null) return { kind: 'ip', address };
      break;
    }
    case GeneralName.directory: {
      const name = unlessMalformed(() => readDirectoryName(reader.inside()));
      if (name !== null) return { kind: 'directory', name };
      break;
    }
    case GeneralName.registeredId: {
      const oid = unlessMalformed(() => decodeObjectIdentifier(reader.content()));
      if (oid !== null) return { kind: 'registeredId', oid };
      break;
    }
    default:
  }
  return { kind: 'other', tag: tag & 0x1f, der: reader.element() };
}

/** [4] EXPLICIT: a CHOICE can't be tagged implicitly (X.680 §31.2.7). */
function readDirectoryName(inner: DerReader): DistinguishedName {
  inner.expect(DerTag.sequence, 'a directory name');
  inner.expectEnd('a directory name');
  return readDistinguishedName(inner);
}

/** null for what breaks the rules of its own type only: where it begins and ends is known. */
function unlessMalformed<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isWireError(error)) return null;
    throw error;
  }
}

function firstValue(attributes: readonly NameAttribute[], oid: string): string | null {
  return attributes.find((attribute) => attribute.oid === oid)?.value ?? null;
}

/** The text of a string type; null if it is none, or breaks its rules. */
function readText(reader: DerReader): string | null {
  const content = reader.content();
  switch (reader.tag) {
    case DerTag.utf8String:
      return strictUtf8(content);
    case DerTag.printableString:
    case DerTag.numericString:
    case DerTag.ia5String:
    case DerTag.visibleString:
      // More than the alphabet of a PrintableString: authorities put `*`, `@` and `_` there.
      return asciiText(content);
    case DerTag.teletexString:
      // T.61 in the letter, Latin-1 in what was ever issued; OpenSSL and browsers read it so.
      return latin1Decode(content);
    case DerTag.bmpString:
      return codeUnits(content, 2);
    case DerTag.universalString:
      return codeUnits(content, 4);
    default:
      return null;
  }
}

function asciiText(content: Uint8Array): string | null {
  for (let i = 0; i < content.length; i++) if ((content[i] as number) >= 0x80) return null;
  return latin1Decode(content);
}

function strictUtf8(content: Uint8Array): string | null {
  const text = utf8Decode(content);
  // The decoder writes U+FFFD for what is no UTF-8: then the text, encoded, is not what was read.
  return text.includes('\ufffd') && toHex(new TextEncoder().encode(text)) !== toHex(content) ? null : text;
}

/**
 * Big-endian code points of two or four bytes. Surrogates belong to UTF-16, which neither type is: pairs of them do occur in a BMPString and are read; in
 * a UniversalString two elements would become one character (ISO 10646 gives them none), so there they are no text.
 */
function codeUnits(content: Uint8Array, width: 2 | 4): string | null {
  if (content.length % width !== 0) return null;
  let text = '';
  for (let at = 0; at < content.length; at += width) {
    let code = 0;
    for (let i = 0; i < width; i++) code = code * 256 + (content[at + i] as number);
    if (code > 0x10ffff || (width === 4 && code >= 0xd800 && code <= 0xdfff)) return null;
    text += width === 2 ? String.fromCharCode(code) : String.fromCodePoint(code);
  }
  return text.isWellFormed() ? text : null;
}

/** 4 bytes: dotted decimal. 16 bytes: RFC 5952. Any other number is no address in this place (RFC 5280 §4.2.1.6): null. */
export function formatIp(content: Uint8Array): string | null {
  if (content.length === 4) return formatIpv4(content, 0);
  return content.length === 16 ? formatIpv6Groups(content, 0) : null;
}

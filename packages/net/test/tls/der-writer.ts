/** Writes DER, and certificates of it that nobody would issue: signed by nobody, with any field replaced. */

/** What may be put in place of a field; each the whole DER of that field. */
export interface CertificateParts {
  readonly serial?: Uint8Array;
  readonly issuer?: Uint8Array;
  readonly subject?: Uint8Array;
  readonly notBefore?: Uint8Array;
  readonly notAfter?: Uint8Array;
  readonly publicKey?: Uint8Array;
  /** null: no extensions at all. */
  readonly extensions?: readonly Uint8Array[] | null;
  /** Something behind the last field. */
  readonly extra?: Uint8Array;
}

const NOTHING = new Uint8Array(0);

export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return new Uint8Array(Buffer.concat([Uint8Array.of(tag, ...head), content]));
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

export function oid(dotted: string): Uint8Array {
  const [first = 0n, second = 0n, ...rest] = dotted.split('.').map(BigInt);
  return der(0x06, ...[40n * first + second, ...rest].map(base128));
}

export function attribute(type: string, value: Uint8Array): Uint8Array {
  return der(0x31, der(0x30, oid(type), value));
}

export function extension(type: string, value: Uint8Array): Uint8Array {
  return der(0x30, oid(type), der(0x01, Uint8Array.of(0xff)), der(0x04, value));
}

export function certificateDer(parts: CertificateParts): Uint8Array {
  const algorithm = der(0x30, oid('1.2.840.10045.4.3.2'));
  const { extensions } = parts;
  const fields = [
    der(0xa0, der(0x02, Uint8Array.of(2))),
    parts.serial ?? der(0x02, Uint8Array.of(1)),
    algorithm,
    parts.issuer ?? der(0x30, attribute('2.5.4.3', der(0x0c, text('Issuer')))),
    der(0x30, parts.notBefore ?? der(0x17, text('260101000000Z')), parts.notAfter ?? der(0x17, text('270101000000Z'))),
    parts.subject ?? der(0x30, attribute('2.5.4.3', der(0x0c, text('Subject')))),
    parts.publicKey ?? der(0x30, algorithm, der(0x03, Uint8Array.of(0, 1, 2, 3))),
    extensions === null ? NOTHING : der(0xa3, der(0x30, ...(extensions ?? [extension('2.5.29.14', der(0x04, text('id')))]))),
    parts.extra ?? NOTHING,
  ];
  return der(0x30, der(0x30, ...fields), algorithm, der(0x03, Uint8Array.of(0, 9, 9)));
}

/** What an OCSP response says (RFC 6960 §4.2.1). */
export interface OcspParts {
  /** Hexadecimal: one response for each. */
  readonly serials: readonly string[];
  /** Milliseconds since 1970. Default: the first of January 2026. */
  readonly thisUpdate?: number;
  /** Milliseconds since 1970. Default: none is given. */
  readonly nextUpdate?: number;
  readonly type?: string;
  readonly responder?: Uint8Array;
  /** Of each certificate. */
  readonly status?: Uint8Array;
}

export function ocspResponseDer(parts: OcspParts): Uint8Array {
  const algorithm = der(0x30, oid('1.2.840.10045.4.3.2'));
  const { nextUpdate, thisUpdate = Date.UTC(2026, 0, 1) } = parts;
  const now = der(0x18, text(generalizedTime(thisUpdate)));
  const next = nextUpdate === undefined ? NOTHING : der(0xa0, der(0x18, text(generalizedTime(nextUpdate))));
  const singles = parts.serials.map((serial) => {
    const identity = der(0x30, algorithm, der(0x04, text('name')), der(0x04, text('key')), der(0x02, Buffer.from(serial, 'hex')));
    return der(0x30, identity, parts.status ?? der(0x80), now, next);
  });
  const data = der(0x30, parts.responder ?? der(0xa2, der(0x04, text('responder'))), now, der(0x30, ...singles));
  const basic = der(0x30, data, algorithm, der(0x03, Uint8Array.of(0, 1)));
  const typed = der(0x30, oid(parts.type ?? '1.3.6.1.5.5.7.48.1.1'), der(0x04, basic));
  return der(0x30, der(0x0a, Uint8Array.of(0)), der(0xa0, typed));
}

function generalizedTime(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`;
}

function base128(value: bigint): Uint8Array {
  const bytes = [Number(value & 0x7fn)];
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes.unshift(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from(bytes);
}

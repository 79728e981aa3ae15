/**
 * An independent reader of PROXY headers for whole inputs: regular expressions, `DataView` and the platform's own address parser (a URL's).
 *
 * It shares no line with the decoder, and knows only accepted, refused and incomplete, not why.
 */

/** What it made of an input. `summary` has family, transport, both ends, and TLVs. */
export type NaiveReading =
  | { readonly verdict: 'accepted'; readonly summary: string; readonly headerBytes: number }
  | { readonly verdict: 'refused' }
  | { readonly verdict: 'incomplete' };

const refused = { verdict: 'refused' } as const;
const incomplete = { verdict: 'incomplete' } as const;

const octet = '(?:0|[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-5])';
const quad = `${octet}(?:\\.${octet}){3}`;
const port = '(?:0|[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d\\d|655[0-2]\\d|6553[0-5])';
const line4 = new RegExp(`^PROXY TCP4 (${quad}) (${quad}) (${port}) (${port})\\r\\n$`);
const line6 = new RegExp(`^PROXY TCP6 ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (${port}) (${port})\\r\\n$`);
const lineUnknown = /^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/s;

/** Reads the header at the beginning of `bytes`. */
export function naiveProxyHeader(bytes: Uint8Array, maxHeaderBytes = 536, maxTlvs = 32): NaiveReading {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  if (text === '') return incomplete;
  if (text.startsWith('P')) return naiveLine(text);
  const signature = '\r\n\r\n\0\r\nQUIT\n';
  if (!signature.startsWith(text.slice(0, 12))) return refused;
  return bytes.length < 16 ? incomplete : naiveBinary(bytes, maxHeaderBytes, maxTlvs);
}

function naiveLine(text: string): NaiveReading {
  if (!'PROXY '.startsWith(text.slice(0, 6))) return refused;
  const stop = /[\r\n]/.exec(text.slice(0, 107));
  if (stop === null) return text.length >= 107 ? refused : incomplete;
  if (stop[0] === '\n') return refused;
  if (stop.index === 106) return refused;
  if (text.length === stop.index + 1) return incomplete;
  if (text[stop.index + 1] !== '\n') return refused;
  const line = text.slice(0, stop.index + 2);
  const headerBytes = line.length;
  if (lineUnknown.test(line)) return { verdict: 'accepted', summary: 'unspecified', headerBytes };
  const four = line4.exec(line);
  if (four !== null) {
    return { verdict: 'accepted', summary: `inet stream ${four[1]} ${four[3]} ${four[2]} ${four[4]} `, headerBytes };
  }
  const six = line6.exec(line);
  if (six === null) return refused;
  const from = canonical(six[1] as string);
  const to = canonical(six[2] as string);
  if (from === null || to === null) return refused;
  return { verdict: 'accepted', summary: `inet6 stream ${from} ${six[3]} ${to} ${six[4]} `, headerBytes };
}

/** As a URL writes it: RFC 5952, with mapped addresses in groups. */
function canonical(host: string): string | null {
  const dotted = /\d+\.[\d.]*$/.exec(host);
  // A URL takes other forms of IPv4 than four decimal numbers.
  if (dotted !== null && !new RegExp(`^${quad}$`).test(dotted[0])) return null;
  const url = URL.parse(`http://[${host}]/`);
  return url === null ? null : url.hostname.slice(1, -1);
}

function naiveBinary(bytes: Uint8Array, maxHeaderBytes: number, maxTlvs: number): NaiveReading {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = view.getUint16(14);
  const isLocal = view.getUint8(12) === 0x20;
  if (!isLocal && view.getUint8(12) !== 0x21) return refused;
  const known: Record<number, readonly [string, number]> = {
    0x00: ['unspecified', 0],
    0x11: ['inet stream', 12],
    0x12: ['inet datagram', 12],
    0x21: ['inet6 stream', 36],
    0x22: ['inet6 datagram', 36],
    0x31: ['unix stream', 216],
    0x32: ['unix datagram', 216],
  };
  const row = isLocal ? (['unspecified', 0] as const) : known[view.getUint8(13)];
  if (row === undefined || length < row[1] || length + 16 > maxHeaderBytes) return refused;
  if (bytes.length < 16 + length) return incomplete;
  const headerBytes = 16 + length;
  if (isLocal) return { verdict: 'accepted', summary: 'local', headerBytes };
  const [name, size] = row;
  const tlvs = naiveTlvs(bytes.slice(0, headerBytes), 16 + size, maxTlvs);
  if (tlvs === null) return refused;
  try {
    const summary = size === 0 ? `unspecified${tlvs}` : `${name} ${naiveEnds(view, size)} ${tlvs}`;
    return { verdict: 'accepted', summary, headerBytes };
  } catch {
    // A path that is not UTF-8.
    return refused;
  }
}

function naiveEnds(view: DataView, size: number): string {
  if (size === 216) return `${naivePath(view, 16)} ${naivePath(view, 124)}`;
  const isFour = size === 12;
  const host = (at: number): string => {
    if (isFour) return [0, 1, 2, 3].map((i) => view.getUint8(at + i)).join('.');
    const groups = [0, 2, 4, 6, 8, 10, 12, 14].map((i) => view.getUint16(at + i).toString(16));
    return canonical(groups.join(':')) ?? '';
  };
  const width = isFour ? 4 : 16;
  const ports = 16 + 2 * width;
  return `${host(16)} ${view.getUint16(ports)} ${host(16 + width)} ${view.getUint16(ports + 2)}`;
}

function naivePath(view: DataView, at: number): string {
  const raw = new TextDecoder('latin1').decode(new Uint8Array(view.buffer, view.byteOffset + at, 108));
  const path = raw.startsWith('\0') ? raw.replace(/\0+$/, '') : (raw.split('\0')[0] as string);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
  return JSON.stringify(decoder.decode(Uint8Array.from(path, (c) => latin1Byte(c))));
}

/** `TextDecoder` takes latin1 for windows-1252: back to the byte. */
function latin1Byte(character: string): number {
  const code = character.charCodeAt(0);
  if (code < 0x100) return code;
  for (let byte = 0x80; byte < 0xa0; byte++) if (new TextDecoder('latin1').decode(Uint8Array.of(byte)) === character) return byte;
  return 0;
}

/** ` type:hex` of each; null if there is something wrong with them. */
function naiveTlvs(bytes: Uint8Array, start: number, maxTlvs: number): string | null {
  let rest = Array.from(bytes.slice(start));
  let text = '';
  let sums = 0;
  let count = 0;
  while (rest.length > 0) {
    if (++count > maxTlvs || rest.length < 3) return null;
    const [type = 0, high = 0, low = 0] = rest;
    const value = rest.slice(3, 3 + high * 256 + low);
    if (value.length < high * 256 + low) return null;
    if (type === 5 && value.length > 128) return null;
    if (type === 3) {
      sums++;
      const at = bytes.length - rest.length + 3;
      const zeroed = bytes.slice().fill(0, at, at + 4);
      if (value.length !== 4 || naiveCrc32c(zeroed) !== value.map((byte) => byte.toString(16).padStart(2, '0')).join('')) return null;
    }
    text += ` ${type}:${value.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
    rest = rest.slice(3 + value.length);
  }
  return sums > 1 ? null : text;
}

/** A bit at a time, over big integers. */
export function naiveCrc32c(bytes: Uint8Array): string {
  let crc = 0xffff_ffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x82f6_3b78n : crc >> 1n;
  }
  return (crc ^ 0xffff_ffffn).toString(16).padStart(8, '0');
}

/** What is known about a stream beside its bytes: addresses, TLS, timing, what lies below, and whatever the user hangs on it. */
import type { ProxyHeader } from '@ferrata/proxy-protocol';
import type { TlsDigest } from './tls-digest.ts';

/** One end of a stream. `unset`: unknown or unnamed, as the client side of a Unix socket. */
export type StreamAddress =
  | { readonly kind: 'ip'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'unset' };

/** When the layers of a stream came up, in monotonic milliseconds. */
export interface StreamTiming {
  /** When the connection was accepted, or when connecting began. */
  readonly startedAt: number;
  /** When this layer was ready for bytes. */
  readonly establishedAt: number;
}

/** Facts about a stream. */
export interface StreamInfo {
  /** The kind of the topmost layer: `tcp`, `unix`, `tls`, `memory`, or a name of the user's own. */
  readonly kind: string;
  readonly localAddress: StreamAddress;
  readonly remoteAddress: StreamAddress;
  readonly tls: TlsDigest | null;
  /** What a trusted proxy in front has said about the connection, by a PROXY header; absent or null if none came. */
  readonly proxyHeader?: ProxyHeader | null;
  readonly timing: StreamTiming;
  /** The stream that carries this one, if any. */
  readonly below: StreamInfo | null;
  /** Whatever a user's filter or handshake callback left for later layers. */
  extension: unknown;
}

/** An address as people write it: `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `-` if unset. */
export function formatAddress(address: StreamAddress): string {
  switch (address.kind) {
    case 'ip':
      return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
    case 'unix':
      return `unix:${address.path}`;
    case 'unset':
      return '-';
  }
}

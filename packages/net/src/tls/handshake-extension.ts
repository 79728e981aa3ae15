/** What a program learns from a handshake, typed from the callback that reads it to the request that uses it. */
import type { StreamInfo, TlsDigest } from '@ferrata/stream';

/** Reads something from a completed handshake; may throw or reject to refuse the connection. */
export type ReadHandshake<T> = (tls: TlsDigest, info: StreamInfo) => T | Promise<T>;

/** Made by `handshakeExtension`; given as `handshakeComplete` to a TLS server or client. */
export class HandshakeExtension<T> {
  readonly #read: ReadHandshake<T>;
  /** The digests that this extension has read: only of these is `extension` known to be a `T`. */
  readonly #digests = new WeakSet<TlsDigest>();

  constructor(read: ReadHandshake<T>) {
    this.#read = read;
  }

  /** Called by the TLS layer once a handshake. */
  read(tls: TlsDigest, info: StreamInfo): T | Promise<T> {
    this.#digests.add(tls);
    return this.#read(tls, info);
  }

  /**
   * What was read when the connection came up.
   *
   * @param info of the stream, or of one that it carries: the nearest TLS layer below that this extension has read is meant
   * @returns null if there is no such layer
   */
  of(info: StreamInfo): T | null {
    for (let layer: StreamInfo | null = info; layer !== null; layer = layer.below) {
      if (layer.tls !== null && this.#digests.has(layer.tls)) return layer.tls.extension as T;
    }
    return null;
  }
}

/**
 * A typed way from the handshake to whoever asks later.
 *
 * @example
 * const client = handshakeExtension((tls) => ({ organisation: tls.peerCertificate?.subject.organisation ?? null }));
 * const server = new TlsServer({ certificates, clientCertificates: { mode: 'required', ca }, handshakeComplete: client });
 * // later, with a stream or an exchange: client.of(stream.info)?.organisation
 *
 * @throws {TypeError} if `read` is no function
 */
export function handshakeExtension<T>(read: ReadHandshake<T>): HandshakeExtension<T> {
  if (typeof read !== 'function') throw new TypeError('a handshake extension is made of a function');
  return new HandshakeExtension(read);
}

/** Calls whatever was given as `handshakeComplete`. */
export function readHandshake(
  complete: HandshakeExtension<unknown> | ((tls: TlsDigest, info: StreamInfo) => unknown),
  tls: TlsDigest,
  info: StreamInfo,
): unknown {
  return complete instanceof HandshakeExtension ? complete.read(tls, info) : complete(tls, info);
}

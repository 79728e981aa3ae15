/** What a program learns from a handshake, typed from the callback that reads it to the request that uses it. */
import type { StreamInfo, TlsDigest } from '@ferrata/stream';

/** Reads something from a completed handshake; may throw or reject to refuse the connection. */
export type ReadHandshake<T> = (tls: TlsDigest, info: StreamInfo) => T | Promise<T>;

/** What a TLS server or client may be given as `handshakeComplete`. */
export type HandshakeComplete = HandshakeExtension<unknown> | ReadHandshake<unknown>;

/** Made by `handshakeExtension`; given as `handshakeComplete` to a TLS server or client. */
export class HandshakeExtension<T> {
  /** Called by the TLS layer once a handshake. */
  readonly read: ReadHandshake<T>;
  /** The digests that this extension has read: only of these is `extension` known to be a `T`. */
  readonly #digests = new WeakSet<TlsDigest>();

  constructor(read: ReadHandshake<T>) {
    this.read = (tls, info) => {
      this.#digests.add(tls);
      return read(tls, info);
    };
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

/** The function of what was given as `handshakeComplete`, the same each time; null if nothing was. @throws {TypeError} if there is none */
export function handshakeFunction(complete: HandshakeComplete | undefined): ReadHandshake<unknown> | null {
  if (complete === undefined) return null;
  const read: unknown = typeof complete === 'function' ? complete : (complete as Partial<typeof complete> | null)?.read;
  if (typeof read !== 'function') throw new TypeError('handshakeComplete must be a function or a handshakeExtension');
  return read as ReadHandshake<unknown>;
}

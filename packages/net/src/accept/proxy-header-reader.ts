/**
 * Takes the PROXY header off the beginning of a stream, of any kind.
 *
 * ```text
 *   source trusted │ header required │ first bytes        │
 *   yes            │ yes             │ header             │ its addresses
 *   yes            │ yes             │ anything else      │ closed
 *   no             │ yes             │ not even read      │ closed (PROXY_UNTRUSTED_SOURCE)
 *   yes            │ no              │ header             │ its addresses
 *   yes, no        │ no              │ anything else      │ the addresses of the connection
 *   no             │ no              │ header             │ closed (PROXY_UNTRUSTED_SOURCE): it wants to be somebody else
 * ```
 * Rules:
 * - Nothing is ever answered: a connection whose header fails is reset.
 * - Bytes behind the header come first when the next sink attaches.
 *
 * @see "The PROXY protocol, versions 1 & 2" (haproxy), §2: the receiver must not be fooled into believing a header from just anybody
 */
import { concatBytes } from '@ferrata/bytes';
import { internalError, ioError, protocolError, textOf, timeoutError, toWireError, type WireError } from '@ferrata/error';
import { type ProxyAddress, type ProxyHeader, ProxyHeaderDecoder, proxySignatureMatch } from '@ferrata/proxy-protocol';
import { callUser, formatAddress, type L4Sink, type L4Stream, type StreamAddress, type StreamInfo } from '@ferrata/stream';
import type { Deadline } from '@ferrata/timeout';
import { ipAddress } from '../socket/socket-info.ts';
import { SocketStream } from '../socket/socket-stream.ts';
import { warn } from '../warn.ts';
import { type AcceptProxyConfig, type AcceptProxyOptions, resolveAcceptProxyOptions } from './proxy-options.ts';
import { readdressed } from './readdressed.ts';

/**
 * Receives the outcome of `readProxyHeader`: exactly one of the two, once, and never from inside `readProxyHeader` itself. A throw or a rejection
 * aborts the stream (`SINK_THREW`), and is a process warning.
 */
export interface ProxyHeaderSink {
  /**
   * @param stream the stream without its header, paused until something is attached; use only this one from then on
   * @param header null if none came, and none was required
   */
  onHeader(stream: L4Stream, header: ProxyHeader | null): void;
  /** The stream has been aborted. */
  onHeaderFailed(error: WireError, info: StreamInfo): void;
}

/**
 * Reads the header that a proxy in front has put before the first byte of a connection.
 *
 * The resulting stream's `info` has the header, its addresses, and the info of the connection itself in `below`. A header with the command
 * LOCAL, or without addresses, leaves the addresses as they are (§2.2).
 *
 * @param stream a stream that nobody is attached to
 * @throws {TypeError} if it is not said who is trusted @throws {RangeError} if an option is out of range
 */
export function readProxyHeader(stream: L4Stream, options: AcceptProxyOptions | AcceptProxyConfig, sink: ProxyHeaderSink): void {
  new HeaderReader(stream, resolveAcceptProxyOptions(options), sink).start();
}

class HeaderReader implements L4Sink {
  readonly #stream: L4Stream;
  readonly #config: AcceptProxyConfig;
  readonly #isTrusted: boolean;
  #sink: ProxyHeaderSink | null;
  /** Null while it is not sure that a header comes. */
  #decoder: ProxyHeaderDecoder | null;
  /** Bytes that may yet become a header, or not. */
  #held: Uint8Array | null = null;
  #deadline: Deadline | null = null;

  constructor(stream: L4Stream, config: AcceptProxyConfig, sink: ProxyHeaderSink) {
    this.#stream = stream;
    this.#config = config;
    this.#sink = sink;
    this.#isTrusted = isTrusted(stream.info.remoteAddress, config);
    this.#decoder = config.required ? new ProxyHeaderDecoder(config.decoder) : null;
  }

  start(): void {
    if (!this.#isTrusted && this.#config.required) {
      queueMicrotask(() => this.#fail(untrusted(this.#stream.info)));
      return;
    }
    const { deadlines, timeoutMs } = this.#config;
    this.#deadline = deadlines.after(timeoutMs, () => this.#handleTimeout());
    this.#stream.attach(this);
  }

  onData(chunk: Uint8Array): void {
    if (this.#sink === null) return this.#putBack(chunk);
    if (this.#decoder === null) this.#sniff(chunk);
    else this.#decode(this.#decoder, chunk);
  }

  onDrain(): void {}

  onEnd(): void {
    if (this.#sink === null) return;
    if (this.#decoder === null && this.#held === null) return this.#pass(null, null);
    const decoder = this.#decoder ?? new ProxyHeaderDecoder(this.#config.decoder);
    if (this.#held !== null) decoder.feed(this.#held);
    decoder.end();
    // It throws: a header would have been complete before.
    this.#next(decoder);
  }

  onClose(error: WireError | null): void {
    this.#fail(error ?? ioError('CONNECTION_CLOSED_EARLY', 'the stream was closed before its PROXY header'));
  }

  /** Somebody has resumed the stream before attaching to it: the bytes are for the sink that is still to come. */
  #putBack(chunk: Uint8Array): void {
    this.#stream.pause();
    if (this.#stream instanceof SocketStream) this.#stream.unread(chunk);
  }

  #sniff(chunk: Uint8Array): void {
    const bytes = this.#held === null ? chunk : concatBytes([this.#held, chunk]);
    switch (proxySignatureMatch(bytes)) {
      case 'partial':
        this.#held = bytes;
        return;
      case 'no':
        return this.#pass(null, bytes);
      case 'version1':
      case 'version2':
        // Also a header that is broken further on: whoever sends one here without being trusted is up to something, or misconfigured.
        if (!this.#isTrusted) return this.#fail(untrusted(this.#stream.info));
        this.#held = null;
        this.#decoder = new ProxyHeaderDecoder(this.#config.decoder);
        this.#decode(this.#decoder, bytes);
    }
  }

  #decode(decoder: ProxyHeaderDecoder, bytes: Uint8Array): void {
    decoder.feed(bytes);
    this.#next(decoder);
  }

  #next(decoder: ProxyHeaderDecoder): void {
    let isComplete: boolean;
    try {
      isComplete = decoder.next();
    } catch (thrown) {
      return this.#fail(toWireError(thrown));
    }
    if (isComplete) this.#pass(decoder.header, decoder.remaining);
  }

  #handleTimeout(): void {
    if (this.#sink === null) return;
    // Silence is no header; half of one is no first word of another protocol either.
    if (this.#decoder === null && this.#held === null) return this.#pass(null, null);
    this.#fail(timeoutError('PROXY_TIMEOUT', `no PROXY header within ${this.#config.timeoutMs} ms`, { wire: { status: 0 } }));
  }

  #pass(header: ProxyHeader | null, unread: Uint8Array | null): void {
    const sink = this.#settle();
    if (sink === null) return;
    this.#stream.pause();
    const { info } = this.#stream;
    const now = this.#config.deadlines.now();
    const stream = readdressed(this.#stream, header === null ? info : proxiedInfo(info, header, now), unread);
    callUser(
      () => sink.onHeader(stream, header),
      (thrown) => {
        stream.abort(internalError('SINK_THREW', textOf(thrown), { cause: thrown }));
        warn(thrown);
      },
    );
  }

  #fail(error: WireError): void {
    const sink = this.#settle();
    if (sink === null) return;
    const { info } = this.#stream;
    const place = formatAddress(info.remoteAddress);
    this.#stream.abort(error);
    error.context ??= place;
    callUser(() => sink.onHeaderFailed(error, info), warn);
  }

  #settle(): ProxyHeaderSink | null {
    const sink = this.#sink;
    this.#sink = null;
    this.#decoder = null;
    this.#held = null;
    this.#deadline?.cancel();
    return sink;
  }
}

function isTrusted(peer: StreamAddress, { trusted }: AcceptProxyConfig): boolean {
  return trusted === null || (peer.kind === 'ip' && trusted.has(peer.host));
}

function untrusted(info: StreamInfo): WireError {
  const context = formatAddress(info.remoteAddress);
  return protocolError('PROXY_UNTRUSTED_SOURCE', 'this source may not send PROXY headers', { wire: { status: 0 }, context });
}

/** The facts of a connection with what the header says of it (§2.2: LOCAL means the connection's own addresses). */
function proxiedInfo(below: StreamInfo, header: ProxyHeader, now: number): StreamInfo {
  const speaksForClient = header.command === 'proxy';
  return {
    kind: below.kind,
    localAddress: (speaksForClient ? toStreamAddress(header.destination) : null) ?? below.localAddress,
    remoteAddress: (speaksForClient ? toStreamAddress(header.source) : null) ?? below.remoteAddress,
    tls: below.tls,
    proxyHeader: header,
    timing: { startedAt: below.timing.startedAt, establishedAt: now },
    below,
    extension: below.extension,
  };
}

function toStreamAddress(address: ProxyAddress | null): StreamAddress | null {
  if (address === null) return null;
  // The client is who it is, however the proxy in front has written it: lists and limits are asked about this address.
  if (address.kind === 'ip') return ipAddress(address.host, address.port);
  return address.path === '' ? { kind: 'unset' } : { kind: 'unix', path: address.path };
}

/** Streams that begin with a PROXY header, of any kind: who connects says for whom, before the first byte of the protocol itself. */
import { ByteWriter } from '@ferrata/bytes';
import { type AcceptProxyOptions, readProxyHeader } from '@ferrata/net';
import { type ProxyHeader, type WriteProxyHeaderOptions, writeProxyHeader } from '@ferrata/proxy-protocol';
import type { L4Stream } from '@ferrata/stream';

/**
 * Writes a PROXY header to a stream to which nothing was written yet. Anything may follow: TLS, HTTP.
 *
 * @returns the same stream
 * @throws {TypeError | RangeError} when the header cannot be written in its version; the stream is as it was
 */
export function proxyPrefixed(stream: L4Stream, header: ProxyHeader, options: WriteProxyHeaderOptions = {}): L4Stream {
  const writer = new ByteWriter();
  writeProxyHeader(writer, header, options);
  stream.write(writer.take());
  return stream;
}

/**
 * Reads the PROXY header off a stream, with the rules of `listen` for whom to believe.
 *
 * @param stream a stream that nobody is attached to; use only the resulting one from then on
 * @returns the stream behind the header, paused until a sink is attached; its `info` has `proxyHeader` and the header's addresses. Rejected with the
 *   `WireError` that says why there is none (`PROXY_…`); the stream is aborted then
 * @throws {TypeError | RangeError} (as a rejection) for options that make no sense
 */
export function acceptProxyPrefixed(stream: L4Stream, options: AcceptProxyOptions): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    readProxyHeader(stream, options, { onHeader: (behind) => resolve(behind), onHeaderFailed: (error) => reject(error) });
  });
}

/** What happens to bytes of a tunnel over HTTP/1 that come to the session which has handed the connection over. */
import type { L4Sink, L4Stream } from '@ferrata/stream';

/**
 * Somebody has resumed the stream before a sink was attached: the session is still its sink. The chunk goes back to the front of the stream, which is
 * paused again, so that the first sink of the tunnel hears all of it (line 7 of the stream contract).
 */
export function keepForTunnel(stream: L4Stream, session: L4Sink, chunk: Uint8Array): void {
  stream.attach(session, chunk);
  stream.pause();
}

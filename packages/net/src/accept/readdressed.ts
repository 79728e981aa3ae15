/** A stream with other facts about it, and with bytes put back in front: what is left when a layer has read its preface off a stream. */

import { EMPTY_BYTES } from '@ferrata/bytes';
import { type L4Stream, park, type StreamInfo, tapped } from '@ferrata/stream';
import { SocketStream } from '../socket/socket-stream.ts';

/**
 * `stream` with another `info`, and `unread` before its next bytes. The stream is paused, until something attaches to the result: before that,
 * resuming the result gives nobody anything.
 *
 * A stream over one of Node's sockets is changed in place, so that it costs nothing; use only the result from now on in any case.
 */
export function readdressed(stream: L4Stream, info: StreamInfo, unread: Uint8Array | null): L4Stream {
  const hasUnread = unread !== null && unread.length > 0;
  if (stream instanceof SocketStream) {
    if (hasUnread) stream.unread(unread);
    if (info !== stream.info) stream.replaceInfo(info);
    return stream;
  }
  park(stream, unread ?? EMPTY_BYTES);
  return info === stream.info ? stream : tapped(stream, {}, info);
}

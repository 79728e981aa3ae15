/** Echo without HTTP: bytes of a connection, and datagrams. */
import type { UdpEndpoint, UdpSink } from '@ferrata/net';
import type { L4Stream } from '@ferrata/stream';

/** Sends what comes back, at the pace of the reader, and ends when the other side does. */
export function echoBytes(stream: L4Stream): void {
  stream.attach({
    onData(chunk) {
      if (!stream.write(chunk)) stream.pause();
    },
    onDrain: () => stream.resume(),
    onEnd: () => stream.end(),
    onClose() {},
  });
}

/** Sends each datagram back to where it came from. */
export function echoDatagrams(endpoint: UdpEndpoint): UdpSink {
  return {
    onDatagram: (bytes, peer) => void endpoint.send(bytes, peer),
    onClose() {},
  };
}

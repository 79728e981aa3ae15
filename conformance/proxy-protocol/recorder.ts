/** A server of plain bytes that reads the PROXY header of each connection, answers, and keeps what it has read. */
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { type Listener, listen } from '@ferrata/net';
import { type ProxyHeader, ProxyHeaderDecoder } from '@ferrata/proxy-protocol';
import type { L4Stream, StreamAddress } from '@ferrata/stream';

/** One connection. */
export interface Recorded {
  readonly header: ProxyHeader | null;
  /** Of the connection itself. */
  readonly peer: StreamAddress;
  /** What came behind the header by the time that it was complete. */
  readonly rest: string;
  /** Why it was refused; null if it wasn't. */
  readonly reason: string | null;
}

/** A server under way. */
export interface Recorder {
  readonly listener: Listener;
  readonly port: number;
  /** In the order in which they were read or refused. */
  readonly recorded: Recorded[];
}

const answer = latin1Encode('HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n');

/** Listens on loopback. */
export async function startRecorder(): Promise<Recorder> {
  const recorded: Recorded[] = [];
  const listener = await listen('127.0.0.1:0', (stream) => record(stream, recorded));
  return { listener, port: listener.address.kind === 'ip' ? listener.address.port : 0, recorded };
}

function record(stream: L4Stream, recorded: Recorded[]): void {
  const decoder = new ProxyHeaderDecoder();
  const peer = stream.info.remoteAddress;
  let isDone = false;
  const finish = (one: Pick<Recorded, 'header' | 'rest' | 'reason'>): void => {
    isDone = true;
    recorded.push({ ...one, peer });
  };
  const read = (): void => {
    try {
      decoder.next();
    } catch (error) {
      finish({ header: null, rest: '', reason: error instanceof Error ? error.message : String(error) });
      return stream.abort();
    }
    // The payload is one write of few bytes, which the header may come before.
    if (!decoder.isComplete || decoder.remaining.length === 0) return;
    finish({ header: decoder.header, rest: latin1Decode(decoder.remaining), reason: null });
    stream.write(answer);
    stream.end();
  };
  stream.attach({
    onData: (chunk) => {
      if (isDone) return;
      decoder.feed(chunk);
      read();
    },
    onDrain: () => {},
    onEnd: () => {
      if (isDone) return;
      decoder.end();
      read();
      stream.end();
    },
    onClose: () => {},
  });
}

/** An HTTP/2 machine on a stream of the world: bytes in, events out to whoever follows, and bytes out as far as the stream has room. */
import type { Clock } from '@ferrata/clock';
import type { Http2Connection } from '@ferrata/http2';
import type { L4Sink, L4Stream } from '@ferrata/stream';

/** Who follows a link. */
export interface LinkFollower {
  /** `machine.event` is there. */
  onEvent(): void;
  /** Streams that said false may be written again. */
  onWritable(): void;
  /** The connection is of no more use: an error, the end of the other side, or its close. Once. */
  onLost(): void;
}

/** One end of a connection that speaks HTTP/2 as the RFC wants it, as long as nobody asks otherwise. */
export class Http2Link implements L4Sink {
  readonly machine: Http2Connection;
  readonly #stream: L4Stream;
  readonly #clock: Clock;
  readonly #follower: LinkFollower;
  /** What the machine could not read: whoever wrote it has broken the protocol. */
  problem: string | null = null;
  /** A server that has not read the whole preface may answer as one of HTTP/1 does. */
  #isHttp2 = true;
  #hasRead = false;
  #isFull = false;
  #isDeaf = false;
  #isLost = false;
  #hasEnded = false;
  #isPumping = false;

  constructor(machine: Http2Connection, stream: L4Stream, clock: Clock, follower: LinkFollower) {
    this.machine = machine;
    this.#stream = stream;
    this.#clock = clock;
    this.#follower = follower;
    stream.attach(this);
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Nothing is read or written any more, and nothing said about it. */
  vanish(): void {
    this.#isDeaf = true;
    this.#stream.pause();
  }

  /** Bytes past the machine. */
  writeRaw(bytes: Uint8Array): void {
    this.flush();
    if (this.#isDeaf) return;
    this.#stream.write(bytes);
    this.#isDeaf = true;
  }

  end(): void {
    this.flush();
    this.#end();
  }

  abort(): void {
    this.#isDeaf = true;
    this.#stream.abort();
  }

  onData(chunk: Uint8Array): void {
    if (this.#isDeaf) return;
    if (!this.#hasRead) this.#isHttp2 = chunk[0] !== 0x48;
    this.#hasRead = true;
    this.machine.receive(chunk, this.#clock.now());
    this.pump();
  }

  onDrain(): void {
    this.#isFull = false;
    this.flush();
  }

  onEnd(): void {
    this.machine.receiveEnd(this.#clock.now());
    this.pump();
    this.#lose();
    this.#end();
  }

  onClose(): void {
    this.#isDeaf = true;
    this.machine.receiveEnd(this.#clock.now());
    this.pump();
    this.#lose();
  }

  /** Takes events until there are no more, then writes. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.machine.nextEvent(this.#clock.now())) this.#follower.onEvent();
    } catch (thrown) {
      if (this.#isHttp2) this.problem ??= thrown instanceof Error ? thrown.message : 'something that is no error';
      this.#lose();
    } finally {
      this.#isPumping = false;
    }
    this.flush();
  }

  /** Writes what the machine has, while there is room. */
  flush(): void {
    const { machine } = this;
    while (!this.#isFull && !this.#isDeaf && !this.#hasEnded) {
      const chunks = machine.takeOutput(16_384);
      if (chunks.length === 0) break;
      this.#isFull = !this.#stream.writev(chunks) && this.#stream.state !== 'closed';
      this.#follower.onWritable();
    }
    if (machine.shouldClose && !machine.hasOutput) this.#end();
  }

  #lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#follower.onLost();
  }

  #end(): void {
    if (this.#hasEnded || this.#isDeaf) return;
    this.#hasEnded = true;
    this.#stream.end();
  }
}

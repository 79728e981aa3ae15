/** An origin of HTTP/2 that answers calls of gRPC without knowing of it: what it has read are bytes, and so is what it says. */
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';

/** What a stream of the raw origin brought. */
export interface SeenStream {
  readonly encoding: string | undefined;
  readonly bytes: Buffer;
}

/** An origin of frames as they are, which knows nothing of gRPC but its bytes. */
export class RawOrigin {
  readonly #server: Http2Server;
  #seen: SeenStream | null = null;

  private constructor() {
    this.#server = createServer();
    this.#server.on('session', (session) => void session.on('error', () => undefined));
    this.#server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      const [, , kind, when, code] = String(headers[':path']).split('/');
      if (kind === 'reset') this.#reset(stream, when === 'late', Number(code));
      else this.#answer(stream, headers['grpc-encoding'] as string | undefined);
    });
  }

  static async start(): Promise<RawOrigin> {
    const origin = new RawOrigin();
    await new Promise<void>((resolve) => origin.#server.listen(0, '127.0.0.1', resolve));
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  takeSeen(): SeenStream | null {
    const seen = this.#seen;
    this.#seen = null;
    return seen;
  }

  close(): void {
    this.#server.close();
  }

  #answer(stream: ServerHttp2Stream, encoding: string | undefined): void {
    const pieces: Buffer[] = [];
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('end', () => {
      const bytes = Buffer.concat(pieces);
      this.#seen = { encoding, bytes };
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-encoding': 'gzip', 'grpc-accept-encoding': 'identity,gzip' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(framed(gzipSync(gunzipSync(bytes.subarray(5))), true));
    });
  }

  #reset(stream: ServerHttp2Stream, isLate: boolean, code: number): void {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    if (!isLate) stream.close(code);
    else stream.write(framed(Buffer.from('one'), false), () => void setTimeout(() => stream.close(code), 50));
  }
}

/** A message as gRPC frames it: a flag, its length, its bytes. */
function framed(message: Buffer, isCompressed: boolean): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = isCompressed ? 1 : 0;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** A server of `@grpc/grpc-js` with a service of each kind of call. Messages are plain bytes: what they mean is no business of a proxy. */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import type { Certificates } from './stage.ts';

/** A call of a method, as its path. */
export const METHODS = {
  echo: '/conformance.Peers/Echo',
  collect: '/conformance.Peers/Collect',
  count: '/conformance.Peers/Count',
  chat: '/conformance.Peers/Chat',
  fail: '/conformance.Peers/Fail',
  failLater: '/conformance.Peers/FailLater',
  hang: '/conformance.Peers/Hang',
  tick: '/conformance.Peers/Tick',
} as const;

/** What a call with this field in its metadata has come to, as the server sees it. */
export const TOKEN = 'x-token';

/** Details with bytes that must be percent-encoded in `grpc-message`. */
export const DETAILS = 'not here: 100 % — ✓';

/** Each way to fail; a request of `Fail` is the place of one in here. */
export const STATUSES: readonly status[] = [
  status.CANCELLED,
  status.UNKNOWN,
  status.INVALID_ARGUMENT,
  status.DEADLINE_EXCEEDED,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.PERMISSION_DENIED,
  status.RESOURCE_EXHAUSTED,
  status.FAILED_PRECONDITION,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
  status.UNAUTHENTICATED,
];

/** The trailing metadata of each answer. */
export const TRAILER_BYTES: Buffer = Buffer.from([0, 1, 2, 253, 254, 255]);

/** A server that runs. */
export class GrpcOrigin {
  readonly #server: Server;
  readonly #credentials: ServerCredentials;
  readonly #cancelled = new Set<string>();
  readonly #waiting = new Map<string, () => void>();
  readonly #seen = new Set<string>();
  readonly #peers = new Set<string>();
  #port = 0;

  private constructor(options: ServerOptions, tls: Certificates | null) {
    const { server } = tls ?? {};
    this.#server = new Server({ 'grpc.max_receive_message_length': 8 << 20, 'grpc.max_send_message_length': -1, ...options });
    this.#credentials =
      server === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(server.chain), private_key: Buffer.from(server.key) }]);
    const bytes = (value: Buffer): Buffer => value;
    const method = (path: string, requestStream: boolean, responseStream: boolean): object => ({
      path,
      requestStream,
      responseStream,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    });
    const definition = {
      echo: method(METHODS.echo, false, false),
      collect: method(METHODS.collect, true, false),
      count: method(METHODS.count, false, true),
      chat: method(METHODS.chat, true, true),
      fail: method(METHODS.fail, false, false),
      failLater: method(METHODS.failLater, false, true),
      hang: method(METHODS.hang, false, false),
      tick: method(METHODS.tick, false, true),
    };
    this.#server.addService(definition as unknown as Parameters<Server['addService']>[0], {
      echo: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        this.#note(call);
        call.sendMetadata(echoed(call.metadata));
        reply(null, call.request, trailer());
      },
      collect: (call: ServerReadableStream<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        this.#note(call);
        const pieces: Buffer[] = [];
        call.on('data', (piece: Buffer) => pieces.push(piece)).on('end', () => reply(null, Buffer.concat(pieces), trailer()));
      },
      count: (call: ServerWritableStream<Buffer, Buffer>) => {
        this.#note(call);
        for (let index = 0; index < Number(call.request.toString()); index++) call.write(Buffer.from(String(index)));
        call.end(trailer());
      },
      chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
        this.#note(call);
        call.on('data', (piece: Buffer) => call.write(piece)).on('end', () => call.end(trailer()));
      },
      fail: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        this.#note(call);
        reply({ code: STATUSES[call.request[0] ?? 0] ?? status.OK, details: DETAILS, metadata: trailer() });
      },
      failLater: (call: ServerWritableStream<Buffer, Buffer>) => {
        this.#note(call);
        for (let index = 0; index < 3; index++) call.write(Buffer.from(String(index)));
        call.emit('error', { code: status.ABORTED, details: DETAILS, metadata: trailer() });
      },
      hang: (call: ServerUnaryCall<Buffer, Buffer>) => this.#note(call),
      tick: (call: ServerWritableStream<Buffer, Buffer>) => {
        this.#note(call);
        const timer = setInterval(() => call.write(Buffer.from('tick')), 10);
        call.on('cancelled', () => clearInterval(timer)).on('close', () => clearInterval(timer));
      },
    });
  }

  /** @param tls null: h2c */
  static async start(tls: Certificates | null, options: ServerOptions = {}, port = 0): Promise<GrpcOrigin> {
    const origin = new GrpcOrigin(options, tls);
    origin.#port = await new Promise<number>((resolve, reject) => {
      origin.#server.bindAsync(`127.0.0.1:${port}`, origin.#credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return origin;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections by which calls have come. */
  get connectionCount(): number {
    return this.#peers.size;
  }

  /** Resolves when a call has come. */
  async hasCome(token: string): Promise<void> {
    if (!this.#seen.has(token)) await new Promise<void>((resolve) => this.#waiting.set(`come ${token}`, resolve));
  }

  /** Resolves when the server has been told that a call is cancelled. */
  async isCancelled(token: string): Promise<void> {
    if (!this.#cancelled.has(token)) await new Promise<void>((resolve) => this.#waiting.set(`cancelled ${token}`, resolve));
  }

  /** Cuts all connections. */
  close(): void {
    this.#server.forceShutdown();
  }

  #note(call: { readonly metadata: Metadata; getPeer(): string; on(event: 'cancelled', listener: () => void): unknown }): void {
    const token = String(call.metadata.get(TOKEN)[0] ?? '');
    this.#seen.add(token);
    this.#peers.add(call.getPeer());
    this.#waiting.get(`come ${token}`)?.();
    call.on('cancelled', () => {
      this.#cancelled.add(token);
      this.#waiting.get(`cancelled ${token}`)?.();
    });
  }
}

/** What the client sent of its own comes back as initial metadata. */
function echoed(sent: Metadata): Metadata {
  const metadata = new Metadata();
  for (const name of ['x-text', 'x-bytes-bin']) for (const value of sent.get(name)) metadata.add(name, value);
  return metadata;
}

function trailer(): Metadata {
  const metadata = new Metadata();
  metadata.add('x-trailer', 'one');
  metadata.add('x-trailer', 'two');
  metadata.add('x-trailer-bin', TRAILER_BYTES);
  return metadata;
}

/** A client of `@grpc/grpc-js` that writes down all that it is told of a call. */
import {
  type CallOptions,
  type ChannelOptions,
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import { METHODS, TOKEN } from './grpc-origin.ts';

/** All of a call. */
export interface CallResult {
  readonly messages: readonly Buffer[];
  /** Initial metadata; null if none came. */
  readonly initial: Metadata | null;
  readonly status: StatusObject;
}

/** What is asked for, beside the message. */
export interface CallDetails {
  readonly metadata?: Metadata;
  readonly deadlineMs?: number;
  /** Given what cancels the call. */
  readonly onBegun?: (cancel: () => void) => void;
}

let tokens = 0;

/** Metadata with a token that no other call of this process has. */
export function freshMetadata(): { readonly metadata: Metadata; readonly token: string } {
  const metadata = new Metadata();
  const token = `call-${++tokens}`;
  metadata.set(TOKEN, token);
  return { metadata, token };
}

const bytes = (value: Buffer): Buffer => value;

/** The client. */
export class GrpcClient {
  readonly #client: Client;

  /** @param ca null: h2c */
  constructor(port: number, ca: string | null, options: ChannelOptions = {}) {
    this.#client = new Client(`127.0.0.1:${port}`, ca === null ? credentials.createInsecure() : credentials.createSsl(Buffer.from(ca)), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
      // What it would send again by itself, nobody would see fail.
      'grpc.enable_retries': 0,
      ...(ca === null ? {} : { 'grpc.ssl_target_name_override': 'localhost' }),
      'grpc.max_receive_message_length': 8 << 20,
      'grpc.max_send_message_length': -1,
      ...options,
    });
  }

  /** One message each way. */
  async unary(path: string, message: Buffer, details: CallDetails = {}): Promise<CallResult> {
    const { metadata = freshMetadata().metadata, deadlineMs, onBegun } = details;
    return await new Promise((resolve) => {
      const messages: Buffer[] = [];
      let initial: Metadata | null = null;
      const done = (_error: ServiceError | null, answer?: Buffer): void => void (answer !== undefined && messages.push(answer));
      const call = this.#client.makeUnaryRequest(path, bytes, bytes, message, metadata, optionsOf(deadlineMs), done);
      call.on('metadata', (came: Metadata) => (initial = came));
      // The message is told of in the same turn, before or after.
      call.on('status', (status) => setImmediate(() => resolve({ messages, initial, status })));
      onBegun?.(() => call.cancel());
    });
  }

  /** Many messages there, one back. */
  async collect(messages: readonly Buffer[]): Promise<CallResult> {
    return await new Promise((resolve) => {
      const answers: Buffer[] = [];
      let initial: Metadata | null = null;
      const done = (_error: ServiceError | null, answer?: Buffer): void => void (answer !== undefined && answers.push(answer));
      const call = this.#client.makeClientStreamRequest(METHODS.collect, bytes, bytes, freshMetadata().metadata, done);
      call.on('metadata', (came: Metadata) => (initial = came));
      call.on('status', (status) => setImmediate(() => resolve({ messages: answers, initial, status })));
      for (const message of messages) call.write(message);
      call.end();
    });
  }

  /** One message there, many back. @param onMessage sees each, with what can cancel the call */
  async stream(
    path: string,
    message: Buffer,
    { metadata = freshMetadata().metadata, deadlineMs }: CallDetails = {},
    onMessage: (call: ClientReadableStream<Buffer>, count: number) => void = () => undefined,
  ): Promise<CallResult> {
    return await new Promise((resolve) => {
      const messages: Buffer[] = [];
      let initial: Metadata | null = null;
      const call = this.#client.makeServerStreamRequest(path, bytes, bytes, message, metadata, optionsOf(deadlineMs));
      call.on('metadata', (came: Metadata) => (initial = came));
      call.on('error', () => undefined);
      call.on('data', (piece: Buffer) => onMessage(call, messages.push(piece)));
      call.on('status', (status) => resolve({ messages, initial, status }));
    });
  }

  /** Sends a message only when the one before has come back. */
  async lockStep(sent: readonly Buffer[]): Promise<CallResult> {
    return await new Promise((resolve) => {
      const messages: Buffer[] = [];
      let initial: Metadata | null = null;
      const call = this.#client.makeBidiStreamRequest(METHODS.chat, bytes, bytes, freshMetadata().metadata);
      const next = (): void => {
        const message = sent[messages.length];
        if (message === undefined) call.end();
        else call.write(message);
      };
      call.on('metadata', (came: Metadata) => (initial = came));
      call.on('error', () => undefined);
      call.on('data', (piece: Buffer) => {
        messages.push(piece);
        next();
      });
      call.on('status', (status) => resolve({ messages, initial, status }));
      next();
    });
  }

  close(): void {
    this.#client.close();
  }
}

function optionsOf(deadlineMs: number | undefined): CallOptions {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}

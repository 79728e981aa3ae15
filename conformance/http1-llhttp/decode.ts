/** An input through our decoders, as a transcript that can be compared with llhttp's. */
import { isWireError } from '@ferrata/error';
import { MessageEvent, RequestDecoder, type RequestDecoderOptions, ResponseDecoder, type ResponseDecoderOptions } from '@ferrata/http1';
import type { LlhttpCase, Message, Transcript } from './cases.ts';

/** More than any case holds responses. */
const EXPECTED_RESPONSES = 16;

/** Options of both decoders; a case uses those of its kind. */
export interface DecodeOptions {
  readonly request?: RequestDecoderOptions;
  readonly response?: ResponseDecoderOptions;
}

/** A transcript, with the reason of our error. */
export type Decoded = Transcript & { readonly reason: string | null };

/** @param chunkSize the input is fed in pieces of so many bytes */
export function decodeCase({ kind, input, isHead }: LlhttpCase, chunkSize: number, options: DecodeOptions = {}): Decoded {
  const reader = kind === 'response' ? new ResponseReader(isHead, options.response) : new RequestReader(options.request);
  const { messages } = reader;
  try {
    for (let at = 0; at < input.length; at += chunkSize) {
      reader.decoder.feed(Uint8Array.from(input.subarray(at, at + chunkSize)));
      if (!reader.read()) {
        return { messages, ...reader.stopped(input.subarray(reader.decoder.consumedBytes).toString('latin1')), finish: null };
      }
    }
  } catch (error) {
    if (!isWireError(error)) throw error;
    return { messages, ending: 'error', finish: null, reason: error.reason };
  }
  return { messages, ending: 'open', finish: reader.finish(), reason: null };
}

/** What the two readers share: the message under way, and what an end of the connection means. */
abstract class Reader {
  readonly messages: Message[] = [];
  abstract readonly decoder: RequestDecoder | ResponseDecoder;

  /** Reads what there is. @returns false if nothing may be read after it as HTTP */
  abstract read(): boolean;

  /** Why `read` returned false. @param left the last bytes of the input, which are not read */
  abstract stopped(left: string): { readonly ending: Transcript['ending']; readonly reason: string | null };

  protected readBody(): void {
    const message = this.messages.at(-1) as Message;
    if (this.decoder.event === MessageEvent.data) {
      message.body += Buffer.from(this.decoder.data).toString('latin1');
    } else {
      message.trailers = [...(this.decoder.trailers ?? [])].map(([name, value]) => `${name}: ${value}`);
      message.isComplete = true;
    }
  }

  finish(): Transcript['finish'] {
    const wasComplete = this.messages.at(-1)?.isComplete ?? true;
    const before = JSON.stringify(this.messages);
    try {
      this.decoder.end();
      this.read();
    } catch (error) {
      if (!isWireError(error)) throw error;
      return 'truncated';
    }
    const completes = !wasComplete && this.messages.at(-1)?.isComplete === true;
    // What the end of the connection completed is not part of the transcript: llhttp's was written before it.
    this.messages.splice(0, this.messages.length, ...(JSON.parse(before) as Message[]));
    return completes ? 'completesBody' : 'complete';
  }
}

class RequestReader extends Reader {
  readonly decoder: RequestDecoder;
  #isUpgrade = false;

  constructor(options: RequestDecoderOptions = {}) {
    super();
    this.decoder = new RequestDecoder(options);
  }

  read(): boolean {
    const { decoder } = this;
    while (decoder.next()) {
      if (decoder.event === MessageEvent.head) {
        const { method, target, version, headers } = decoder.head;
        const fields = [...headers].map(([name, value]) => `${name}: ${value}`);
        this.messages.push({
          start: method,
          rest: target,
          version: versionText(version),
          fields,
          body: '',
          trailers: [],
          isComplete: false,
        });
        this.#isUpgrade = decoder.isConnect || decoder.upgrade !== null;
      } else {
        this.readBody();
        if (decoder.event === MessageEvent.end && (this.#isUpgrade || !decoder.keepAlive)) return false;
      }
    }
    return true;
  }

  stopped(left: string): { readonly ending: Transcript['ending']; readonly reason: string | null } {
    if (this.#isUpgrade) return { ending: 'upgrade', reason: null };
    // A server closes here (RFC 9112 §9.6); llhttp calls bytes that come after it an error, but for empty lines.
    return left.replace(/^(\r\n)+/, '') === '' ? { ending: 'open', reason: null } : { ending: 'error', reason: 'data after close' };
  }
}

class ResponseReader extends Reader {
  readonly decoder: ResponseDecoder;

  constructor(isHead: boolean, options: ResponseDecoderOptions = {}) {
    super();
    this.decoder = new ResponseDecoder(options);
    for (let count = 0; count < EXPECTED_RESPONSES; count++) this.decoder.expect(isHead ? 'HEAD' : 'GET');
  }

  read(): boolean {
    const { decoder } = this;
    while (decoder.next()) {
      if (decoder.event === MessageEvent.head) {
        const { status, reason, version, headers } = decoder.head;
        const fields = [...headers].map(([name, value]) => `${name}: ${value}`);
        const isComplete = decoder.isInterim || decoder.isTunnel;
        this.messages.push({
          start: String(status),
          rest: reason,
          version: versionText(version),
          fields,
          body: '',
          trailers: [],
          isComplete,
        });
        if (decoder.isTunnel) return false;
      } else {
        this.readBody();
        if (decoder.event === MessageEvent.end && !decoder.keepAlive) return false;
      }
    }
    return true;
  }

  stopped(left: string): { readonly ending: Transcript['ending']; readonly reason: string | null } {
    if (this.decoder.isTunnel) return { ending: 'upgrade', reason: null };
    return left.replace(/^(\r\n)+/, '') === '' ? { ending: 'open', reason: null } : { ending: 'error', reason: 'data after close' };
  }
}

function versionText(version: number): string {
  return `${Math.trunc(version / 10)}.${version % 10}`;
}

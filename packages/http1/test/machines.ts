/** What the tests of both connection machines share: bytes as text, and every event of a machine written down. */
import { concatBytes, latin1Decode, latin1Encode } from '@ferrata/bytes';
import { HeaderMap, type HttpVersion, type RequestHead, type ResponseHead, responseHead, HttpVersion as Version } from '@ferrata/headers';
import {
  ClientConnection,
  type ClientConnectionOptions,
  MessageEvent,
  ServerConnection,
  type ServerConnectionOptions,
} from '@ferrata/http1';

export const bytes = (text: string): Uint8Array => latin1Encode(text);
export const text = (chunk: Uint8Array): string => latin1Decode(chunk, 0, chunk.length);

export function response(status: number, fields: Record<string, string> = {}): ResponseHead {
  return responseHead(status, { headers: HeaderMap.from(fields) });
}

export function request(method: string, target = '/', fields: Record<string, string> = { Host: 'a' }): RequestHead {
  const version: HttpVersion = Version.http11;
  return { method, target, version, headers: HeaderMap.from(fields) };
}

/** A server machine, fed with text at a time, read as text. */
export class ServerTwin {
  readonly machine: ServerConnection;
  now = 0;
  constructor(options: ServerConnectionOptions = {}) {
    this.machine = new ServerConnection(0, options);
  }

  /** Feeds text and gives all events that follow. */
  feed(input: string): string[] {
    this.machine.receive(bytes(input), this.now);
    return this.events();
  }

  events(): string[] {
    const found: string[] = [];
    const { machine } = this;
    while (machine.nextEvent(this.now)) {
      if (machine.event === MessageEvent.head) found.push(`${machine.request.method} ${machine.request.target}`);
      else if (machine.event === MessageEvent.data) found.push(`data ${text(machine.data)}`);
      else found.push('end');
    }
    return found;
  }

  /** Answers the request at hand in one go. */
  answer(status = 200, body = 'ok', fields: Record<string, string> = {}): string {
    this.machine.sendHead(response(status, fields), body.length);
    this.machine.sendData(bytes(body));
    this.machine.sendEnd();
    return this.output();
  }

  output(): string {
    return text(concatBytes(this.machine.takeOutput()));
  }
}

/** A client machine, fed and read in the same way. */
export class ClientTwin {
  readonly machine: ClientConnection;
  now = 0;
  constructor(options: ClientConnectionOptions = {}) {
    this.machine = new ClientConnection(0, options);
  }

  send(method = 'GET', fields?: Record<string, string>, bodyLength = 0, upgrade: string | null = null): string {
    this.machine.sendHead(request(method, '/', fields ?? { Host: 'a' }), bodyLength, upgrade, this.now);
    return this.output();
  }

  feed(input: string): string[] {
    this.machine.receive(bytes(input), this.now);
    return this.events();
  }

  events(): string[] {
    const found: string[] = [];
    const { machine } = this;
    while (machine.nextEvent()) {
      if (machine.event === MessageEvent.head)
        found.push(`${machine.isInterim ? 'interim ' : machine.isTunnel ? 'tunnel ' : ''}${machine.response.status}`);
      else if (machine.event === MessageEvent.data) found.push(`data ${text(machine.data)}`);
      else found.push('end');
    }
    return found;
  }

  output(): string {
    return text(concatBytes(this.machine.takeOutput()));
  }
}

/**
 * An origin that records what it is sent. It frames requests strictly and by code of its own, written with strings and expressions, so that
 * it shares no mistake with what it judges: whatever a proxy forwards in a way that two readers could take differently is `malformed`.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** A request that arrived whole, with the names of its fields in lower case. */
export interface ObservedRequest {
  readonly method: string;
  readonly target: string;
  readonly body: string;
  readonly host: string;
  readonly fieldNames: readonly string[];
}

/** The same with all that was sent: names in lower case, values without the blanks around them, in order. */
export interface RecordedRequest extends ObservedRequest {
  readonly fields: readonly FieldPair[];
  readonly trailers: readonly FieldPair[];
}

/** Name and value. */
export type FieldPair = readonly [string, string];

/** What arrived since the last `take`. */
export interface Recording {
  readonly requests: RecordedRequest[];
  /** The targets of all heads, those of unfinished requests included. */
  readonly targets: string[];
  readonly malformed: string[];
}

/** What an origin sends for a request, one character a byte; `isLast` ends the connection behind it. */
export interface OriginAnswer {
  readonly text: string;
  readonly isLast: boolean;
}

const REQUEST_LINE = /^([!#$%&'*+.^_`|~\w-]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.[01]$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;
const CHUNK_LINE = /^([0-9a-fA-F]{1,8})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n/;

interface Head {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly FieldPair[];
}

/** What could be read of a body so far: where it ends, or that more is needed. */
type Body = { readonly text: string; readonly end: number; readonly trailers: readonly FieldPair[] } | null;

/** The origin. Answers each request with 200 and two bytes, or as it is told. */
export class RecordingOrigin {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #answer: (request: RecordedRequest) => OriginAnswer;
  #requests: RecordedRequest[] = [];
  #targets: string[] = [];
  #malformed: string[] = [];

  private constructor(server: Server, answer: (request: RecordedRequest) => OriginAnswer) {
    this.#server = server;
    this.#answer = answer;
    server.on('connection', (socket) => this.#serve(socket));
  }

  /**
   * @param port 0 for any free one
   * @param answer what to send for each request
   */
  static async listen(port: number, answer: (request: RecordedRequest) => OriginAnswer = plainAnswer): Promise<RecordingOrigin> {
    const server = createServer();
    const origin = new RecordingOrigin(server, answer);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes the recording, which starts anew. */
  take(): Recording {
    const recording = { requests: this.#requests, targets: this.#targets, malformed: this.#malformed };
    this.#requests = [];
    this.#targets = [];
    this.#malformed = [];
    return recording;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let text = '';
    let head: Head | null = null;
    let bodyAt = 0;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      try {
        for (;;) {
          if (head === null) {
            const end = text.indexOf('\r\n\r\n');
            if (end < 0) return;
            head = parseHead(text.slice(0, end));
            bodyAt = end + 4;
            this.#targets.push(head.target);
          }
          const body = readBody(head, text, bodyAt);
          if (body === null) {
            if (text.length === bodyAt && fieldOf(head, 'expect') === '100-continue') socket.write('HTTP/1.1 100 Continue\r\n\r\n');
            return;
          }
          text = text.slice(body.end);
          this.#serveRequest(socket, head, body);
          head = null;
        }
      } catch (error) {
        this.#malformed.push(error instanceof Error ? error.message : String(error));
        socket.destroy();
      }
    });
  }

  #serveRequest(socket: Socket, head: Head, body: NonNullable<Body>): void {
    const request: RecordedRequest = {
      method: head.method,
      target: head.target,
      body: body.text,
      host: fieldOf(head, 'host') ?? '',
      fieldNames: head.fields.map(([name]) => name),
      fields: head.fields,
      trailers: body.trailers,
    };
    this.#requests.push(request);
    const answer = this.#answer(request);
    if (answer.isLast) socket.end(answer.text, 'latin1');
    else socket.write(answer.text, 'latin1');
  }
}

/** 200 and two bytes. */
export function plainAnswer({ method, fields }: RecordedRequest): OriginAnswer {
  const isLast = fields.some(([name, value]) => name === 'connection' && value.toLowerCase().includes('close'));
  const body = method === 'HEAD' ? '' : 'ok';
  return { text: `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${isLast ? 'Connection: close\r\n' : ''}\r\n${body}`, isLast };
}

function parseHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n');
  const requestLine = REQUEST_LINE.exec(first);
  if (requestLine === null) throw new SyntaxError(`request line ${JSON.stringify(first.slice(0, 80))}`);
  const fields = lines.map(parseFieldLine);
  const hosts = fields.filter(([name]) => name === 'host').length;
  if (hosts !== 1) throw new SyntaxError(`${hosts} Host fields`);
  return { method: requestLine[1] as string, target: requestLine[2] as string, fields };
}

function parseFieldLine(line: string): FieldPair {
  const field = FIELD_LINE.exec(line);
  if (field === null) throw new SyntaxError(`field line ${JSON.stringify(line.slice(0, 80))}`);
  return [(field[1] as string).toLowerCase(), field[2] as string];
}

function fieldOf(head: Head, name: string): string | undefined {
  return head.fields.find((field) => field[0] === name)?.[1];
}

function readBody(head: Head, text: string, at: number): Body {
  const lengths = head.fields.filter(([name]) => name === 'content-length').map(([, value]) => value);
  const codings = head.fields.filter(([name]) => name === 'transfer-encoding').map(([, value]) => value);
  if (codings.length + lengths.length > 1) throw new SyntaxError(`ambiguous framing: ${[...lengths, ...codings].join(' and ')}`);
  const [coding] = codings;
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new SyntaxError(`Transfer-Encoding: ${coding}`);
    return readChunked(text, at);
  }
  const [length = '0'] = lengths;
  if (!/^\d{1,15}$/.test(length)) throw new SyntaxError(`Content-Length: ${length}`);
  const end = at + Number(length);
  return text.length < end ? null : { text: text.slice(at, end), end, trailers: [] };
}

function readChunked(text: string, start: number): Body {
  let at = start;
  let body = '';
  for (;;) {
    const lineEnd = text.indexOf('\n', at);
    if (lineEnd < 0) return null;
    const line = CHUNK_LINE.exec(text.slice(at, lineEnd + 1));
    if (line === null) throw new SyntaxError(`chunk line ${JSON.stringify(text.slice(at, lineEnd + 1).slice(0, 80))}`);
    const size = Number.parseInt(line[1] as string, 16);
    at = lineEnd + 1;
    if (size === 0) return readTrailers(text, at, body);
    if (text.length < at + size + 2) return null;
    if (text.slice(at + size, at + size + 2) !== '\r\n') throw new SyntaxError('no CRLF after a chunk');
    body += text.slice(at, at + size);
    at += size + 2;
  }
}

function readTrailers(text: string, start: number, body: string): Body {
  const trailers: FieldPair[] = [];
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    if (lineEnd === at) return { text: body, end: at + 2, trailers };
    trailers.push(parseFieldLine(text.slice(at, lineEnd)));
    at = lineEnd + 2;
  }
}

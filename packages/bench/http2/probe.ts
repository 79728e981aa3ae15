/** Single requests over HTTP/2 by a client that is none of those measured, so that a wrong answer is not counted as a fast one. */
import { connect, type IncomingHttpHeaders } from 'node:http2';

const TIMEOUT_MS = 10_000;

/** A request, and the answer that has to come. */
export interface ExpectedAnswer {
  /** Of the answer's body. */
  readonly bytes: number;
  /** The body of a POST, with its fields. Default: a GET. */
  readonly post?: { readonly fields: Readonly<Record<string, string>>; readonly body: Uint8Array };
  /** What the trailers must have. Default: anything. */
  readonly trailers?: Readonly<Record<string, string>>;
}

/** What came back. */
interface Answer {
  readonly status: number;
  readonly received: number;
  readonly trailers: IncomingHttpHeaders;
}

/**
 * Asks once, over TLS (by whatever certificate) or without.
 *
 * @throws {Error} that says what came instead.
 */
export async function expectHttp2Answer(url: string, expected: ExpectedAnswer): Promise<void> {
  const { status, received, trailers } = await ask(url, expected.post);
  if (status !== 200 || received !== expected.bytes) {
    throw new Error(`${url} answered ${status} with ${received} bytes instead of 200 with ${expected.bytes}`);
  }
  for (const [name, value] of Object.entries(expected.trailers ?? {})) {
    if (trailers[name] !== value)
      throw new Error(`${url} answered with ${name}: ${String(trailers[name])} in its trailers instead of ${value}`);
  }
}

async function ask(url: string, post: ExpectedAnswer['post']): Promise<Answer> {
  const { origin, pathname } = new URL(url);
  const session = connect(origin, { rejectUnauthorized: false });
  try {
    return await new Promise<Answer>((resolve, reject) => {
      session.on('error', reject);
      const request = session.request({ ':path': pathname, ...(post === undefined ? {} : { ':method': 'POST', ...post.fields }) });
      let status = 0;
      let received = 0;
      let trailers: IncomingHttpHeaders = {};
      request.on('response', (headers) => (status = headers[':status'] ?? 0));
      request.on('trailers', (fields: IncomingHttpHeaders) => void (trailers = fields));
      request.on('data', (chunk: Buffer) => (received += chunk.length));
      request.on('end', () => resolve({ status, received, trailers }));
      request.on('error', reject);
      request.setTimeout(TIMEOUT_MS, () => reject(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
      request.end(post?.body);
    });
  } finally {
    session.destroy();
  }
}

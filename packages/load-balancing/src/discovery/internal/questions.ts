/** Questions to a registry: an answer as a whole, or a stream of JSON lines. What goes wrong has the reasons of discoveries. */
import { ioError, isWireError, limitError, protocolError, type WireError } from '@ferrata/error';
import type { ReadonlyHeaderMap } from '@ferrata/headers';
import type { HttpAnswer, HttpAsk, HttpClient, HttpTarget } from '../../internal/http-client.ts';
import { parseJson } from './json.ts';
import { JsonLinesReader } from './json-lines.ts';

/** Whom to ask. */
export interface Registry {
  /** For messages: `etcd`. */
  readonly who: string;
  readonly client: HttpClient;
  readonly target: HttpTarget;
}

/** A stream that was followed to its end. */
export interface Followed {
  /** Other than 200: nothing of the body was read. */
  readonly status: number;
  /** The reader had enough. False: the registry ended it, in order. */
  readonly isStopped: boolean;
}

/** Who reads the lines. */
export interface LinesSink {
  readonly maxLineBytes: number;
  /** The head has come, with 200. */
  onOpen?(headers: ReadonlyHeaderMap): void;
  /** @returns true when that is enough */
  onValue(value: unknown): boolean;
}

/** Asks once. @throws {WireError} `limit DISCOVERY_TOO_LARGE`, or what the client fails by */
export async function askRegistry({ who, client, target }: Registry, ask: HttpAsk): Promise<HttpAnswer> {
  try {
    return await client.ask(target, ask);
  } catch (thrown) {
    if (isWireError(thrown) && thrown.reason === 'HTTP_BODY_TOO_LARGE') {
      const message = `${who} answered with more than ${String(ask.maxBodyBytes)} bytes`;
      throw limitError('DISCOVERY_TOO_LARGE', message, { source: 'upstream', wire: { status: 502 }, cause: thrown });
    }
    throw thrown;
  }
}

/** Asks once for JSON. @throws {WireError} as `askRegistry`; `protocol DISCOVERY_STATUS` unless it is 200, `DISCOVERY_MALFORMED` */
export async function askJson(registry: Registry, ask: HttpAsk): Promise<{ readonly value: unknown; readonly headers: ReadonlyHeaderMap }> {
  const { status, headers, body } = await askRegistry(registry, ask);
  if (status !== 200) throw statusError(registry.who, status);
  return { value: parseJson(registry.who, body), headers };
}

/**
 * Follows a stream of JSON lines until the registry or the reader ends it.
 *
 * @throws {WireError} rejects with `io DISCOVERY_STREAM_ENDED` when it breaks or ends within a line, with what a line is refused for, what `onValue` throws, and
 *   what the client fails by before there is a stream
 */
export function followLines({ who, client, target }: Registry, ask: HttpAsk, sink: LinesSink): Promise<Followed> {
  return new Promise((resolve, reject) => {
    const reader = new JsonLinesReader({ who, maxLineBytes: sink.maxLineBytes });
    let status = 0;
    let isOver = false;
    const finish = (outcome: Followed): void => {
      isOver = true;
      following.cancel();
      resolve(outcome);
    };
    const attempt = (read: () => void): void => {
      if (isOver) return;
      try {
        read();
      } catch (thrown) {
        isOver = true;
        following.cancel();
        reject(thrown);
      }
    };
    const handleValue = (value: unknown): boolean => {
      if (!sink.onValue(value)) return false;
      finish({ status, isStopped: true });
      return true;
    };
    const following = client.follow(target, ask, {
      onHead: (code, headers) =>
        attempt(() => {
          status = code;
          if (code === 200) sink.onOpen?.(headers);
          else finish({ status, isStopped: false });
        }),
      onData: (chunk) => attempt(() => reader.feed(chunk, handleValue)),
      onEnd: (error) => {
        if (isOver) return;
        isOver = true;
        if (error === null && !reader.isInLine) resolve({ status, isStopped: false });
        else reject(error !== null && status === 0 ? error : streamEnded(who, error));
      },
    });
  });
}

/** A status that is no answer. */
export function statusError(who: string, status: number): WireError {
  const hint = status === 401 || status === 403 ? ': the credentials are missing, wrong, or may not do this' : '';
  return protocolError('DISCOVERY_STATUS', `${who} answered ${status}${hint}`, { source: 'upstream', wire: { status: 502 } });
}

/** A stream that ended though it should not have. @param cause null: it ended in order */
export function streamEnded(who: string, cause: WireError | null): WireError {
  const details = { source: 'upstream', ...(cause === null ? {} : { cause }) } as const;
  return ioError('DISCOVERY_STREAM_ENDED', `${who} ended the stream of changes`, details);
}

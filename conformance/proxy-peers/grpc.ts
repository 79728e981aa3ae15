/** gRPC: client and server of `@grpc/grpc-js` with our proxy between them, over h2c and TLS. */
import { constants as http2 } from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { compressionAlgorithms, type Metadata, status } from '@grpc/grpc-js';
import { booksProblem, ProxyProcess, type ProxyRoute } from '../rig/proxy-process.ts';
import { type CallResult, freshMetadata, GrpcClient } from './grpc-client.ts';
import { DETAILS, GrpcOrigin, METHODS, STATUSES, TRAILER_BYTES } from './grpc-origin.ts';
import { RawOrigin } from './raw-origin.ts';
import { type Certificates, differs, firstOf, type Part, type Stage, within } from './stage.ts';

/** The ways: whether client and origin speak TLS. */
const WAYS = [
  { name: 'h2c-h2c', front: false, back: false },
  { name: 'tls-tls', front: true, back: true },
  { name: 'tls-h2c', front: true, back: false },
] as const;

const MIB = 1_048_576;

/** Of an origin that says GOAWAY, or a proxy: fewer would say little. */
const LEAST_CONNECTIONS = 5;

/** Where connections are to last: a client that sends nothing again takes a call for failed, of which it has sent nothing yet when the connection retires. */
const MANY_STREAMS = 1_000_000;

/** Where they are to retire soon. */
const FEW_STREAMS = 500;

export const grpcPart: Part = {
  name: 'grpc',
  async run(stage) {
    const wanted = WAYS.filter(({ name }) => CHECKS.some((check) => stage.wants(`grpc/${name}/${check}`)));
    const ways = await Promise.all(
      wanted.map(
        async ({ name, front, back }) =>
          await Way.prepare(stage, name, front ? stage.certificates.ca : null, back ? stage.certificates : null),
      ),
    );
    if (ways.length === 0) return;
    try {
      await using proxy = await ProxyProcess.start({ routes: ways.flatMap((way) => way.routes), maxStreams: MANY_STREAMS });
      // Most of it is waiting.
      await Promise.all(ways.map(async (way) => await way.run(proxy)));
      await stage.check('grpc/all-over', async () => {
        const now = await proxy.settled(({ begun, logged, clientConnections }) => begun === logged && clientConnections === 0);
        return firstOf(booksProblem(now), differs('connections of clients', now.clientConnections, 0), await proxy.close());
      });
    } finally {
      for (const way of ways) way.close();
    }
  },
};

const CHECKS = [
  'unary-metadata',
  'client-stream',
  'server-stream',
  'bidi-lock-step',
  'bidi-no-message',
  'error-trailers-only',
  'every-status',
  'error-after-messages',
  'unimplemented',
  'deadline',
  'deadline-mid-stream',
  'cancel-mid-stream',
  'cancel-before-answer',
  'big-messages',
  'message-too-big',
  'many-at-once',
  'connections-retire',
  'compression-untouched',
  'origin-resets',
  'keepalive-of-client',
  'keepalive-of-server',
  'goaway',
  'origin-dies',
] as const;

/** The origins of a way. */
interface Origins {
  readonly usual: GrpcOrigin;
  readonly raw: RawOrigin;
  readonly pinging: GrpcOrigin;
  readonly restless: GrpcOrigin;
  readonly dying: GrpcOrigin;
}

/** One way through, with origins of its own. */
class Way {
  readonly #stage: Stage;
  readonly #name: string;
  readonly #clientCa: string | null;
  readonly #originTls: Certificates | null;
  readonly #origins: Origins;

  private constructor(
    stage: Stage,
    name: string,
    ca: string | null,
    { originTls, origins }: { originTls: Certificates | null; origins: Origins },
  ) {
    this.#stage = stage;
    this.#name = name;
    this.#clientCa = ca;
    this.#originTls = originTls;
    this.#origins = origins;
  }

  /** Starts the origins. */
  static async prepare(stage: Stage, name: string, clientCa: string | null, originTls: Certificates | null): Promise<Way> {
    const origins = {
      usual: await GrpcOrigin.start(originTls),
      raw: await RawOrigin.start(),
      pinging: await GrpcOrigin.start(originTls, { 'grpc.keepalive_time_ms': 100, 'grpc.keepalive_timeout_ms': 500 }),
      restless: await GrpcOrigin.start(originTls, { 'grpc.max_connection_age_ms': 100, 'grpc.max_connection_age_grace_ms': 5_000 }),
      dying: await GrpcOrigin.start(originTls),
    };
    return new Way(stage, name, clientCa, { originTls, origins });
  }

  get routes(): readonly ProxyRoute[] {
    return Object.entries(this.#origins).map(([kind, { port }]) => ({
      name: `${this.#name}/${kind}`,
      front: this.#stage.front(this.#clientCa !== null),
      peer: { address: `127.0.0.1:${port}`, protocol: 'http2', ca: kind === 'raw' ? null : (this.#originTls?.ca ?? null) },
    }));
  }

  close(): void {
    const { usual, raw, pinging, restless, dying } = this.#origins;
    for (const origin of [usual, raw, pinging, restless, dying]) origin.close();
  }

  async run(proxy: ProxyProcess): Promise<void> {
    const port = (kind: keyof Origins): number => proxy.port(`${this.#name}/${kind}`);
    const client = new GrpcClient(port('usual'), this.#clientCa);
    try {
      await this.#calls(client);
      await this.#ends(client, this.#origins.usual);
      await this.#sizes(client);
    } finally {
      client.close();
    }
    await this.#check('connections-retire', async () => await this.#retirement(), 120_000);
    await this.#check('compression-untouched', async () => await this.#compression(port('raw'), this.#origins.raw));
    await this.#check('origin-resets', async () => await this.#resets(port('raw')));
    await Promise.all([
      this.#check('keepalive-of-client', async () => await this.#keepaliveOfClient(port('usual'))),
      this.#check('keepalive-of-server', async () => await this.#keepaliveOfServer(port('pinging'))),
      this.#check('goaway', async () => await this.#goaway(port('restless'))),
      this.#check('origin-dies', async () => await this.#death(port('dying'), this.#origins.dying)),
    ]);
  }

  async #calls(client: GrpcClient): Promise<void> {
    await this.#check('unary-metadata', async () => {
      const { metadata } = freshMetadata();
      metadata.add('x-text', 'one');
      metadata.add('x-text', 'two, three');
      metadata.add('x-bytes-bin', TRAILER_BYTES);
      const { messages, initial, status: end } = await client.unary(METHODS.echo, Buffer.from('hello'), { metadata });
      return firstOf(
        ok(end, 'completed'),
        differs('message', messages.map(String), ['hello']),
        differs('text metadata', initial?.get('x-text').join(', '), 'one, two, three'),
        differs('binary metadata', initial?.get('x-bytes-bin').map(hex), [hex(TRAILER_BYTES)]),
        trailers(end.metadata),
      );
    });
    await this.#check('client-stream', async () => {
      const sent = Array.from({ length: 200 }, (_, index) => Buffer.from(`${index},`.repeat(index)));
      const { messages, status: end } = await client.collect(sent);
      return firstOf(ok(end, 'completed'), differs('answer', messages.map(hex), [hex(Buffer.concat(sent))]), trailers(end.metadata));
    });
    await this.#check('server-stream', async () => {
      const { messages, status: end } = await client.stream(METHODS.count, Buffer.from('500'));
      const expected = Array.from({ length: 500 }, (_, index) => String(index));
      return firstOf(ok(end, 'completed'), differs('messages', messages.map(String), expected), trailers(end.metadata));
    });
    await this.#check('bidi-lock-step', async () => {
      const sent = Array.from({ length: 100 }, (_, index) => Buffer.alloc((index * 997) % 20_000, index));
      const { messages, status: end } = await client.lockStep(sent);
      return firstOf(ok(end, 'completed'), differs('messages', messages.map(hex), sent.map(hex)), trailers(end.metadata));
    });
    await this.#check('bidi-no-message', async () => {
      const { messages, status: end } = await client.lockStep([]);
      return firstOf(ok(end, 'completed'), differs('messages', messages.length, 0), trailers(end.metadata));
    });
    await this.#check('error-trailers-only', async () => {
      const { messages, status: end } = await client.unary(METHODS.fail, Buffer.of(STATUSES.indexOf(status.NOT_FOUND)));
      return firstOf(failedAs(end, status.NOT_FOUND, DETAILS), differs('messages', messages.length, 0), trailers(end.metadata));
    });
    await this.#check('every-status', async () => {
      for (const [place, code] of STATUSES.entries()) {
        const { status: end } = await client.unary(METHODS.fail, Buffer.of(place));
        const problem = failedAs(end, code, DETAILS);
        if (problem !== null) return problem;
      }
      return null;
    });
    await this.#check('error-after-messages', async () => {
      const { messages, status: end } = await client.stream(METHODS.failLater, Buffer.from(''));
      return firstOf(
        differs('messages', messages.map(String), ['0', '1', '2']),
        failedAs(end, status.ABORTED, DETAILS),
        trailers(end.metadata),
      );
    });
    await this.#check('unimplemented', async () => {
      const { status: end } = await client.unary('/conformance.Peers/Nothing', Buffer.from(''));
      return differs('status', end.code, status.UNIMPLEMENTED);
    });
  }

  async #ends(client: GrpcClient, origin: GrpcOrigin): Promise<void> {
    await this.#check('deadline', async () => {
      const { metadata, token } = freshMetadata();
      const { status: end } = await client.unary(METHODS.hang, Buffer.from(''), { metadata, deadlineMs: 300 });
      await within('the cancellation at the server', origin.isCancelled(token));
      return differs('status', end.code, status.DEADLINE_EXCEEDED);
    });
    await this.#check('deadline-mid-stream', async () => {
      const { metadata, token } = freshMetadata();
      const { status: end, messages } = await client.stream(METHODS.tick, Buffer.from(''), { metadata, deadlineMs: 300 });
      await within('the cancellation at the server', origin.isCancelled(token));
      return firstOf(differs('status', end.code, status.DEADLINE_EXCEEDED), messages.length > 0 ? null : 'no message came');
    });
    await this.#check('cancel-mid-stream', async () => {
      const { metadata, token } = freshMetadata();
      const { status: end } = await client.stream(METHODS.tick, Buffer.from(''), { metadata }, (call, count) => {
        if (count === 3) call.cancel();
      });
      // There is no deadline here, so only the client's RST_STREAM can have told the server.
      await within('the cancellation at the server', origin.isCancelled(token));
      return differs('status', end.code, status.CANCELLED);
    });
    await this.#check('cancel-before-answer', async () => {
      const { metadata, token } = freshMetadata();
      let cancel = (): void => undefined;
      const result = client.unary(METHODS.hang, Buffer.from(''), { metadata, onBegun: (own) => (cancel = own) });
      await within('the call', origin.hasCome(token));
      cancel();
      const { status: end } = await within('the end of the call', result);
      await within('the cancellation at the server', origin.isCancelled(token));
      return differs('status', end.code, status.CANCELLED);
    });
  }

  async #sizes(client: GrpcClient): Promise<void> {
    await this.#check('big-messages', async () => {
      const message = Buffer.alloc(4 * MIB);
      for (let at = 0; at < message.length; at++) message[at] = (at * 31) ^ (at >> 8);
      for (const size of [0, 1, 16_384, 65_535, MIB, 4 * MIB]) {
        const own = message.subarray(0, size);
        const { messages, status: end } = await client.unary(METHODS.echo, own);
        const problem =
          ok(end, `with ${size} bytes`) ?? (messages[0]?.equals(own) === true ? null : `another message than the one of ${size} bytes`);
        if (problem !== null) return problem;
      }
      return null;
    });
    await this.#check('message-too-big', async () => {
      const { status: end } = await client.unary(METHODS.echo, Buffer.alloc(9 * MIB));
      return firstOf(
        differs('status', end.code, status.RESOURCE_EXHAUSTED),
        // The words of the server, so that it is known whose limit it was.
        end.details.includes('larger than max') ? null : `details ${end.details}`,
      );
    });
    await this.#check(
      'many-at-once',
      async () => {
        const count = this.#stage.isLong ? 10_000 : 1_000;
        const began = performance.now();
        const problem = await manyCalls(client, count, 100);
        this.#stage.figure(
          `grpc/${this.#name}: ${count} unary calls, 100 at once, in ${((performance.now() - began) / 1000).toFixed(1)} s`,
        );
        return problem;
      },
      120_000,
    );
  }

  /** What the client compresses reaches the origin byte by byte, with its flag and its field, and the other way round. */
  async #compression(port: number, raw: RawOrigin): Promise<string | null> {
    const client = new GrpcClient(port, this.#clientCa, { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip });
    try {
      const message = Buffer.from('compress me '.repeat(1_000));
      const { messages, status: end } = await within('the call', client.unary('/raw/compressed', message));
      const seen = raw.takeSeen();
      return firstOf(
        ok(end, 'completed'),
        differs('grpc-encoding at the origin', seen?.encoding, 'gzip'),
        differs('flag of the message', seen?.bytes[0], 1),
        differs('length of the message', seen?.bytes.readUInt32BE(1), (seen?.bytes.length ?? 0) - 5),
        seen !== null && gunzipSync(seen.bytes.subarray(5)).equals(message) ? null : 'another message at the origin',
        messages[0]?.equals(message) === true ? null : 'another message at the client',
      );
    } finally {
      client.close();
    }
  }

  /** A stream that the origin resets is a failed call at the client, with each code. */
  async #resets(port: number): Promise<string | null> {
    const client = new GrpcClient(port, this.#clientCa);
    const seen: string[] = [];
    try {
      for (const when of ['early', 'late'] as const) {
        for (const code of [http2.NGHTTP2_CANCEL, http2.NGHTTP2_INTERNAL_ERROR, http2.NGHTTP2_ENHANCE_YOUR_CALM, http2.NGHTTP2_NO_ERROR]) {
          const { messages, status: end } = await within(
            `the end after a reset ${when}`,
            client.stream(`/raw/reset/${when}/${code}`, Buffer.from('')),
          );
          if (end.code === status.OK) return `a stream that was reset ${when} with ${code} is a call that succeeded`;
          if (messages.length !== (when === 'late' ? 1 : 0))
            return `${messages.length} messages of a stream that was reset ${when} with ${code}`;
          seen.push(`${when} ${code}: ${end.code}`);
        }
      }
    } finally {
      client.close();
    }
    this.#stage.figure(`grpc/${this.#name}: status after a reset by the origin: ${seen.join(', ')}`);
    return null;
  }

  /** Our server answers PINGs, and does not take them for a flood. */
  async #keepaliveOfClient(port: number): Promise<string | null> {
    const client = new GrpcClient(port, this.#clientCa, {
      'grpc.keepalive_time_ms': 100,
      'grpc.keepalive_timeout_ms': 1_000,
      'grpc.keepalive_permit_without_calls': 1,
    });
    try {
      const { status: end } = await client.unary(METHODS.hang, Buffer.from(''), { deadlineMs: 1_500 });
      if (end.code !== status.DEADLINE_EXCEEDED) return `the connection did not stay: ${end.code} ${end.details}`;
      await delay(300);
      const { status: after } = await client.unary(METHODS.echo, Buffer.from('still there'));
      return ok(after, 'behind the pings');
    } finally {
      client.close();
    }
  }

  /** Our client answers PINGs of the origin, during a call and without one: a connection that does not is cut after 500 ms. */
  async #keepaliveOfServer(port: number): Promise<string | null> {
    const client = new GrpcClient(port, this.#clientCa);
    try {
      const first = await client.unary(METHODS.echo, Buffer.from('first'));
      const { status: end } = await client.unary(METHODS.hang, Buffer.from(''), { deadlineMs: 1_500 });
      const last = await client.unary(METHODS.echo, Buffer.from('last'));
      return firstOf(
        ok(first.status, 'before'),
        end.code === status.DEADLINE_EXCEEDED ? null : `the connection did not stay: ${end.code} ${end.details}`,
        ok(last.status, 'after'),
        differs('connections that the origin had', this.#origins.pinging.connectionCount, 1),
      );
    } finally {
      client.close();
    }
  }

  /** An origin that says GOAWAY every 100 ms: calls that it has begun end in order, others go to its next connection; not one fails. */
  async #goaway(port: number): Promise<string | null> {
    const client = new GrpcClient(port, this.#clientCa);
    const ends = new Map<string, number>();
    try {
      const until = performance.now() + (this.#stage.isLong ? 20_000 : 2_000);
      // On a machine that is busy it takes longer.
      const goesOn = (): boolean =>
        performance.now() < until || (performance.now() < until + 20_000 && this.#origins.restless.connectionCount < LEAST_CONNECTIONS);
      const sent = Array.from({ length: 20 }, (_, index) => Buffer.from(`message ${index}`));
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          while (goesOn()) {
            const { status: end, messages } =
              index < 10 ? await client.unary(METHODS.echo, sent[0] as Buffer) : await client.lockStep(sent);
            const isWhole = messages.length === (index < 10 ? 1 : sent.length);
            const key = end.code === status.OK && isWhole ? 'OK' : `${end.code} ${end.details}, ${messages.length} messages`;
            ends.set(key, (ends.get(key) ?? 0) + 1);
          }
        }),
      );
    } finally {
      client.close();
    }
    const text = JSON.stringify(Object.fromEntries(ends));
    const { connectionCount } = this.#origins.restless;
    this.#stage.figure(`grpc/${this.#name}: while the origin said GOAWAY on each of ${connectionCount} connections: ${text}`);
    if (connectionCount < LEAST_CONNECTIONS) return `there were only ${connectionCount} connections`;
    return ends.size === 1 && ends.has('OK') ? null : `calls ended as ${text}`;
  }

  /** A proxy that says GOAWAY after some hundred streams: a client as it is by default, which calls again what it has not sent, loses no call. */
  async #retirement(): Promise<string | null> {
    const [route] = this.routes;
    if (route === undefined) return 'there is no route';
    await using proxy = await ProxyProcess.start({ routes: [route], maxStreams: FEW_STREAMS });
    const client = new GrpcClient(proxy.port(route.name), this.#clientCa, { 'grpc.enable_retries': 1 });
    const count = this.#stage.isLong ? 20_000 : 4_000;
    try {
      const problem = await manyCalls(client, count, 50);
      const { acceptedConnections } = await proxy.figures();
      this.#stage.figure(`grpc/${this.#name}: ${count} calls, 50 at once, on ${acceptedConnections} connections of ${FEW_STREAMS} streams`);
      return firstOf(problem, acceptedConnections >= LEAST_CONNECTIONS ? null : `there were only ${acceptedConnections} connections`);
    } finally {
      client.close();
    }
  }

  /** An origin that is cut: its call fails as it does without a proxy, and the calls behind its return succeed. */
  async #death(port: number, origin: GrpcOrigin): Promise<string | null> {
    const client = new GrpcClient(port, this.#clientCa);
    const direct = new GrpcClient(origin.port, this.#originTls?.ca ?? null);
    let next: GrpcOrigin | null = null;
    try {
      const hang = async (by: GrpcClient): Promise<{ readonly end: Promise<CallResult> }> => {
        const { metadata, token } = freshMetadata();
        const end = by.unary(METHODS.hang, Buffer.from(''), { metadata });
        await within('the call', origin.hasCome(token));
        return { end };
      };
      const [hanging, hangingDirectly] = [await hang(client), await hang(direct)];
      const ticking = client.stream(METHODS.tick, Buffer.from(''), {}, (_call, count) => {
        if (count === 3) origin.close();
      });
      const [hung, hungDirectly, ticked] = await within('the ends of all calls', Promise.all([hanging.end, hangingDirectly.end, ticking]));
      const down = await client.unary(METHODS.echo, Buffer.from('x'));
      next = await GrpcOrigin.start(this.#originTls, {}, origin.port);
      const up = await client.unary(METHODS.echo, Buffer.from('x'));
      this.#stage.figure(
        `grpc/${this.#name}: the origin dies: ${hung.status.code} without an answer, ${ticked.status.code} amid one, ${down.status.code} while it is down`,
      );
      return firstOf(
        hungDirectly.status.code === status.OK ? 'a call without an answer has succeeded' : null,
        differs('status of the call without an answer', hung.status.code, hungDirectly.status.code),
        ticked.status.code === status.OK ? 'a stream that was cut is a call that succeeded' : null,
        differs('status while it is down', down.status.code, status.UNAVAILABLE),
        ok(up.status, 'after its return'),
      );
    } finally {
      client.close();
      direct.close();
      next?.close();
    }
  }

  async #check(name: (typeof CHECKS)[number], check: () => Promise<string | null>, limitMs?: number): Promise<void> {
    await this.#stage.check(`grpc/${this.#name}/${name}`, check, limitMs);
  }
}

/** Calls whose answers are told apart. @returns what came of those that failed, or null */
async function manyCalls(client: GrpcClient, count: number, atOnce: number): Promise<string | null> {
  let next = 0;
  const problems: string[] = [];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < count) {
        const message = Buffer.from(`message ${next++} `.repeat(next % 300));
        const { messages, status: end } = await client.unary(METHODS.echo, message);
        if (end.code !== status.OK) problems.push(`${end.code} ${end.details}`);
        else if (messages[0]?.equals(message) !== true) problems.push('the answer to another call');
      }
    }),
  );
  return problems.length === 0 ? null : `${problems.length} calls of ${count}: ${[...new Set(problems)].slice(0, 3).join('; ')}`;
}

function hex(value: Buffer | string): string {
  return Buffer.from(value as Buffer).toString('hex');
}

/** @returns why a call did not end well, or null */
export function ok({ code, details }: CallResult['status'], what: string): string | null {
  return code === status.OK ? null : `a call ${what}: status ${code}, ${details}`;
}

/** @returns in what another way a call failed, or null */
export function failedAs({ code, details }: CallResult['status'], expected: status, words: string): string | null {
  return firstOf(differs('status', code, expected), differs('details', details, words));
}

/** @returns what is wrong with the trailing metadata, or null */
export function trailers(metadata: Metadata): string | null {
  return firstOf(
    differs('trailing text', metadata.get('x-trailer').join(', '), 'one, two'),
    differs(
      'trailing bytes',
      metadata.get('x-trailer-bin').map((value) => hex(value)),
      [hex(TRAILER_BYTES)],
    ),
  );
}

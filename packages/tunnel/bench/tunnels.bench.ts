/**
 * What a tunnel costs over what carries it: CPU time of both ends together, joined in memory, for bytes one way and for round trips of 64 bytes.
 * `plain` is the pair in memory without a tunnel. Median of 5 rounds after a warm-up round.
 */
import {
  Http1ClientSession,
  Http2ClientSession,
  HttpEnvironment,
  HttpServer,
  resolveHttp1ClientOptions,
  resolveHttp2ClientOptions,
} from '@ferrata/http';
import { type L4Sink, type L4Stream, memoryPair } from '@ferrata/stream';
import { ConnectServer, connectThrough } from '../src/index.ts';

const rounds = Number(process.env['ROUNDS'] ?? 5);
const megabytes = Number(process.env['MEGABYTES'] ?? 256);
const trips = Number(process.env['TRIPS'] ?? 20_000);
const CHUNK = new Uint8Array(65_536);
const PING = new Uint8Array(64);

interface Ends {
  readonly a: L4Stream;
  readonly b: L4Stream;
  close(): void;
}

async function open(kind: 'plain' | 'http1' | 'http2'): Promise<Ends> {
  const below = memoryPair();
  if (kind === 'plain') return { ...below, close: () => below.a.abort() };
  const environment = new HttpEnvironment();
  const accepted = Promise.withResolvers<L4Stream>();
  const server = new HttpServer(new ConnectServer({ environment, decide: () => true, onTunnel: accepted.resolve }), { environment });
  server.accept(below.b);
  const owner = { onSessionIdle() {}, onSessionClose() {} };
  const session =
    kind === 'http1'
      ? new Http1ClientSession(below.a, environment, resolveHttp1ClientOptions(), owner)
      : new Http2ClientSession(below.a, environment, resolveHttp2ClientOptions(), owner);
  session.start();
  const a = await connectThrough(session, 'example.org:443', { environment });
  return { a, b: await accepted.promise, close: () => below.a.abort() };
}

function sink(heard: Partial<L4Sink>): L4Sink {
  return { onData() {}, onDrain() {}, onEnd() {}, onClose() {}, ...heard };
}

/** Sends bytes one way. */
function pour({ a, b }: Ends): Promise<void> {
  return new Promise((resolve) => {
    const wanted = megabytes * 1_048_576;
    let sent = 0;
    let received = 0;
    const send = (): void => {
      while (sent < wanted) {
        sent += CHUNK.length;
        if (!a.write(CHUNK)) return;
      }
    };
    b.attach(
      sink({
        onData: (chunk) => {
          received += chunk.length;
          if (received >= wanted) resolve();
        },
      }),
    );
    a.attach(sink({ onDrain: send }));
    send();
  });
}

/** Sends 64 bytes there and back, time and again. */
function bounce({ a, b }: Ends): Promise<void> {
  return new Promise((resolve) => {
    let left = trips;
    b.attach(sink({ onData: (chunk) => void b.write(chunk.slice()) }));
    a.attach(
      sink({
        onData: () => {
          if (--left === 0) resolve();
          else a.write(PING.slice());
        },
      }),
    );
    a.write(PING.slice());
  });
}

async function measure(kind: 'plain' | 'http1' | 'http2', work: (ends: Ends) => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const ends = await open(kind);
    const before = process.cpuUsage();
    await work(ends);
    const { user, system } = process.cpuUsage(before);
    ends.close();
    if (round >= 0) times.push(user + system);
  }
  return times.toSorted((x, y) => x - y)[rounds >> 1] ?? 0;
}

for (const kind of ['plain', 'http1', 'http2'] as const) {
  const poured = await measure(kind, pour);
  const bounced = await measure(kind, bounce);
  const perGigabyte = ((poured / 1e6) * (1_024 / megabytes)).toFixed(2);
  console.log(`${kind}: ${perGigabyte} s of CPU a GiB, ${(bounced / trips).toFixed(1)} µs of CPU a round trip of 64 bytes`);
}

/**
 * Invariant: whatever a peer sends, a program asks and time brings, a connection of HTTP/2 tells events or one final error (total), the same for any
 * cuts of the same bytes (split); bodies arrive as they were sent and in order, every stream has one end; nothing is sent beyond the windows, on
 * streams that are idle or have ended, or behind the last GOAWAY; our blocks are read by hpack.js; what a peer can force is bounded; and with time
 * every connection ends by itself. Two connections that talk to each other get by without any error.
 *
 * The input is a byte of options and then operations, each a letter with its arguments; bytes that begin none are passed over.
 */
import { type Http2Options, Role } from '@ferrata/http2';
import { bodyBytes } from '../oracles/http2-body.ts';
import { Http2Endpoint } from '../oracles/http2-endpoint.ts';
import { Http2PeerWriter } from '../oracles/http2-peer.ts';
import { chunkingOf, wholeChunk } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['http2-connection', 'http2-frames'], maxLength: 512 };

const MAX_OPERATIONS = 200;
const SIZES = [0, 1, 5, 100, 300, 4_096, 16_384, 70_000] as const;
const TIMES = [1, 900, 1_000, 10_000, 30_000, 61_000] as const;
const TAKES = [1, 20, 200, 16_384, Number.POSITIVE_INFINITY] as const;

export function fuzz(input: Uint8Array): void {
  const bits = input[0] ?? 0;
  if ((bits & 2) !== 0) {
    talk(input, bits);
    return;
  }
  const whole = drive(input, bits, wholeChunk);
  const cut = drive(input, bits, chunkingOf(input));
  compare(whole, cut);
}

/** Options by some bits of the first byte. */
function optionsOf(bits: number): Http2Options {
  return {
    ...((bits & 4) === 0 ? {} : { guard: false }),
    ...((bits & 8) === 0
      ? {}
      : {
          maxConcurrentStreams: 3,
          initialWindowBytes: 5_000,
          connectionWindowBytes: 65_535,
          sendHighWaterBytes: 400,
          sendLowWaterBytes: 100,
          maxHeaderListBytes: 300,
          maxHeaderBlockBytes: 250,
          maxContinuations: 2,
          maxStreams: 12,
          headerTableBytes: 128,
        }),
  };
}

/** Reads operations: a letter, then its arguments. */
class Operations {
  readonly #bytes: Uint8Array;
  #at = 1;
  count = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The next letter; empty at the end. */
  next(): string {
    if (this.#at >= this.#bytes.length || this.count++ >= MAX_OPERATIONS) return '';
    return String.fromCharCode(this.byte());
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  of<Value>(values: readonly Value[]): Value {
    return values[this.byte() % values.length] as Value;
  }

  bytes(): Uint8Array {
    const length = this.byte() % 64;
    const found = this.#bytes.slice(this.#at, this.#at + length);
    this.#at += length;
    return found;
  }
}

// ---- one connection and a peer that sends anything ------------------------------------------------------------------------------------

function drive(input: Uint8Array, bits: number, sizeAt: (at: number) => number): Http2Endpoint {
  const isServer = (bits & 1) === 0;
  const end = new Http2Endpoint(isServer ? Role.server : Role.client, optionsOf(bits));
  const peer = new Http2PeerWriter(isServer);
  const operations = new Operations(input);
  // Most inputs begin as a connection does.
  if ((bits & 16) === 0) peer.begin();
  let isCorked = false;
  const flush = (): void => {
    if (isCorked) return;
    end.receive(peer.take(), sizeAt);
  };
  flush();
  for (let letter = operations.next(); letter !== ''; letter = operations.next()) {
    if (letter === 'B') isCorked = !isCorked;
    else if (letter === 'E') {
      isCorked = false;
      flush();
      end.receiveEnd();
    } else if (!speak(peer, letter, operations, end)) command(end, letter, operations);
    flush();
    // A peer that knows what it was granted, unless it is deaf. A server hears of requests at once: it cannot know of streams before.
    if ((bits & 32) === 0 || !isServer) {
      end.take(Number.POSITIVE_INFINITY);
      end.checkBooks();
    }
  }
  isCorked = false;
  flush();
  end.checkEnd();
  return end;
}

/** The operations of the peer. @returns false if it is none */
function speak(peer: Http2PeerWriter, letter: string, operations: Operations, end: Http2Endpoint): boolean {
  switch (letter) {
    case 'S':
      peer.settings(operations.byte(), operations.byte());
      return true;
    case 'A':
      peer.acknowledge();
      return true;
    case 'H':
      peer.headers(operations.byte(), operations.byte(), operations.byte());
      return true;
    case 'K':
      peer.block(operations.byte(), operations.byte(), operations.bytes());
      return true;
    case 'D':
      peer.data(operations.byte(), operations.byte(), operations.of(SIZES));
      return true;
    case 'R':
      peer.reset(operations.byte(), operations.byte());
      return true;
    case 'W':
      peer.windowUpdate(operations.byte(), operations.byte());
      return true;
    case 'P':
      peer.ping(operations.byte() % 2 === 0 ? null : end.observer.lastPing);
      return true;
    case 'G':
      peer.goaway(operations.byte(), operations.byte());
      return true;
    case 'U':
      peer.priorityUpdate(operations.byte(), operations.byte());
      return true;
    case 'F':
      peer.frame(operations.byte(), operations.byte(), operations.byte(), operations.bytes());
      return true;
    case 'X':
      peer.raw(operations.bytes());
      return true;
    default:
      return false;
  }
}

/** The operations of the program, and of time. */
function command(end: Http2Endpoint, letter: string, operations: Operations): void {
  const { connection } = end;
  switch (letter) {
    case 'q':
      end.request(operations.byte());
      return;
    case 'g':
      end.causedBytes += 60;
      connection.drain(end.now);
      end.pump();
      return;
    case 'i':
      end.causedBytes += 17;
      connection.ping(end.now);
      return;
    case 'Q':
      // No stream that is open is told of it: the program knows.
      for (const ledger of end.order) if (!ledger.stream.isClosed) ledger.isGivenUp = true;
      end.causedBytes += 60;
      end.isOver = true;
      connection.goaway(operations.byte() % 14, 'bye', end.now);
      end.pump();
      return;
    case 't':
      end.advance(operations.of(TIMES));
      return;
    case 'o':
      end.take(operations.of(TAKES));
      return;
    default:
  }
  const isOfStream = 'rIdexhcu'.includes(letter);
  const ledger = isOfStream ? end.pick(operations.byte()) : null;
  if (ledger === null) return;
  switch (letter) {
    case 'r':
      end.respond(ledger, operations.byte());
      return;
    case 'I':
      end.interim(ledger);
      return;
    case 'd':
      end.send(ledger, operations.of(SIZES));
      return;
    case 'e':
      end.finish(ledger, operations.byte() % 2 === 1);
      return;
    case 'x':
      end.reset(ledger, operations.byte() % 14);
      return;
    case 'h':
      end.pause(ledger, true);
      return;
    case 'c':
      end.pause(ledger, false);
      return;
    case 'u':
      end.causedBytes += 40;
      connection.setPriority(ledger.stream, operations.byte() % 8, operations.byte() % 2 === 1);
      break;
    default:
  }
}

/**
 * The same events, however the bytes were cut. What came of a body before a reset may differ: a frame that is too long is noticed within it. So may
 * whether a window was passed that is renewed piece by piece: who keeps to what it has heard of never sees a difference.
 */
function compare(one: Http2Endpoint, other: Http2Endpoint): void {
  if (one.hasPassedWindow() || other.hasPassedWindow()) return;
  const [a, b] = [one.events.join('\n'), other.events.join('\n')];
  invariant(a === b, 'split', () => `${a}\n  and\n${b}`);
  for (const ledger of one.order) {
    const twin = other.ledgers.get(ledger.stream.id);
    const [body, twinBody] = [Buffer.concat(ledger.body), Buffer.concat(twin?.body ?? [])];
    const length = ledger.resetReason === null && one.fatal === null ? body.length : Math.min(body.length, twinBody.length);
    invariant(
      body.subarray(0, length).equals(twinBody.subarray(0, ledger.resetReason === null && one.fatal === null ? undefined : length)),
      'split',
      () => `bodies of ${ledger.stream.id}`,
    );
  }
}

// ---- two connections ---------------------------------------------------------------------------------------------------------------------

function talk(input: Uint8Array, bits: number): void {
  // Without the guard and small limits of heads: what is asked here would be too much.
  const generous: Http2Options = { guard: false, maxHeaderListBytes: 32_768, maxHeaderBlockBytes: 32_768, maxContinuations: 8 };
  const server = new Http2Endpoint(Role.server, { ...optionsOf(bits & 8), ...generous });
  const client = new Http2Endpoint(Role.client, { ...optionsOf((bits & 16) >> 1), ...generous });
  const ends = [server, client] as const;
  const sizeAt = chunkingOf(input);
  const operations = new Operations(input);
  let side = 0;
  const move = (from: Http2Endpoint, to: Http2Endpoint, maxBytes: number): number => {
    const bytes = from.take(maxBytes);
    to.receive(bytes, sizeAt);
    return bytes.length;
  };
  let quietMs = 0;
  const pass = (): void => {
    // Bytes are under way for some seconds at most: SETTINGS or an acknowledgement that took longer would rightly end a connection.
    if (quietMs > 5_000) {
      move(client, server, 100_000);
      move(server, client, 100_000);
      quietMs = 0;
    }
    for (const one of ends) {
      const elapsedMs = operations.byte() % 900;
      one.advance(elapsedMs);
      quietMs += elapsedMs;
    }
  };
  for (let letter = operations.next(); letter !== ''; letter = operations.next()) {
    const end = ends[side] as Http2Endpoint;
    const other = ends[1 - side] as Http2Endpoint;
    if (letter === '|') side = 1 - side;
    else if (letter === 'o') move(end, other, operations.of(TAKES));
    else if (letter === 't') pass();
    else if (letter !== 'Q' && letter !== 'E') command(end, letter, operations);
    for (const one of ends) invariant(one.fatal === null, 'two connections need no error', () => one.fatal?.message ?? '');
  }
  // All that was said arrives, as long as somebody reads.
  for (const one of ends) for (const ledger of one.order) one.pause(ledger, false);
  for (let rounds = 0, moved = 1; moved > 0; rounds++) {
    invariant(rounds < 5_000, 'two connections come to rest', () => `${rounds} rounds`);
    moved = move(client, server, 100_000) + move(server, client, 100_000);
    for (const one of ends) for (const ledger of one.order) one.pause(ledger, false);
    for (const one of ends) invariant(one.fatal === null, 'two connections need no error', () => one.fatal?.message ?? '');
  }
  for (const one of ends) one.checkBooks();
  for (const ledger of server.order) checkPassed(ledger.stream.id, client, server);
  for (const ledger of client.order) checkPassed(ledger.stream.id, server, client);
  server.checkEnd();
  client.checkEnd();
}

/** What one side has ended, the other has had whole; and nobody is reset for a reason that nobody gave. */
function checkPassed(id: number, from: Http2Endpoint, to: Http2Endpoint): void {
  const sender = from.ledgers.get(id);
  const receiver = to.ledgers.get(id);
  if (receiver === undefined || sender === undefined) return;
  const isReset = receiver.resetReason !== null;
  const isGiven = sender.isGivenUp || sender.resetReason !== null || receiver.isGivenUp;
  const isLate = receiver.resetReason === 'H2_GOAWAY' || receiver.resetReason === 'H2_STREAM_RESET';
  invariant(!isReset || isGiven || isLate, 'two connections reset nothing by themselves', () => `${id}: ${receiver.resetReason}`);
  if (isReset || isGiven || !sender.hasEnded) return;
  const received = Buffer.concat(receiver.body);
  const isWhole = receiver.end !== null && received.equals(bodyBytes(id, 0, sender.sentBytes));
  invariant(isWhole, 'what is sent arrives', () => `${id}: ${received.length} of ${sender.sentBytes} bytes`);
}

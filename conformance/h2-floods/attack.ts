/**
 * What an attack is, and the shapes that most of them have: a flood that must be ended, a violation that must end the connection, one that must
 * end its stream only, a load that must be borne.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Code, Flag, headers, requestBlock, Setting } from '../rig/http2-bytes.ts';
import { connectRawHttp2, listenRawHttp2, opening, type RawHttp2Peer, type RawHttp2Server } from '../rig/raw-http2-client.ts';
import type { ServerName } from './servers.ts';

/** What an attack is given. */
export interface AttackContext {
  readonly port: number;
  readonly server: ServerName;
  /** Opens a connection that is destroyed when the attack is over. */
  connect(first?: Uint8Array): Promise<RawHttp2Peer>;
  /** Opens a port for an evil origin, closed when the attack is over. @returns the port */
  listen(onPeer: (peer: RawHttp2Peer) => void): Promise<number>;
  /** A number below `below`, by a seed. */
  random(below: number): number;
}

/** An attack. */
export interface Attack {
  readonly id: string;
  /** What it is after; the record of it, if there is one. */
  readonly why: string;
  /** `alone`: nothing else may run beside it, as it needs the whole machine. `slow`: it takes seconds of waiting. Default `quick`. */
  readonly pace?: 'quick' | 'slow' | 'alone';
  /** It makes the server hold tens of megabytes: never beside another one that does. */
  readonly isHeavy?: boolean;
  /** The servers that it is meant for. Default: all but the hurried one, and the one with evil origins. */
  readonly servers?: readonly ServerName[];
  /** @returns what the server did wrong, or null */
  run(context: AttackContext): Promise<string | null>;
}

/** How long an attack may go on, and then how long the server may take to end it. */
export const ATTACK_MS = 4_000;
export const CLOSE_MS = 2_500;
const REFUSED_PAUSE_MS = 100;
/** What our ends read and drop behind their GOAWAY, so that it arrives. */
const LISTENED_BYTES = 1_048_576;

/** How a connection has to end. */
export interface Ending {
  /** Codes of the GOAWAY, any of them. */
  readonly codes: readonly number[];
  /** How many streams may have been begun. */
  readonly maxStreams?: number;
  /** A close without a word is right too: the peer did not even begin, or does not read. */
  readonly maySayNothing?: boolean;
  readonly closeMs?: number;
}

/** The names of codes, for what is told. */
const CODE_NAMES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

function nameOf(code: number): string {
  return CODE_NAMES.get(code) ?? String(code);
}

/** Waits for the end of a connection and judges it. @returns what is wrong, or null */
export async function judgeEnding(peer: RawHttp2Peer, ending: Ending): Promise<string | null> {
  const { codes, maxStreams = Number.POSITIVE_INFINITY, maySayNothing = false, closeMs = CLOSE_MS } = ending;
  await peer.until(() => peer.isClosed, closeMs);
  const wanted = codes.map(nameOf).join(' or ');
  // The first of two may be that of an end in order.
  const goaway = peer.goaways.at(-1);
  if (goaway === undefined) {
    if (!peer.isClosed) return `was not ended: no GOAWAY (${wanted}), no close; ${told(peer)}`;
    // Who goes on to send beyond what is listened to after a GOAWAY is cut off, and then the kernel throws away what that peer has not read yet.
    if (peer.isReset && peer.socket.bytesWritten > LISTENED_BYTES) return null;
    return maySayNothing ? null : `was closed without a GOAWAY (${wanted})${peer.isReset ? ', by a reset' : ''}; ${told(peer)}`;
  }
  if (!codes.includes(goaway.code)) return `GOAWAY says ${nameOf(goaway.code)} (${goaway.debug}) where ${wanted} is due`;
  if (goaway.code === Code.calm && goaway.debug.trim() === '') return 'GOAWAY says calm without a reason';
  if (goaway.lastStreamId / 2 > maxStreams) return `${Math.ceil(goaway.lastStreamId / 2)} streams were begun; ${maxStreams} would do`;
  return peer.isClosed ? null : `GOAWAY came, the connection stayed open for ${closeMs} ms`;
}

function told(peer: RawHttp2Peer): string {
  return `${peer.frameCount} frames, ${peer.resetCount} resets, ${peer.pingAckCount} PING and ${peer.settingsAckCount} SETTINGS acknowledgements came`;
}

/** How a flood goes. */
export interface Stream {
  /** The bytes of one more batch; n counts from 0. */
  batch(n: number): Uint8Array;
  /** Batches at most. */
  readonly count: number;
  readonly ms?: number;
  /** Waits so long between batches. Default: goes on as fast as they are taken. */
  readonly everyMs?: number;
}

/** Sends batch after batch until the peer has had enough, all were sent, or the time is over. @returns how many were sent */
export async function pour(peer: RawHttp2Peer, { batch, count, ms = ATTACK_MS, everyMs = 0 }: Stream): Promise<number> {
  const end = performance.now() + ms;
  let sent = 0;
  while (sent < count && !peer.isOver && performance.now() < end) {
    if (!peer.write(batch(sent++))) await peer.drained(Math.max(1, end - performance.now()));
    if (everyMs > 0) await peer.until(() => peer.isOver, everyMs);
    else await nextTurn();
  }
  return sent;
}

/** Batches of `size` streams each, with ids that rise from 1: `frames` are those of one stream. */
export function each(size: number, frames: (id: number, n: number) => readonly Uint8Array[]): (n: number) => Buffer {
  return (n) => {
    const all: Uint8Array[] = [];
    for (let i = n * size; i < (n + 1) * size; i++) all.push(...frames(2 * i + 1, i));
    return Buffer.concat(all);
  };
}

/** A hundred requests at once; those that POST have a body that is still to come. */
export function hundred(method: 'GET' | 'POST', path: string): Buffer {
  const flags = method === 'GET' ? Flag.endHeaders | Flag.endStream : Flag.endHeaders;
  return each(100, (id) => [headers(id, requestBlock(method, path), flags)])(0);
}

/** An attack that repeats itself. */
export interface FloodInit extends Omit<Attack, 'run'>, Stream {
  /** Sent first, after preface and SETTINGS. */
  readonly before?: Uint8Array;
  /** The opening instead of preface and SETTINGS. */
  readonly first?: Uint8Array;
  /** The code of the GOAWAY. Default calm. */
  readonly codes?: readonly number[];
  readonly maxStreams?: number;
  /** Nothing is read meanwhile. */
  readonly isDeaf?: boolean;
  /** It may be borne as well, all of it: then the connection must still serve. */
  readonly mayBeBorne?: boolean;
  /** How long the server may take to end it. */
  readonly closeMs?: number;
}

/** A flood: it must be ended, and the server must say why. */
export function flood(init: FloodInit): Attack {
  const {
    before,
    first,
    codes = [Code.calm],
    maxStreams,
    isDeaf = false,
    mayBeBorne = false,
    closeMs = CLOSE_MS,
    batch,
    count,
    ms,
    everyMs,
    ...rest
  } = init;
  return {
    ...rest,
    async run(context) {
      const peer = await context.connect(first);
      if (before !== undefined) peer.write(before);
      if (isDeaf) peer.hold();
      const sent = await pour(peer, { batch, count, ...(ms === undefined ? {} : { ms }), ...(everyMs === undefined ? {} : { everyMs }) });
      if (isDeaf) {
        // What was said while nobody listened must not have been held without end; then it may end by a close alone.
        await peer.drained(500);
        peer.release();
      }
      // All was sent before the server had a turn to say that it is too much.
      await peer.until(() => peer.isOver, mayBeBorne ? 200 : Math.min(1_000, closeMs));
      if (mayBeBorne) return await servesOrEnds(peer, codes);
      const problem = await judgeEnding(peer, {
        codes,
        closeMs,
        maySayNothing: isDeaf,
        ...(maxStreams === undefined ? {} : { maxStreams }),
      });
      return problem === null ? null : `${problem} (after ${sent} of ${count} batches)`;
    },
  };
}

/** Something no peer may do, once. */
export interface ViolationInit extends Omit<Attack, 'run'> {
  readonly bytes: Uint8Array;
  readonly codes: readonly number[];
  readonly first?: Uint8Array;
  readonly maySayNothing?: boolean;
  readonly closeMs?: number;
}

/** A violation that ends the connection, with the code that the RFC names. */
export function violation({ bytes, codes, first, maySayNothing = false, closeMs = CLOSE_MS, ...rest }: ViolationInit): Attack {
  return {
    ...rest,
    async run({ connect }) {
      const peer = await connect(first);
      peer.write(bytes);
      return await judgeEnding(peer, { codes, maySayNothing, closeMs });
    },
  };
}

/** A violation by one stream. */
export interface StreamViolationInit extends Omit<Attack, 'run'> {
  readonly bytes: Uint8Array;
  /** Of the streams that must be refused. Default 1. */
  readonly streamId?: number;
  /** Codes of the RST_STREAM. */
  readonly codes: readonly number[];
  /** Codes of a GOAWAY that are as right: the RFC lets a connection error stand for a stream error (RFC 9113 §5.4.1). */
  readonly connectionCodes?: readonly number[];
  /** A status that refuses it as well (RFC 9113 §8.1.1 allows an answer before the reset). */
  readonly statuses?: readonly number[];
  readonly closeMs?: number;
}

/** A violation that ends its stream, while the connection serves on. */
export function streamViolation(init: StreamViolationInit): Attack {
  const { bytes, streamId = 1, codes, connectionCodes = [], statuses = [], closeMs = CLOSE_MS, ...rest } = init;
  return {
    ...rest,
    async run({ connect }) {
      const peer = await connect();
      peer.write(bytes);
      const seen = peer.stream(streamId);
      await peer.until(() => seen.resetCode >= 0 || (seen.isEnded && statuses.includes(seen.status)) || peer.isOver, closeMs);
      if (peer.isOver) {
        const goaway = peer.goaways.at(-1);
        if (goaway !== undefined && connectionCodes.includes(goaway.code)) return await judgeEnding(peer, { codes: connectionCodes });
        return `ended the connection (${goaway === undefined ? 'without a GOAWAY' : `${nameOf(goaway.code)}, ${goaway.debug}`}) for the fault of one stream`;
      }
      if (seen.resetCode >= 0 && !codes.includes(seen.resetCode)) {
        return `reset with ${nameOf(seen.resetCode)} where ${codes.map(nameOf).join(' or ')} is due`;
      }
      if (seen.resetCode < 0 && !(seen.isEnded && statuses.includes(seen.status))) return `was not refused: status ${seen.status}`;
      return await serves(peer, 1_001);
    },
  };
}

/** Asks for `/` on a stream that is new; again, while streams of before are in the way (RFC 9113 §8.7). @returns what is wrong, or null */
export async function serves(peer: RawHttp2Peer, streamId = 1_000_001): Promise<string | null> {
  const end = performance.now() + CLOSE_MS;
  let id = streamId;
  for (; ; id += 2) {
    peer.write(headers(id, requestBlock('GET', '/')));
    const seen = peer.stream(id);
    await peer.until(() => seen.isEnded || seen.resetCode >= 0 || peer.isOver, Math.max(1, end - performance.now()));
    if (seen.status === 200 && seen.text === 'ok') return null;
    if (seen.resetCode !== Code.refused || peer.isOver || performance.now() > end) break;
    await peer.until(() => peer.isOver, REFUSED_PAUSE_MS);
  }
  const { status, resetCode } = peer.stream(id);
  const goaway = peer.goaways.at(-1);
  const how =
    goaway === undefined
      ? `status ${status}, reset ${resetCode}, ${peer.isClosed ? 'closed' : 'open'}`
      : `GOAWAY ${nameOf(goaway.code)} (${goaway.debug})`;
  return `the connection no longer serves: ${how}`;
}

/** Asks for `/`, unless the connection has been ended, or is, by what it still had to read: then with one of `codes`. @returns what is wrong, or null */
export async function servesOrEnds(peer: RawHttp2Peer, codes: readonly number[], streamId?: number): Promise<string | null> {
  if (!peer.isOver) {
    const problem = await serves(peer, streamId);
    if (!peer.isOver) return problem;
  }
  return await judgeEnding(peer, { codes });
}

/** Options of `load`. */
export interface LoadInit extends Omit<Attack, 'run'> {
  /** Opens the load, and leaves it standing. @returns what is wrong already, or null */
  load(context: AttackContext): Promise<string | null>;
  /** How long it stands. */
  readonly ms: number;
}

/** A load that no rule forbids: nothing is demanded but what the suite demands of every attack, that memory is bounded and others are served. */
export function load({ load: begin, ms, ...rest }: LoadInit): Attack {
  return {
    ...rest,
    async run(context) {
      const end = performance.now() + ms;
      const problem = await begin(context);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - performance.now())));
      return problem;
    },
  };
}

/** Preface and SETTINGS of a client that gives streams a window of its own choice. */
export function openingWithWindow(bytes: number): Buffer {
  return opening([Setting.initialWindowSize, bytes]);
}

/** Makes the context of an attack. @returns it, and what ends its connections */
export function contextFor(port: number, server: ServerName, seed: number): { readonly context: AttackContext; end(): Promise<void> } {
  const peers: RawHttp2Peer[] = [];
  const listening: RawHttp2Server[] = [];
  let state = seed | 1;
  return {
    context: {
      port,
      server,
      async connect(first) {
        const peer = await connectRawHttp2({ port, ...(first === undefined ? {} : { opening: first }) });
        peers.push(peer);
        return peer;
      },
      async listen(onPeer) {
        const origin = await listenRawHttp2(onPeer);
        listening.push(origin);
        return origin.port;
      },
      random(below) {
        // xorshift32: enough to vary an attack, and the same each time.
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return (state >>> 0) % below;
      },
    },
    async end() {
      for (const peer of peers) peer.destroy();
      for (const origin of listening) await origin.close();
    },
  };
}

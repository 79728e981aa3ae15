/**
 * Options of a connection, with the defaults that the whole project keeps to.
 *
 * One set for both roles: what differs by role (fields of a message, PING, who waits for what) says so. Sizes are bytes, times milliseconds.
 */
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import { type FloodGuardOptions, type ResolvedFloodGuardOptions, resolveFloodGuardOptions } from './flood-guard-options.ts';
import { MAX_WINDOW_BYTES } from './flow-window.ts';
import { Role } from './role.ts';

/** Options of an `Http2Connection`. */
export interface Http2Options {
  // What the peer may send.
  /** Our SETTINGS_MAX_FRAME_SIZE. Default 16 384, the least RFC 9113 allows. Raising it lets a peer make us hold a header frame of that size. */
  readonly maxFrameBytes?: number;
  /**
   * CONTINUATION frames behind one HEADERS. Default 8, or what `maxHeaderBlockBytes` need if that is more. Raising it costs a turn for each more,
   * which a peer gets for 9 bytes.
   */
  readonly maxContinuations?: number;
  /**
   * Bytes of one field block on the wire. Default four times `maxHeaderListBytes`, at least 32 768. Beyond it the connection ends, as the header
   * table is lost; what lies between is a list too large, which costs its own message and no other: a client that shares the connection shall
   * not suffer from it. Raising it lets so much more be decoded for nothing, and one unfinished field be held.
   */
  readonly maxHeaderBlockBytes?: number;
  /** Our SETTINGS_MAX_HEADER_LIST_SIZE: names, values and 32 for each field line. Default 32 768. Raising it is memory for each stream. */
  readonly maxHeaderListBytes?: number;
  /** Field lines of a message, crumbs of Cookie each for itself. Default 100 (server), 200 (client). A line may cost one byte on the wire. */
  readonly maxHeaderCount?: number;
  /** Our SETTINGS_HEADER_TABLE_SIZE. Default 4 096. Memory of each connection. */
  readonly headerTableBytes?: number;
  /** Table of our encoder, even where the peer allows more. Default 4 096. Memory of each connection. */
  readonly encoderTableBytes?: number;
  /**
   * Streams open at once. Default 100. For a server it is SETTINGS_MAX_CONCURRENT_STREAMS, and more are refused; for a client the most that it
   * opens, even where the peer allows more. Each may hold a request, a response and their windows.
   */
  readonly maxConcurrentStreams?: number;
  /** Streams over the life of a connection; then it drains. Default 10 000, at most 2^30. */
  readonly maxStreams?: number;
  /** Interim responses to one request: a server drops more, for a client one more is an error. Default 8 (server), 100 (client). */
  readonly maxInterimResponses?: number;

  // Flow control.
  /**
   * Our SETTINGS_INITIAL_WINDOW_SIZE: bytes of a body that a stream may hold before anybody reads it. Default 65 535 (server), 16 384 (client: a
   * proxy reads as fast as its own clients do, and those that do not read may be thousands of streams). At least 1: credit is earned by what
   * was read, so a window of 0 would never open.
   */
  readonly initialWindowBytes?: number;
  /**
   * What the window of a stream becomes with its first credit, when its reader has taken half of a smaller one and goes on. Default
   * `initialWindowBytes` where that is given, else 65 535. Costs no frame of its own.
   */
  readonly readWindowBytes?: number;
  /** To what the window of one stream may grow. Default 1 MiB. */
  readonly maxWindowBytes?: number;
  /** Window of the connection, at least 65 535. Default 1 MiB. It is renewed on receipt, so it bounds what is under way, not what is stored. */
  readonly connectionWindowBytes?: number;
  /**
   * Bytes of bodies that all streams may hold together while nobody reads them. Default 8 MiB, or what `maxConcurrentStreams` initial windows
   * need if that is more. Windows grow within it.
   */
  readonly maxReceiveBufferBytes?: number;
  /** Whether windows grow by the bandwidth-delay product (costs a PING now and then). Default true. */
  readonly isWindowGrowthEnabled?: boolean;
  /** Bytes that wait in one stream from which `sendData` says false; `sendLowWaterBytes` while no window lets anything out. Default 65 536. */
  readonly sendHighWaterBytes?: number;
  /** Bytes that wait in one stream below which it is writable again. Default 16 384, no more than `sendHighWaterBytes`. */
  readonly sendLowWaterBytes?: number;

  /** Bytes that wait in all streams together from which `sendData` says false to each. Default 1 MiB. Each deaf peer can make us hold so much. */
  readonly maxSendQueueBytes?: number;

  // What is spoken.
  /** What `:scheme` of our requests says (client). Default `http`. */
  readonly scheme?: 'http' | 'https';
  /** Names of fields whose values are secrets: never in a table of ours or of those behind (RFC 7541 §7.1.3). Default: none beyond the usual ones. */
  readonly sensitiveNames?: readonly string[];
  /** Extended CONNECT (RFC 8441): a server offers it, and a request with `:protocol` is malformed otherwise. Default false. */
  readonly isExtendedConnectEnabled?: boolean;
  /** Budgets against floods; `false` switches them off. Default: on. */
  readonly guard?: FloodGuardOptions | false;
  /** Control frames (acknowledgements, RST_STREAM, WINDOW_UPDATE) that wait because the peer reads nothing. Default 256. */
  readonly maxQueuedControlFrames?: number;

  // Times.
  /** From the beginning to the peer's first SETTINGS. Default 10 000. */
  readonly prefaceTimeoutMs?: number;
  /** From our SETTINGS to its acknowledgement. Default 10 000. */
  readonly settingsTimeoutMs?: number;
  /** From the first byte of a field block to its end, however many frames it comes in, or of any frame but DATA. Default 10 000. More gives slow-head attacks more room. */
  readonly headerTimeoutMs?: number;
  /** Between two pieces of a request body that is wanted, until our response begins (server). Default 30 000. */
  readonly bodyTimeoutMs?: number;
  /** How long a request body may come below the minimum rate at its beginning (server). Default 10 000. */
  readonly bodyGraceMs?: number;
  /**
   * Least average rate of a request body after the grace, until our response begins (server). Default 240 B/s; 0 switches the check off. Time in
   * which reading is paused does not count; tunnels have no rate. Lowering it lets a client hold a stream for fewer bytes.
   */
  readonly minBodyBytesPerSecond?: number;
  /**
   * How long nothing may move on a stream in either direction when our response has begun and the request is not whole (server), as on streams of
   * gRPC that talk now and then. Default 300 000; `Infinity` for no limit. Raising it lets a silent client hold the stream, and what serves it, for
   * so much longer.
   */
  readonly streamIdleTimeoutMs?: number;
  /**
   * From the end of a request to the head of its response, or from one interim response to the next (client). Default 60 000. Interim responses
   * put the final one off to 30 times as long in all.
   */
  readonly firstByteTimeoutMs?: number;
  /** Between two pieces of a response that is wanted (client). Default 60 000. */
  readonly readTimeoutMs?: number;
  /** How long a stream with data may get no, or hardly any, window before it is reset. Default 30 000. */
  readonly stallTimeoutMs?: number;
  /** What a stream with data must get on average over `stallTimeoutMs`. Default 240 B/s. */
  readonly minSendBytesPerSecond?: number;
  /** Without a stream; then GOAWAY(NO_ERROR). Default 60 000. */
  readonly idleTimeoutMs?: number;
  /**
   * How long a peer may be silent while streams are open before a PING asks whether it lives; 0: never asked. Default 60 000 (server), 30 000
   * (client). A frame of 17 bytes each way in so much time; lower finds vanished peers sooner, and wakes the radios of sleeping ones.
   */
  readonly pingIntervalMs?: number;
  /**
   * From such a PING to the first sign of life: any byte received, or output that moves again. Default 10 000. DATA that is in front of the PING is
   * given as long as it takes at 16 000 B/s, 4 MiB at most, so that whoever only reads slowly lives.
   */
  readonly pingTimeoutMs?: number;
  /** Most that the second GOAWAY of a drain waits for an acknowledged PING. Default 1 000. */
  readonly drainTimeoutMs?: number;
}

/** `Http2Options` with every default filled in. */
export interface ResolvedHttp2Options extends Required<Omit<Http2Options, 'guard'>> {
  readonly role: Role;
  readonly guard: ResolvedFloodGuardOptions | false;
  readonly isResolved: true;
}

/** The decoders count in 30 bits; nothing that is counted here needs more. */
const MAX_COUNT = 0x3fff_ffff;
const DEFAULT_RECEIVE_BUFFER_BYTES = 0x80_0000;

/**
 * Fills in the defaults of a role, once for all connections.
 *
 * @throws {RangeError} when a value makes no sense; the message names the option
 */
export function resolveHttp2Options(role: Role, options: Http2Options | ResolvedHttp2Options = {}): ResolvedHttp2Options {
  if ('isResolved' in options) {
    if (options.role !== role) throw new RangeError('these options were resolved for the other role');
    return options;
  }
  const isServer = role === Role.server;
  const maxConcurrentStreams = whole('maxConcurrentStreams', options.maxConcurrentStreams ?? 100, 1, 0x7fff_ffff);
  const initialWindowBytes = whole('initialWindowBytes', options.initialWindowBytes ?? (isServer ? 65_535 : 16_384), 1, MAX_WINDOW_BYTES);
  const readWindowBytes =
    options.readWindowBytes ??
    options.initialWindowBytes ??
    Math.max(initialWindowBytes, Math.min(65_535, options.maxWindowBytes ?? 65_535));
  const leastBuffer = Math.min(maxConcurrentStreams * initialWindowBytes, Number.MAX_SAFE_INTEGER);
  const maxFrameBytes = whole('maxFrameBytes', options.maxFrameBytes ?? 16_384, 16_384, 0xff_ffff);
  const maxHeaderListBytes = whole('maxHeaderListBytes', options.maxHeaderListBytes ?? 32_768, 0, MAX_COUNT);
  const blockBytes = Math.min(Math.max(32_768, 4 * maxHeaderListBytes), MAX_COUNT);
  const maxHeaderBlockBytes = whole('maxHeaderBlockBytes', options.maxHeaderBlockBytes ?? blockBytes, 0, MAX_COUNT);
  const sendHighWaterBytes = whole('sendHighWaterBytes', options.sendHighWaterBytes ?? 65_536, 1, 0x4000_0000);
  return Object.freeze({
    isResolved: true,
    role,
    maxFrameBytes,
    maxContinuations: whole(
      'maxContinuations',
      options.maxContinuations ?? Math.max(8, Math.ceil(maxHeaderBlockBytes / maxFrameBytes)),
      0,
      MAX_COUNT,
    ),
    maxHeaderBlockBytes,
    maxHeaderListBytes,
    maxHeaderCount: whole('maxHeaderCount', options.maxHeaderCount ?? (isServer ? 100 : 200), 1, MAX_COUNT),
    headerTableBytes: whole('headerTableBytes', options.headerTableBytes ?? 4_096, 0, 0x100_0000),
    encoderTableBytes: whole('encoderTableBytes', options.encoderTableBytes ?? 4_096, 0, 0x100_0000),
    maxConcurrentStreams,
    maxStreams: whole('maxStreams', options.maxStreams ?? 10_000, 1, 0x4000_0000),
    maxInterimResponses: whole('maxInterimResponses', options.maxInterimResponses ?? (isServer ? 8 : 100), 0, MAX_COUNT),
    initialWindowBytes,
    readWindowBytes: whole('readWindowBytes', readWindowBytes, initialWindowBytes, MAX_WINDOW_BYTES),
    maxWindowBytes: whole(
      'maxWindowBytes',
      options.maxWindowBytes ?? Math.max(0x10_0000, readWindowBytes),
      options.readWindowBytes ?? initialWindowBytes,
      MAX_WINDOW_BYTES,
    ),
    connectionWindowBytes: whole('connectionWindowBytes', options.connectionWindowBytes ?? 0x10_0000, 65_535, MAX_WINDOW_BYTES),
    maxReceiveBufferBytes: whole(
      'maxReceiveBufferBytes',
      options.maxReceiveBufferBytes ?? Math.max(DEFAULT_RECEIVE_BUFFER_BYTES, leastBuffer),
      leastBuffer,
      Number.MAX_SAFE_INTEGER,
    ),
    isWindowGrowthEnabled: options.isWindowGrowthEnabled ?? true,
    sendHighWaterBytes,
    sendLowWaterBytes: whole('sendLowWaterBytes', options.sendLowWaterBytes ?? Math.min(16_384, sendHighWaterBytes), 1, sendHighWaterBytes),
    maxSendQueueBytes: whole('maxSendQueueBytes', options.maxSendQueueBytes ?? 0x10_0000, 1, 0x4000_0000),
    sensitiveNames: Object.freeze([...(options.sensitiveNames ?? [])]),
    scheme: options.scheme ?? 'http',
    isExtendedConnectEnabled: options.isExtendedConnectEnabled ?? false,
    guard: options.guard === false ? false : resolveFloodGuardOptions(options.guard),
    maxQueuedControlFrames: whole('maxQueuedControlFrames', options.maxQueuedControlFrames ?? 256, 1, MAX_COUNT),
    prefaceTimeoutMs: time('prefaceTimeoutMs', options.prefaceTimeoutMs ?? 10_000),
    settingsTimeoutMs: time('settingsTimeoutMs', options.settingsTimeoutMs ?? 10_000),
    headerTimeoutMs: time('headerTimeoutMs', options.headerTimeoutMs ?? 10_000),
    bodyTimeoutMs: time('bodyTimeoutMs', options.bodyTimeoutMs ?? 30_000),
    bodyGraceMs: checkNumber('bodyGraceMs', options.bodyGraceMs ?? 10_000, { min: 0 }),
    minBodyBytesPerSecond: checkNumber('minBodyBytesPerSecond', options.minBodyBytesPerSecond ?? 240, { min: 0 }),
    streamIdleTimeoutMs: time('streamIdleTimeoutMs', options.streamIdleTimeoutMs ?? 300_000),
    firstByteTimeoutMs: time('firstByteTimeoutMs', options.firstByteTimeoutMs ?? 60_000),
    readTimeoutMs: time('readTimeoutMs', options.readTimeoutMs ?? 60_000),
    stallTimeoutMs: time('stallTimeoutMs', options.stallTimeoutMs ?? 30_000),
    minSendBytesPerSecond: checkNumber('minSendBytesPerSecond', options.minSendBytesPerSecond ?? 240, { min: 0 }),
    idleTimeoutMs: time('idleTimeoutMs', options.idleTimeoutMs ?? 60_000),
    pingIntervalMs: checkNumber('pingIntervalMs', options.pingIntervalMs ?? (isServer ? 60_000 : 30_000), { min: 0 }),
    pingTimeoutMs: time('pingTimeoutMs', options.pingTimeoutMs ?? 10_000),
    drainTimeoutMs: time('drainTimeoutMs', options.drainTimeoutMs ?? 1_000),
  });
}

function whole(name: string, value: number, min: number, max: number): number {
  return checkWholeNumber(name, value, { min, max });
}

function time(name: string, value: number): number {
  return checkNumber(name, value, { above: 0 });
}

/** @ferrata/http2: HTTP/2 connections in both roles, as machines without I/O. Bytes, time and chance come in as arguments. */

// Connections, and what they tell

export { Http2Connection, type Http2RequestInit } from './connection.ts';
export { Http2Event } from './http2-event.ts';
export { type Http2Options, type ResolvedHttp2Options, resolveHttp2Options } from './options.ts';
export { Role } from './role.ts';
export { PeerSettings } from './settings.ts';
export { Http2Stream, type StreamBounds } from './stream.ts';

// Floods

export { FLOOD_REASONS, type FloodReason } from './flood-guard.ts';
export {
  type FloodBudget,
  type FloodGuardOptions,
  type ResolvedFloodGuardOptions,
  resolveFloodGuardOptions,
} from './flood-guard-options.ts';

// Malformed messages

export { MESSAGE_REASONS, type MessageReason, type MessageSide, messageError } from './message-reason.ts';

// Priorities (RFC 9218)

export { DEFAULT_PRIORITY, formatPriority, isIncremental, packPriority, parsePriority, urgencyOf } from './priority.ts';

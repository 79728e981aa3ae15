/** @ferrata/http2: HTTP/2 connections in both roles, as machines without I/O. Bytes, time and chance come in as arguments. */

// Connections
export { Http2Connection, type Http2RequestInit } from './connection.ts';
// Floods
export { FLOOD_REASONS, type FloodReason } from './flood-guard.ts';
export {
  type FloodBudget,
  type FloodGuardOptions,
  type ResolvedFloodGuardOptions,
  resolveFloodGuardOptions,
} from './flood-guard-options.ts';
export { Http2Event } from './http2-event.ts';
// Reasons and options
export { MESSAGE_REASONS, type MessageReason, type MessageSide, messageError } from './message-reason.ts';
export { type Http2Options, type ResolvedHttp2Options, resolveHttp2Options } from './options.ts';
// Priorities (RFC 9218)
export { DEFAULT_PRIORITY, formatPriority, isIncremental, packPriority, parsePriority, urgencyOf } from './priority.ts';
export { Role } from './role.ts';
export { PeerSettings } from './settings.ts';
export { Http2Stream } from './stream.ts';

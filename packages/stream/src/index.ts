/** @ferrata/stream: the L4 stream contract and its algebra. No I/O: bytes, time and chance come in as arguments. */

export { callUser, isThenable, watchAnswer } from './call-user.ts';
export { type Defer, deferToMicrotask } from './defer.ts';
export { type Fault, type FaultEffect, type FaultPlace, type FaultPlan, type FaultyOptions, faulty, formatFaultPlan } from './faulty.ts';
export { freeChunk, giveAway, isGivenAway, takeBack } from './given-chunk.ts';
export { idleTimeout } from './idle-timeout.ts';
export type { L4Sink, L4Stream, StreamState } from './l4-stream.ts';
export { type FlowLimits, type LimitedOptions, limited } from './limited.ts';
export { type MemoryCarrier, type MemoryPair, type MemoryPairOptions, type MemoryParcel, memoryPair } from './memory-pair.ts';
export { park } from './parked.ts';
export { type Chunking, type RechunkOptions, rechunked } from './rechunked.ts';
export { type Relay, type RelayIdle, type RelayOptions, type RelayResult, relay, relayed } from './relay.ts';
export { type FilterOutlet, filtered, type MakeStreamFilter, type StreamFilter, type StreamFilters } from './stream-filter.ts';
export { nextStreamId } from './stream-id.ts';
export { StreamInbox, type StreamInboxOwner } from './stream-inbox.ts';
export { formatAddress, type StreamAddress, type StreamInfo, type StreamTiming } from './stream-info.ts';
export { type ReadUntilOptions, StreamReader, type StreamReaderOptions } from './stream-reader.ts';
export { type StreamTap, tapped } from './tapped.ts';
export type { DistinguishedName, NameAttribute, PeerCertificate, SubjectAltName, TlsDigest } from './tls-digest.ts';
export { formatTraceEvent, type TraceEvent, type TraceEventKind, traced } from './traced.ts';

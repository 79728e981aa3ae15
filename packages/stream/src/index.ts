/** @ferrata/stream: the L4 stream contract and its algebra. No I/O: bytes, time and chance come in as arguments. */
export type { L4Sink, L4Stream, StreamState } from './l4-stream.ts';
export { formatAddress, type StreamAddress, type StreamInfo, type StreamTiming, type TlsDigest } from './stream-info.ts';
export { deferToMicrotask, type Defer } from './defer.ts';
export { nextStreamId } from './stream-id.ts';
export { StreamInbox, type StreamInboxOwner } from './stream-inbox.ts';
export { memoryPair, type MemoryCarrier, type MemoryPair, type MemoryPairOptions, type MemoryParcel } from './memory-pair.ts';
export { StreamReader, type ReadUntilOptions, type StreamReaderOptions } from './stream-reader.ts';
export { relay, relayed, type Relay, type RelayOptions, type RelayResult } from './relay.ts';
export { filtered, type FilterOutlet, type MakeStreamFilter, type StreamFilter, type StreamFilters } from './stream-filter.ts';
export { tapped, type StreamTap } from './tapped.ts';
export { idleTimeout } from './idle-timeout.ts';
export { traced, formatTraceEvent, type TraceEvent, type TraceEventKind } from './traced.ts';
export { rechunked, type Chunking, type RechunkOptions } from './rechunked.ts';
export { faulty, formatFaultPlan, type Fault, type FaultEffect, type FaultPlace, type FaultPlan, type FaultyOptions } from './faulty.ts';
export { limited, type FlowLimits, type LimitedOptions } from './limited.ts';
export { freeChunk, giveAway, isGivenAway } from './given-chunk.ts';

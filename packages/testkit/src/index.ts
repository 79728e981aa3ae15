/** @ferrata/testkit: what proves Ferrata, and your protocol on it: compliance suites, laws, arbitraries, oracles, worlds and scripted peers. */

// Arbitraries
export { type CutBytes, chunkings, cut, cutBytes } from './arbitrary/chunkings.ts';
export {
  type Drawn,
  inSequence,
  type LengthPrefixOptions,
  type LineOptions,
  lengthPrefixed,
  type NumberFormat,
  numberBytes,
  payloads,
  type TagLengthValueOptions,
  tagLengthValue,
  terminatedLines,
} from './arbitrary/frames.ts';
export { type FieldLine, fieldNames, fieldValues, headerLists, tokens } from './arbitrary/http-fields.ts';
export {
  type DrawnRequest,
  type DrawnResponse,
  type Framing,
  http1Pipelines,
  http1Requests,
  http1Responses,
  type MessageMeaning,
} from './arbitrary/http1-messages.ts';
export { type NearMissOptions, nearMisses } from './arbitrary/near-misses.ts';

// Laws and comparisons
export { type CodecLawsOptions, codecLaws, findLawBreach, type LawBreach } from './codec/codec-laws.ts';
export { type CodecUnderTest, type DecoderDriver, type Transcript } from './codec/codec-under-test.ts';
export {
  type Comparison,
  DifferenceFound,
  Differential,
  type DifferentialCounts,
  type DifferentialOptions,
  type DifferentialTestOptions,
  differential,
  type KnownDifference,
} from './codec/differential.ts';
export { codecLawChecks, transcribe } from './codec/law-checks.ts';
export { LawFailure, type LawFailureKind } from './codec/law-failure.ts';
export { showBytes } from './codec/show-bytes.ts';

// HTTP/1: codecs under the laws, and oracles
export { type Http1CodecOptions, type Http1Event, http1RequestBytes, http1RequestCodec, http1ResponseCodec } from './http1/http1-codec.ts';
export { type Http1Oracle, type OracleMessage, type OracleOptions, type OracleResult } from './http1/http1-oracle.ts';
export { LlhttpOracle } from './http1/llhttp-oracle.ts';
export {
  type NaiveFields,
  type NaiveMessage,
  type NaiveReading,
  type NaiveRequest,
  type NaiveResponse,
  naiveHttp1,
  naiveHttp1Responses,
} from './http1/naive-http1.ts';
export {
  loadNodeHttpParser,
  type NodeHttpParser,
  type NodeHttpParserConstructor,
  type NodeHttpParserError,
  type NodeHttpParserModule,
} from './http1/node-http-parser.ts';
export { NodeParserOracle } from './http1/node-parser-oracle.ts';

// HTTP/2: frames and field lists, the codec under the laws, and oracles
export {
  http2MalformedRequestFields,
  http2MalformedResponseFields,
  http2RequestFields,
  http2ResponseFields,
  type MalformedFields,
} from './http2/http2-fields.ts';
export { type Http2FrameEvent, http2FrameCodec } from './http2/http2-frame-codec.ts';
export { HTTP2_FRAME_WORDS, http2FrameSequences, http2Frames } from './http2/http2-frames.ts';
export {
  type NaiveFrame,
  type NaiveFrameDetails,
  type NaiveFrameLimits,
  type NaiveFrames,
  naiveHttp2Frame,
  naiveHttp2Frames,
} from './http2/naive-frames.ts';
export { naiveHpackBlock } from './http2/naive-hpack.ts';

// Scripted peers
export {
  call,
  drip,
  end,
  expect,
  expectClose,
  expectEnd,
  repeat,
  reset,
  ScriptFailure,
  type ScriptOptions,
  ScriptPeer,
  type ScriptResult,
  type ScriptStep,
  script,
  send,
  skip,
  stall,
  wait,
} from './script/script.ts';
export { connectStream, listenScript, playScript, type ScriptServer } from './script/script-server.ts';
export { socketStream } from './script/socket-stream.ts';

// Streams
export { CheckedStream } from './stream/checked-stream.ts';
export { firstMisplacedByte, positionalByte, positionalBytes } from './stream/positional-bytes.ts';
export { RecordingSink, type SinkEvent } from './stream/recording-sink.ts';
export { type CompliancePair, type StreamComplianceOptions, streamCompliance } from './stream/stream-compliance.ts';

// Worlds
export { EventTrace, fingerprint } from './world/event-trace.ts';
export { drawFaultPlan, type FaultDrawOptions } from './world/fault-draw.ts';
export {
  World,
  type WorldConnection,
  type WorldConnectSink,
  type WorldListener,
  type WorldOptions,
  type WorldRunOptions,
} from './world/world.ts';
export { type LinkNature } from './world/world-link.ts';

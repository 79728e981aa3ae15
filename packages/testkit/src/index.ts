/** @ferrata/testkit: what proves Ferrata, and your protocol on it: compliance suites, laws, arbitraries, oracles, worlds and scripted peers. */

// Streams
export { streamCompliance, type CompliancePair, type StreamComplianceOptions } from './stream/stream-compliance.ts';
export { RecordingSink, type SinkEvent } from './stream/recording-sink.ts';
export { CheckedStream } from './stream/checked-stream.ts';
export { firstMisplacedByte, positionalByte, positionalBytes } from './stream/positional-bytes.ts';

// Worlds
export {
  World,
  type WorldConnectSink,
  type WorldConnection,
  type WorldListener,
  type WorldOptions,
  type WorldRunOptions,
} from './world/world.ts';
export { type LinkNature } from './world/world-link.ts';
export { drawFaultPlan, type FaultDrawOptions } from './world/fault-draw.ts';
export { EventTrace, fingerprint } from './world/event-trace.ts';

// Scripted peers
export {
  ScriptFailure,
  ScriptPeer,
  call,
  drip,
  end,
  expect,
  expectClose,
  expectEnd,
  repeat,
  reset,
  script,
  send,
  skip,
  stall,
  wait,
  type ScriptOptions,
  type ScriptResult,
  type ScriptStep,
} from './script/script.ts';
export { connectStream, listenScript, playScript, type ScriptServer } from './script/script-server.ts';
export { socketStream } from './script/socket-stream.ts';

// Laws, arbitraries, oracles
export { codecLawChecks, codecLaws, transcribe, type CodecLawsOptions, type CodecUnderTest, type DecoderDriver, type Transcript } from './codec/codec-laws.ts';
export { chunkings, cut, cutBytes, type CutBytes } from './arbitrary/chunkings.ts';
export { fieldNames, fieldValues, headerLists, tokens, type FieldLine } from './arbitrary/http-fields.ts';
export {
  http1Pipelines,
  http1Requests,
  http1Responses,
  type DrawnRequest,
  type DrawnResponse,
  type Framing,
  type MessageMeaning,
} from './arbitrary/http1-messages.ts';
export { nearMisses } from './arbitrary/near-misses.ts';
export {
  naiveHttp1,
  naiveHttp1Responses,
  type NaiveFields,
  type NaiveMessage,
  type NaiveReading,
  type NaiveRequest,
  type NaiveResponse,
} from './http1/naive-http1.ts';
export { http1RequestBytes, http1RequestCodec, http1ResponseCodec, type Http1Event } from './http1/http1-codec.ts';

/** @ferrata/testkit: what proves Ferrata, and your protocol on it: compliance suites, laws, arbitraries, oracles, worlds and scripted peers. */
export { streamCompliance, type CompliancePair, type StreamComplianceOptions } from './stream/stream-compliance.ts';
export { RecordingSink, type SinkEvent } from './stream/recording-sink.ts';
export { CheckedStream } from './stream/checked-stream.ts';
export { firstMisplacedByte, positionalByte, positionalBytes } from './stream/positional-bytes.ts';

/**
 * Frames read and written, against what a program writes that makes an object and a view of each frame, or a Buffer.
 * Median of 7 rounds of user CPU time, all cases in turns after three warm-up rounds; each case has its baseline from the same run.
 */
import { ByteWriter } from '@ferrata/bytes';
import {
  FrameDecoder,
  FrameType,
  writeData,
  writeGoaway,
  writeHeaders,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '../src/index.ts';

const rounds = 7;
const CHUNK_BYTES = 65_536;

/** As many frames as fit into a chunk. */
function chunkOf(write: (writer: ByteWriter, index: number) => void): { readonly chunk: Uint8Array; readonly frames: number } {
  const writer = new ByteWriter({ initialCapacity: CHUNK_BYTES * 2 });
  let frames = 0;
  for (let before = -1; writer.length <= CHUNK_BYTES - 16_400 || writer.length - before < 64; frames++) {
    before = writer.length;
    write(writer, frames);
    if (writer.length > CHUNK_BYTES - 64) break;
  }
  return { chunk: writer.take(), frames };
}

const block = new Uint8Array(24).fill(0x82);
const small = new Uint8Array(16);
const large = new Uint8Array(16_384);
const eight = new Uint8Array(8);

const updates = chunkOf((writer, i) => writeWindowUpdate(writer, (i & 0xff) * 2 + 1, 1000 + i));
const mixed = chunkOf((writer, i) => {
  const streamId = (i & 0xff) * 2 + 1;
  switch (i % 5) {
    case 0:
      return writeHeaders(writer, streamId, block, { isEndStream: true });
    case 1:
      return writeData(writer, streamId, small);
    case 2:
      return writeWindowUpdate(writer, streamId, 1000);
    case 3:
      return writePing(writer, eight);
    default:
      return writeRstStream(writer, streamId, 8);
  }
});
const data = (() => {
  const writer = new ByteWriter({ initialCapacity: CHUNK_BYTES * 2 });
  for (let i = 0; i < 4; i++) writeData(writer, 1, large);
  return { chunk: writer.take(), frames: 4 };
})();

/** What is usual: an object and a view for each frame, handed to a callback. */
interface NaiveFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array;
}

class NaiveDecoder {
  readonly #onFrame: (frame: NaiveFrame) => void;

  constructor(onFrame: (frame: NaiveFrame) => void) {
    this.#onFrame = onFrame;
  }

  feed(chunk: Buffer): void {
    for (let at = 0; at + 9 <= chunk.length; ) {
      const length = chunk.readUIntBE(at, 3);
      const end = at + 9 + length;
      this.#onFrame({
        type: chunk[at + 3] ?? 0,
        flags: chunk[at + 4] ?? 0,
        streamId: chunk.readUInt32BE(at + 5) & 0x7fff_ffff,
        payload: chunk.subarray(at + 9, end),
      });
      at = end;
    }
  }
}

/** Kept within 31 bits: a number beyond them would be allocated for each frame, which costs as much as reading it. */
let sum = 0;
const decoder = new FrameDecoder();
const naive = new NaiveDecoder((frame) => {
  sum = (sum + frame.streamId + frame.payload.length) & 0xff_ffff;
  if (frame.type === FrameType.windowUpdate) sum ^= (frame.payload[3] ?? 0) & 1;
});

function decode(chunk: Uint8Array): void {
  decoder.feed(chunk);
  while (decoder.next()) {
    sum = (sum + decoder.streamId + decoder.length) & 0xff_ffff;
    if (decoder.type === FrameType.windowUpdate) sum ^= decoder.increment & 1;
  }
}

function decodeInPieces(chunk: Uint8Array, size: number): void {
  for (let at = 0; at < chunk.length; at += size) decode(chunk.subarray(at, at + size));
}

const writer = new ByteWriter({ initialCapacity: CHUNK_BYTES });
const settings = [
  [3, 100],
  [4, 65_535],
  [9, 1],
] as const;

function writing(write: () => void): () => void {
  return () => {
    for (let i = 0; i < 1000; i++) write();
    writer.take();
  };
}

function bufferFrame(type: number, streamId: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(9 + payload.length);
  frame.writeUIntBE(payload.length, 0, 3);
  frame[3] = type;
  frame[4] = 0;
  frame.writeUInt32BE(streamId, 5);
  frame.set(payload, 9);
  return frame;
}

interface Case {
  readonly name: string;
  readonly baseline: string;
  /** Frames of one call: figures are for one frame. */
  readonly frames: number;
  readonly calls: number;
  /** Set for throughput, too. */
  readonly bytes?: number;
  run(): void;
}

function readCases(what: string, { chunk, frames }: { readonly chunk: Uint8Array; readonly frames: number }, calls: number): Case[] {
  const buffer = Buffer.from(chunk);
  const baseline = `object and view, ${what}`;
  const bytes = chunk.length;
  return [
    { name: baseline, baseline, frames, calls, bytes, run: () => naive.feed(buffer) },
    { name: `FrameDecoder, ${what}`, baseline, frames, calls, bytes, run: () => decode(chunk) },
  ];
}

const bufferBaseline = 'Buffer, PING';
const cases: readonly Case[] = [
  ...readCases('WINDOW_UPDATE', updates, 20),
  ...readCases('mixed small frames', mixed, 20),
  ...readCases('DATA of 16 KiB', data, 20_000),
  {
    name: 'FrameDecoder, mixed, in 1 KiB chunks',
    baseline: 'object and view, mixed small frames',
    frames: mixed.frames,
    calls: 20,
    run: () => decodeInPieces(mixed.chunk, 1024),
  },
  {
    name: 'FrameDecoder, mixed, a byte at a time',
    baseline: 'object and view, mixed small frames',
    frames: mixed.frames,
    calls: 1,
    run: () => decodeInPieces(mixed.chunk, 1),
  },
  {
    name: bufferBaseline,
    baseline: bufferBaseline,
    frames: 1000,
    calls: 20,
    run() {
      for (let i = 0; i < 1000; i++) sum = (sum + bufferFrame(FrameType.ping, 0, eight).length) & 0xff_ffff;
    },
  },
  { name: 'writePing', baseline: bufferBaseline, frames: 1000, calls: 20, run: writing(() => writePing(writer, eight)) },
  {
    name: 'writeWindowUpdate',
    baseline: bufferBaseline,
    frames: 1000,
    calls: 20,
    run: writing(() => writeWindowUpdate(writer, 1, 65_535)),
  },
  { name: 'writeRstStream', baseline: bufferBaseline, frames: 1000, calls: 20, run: writing(() => writeRstStream(writer, 1, 8)) },
  { name: 'writeSettingsAck', baseline: bufferBaseline, frames: 1000, calls: 20, run: writing(() => writeSettingsAck(writer)) },
  { name: 'writeSettings of 3', baseline: bufferBaseline, frames: 1000, calls: 20, run: writing(() => writeSettings(writer, settings)) },
  { name: 'writeGoaway', baseline: bufferBaseline, frames: 1000, calls: 20, run: writing(() => writeGoaway(writer, 1, 0)) },
  {
    name: 'writeHeaders of 24 bytes',
    baseline: bufferBaseline,
    frames: 1000,
    calls: 20,
    run: writing(() => writeHeaders(writer, 1, block)),
  },
  { name: 'writeData of 16 bytes', baseline: bufferBaseline, frames: 1000, calls: 20, run: writing(() => writeData(writer, 1, small)) },
];

const samples = cases.map((): number[] => []);
for (let round = -3; round < rounds; round++) {
  for (const [index, one] of cases.entries()) {
    const { calls, frames } = one;
    const start = process.cpuUsage().user;
    for (let call = 0; call < calls; call++) one.run();
    const ns = ((process.cpuUsage().user - start) * 1000) / (calls * frames);
    if (round >= 0) samples[index]?.push(ns);
  }
}

const medians = samples.map((one) => one.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN);
for (const [index, { name, baseline, bytes, frames }] of cases.entries()) {
  const ns = medians[index] ?? Number.NaN;
  const ratio = ns / (medians[cases.findIndex((one) => one.name === baseline)] ?? Number.NaN);
  const rate = bytes === undefined ? '' : `${((bytes / frames / ns) * 953.7).toFixed(0)} MiB/s`;
  console.log(
    `${name.padEnd(40)} ${ns.toFixed(1).padStart(9)} ns a frame ${ratio.toFixed(2).padStart(7)} x ${baseline.padEnd(36)} ${rate}`,
  );
}
if (sum === 1) console.log(sum);

/**
 * The memory of one structure: a header that says what it is and with which parameters, then the structure's own words.
 *
 * ```
 *   byte 0      4      8         12  16  20                  64                      128
 *        ┌──────┬──────┬─────────┬───┬───┬───────────────────┬───────────────────────┬──────────────────
 *        │ mark │ kind │ version │ k0│ k1│ 0                 │ 8 parameters, float64 │ the structure …
 *        └──────┴──────┴─────────┴───┴───┴───────────────────┴───────────────────────┴──────────────────
 * ```
 * Rules:
 * - The header is written before anybody else can hold the memory, and never again.
 * - Who joins takes the key of the hash and the parameters from the header, so all threads agree whatever they were called with; a
 *   parameter that is given all the same has to be the header's.
 * - Without `SharedArrayBuffer` (web pages that aren't cross-origin isolated) the memory belongs to one thread, and nothing else changes:
 *   atomics work on both.
 */
import { type Random, systemRandom } from '@ferrata/clock';
import type { TextHasherKey } from '@ferrata/hash';

/** What may lie in a region; the numbers stand in the memory and are never used again for anything else. */
export type RegionKind = 'Estimator' | 'Inflight' | 'Rate' | 'TokenBucket' | 'Gcra' | 'KeyedGcra';

/** How one kind of structure uses its memory. */
export interface RegionLayout<Name extends string> {
  readonly kind: RegionKind;
  /** Whether keys are hashed, so that a key of the hash is drawn. */
  readonly hasKeys: boolean;
  /** Each parameter in its place of the header, with what checks it (and may round it). */
  readonly parameters: Readonly<Record<Name, (value: number) => number>>;
  /** Bytes after the header. */
  dataBytes(parameters: Readonly<Record<Name, number>>): number;
}

/** What a structure is made with. */
export interface RegionRequest<Name extends string> {
  /** Undefined: not given. */
  readonly parameters: Readonly<Record<Name, number | undefined>>;
  readonly memory: SharedArrayBuffer | undefined;
  /** Draws the key of the hash, for new memory only. */
  readonly random?: Random | undefined;
}

/** A structure's memory, made or joined. */
export interface Region<Name extends string> {
  readonly buffer: SharedArrayBuffer | ArrayBuffer;
  readonly parameters: Readonly<Record<Name, number>>;
  readonly key: TextHasherKey;
}

/** Where the structure's own bytes begin: two lines of the processor's cache are the header's. */
export const headerBytes = 128;

/** "FeLi", and the layout that this file and the structures describe: change it with any of them. */
const mark = 0x4665_4c69;
const version = 1;
const kinds: readonly RegionKind[] = ['Estimator', 'Inflight', 'Rate', 'TokenBucket', 'Gcra', 'KeyedGcra'];

/**
 * Makes memory, or joins it where some is given.
 *
 * @throws {RangeError} when a parameter is out of its range, or isn't the one that the memory was made with
 * @throws {TypeError} when the memory is not shared, or not that of such a structure, or `random` is no source of numbers
 */
export function openRegion<Name extends string>(layout: RegionLayout<Name>, request: RegionRequest<Name>): Region<Name> {
  const { memory } = request;
  return memory === undefined ? makeRegion(layout, request) : joinRegion(layout, request, memory);
}

/**
 * Returns the memory of a region to post to other threads.
 *
 * @throws {TypeError} when the realm has no `SharedArrayBuffer`
 */
export function sharedMemoryOf({ buffer }: Region<string>): SharedArrayBuffer {
  if (isShared(buffer)) return buffer;
  throw new TypeError('this realm has no SharedArrayBuffer, so the memory belongs to one thread');
}

function makeRegion<Name extends string>(
  layout: RegionLayout<Name>,
  { parameters, random = systemRandom }: RegionRequest<Name>,
): Region<Name> {
  const names = namesOf(layout);
  const checked = checkParameters(layout, (name) => parameters[name]);
  const byteLength = headerBytes + layout.dataBytes(checked);
  const buffer = hasSharedMemory() ? new SharedArrayBuffer(byteLength) : new ArrayBuffer(byteLength);
  const key = layout.hasKeys ? drawKey(random) : { k0: 0, k1: 0 };
  new Int32Array(buffer, 0, 5).set([mark, kinds.indexOf(layout.kind), version, key.k0, key.k1]);
  new Float64Array(buffer, 64, names.length).set(names.map((name) => checked[name]));
  return { buffer, parameters: checked, key };
}

function drawKey(random: Random): TextHasherKey {
  if (typeof random?.uint32 !== 'function') throw new TypeError(`random must have a method uint32, as a Random has`);
  return { k0: random.uint32(), k1: random.uint32() };
}

function joinRegion<Name extends string>(
  layout: RegionLayout<Name>,
  { parameters: given }: RegionRequest<Name>,
  buffer: SharedArrayBuffer,
): Region<Name> {
  const { kind } = layout;
  if (!isShared(buffer)) throw new TypeError(`memory must be the SharedArrayBuffer of another structure of kind ${kind}`);
  if (buffer.byteLength < headerBytes)
    throw new TypeError(`memory is not of kind ${kind}: ${buffer.byteLength} bytes are less than its header`);
  const [foundMark, kindIndex = -1, foundVersion, k0 = 0, k1 = 0] = new Int32Array(buffer, 0, 5);
  if (foundMark !== mark) throw new TypeError(`memory is not of kind ${kind}: it was not made by this package`);
  if (foundVersion !== version)
    throw new TypeError(`memory is of version ${String(foundVersion)} of this package's layout, not ${version}`);
  if (kinds[kindIndex] !== kind) throw new TypeError(`memory is of kind ${kinds[kindIndex] ?? 'unknown'}, not ${kind}`);

  const stored = new Float64Array(buffer, 64, 8);
  const names = namesOf(layout);
  const parameters = checkParameters(layout, (name) => stored[names.indexOf(name)]);
  for (const name of names) {
    const value = given[name];
    if (value !== undefined && layout.parameters[name](value) !== parameters[name]) {
      throw new RangeError(`${name} is ${parameters[name]} in this memory, not ${String(value)}`);
    }
  }
  const needed = headerBytes + layout.dataBytes(parameters);
  if (buffer.byteLength !== needed) throw new TypeError(`memory of kind ${kind} has ${buffer.byteLength} bytes, not ${needed}`);
  return { buffer, parameters, key: { k0, k1 } };
}

function checkParameters<Name extends string>(
  layout: RegionLayout<Name>,
  valueOf: (name: Name) => number | undefined,
): Readonly<Record<Name, number>> {
  // A value that is missing is one that its check refuses by name.
  const entries = namesOf(layout).map((name) => [name, layout.parameters[name](valueOf(name) as number)] as const);
  return Object.fromEntries(entries) as Record<Name, number>;
}

function namesOf<Name extends string>({ parameters }: RegionLayout<Name>): readonly Name[] {
  return Object.keys(parameters) as Name[];
}

function isShared(buffer: SharedArrayBuffer | ArrayBuffer): buffer is SharedArrayBuffer {
  // By its tag, which memory of another realm has too.
  return Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
}

function hasSharedMemory(): boolean {
  return typeof SharedArrayBuffer === 'function';
}

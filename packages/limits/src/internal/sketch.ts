/** What `Estimator` and `Inflight` stand on alike: counters in rows, and the keyed hash that leads to them. */
import { TextHasher } from '@ferrata/hash';
import { type SketchOptions, sketchParameters } from '../options.ts';
import { CounterRows, counterBytes } from './counter-rows.ts';
import { openRegion, type Region, type RegionKind } from './region.ts';

/** A sketch in memory, made or joined. */
export interface Sketch {
  readonly region: Region<'hashes' | 'slots'>;
  readonly hasher: TextHasher;
  readonly rows: CounterRows;
}

/**
 * Makes a sketch, or joins the one whose memory is given.
 *
 * @throws {RangeError} when a parameter is out of its range, or isn't the memory's
 * @throws {TypeError} when the memory isn't that of such a structure
 */
export function openSketch(kind: RegionKind, { hashes, slots, memory, random }: SketchOptions): Sketch {
  const layout = {
    kind,
    hasKeys: true,
    parameters: sketchParameters,
    dataBytes: (found: Readonly<Record<'hashes' | 'slots', number>>): number => counterBytes(found.hashes, found.slots),
  };
  // Memory that is joined has its own; the default is for memory that is made: 128 KiB.
  const size = memory === undefined ? { hashes: hashes ?? 4, slots: slots ?? 8192 } : { hashes, slots };
  const region = openRegion(layout, { parameters: size, memory, random });
  const { parameters, buffer, key } = region;
  return { region, hasher: new TextHasher(key), rows: new CounterRows(buffer, parameters.hashes, parameters.slots) };
}

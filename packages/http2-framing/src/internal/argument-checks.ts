/** Checks of the writers' arguments. Misuse by the program, so a `RangeError` at once. */
import { MAX_MAX_FRAME_BYTES, MAX_STREAM_ID, MIN_MAX_FRAME_BYTES } from '../frame-type.ts';

export function checkUint(name: string, value: number, max: number): void {
  // The comparison first: it is all that a small number costs.
  if ((value | 0) === value && value >= 0 && value <= max) return;
  if (!(Number.isInteger(value) && value >= 0 && value <= max)) {
    throw new RangeError(`${name} must be a whole number from 0 to ${max}, not ${String(value)}`);
  }
}

/** A stream of its own, not the connection. */
export function checkStreamId(name: string, value: number): void {
  if ((value | 0) !== value || value <= 0)
    throw new RangeError(`${name} must be a whole number from 1 to ${MAX_STREAM_ID}, not ${String(value)}`);
}

export function checkMaxFrameBytes(value: number): void {
  if ((value | 0) === value && value >= MIN_MAX_FRAME_BYTES && value <= MAX_MAX_FRAME_BYTES) return;
  throw new RangeError(`maxFrameBytes must be a whole number from ${MIN_MAX_FRAME_BYTES} to ${MAX_MAX_FRAME_BYTES}, not ${String(value)}`);
}

/** @param padding undefined: there is none, which is another thing than padding of 0 bytes */
export function checkPadding(padding: number | undefined): void {
  if (padding !== undefined) checkUint('padding', padding, 0xff);
}

/** @param max the highest character: 0x7f for ASCII */
export function checkText(name: string, text: string, max = 0xff): void {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > max) throw new RangeError(`${name} has a character above U+00${max.toString(16).toUpperCase()} at ${i}`);
  }
}

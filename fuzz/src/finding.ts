/** A finding: an input that broke an invariant, made short and told so that it can be replayed. */
import { InvariantBroken, runOnce, type Target } from './target.ts';

/** An input that broke the invariant of its target. */
export interface Finding {
  readonly data: Uint8Array;
  /** Equal for two inputs that break the same thing. */
  readonly signature: string;
  /** The execution that found it, counted from 1. */
  readonly execution: number;
  /** The error as the shortest input throws it, with its stack. */
  readonly error: Error;
}

/** Executions that making a finding shorter may take. */
const MINIMISE_EXECUTIONS = 4000;

/** What a broken invariant is known by: the law, or for any other throw its name and its message without numbers and quotations. */
export function signatureOf(error: Error): string {
  if (error instanceof InvariantBroken) return `InvariantBroken ${error.law}`;
  return `${error.name} ${error.message.replace(/(["'`]).*?\1|\d+/gs, '…')}`;
}

/** Removes what can be removed, halves first and single bytes last, while the same thing breaks. */
export async function minimise(target: Target, data: Uint8Array, signature: string): Promise<Uint8Array> {
  let shortest = data;
  let left = MINIMISE_EXECUTIONS;
  for (let size = data.length >>> 1; size >= 1; size = size >>> 1) {
    let at = 0;
    while (at < shortest.length && left > 0) {
      left--;
      const shorter = new Uint8Array(shortest.length - Math.min(size, shortest.length - at));
      shorter.set(shortest.subarray(0, at));
      shorter.set(shortest.subarray(Math.min(at + size, shortest.length)), at);
      const thrown = await runOnce(target, shorter.slice());
      if (thrown !== null && signatureOf(thrown) === signature) shortest = shorter;
      else at += Math.max(1, size >>> 2);
    }
  }
  return shortest;
}

/** Runs a finding once more, with a stack this time. */
export async function describeFinding(target: Target, data: Uint8Array, known: { signature: string; execution: number }): Promise<Finding> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 20;
  const error = await runOnce(target, data.slice());
  Error.stackTraceLimit = stackTraceLimit;
  return {
    data,
    ...known,
    error: error ?? new Error(`not reproducible: ${known.signature}; the target keeps state between its executions`),
  };
}

/** One character a byte, as a JavaScript string literal that stays on one line. */
export function latin1Escaped(data: Uint8Array): string {
  let text = '';
  for (const byte of data) {
    if (byte === 0x0d) text += '\\r';
    else if (byte === 0x0a) text += '\\n';
    else if (byte === 0x09) text += '\\t';
    else if (byte === 0x27 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else if (byte < 0x20 || byte > 0x7e) text += `\\x${byte.toString(16).padStart(2, '0')}`;
    else text += String.fromCharCode(byte);
  }
  return `'${text}'`;
}

/** Base64, for a command line. */
export function base64(data: Uint8Array): string {
  return Buffer.from(data).toString('base64');
}

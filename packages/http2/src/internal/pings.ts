/**
 * PING (RFC 9113 §6.7): round-trip time, liveness, and the mark that a drain and a measurement of bandwidth wait for.
 *
 * One is waited for at a time, the newest: its payload is a number that rises, and an acknowledgement of an older one tells nothing.
 *
 * Rules of this file:
 * - Only a question whether the peer lives (`ask`) has a time to be answered in. A PING that measures is answered when the peer comes to it, and a
 *   slow reader comes to it late: behind all DATA that was sent before, and its answer behind all that it sends itself.
 * - So a question is answered by whatever comes and by output that moves, and it waits longer for DATA that may be in front of it.
 *
 * ```text
 *   due = max(asked, last byte received, output moved) + pingTimeoutMs + time for DATA in front, which no acknowledged PING has covered
 * ```
 */
import type { ByteWriter } from '@ferrata/bytes';
import { writePing } from '@ferrata/http2-framing';

/** The first bytes of our payloads, to be told from others in a trace: `FERR`. */
const MARK = 0x46455252;

/** PINGs whose acknowledgements may be missing at a time; what is sent beyond would tell nothing that these do not. */
const MAX_UNANSWERED = 10;

/** DATA in front of a PING that takes no time worth counting. */
const FREE_BYTES = 65_536;
/** More is not in flight: it is about what buffers of the system hold at most. */
const MAX_BYTES_IN_FRONT = 0x40_0000;
/** What an honest reader takes at least, in bytes a millisecond: a modem's rate would make the wait endless. */
const READER_BYTES_PER_MS = 16;

export class Pings {
  /** Of the last acknowledged PING, in milliseconds; −1 before. */
  rttMs = -1;
  /** When the newest PING was made; −1 if none is waited for. */
  sentAt = -1;
  /** Since when it is asked whether the peer lives; −1: nobody asks. Several PINGs in a row do not put the time-out off. */
  waitingSince = -1;
  /** When output last moved that had been held back because nobody took it. */
  movedAt = -1;
  /** Bytes of DATA framed on the connection. */
  framedBytes = 0;
  /** `framedBytes` when the newest PING was made, and when the last acknowledged one was. */
  #framedAtSend = 0;
  #framedAtAck = 0;
  /** Output was left when it was last taken, although windows would have let it out. */
  #isHeldBack = false;
  #sequence = 0;
  /** PINGs whose acknowledgements have not come, whether waited for or not. */
  #unanswered = 0;

  /** Sends a PING, unless ten are unanswered: then the newest of them stands for it. */
  send(writer: ByteWriter, now: number): void {
    if (this.#unanswered >= MAX_UNANSWERED) return;
    this.#sequence = (this.#sequence + 1) >>> 0;
    const payload = new Uint8Array(8);
    const view = new DataView(payload.buffer);
    view.setUint32(0, MARK);
    view.setUint32(4, this.#sequence);
    writePing(writer, payload);
    this.sentAt = now;
    this.#framedAtSend = this.framedBytes;
    this.#unanswered++;
  }

  /** Asks whether the peer lives. A PING that is under way asks as well as a new one. */
  ask(writer: ByteWriter, now: number): void {
    if (this.waitingSince >= 0) return;
    if (this.sentAt < 0) this.send(writer, now);
    this.waitingSince = now;
  }

  /** When the peer counts as dead; `Infinity` while nobody asks. @param receivedAt when its last byte came */
  deadline(receivedAt: number, timeoutMs: number): number {
    if (this.waitingSince < 0) return Number.POSITIVE_INFINITY;
    const inFront = Math.min(this.#framedAtSend - this.#framedAtAck, MAX_BYTES_IN_FRONT) - FREE_BYTES;
    return Math.max(this.waitingSince, receivedAt, this.movedAt) + timeoutMs + Math.max(0, inFront) / READER_BYTES_PER_MS;
  }

  /** Output was taken. What the layers below had room for at once says nothing of the peer; that they have room again does. */
  outputTaken(isHeldBack: boolean, now: number): void {
    if (this.#isHeldBack) this.movedAt = now;
    this.#isHeldBack = isHeldBack;
  }

  /** @returns true if this is the PING that was waited for */
  acknowledge(bytes: Uint8Array, at: number, now: number): boolean {
    if (this.sentAt < 0) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
    if (view.getUint32(0) !== MARK || view.getUint32(4) !== this.#sequence) return false;
    this.#unanswered = 0;
    this.#framedAtAck = this.#framedAtSend;
    this.rttMs = now - this.sentAt;
    this.sentAt = -1;
    this.waitingSince = -1;
    return true;
  }

  /** Counts an acknowledgement that was not waited for. @returns true if it may belong to an older PING of ours */
  isLate(): boolean {
    if (this.#unanswered === 0) return false;
    this.#unanswered--;
    return true;
  }
}

/**
 * PING (RFC 9113 §6.7): round-trip time, liveness, and the mark that a drain and a measurement of bandwidth wait for.
 *
 * One is waited for at a time, the newest: its payload is a number that rises, and an acknowledgement of an older one tells nothing.
 */
import type { ByteWriter } from '@ferrata/bytes';
import { writePing } from '@ferrata/http2-framing';

/** The first bytes of our payloads, to be told from others in a trace: `FERR`. */
const MARK = 0x46455252;

export class Pings {
  /** Of the last acknowledged PING, in milliseconds; −1 before. */
  rttMs = -1;
  /** When the newest PING was made; −1 if none is waited for. */
  sentAt = -1;
  /** Since when no PING was acknowledged although one was sent; −1 if none is waited for. Several in a row do not put the time-out off. */
  waitingSince = -1;
  #sequence = 0;
  /** PINGs whose acknowledgements have not come, whether waited for or not. */
  #unanswered = 0;

  send(writer: ByteWriter, now: number): void {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const payload = new Uint8Array(8);
    const view = new DataView(payload.buffer);
    view.setUint32(0, MARK);
    view.setUint32(4, this.#sequence);
    writePing(writer, payload);
    this.sentAt = now;
    this.#unanswered++;
    if (this.waitingSince < 0) this.waitingSince = now;
  }

  /** @returns true if this is the PING that was waited for */
  acknowledge(bytes: Uint8Array, at: number, now: number): boolean {
    if (this.sentAt < 0) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
    if (view.getUint32(0) !== MARK || view.getUint32(4) !== this.#sequence) return false;
    this.#unanswered = 0;
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

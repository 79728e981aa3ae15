/**
 * Flow-control windows for what is received, of each stream and of the connection. (What may be sent is a number that counts down, wherever
 * it is kept.)
 *
 * ```text
 *  ReceiveWindow, bytes:   size = available + held + owed     (available may be negative after shrink)
 *
 *  |<------------------------- size ------------------------->|
 *  |  available: may come  |  held: came, not  |  owed: taken, |
 *  |                       |  taken yet        |  not credited |
 *            receive →               release →       takeCredit → back to available
 * ```
 * "No credit left" is a value: only a peer that breaks the rules gets an error, from whoever owns the window.
 *
 * Sources: RFC 9113 §5.2, §6.9 (WINDOW_UPDATE), §6.9.1 (limits), §6.9.2 (initial size; windows may become negative).
 */

/** The largest window, 2³¹ − 1 bytes. @see RFC 9113 §6.9.1 */
export const MAX_WINDOW_BYTES = 0x7fff_ffff;

/** The size of every window before anybody changed it. @see RFC 9113 §6.9.2 */
export const DEFAULT_WINDOW_BYTES = 65_535;

/** What we let the peer send, and when it gets more. */
export class ReceiveWindow {
  /** The most bytes that may be on their way or held at a time. */
  size: number;
  /** Bytes that the peer may still send. */
  available: number;
  /** Bytes that ever came. */
  receivedBytes: number;
  /** Bytes that came and were not released yet. */
  heldBytes: number;
  /** Bytes that were released, and of which the peer doesn't know. */
  #owed: number;
  /** Which measurement `sampleBytes` belongs to; for `WindowGrowth` alone. */
  sampleNumber: number;
  /** Bytes that came during that measurement; for `WindowGrowth` alone. */
  sampleBytes: number;

  /**
   * @param bytes what the peer has been told, or what it may take for granted: before it has acknowledged a smaller
   * SETTINGS_INITIAL_WINDOW_SIZE of ours, that is `DEFAULT_WINDOW_BYTES`
   */
  constructor(bytes: number = DEFAULT_WINDOW_BYTES) {
    this.size = bytes;
    this.available = bytes;
    this.receivedBytes = 0;
    this.heldBytes = 0;
    this.#owed = 0;
    this.sampleNumber = 0;
    this.sampleBytes = 0;
  }

  /**
   * DATA has come.
   *
   * @param length of the frame's payload, padding and its length octet included (RFC 9113 §6.9.1)
   * @returns false if it is more than the peer may send: FLOW_CONTROL_ERROR
   */
  receive(length: number): boolean {
    if (length > this.available) return false;
    this.available -= length;
    this.receivedBytes += length;
    this.heldBytes += length;
    return true;
  }

  /** Bytes that came are not held any longer: taken by the application, padding, or thrown away. @throws {RangeError} when fewer are held */
  release(length: number): void {
    if (length > this.heldBytes) throw new RangeError(`${length} bytes released, and ${this.heldBytes} held`);
    this.heldBytes -= length;
    this.#owed += length;
  }

  /**
   * The increment for a WINDOW_UPDATE that is worth its frame: at least half of the window, else 0. Half keeps the peer sending while the credit
   * travels, and costs one frame for every 32 KiB of the default window.
   */
  takeCredit(): number {
    return this.#owed * 2 >= this.size ? this.takeAllCredit() : 0;
  }

  /** The increment for all that is owed, 0 if nothing is. */
  takeAllCredit(): number {
    const increment = this.#owed;
    this.#owed = 0;
    this.available += increment;
    return increment;
  }

  /** Makes the window larger; the difference is owed as credit. A smaller size changes nothing; see `shrink`. */
  grow(size: number): void {
    const wanted = Math.min(size, MAX_WINDOW_BYTES);
    if (wanted <= this.size) return;
    this.#owed += wanted - this.size;
    this.size = wanted;
  }

  /**
   * Makes the window smaller: the peer has acknowledged a smaller SETTINGS_INITIAL_WINDOW_SIZE, so it has lowered its own count too.
   * `available` may become negative (RFC 9113 §6.9.2).
   */
  shrink(size: number): void {
    if (size >= this.size) return;
    this.available -= this.size - size;
    this.size = size;
  }
}

/** Reads the numbers of frames. A `DataView` for each chunk would cost more than a small frame. */

/** 32 bits. */
export function uint32At(bytes: Uint8Array, at: number): number {
  return uint31At(bytes, at) + ((bytes[at] as number) >= 0x80 ? 0x8000_0000 : 0);
}

/** 31 bits: without the reserved bit before them. */
export function uint31At(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) & 0x7f) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

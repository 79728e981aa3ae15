/** Which of the two 32-bit words of a 64-bit one is which: 1 is the high one on nearly all machines. */

export const highHalf = /* @__PURE__ */ new Int32Array(/* @__PURE__ */ BigInt64Array.of(1n).buffer)[0] as number;
export const lowHalf = /* @__PURE__ */ 1 - highHalf;

/** Many short rounds: what takes a microsecond is changed by half by what the machine does beside, and that changes within 100 ms. */
export const FINE = { rounds: 41, roundMs: 12, warmUpMs: 400 } as const;

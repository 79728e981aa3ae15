/** @ferrata/ketama: the consistent-hash ring of nginx's `hash KEY consistent`. No I/O, no time, no chance. */

export { type KetamaNode, KetamaRing, type KetamaRingOptions, type ResolvedKetamaNode } from './ketama-ring.ts';
export type { RingWalk } from './ring-walk.ts';

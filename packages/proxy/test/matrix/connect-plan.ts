/**
 * Origins to which no connection comes about: U1, U2 and U15 of the fault list. Handshakes break at bytes of what the origin's TLS says, from its first
 * to the last that the proxy needs.
 */
import type { Fault } from '@ferrata/stream';
import { type Cell, type Sampling, sampledPositions } from './ends.ts';

/** The host says no; nobody answers; or the connection stands, and its TLS breaks, or is none. */
export type ConnectFault =
  | { readonly kind: 'refused' }
  | { readonly kind: 'black hole' }
  | { readonly kind: 'plaintext' }
  | { readonly kind: 'handshake'; readonly fault: Fault };

/** What the rules say. */
export interface Expected {
  readonly statuses: readonly number[];
  /** Nothing moves: this much time must pass. */
  readonly waitMs: number;
}

export interface ConnectCase {
  readonly name: string;
  readonly cell: Cell;
  readonly fault: ConnectFault;
}

const WAYS = ['reset', 'end', 'stall', 'corrupt'] as const;

/** So many bytes of a handshake are looked at: every other one would be a handshake of its own. */
const HANDSHAKE_STRIDE = 53;

/** @param flightBytes what the origin's TLS says until the handshake is whole for the proxy; 0 without TLS */
export function connectBatches(cell: Cell, flightBytes: number, { seed }: Sampling): ConnectCase[][] {
  const faults: ConnectFault[] = [{ kind: 'refused' }, { kind: 'black hole' }];
  if (flightBytes > 0) {
    faults.push({ kind: 'plaintext' });
    for (const kind of WAYS) {
      for (const at of sampledPositions(flightBytes - 1, [], { stride: HANDSHAKE_STRIDE, seed })) {
        faults.push({ kind: 'handshake', fault: { direction: 'incoming', kind, at } });
      }
    }
  }
  return [faults.map((fault) => ({ name: `${cell.name}: ${nameOf(fault)}`, cell, fault }))];
}

function nameOf(it: ConnectFault): string {
  return it.kind === 'handshake' ? `${it.fault.kind} at ${it.fault.at} of the handshake` : it.kind;
}

export function expectedOf({ fault }: ConnectCase): Expected {
  if (fault.kind === 'black hole') return { statuses: [504], waitMs: 3_000 };
  if (fault.kind !== 'handshake') return { statuses: [502], waitMs: 0 };
  if (fault.fault.kind === 'stall') return { statuses: [504], waitMs: 5_000 };
  // A length that was changed lets TLS wait for bytes that never come.
  return fault.fault.kind === 'corrupt' ? { statuses: [502, 504], waitMs: 5_000 } : { statuses: [502], waitMs: 0 };
}

/** Faults of the client in the bytes of its request (C1 to C3 of the fault list): every request, every fault, every position, for one cell. */
import { type Cell, type Sampling, sampledPositions } from './ends.ts';
import { type Request, requestScript, type Script } from './scripts.ts';

/** What a client does to its connection: a reset, its end, or nothing ever again. */
export type RequestFault = 'reset' | 'end' | 'stall';

const FAULTS: readonly RequestFault[] = ['reset', 'end', 'stall'];

const BODY = ['Hello ', 'world!'];

export const REQUESTS: Readonly<Record<string, Request>> = {
  GET: { method: 'GET', framing: 'none', pieces: [], trailers: [] },
  'PUT of known length': { method: 'PUT', framing: 'length', pieces: BODY, trailers: [] },
  'PUT in chunks, with trailers': { method: 'PUT', framing: 'chunked', pieces: BODY, trailers: [['x-sum', '17']] },
};

/** One case of the matrix. */
export interface ClientCase {
  readonly name: string;
  readonly cell: Cell;
  readonly request: Request;
  readonly script: Script;
  readonly target: string;
  readonly fault: RequestFault;
  /** Bytes of the request, and over HTTP/2 of what comes before it, that come before the fault. */
  readonly position: number;
  /** The client still does what its protocol owes, as acknowledging: over HTTP/2 it can't in the middle of a frame. */
  readonly isAlive: boolean;
}

/** Cases that run side by side in one world: those of one request and one fault. */
export function clientBatches(cell: Cell, sampling: Sampling): ClientCase[][] {
  return Object.entries(REQUESTS).flatMap(([what, request]) =>
    FAULTS.map((fault) => {
      const { end, headEnd, frameEnds } = requestScript(cell.down.protocol, request, '/case/0');
      return sampledPositions(end, [headEnd - 1, headEnd, ...frameEnds], sampling).map((position, index) => {
        const name = `${cell.name}: ${what}: ${fault} at ${position} of ${end}`;
        // All targets are of one length, so that positions mean the same everywhere.
        const target = `/${String(index).padStart(6, '0')}`;
        const script = requestScript(cell.down.protocol, request, target);
        const isAlive = cell.down.protocol === 'http1' || (position >= headEnd && frameEnds.includes(position));
        return { name, cell, request, script, target, fault, position, isAlive };
      });
    }),
  );
}

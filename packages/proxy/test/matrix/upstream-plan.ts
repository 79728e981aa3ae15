/** Faults of the upstream in the answer's bytes (U3 to U8 and U10 of the fault list): every scenario, every fault, every position, for one cell. */
import { type Cell, type Sampling, sampledPositions } from './ends.ts';
import type { OriginFault } from './origin-end.ts';
import { type Answer, answerScript, type Request, type Script } from './scripts.ts';

/** What befalls an answer: a fault of its origin, or the client leaves while so much of it has come (C2). */
export type AnswerFault = OriginFault | 'client leaves';

/** Faults in which nothing happens. */
export function isSilence(fault: AnswerFault): boolean {
  return fault === 'stall' || fault === 'stream stall';
}

/** A request and its answer. */
export interface Scenario {
  readonly name: string;
  readonly request: Request;
  /** Pieces of the request's body that go out before the answer. */
  readonly sentPieces: number;
  readonly answer: Answer;
}

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const POST: Request = { method: 'POST', framing: 'length', pieces: ['first ', 'last!'], trailers: [] };
const HELLO = ['Hello ', 'world!'];

const PLAIN: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: HELLO, trailers: [] };

export const SCENARIOS: readonly Scenario[] = [
  { name: 'GET, a body of known length', request: GET, sentPieces: 0, answer: PLAIN },
  { name: 'GET, chunks and trailers', request: GET, sentPieces: 0, answer: { ...PLAIN, framing: 'chunked', trailers: [['x-sum', '17']] } },
  { name: 'GET, 204', request: GET, sentPieces: 0, answer: { ...PLAIN, status: 204, framing: 'none', pieces: [] } },
  { name: 'GET, 103 and then 200', request: GET, sentPieces: 0, answer: { ...PLAIN, hasInterim: true } },
  { name: 'GET, delimited by the end', request: GET, sentPieces: 0, answer: { ...PLAIN, framing: 'close' } },
  { name: 'POST', request: POST, sentPieces: 2, answer: PLAIN },
  { name: 'POST, answered within the upload', request: POST, sentPieces: 1, answer: { ...PLAIN, status: 413 } },
];

/** One case of the matrix. */
export interface UpstreamCase {
  readonly name: string;
  readonly cell: Cell;
  readonly scenario: Scenario;
  readonly script: Script;
  readonly fault: AnswerFault;
  /** Bytes of the answer that come before the fault. */
  readonly position: number;
  /** The fault befalls the first connection only: a second try is answered. */
  readonly isOnce: boolean;
}

/** Cases that run side by side in one world: those of one fault. */
export function upstreamBatches(cell: Cell, sampling: Sampling): UpstreamCase[][] {
  const scripts = SCENARIOS.map((scenario) => ({ scenario, script: answerScript(cell.up.protocol, scenario.answer) }));
  return faultsOf(cell).map((fault) =>
    scripts.flatMap(({ scenario, script }) =>
      positionsOf(script, fault, sampling).flatMap((position) => {
        const ways = position < script.headEnd && canRecover(fault) ? [true, false] : [false];
        return ways.map((isOnce) => {
          const name = `${cell.name}: ${scenario.name}: ${fault} at ${position} of ${script.end}${isOnce ? ', once' : ''}`;
          return { name, cell, scenario, script, fault, position, isOnce };
        });
      }),
    ),
  );
}

function faultsOf({ up }: Cell): AnswerFault[] {
  const faults: AnswerFault[] = ['reset', 'end', 'stall', 'client leaves'];
  if (up.protocol === 'http2') faults.push('rst', 'stream stall');
  if (up.carrier === 'tls') faults.push('bare end');
  return faults;
}

function canRecover(fault: AnswerFault): boolean {
  return !isSilence(fault) && fault !== 'client leaves';
}

/** What befalls one stream comes between frames; all else at any byte. */
function positionsOf({ end, headEnd, frameEnds }: Script, fault: AnswerFault, sampling: Sampling): number[] {
  if (fault === 'rst' || fault === 'stream stall') return [0, ...frameEnds];
  return sampledPositions(end, [headEnd], sampling);
}

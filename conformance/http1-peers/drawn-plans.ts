/** Plans drawn at random from the arbitraries of the test kit, the same for the same seed. */
import { type DrawnRequest, type DrawnResponse, type FieldLine, http1Requests, http1Responses } from '@ferrata/testkit';
import fc from 'fast-check';
import { type Plan, plan, type RequestPlan, type ResponsePlan } from './plan.ts';

/** Draws plans. The id of a plan has its seed, so that it can be drawn again. */
export function drawnPlans(seed: number, count: number): readonly Plan[] {
  const sizes = fc.constantFrom(0, 0, 1, 2, 511, 4_096, 65_535, 65_537, 300_000);
  const shapes = fc.record({
    request: http1Requests().filter(({ method }) => method !== 'CONNECT'),
    response: http1Responses(),
    sizes: fc.tuple(sizes, sizes),
    pieces: fc.tuple(fc.constantFrom(0, 1_000, 4_095, 65_536), fc.constantFrom(0, 1_000, 4_097, 65_536)),
  });
  return fc.sample(shapes, { seed, numRuns: count }).map(({ request, response, sizes: [requestBytes, responseBytes], pieces }, index) => {
    const [requestPiece, responsePiece] = pieces;
    // Every other plan keeps the small bodies that were drawn, traps among them, and the bytes of the request as they were spelled.
    const isLarge = index % 2 === 1;
    return plan(
      `drawn/${seed}/${index}`,
      {
        ...requestOf(request),
        pieceBytes: requestPiece,
        ...(isLarge && request.framing !== 'none' ? { body: requestBytes, wire: null } : {}),
      },
      { ...responseOf(response), pieceBytes: responsePiece, ...(isLarge ? { body: responseBytes } : {}) },
    );
  });
}

/** Field lines that say what a plan says in other words. */
const SAID_OTHERWISE: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'date']);

function requestOf({ bytes, method, target, minorVersion, fields, framing, body, trailers }: DrawnRequest): Partial<RequestPlan> {
  const connection = valueOf(fields, 'connection');
  return {
    method,
    target,
    minorVersion,
    fields: withoutSaid(fields),
    host: valueOf(fields, 'host') ?? '',
    framing: framing === 'untilClose' ? 'none' : framing,
    body,
    trailers,
    connection: connection === 'close' || connection === 'keep-alive' ? connection : 'none',
    wire: bytes,
  };
}

function responseOf({ status, reason, fields, framing, body, trailers }: DrawnResponse): Partial<ResponsePlan> {
  return { status, reason, fields: withoutSaid(fields), framing: framing === 'none' ? 'length' : framing, body, trailers };
}

function withoutSaid(fields: readonly FieldLine[]): readonly FieldLine[] {
  return fields.filter(([name]) => !SAID_OTHERWISE.has(name.toLowerCase()));
}

function valueOf(fields: readonly FieldLine[], wanted: string): string | undefined {
  return fields.find(([name]) => name.toLowerCase() === wanted)?.[1].toLowerCase();
}

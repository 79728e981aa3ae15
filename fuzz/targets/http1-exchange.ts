/**
 * Invariant: whatever a client and an origin send, the origin gets exactly the requests that were accepted and the client exactly the answers to
 * them (I5, I3, I4), as a naive reader and two builds of llhttp read them, and however the bytes were cut; nothing is sent after an end, nothing
 * hangs, nothing is left over.
 *
 * The real proxy runs between the two. The input is parts between two bytes 0xFF: a plan byte with the bytes of the client, then for each
 * request that reaches an origin a plan byte with the bytes of its answer.
 */
import { naiveHttp1Responses } from '@ferrata/testkit';
import { checkAgreement } from '../oracles/agreement.ts';
import { checkDownstream, checkUpstream, type Forwarding } from '../oracles/forwarding.ts';
import { PREFACE } from '../oracles/http2-peer.ts';
import { type Answer, type ProxyPlan, type ProxyRun, runProxy } from '../oracles/proxy-run.ts';
import { readRequests, readResponses } from '../oracles/reading.ts';
import { chunkingOf, hashOf, wholeChunk } from '../oracles/transcript.ts';
import type { TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['http1', 'chunked', 'exchange'], maxLength: 1024 };

const SEPARATOR = Buffer.from([0xff, 0xff]);
/** Answers beyond these are dropped. */
const MAX_ANSWERS = 8;

export async function fuzz(input: Uint8Array): Promise<void> {
  const [first = Buffer.alloc(0), ...rest] = partsOf(input);
  const bits = first[0] ?? 0;
  const client = Uint8Array.from(first.subarray(1));
  // What begins so is HTTP/2 to a server that speaks both (RFC 9113 §3.4): `http2-connection` is the target for it.
  if (first.subarray(1, 1 + PREFACE.length).equals(PREFACE)) return;
  const plan: ProxyPlan = {
    client,
    endsAtOnce: (bits & 1) !== 0,
    filters: (['none', 'none', 'sync', 'async'] as const)[(bits >> 1) & 3] ?? 'none',
    answers: rest.slice(0, MAX_ANSWERS).map(answerOf),
    chunkSizeAt: (hashOf(input) & 1) === 0 ? wholeChunk : chunkingOf(input),
  };
  const run = await runProxy(plan);
  const forwarding = checkUpstream(client, run);
  checkDownstream(run, forwarding);
  for (const { bytes } of run.upstreams) checkAgreement(bytes, readRequests(bytes), { kind: 'request' });
  checkClientAgreement(run, forwarding);
}

function partsOf(input: Uint8Array): Buffer[] {
  const data = Buffer.from(input.buffer, input.byteOffset, input.length);
  const parts: Buffer[] = [];
  let start = 0;
  for (let at = data.indexOf(SEPARATOR); at >= 0; at = data.indexOf(SEPARATOR, start)) {
    parts.push(data.subarray(start, at));
    start = at + SEPARATOR.length;
  }
  parts.push(data.subarray(start));
  return parts;
}

function answerOf(part: Buffer): Answer {
  const plan = part[0] ?? 0;
  const afterwards = ['stay', 'end', 'reset', 'stay'] as const;
  return { bytes: Uint8Array.from(part.subarray(1)), isEarly: (plan & 4) !== 0, afterwards: afterwards[plan & 3] ?? 'stay' };
}

/** Both builds of llhttp read what the client gets as we do. */
function checkClientAgreement(run: ProxyRun, { asked }: Forwarding): void {
  const methods = asked.messages.map(({ method }) => method);
  // An error page for what was refused may have no body, if that was HEAD: which of the two it was is judged elsewhere.
  const { messages, rest, verdict } = naiveHttp1Responses(run.downstream, methods);
  if (verdict === 'refused' || messages.at(-1)?.status === 101) return;
  const bytes = run.downstream.subarray(0, run.downstream.length - (verdict === 'whole' ? rest.length : 0));
  checkAgreement(bytes, readResponses(bytes, { methods }), { kind: 'response', isBodyless: (index) => methods[index] === 'HEAD' });
}

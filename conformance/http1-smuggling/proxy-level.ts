/** The proxy level: the same cases over raw sockets through a running proxy, to an origin that records. */

import { exchange } from '../rig/raw-client.ts';
import type { RecordingOrigin } from '../rig/recording-origin.ts';
import type { SmugglingCase } from './cases.ts';
import type { Observation } from './verdict.ts';

/** How long a proxy may stay silent where it must answer, and where waiting is right as well. */
const QUIET_MS = 3000;
const QUIET_WHERE_HANGING_IS_RIGHT_MS = 300;
let barriers = 0;

/** Sends a case through the proxy and records both ends. */
export async function observeProxy(one: SmugglingCase, proxyPort: number, origin: RecordingOrigin): Promise<Observation> {
  origin.take();
  const isReject = one.verdict === 'reject';
  const answer = await exchange({
    port: proxyPort,
    raw: one.raw,
    halfClose: one.halfClose,
    responses: isReject ? Number.POSITIVE_INFINITY : (one.sees[0]?.length ?? 0),
    untilClose: isReject || one.mustClose,
    quietMs: one.hangOk ? QUIET_WHERE_HANGING_IS_RIGHT_MS : QUIET_MS,
    closeMs: QUIET_MS,
  });
  // What the proxy forwarded before may still be on its way to the origin; a request of ours that has come back was behind it.
  const barrier = `/barrier-${++barriers}`;
  await exchange({
    port: proxyPort,
    raw: Buffer.from(`GET ${barrier} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 'latin1'),
    halfClose: false,
    responses: 1,
    untilClose: true,
    quietMs: QUIET_MS,
    closeMs: QUIET_MS,
  });
  const { requests, targets, malformed } = origin.take();
  if (!targets.includes(barrier)) malformed.push('(the proxy no longer serves: a plain request after this case did not arrive)');
  return {
    requests: requests.filter((request) => !isBarrier(request.target)),
    targets: targets.filter((target) => !isBarrier(target)),
    malformed,
    ...answer,
  };
}

function isBarrier(target: string): boolean {
  return target.startsWith('/barrier-');
}

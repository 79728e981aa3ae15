/** What node:http, nginx and haproxy read behind our proxy is what the client has sent: the same message, and one for each. */
import { createHash } from 'node:crypto';
import { type ClientHttp2Session, connect } from 'node:http2';
import { seededRandom } from '@ferrata/clock';
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { READERS } from '../http1-readers/reader-program.ts';
import { booksProblem, ProxyProcess } from '../rig/proxy-process.ts';
import { exchange } from '../rig/raw-client.ts';
import { type DrawnRequest, drawHttp1, drawHttp2, type Meaning } from './drawn-requests.ts';
import { type ForwardingOrigin, type OriginName, startForwardingOrigin } from './forwarding-origins.ts';
import { differs, firstOf, type Part, type Stage, within } from './stage.ts';

const ORIGINS: readonly OriginName[] = ['node', 'nginx', 'haproxy'];
const QUIET_MS = 5_000;
const MAX_PIPELINED = 4;

export const forwardingPart: Part = {
  name: 'forwarding',
  async run(stage) {
    for (const name of ORIGINS) {
      if (name !== 'node') {
        const missing = providePrograms([READERS[name]], (line) => stage.figure(line));
        if (missing.length > 0) {
          const problem = `${name} is missing and could not be installed; install it with: ${installCommand(missing)}`;
          if ((process.env['CI'] ?? '') === '') stage.figure(`SKIPPED what it takes part in: ${problem}`);
          else stage.outcomes.push({ id: `forwarding/${name}`, problem });
          continue;
        }
      }
      await runOrigin(stage, name);
    }
  },
};

async function runOrigin(stage: Stage, name: OriginName): Promise<void> {
  await using origin = await startForwardingOrigin(name);
  await using proxy = await ProxyProcess.start({
    routes: [{ name, front: null, peer: { address: origin.address, protocol: 'http1', ca: null } }],
    // What is sent twice would be seen twice.
    maxRetries: 0,
  });
  const port = proxy.port(name);
  const random = seededRandom(stage.seed);
  const connections = stage.isLong ? 1_500 : 150;
  let number = 0;
  let sent = 0;
  for (let at = 0; at < connections; at++) {
    const length = 1 + random.below(MAX_PIPELINED);
    const requests = Array.from({ length }, (_, index) => drawHttp1(random, `${name}-${++number}`, origin.tastes, index === length - 1));
    // Drawn in any case, so that one check alone sees the same requests.
    const pieces = Array.from({ length: 64 }, () => 1 + random.below(random.below(3) === 0 ? 5 : 5_000));
    const ids = requests.map(({ token }) => `forwarding/${name}/h1/${stage.seed}/${token}`);
    if (!ids.some((id) => stage.wants(id))) continue;
    sent += length;
    const judged = await sendHttp1(port, requests, pieces, origin);
    for (const [index, id] of ids.entries()) await stage.check(id, () => judged[index] ?? null);
  }
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  try {
    for (let at = 0; at < (stage.isLong ? 3_000 : 200); at++) {
      const request = drawHttp2(random, `${name}-${++number}`, origin.tastes);
      const id = `forwarding/${name}/h2/${stage.seed}/${request.token}`;
      if (!stage.wants(id)) continue;
      sent++;
      await stage.check(id, async () => {
        const status = await within('the answer', sendHttp2(session, request));
        return firstOf(differs('status', status, 200), judge([request], origin)[0] ?? null);
      });
    }
  } finally {
    session.destroy();
  }
  await stage.check(`forwarding/${name}/all-over`, async () => {
    const now = await proxy.settled((figures) => figures.begun === figures.logged && figures.clientConnections === 0);
    return firstOf(differs('requests begun', now.begun, sent), booksProblem(now), await proxy.close());
  });
}

/** @returns what is wrong with each, or null */
async function sendHttp1(
  port: number,
  requests: readonly DrawnRequest[],
  pieces: readonly number[],
  origin: ForwardingOrigin,
): Promise<readonly (string | null)[]> {
  const raw = Buffer.from(requests.map((request) => request.raw).join(''), 'latin1');
  let at = 0;
  const cut = (): number => pieces[at++] ?? raw.length;
  const { statuses, isClosed } = await exchange({
    port,
    raw,
    cut,
    halfClose: false,
    responses: requests.length,
    untilClose: true,
    quietMs: QUIET_MS,
    closeMs: QUIET_MS,
  });
  const answered = firstOf(
    differs(
      'statuses',
      statuses,
      requests.map(() => 200),
    ),
    isClosed ? null : 'the connection stays open behind Connection: close',
  );
  const read = judge(requests, origin);
  return requests.map((request, index) => {
    const problem = answered ?? read[index] ?? null;
    return problem === null ? null : `${problem}\n  sent ${JSON.stringify(request.raw.slice(0, 1_500))}`;
  });
}

async function sendHttp2(session: ClientHttp2Session, { meaning }: DrawnRequest): Promise<number> {
  const { method, target, host, fields, body, trailers } = meaning;
  const lists: Record<string, string[]> = {};
  for (const [name, value] of fields) (lists[name] ??= []).push(value);
  const hasTrailers = trailers.length > 0;
  const stream = session.request(
    {
      ':method': method,
      ':path': target,
      ':authority': host,
      ...Object.fromEntries(Object.entries(lists).map(([name, values]) => [name, values.length === 1 ? values[0] : values])),
    },
    { endStream: body === '', waitForTrailers: hasTrailers },
  );
  if (hasTrailers) stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(trailers)));
  if (body !== '') stream.end(Buffer.from(body, 'latin1'));
  return await new Promise((resolve, reject) => {
    let status = 0;
    stream.on('response', (headers) => (status = Number(headers[':status'])));
    stream.on('error', reject);
    stream.on('close', () => resolve(status));
    stream.resume();
  });
}

/** Takes what the origin has read, which must be these. */
function judge(requests: readonly DrawnRequest[], origin: ForwardingOrigin): readonly (string | null)[] {
  const { requests: seen, malformed } = origin.take();
  return compareAll(requests, seen, { malformed, dropsTrailers: origin.dropsTrailers });
}

/** @returns for each request what is wrong with what was read of it, or null */
export function compareAll(
  sent: readonly Pick<DrawnRequest, 'token' | 'meaning'>[],
  seen: readonly Meaning[],
  { malformed, dropsTrailers }: { readonly malformed: readonly string[]; readonly dropsTrailers: boolean },
): readonly (string | null)[] {
  const tokenOf = ({ fields }: Meaning): string => fields.find(([name]) => name === 'x-token')?.[1] ?? '';
  const strangers = seen.filter((one) => sent.every(({ token }) => token !== tokenOf(one)));
  const common = firstOf(
    malformed.length > 0 ? `the origin could not read ${malformed.join('; ')}` : null,
    strangers.length > 0
      ? `the origin has read what nobody sent: ${strangers.map(({ method, target }) => `${method} ${target}`).join(', ')}`
      : null,
  );
  return sent.map(({ token, meaning }) => {
    const own = seen.filter((one) => tokenOf(one) === token);
    const [only] = own;
    if (common !== null) return common;
    if (only === undefined || own.length > 1) return `the origin has read it ${own.length} times`;
    return compare(meaning, only, dropsTrailers);
  });
}

/** @returns in what way another message was read, or null */
export function compare(sent: Meaning, seen: Meaning, dropsTrailers: boolean): string | null {
  return firstOf(
    differs('method', seen.method, sent.method),
    differs('target', seen.target, sent.target),
    differs('Host', seen.host, sent.host),
    differs('fields', grouped(seen.fields), grouped(sent.fields)),
    differs('length of the body', seen.body.length, sent.body.length),
    differs('hash of the body', hashOf(seen.body), hashOf(sent.body)),
    dropsTrailers && seen.trailers.length === 0 ? null : differs('trailers', seen.trailers, sent.trailers),
  );
}

/** Lines of one name keep their order; that of different names means nothing (RFC 9110 §5.3), and a client of HTTP/2 has its own. */
function grouped(fields: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  return fields.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function hashOf(body: string): string {
  return createHash('sha256').update(body, 'latin1').digest('hex');
}

/** The suite `soak`: see `README.md` beside this file. A wrong command line ends with 2 and the usage. */
import { parseArgs } from 'node:util';
import { HttpOrigin } from '../proxy-peers/http-peers.ts';
import { differs, firstOf, makeCertificates } from '../proxy-peers/stage.ts';
import { WebSocketOrigin } from '../proxy-peers/websocket-origin.ts';
import { ProxyProcess, type ProxyRoute } from '../rig/proxy-process.ts';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { growthOf, inMib, leftOver, logProblem, MAX_GROWTH_PER_MINUTE, type Sample, tooMuch } from './figures.ts';
import { answer } from './origin.ts';
import { DEED_COUNT, Traffic } from './traffic.ts';

const USAGE = `usage: node conformance/soak/run.ts [--seed N] [--long] [--minutes N]

  --seed N     makes what is random (default 1)
  --long       20 minutes instead of one
  --minutes N  as many`;

/** Traffic between two moments of quiet, in which garbage is collected and memory is looked at. */
const PHASE_MS = { short: 3_000, long: 12_000 } as const;
/** From here on slopes are judged strictly; before, code that is compiled and pages that stay with the allocator are most of what is seen. */
const MINUTES_FOR_SLOPE = 10;
const MAX_GROWTH_OF_SHORT_RUN = 64 * 1_048_576;

/** A minute: code and its feedback are live memory too. */
const MAX_LIVE_GROWTH_OF_SHORT_RUN = 4 * 1_048_576;

const LOOPS = 24;
const ORIGIN_TIMEOUT_MS = 1_500;

const options = readOptions();
process.exitCode = options === null ? 2 : await run(options);

interface Options {
  readonly seed: number;
  readonly minutes: number;
}

async function run({ seed, minutes }: Options): Promise<number> {
  say(`--seed ${seed}, ${minutes} minute${minutes === 1 ? '' : 's'}`);
  const outcomes: Outcome[] = [];
  const certificates = await makeCertificates();
  const http1 = await HttpOrigin.start('h1', null, answer);
  const http2 = await HttpOrigin.start('h2', null, answer);
  const webSockets = await WebSocketOrigin.start(null);
  const front = { certificate: certificates.server.chain, key: certificates.server.key };
  const routes: readonly ProxyRoute[] = [
    { name: 'h1', front: null, peer: http1.peer },
    { name: 'h2', front: null, peer: http2.peer },
    { name: 'tls', front, peer: http1.peer },
    { name: 'websocket', front: null, peer: { address: `127.0.0.1:${webSockets.port}`, protocol: 'http1', ca: null } },
  ];
  const peerOptions = {
    // What is idle is to be gone at the end.
    idleTimeoutMs: 2_000,
    connection: { firstByteTimeoutMs: ORIGIN_TIMEOUT_MS, readTimeoutMs: ORIGIN_TIMEOUT_MS },
  };
  const close = (): void => {
    for (const origin of [http1, http2, webSockets]) origin.close();
  };
  try {
    await using proxy = await ProxyProcess.start({ routes, peerOptions });
    const way = (name: string, version: 'h1' | 'h2', isOriginHttp1: boolean) => {
      const ca = name === 'tls' ? certificates.ca : null;
      return { name: `${version} ${name}`, port: proxy.port(name), version, ca, isOriginHttp1 };
    };
    const traffic = new Traffic(
      {
        ways: [
          way('h1', 'h1', true),
          way('h1', 'h2', true),
          way('h2', 'h1', false),
          way('h2', 'h2', false),
          way('tls', 'h1', true),
          way('tls', 'h2', true),
        ],
        webSocketPort: proxy.port('websocket'),
        originTimeoutMs: ORIGIN_TIMEOUT_MS,
      },
      seed,
      LOOPS,
    );
    const before = await proxy.collected();
    const samples = await play(proxy, traffic, minutes);
    traffic.close();
    const after = await proxy.settled((now) => leftOver(before, now) === null && now.begun === now.logged, 20_000);
    say(`${traffic.sent} requests sent, ${traffic.answered} answered, ${after.begun} begun, ${after.logged} logged`);
    for (const [name, count] of traffic.done) say(`${count} × ${name}`);
    for (const [name, count] of Object.entries(after.outcomes)) say(`${count} log lines: ${name}`);
    for (const [name, count] of traffic.problems) say(`PROBLEM ${count} × ${name}`);
    if (samples.length < 3) say(`only ${samples.length} phases came to their end`);
    const [resident, live] = [growthOf(samples, 'residentBytes'), growthOf(samples, 'liveBytes')];
    const last = samples.at(-1);
    say(
      `resident ${inMib(before.residentBytes)} MiB at first, ${inMib(last?.residentBytes ?? 0)} at last, slope ${inMib(resident.slope)} ± ${inMib(2 * resident.error)} MiB a minute`,
    );
    say(
      `live ${inMib(before.liveBytes)} MiB at first, ${inMib(last?.liveBytes ?? 0)} at last, slope ${inMib(live.slope)} ± ${inMib(2 * live.error)} MiB a minute`,
    );
    const add = async (id: string, check: () => string | null | Promise<string | null>): Promise<void> =>
      void outcomes.push(await outcomeOf(id, check));
    await add('answers', () => {
      const all = [...traffic.problems].map(([what, count]) => `${count} × ${what}`);
      return all.length === 0 ? null : all.slice(0, 12).join('\n  ');
    });
    await add('every deed was done', () =>
      firstOf(differs('deeds', traffic.done.size, DEED_COUNT), traffic.answered > 0 ? null : 'nothing was answered'),
    );
    await add('log', () => logProblem(after, traffic));
    await add('resident memory', () => {
      if (minutes >= MINUTES_FOR_SLOPE) return tooMuch('resident memory', resident);
      const grown = (last?.residentBytes ?? Number.NaN) - before.residentBytes;
      return grown <= MAX_GROWTH_OF_SHORT_RUN ? null : `resident memory has grown by ${inMib(grown)} MiB`;
    });
    await add('live memory', () =>
      tooMuch('live memory', live, minutes >= MINUTES_FOR_SLOPE ? MAX_GROWTH_PER_MINUTE : MAX_LIVE_GROWTH_OF_SHORT_RUN),
    );
    await add('left over', () => leftOver(before, after));
    await add('the process ends', async () => await proxy.close());
  } catch (error) {
    outcomes.push({ id: 'runs', problem: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  } finally {
    close();
  }
  const code = report('soak', summarise(outcomes, readKnownFailures(new URL('known-failures.txt', import.meta.url))));
  // A client that was given up may wait for its own time-out still.
  setTimeout(() => process.exit(), 2_000).unref();
  return code;
}

/** @returns the samples behind the warm-up, which is a third of the time, and 5 minutes at most */
async function play(proxy: ProxyProcess, traffic: Traffic, minutes: number): Promise<readonly Sample[]> {
  const began = performance.now();
  const lastsMs = minutes * 60_000;
  const warmUpMs = Math.min(lastsMs / 3, 300_000);
  const phaseMs = minutes > 2 ? PHASE_MS.long : PHASE_MS.short;
  const samples: Sample[] = [];
  for (;;) {
    const elapsed = performance.now() - began;
    if (elapsed >= lastsMs) return samples;
    await traffic.run(Math.min(phaseMs, lastsMs - elapsed));
    const { residentBytes, liveBytes } = await proxy.collected();
    const atMs = performance.now() - began;
    if (atMs >= warmUpMs) samples.push({ atMs, residentBytes, liveBytes });
  }
}

function say(text: string): void {
  console.log(`soak: ${text}`);
}

/** @returns null if the command line is wrong */
function readOptions(): Options | null {
  try {
    const { values } = parseArgs({
      options: { seed: { type: 'string', default: '1' }, long: { type: 'boolean', default: false }, minutes: { type: 'string' } },
    });
    const minutes = values.minutes ?? (values.long ? '20' : '1');
    for (const [name, text] of [
      ['--seed', values.seed],
      ['--minutes', minutes],
    ] as const)
      if (!/^\d{1,9}$/.test(text)) throw new Error(`${name} takes a whole number of at most 9 digits, not ${JSON.stringify(text)}`);
    if (Number(minutes) < 1) throw new Error('--minutes must be at least 1');
    return { seed: Number(values.seed), minutes: Number(minutes) };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return null;
  }
}

/** The suite `h2-floods`: see `README.md` beside this file. */
import { parseArgs } from 'node:util';
import { type KnownFailures, type Outcome, readKnownFailures, report, summarise } from '../runner.ts';
import type { Attack } from './attack.ts';
import { CONTROL_ATTACKS } from './attacks/control-frames.ts';
import { HEADER_BLOCK_ATTACKS } from './attacks/header-blocks.ts';
import { HOLDING_ATTACKS } from './attacks/holding.ts';
import { RESET_ATTACKS } from './attacks/resets.ts';
import { UPSTREAM_ATTACKS } from './attacks/upstream.ts';
import { OWN_SERVERS, SERVER_NAMES, startServer } from './servers.ts';
import { besiege } from './siege.ts';

const { values } = parseArgs({
  options: {
    /** A server; may be repeated. Default: all of ours. */
    against: { type: 'string', multiple: true },
    /** Attacks whose ids begin so. */
    only: { type: 'string', default: '' },
    /** One attack at a time. */
    alone: { type: 'boolean', default: false },
    /** Each with its figures. */
    verbose: { type: 'boolean', default: false },
  },
});

const attacks: readonly Attack[] = [
  ...RESET_ATTACKS,
  ...HEADER_BLOCK_ATTACKS,
  ...CONTROL_ATTACKS,
  ...HOLDING_ATTACKS,
  ...UPSTREAM_ATTACKS,
].filter(({ id }) => id.startsWith(values.only));
const unknown = values.against?.find((name) => !SERVER_NAMES.some((known) => known === name));
if (unknown !== undefined) throw new RangeError(`no server ${unknown}: give some of ${SERVER_NAMES.join(', ')}`);
const servers = values.against === undefined ? OWN_SERVERS : SERVER_NAMES.filter((name) => values.against?.includes(name));
const outcomes: Outcome[] = [];
/** By class of attacks, the part of an id before its slash: the worst that was seen while any of it ran. */
const worst = new Map<string, { growthBytes: number; probeMs: number }>();
// The longest first, so that the last does not run alone.
const waiting = servers.toSorted((a, b) => Number(b.startsWith('reverse')) - Number(a.startsWith('reverse')));
// Two servers at a time: most of an attack is waiting.
const control = await startServer('http');
await Promise.all([besiegeNext(), ...(values.alone ? [] : [besiegeNext()])]);
await control.stop();
if (values.verbose) {
  for (const [name, { growthBytes, probeMs }] of worst)
    console.log(`h2-floods: ${name}: at most +${(growthBytes / 1_048_576).toFixed(1)} MiB, probe ${probeMs.toFixed(0)} ms`);
}
process.exitCode = report('h2-floods', summarise(outcomes, relevant(readKnownFailures(new URL('known-failures.txt', import.meta.url)))));

async function besiegeNext(): Promise<void> {
  for (let server = waiting.shift(); server !== undefined; server = waiting.shift()) {
    outcomes.push(
      ...(await besiege(server, attacks, {
        isAlone: values.alone,
        isVerbose: values.verbose,
        controlPort: control.port,
        note,
        say: (line) => console.log(line),
      })),
    );
  }
}

function note(ids: readonly string[], growthBytes: number, worstMs: number): void {
  for (const id of ids) {
    const name = id.slice(0, id.indexOf('/'));
    const before = worst.get(name) ?? { growthBytes: 0, probeMs: 0 };
    worst.set(name, { growthBytes: Math.max(before.growthBytes, growthBytes), probeMs: Math.max(before.probeMs, worstMs) });
  }
}

/** The known failures of the cases that ran. */
function relevant(known: KnownFailures): KnownFailures {
  if (values.against === undefined && values.only === '') return known;
  const ids = new Set(outcomes.map(({ id }) => id));
  return new Map([...known].filter(([id]) => ids.has(id)));
}

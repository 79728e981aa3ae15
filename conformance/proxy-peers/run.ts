/** The suite `proxy-peers`: see `README.md` beside this file. A wrong command line ends with 2 and the usage. */
import { parseArgs } from 'node:util';
import { outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { bulkPart } from './bulk.ts';
import { eventsPart } from './events.ts';
import { forwardingPart } from './forwarding.ts';
import { grpcPart } from './grpc.ts';
import { makeCertificates, type Part, Stage } from './stage.ts';
import { webSocketPart } from './websocket.ts';

const PARTS: readonly Part[] = [grpcPart, webSocketPart, eventsPart, bulkPart, forwardingPart];

const USAGE = `usage: node conformance/proxy-peers/run.ts [--only REGEXP] [--part NAME] [--seed N] [--long]

  --only REGEXP  checks whose ids match: ^grpc/tls-tls/
  --part NAME    one of ${PARTS.map(({ name }) => name).join(', ')}; may be repeated
  --seed N       makes what is random (default 1)
  --long         more of everything`;

interface Options {
  readonly parts: readonly Part[];
  readonly only: RegExp | null;
  readonly seed: number;
  readonly isLong: boolean;
}

const options = readOptions();
process.exitCode = options === null ? 2 : await run(options);

async function run({ parts, only, seed, isLong }: Options): Promise<number> {
  const stage = new Stage({ isLong, seed, only, certificates: await makeCertificates() });
  stage.figure(`--seed ${seed}${isLong ? ' --long' : ''}`);
  for (const part of parts) {
    const began = performance.now();
    const { id, problem } = await outcomeOf(`${part.name}/runs`, async () => {
      await part.run(stage);
      return null;
    });
    if (problem !== null) stage.outcomes.push({ id, problem });
    stage.figure(`${part.name} took ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  const known = readKnownFailures(new URL('known-failures.txt', import.meta.url));
  const ids = new Set(stage.outcomes.map(({ id }) => id));
  const isWhole = only === null && parts.length === PARTS.length;
  const code = report('proxy-peers', summarise(stage.outcomes, isWhole ? known : new Map([...known].filter(([id]) => ids.has(id)))));
  // A client that a failed check has given up may wait for its own time-out still.
  setTimeout(() => process.exit(), 2_000).unref();
  return code;
}

/** @returns null if the command line is wrong */
function readOptions(): Options | null {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string' },
        part: { type: 'string', multiple: true },
        seed: { type: 'string', default: '1' },
        long: { type: 'boolean', default: false },
      },
    });
    if (!/^\d{1,9}$/.test(values.seed))
      throw new Error(`--seed takes a whole number of at most 9 digits, not ${JSON.stringify(values.seed)}`);
    const unknown = values.part?.find((part) => PARTS.every(({ name }) => name !== part));
    if (unknown !== undefined) throw new Error(`there is no part ${JSON.stringify(unknown)}`);
    return {
      parts: PARTS.filter(({ name }) => values.part?.includes(name) ?? true),
      only: values.only === undefined ? null : new RegExp(values.only),
      seed: Number(values.seed),
      isLong: values.long,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return null;
  }
}

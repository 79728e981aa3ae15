/** Runs the command: arguments in, exit code out. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ferrata/clock';
import { isWireError } from '@ferrata/error';
import { AccessLog } from './access-log.ts';
import { type ReverseArguments, UsageError, formatUrl, help, parseCommand } from './arguments.ts';
import { type ReverseProxy, startReverseProxy } from './reverse-proxy.ts';

/** Exit codes of the command. */
export const ExitCode = { ok: 0, failed: 1, usage: 2 } as const;

/** Runs `ferrata` with its arguments, the program's name left out. @returns the exit code */
export async function run(argv: readonly string[]): Promise<number> {
  try {
    const command = parseCommand(argv);
    switch (command.kind) {
      case 'help':
        process.stdout.write(help);
        return ExitCode.ok;
      case 'version':
        process.stdout.write(`ferrata ${version()}\n`);
        return ExitCode.ok;
      case 'reverse':
        return await runReverse(command.arguments);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`ferrata: ${error.message}\n`);
    return ExitCode.usage;
  }
}

async function runReverse(args: ReverseArguments): Promise<number> {
  if (args.threads > 1) process.stderr.write(`ferrata: --threads ${args.threads}: this version serves with one thread; going on with one\n`);
  const log = args.hasAccessLog ? new AccessLog(process.stdout, () => systemClock.wallNow()) : null;
  let proxy: ReverseProxy;
  try {
    proxy = await startReverseProxy({
      ...args,
      ...(log === null ? {} : { onSession: (session, error) => log.logSession(session, error), onRefused: (refusal) => log.logRefusal(refusal) }),
    });
  } catch (error) {
    if (!isWireError(error)) throw error;
    process.stderr.write(`ferrata: cannot listen: ${error.message}\n`);
    return ExitCode.failed;
  }
  for (const listener of proxy.listeners) process.stdout.write(`ready ${formatUrl(listener.address)}\n`);
  await endSignal();
  const cut = await proxy.stop(args.graceMs);
  log?.flush();
  if (cut > 0) process.stderr.write(`ferrata: ${cut} connections were still busy after the grace and were cut\n`);
  return ExitCode.ok;
}

/** Waits for the first SIGTERM or SIGINT; a second one ends the process at once. */
export function endSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isEnding = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isEnding) process.exit(signal === 'SIGINT' ? 130 : 143);
    isEnding = true;
    resolve();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return promise;
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}

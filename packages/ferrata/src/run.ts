/** Runs the command: arguments in, exit code out. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ferrata/clock';
import { isWireError } from '@ferrata/error';
import { AccessLog } from './access-log.ts';
import { formatUrl, help, parseCommand, type ReverseArguments, UsageError } from './arguments.ts';
import { ExitCode, endSignal } from './end-signal.ts';
import { Output } from './output.ts';
import { type ReverseProxy, startReverseProxy } from './reverse-proxy.ts';

/** How long the last lines may take to reach whoever reads them. */
const LAST_LINES_MS = 1_000;

/** Runs `ferrata` with its arguments, the program's name left out. @returns the exit code */
export async function run(argv: readonly string[]): Promise<number> {
  const notices = new Output(process.stderr);
  const output = new Output(process.stdout, {
    onGone: (error) => notices.write(`ferrata: nothing more is written to standard output: ${error.message}\n`),
  });
  const code = await runCommand(argv, output, notices);
  await Promise.all([output.flush(LAST_LINES_MS), notices.flush(LAST_LINES_MS)]);
  return code;
}

async function runCommand(argv: readonly string[], output: Output, notices: Output): Promise<number> {
  try {
    const command = parseCommand(argv);
    switch (command.kind) {
      case 'help':
        output.write(help);
        return ExitCode.ok;
      case 'version':
        output.write(`ferrata ${version()}\n`);
        return ExitCode.ok;
      case 'reverse':
        return await runReverse(command.arguments, output, notices);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    notices.write(`ferrata: ${error.message}\n`);
    return ExitCode.usage;
  }
}

async function runReverse(args: ReverseArguments, output: Output, notices: Output): Promise<number> {
  if (args.threads > 1) notices.write(`ferrata: --threads ${args.threads}: this version serves with one thread; going on with one\n`);
  const log = args.hasAccessLog ? new AccessLog(output, () => systemClock.wallNow()) : null;
  let proxy: ReverseProxy | null = null;
  let isCut = false;
  // Before the first `ready`: whoever reads that line may send a signal at once.
  const hasToEnd = endSignal({
    onSecond() {
      if (proxy === null || log === null) return;
      isCut = true;
      return cutAndLog(proxy, log, output);
    },
  });
  try {
    proxy = await startReverseProxy({
      ...args,
      onHookFailed: (error) => notices.write(`ferrata: the access log failed: ${error.message}\n`),
      ...(log === null
        ? {}
        : { onSession: (session, error) => log.logSession(session, error), onRefused: (refusal) => log.logRefusal(refusal) }),
    });
  } catch (error) {
    if (!isWireError(error)) throw error;
    notices.write(`ferrata: ${error.message}\n`);
    return ExitCode.failed;
  }
  output.write(proxy.listeners.map(({ address }) => `ready ${formatUrl(address)}\n`).join(''));
  await hasToEnd;
  const cut = await proxy.stop(args.graceMs);
  // The second signal ends the process, with its own exit code.
  if (isCut) await new Promise<never>(() => {});
  log?.flush();
  if (cut > 0) {
    const what = cut === 1 ? '1 connection was' : `${cut} connections were`;
    notices.write(`ferrata: ${what} still busy after the grace and had to be cut\n`);
  }
  return ExitCode.ok;
}

/** Every request that still ran gets its line, and whoever reads the lines some time to take them. */
async function cutAndLog(proxy: ReverseProxy, log: AccessLog, output: Output): Promise<void> {
  await proxy.cut();
  log.flush();
  await output.flush(LAST_LINES_MS);
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}

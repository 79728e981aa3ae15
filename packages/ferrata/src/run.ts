/** Runs the command: arguments in, exit code out. */
import { readFileSync } from 'node:fs';
import { help, parseCommand, type ReverseArguments } from './arguments.ts';
import { type CertArguments, certHelp } from './cert-arguments.ts';
import { usageLines } from './cert-usage.ts';
import { ExitCode } from './end-signal.ts';
import { Output } from './output.ts';
import { certificateConcerns, loadReverseConfig, type ReverseConfig } from './reverse-config.ts';
import { UsageError } from './usage-error.ts';

/** How long the last lines may take to reach whoever reads them. */
const LAST_LINES_MS = 1_000;

/** One thread serves tens of thousands of requests a second; more are worth their memory only where there are CPUs for them. */
const DEFAULT_THREADS = 1;
const DEFAULT_GRACE_MS = 30_000;

/** What notices begin with, unless the file of the server's options says otherwise. */
const NAME = 'ferrata';

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
      case 'certHelp':
        output.write(certHelp);
        return ExitCode.ok;
      case 'cert':
        return await runCert(command.arguments, output, notices);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    notices.write(`ferrata: ${error.message}\n`);
    return ExitCode.usage;
  }
}

async function runReverse(args: ReverseArguments, output: Output, notices: Output): Promise<number> {
  // Only this command serves.
  const [{ reverseServer, urlOf }, { SetupError, withServerFile }] = await Promise.all([
    import('./reverse-server.ts'),
    import('@ferrata/service'),
  ]);
  let start: () => Promise<number>;
  let isReady = args.isTest;
  try {
    const file = args.configFile === null ? {} : withServerFile(args.configFile, NAME, (options) => options);
    const { name = NAME } = file;
    const tell = (text: string): void => notices.write(`${name}: ${text}\n`);
    start = reverseServer({
      threads: DEFAULT_THREADS,
      graceMs: DEFAULT_GRACE_MS,
      ...file,
      ...args.server,
      test: args.isTest,
      config: { load: async () => (args.isTest ? await testedConfig(args, tell) : loadReverseConfig(args)) },
      onNotice({ severity, text }) {
        // That the first generation serves is what the lines for standard output say.
        if (isReady || severity !== 'info') tell(oneLine(text));
      },
      onReady(listeners) {
        isReady = true;
        if (!args.isVerifying) tell('--no-verify: whoever is on the path can be an https:// origin; for tests alone');
        output.write(listeners.map((listener) => `ready ${urlOf(listener)}\n`).join(''));
      },
    });
  } catch (error) {
    if (error instanceof SetupError) throw new UsageError(error.problems.join('\nferrata: '), { cause: error });
    // What the server says of its options begins with their names, which are those of the command line but for one.
    if (error instanceof RangeError) throw new UsageError(`--${error.message.replace(/^pidFile\b/, 'pid-file')}`, { cause: error });
    throw error;
  }
  return await start();
}

/** Whoever looks before a start hears what it would tell of the certificates. */
async function testedConfig(args: ReverseArguments, tell: (text: string) => void): Promise<ReverseConfig> {
  const config = loadReverseConfig(args);
  for (const concern of await certificateConcerns(args.certificates)) tell(oneLine(concern));
  return config;
}

/** A notice is a line, whatever a peer or a file has brought into it. */
function oneLine(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ');
}

async function runCert(args: CertArguments, output: Output, notices: Output): Promise<number> {
  // What makes certificates takes 100 ms to load, and only this command needs it.
  const { writeCertificate } = await import('./cert-command.ts');
  try {
    const written = await writeCertificate(args);
    const { authorityFile, isAuthorityNew, certificateFile, keyFile } = written;
    const usage = usageLines(args, written);
    output.write(
      `authority    ${authorityFile}${isAuthorityNew ? ' (new)' : ''}\ncertificate  ${certificateFile}\nkey          ${keyFile}\n${usage === '' ? '' : `\n${usage}`}`,
    );
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof UsageError || !(error instanceof Error && 'code' in error)) throw error;
    notices.write(`ferrata: the certificate could not be written: ${error.message}\n`);
    return ExitCode.failed;
  }
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}

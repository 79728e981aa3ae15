/** Runs the command: arguments in, exit code out. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ferrata/clock';
import { isWireError, type WireError } from '@ferrata/error';
import { type CertificateReload, TlsClient } from '@ferrata/net';
import { AccessLog } from './access-log.ts';
import { help, parseCommand, type ReverseArguments } from './arguments.ts';
import { type CertArguments, certHelp } from './cert-arguments.ts';
import { shellFile, usageLines } from './cert-usage.ts';
import { ExitCode, endSignal } from './end-signal.ts';
import { OriginNotices } from './origin-notices.ts';
import { Output } from './output.ts';
import { type ReverseProxy, type ReverseProxyOptions, startReverseProxy } from './reverse-proxy.ts';
import { formatUrl } from './urls.ts';
import { UsageError } from './usage-error.ts';

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
  if (args.threads > 1) notices.write(`ferrata: --threads ${args.threads}: this version serves with one thread; going on with one\n`);
  if (!args.isVerifying) notices.write('ferrata: --no-verify: whoever is on the path can be an https:// origin; for tests alone\n');
  const failures = new OriginNotices(
    (sentence) => notices.write(`ferrata: ${sentence}\n`),
    () => systemClock.now(),
  );
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
      ...tlsOptions(args, notices),
      onOriginFailed: (origin, error) => failures.tell(formatUrl(origin), error),
      onHookFailed: (error) => notices.write(`ferrata: the access log failed: ${error.message}\n`),
      ...(log === null
        ? {}
        : {
            onSession: (session, error) => log.logSession(session, error),
            onRefused: (refusal) => log.logRefusal(refusal),
            onHandshakeFailed: (error, info) => log.logHandshakeFailure(error, info),
          }),
    });
  } catch (error) {
    if (!isWireError(error)) throw error;
    notices.write(`ferrata: ${error.message}${keyAdvice(error, args)}\n`);
    return ExitCode.failed;
  }
  const urls = proxy.listeners.map(({ address }, index) => formatUrl({ ...address, isSecure: args.listen[index]?.isSecure === true }));
  output.write(urls.map((url) => `ready ${url}\n`).join(''));
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

/** What the options of TLS are for the proxy. @throws {UsageError} when the file of authorities cannot be read */
function tlsOptions(args: ReverseArguments, notices: Output): Pick<ReverseProxyOptions, 'tls' | 'upstreamTls'> {
  const { certificates, isVerifying, caFiles } = args;
  const onReload = (reload: CertificateReload): void => notices.write(`ferrata: ${reloadSentence(reload)}\n`);
  return {
    ...(certificates.length === 0 ? {} : { tls: { certificates, onReload } }),
    upstreamTls: { verifyCert: isVerifying, ...(caFiles.length === 0 ? {} : { ca: caFiles.map(readAuthorities) }) },
  };
}

/** What has become of a certificate whose files were looked at again. */
function reloadSentence({ label, error, concern, isReplaced }: CertificateReload): string {
  // The errors name it, too.
  const textOf = ({ message }: WireError): string => message.replace(`${label}: `, '');
  if (error !== null) return `${label}: the new certificate or its key cannot be used, the old ones serve on: ${textOf(error)}`;
  if (concern !== null) return `${label}: ${textOf(concern)}`;
  return isReplaced ? `${label}: new connections get the new certificate` : `${label}: the certificate and its key can be read again`;
}

function readAuthorities(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--ca ${file}: it cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new UsageError(`--ca ${file}: there is no certificate in PEM in it`);
  try {
    // Each file by itself, so that the sentence names the right one.
    new TlsClient({ ca: text });
  } catch (error) {
    throw new UsageError(`--ca ${file}: there is something in it that is no certificate: ${(error as Error).message}`, { cause: error });
  }
  return text;
}

/** PEM says so by its label (RFC 7468 §11) or, in the older forms, by a header (RFC 1421 §4.6.1.1). */
const encryptedKey = /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m;

/** What to do about a key that OpenSSL would only call unreadable; empty if that is not it. */
function keyAdvice({ reason }: WireError, { certificates }: ReverseArguments): string {
  if (reason !== 'TLS_KEY_UNREADABLE') return '';
  for (const { keyFile } of certificates) {
    try {
      if (encryptedKey.test(readFileSync(keyFile, 'utf8')))
        return `; --key ${keyFile} is encrypted, and the command asks for no passphrase: decrypt it by openssl pkey -in ${shellFile(keyFile)} -out FILE`;
    } catch {
      // Then the error tells of it.
    }
  }
  return '';
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

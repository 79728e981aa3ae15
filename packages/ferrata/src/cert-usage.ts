/** What to do with a certificate that was made: lines for a shell. */
import type { CertArguments } from './cert-arguments.ts';
import type { WrittenCertificate } from './cert-command.ts';

/** Commands to try the certificate with, each on a line; none for one that no server can show, as it is for mail addresses alone. */
export function usageLines({ names, use }: CertArguments, { authorityFile, certificateFile, keyFile }: WrittenCertificate): string {
  const ca = shellFile(authorityFile);
  const certificate = shellFile(certificateFile);
  const key = shellFile(keyFile);
  if (use === 'client') return `curl --cacert ${ca} --cert ${certificate} --key ${key} https://HOST:PORT/\n`;
  const name = names.find((text) => !text.includes('@'));
  if (name === undefined) return '';
  const host = name.replace(/^\*/, 'www');
  const isHere = host === 'localhost' || host === '127.0.0.1';
  const url = `https://${host.includes(':') ? `[${host}]` : host}:8443/`;
  return (
    `ferrata reverse --listen https://127.0.0.1:8443 --cert ${certificate} --key ${key} --to http://127.0.0.1:3000\n` +
    `curl --cacert ${ca} ${isHere ? '' : '--connect-to ::127.0.0.1:8443 '}${shellWord(url)}\n`
  );
}

/** A file's name that no command takes for an option. */
export function shellFile(name: string): string {
  return shellWord(name.startsWith('-') ? `./${name}` : name);
}

/** One word for a POSIX shell, whatever is in it (Shell Command Language, §2.2.2). */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

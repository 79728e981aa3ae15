/** The command line of `ferrata cert`. Apart from `cert-command.ts`, since what makes certificates takes 100 ms to load, and only that command needs it. */
import type { CertificateUse, KeyKind } from '@ferrata/dev-certificates';
import { parseCount, parseOptions } from './parse-options.ts';
import { UsageError } from './usage-error.ts';

/** What `ferrata cert dev` was asked to do. */
export interface CertArguments {
  /** Host names, wildcards, IP addresses, e-mail addresses; at least one, and not looked at yet. */
  readonly names: readonly string[];
  /** Default `certificates`. */
  readonly directory: string;
  /** Default `server`. */
  readonly use: CertificateUse;
  readonly organisation: string | null;
  /** Default `ecdsa-p256`. */
  readonly key: KeyKind;
  /** Default 397. */
  readonly days: number;
}

/** What `ferrata cert --help` prints. */
export const certHelp = `ferrata cert dev: certificates for development

  ferrata cert dev NAME [NAME…] [options]

  NAME                    a host name, *.domain, an IP address, or an e-mail address; the certificate is for all of them
  --dir DIR               where to write (certificates): NAME.crt and NAME.key of the first name, ca/ca.crt and ca/ca.key
  --client                a certificate for a client instead of a server
  --organisation TEXT     the O of its subject
  --key KIND              ecdsa-p256 (default), ecdsa-p384, rsa-2048, ed25519
  --days N                how long it holds, 1 to 3650 (397)

  The authority in DIR is made once and used again. Trust ca/ca.crt where you test, and nowhere else.
`;

const keyKinds: readonly KeyKind[] = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'ed25519'];

const options = {
  dir: { type: 'string' },
  client: { type: 'boolean' },
  organisation: { type: 'string' },
  key: { type: 'string' },
  days: { type: 'string' },
} as const;

/** Parses what stands behind `ferrata cert`. @throws {UsageError} when it makes no sense */
export function parseCertArguments(argv: readonly string[]): CertArguments {
  const { values, positionals } = parseOptions(argv, options, 'ferrata cert --help');
  const [kind, ...names] = positionals;
  if (kind !== 'dev') throw new UsageError('write: ferrata cert dev NAME…; only certificates for development are made here');
  if (names.length === 0) throw new UsageError('say whom the certificate is for: ferrata cert dev localhost 127.0.0.1');
  const key = values.key ?? 'ecdsa-p256';
  const found = keyKinds.find((known) => known === key);
  if (found === undefined) throw new UsageError(`--key ${key}: write one of ${keyKinds.join(', ')}`);
  const days = parseCount('--days', values.days, { fallback: 397, least: 1, most: 3_650 });
  return {
    names,
    directory: values.dir ?? 'certificates',
    use: values.client === true ? 'client' : 'server',
    organisation: values.organisation ?? null,
    key: found,
    days,
  };
}

/** True if what stands behind `ferrata cert` asks for help. */
export function wantsCertHelp(argv: readonly string[]): boolean {
  return argv.includes('--help') || argv.includes('-h');
}

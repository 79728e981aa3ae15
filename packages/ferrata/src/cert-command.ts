/**
 * `ferrata cert dev NAME…`: a certificate authority for development, and a certificate by it.
 *
 * The authority is made once and kept in the folder, so that a browser or a `curl --cacert` that was told to trust it goes on trusting the certificates
 * made later. Keys can be read by their owner only. Nothing is written over but a certificate of the same name.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CertificateAuthority, createAuthority, loadAuthority } from '@ferrata/dev-certificates';
import type { CertArguments } from './cert-arguments.ts';
import { UsageError } from './usage-error.ts';

/** The files that a run has written, or has found there. */
export interface WrittenCertificate {
  readonly authorityFile: string;
  /** The authority was made by this run. */
  readonly isAuthorityNew: boolean;
  readonly certificateFile: string;
  readonly keyFile: string;
}

const DAY_MS = 86_400_000;

/**
 * Makes the certificate, and the authority if the folder has none.
 *
 * @throws {UsageError} when the authority in the folder cannot be used
 */
export async function writeCertificate(args: CertArguments): Promise<WrittenCertificate> {
  await mkdir(args.directory, { recursive: true });
  const authorityFile = join(args.directory, 'ca.pem');
  const authorityKeyFile = join(args.directory, 'ca-key.pem');
  let authority = await readAuthority(authorityFile, authorityKeyFile);
  const isAuthorityNew = authority === null;
  if (authority === null) {
    authority = await createAuthority();
    await replaceFile(authorityKeyFile, await authority.exportKey(), 0o600);
    await replaceFile(authorityFile, authority.certificate, 0o644);
  }
  const issued = await authority.issue({
    names: args.names,
    use: args.use,
    key: args.key,
    validTo: new Date(Date.now() + args.days * DAY_MS),
    ...(args.organisation === null ? {} : { organisation: args.organisation }),
  });
  const stem = fileStem(args.names[0] as string);
  const certificateFile = join(args.directory, `${stem}.pem`);
  const keyFile = join(args.directory, `${stem}-key.pem`);
  // The key first: who watches the certificate finds a pair that belongs together.
  await replaceFile(keyFile, issued.key, 0o600);
  await replaceFile(certificateFile, issued.chain, 0o644);
  return { authorityFile, isAuthorityNew, certificateFile, keyFile };
}

async function readAuthority(certificateFile: string, keyFile: string): Promise<CertificateAuthority | null> {
  const certificate = await readIfThere(certificateFile);
  const key = await readIfThere(keyFile);
  if (certificate === null && key === null) return null;
  if (certificate === null || key === null)
    throw new UsageError(`${certificateFile} and ${keyFile} belong together, and one of them is missing; restore it, or remove the other`);
  try {
    return await loadAuthority(certificate, key);
  } catch (error) {
    throw new UsageError(`${certificateFile} and ${keyFile} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** A server that watches the file never sees half of it. */
async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const partFile = `${file}.part`;
  await writeFile(partFile, text, { mode });
  await rename(partFile, file);
}

/** The first name as part of a file's name. */
function fileStem(name: string): string {
  return name.replace(/^\*/, '_wildcard').replaceAll(/[^A-Za-z0-9._-]/g, '_');
}

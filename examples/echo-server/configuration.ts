/**
 * What the echo server is told by its file, and how that is looked at. A file that is wrong is refused whole, with a sentence that says why: at the start the
 * server does not start, at a reload it goes on with what it has.
 *
 * ```json
 * {
 *   "message": "hello",
 *   "http": ["127.0.0.1:8080", "unix:/run/echo.sock"],
 *   "https": ["127.0.0.1:8443"],
 *   "certificate": { "certificateFile": "server.pem", "keyFile": "server.key" },
 *   "tcp": ["127.0.0.1:7000"],
 *   "udp": ["127.0.0.1:7000"]
 * }
 * ```
 */
import { open } from 'node:fs/promises';
import { type CertificateInFiles, loadCertificate } from '@ferrata/net';

/** Plain data: it is cloned for each worker. Names of files are absolute, or relative to the working directory. */
export interface EchoConfig {
  /** What `/` answers with. */
  readonly message: string;
  readonly http: readonly string[];
  readonly https: readonly string[];
  /** Needed where `https` has an address. */
  readonly certificate: CertificateInFiles | null;
  readonly tcp: readonly string[];
  readonly udp: readonly string[];
  /** Above so many requests a second, of all workers together, the answer is 429. */
  readonly maxRequestsPerSecond: number;
  /** Serves the paths of `faults.ts`, whose callbacks go wrong. Never where strangers can ask. */
  readonly faults: boolean;
}

/** No configuration of this kind is longer; a wrong path may well be. */
const MAX_BYTES = 65_536;

const KEYS = ['message', 'http', 'https', 'certificate', 'tcp', 'udp', 'maxRequestsPerSecond', 'faults'];

/** Reads a file. @throws {Error} that says what is wrong with it */
export async function readConfiguration(path: string): Promise<EchoConfig> {
  const config = parseConfiguration(await readText(path), path);
  if (config.https.length > 0) {
    if (config.certificate === null) throw new Error(`${path}: "https" needs "certificate"`);
    // A worker would find out, too; here it is found before anything is done.
    const { certificate } = loadCertificate(config.certificate);
    // No reason to serve nobody, but one to be told.
    if (certificate.validTo < Date.now()) console.warn(`${path}: the certificate in ${config.certificate.certificateFile} has expired`);
  }
  return config;
}

async function readText(path: string): Promise<string> {
  if (path === '') throw new Error('say with which configuration: server.ts FILE [options]');
  const file = await open(path, 'r');
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is no file`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1);
    if (bytesRead > MAX_BYTES) throw new Error(`${path} has more than ${MAX_BYTES} bytes: that is no configuration`);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function parseConfiguration(text: string, path: string): EchoConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const fields = fieldsOf(value, path);
  const unknown = Object.keys(fields).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new Error(`${path}: no setting is called "${unknown}"; there are ${KEYS.join(', ')}`);
  const { message = 'hello', maxRequestsPerSecond = 1_000_000, faults = false } = fields;
  if (typeof message !== 'string' || !/^[\x20-\x7e]{0,200}$/.test(message))
    throw new Error(`${path}: "message" must be a line of ASCII text`);
  if (typeof maxRequestsPerSecond !== 'number' || !(maxRequestsPerSecond > 0)) {
    throw new Error(`${path}: "maxRequestsPerSecond" must be a number above 0`);
  }
  if (typeof faults !== 'boolean') throw new TypeError(`${path}: "faults" must be true or false`);
  const addresses = (key: string): readonly string[] => {
    const list = fields[key] ?? [];
    if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
      throw new Error(`${path}: "${key}" must be a list of addresses`);
    return list;
  };
  return {
    message,
    http: addresses('http'),
    https: addresses('https'),
    certificate: certificateOf(fields['certificate'], path),
    tcp: addresses('tcp'),
    udp: addresses('udp'),
    maxRequestsPerSecond,
    faults,
  };
}

function certificateOf(value: unknown, path: string): EchoConfig['certificate'] {
  if (value === undefined) return null;
  const { certificateFile, keyFile } = fieldsOf(value, `${path}: "certificate"`);
  if (typeof certificateFile !== 'string' || typeof keyFile !== 'string') {
    throw new TypeError(`${path}: "certificate" needs "certificateFile" and "keyFile"`);
  }
  return { certificateFile, keyFile };
}

function fieldsOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${what} must be an object`);
  return value as Readonly<Record<string, unknown>>;
}

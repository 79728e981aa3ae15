/**
 * Cipher suites by the names of the IANA registry and by those of OpenSSL.
 *
 * Programs may write either (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, `ECDHE-RSA-AES128-GCM-SHA256`); Node takes OpenSSL's, and its sockets tell IANA's, which logs and digests here have.
 * The table holds what Node's OpenSSL can do with certificates; suites by pre-shared keys and SRP are left out. TLS 1.3 has one name for both (RFC 8446 §B.4).
 */

/** OpenSSL's name, IANA's name; grouped by strength, the groups in no further order: no preference is taken from this table. */
const SUITES: ReadonlyMap<string, string> = new Map([
  ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ['TLS_AES_256_GCM_SHA384', 'TLS_AES_256_GCM_SHA384'],
  ['TLS_CHACHA20_POLY1305_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'],
  ['TLS_AES_128_CCM_SHA256', 'TLS_AES_128_CCM_SHA256'],
  ['TLS_AES_128_CCM_8_SHA256', 'TLS_AES_128_CCM_8_SHA256'],
  // RFC 5289, RFC 7905: forward secrecy and AEAD.
  ['ECDHE-ECDSA-AES128-GCM-SHA256', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'],
  ['ECDHE-RSA-AES128-GCM-SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
  ['ECDHE-ECDSA-AES256-GCM-SHA384', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
  ['ECDHE-RSA-AES256-GCM-SHA384', 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384'],
  ['ECDHE-ECDSA-CHACHA20-POLY1305', 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256'],
  ['ECDHE-RSA-CHACHA20-POLY1305', 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256'],
  // RFC 5288: over finite fields.
  ['DHE-RSA-AES128-GCM-SHA256', 'TLS_DHE_RSA_WITH_AES_128_GCM_SHA256'],
  ['DHE-RSA-AES256-GCM-SHA384', 'TLS_DHE_RSA_WITH_AES_256_GCM_SHA384'],
  ['DHE-RSA-CHACHA20-POLY1305', 'TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256'],
  // CBC: for old clients only.
  ['ECDHE-ECDSA-AES128-SHA256', 'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256'],
  ['ECDHE-RSA-AES128-SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256'],
  ['ECDHE-ECDSA-AES256-SHA384', 'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384'],
  ['ECDHE-RSA-AES256-SHA384', 'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384'],
  ['DHE-RSA-AES128-SHA256', 'TLS_DHE_RSA_WITH_AES_128_CBC_SHA256'],
  ['DHE-RSA-AES256-SHA256', 'TLS_DHE_RSA_WITH_AES_256_CBC_SHA256'],
  ['ECDHE-ECDSA-AES128-SHA', 'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA'],
  ['ECDHE-RSA-AES128-SHA', 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA'],
  ['ECDHE-ECDSA-AES256-SHA', 'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA'],
  ['ECDHE-RSA-AES256-SHA', 'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA'],
  ['DHE-RSA-AES128-SHA', 'TLS_DHE_RSA_WITH_AES_128_CBC_SHA'],
  ['DHE-RSA-AES256-SHA', 'TLS_DHE_RSA_WITH_AES_256_CBC_SHA'],
  // RFC 5246: without forward secrecy.
  ['AES128-GCM-SHA256', 'TLS_RSA_WITH_AES_128_GCM_SHA256'],
  ['AES256-GCM-SHA384', 'TLS_RSA_WITH_AES_256_GCM_SHA384'],
  ['AES128-SHA256', 'TLS_RSA_WITH_AES_128_CBC_SHA256'],
  ['AES256-SHA256', 'TLS_RSA_WITH_AES_256_CBC_SHA256'],
  ['AES128-SHA', 'TLS_RSA_WITH_AES_128_CBC_SHA'],
  ['AES256-SHA', 'TLS_RSA_WITH_AES_256_CBC_SHA'],
]);

const byIanaName: ReadonlyMap<string, string> = new Map([...SUITES].map(([openSslName, ianaName]) => [ianaName, openSslName]));

/** OpenSSL's name of a suite, given by either name. @returns null for a suite that is not known */
export function openSslCipherName(name: string): string | null {
  return SUITES.has(name) ? name : (byIanaName.get(name) ?? null);
}

/**
 * Checks a list of cipher suites, in order of preference.
 *
 * @param ciphers by IANA's or OpenSSL's names. Not OpenSSL's language of sets (`HIGH:!aNULL`): what it stands for changes with its version
 * @returns OpenSSL's names, without repetitions
 * @throws {TypeError} when it is no list @throws {RangeError} when it is empty, or names a suite that is not known
 */
export function resolveCiphers(ciphers: readonly string[]): readonly string[] {
  if (!Array.isArray(ciphers)) throw new TypeError('ciphers must be a list of names of cipher suites');
  if (ciphers.length === 0) throw new RangeError('ciphers must have at least one cipher suite');
  const resolved = new Set<string>();
  for (const name of ciphers as readonly unknown[]) {
    const found = typeof name === 'string' ? openSslCipherName(name) : null;
    if (found === null) throw new RangeError(`ciphers: ${JSON.stringify(name)} is no cipher suite that is known here`);
    resolved.add(found);
  }
  return Object.freeze([...resolved]);
}

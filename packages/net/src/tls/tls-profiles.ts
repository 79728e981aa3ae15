/**
 * What a TLS server takes by default: Mozilla's Server Side TLS, guideline 5.7, "intermediate" and "modern".
 *
 * Ciphers are in the order of the guideline, which leaves the choice to the client: a phone without AES instructions is better off with ChaCha20, and all of them are
 * strong. The finite-field suites of "intermediate" are listed as the guideline has them, and are used only where a server has parameters for them (Node's
 * `dhparam`): without, as here, OpenSSL passes over them. That is meant: they cost a server much more than the client that asks (CVE-2002-20001).
 */

/** Versions of TLS, as Node names them. */
export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** The name of a profile. */
export type TlsProfileName = 'intermediate' | 'modern';

/** A set of settings that belong together. */
export interface TlsProfile {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** OpenSSL's names, those of TLS 1.3 first; joined by colons they are Node's `ciphers`. */
  readonly ciphers: readonly string[];
  /** Groups for the key exchange, the preferred one first; joined by colons they are Node's `ecdhCurve`. */
  readonly curves: readonly string[];
  /** Whether the server's order counts, and not the client's. */
  readonly honorCipherOrder: boolean;
}

const TLS13_CIPHERS = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'] as const;
const CURVES: readonly string[] = Object.freeze(['X25519', 'prime256v1', 'secp384r1']);

/** Both profiles, by name. */
export const tlsProfiles: Readonly<Record<TlsProfileName, TlsProfile>> = Object.freeze({
  intermediate: Object.freeze({
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: Object.freeze([
      ...TLS13_CIPHERS,
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
      'ECDHE-RSA-CHACHA20-POLY1305',
      'DHE-RSA-AES128-GCM-SHA256',
      'DHE-RSA-AES256-GCM-SHA384',
      'DHE-RSA-CHACHA20-POLY1305',
    ]),
    curves: CURVES,
    honorCipherOrder: false,
  }),
  modern: Object.freeze({
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: Object.freeze([...TLS13_CIPHERS]),
    curves: CURVES,
    honorCipherOrder: false,
  }),
});

/** A profile by its name. @throws {RangeError} for a name that is neither */
export function tlsProfile(name: TlsProfileName): TlsProfile {
  if (Object.hasOwn(tlsProfiles, name)) return tlsProfiles[name];
  throw new RangeError(`profile must be intermediate or modern, not ${JSON.stringify(name)}`);
}

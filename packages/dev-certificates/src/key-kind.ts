/** The kinds of keys that certificates are made with. */
import type { webcrypto } from 'node:crypto';

/** `ecdsa-p256` is what a server of today has; `rsa-2048` is for old clients, and for measuring against others who use it. */
export type KeyKind = 'ecdsa-p256' | 'ecdsa-p384' | 'rsa-2048' | 'ed25519';

/** What WebCrypto needs to make such a key, and to sign with it. */
export interface KeyAlgorithms {
  readonly generation: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams | webcrypto.Algorithm;
  readonly signing: webcrypto.EcdsaParams | webcrypto.Algorithm;
}

const algorithms: Readonly<Record<KeyKind, KeyAlgorithms>> = {
  'ecdsa-p256': {
    generation: { name: 'ECDSA', namedCurve: 'P-256' },
    signing: { name: 'ECDSA', hash: 'SHA-256' },
  },
  'ecdsa-p384': {
    generation: { name: 'ECDSA', namedCurve: 'P-384' },
    signing: { name: 'ECDSA', hash: 'SHA-384' },
  },
  'rsa-2048': {
    generation: {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      publicExponent: Uint8Array.of(1, 0, 1),
      modulusLength: 2048,
    },
    signing: { name: 'RSASSA-PKCS1-v1_5' },
  },
  ed25519: { generation: { name: 'Ed25519' }, signing: { name: 'Ed25519' } },
};

/** @throws {RangeError} for a kind that is none of these */
export function keyAlgorithms(kind: KeyKind): KeyAlgorithms {
  const found = algorithms[kind] as KeyAlgorithms | undefined;
  if (found === undefined) throw new RangeError(`a key is one of ${Object.keys(algorithms).join(', ')}, not ${kind}`);
  return found;
}

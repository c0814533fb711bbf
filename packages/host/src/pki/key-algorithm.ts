/** Kinds of keys that certificates are made with, by the names that kubeadm's configuration has for them. */

export interface KeyAlgorithm {
  readonly name: string;
  readonly hash: string;
  readonly [parameter: string]: unknown;
}

const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]) };

export const KEY_ALGORITHMS = {
  'RSA-2048': { ...RSA, modulusLength: 2048 },
  'RSA-3072': { ...RSA, modulusLength: 3072 },
  'RSA-4096': { ...RSA, modulusLength: 4096 },
  'ECDSA-P256': { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' },
  'ECDSA-P384': { name: 'ECDSA', hash: 'SHA-384', namedCurve: 'P-384' },
} as const satisfies Readonly<Record<string, KeyAlgorithm>>;

export type KeyKind = keyof typeof KEY_ALGORITHMS;

export function isKeyKind(text: string): text is KeyKind {
  return Object.hasOwn(KEY_ALGORITHMS, text);
}

/** `--auth-token=jwt,…`: which signature, which keys, how long. Keys are read from PEM files in every form that etcd takes. */
import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { INTERNAL_ERRORS } from '@etcd/api';

const { ErrInvalidAuthMethod, ErrKeyMismatch, ErrMissingKey } = INTERNAL_ERRORS.auth;

export interface JwtOptions {
  /** Of JSON Web Algorithms: `RS256`. */
  readonly algorithm: string;
  readonly publicKeyFile: string;
  readonly privateKeyFile: string;
  readonly ttlMs: number;
}

export interface JwtKeys {
  /** Null: this member can verify tokens and not sign them. */
  readonly signing: KeyObject | null;
  readonly verifying: KeyObject;
}

/** Signature methods and the kinds of key that they take. */
const KEY_TYPES: Readonly<Record<string, readonly string[]>> = {
  RS256: ['rsa'],
  RS384: ['rsa'],
  RS512: ['rsa'],
  PS256: ['rsa', 'rsa-pss'],
  PS384: ['rsa', 'rsa-pss'],
  PS512: ['rsa', 'rsa-pss'],
  ES256: ['ec'],
  ES384: ['ec'],
  ES512: ['ec'],
  EdDSA: ['ed25519'],
  HS256: ['secret'],
  HS384: ['secret'],
  HS512: ['secret'],
};
const CURVES: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};
/** Shorter keys are broken, and refused by the library that signs. */
const MIN_RSA_BITS = 2048;

/** Throws with a reason where the options can't be. */
export function checkJwtOptions({ algorithm }: JwtOptions): void {
  if (KEY_TYPES[algorithm] === undefined) throw new Error(ErrInvalidAuthMethod.message);
}

/** The keys in the files; throws with a reason. */
export function loadJwtKeys(options: JwtOptions, readFile: (path: string) => Uint8Array): JwtKeys {
  const { algorithm, privateKeyFile, publicKeyFile } = options;
  const [type] = KEY_TYPES[algorithm]!;
  if (type === 'secret') {
    if (privateKeyFile === '') throw new Error(ErrMissingKey.message);
    const secret = readFile(privateKeyFile);
    if (secret.length === 0) throw new Error(ErrMissingKey.message);
    const key = createSecretKey(secret);
    return { signing: key, verifying: key };
  }
  const signing = privateKeyFile === '' ? null : createPrivateKey(Buffer.from(readFile(privateKeyFile)));
  const given = publicKeyFile === '' ? null : createPublicKey(Buffer.from(readFile(publicKeyFile)));
  const verifying = signing === null ? given : createPublicKey(signing);
  if (verifying === null) throw new Error(ErrMissingKey.message);
  if (given !== null && !given.equals(verifying)) throw new Error(ErrKeyMismatch.message);
  checkKey(algorithm, verifying);
  return { signing, verifying };
}

function checkKey(algorithm: string, key: KeyObject): void {
  const type = key.asymmetricKeyType ?? '';
  if (!KEY_TYPES[algorithm]!.includes(type))
    throw new Error(`auth: ${algorithm} needs another kind of key than ${type}`);
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const curve = CURVES[algorithm];
  if (curve !== undefined && namedCurve !== curve)
    throw new Error(`auth: ${algorithm} needs a key of the curve ${curve}, not ${namedCurve}`);
  if (modulusLength !== undefined && modulusLength < MIN_RSA_BITS)
    throw new Error(
      `auth: an RSA key of ${modulusLength} bits is too weak: at least ${MIN_RSA_BITS} are needed`,
    );
}

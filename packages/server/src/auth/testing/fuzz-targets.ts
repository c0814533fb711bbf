/** Tokens as they come with a call, fed with bytes: nobody is let in whose token was not given out. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { SILENT_LOGGER } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import { type FuzzTarget, InputReader, SimClock } from '@etcd/testing';
import { openTokenProvider } from '../open-token-provider.ts';
import type { TokenProvider } from '../token-provider.ts';

const APPLIED = 10;
function keys(): { readonly pub: string; readonly priv: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pub = publicKey.export({ type: 'spki', format: 'pem' });
  const priv = privateKey.export({ type: 'pkcs8', format: 'pem' });
  return { pub: String(pub), priv: String(priv) };
}

function open(authToken: string): TokenProvider {
  const pem = keys();
  const provider = openTokenProvider({
    authToken,
    simpleTokenTtlMs: 5000,
    readFile: (path) => Buffer.from(path === '/pub' ? pem.pub : pem.priv),
    clock: new SimClock(),
    logger: SILENT_LOGGER,
    secret: randomBytes,
    appliedIndex: () => APPLIED,
    whenApplied: (_index, done) => done(true),
  });
  provider.enable();
  return provider;
}

function identify(provider: TokenProvider, token: string): Promise<Identity | null> {
  return new Promise((resolve) => provider.resolveThen(token, () => 3, resolve));
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

/** Of the right form, and signed by nobody; Go's and ours look like this. */
const UNSIGNED = [
  `${encoded({ alg: 'RS256', typ: 'JWT' })}.${encoded({ username: 'root', revision: 3, exp: 9e9 })}.AAAA`,
  `${encoded({ alg: 'none' })}.${encoded({ username: 'root', revision: 3 })}.`,
  `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded({ username: 'root', revision: 3 })}.AAAA`,
  `${encoded({ alg: 'RS256', b64: false, crit: ['b64'] })}.${encoded({ username: 'root' })}.AAAA`,
];

let providers: readonly TokenProvider[] | null = null;

/** The first byte says which kind of tokens the member has. */
const tokens: FuzzTarget = {
  name: 'tokens',
  what: 'tokens that come with a call: simple ones and JSON Web Tokens',
  tokens: [
    '.',
    '.9',
    '.10',
    '.11',
    '=',
    'eyJhbGciOiJub25lIn0',
    ...UNSIGNED.flatMap((token) => token.split('.')),
  ],
  seeds: () => [
    ...['abcdefghijklmnop.9', 'abcdefghijklmnop.12', '..', ''].map((token) => Buffer.from(`\0${token}`)),
    ...UNSIGNED.map((token) => Buffer.from(`\x01${token}`)),
  ],
  run: async (input) => {
    providers ??= [open('simple'), open('jwt,pub-key=/pub,priv-key=/priv,sign-method=RS256')];
    const reader = new InputReader(input);
    const provider = providers[reader.byte() % providers.length]!;
    const token = Buffer.from(reader.rest()).toString('latin1');
    if (provider.find(token, () => 3) !== null) throw new Error('somebody is let in');
    if ((await identify(provider, token)) !== null) throw new Error('somebody is let in');
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [tokens];

/** `--auth-token`: from the flag to whoever gives out tokens. */
import { INTERNAL_ERRORS } from '@etcd/api';
import type { Clock, Logger } from '@etcd/base';
import { parseGoDuration } from '@etcd/host/args';
import { checkJwtOptions, type JwtOptions } from './jwt-options.ts';
import { JwtTokens } from './jwt-tokens.ts';
import { SimpleTokens, type SimpleTokensOptions } from './simple-tokens.ts';
import { noTokens, type TokenProvider } from './token-provider.ts';

const { ErrAuthFailed, ErrInvalidAuthOpts } = INTERNAL_ERRORS.auth;

export interface TokenProviderOptions
  extends Pick<SimpleTokensOptions, 'secret' | 'appliedIndex' | 'whenApplied'> {
  /** `simple`, `jwt,<options>` or nothing. */
  readonly authToken: string;
  readonly simpleTokenTtlMs: number;
  readonly readFile: (path: string) => Uint8Array;
  readonly clock: Clock;
  readonly logger: Logger;
}

const DEFAULT_SIMPLE_TTL_MS = 300_000;
const DEFAULT_JWT_TTL = '5m';
const KNOWN_OPTIONS: ReadonlySet<string> = new Set(['sign-method', 'pub-key', 'priv-key', 'ttl']);

/** Throws an Error in etcd's words where the flag asks for what can't be. */
export function openTokenProvider(options: TokenProviderOptions): TokenProvider {
  const { authToken, simpleTokenTtlMs, logger, clock, readFile } = options;
  const [type, ...pairs] = authToken.split(',');
  const settings = settingsOf(pairs);
  if (type === '') return noTokens(ErrAuthFailed);
  if (type === 'simple') {
    logger.warn('simple token is not cryptographically signed');
    return new SimpleTokens({
      ...options,
      ttlMs: simpleTokenTtlMs > 0 ? simpleTokenTtlMs : DEFAULT_SIMPLE_TTL_MS,
    });
  }
  if (type !== 'jwt') {
    logger.warn('unknown token type', { type, error: ErrInvalidAuthOpts.message });
    throw new Error(ErrInvalidAuthOpts.message);
  }
  const unknown = [...settings.keys()].filter((name) => !KNOWN_OPTIONS.has(name));
  if (unknown.length > 0) logger.warn('unknown JWT options', { keys: unknown });
  const jwt = jwtOptions(settings);
  return new JwtTokens({ jwt, clock, logger, readFile });
}

function settingsOf(pairs: readonly string[]): Map<string, string> {
  const settings = new Map<string, string>();
  for (const pair of pairs) {
    const [name, value, ...rest] = pair.split('=');
    if (value === undefined || rest.length > 0 || settings.has(name!))
      throw new Error(ErrInvalidAuthOpts.message);
    settings.set(name!, value);
  }
  return settings;
}

function jwtOptions(settings: ReadonlyMap<string, string>): JwtOptions {
  const ttl = parseGoDuration(settings.get('ttl') || DEFAULT_JWT_TTL);
  if (ttl.error !== undefined) throw new Error(ErrInvalidAuthOpts.message);
  const jwt: JwtOptions = {
    algorithm: settings.get('sign-method') ?? '',
    publicKeyFile: settings.get('pub-key') ?? '',
    privateKeyFile: settings.get('priv-key') ?? '',
    ttlMs: ttl.durationMs,
  };
  checkJwtOptions(jwt);
  return jwt;
}

/** Where the gateway is, for who must know without loading it. */
import { SERVICES } from '@etcd/api/services';

export const GATEWAY_PREFIX = '/v3/';
/** Without its last character, which leads there. */
export const GATEWAY_ROOT = '/v3';
/** Its description. */
export const OPEN_API_PATH = '/openapi.json';

/** Paths of methods with one request and one answer. */
export const UNARY_PATHS: ReadonlySet<string> = new Set(
  SERVICES.flatMap(({ methods }) => Object.values(methods))
    .filter(({ kind }) => kind === 'unary')
    .flatMap(({ gatewayPaths }) => gatewayPaths),
);

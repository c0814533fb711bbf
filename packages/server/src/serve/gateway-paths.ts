/** Where the gateway is, for who must know without loading it. */
export const GATEWAY_PREFIX = '/v3/';
/** Without its last character, which leads there. */
export const GATEWAY_ROOT = '/v3';
/** Its description. */
export const OPEN_API_PATH = '/openapi.json';

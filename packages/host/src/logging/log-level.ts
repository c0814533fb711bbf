/** Names of levels as etcd's flag has them; `dpanic` and `panic` lie between error and fatal. */
export const LOG_LEVEL_NAMES = ['debug', 'info', 'warn', 'error', 'dpanic', 'panic', 'fatal'] as const;
export type LogLevelName = (typeof LOG_LEVEL_NAMES)[number];

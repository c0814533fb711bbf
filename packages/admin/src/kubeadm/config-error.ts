/** A configuration that can't be used; the message is for its author. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** What is known about one flag: the row type of the flag table. */

/** How a value is read. The Go type behind each decides the wording of a refusal. */
export type FlagKind =
  | 'bool'
  | 'int'
  | 'int64'
  | 'uint'
  | 'uint32'
  | 'uint64'
  | 'duration'
  | 'string'
  /** A comma-separated list of URLs; an empty text leaves the default. */
  | 'urls'
  /** URLs, or `*`. */
  | 'origins'
  /** A comma-separated list as it is. */
  | 'strings'
  /** A comma-separated list, sorted, each once. */
  | 'string-set'
  /** One of {@link FlagSpec.values}. */
  | 'one-of'
  /** A comma-separated list of {@link FlagSpec.values}. */
  | 'some-of'
  | 'feature-gates'
  /** A flag of earlier ages that every release accepts, with any value, and forgets. */
  | 'ignored';

export const FLAG_SECTIONS = {
  member: 'Member',
  clustering: 'Clustering',
  security: 'Security',
  auth: 'Auth',
  monitoring: 'Profiling and Monitoring',
  logging: 'Logging',
  tracing: 'Distributed tracing',
  backup: 'Backups and defragmentation',
  features: 'Features',
  unsafe: 'Unsafe',
  other: 'Other',
  ignored: 'Accepted and ignored',
} as const;

export type FlagSection = keyof typeof FLAG_SECTIONS;

export interface FlagSpec {
  readonly name: string;
  readonly kind: FlagKind;
  /** The default as text, as it would be written on a command line. */
  readonly defaultText: string;
  readonly section: FlagSection;
  /** One or two sentences for `--help`. */
  readonly help: string;
  /** Key in a configuration file, dots between levels; null when a file can't set it. */
  readonly configKey: string | null;
  /** The permitted values of kinds `one-of` and `some-of`. */
  readonly values: readonly string[];
  /** The value is never repeated in a log line. */
  readonly secret: boolean;
  /** The last release of etcd that has it, where 3.7 has not: `3.6`. */
  readonly lastRelease: string | null;
}

/** `ETCD_` and the name in capitals, as every flag is called in the environment. */
export function environmentName(flagName: string): string {
  return `ETCD_${flagName.toUpperCase().replaceAll('-', '_')}`;
}

/** Whether the flag may stand without a value, and so never takes the next argument as one. */
export function mayStandAlone(kind: FlagKind): boolean {
  return kind === 'bool' || kind === 'ignored';
}

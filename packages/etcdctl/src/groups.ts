/** Headings of the list of commands. */
export const GROUP = {
  KEYS: 'Key-value commands',
  CLUSTER: 'Cluster maintenance commands',
  CONCURRENCY: 'Concurrency commands',
  AUTH: 'Authentication commands',
  UTILITY: 'Utility commands',
} as const;

/** etcdutl's exit codes. */
export const EXIT = {
  ERROR: 1,
  BAD_FEATURE: 4,
  INTERRUPTED: 130,
  BAD_ARGS: 128,
} as const;

/** What is wrong, and the command that mends it. */

/** An error costs data or service now or soon; a warning will, if nobody does anything; a note is for who wants to know. */
export type Severity = 'error' | 'warning' | 'note';

export interface Finding {
  readonly severity: Severity;
  /** What was looked at, as `quorum`. */
  readonly check: string;
  /** Name of the member that it is about; null for the cluster or this host. */
  readonly member: string | null;
  readonly message: string;
  /** A command, or what is to be done where no command can; null for a note that asks for nothing. */
  readonly fix: string | null;
}

const ORDER: readonly Severity[] = ['error', 'warning', 'note'];

/** The worst first, else as they were found. */
export function inOrder(findings: readonly Finding[]): Finding[] {
  return ORDER.flatMap((severity) => findings.filter((finding) => finding.severity === severity));
}

export const EXIT = { fine: 0, warnings: 2, errors: 3 } as const;

export function exitCodeOf(findings: readonly Finding[]): number {
  if (findings.some(({ severity }) => severity === 'error')) return EXIT.errors;
  return findings.some(({ severity }) => severity === 'warning') ? EXIT.warnings : EXIT.fine;
}

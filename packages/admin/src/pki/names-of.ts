/** Whom a certificate is for, to make another one like it. */
import type { X509Certificate } from 'node:crypto';

/** Values of the subject as they were given: its text has marks before commas and the like. */
export function subjectFields(certificate: X509Certificate, name: 'CN' | 'O'): string[] {
  const { subject } = certificate.toLegacyObject() as {
    readonly subject?: Readonly<Record<string, unknown>>;
  };
  return [subject?.[name] ?? []].flat().map(String);
}

/** Names and addresses. */
export function hostsOf({ subjectAltName }: X509Certificate): string[] {
  const entries = subjectAltName?.split(', ') ?? [];
  return entries.flatMap((entry) => /^(?:DNS|IP Address):(.*)$/.exec(entry)?.[1] ?? []);
}

/** Files in which keys of backups stand. */
import { readFileSync } from 'node:fs';
import type { Sealing } from './age-header.ts';
import { BackupError } from './backup-error.ts';

/** For whom backups are sealed, as an operator says it. */
export interface SealingWishes {
  readonly recipients: readonly string[];
  /** Files; empty: none. */
  readonly recipientsFile: string;
  readonly passphraseFile: string;
  readonly isUnencrypted: boolean;
}

/** Null: for everybody to read. Ask {@link isOneWay} first. Throws {@link BackupError}. */
export function readSealing(wishes: SealingWishes): Sealing | null {
  const recipients = [...wishes.recipients];
  if (wishes.recipientsFile !== '') {
    const more = keyLines(wishes.recipientsFile);
    if (more.length === 0) throw new BackupError(`${wishes.recipientsFile}: no recipient`);
    recipients.push(...more);
  }
  if (recipients.length > 0) return { recipients };
  return wishes.passphraseFile === '' ? null : { passphrase: readPassphrase(wishes.passphraseFile) };
}

/** Whether exactly one way was asked for. A backup that anybody can read is one that was asked for. */
export function isOneWay({
  recipients,
  recipientsFile,
  passphraseFile,
  isUnencrypted,
}: SealingWishes): boolean {
  const ways = [recipients.length > 0 || recipientsFile !== '', passphraseFile !== '', isUnencrypted];
  return ways.filter(Boolean).length === 1;
}

/** The lines of a file without those that are empty, or remarks. Throws {@link BackupError}. */
export function keyLines(path: string): string[] {
  const lines = textOf(path)
    .split('\n')
    .map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/** Throws {@link BackupError}. */
export function readPassphrase(path: string): string {
  const passphrase = textOf(path).replace(/\r?\n$/, '');
  if (passphrase === '') throw new BackupError(`${path}: the passphrase is empty`);
  return passphrase;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BackupError((error as Error).message);
  }
}

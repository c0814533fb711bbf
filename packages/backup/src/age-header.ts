/**
 * Headers of the age format: who may open a file. They are made and read by a package; what follows is sealed here, with the cipher of the
 * runtime, which is twenty times as fast.
 */
import { passphraseRecipient } from './age-passphrase.ts';
import { BackupError } from './backup-error.ts';

/** For whom a backup is sealed: recipients (`age1…`), or whoever has a passphrase. */
export type Sealing = { readonly recipients: readonly string[] } | { readonly passphrase: string };

/** What may open it: identities (`AGE-SECRET-KEY-1…`), a passphrase. */
export interface Secrets {
  readonly identities: readonly string[];
  readonly passphrase: string | null;
}

export interface SealedHeader {
  readonly header: Uint8Array;
  /** 16 bytes, from which the payload's key comes. */
  readonly fileKey: Uint8Array;
}

const END_OF_HEADER = Buffer.from('\n--- ');
const NEWLINE = 0x0a;

/** Throws {@link BackupError} for a recipient that is none. */
export async function makeHeader(sealing: Sealing): Promise<SealedHeader> {
  const { Encrypter } = await agePackage();
  const encrypter = new Encrypter();
  let fileKey: Uint8Array | null = null;
  if ('passphrase' in sealing) encrypter.addRecipient(passphraseRecipient(sealing.passphrase));
  else {
    try {
      for (const recipient of sealing.recipients) encrypter.addRecipient(recipient);
    } catch (error) {
      throw new BackupError(`not a recipient of age: ${(error as Error).message}`);
    }
  }
  // One more who is told the key, and stands nowhere.
  encrypter.addRecipient({
    wrapFileKey(key) {
      fileKey = Uint8Array.from(key);
      return [];
    },
  });
  const header = headerOf(await encrypter.encrypt(new Uint8Array(0)));
  if (fileKey === null) throw new Error('age: the key of a file was not told');
  return { header, fileKey };
}

/** The key of the payload. Throws {@link BackupError} when nothing fits. */
export async function openHeader(header: Uint8Array, secrets: Secrets): Promise<Uint8Array> {
  const { Decrypter } = await agePackage();
  const decrypter = new Decrypter();
  try {
    for (const identity of secrets.identities) decrypter.addIdentity(identity);
    if (secrets.passphrase !== null) decrypter.addPassphrase(secrets.passphrase);
  } catch (error) {
    throw new BackupError(`not an identity of age: ${(error as Error).message}`);
  }
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    throw new BackupError(`the backup can not be opened with this key: ${(error as Error).message}`);
  }
}

/** With all its curves it is twenty megabytes, which those who neither seal nor open do not need. */
function agePackage(): Promise<typeof import('age-encryption')> {
  return import('age-encryption');
}

/** Where a header ends in the beginning of a file, or -1. */
export function headerLength(file: Uint8Array): number {
  const mac = Buffer.from(file.buffer, file.byteOffset, file.length).indexOf(END_OF_HEADER);
  if (mac < 0) return -1;
  const end = file.indexOf(NEWLINE, mac + END_OF_HEADER.length);
  return end < 0 ? -1 : end + 1;
}

function headerOf(file: Uint8Array): Uint8Array {
  return file.slice(0, headerLength(file));
}

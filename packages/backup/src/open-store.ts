/** A store by its address. */
import { BackupStore } from './backup-store.ts';
import { DirectoryStore } from './directory-store.ts';
import { parseStoreAddress } from './store-address.ts';

/** Asks it nothing yet. Throws {@link BackupError}. */
export async function openStore(text: string): Promise<BackupStore> {
  const address = parseStoreAddress(text);
  if (address.kind === 'directory') return new BackupStore(new DirectoryStore(address.path));
  // The SDK takes a while to load, and most have no such store.
  const { S3Store } = await import('./s3-store.ts');
  return new BackupStore(new S3Store(address));
}

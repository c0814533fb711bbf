/** A backup that can't be made, read or kept as asked; the message is for the operator. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}
